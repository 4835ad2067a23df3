//! Every verb of a container platform, and every record on disk. Leaves out HTTP (server) and what happens inside one
//! running container (supervisor).
//!
//! [`Engine::open`] makes the one engine of a data root; its verbs are grouped by what they act on.

pub mod containers;
mod error;
pub mod events;
pub mod images;
pub mod networks;
mod settings;
pub mod stream;
pub mod system;
pub mod volumes;

use std::sync::Arc;

pub use error::{Error, Result};
pub use settings::Settings;

use crate::containers::Containers;
use crate::events::Events;
use crate::images::Images;
use crate::networks::Networks;
use crate::system::System;
use crate::volumes::Volumes;

/// The engine of one data root. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    house: Arc<House>,
}

/// What all verbs share.
struct House {
    settings: Settings,
}

impl Engine {
    /// Opens the data root: sweeps what was left half-done, finds living supervisors again, starts what its restart
    /// policy wants started. Only one process may have a data root open.
    pub async fn open(settings: Settings) -> Result<Self> {
        todo!()
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.house.settings
    }

    /// The container verbs.
    pub fn containers(&self) -> Containers {
        todo!()
    }

    /// The image verbs.
    pub fn images(&self) -> Images {
        todo!()
    }

    /// The volume verbs.
    pub fn volumes(&self) -> Volumes {
        todo!()
    }

    /// The network verbs.
    pub fn networks(&self) -> Networks {
        todo!()
    }

    /// Events, live and from history.
    pub fn events(&self) -> Events {
        todo!()
    }

    /// About the engine itself.
    pub fn system(&self) -> System {
        todo!()
    }

    /// Leaves: lets the spare supervisors go and saves what is pending. Running containers go on.
    pub async fn close(&self) {
        todo!()
    }
}
