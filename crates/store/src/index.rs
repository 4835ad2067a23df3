//! What the store knows while it is open: layers, images, references, and what holds off collection. One lock, never held
//! across slow work.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hako_model::digest::Digest;

use crate::images::{ImageEntry, ReferenceRecord};
use crate::layers::Layer;
use crate::{ChainId, Error, Result};

/// The index itself.
#[derive(Default)]
pub(crate) struct Index {
    /// Layers in place.
    pub(crate) layers: HashMap<ChainId, Arc<Layer>>,
    /// Images by id.
    pub(crate) images: HashMap<Digest, Arc<ImageEntry>>,
    /// References and the image each points to.
    pub(crate) references: BTreeMap<String, ReferenceRecord>,
    /// How many pins each layer has.
    pub(crate) pins: HashMap<ChainId, usize>,
    /// Blobs and layers used since the oldest hold began.
    pub(crate) recent: HashSet<Digest>,
    /// How many holds there are.
    pub(crate) holds: usize,
    /// Whether some operation failed half-way, so that the end of the last hold collects.
    pub(crate) untidy: bool,
}

impl Index {
    /// Notes that an operation under way relies on a blob or layer.
    pub(crate) fn touch(&mut self, digest: &Digest) {
        if self.holds > 0 {
            self.recent.insert(digest.clone());
        }
    }

    /// The layer and all below it, topmost first.
    pub(crate) fn chain(&self, top: &ChainId) -> Result<Vec<Arc<Layer>>> {
        let mut chain = Vec::new();
        let mut next = Some(top.clone());
        while let Some(id) = next {
            let layer = self.layers.get(&id).ok_or_else(|| Error::not_found("layer", id.as_str()))?;
            next = layer.parent.clone();
            chain.push(layer.clone());
        }
        Ok(chain)
    }

    /// Layers that must stay.
    pub(crate) fn needed_layers(&self) -> HashSet<ChainId> {
        let mut needed: HashSet<ChainId> =
            self.images.values().flat_map(|image| image.layers.iter().cloned()).collect();
        let tops: Vec<ChainId> = self.pins.keys().chain(&self.recent).chain(needed.iter()).cloned().collect();
        for top in tops {
            let mut next = Some(top);
            while let Some(id) = next {
                next = self.layers.get(&id).and_then(|layer| layer.parent.clone());
                needed.insert(id);
            }
        }
        needed
    }

    /// Blobs that must stay, given the layers that stay.
    pub(crate) fn needed_blobs(&self, layers: &HashSet<ChainId>) -> HashSet<Digest> {
        let mut needed: HashSet<Digest> = self.recent.clone();
        for image in self.images.values() {
            needed.insert(image.id.clone());
            needed.extend(image.manifest.iter().map(|manifest| manifest.digest.clone()));
        }
        for bundle in self.references.values().filter_map(|record| record.bundle.as_ref()) {
            needed.insert(bundle.index.digest.clone());
            needed.extend(bundle.blobs.iter().cloned());
        }
        let kept = layers.iter().filter_map(|id| self.layers.get(id));
        needed.extend(kept.flat_map(|layer| layer.blobs.iter().map(|blob| blob.digest.clone())));
        needed
    }
}
