//! What a client lends to a build while it goes on: it is asked when a step needs it, and nothing is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use futures_util::future::BoxFuture;
use hako_builder::request::Secret;
use hako_model::digest::Digest;
use hako_model::image::Descriptor;

use crate::images::Credential;
use crate::{Error, Result};

/// Agents of the host's that a client holds open.
#[derive(Debug, Default)]
pub struct Agents(pub BTreeMap<String, OwnedFd>);

impl Desk for Agents {
    fn credential(&self, _registry: &str) -> BoxFuture<'_, Result<Option<Credential>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn secret(&self, _id: &str) -> BoxFuture<'_, Result<Option<Secret>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn lends(&self, id: &str) -> BoxFuture<'_, Result<bool>> {
        Box::pin(std::future::ready(Ok(self.0.contains_key(id))))
    }

    fn connect(&self, id: &str, stream: UnixStream) -> BoxFuture<'_, Result<()>> {
        let path = self.0.get(id).map(|socket| format!("/proc/self/fd/{}", socket.as_raw_fd()));
        Box::pin(async move {
            let failed = |cause: std::io::Error| Error::io("reach the ssh agent", cause);
            let path = path.ok_or_else(|| Error::not_found("the client lends no such ssh agent"))?;
            stream.set_nonblocking(true).map_err(failed)?;
            let mut stream = tokio::net::UnixStream::from_std(stream).map_err(failed)?;
            let mut agent = tokio::net::UnixStream::connect(path).await.map_err(failed)?;
            tokio::io::copy_bidirectional(&mut stream, &mut agent).await.map_err(failed)?;
            Ok(())
        })
    }
}

/// A client that can be asked.
pub trait Desk: Send + Sync {
    /// Credentials for a registry, if it has any.
    fn credential(&self, registry: &str) -> BoxFuture<'_, Result<Option<Credential>>>;

    /// A secret, if it has one of that name.
    fn secret(&self, id: &str) -> BoxFuture<'_, Result<Option<Secret>>>;

    /// Whether it lends an SSH agent of that name.
    fn lends(&self, id: &str) -> BoxFuture<'_, Result<bool>>;

    /// Connects a stream with that agent, until one of them has enough.
    fn connect(&self, id: &str, stream: UnixStream) -> BoxFuture<'_, Result<()>>;

    /// Writes what a place of the client's has under a digest into a file; no more than `limit` bytes. Whether they are the
    /// right ones is for the caller to see.
    fn take(&self, place: &str, digest: &Digest, limit: u64, into: File) -> BoxFuture<'_, Result<()>> {
        let _ = (place, digest, limit, into);
        Box::pin(std::future::ready(Err(Error::not_implemented("the client keeps no caches"))))
    }

    /// Gives a place of the client's what a file has, unless it has it.
    fn give(&self, place: &str, blob: &Descriptor, from: File) -> BoxFuture<'_, Result<()>> {
        let _ = (place, blob, from);
        Box::pin(std::future::ready(Err(Error::not_implemented("the client keeps no caches"))))
    }
}
