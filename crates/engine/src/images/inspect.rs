//! What is known about one image; its history; its names.

use std::collections::HashMap;

use hako_model::digest::Digest;
use hako_model::time::Timestamp;
use hako_store::Image;

use super::answer::{Details, HistoryEntry};
use super::list::signed;
use super::resolve::{familiar, key, new_name};
use super::{Images, failure};
use crate::{Error, Result};

impl Images {
    pub(super) fn run_inspect(&self, name: &str, platform: &str) -> Result<Details> {
        let image = self.resolve(name, platform)?;
        let lower_dirs = self.room.store.images().lowers(&image.id).map_err(|error| failure::of_store(&error))?;
        Ok(Details {
            repo_tags: image.tags.iter().map(|stored| familiar(stored)).collect(),
            repo_digests: image.digests.iter().map(|stored| familiar(stored)).collect(),
            parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            size: signed(image.size),
            config: (*image.config).clone(),
            descriptor: match &image.bundle {
                Some(bundle) if platform.is_empty() => Some(bundle.index.clone()),
                _ => image.manifest.clone(),
            },
            manifests: self.parts(&image),
            lower_dirs,
            last_tag_time: image.tagged,
            id: image.id,
        })
    }

    pub(super) fn run_history(&self, name: &str, platform: &str) -> Result<Vec<HistoryEntry>> {
        let image = self.resolve(name, platform)?;
        let layers = self.room.store.layers();
        let sizes: Vec<u64> = image.layers.iter().map(|id| layers.get(id).map_or(0, |layer| layer.size)).collect();
        let mut entries = entries(&image, &sizes)?;
        entries.reverse();
        self.label(&mut entries, &image);
        Ok(entries)
    }

    /// Gives the newest step the image's id and tags, and the steps below those of the images it was made from.
    fn label(&self, entries: &mut [HistoryEntry], image: &Image) {
        let images = self.room.store.images();
        let by_id: HashMap<Digest, Image> = images.list().into_iter().map(|image| (image.id.clone(), image)).collect();
        let mut at = Some(image);
        for entry in entries {
            let Some(image) = at else { break };
            entry.id = image.id.to_string();
            entry.tags = image.tags.iter().map(|stored| familiar(stored)).collect();
            at = image.parent.as_ref().and_then(|parent| by_id.get(parent));
        }
    }

    pub(super) fn run_tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let reference = new_name(repository, tag)?.ok_or_else(|| Error::invalid("invalid reference format"))?;
        let image = self.resolve(name, "")?;
        let (images, bundle) = (self.room.store.images(), image.bundle.clone());
        images.tag_bundle(&key(&reference), &image.id, bundle).map_err(|error| failure::of_store(&error))?;
        self.room.tell("tag", image.id.as_str(), &reference.familiar(), Some(&image));
        Ok(())
    }
}

/// The steps, oldest first. Steps that made a layer take the layers' sizes in turn.
fn entries(image: &Image, sizes: &[u64]) -> Result<Vec<HistoryEntry>> {
    let mut sizes = sizes.iter();
    let mut entries = Vec::new();
    for step in &image.config.history {
        let size = if step.empty_layer {
            0
        } else {
            *sizes.next().ok_or_else(|| Error::system("too many non-empty layers in History section"))?
        };
        entries.push(HistoryEntry {
            id: "<missing>".to_owned(),
            created: moment(step.created.as_deref()),
            created_by: step.created_by.clone(),
            tags: Vec::new(),
            size: signed(size),
            comment: step.comment.clone(),
        });
    }
    Ok(entries)
}

fn moment(text: Option<&str>) -> Timestamp {
    text.and_then(|text| Timestamp::parse(text).ok()).unwrap_or_default()
}
