//! Sockets the daemon accepts on: inherited ones, unix sockets it binds, loopback TCP.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::SocketFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first descriptor of the socket activation protocol.
const FIRST_FD: i32 = 3;

/// The most inherited sockets that are taken.
const INHERITED_LIMIT: i32 = 64;

/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Groups that may use the socket, the first that exists.
const GROUPS: &[&str] = &["hako", "docker"];

/// A client's connection.
#[derive(Debug)]
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection before anything was said on it.
pub(crate) struct Arrival {
    connection: Connection,
    tls: Option<TlsAcceptor>,
}

impl From<Connection> for Arrival {
    fn from(connection: Connection) -> Self {
        Self { connection, tls: None }
    }
}

impl Arrival {
    /// Shakes hands where TLS is spoken.
    pub(crate) async fn enter(self) -> io::Result<Connection> {
        match (self.connection, self.tls) {
            (Connection::Tcp(stream), Some(tls)) => {
                let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
                shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(Box::new).map(Connection::Tls)
            }
            (connection, _) => Ok(connection),
        }
    }
}

/// The process at the other end of a unix socket, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

impl Connection {
    /// Who is at the other end; nobody known for TCP.
    pub(crate) fn peer(&self) -> Option<Peer> {
        let Self::Unix(stream) = self else { return None };
        let found = stream.peer_cred().ok()?;
        Some(Peer { pid: found.pid()?, uid: found.uid() })
    }
}

/// A socket clients connect to.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener, Option<TlsAcceptor>),
}

/// A socket before the runtime exists.
pub(crate) enum Bound {
    Unix(StdUnixListener),
    Tcp(StdTcpListener, Option<TlsAcceptor>),
}

impl Bound {
    /// Registers it with the runtime.
    pub(crate) fn open(self) -> io::Result<Listener> {
        match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Listener::Unix)
            }
            Self::Tcp(listener, tls) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(|listener| Listener::Tcp(listener, tls))
            }
        }
    }

    /// A second holder of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
            Self::Tcp(listener, tls) => listener.try_clone().map(|listener| Self::Tcp(listener, tls.clone())),
        }
    }

    fn inherited(fd: OwnedFd) -> Option<Self> {
        let listener = StdUnixListener::from(fd);
        if listener.local_addr().is_ok() {
            return Some(Self::Unix(listener));
        }
        let listener = StdTcpListener::from(OwnedFd::from(listener));
        listener.local_addr().ok().map(|_| Self::Tcp(listener, None))
    }
}

impl Listener {
    /// Polls for the next connection.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        match self {
            Self::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| Connection::Unix(stream).into()),
            Self::Tcp(listener, tls) => listener.poll_accept(cx).map(|outcome| {
                let (stream, _) = outcome?;
                stream.set_nodelay(true)?;
                Ok(Arrival { connection: Connection::Tcp(stream), tls: tls.clone() })
            }),
        }
    }
}

impl Listener {
    /// Takes a waiting connection without asking the runtime, which may not have heard of it yet.
    pub(crate) fn accept_now(&self) -> io::Result<Arrival> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match self {
            Self::Unix(listener) => {
                let stream = rustix::net::accept_with(listener, flags)?;
                UnixStream::from_std(stream.into()).map(|stream| Connection::Unix(stream).into())
            }
            Self::Tcp(listener, tls) => {
                let stream = rustix::net::accept_with(listener, flags)?;
                let connection = TcpStream::from_std(stream.into()).map(Connection::Tcp)?;
                Ok(Arrival { connection, tls: tls.clone() })
            }
        }
    }
}

/// Takes the sockets this process was started with (`LISTEN_FDS`); must be called before any other descriptor is made.
pub(crate) fn inherited() -> Vec<Bound> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    let for_us = number("LISTEN_PID").is_none_or(|pid| u32::try_from(pid) == Ok(std::process::id()));
    let count = number("LISTEN_FDS").filter(|_| for_us).unwrap_or(0).clamp(0, INHERITED_LIMIT);
    let numbers = FIRST_FD..FIRST_FD + count;
    numbers.filter_map(|number| Bound::inherited(hako_sys::process::take_inherited(number)?)).collect()
}

