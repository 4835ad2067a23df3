//! The container verbs.

mod sample;
mod view;

use std::os::unix::net::UnixStream;

use bytes::Bytes;
use hako_model::filter::Filters;
use hako_model::id::{ContainerId, ExecId};

pub use sample::{BlockSample, CpuSample, InterfaceSample, MemorySample, Sample};
pub use view::*;

use crate::Result;
use crate::stream::{ByteSource, ByteStream};

/// The container verbs. Names are what people type: a name, an id or the beginning of one. Cheap to clone.
#[derive(Clone)]
pub struct Containers {}

impl Containers {
    /// Makes a container. Nothing exists when it is refused.
    pub async fn create(&self, request: CreateRequest) -> Result<Created> {
        todo!()
    }

    /// Starts it. `NotModified` when it runs.
    pub async fn start(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Stops it. `NotModified` when it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    /// Sends a signal, `SIGKILL` when empty.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        todo!()
    }

    /// Stops and starts it.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    /// Freezes it.
    pub async fn pause(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Thaws it.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Begins to wait; nothing that happens after this returned is missed.
    pub async fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiting> {
        todo!()
    }

    /// Removes it.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        todo!()
    }

    /// Gives it another name.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        todo!()
    }

    /// Changes limits and the restart policy; gives warnings.
    pub async fn update(&self, name: &str, request: UpdateRequest) -> Result<Vec<String>> {
        todo!()
    }

    /// Everything about it.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Inspected> {
        todo!()
    }

    /// Lists containers, newest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<Summary>> {
        todo!()
    }

    /// Its processes; `arguments` are `ps`'s, `-ef` when absent.
    pub async fn top(&self, name: &str, arguments: Option<&str>) -> Result<Top> {
        todo!()
    }

    /// Its log.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<Logs> {
        todo!()
    }

    /// Checks that it can be attached to; the streams connect when the attachment is handed over.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        todo!()
    }

    /// Resizes its terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        todo!()
    }

    /// What it uses: one sample a second, or with `one_shot` a single one at once (no earlier sample in it).
    pub async fn stats(&self, name: &str, one_shot: bool) -> Result<Stats> {
        todo!()
    }

    /// How its files differ from its image's.
    pub async fn changes(&self, name: &str) -> Result<Vec<Change>> {
        todo!()
    }

    /// Its root filesystem as a tar.
    pub async fn export(&self, name: &str) -> Result<ByteStream> {
        todo!()
    }

    /// One path in it.
    pub async fn archive_stat(&self, name: &str, path: &str) -> Result<PathStat> {
        todo!()
    }

    /// One path in it as a tar.
    pub async fn archive_get(&self, name: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        todo!()
    }

    /// Unpacks a tar (plain, gzip or zstd) into a directory in it.
    pub async fn archive_put(&self, name: &str, path: &str, options: ArchivePut, archive: ByteSource) -> Result<()> {
        todo!()
    }

    /// Makes an image of it; gives the image's id.
    pub async fn commit(&self, request: CommitRequest) -> Result<String> {
        todo!()
    }

    /// Removes all stopped containers that pass the filters.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }

    /// Makes an exec instance.
    pub async fn exec_create(&self, name: &str, request: ExecRequest) -> Result<ExecId> {
        todo!()
    }

    /// Starts an exec instance. An attached one starts when the attachment is handed over; a detached one has started
    /// when this returns `None`.
    pub async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        todo!()
    }

    /// Resizes an exec instance's terminal.
    pub async fn exec_resize(&self, exec: &str, rows: u16, columns: u16) -> Result<()> {
        todo!()
    }

    /// Everything about an exec instance.
    pub async fn exec_inspect(&self, exec: &str) -> Result<ExecInspected> {
        todo!()
    }
}

/// A wait that has begun.
pub struct Waiting {}

impl Waiting {
    /// The outcome. Cancel-safe.
    pub async fn exit(&mut self) -> Result<Exit> {
        todo!()
    }
}

/// Streams checked and ready to be connected.
pub struct Attachment {}

impl Attachment {
    /// Whether the stream is a terminal's (raw); else it is multiplexed.
    pub fn tty(&self) -> bool {
        todo!()
    }

    /// Gives the client's connection to the supervisor, with what was already read from it. The caller sends the
    /// `101` (or `200`) head before this, and drops its own side after.
    pub async fn hand_over(self, client: UnixStream, leftover: Bytes) -> Result<()> {
        todo!()
    }
}

/// Which stream a piece of a log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A log being read.
pub struct Logs {}

impl Logs {
    /// Whether the container has a terminal: then the bytes go out raw, else each piece as a frame of its channel.
    pub fn tty(&self) -> bool {
        todo!()
    }

    /// The next piece, ready to be sent (timestamps and details included): frame headers are the caller's.
    pub async fn next(&mut self) -> Option<Result<(Channel, Bytes)>> {
        todo!()
    }
}

/// A container's use, watched.
pub struct Stats {}

impl Stats {
    /// The next sample; `None` when the container is gone.
    pub async fn next(&mut self) -> Option<Result<Sample>> {
        todo!()
    }
}
