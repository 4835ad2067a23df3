//! Netlink: whole messages in, answers and acknowledgements out.
//!
//! The socket knows the framing of RFC 3549 and nothing of what the messages say: callers build them, whole with
//! header, and get replies the same way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::process::SingleThreaded;
use crate::{Error, Result};

const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FLAG_ACK: u16 = 0x4;
const FLAG_DUMP: u16 = 0x300;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const EXTENDED_MESSAGE: u16 = 1;
/// Opens a batch of netfilter messages.
const BATCH_BEGIN: u16 = 0x10;

/// The kernel part spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, neighbours.
    Route,
    /// nf_tables and connection tracking.
    Netfilter,
    /// Generic netlink families.
    Generic,
}

/// A netlink socket in the network namespace it was opened in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket in the caller's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self> {
        // NETLINK_ROUTE is number 0, which rustix writes as "no protocol".
        let number = match protocol {
            Protocol::Route => None,
            Protocol::Netfilter => Some(rustix::net::netlink::NETFILTER),
            Protocol::Generic => Some(rustix::net::netlink::GENERIC),
        };
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, number)
            .map_err(Error::os("open", "netlink socket"))?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(Error::os("bind", "netlink socket"))?;
        crate::syscall::explain_netlink_errors(fd.as_fd());
        Ok(Self { fd, sequence: 1 })
    }

    /// Opens a socket inside another network namespace; it stays there for good.
    pub fn open_in(netns: BorrowedFd<'_>, protocol: Protocol) -> Result<Self> {
        crate::netns::within(netns, || Self::open(protocol))?
    }

    /// [`Socket::open_in`] without a helper thread, for a process that must stay single-threaded.
    pub fn open_in_here(witness: SingleThreaded, netns: BorrowedFd<'_>, protocol: Protocol) -> Result<Self> {
        crate::netns::within_here(witness, netns, || Self::open(protocol))?
    }

    /// Sends messages (one or more, whole, back to back) in one go and collects what comes back.
    ///
    /// Sequence numbers are filled in here. A message with `NLM_F_ACK` or `NLM_F_DUMP` is waited for; data messages
    /// are returned in order, headers included. The first refusal is the error, told with the message's index, after
    /// everything expected has been read, so the socket stays usable.
    pub fn request(&mut self, messages: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut batch = messages.to_vec();
        let first = self.sequence;
        let awaited = self.number(&mut batch)?;
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, &batch, SendFlags::empty()));
        sent.map_err(Error::os("send", "netlink messages"))?;
        let mut answers = Answers { first, awaited, replies: Vec::new(), failure: None };
        while !answers.awaited.is_empty() {
            let datagram = self.receive()?;
            answers.take(&datagram)?;
        }
        answers.failure.map_or(Ok(answers.replies), Err)
    }

    /// Sends messages and returns at once; refusals are not seen.
    pub fn send(&mut self, messages: &[u8]) -> Result<()> {
        let mut batch = messages.to_vec();
        self.number(&mut batch)?;
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, &batch, SendFlags::empty()))
            .map(drop)
            .map_err(Error::os("send", "netlink messages"))
    }

    /// Receives one datagram as it is: for sockets subscribed to groups.
    pub fn receive(&self) -> Result<Vec<u8>> {
        let peek = RecvFlags::PEEK | RecvFlags::TRUNC;
        let (_, size) = rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut [0_u8; 0], peek))
            .map_err(Error::os("receive", "netlink messages"))?;
        let mut datagram = vec![0; size];
        let (read, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut datagram[..], RecvFlags::empty()))
                .map_err(Error::os("receive", "netlink messages"))?;
        datagram.truncate(read);
        Ok(datagram)
    }

    /// Subscribes to a multicast group of the socket's protocol.
    pub fn subscribe(&self, group: u32) -> Result<()> {
        crate::syscall::join_netlink_group(self.fd.as_fd(), group).map_err(Error::os("subscribe to", "netlink group"))
    }

    /// Lets a subscribed socket hear only datagrams that begin with one of these messages; the others wake nobody.
    pub fn hear_only(&self, wanted: &[Wanted]) -> Result<()> {
        crate::syscall::attach_filter(self.fd.as_fd(), &filter(wanted)).map_err(Error::os("filter", "netlink socket"))
    }

    /// Stamps sequence numbers; returns those that will be answered.
    fn number(&mut self, batch: &mut [u8]) -> Result<Vec<u32>> {
        let mut awaited = Vec::new();
        let mut offset = 0;
        while offset < batch.len() {
            let (length, _, flags, _) = header(&batch[offset..])?;
            batch[offset + 8..offset + 12].copy_from_slice(&self.sequence.to_ne_bytes());
            if flags & FLAG_ACK != 0 || flags & FLAG_DUMP == FLAG_DUMP {
                awaited.push(self.sequence);
            }
            self.sequence = self.sequence.wrapping_add(1).max(1);
            offset += aligned(length);
        }
        Ok(awaited)
    }
}

