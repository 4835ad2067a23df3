//! The engine's side of the conversation. Never blocks and knows no runtime: the engine waits for the descriptor to
//! become ready, in whatever way it waits.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use hako_sys::fdpass::Channel;
use hako_sys::process::{Process, Program};

use crate::protocol::{Ask, Message, Request, VERSION};
use crate::{Error, Result};

/// The number under which a new supervisor finds its socket.
const SOCKET: i32 = 3;

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Handle {
    channel: Channel,
    process: Option<Process>,
}

/// What [`Handle::receive`] found.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Message(Box<Message>),
    /// Nothing yet: wait until the descriptor is readable.
    Nothing,
    /// The supervisor is gone.
    Closed,
}

/// What of the engine's environment its supervisors have: where this machine's authorities are listed, by which servers
/// that logs are sent to are known.
const TRUST: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

impl Handle {
    /// Starts a spare: this binary as `hako supervise --fd 3 --cgroup PARENT/NAME`. It prepares its seed at once.
    /// `cgroup` is where the seed waits, below each hierarchy's root, e.g. `/hako/spare-1f`.
    pub fn spawn(cgroup: &str) -> Result<Self> {
        Self::spawn_program(Program::own("hako")?, cgroup)
    }

    /// [`Handle::spawn`] of another binary.
    pub fn spawn_program(program: Program<'_>, cgroup: &str) -> Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let number = SOCKET.to_string();
        let process = {
            let mut program = program.args(["supervise", "--fd", &number, "--cgroup", cgroup])?;
            if let Some(limit) = hako_sys::own::former_open_files() {
                program = program.args(["--open-files", &limit.to_string()])?;
            }
            for name in TRUST {
                if let Some(value) = std::env::var_os(name) {
                    program = program.env(name, &value)?;
                }
            }
            program.fd(theirs.as_fd(), SOCKET).session().spawn()?
        };
        ours.set_nonblocking(true)?;
        Ok(Self { channel: ours, process: Some(process) })
    }

    /// Connects to a supervisor that outlived its engine. Say [`Ask::Hello`] first.
    pub fn connect(socket: &Path) -> Result<Self> {
        let channel = Channel::connect(socket)?;
        channel.set_nonblocking(true)?;
        Ok(Self { channel, process: None })
    }

    /// The process, if this engine started it: it is to be reaped.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Sends a request. False: no room yet, wait until the descriptor is writable and send again.
    pub fn send(&self, id: u64, ask: Ask, fds: &[BorrowedFd<'_>]) -> Result<bool> {
        let request = Request { v: VERSION, id, ask };
        let bytes = serde_json::to_vec(&request).map_err(|source| Error::Message { source })?;
        self.send_encoded(&bytes, fds)
    }

    /// [`Handle::send`] of a request that is encoded already.
    pub fn send_encoded(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<bool> {
        match self.channel.send(bytes, fds) {
            Ok(()) => Ok(true),
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the next message, if one is there.
    pub fn receive(&self) -> Result<Received> {
        let message = match self.channel.recv() {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Received::Closed),
            Err(error) if error.is_would_block() => return Ok(Received::Nothing),
            Err(error) => return Err(error.into()),
        };
        let message = serde_json::from_slice(&message.bytes).map_err(|source| Error::Message { source })?;
        Ok(Received::Message(Box::new(message)))
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.channel.as_fd().as_raw_fd()
    }
}
