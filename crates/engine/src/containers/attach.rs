//! Attaching clients: checked here, then their connection is the supervisor's.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use hako_model::id::ExecId;
use hako_model::state::State;
use hako_supervisor::protocol::{Ask, Attach, ExecClient, Framing};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedRwLockReadGuard;

use super::lifecycle::failure;
use super::{AttachOptions, Containers, LogsOptions};
use crate::container::Container;
use crate::house::House;
use crate::{Error, Result};

/// ctrl-p, ctrl-q.
const DEFAULT_DETACH: &[u8] = &[16, 17];

impl Containers {
    /// Checks that it can be attached to; the streams connect when the attachment is handed over.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        let detach_keys = detach_keys(options.detach_keys.as_deref())?;
        let container = self.house.index.find(name)?;
        if container.damage.is_some() {
            return Err(Error::conflict(format!("container {} is damaged", container.id)));
        }
        match container.status().state {
            State::Paused(_) => {
                return Err(Error::conflict(format!(
                    "container {} is paused, unpause the container before attach",
                    container.id
                )));
            }
            State::Restarting { .. } => {
                return Err(Error::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    container.id
                )));
            }
            _ => {}
        }
        let terminal = container.record().config.tty;
        let attach = Attach {
            stdin: options.stdin,
            stdout: options.stdout,
            stderr: options.stderr,
            logs: options.logs,
            stream: options.stream,
            framing: if terminal || options.mixed { Framing::Raw } else { Framing::Multiplexed },
            detach_keys,
            leftover: Vec::new(),
        };
        let turn = Arc::clone(&container.attaching).read_owned().await;
        let kind = Kind::Attach { attach, turn };
        Ok(Attachment { house: Arc::clone(&self.house), container, terminal, kind })
    }
}

/// Streams checked and ready to be connected.
pub struct Attachment {
    pub(super) house: Arc<House>,
    pub(super) container: Arc<Container>,
    pub(super) terminal: bool,
    pub(super) kind: Kind,
}

/// Held by who passes a container's output on to a client.
pub struct Relay {
    _turn: Option<OwnedRwLockReadGuard<()>>,
}

/// Whose streams.
pub(super) enum Kind {
    Attach { attach: Attach, turn: OwnedRwLockReadGuard<()> },
    Exec { exec: ExecId, size: Option<(u16, u16)> },
}

impl Attachment {
    /// Whether the stream is a terminal's (raw); else it is multiplexed.
    pub fn tty(&self) -> bool {
        self.terminal
    }

    /// Whether it is a further process's, which only starts when it is handed over.
    pub fn is_exec(&self) -> bool {
        matches!(self.kind, Kind::Exec { .. })
    }

    /// For a caller that passes the output on itself: as long as this is held, waiting for the container's end waits, too
    /// (for a while).
    pub fn relay(&self) -> Relay {
        // Whoever waits for the end holds it alone only for a moment.
        Relay { _turn: Arc::clone(&self.container.relays).try_read_owned().ok() }
    }

    /// Gives the client's connection to the supervisor, with what was already read from it. The caller sends the
    /// `101` (or `200`) head before this, and drops its own side after.
    pub async fn hand_over(self, mut client: UnixStream, leftover: Bytes) -> Result<()> {
        let framing = if self.terminal { Framing::Raw } else { Framing::Multiplexed };
        let leftover = leftover.to_vec();
        let (link, ask, _turn) = match self.kind {
            Kind::Attach { attach, turn } => {
                if self.container.phase.borrow().removed {
                    return Err(Error::not_found(format!("No such container: {}", self.container.id)));
                }
                let (client_now, attach) = self.house.replay(&self.container, client, attach).await?;
                client = client_now;
                if !(attach.logs || attach.stream) {
                    return Ok(());
                }
                let link = self.house.supervisor(&self.container)?;
                (link, Ask::Attach(Attach { leftover, ..attach }), Some(turn))
            }
            Kind::Exec { exec, size } => {
                let client = Some(ExecClient { framing, leftover });
                (self.container.live_link()?, Ask::ExecStart { exec, client, size }, None)
            }
        };
        let reply = link.ask(ask, vec![OwnedFd::from(client)]).await?;
        reply.map(|_| ()).map_err(|other| failure(&self.container, other))
    }
}

impl House {
    /// The log of a container that does not run: its supervisor, if it has one, is new and knows nothing of it. Others'
    /// log is the supervisor's to replay, without a gap to what comes then.
    async fn replay(
        self: &Arc<Self>,
        container: &Arc<Container>,
        client: UnixStream,
        attach: Attach,
    ) -> Result<(UnixStream, Attach)> {
        if !attach.logs || container.status().state.is_running() {
            return Ok((client, attach));
        }
        let options = LogsOptions { stdout: attach.stdout, stderr: attach.stderr, ..LogsOptions::default() };
        let broken = |cause| Error::io("replay log", cause);
        let mut client = tokio::net::UnixStream::from_std(client).map_err(broken)?;
        // A driver that cannot be read has nothing to replay.
        if let Ok(mut logs) = (Containers { house: Arc::clone(self) }).logs(container.id.as_str(), options).await {
            while let Some(piece) = logs.next().await.transpose()? {
                let bytes = if attach.framing == Framing::Raw { piece.bytes } else { piece.framed() };
                client.write_all(&bytes).await.map_err(broken)?;
            }
        }
        Ok((client.into_std().map_err(broken)?, Attach { logs: false, ..attach }))
    }
}

/// `ctrl-p,ctrl-q` and the like as bytes; empty text means the default.
pub(super) fn detach_keys(text: Option<&str>) -> Result<Vec<u8>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(DEFAULT_DETACH.to_vec()) };
    let key = |word: &str| {
        let invalid = || Error::invalid(format!("Invalid detach keys ({text}) provided"));
        match (word.strip_prefix("ctrl-"), word.as_bytes()) {
            (Some(letter), _) => control(letter).ok_or_else(invalid),
            (None, [byte]) => Ok(*byte),
            _ => Err(invalid()),
        }
    };
    text.split(',').map(key).collect()
}

fn control(letter: &str) -> Option<u8> {
    match letter.as_bytes() {
        [byte @ b'a'..=b'z'] => Some(byte - b'a' + 1),
        [b'@'] => Some(0),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(detach_keys(None).unwrap(), [16, 17]);
        assert_eq!(detach_keys(Some("ctrl-a,x,ctrl-[")).unwrap(), [1, b'x', 27]);
        assert!(detach_keys(Some("ctrl-A")).is_err());
        assert!(detach_keys(Some("abc")).is_err());
    }
}
