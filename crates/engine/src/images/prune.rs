//! Removing what nobody uses.

use hako_model::filter::Filters;
use hako_store::Image;

use super::answer::{Pruned, Removed};
use super::list::{has_labels, is_dangling};
use super::{Images, failure};
use crate::Result;
use crate::filters::until;

const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

impl Images {
    pub(super) fn run_prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.only(&FILTERS)?;
        let only_dangling = filters.flag("dangling")?.unwrap_or(true);
        let until = until(filters)?;
        let goes = |image: &Image| {
            (!only_dangling || is_dangling(image))
                && until.is_none_or(|until| image.created < until)
                && has_labels(filters, image)
                && self.room.around.users(&image.id).is_empty()
        };
        let before = self.disk()?;
        let mut removed = Vec::new();
        for image in self.room.store.images().list() {
            if goes(&image) {
                self.prune_one(&image, &mut removed);
            }
        }
        self.room.store.collect().map_err(|error| failure::of_store(&error))?;
        let reclaimed = before.saturating_sub(self.disk()?);
        self.room.around.tell("prune", "", [("reclaimed".to_owned(), reclaimed.to_string())].into());
        Ok(Pruned { removed, reclaimed })
    }

    /// Removes an image that no container uses, with its names. Its layers go with the next collection.
    pub(crate) async fn evict(&self, id: &hako_model::digest::Digest) -> Result<()> {
        let id = id.clone();
        self.blocking(move |images| {
            let image = images.room.store.images().get(&id).map_err(|error| failure::of_store(&error))?;
            images.prune_one(&image, &mut Vec::new());
            Ok(())
        })
        .await
    }

    /// What cannot go stays; a prune does not fail for it.
    fn prune_one(&self, image: &Image, removed: &mut Vec<Removed>) {
        let names = image.tags.iter().chain(&image.digests);
        for name in names {
            if let Ok(gone) = self.run_remove(name, false, true) {
                removed.extend(gone);
            }
        }
        let nameless = image.tags.is_empty() && image.digests.is_empty();
        if nameless {
            match self.run_remove(image.id.as_str(), false, true) {
                Ok(gone) => removed.extend(gone),
                Err(error) => tracing::debug!(image = %image.id, %error, "image is not pruned"),
            }
        }
    }

    /// Bytes that images take on disk.
    fn disk(&self) -> Result<u64> {
        let usage = self.room.store.usage().map_err(|error| failure::of_store(&error))?;
        Ok(usage.layers + usage.blobs + usage.ingest)
    }
}
