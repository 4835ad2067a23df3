//! Removing networks, one or all that nobody uses.

use hako_model::event::Kind;
use hako_model::filter::Filters;

use super::{Networks, Segment, endpoint_id, members};
use crate::blocking::blocking;
use crate::filters::until;
use crate::{Error, Result};

/// What a prune removed.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Names.
    pub deleted: Vec<String>,
}

impl Networks {
    /// Removes a network no running container is on.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let segment = self.house.networks.find(name)?;
        if !segment.is_own() {
            return Err(Error::forbidden(format!("{} is a pre-defined network and cannot be removed", segment.name)));
        }
        self.check_unused(&segment)?;
        blocking(|| self.house.networks.remove(&segment))?;
        // One that nobody was ever on has none.
        let _ = std::fs::remove_dir_all(self.house.layout.names().join(segment.id.as_str()));
        self.tell(&segment, "destroy");
        Ok(())
    }

    fn check_unused(&self, segment: &Segment) -> Result<()> {
        let users = members(&self.house, segment);
        if !users.is_empty() {
            let list = users.iter().map(|container| {
                let id = endpoint_id(container.id.as_str(), segment.id.as_str());
                format!("name:{:?} id:{:?}", container.record().name, &id[..12])
            });
            let list = list.collect::<Vec<_>>().join(", ");
            let name = &segment.name;
            return Err(Error::forbidden(format!(
                "error while removing network: network {name} has active endpoints ({list})"
            )));
        }
        let is_source = segment.record().config_only
            && self.house.networks.all().iter().any(|other| other.record().config_from == segment.name);
        if is_source {
            let name = &segment.name;
            return Err(Error::forbidden(format!(
                "error while removing network: configuration network {name:?} is in use"
            )));
        }
        Ok(())
    }

    /// Removes networks no running container is on. Filters: label, label!, until.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        filters.only(&["label", "label!", "until"])?;
        let until = until(&filters)?;
        let mut pruned = Pruned::default();
        for segment in self.house.networks.all().into_iter().filter(|segment| segment.is_own()) {
            let record = segment.record();
            let label = |key: &str| record.labels.get(key).map(String::as_str);
            let chosen = filters.admits_labels("label", label)
                && filters.lacks_labels("label!", label)
                && until.is_none_or(|until| record.created < until)
                && !record.config_only;
            if chosen && self.check_unused(&segment).is_ok() {
                self.remove(segment.id.as_str()).await?;
                pruned.deleted.push(record.name);
            }
        }
        let facts = [("reclaimed".to_owned(), "0".to_owned())].into();
        self.house.hub.tell(Kind::Network, "prune", "", facts);
        Ok(pruned)
    }
}
