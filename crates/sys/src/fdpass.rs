//! Messages with descriptors between hako's processes: `SOCK_SEQPACKET` unix sockets.
//!
//! One send is one receive. A body too large for a socket buffer travels in a sealed memory file beside it, so
//! callers never think about sizes.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::{Error, Result};

/// The most descriptors one message carries.
pub const MAX_FDS: usize = 240;
/// Bodies above this size travel in a memory file.
const INLINE_LIMIT: usize = 64 * 1024;
/// The most a peer can make us read.
const BODY_LIMIT: u64 = 64 * 1024 * 1024;
/// Stands in for a body that travels in the last descriptor.
const IN_MEMORY_FILE: &[u8] = b"\0hako body in memory file\0";

/// One received message.
#[derive(Debug)]
pub struct Message {
    /// The body.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends, close-on-exec and blocking.
    pub fn pair() -> Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(Error::os("create", "socket pair"))?;
        Ok((Self(one), Self(other)))
    }

    /// Connects to the listener at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let fd = seqpacket()?;
        with_address(path, |address| rustix::net::connect(&fd, address)).map_err(Error::at("connect to", path))?;
        Ok(Self(fd))
    }

    /// Connects to another program's stream socket at `path`, to which a message with descriptors is then sent.
    pub fn connect_stream(path: &Path) -> Result<Self> {
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(Error::os("create", "socket"))?;
        with_address(path, |address| rustix::net::connect(&fd, address)).map_err(Error::at("connect to", path))?;
        Ok(Self(fd))
    }

    /// Makes `send` and `recv` answer `EAGAIN` instead of waiting, or undoes that.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.0, nonblocking).map_err(Error::os("configure", "channel"))
    }

    /// Sends one message. Never raises `SIGPIPE`.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        if bytes.len() <= INLINE_LIMIT {
            return self.send_inline(bytes, fds);
        }
        let body = memory_file(bytes)?;
        let mut all = fds.to_vec();
        all.push(body.as_fd());
        self.send_inline(IN_MEMORY_FILE, &all)
    }

    fn send_inline(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Error::os("send", "message with too many descriptors")(Errno::INVAL));
        }
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
        })
        .map(drop)
        .map_err(Error::os("send", "message"))
    }

    /// Receives one message; `None` when the other end is closed.
    pub fn recv(&self) -> Result<Option<Message>> {
        let size = match past_reset(|| self.peek_size()) {
            Ok(0) | Err(Errno::CONNRESET) => return Ok(None),
            size => size.map_err(Error::os("receive", "message"))?,
        };
        let mut message = self.recv_sized(size)?;
        if message.bytes == IN_MEMORY_FILE
            && let Some(body) = message.fds.pop()
        {
            message.bytes = crate::file::read_regular(body, BODY_LIMIT, Path::new("message body"))?;
        }
        Ok(Some(message))
    }

    fn peek_size(&self) -> rustix::io::Result<usize> {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        rustix::net::recv(&self.0, &mut [0_u8; 1], flags).map(|(_, size)| size)
    }

    fn recv_sized(&self, size: usize) -> Result<Message> {
        let mut bytes = vec![0; size];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = past_reset(|| {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
        })
        .map_err(Error::os("receive", "message"))?;
        bytes.truncate(received.bytes);
        let mut fds = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                fds.extend(rights);
            }
        }
        Ok(Message { bytes, fds })
    }

    /// The uid of the process at the other end, as the kernel recorded it when the connection was made.
    pub fn peer_uid(&self) -> Result<u32> {
        rustix::net::sockopt::socket_peercred(&self.0)
            .map(|credentials| credentials.uid.as_raw())
            .map_err(Error::os("identify", "peer"))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

/// Waits for connections at a path.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Binds `path` (a stale socket there is replaced) with the given permission bits.
    pub fn bind(path: &Path, mode: u32) -> Result<Self> {
        crate::file::remove_if_present(path)?;
        let fd = seqpacket()?;
        with_address(path, |address| rustix::net::bind(&fd, address)).map_err(Error::at("bind", path))?;
        rustix::fs::chmod(path, Mode::from_raw_mode(mode)).map_err(Error::at("protect", path))?;
        rustix::net::listen(&fd, 64).map_err(Error::at("listen at", path))?;
        Ok(Self(fd))
    }

    /// Accepts one connection.
    pub fn accept(&self) -> Result<Channel> {
        rustix::io::retry_on_intr(|| rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC))
            .map(Channel)
            .map_err(Error::os("accept", "connection"))
    }

    /// Makes `accept` answer `EAGAIN` instead of waiting, or undoes that.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.0, nonblocking).map_err(Error::os("configure", "listener"))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

fn seqpacket() -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(Error::os("create", "socket"))
}

/// Reaches a socket by a path longer than the 107 bytes of `sockaddr_un`: through a descriptor of its directory.
fn with_address(path: &Path, call: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    if path.as_os_str().len() < 100 {
        return call(&SocketAddrUnix::new(path)?);
    }
    let parent = path.parent().ok_or(Errno::INVAL)?;
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let short = Path::new(&crate::file::fd_path(directory.as_fd())).join(path.file_name().ok_or(Errno::INVAL)?);
    call(&SocketAddrUnix::new(&short)?)
}

/// Calls again after an interruption, and once after the news that the other end closed without having read all we
/// sent: the kernel tells that first, and what the other end sent before is still to be had.
fn past_reset<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    match rustix::io::retry_on_intr(&mut call) {
        Err(Errno::CONNRESET) => rustix::io::retry_on_intr(call),
        done => done,
    }
}

fn memory_file(bytes: &[u8]) -> Result<File> {
    let fd = rustix::fs::memfd_create("hako-body", MemfdFlags::CLOEXEC).map_err(Error::os("create", "memory file"))?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(Error::os("write", "memory file"))?;
    std::io::Seek::rewind(&mut file).map_err(Error::os("rewind", "memory file"))?;
    Ok(file)
}
