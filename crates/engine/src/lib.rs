//! Every verb of a container platform, and every record on disk. Leaves out HTTP (server) and what happens inside one
//! running container (supervisor).
//!
//! [`Engine::open`] makes the one engine of a data root; its verbs are grouped by what they act on.

mod accounts;
mod blocking;
mod boot;
mod budget;
pub mod builds;
pub mod caller;
mod cdi;
mod clock;
mod container;
pub mod containers;
mod error;
pub mod events;
mod filters;
mod house;
pub mod images;
mod index;
pub mod jobs;
mod layout;
mod life;
pub mod networks;
mod news;
mod oci;
mod readiness;
mod record;
pub mod secrets;
mod settings;
mod signal;
pub mod stream;
mod support;
mod surroundings;
pub mod system;
mod tools;
pub mod volumes;

use std::sync::Arc;

pub use error::{Error, Result};
pub use settings::Settings;

use crate::builds::Builds;
use crate::containers::Containers;
use crate::events::Events;
use crate::house::House;
use crate::images::Images;
use crate::networks::Networks;
use crate::secrets::Secrets;
use crate::surroundings::Neighbours;
use crate::system::System;
use crate::volumes::Volumes;

/// The engine of one data root. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    house: Arc<House>,
    images: Images,
}

impl Engine {
    /// Opens the data root: sweeps what was left half-done, finds living supervisors again, starts what its restart
    /// policy wants started. Only one process may have a data root open.
    pub async fn open(settings: Settings) -> Result<Self> {
        let house = Arc::new(House::open(settings)?);
        let around = Arc::new(Neighbours { house: Arc::downgrade(&house) });
        let images = Images::open(house.store.clone(), &house.settings, around)?;
        if house.images.set(images.clone()).is_err() {
            return Err(Error::system("open engine: it is open"));
        }
        boot::boot(&house).await?;
        jobs::begin(&house);
        house.spares.refill();
        if let Some(budget) = house.settings.disk_budget {
            budget::keep(&house, budget);
        }
        Ok(Self { house, images })
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.house.settings
    }

    /// The container verbs.
    pub fn containers(&self) -> Containers {
        Containers { house: Arc::clone(&self.house) }
    }

    /// The image verbs.
    pub fn images(&self) -> Images {
        self.images.clone()
    }

    /// The build verbs.
    pub fn builds(&self) -> Builds {
        Builds { house: Arc::clone(&self.house), images: self.images.clone() }
    }

    /// The secret verbs.
    pub fn secrets(&self) -> Secrets {
        Secrets { house: Arc::clone(&self.house) }
    }

    /// The volume verbs.
    pub fn volumes(&self) -> Volumes {
        Volumes { house: Arc::clone(&self.house) }
    }

    /// The network verbs.
    pub fn networks(&self) -> Networks {
        Networks { house: Arc::clone(&self.house) }
    }

    /// About jobs.
    pub fn jobs(&self) -> jobs::Jobs {
        jobs::Jobs { house: Arc::clone(&self.house) }
    }

    /// Events, live and from history.
    pub fn events(&self) -> Events {
        Events::new(self.house.hub.clone())
    }

    /// About the engine itself.
    pub fn system(&self) -> System {
        System { house: Arc::clone(&self.house) }
    }

    /// Leaves: lets the spare supervisors go. Running containers go on; if there are none, nothing of the engine stays
    /// on the host but its files.
    pub async fn close(&self) {
        self.house.spares.close().await;
        blocking::blocking(|| self.house.networks.fabric.finish());
        if self.house.index.all().iter().all(|container| container.link().is_none()) {
            self.house.clear();
        }
    }
}
