//! A socket that a step reaches the client's SSH agent by.

use std::path::Path;
use std::sync::Arc;

use hako_builder::workshop::Relay;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::desk::Desk;
use crate::{Error, Result};

/// Answers on a socket as long as it lives.
pub(super) struct Agent {
    listening: JoinHandle<()>,
}

impl Relay for Agent {}

impl Drop for Agent {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Agent {
    /// Listens at a path.
    pub(super) fn listen(runtime: &Handle, desk: Arc<dyn Desk>, id: &str, socket: &Path) -> Result<Self> {
        let _inside = runtime.enter();
        let listener = UnixListener::bind(socket).map_err(|e| Error::io("open the way to the ssh agent", e))?;
        Ok(Self { listening: runtime.spawn(accept(listener, desk, id.to_owned())) })
    }
}

async fn accept(listener: UnixListener, desk: Arc<dyn Desk>, id: String) {
    // Connections go with the listener.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let Ok(stream) = stream.into_std() else { continue };
        let (desk, id) = (Arc::clone(&desk), id.clone());
        connections.spawn(async move {
            if let Err(error) = desk.connect(&id, stream).await {
                tracing::debug!("ssh agent {id}: {error}");
            }
        });
    }
}