/// A message a subscriber wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The type in its header.
    pub kind: u16,
    /// For messages about links: the device's number, if only one matters.
    pub link: Option<u32>,
}

/// The classic BPF program that admits what is wanted. BPF reads in network order, netlink writes in the host's.
fn filter(wanted: &[Wanted]) -> Vec<(u16, u8, u8, u32)> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const KIND_AT: u32 = 4;
    const LINK_AT: u32 = 20;
    let mut program = Vec::new();
    for Wanted { kind, link } in wanted {
        let kind = u16::from_be_bytes(kind.to_ne_bytes());
        let behind = if link.is_some() { 3 } else { 1 };
        program.extend([(LOAD_HALF, 0, 0, KIND_AT), (JUMP_EQUAL, 0, behind, kind.into())]);
        if let Some(link) = link {
            let link = u32::from_be_bytes(link.to_ne_bytes());
            program.extend([(LOAD_WORD, 0, 0, LINK_AT), (JUMP_EQUAL, 0, 1, link)]);
        }
        program.push((RETURN, 0, 0, u32::MAX));
    }
    program.push((RETURN, 0, 0, 0));
    program
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Answers {
    first: u32,
    awaited: Vec<u32>,
    replies: Vec<Vec<u8>>,
    failure: Option<Error>,
}

impl Answers {
    fn take(&mut self, datagram: &[u8]) -> Result<()> {
        let mut offset = 0;
        while offset + HEADER <= datagram.len() {
            let (length, kind, flags, sequence) = header(&datagram[offset..])?;
            let message = &datagram[offset..offset + length];
            match kind {
                ERROR | DONE => self.settle(message, kind, flags, sequence),
                _ => self.replies.push(message.to_vec()),
            }
            offset += aligned(length);
        }
        Ok(())
    }

    fn settle(&mut self, message: &[u8], kind: u16, flags: u16, sequence: u32) {
        let index = sequence.wrapping_sub(self.first);
        if index > u32::MAX / 2 {
            // A late answer to an earlier request.
            return;
        }
        self.awaited.retain(|awaited| *awaited != sequence);
        let code =
            message.get(HEADER..HEADER + 4).map_or(0, |code| i32::from_ne_bytes([code[0], code[1], code[2], code[3]]));
        if code < 0 && refused_kind(message) == Some(BATCH_BEGIN) {
            // Netfilter refused the batch as a whole and may say nothing about its messages.
            self.awaited.clear();
        }
        if code < 0 && self.failure.is_none() {
            let index = index as usize;
            let note = if kind == ERROR && flags & FLAG_ACK_TLVS != 0 { explanation(message, flags) } else { None };
            let source = std::io::Error::from_raw_os_error(-code);
            self.failure = Some(Error::Netlink { index, note, source });
        }
    }
}

/// The kind of the message a refusal is about; its header follows the error number.
fn refused_kind(message: &[u8]) -> Option<u16> {
    let kind = message.get(HEADER + 8..HEADER + 10)?;
    Some(u16::from_ne_bytes([kind[0], kind[1]]))
}

/// The text the kernel adds to a refusal, behind the copy of the refused message.
fn explanation(message: &[u8], flags: u16) -> Option<String> {
    let copied = message.get(HEADER + 4..HEADER + 8)?;
    let copied = u32::from_ne_bytes([copied[0], copied[1], copied[2], copied[3]]) as usize;
    let copied = if flags & FLAG_CAPPED != 0 { HEADER } else { copied };
    let mut rest = message.get(HEADER + 4 + aligned(copied)..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        if kind == EXTENDED_MESSAGE {
            let text = rest.get(4..length)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
        rest = rest.get(aligned(length.max(4))..)?;
    }
    None
}

fn header(bytes: &[u8]) -> Result<(usize, u16, u16, u32)> {
    let malformed = || Error::Malformed { object: "netlink message".into(), what: "truncated".into() };
    let head = bytes.get(..HEADER).ok_or_else(malformed)?;
    let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length < HEADER || length > bytes.len() {
        return Err(malformed());
    }
    let kind = u16::from_ne_bytes([head[4], head[5]]);
    let flags = u16::from_ne_bytes([head[6], head[7]]);
    Ok((length, kind, flags, u32::from_ne_bytes([head[8], head[9], head[10], head[11]])))
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}
