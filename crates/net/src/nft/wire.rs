//! Messages of nf_tables: batches, questions. What they mean is said in `expression`, `schema`
//! and `element`.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hako_sys::netlink::{Protocol, Socket};
use hako_sys::poll::{Interest, wait_one};

use crate::netfilter::message;
pub(super) use crate::netfilter::{Attributes, attribute, attributes, number, text};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// Fail if it exists.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// Make it if it does not exist.
pub(super) const CREATE: u16 = 0x400;
/// Behind the others instead of before them.
pub(super) const APPEND: u16 = 0x800;
const DUMP: u16 = 0x300;

/// The nf_tables family of IPv4 and IPv6 together.
pub(super) const INET: u8 = 1;
/// The family of frames between ports of bridges.
pub(super) const BRIDGE: u8 = 7;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;
/// Every family, in a dump.
pub(super) const ANY_FAMILY: u8 = 0;

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
    GetRule = 7,
    DeleteRule = 8,
    NewSet = 9,
    NewElements = 12,
    GetElements = 13,
    DeleteElements = 14,
}

/// Messages that take effect together or not at all.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    last: usize,
    flags: u16,
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut batch = Self { bytes: Vec::with_capacity(4096), last: 0, flags: 0 };
        batch.message(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, &[]);
        batch
    }

    pub(super) fn push(&mut self, verb: Verb, flags: u16, family: u8, attributes: &Attributes) {
        self.last = self.bytes.len();
        self.flags = flags;
        self.message(SUBSYSTEM << 8 | verb as u16, REQUEST | flags, family, 0, &attributes.0);
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) {
        message(&mut self.bytes, kind, flags, family, resource, body);
    }

    /// Sends the batch and waits for the kernel's verdict.
    ///
    /// Only the last message asks to be acknowledged: refusals are told anyway, and a thousand acknowledgements would
    /// not fit into the socket's buffer. An error's index counts the messages from one, in the order of `push`.
    pub(super) fn commit(mut self, socket: &mut Socket) -> hako_sys::Result<()> {
        if self.last == 0 {
            return Ok(());
        }
        let flags = (self.flags | REQUEST | ACK).to_ne_bytes();
        self.bytes[self.last + 6..self.last + 8].copy_from_slice(&flags);
        self.message(BATCH_END, REQUEST, 0, SUBSYSTEM, &[]);
        socket.request(&self.bytes).map(drop)
    }
}

/// A socket to nf_tables that is kept for the next who asks in the same network namespace.
///
/// Closing one while something removed waits for its end takes the kernel a grace period, some ten milliseconds in which
/// nobody else can change a table either. Only for namespaces that outlive the process: a kept socket holds its own.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` only once given back.
    socket: Option<Socket>,
    namespace: u64,
}

/// So many are kept; more at once are rare.
const KEPT: usize = 4;

static SHELF: Mutex<Vec<(u64, Socket)>> = Mutex::new(Vec::new());

/// A socket to nf_tables in the caller's network namespace.
pub(crate) fn socket() -> hako_sys::Result<Kept> {
    let namespace = hako_sys::netns::number()?;
    let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
    let found = shelf.iter().position(|(at, _)| *at == namespace).map(|index| shelf.swap_remove(index).1);
    drop(shelf);
    let socket = found.map_or_else(|| Socket::open(Protocol::Netfilter), Ok)?;
    Ok(Kept { socket: Some(socket), namespace })
}

impl Deref for Kept {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        self.socket.as_ref().expect("there is a socket until the drop")
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Socket {
        self.socket.as_mut().expect("there is a socket until the drop")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        // With something unread in it, it would answer the next one with that.
        let is_clean = wait_one(&socket, Interest::Read, Some(Duration::ZERO)).is_ok_and(|readable| !readable);
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        if is_clean && shelf.len() < KEPT {
            shelf.push((self.namespace, socket));
        }
    }
}

/// One answer: the family of the object and its attributes.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) family: u8,
    pub(super) body: Vec<u8>,
}

/// Asks for all objects a `Get…` verb and its attributes select.
pub(super) fn dump(
    socket: &mut Socket,
    verb: Verb,
    family: u8,
    attributes: &Attributes,
) -> hako_sys::Result<Vec<Object>> {
    let mut request = Vec::new();
    message(&mut request, SUBSYSTEM << 8 | verb as u16, REQUEST | DUMP, family, 0, &attributes.0);
    let replies = socket.request(&request)?;
    let object = |reply: &Vec<u8>| Some(Object { family: *reply.get(16)?, body: reply.get(20..)?.to_vec() });
    Ok(replies.iter().filter_map(object).collect())
}

/// Asks for one object; `None` if it does not exist.
pub(super) fn get(
    socket: &mut Socket,
    verb: Verb,
    family: u8,
    attributes: &Attributes,
) -> hako_sys::Result<Option<Object>> {
    let mut request = Vec::new();
    message(&mut request, SUBSYSTEM << 8 | verb as u16, REQUEST | ACK, family, 0, &attributes.0);
    match socket.request(&request) {
        Ok(replies) => {
            Ok(replies.first().map(|reply| Object { family, body: reply.get(20..).unwrap_or_default().to_vec() }))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
