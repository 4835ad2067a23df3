//! What the image verbs see of the rest of the engine.

use std::collections::BTreeMap;
use std::sync::Weak;

use hako_model::digest::Digest;
use hako_model::event::Kind;

use crate::house::House;
use crate::images::{Surroundings, Usage};

/// The engine around the image verbs; not kept alive by them.
pub(crate) struct Neighbours {
    pub(crate) house: Weak<House>,
}

impl Surroundings for Neighbours {
    fn users(&self, image: &Digest) -> Vec<Usage> {
        let Some(house) = self.house.upgrade() else { return Vec::new() };
        let containers = house.index.all();
        let of_image = containers.iter().filter(|container| container.record().uses(image));
        let usage = |container: &std::sync::Arc<crate::container::Container>| Usage {
            container: container.id.to_string(),
            running: container.status().state.is_running(),
        };
        of_image.map(usage).collect()
    }

    fn tell(&self, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        if let Some(house) = self.house.upgrade() {
            house.hub.tell(Kind::Image, action, id, attributes);
        }
    }
}
