//! Removing what stopped.

use hako_model::filter::Filters;

use super::{Containers, Pruned, RemoveOptions};
use crate::filters::until;
use crate::{Error, Result};

impl Containers {
    /// Removes all stopped containers that pass the filters.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        filters.only(&["label", "label!", "until"])?;
        let before = until(&filters)?;
        let mut pruned = Pruned::default();
        for container in self.house.index.all() {
            let (record, status) = (container.record(), container.status());
            let labels = record.labels();
            let label = |key: &str| labels.get(key).map(String::as_str);
            let chosen = !status.state.is_running()
                && before.is_none_or(|before| record.created < before)
                && filters.admits_labels("label", label)
                && filters.lacks_labels("label!", label);
            if !chosen {
                continue;
            }
            let size = self.house.store.writable(&container.dir).size().unwrap_or(0);
            match self.remove(container.id.as_str(), RemoveOptions::default()).await {
                Ok(()) => {
                    pruned.deleted.push(container.id.to_string());
                    pruned.space_reclaimed += size;
                }
                // It was started or removed meanwhile.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let facts = [("reclaimed".to_owned(), pruned.space_reclaimed.to_string())].into();
        self.house.hub.tell(hako_model::event::Kind::Container, "prune", "", facts);
        Ok(pruned)
    }
}
