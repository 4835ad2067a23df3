//! Streams that go on when the daemon goes away: it was killed or replaced, and the containers run on without it.

use std::time::Duration;

use futures_util::StreamExt as _;
use hako_api::frame::{Demultiplexer, StreamKind};
use hako_api::query;
use hako_api::version::LOG_MARKS;
use hako_client::{ByteStream, Client, Error};

use crate::failure::Failure;
use crate::stream::{copy_log, write};

/// Pauses between attempts, the last one again and again.
const PAUSES: [u64; 6] = [5, 20, 50, 100, 200, 500];
/// So many attempts in a row may fail: a minute.
const ATTEMPTS: usize = 120;

/// Attempts at one connection.
#[derive(Debug, Default)]
pub(crate) struct Attempts(usize);

impl Attempts {
    /// Something was heard: the next failure is the first again.
    pub(crate) fn succeeded(&mut self) {
        self.0 = 0;
    }

    /// Waits before the next attempt; gives the failure back when there were enough, or when trying again is no help.
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Failure> {
        if !(error.is_lost() || error.is_unreachable()) || self.0 >= ATTEMPTS {
            return Err(error.into());
        }
        let pause = PAUSES[self.0.min(PAUSES.len() - 1)];
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Ok(())
    }
}

/// Follows a log to its end, whatever becomes of the daemon meanwhile. Each line is shown once.
pub(crate) async fn follow_log(client: &Client, id: &str, options: query::Logs, tty: bool) -> Result<(), Failure> {
    match follow(client, id, options, write).await? {
        Some(unmarked) => copy_log(unmarked, tty).await,
        None => Ok(()),
    }
}

/// Shows a log to its end piece by piece, whatever becomes of the daemon meanwhile. A daemon that cannot mark how far it
/// has come is no help in this: then its stream is given back.
pub(crate) async fn follow(
    client: &Client,
    id: &str,
    mut options: query::Logs,
    mut show: impl FnMut(StreamKind, &[u8]) -> Result<(), Failure>,
) -> Result<Option<ByteStream>, Failure> {
    options.marks = true;
    let mut attempts = Attempts::default();
    let mut begun = false;
    loop {
        let stream = match client.containers().logs(id, &options).await {
            // It went while nobody looked.
            Err(error) if begun && error.is_not_found() => return Ok(None),
            Err(error) => {
                attempts.pause(error).await?;
                continue;
            }
            Ok(stream) if !stream.headers().contains_key(LOG_MARKS) => return Ok(Some(stream)),
            Ok(stream) => stream,
        };
        begun = true;
        match copy_marked(stream, &mut options.resume, &mut attempts, &mut show).await? {
            None => return Ok(None),
            Some(lost) => attempts.pause(lost).await?,
        }
    }
}

/// Shows what is complete, and remembers up to where that is. Gives the error that cut the stream off, if one did.
async fn copy_marked(
    mut stream: ByteStream,
    resume: &mut String,
    attempts: &mut Attempts,
    show: &mut impl FnMut(StreamKind, &[u8]) -> Result<(), Failure>,
) -> Result<Option<Error>, Failure> {
    let mut frames = Demultiplexer::default();
    let mut waiting: Vec<(StreamKind, Vec<u8>)> = Vec::new();
    let mut mark = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Ok(Some(error)),
        };
        let mut bytes = &chunk[..];
        let broken = |_| Failure::local("unrecognized stream: the daemon sent something that is not a frame");
        while let Some((kind, piece)) = frames.next(&mut bytes).map_err(broken)? {
            match kind {
                StreamKind::System => return Err(Failure::local(String::from_utf8_lossy(piece).into_owned())),
                StreamKind::Stdin => mark.extend_from_slice(piece),
                kind => match waiting.last_mut() {
                    // A frame for each line: joined, they are shown at once.
                    Some((last, gathered)) if *last == kind => gathered.extend_from_slice(piece),
                    _ => waiting.push((kind, piece.to_vec())),
                },
            }
            if kind == StreamKind::Stdin && frames.at_boundary() {
                for (kind, piece) in waiting.drain(..) {
                    show(kind, &piece)?;
                }
                *resume = String::from_utf8_lossy(&std::mem::take(&mut mark)).into_owned();
                attempts.succeeded();
            }
        }
    }
    Ok(None)
}
