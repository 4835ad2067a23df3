//! Removing images, and with them what nobody else needs.

use hako_model::digest::Digest;

use super::{Deleted, ImageEntry, Images};
use crate::index::Index;
use crate::{Error, Result, Store};

impl Images {
    /// Removes an image with all its references, and every layer and blob nobody else needs or pins. With `prune_parents`
    /// untagged parents without other children go too. Whether it may be removed is the caller's decision.
    pub fn delete(&self, id: &Digest, prune_parents: bool) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        {
            let mut index = self.shared.index();
            let mut next = Some(id.clone());
            while let Some(id) = next.take() {
                let parent = self.delete_one(&mut index, &id, &mut deleted)?;
                next = parent.filter(|parent| prune_parents && is_loose(&index, parent));
            }
        }
        let collected = Store { shared: self.shared.clone() }.collect_unneeded()?;
        (deleted.layers, deleted.reclaimed) = (collected.layers, collected.reclaimed);
        Ok(deleted)
    }

    fn delete_one(&self, index: &mut Index, id: &Digest, deleted: &mut Deleted) -> Result<Option<Digest>> {
        let entry = index.images.get(id).cloned().ok_or_else(|| Error::not_found("image", id.as_str()))?;
        let pointing = index.references.values().filter(|record| record.image == *id);
        for reference in pointing.map(|record| record.reference.clone()).collect::<Vec<_>>() {
            self.untag_in(index, &reference)?;
            deleted.untagged.push(reference);
        }
        ImageEntry::remove(&self.shared, id)?;
        index.images.remove(id);
        deleted.images.push(id.clone());
        Ok(entry.parent.clone())
    }
}

/// Whether an image is there only for the sake of images made from it, and none is left.
fn is_loose(index: &Index, id: &Digest) -> bool {
    index.images.contains_key(id)
        && !index.references.values().any(|record| record.image == *id)
        && !index.images.values().any(|image| image.parent.as_ref() == Some(id))
}