/// Whether the service manager holds the sockets, so that their files are its own.
pub(crate) fn is_managed() -> bool {
    std::env::var_os("LISTEN_PID").is_some()
}

/// A socket's file that this daemon removes when it leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file as it is now.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, unless another daemon has put its own there.
    pub(crate) fn remove(&self) {
        if Self::find(&self.path).is_ok_and(|now| now == *self) {
            // A file that cannot be removed refuses connections, and the next daemon replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds a unix socket for root and one group.
pub(crate) fn unix(path: &Path, group: Option<&str>) -> io::Result<Bound> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let listener = StdUnixListener::bind(path)?;
    admit_group(path, group)?;
    Ok(Bound::Unix(listener))
}

/// Opens a socket's file to a group: the named one, or the first of the usual ones that exists.
pub(crate) fn admit_group(path: &Path, group: Option<&str>) -> io::Result<()> {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let id = match group {
        Some(name) => Some(
            group_id(&groups, name)
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("group {name} not found")))?,
        ),
        None => GROUPS.iter().find_map(|name| group_id(&groups, name)),
    };
    if let Some(id) = id {
        std::os::unix::fs::chown(path, None, Some(id))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
}

/// A static binary must not ask the C library for groups.
fn group_id(file: &str, name: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Binds a TCP socket. Everybody who reaches it is root: without TLS it is on this machine only, and asked for twice.
pub(crate) fn tcp(address: &str, tls: Option<TlsAcceptor>, plain: bool) -> Result<Bound, String> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| format!("tcp://{address}: expected HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| format!("tcp://{address}: invalid port"))?;
    let host = if host == "localhost" { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
    let host: IpAddr = host.parse().map_err(|_| format!("tcp://{address}: the host must be an IP address"))?;
    if tls.is_none() {
        check_plain(&format!("tcp://{address}"), host, plain)?;
    }
    let listener =
        StdTcpListener::bind(SocketAddr::new(host, port)).map_err(|cause| format!("tcp://{address}: {cause}"))?;
    Ok(Bound::Tcp(listener, tls))
}

/// Refuses a plain socket that others reach, or that nobody named as one.
pub(crate) fn check_plain(name: &str, host: IpAddr, plain: bool) -> Result<(), String> {
    if !host.is_loopback() {
        return Err(format!(
            "{name}: without TLS everybody who reaches this address is root on this machine; give the daemon \
             --tlsverify with --tlscacert, --tlscert and --tlskey, or let clients come by ssh"
        ));
    }
    if !plain {
        return Err(format!(
            "{name}: without TLS every user of this machine is root through this address; add --tls=false if that is \
             wanted, or --tlsverify with --tlscacert, --tlscert and --tlskey"
        ));
    }
    Ok(())
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_from_the_file() {
        let file = "root:x:0:\ndocker:x:998:a,b\n";
        assert_eq!(group_id(file, "docker"), Some(998));
        assert_eq!(group_id(file, "hako"), None);
        assert_eq!(group_id(file, "12"), Some(12));
    }

    #[test]
    fn plain_tcp_stays_on_this_machine_and_is_asked_for_twice() {
        let refused = |address: &str, plain| tcp(address, None, plain).err().unwrap_or_default();
        assert_eq!(refused("127.0.0.1:0", true), "");
        assert_eq!(refused("[::1]:0", true), "");
        assert!(refused("127.0.0.1:0", false).contains("--tls=false"));
        assert!(refused("0.0.0.0:0", true).contains("--tlsverify"));
        assert!(refused("example.org:1", true).contains("must be an IP address"));
    }

    #[test]
    fn a_socket_is_replaced_and_removed_only_by_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _first = unix(&path, None).unwrap();
        let old = SocketFile::find(&path).unwrap();
        let keep_inode = std::fs::hard_link(&path, directory.path().join("kept"));
        keep_inode.unwrap();
        let _second = unix(&path, None).unwrap();
        let new = SocketFile::find(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        old.remove();
        assert!(path.exists());
        new.remove();
        assert!(!path.exists());
    }
}
