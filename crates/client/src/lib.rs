//! The Engine API from the caller's side: one method per endpoint, hijacked streams, and a daemon started on demand.
//! It does no work before the first request. What is shown to people, and how, is the CLI's affair.

mod builds;
mod connection;
mod containers;
mod context;
mod daemon;
mod endpoint;
mod error;
mod execs;
mod images;
mod networks;
mod request;
mod secrets;
mod secure;
mod socket;
mod ssh;
mod stream;
mod system;
mod volumes;

use std::sync::Arc;

pub use builds::Builds;
pub use containers::{Containers, Waiting};
pub use endpoint::{Choice, Endpoint, InvalidEndpoint, Roots};
pub use error::Error;
pub use execs::Execs;
pub use hako_api as api;
pub use images::Images;
pub use networks::Networks;
pub use secrets::Secrets;
pub use secure::Tls;
pub use socket::Socket;
pub use ssh::{Ssh, Tunnel};
pub use stream::{ByteStream, Hijacked, JsonStream, Upload, upload, upload_bytes};
pub use system::System;
pub use volumes::Volumes;

use connection::Pool;

/// An answer, or why there is none.
pub type Result<T> = std::result::Result<T, Error>;

/// A daemon to talk to. Cheap to clone; clones share connections. Needs a tokio runtime once a request is made.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client of the daemon at `endpoint`. Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { pool: Arc::new(Pool::new(endpoint)) }
    }

    /// A client of the daemon that flags and environment choose.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] or [`Error::Context`] when the choice makes no sense.
    pub fn chosen(choice: &Choice) -> Result<Self> {
        Ok(Self::new(Endpoint::choose(choice)?))
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.pool.endpoint()
    }

    /// A connection of one's own, for whoever speaks for another program.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody listens.
    pub async fn connect(&self) -> Result<Socket> {
        let endpoint = self.pool.endpoint();
        let outcome = Socket::connect(endpoint).await;
        outcome.map_err(|cause| Error::Unreachable { endpoint: endpoint.to_string(), cause })
    }

    /// Verbs on containers.
    #[must_use]
    pub fn containers(&self) -> Containers<'_> {
        Containers { client: self }
    }

    /// Verbs on further processes in containers.
    #[must_use]
    pub fn execs(&self) -> Execs<'_> {
        Execs { client: self }
    }

    /// Verbs on images.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images { client: self }
    }

    /// Verbs on builds.
    #[must_use]
    pub fn builds(&self) -> Builds<'_> {
        Builds { client: self }
    }

    /// Verbs on volumes.
    #[must_use]
    pub fn volumes(&self) -> Volumes<'_> {
        Volumes { client: self }
    }

    /// Verbs on secrets.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets { client: self }
    }

    /// Verbs on networks.
    #[must_use]
    pub fn networks(&self) -> Networks<'_> {
        Networks { client: self }
    }

    /// Verbs on the daemon itself.
    #[must_use]
    pub fn system(&self) -> System<'_> {
        System { client: self }
    }
}
