//! What a client lends to a build while it goes on: it is asked when a step needs it, and nothing is kept.

use std::os::unix::net::UnixStream;

use futures_util::future::BoxFuture;
use hako_builder::request::Secret;

use crate::Result;
use crate::images::Credential;

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
}
