//! Removing images by Docker's rules: a name goes first, the image with its last name; force breaks what can be broken.

use hako_model::digest::Digest;
use hako_model::reference::Reference;
use hako_store::Image;

use super::answer::Removed;
use super::resolve::{familiar, is_id_of, key};
use super::{Images, failure};
use crate::{Error, Result};

/// Why an image cannot go, and whether force would help.
struct Conflict {
    hard: bool,
    reason: String,
}

/// Which conflicts count.
#[derive(Clone, Copy)]
struct Strictness {
    /// Those that force breaks: stopped containers.
    soft: bool,
    /// Names in several repositories.
    names: bool,
}

impl Images {
    pub(super) fn run_remove(&self, text: &str, force: bool, prune: bool) -> Result<Vec<Removed>> {
        let image = self.resolve(text, "")?;
        let mut removed = Vec::new();
        let kin = self.room.store.images().kin(&image.id);
        self.remove_one(&image, text, force, prune, &mut removed)?;
        for id in kin {
            self.delete_kin(&id, &mut removed)?;
        }
        Ok(removed)
    }

    fn remove_one(
        &self,
        image: &Image,
        text: &str,
        force: bool,
        prune: bool,
        removed: &mut Vec<Removed>,
    ) -> Result<()> {
        let by_name = !is_id_of(&image.id, text);
        if by_name {
            self.untag_one(image, text, force, removed)?;
            if !names(&self.refreshed(&image.id)?).is_empty() {
                return Ok(());
            }
        } else if is_single(image) {
            self.check(image, Strictness { soft: !force, names: false })?;
            self.untag_all(image, removed)?;
        }
        self.delete(&image.id, force, prune, by_name, removed)
    }

    /// An image that stood in an index of one that lost a name goes along when nothing else holds it.
    fn delete_kin(&self, id: &Digest, removed: &mut Vec<Removed>) -> Result<()> {
        let Ok(image) = self.refreshed(id) else { return Ok(()) };
        let strict = Strictness { soft: true, names: true };
        if image.member || !names(&image).is_empty() || self.check(&image, strict).is_err() {
            return Ok(());
        }
        self.delete(id, false, true, true, removed)
    }

    fn refreshed(&self, id: &Digest) -> Result<Image> {
        self.room.store.images().get(id).map_err(|error| failure::of_store(&error))
    }

    /// Takes away the name given. The last name of an image in use stays, unless forced.
    fn untag_one(&self, image: &Image, text: &str, force: bool, removed: &mut Vec<Removed>) -> Result<()> {
        if !force
            && is_single(image)
            && let Some(user) = self.room.around.users(&image.id).first()
        {
            return Err(Error::conflict(format!(
                "conflict: unable to remove repository reference {text:?} (must force) - container {} is using its referenced image {}",
                short(&user.container),
                image.id.short()
            )));
        }
        let reference = Reference::parse_tagged(text)?;
        self.untag(image, &key(&reference), removed)?;
        if reference.digest().is_some() {
            return Ok(());
        }
        let left = self.refreshed(&image.id)?;
        let repository = reference.repository();
        let same = |stored: &&String| Reference::parse(stored).is_ok_and(|other| other.repository() == repository);
        if left.tags.iter().any(|stored| same(&stored)) {
            return Ok(());
        }
        // Digests of a repository without a tag are of no use to anybody.
        left.digests.iter().filter(same).try_for_each(|stored| self.untag(image, stored, removed))
    }

    fn untag(&self, image: &Image, stored: &str, removed: &mut Vec<Removed>) -> Result<()> {
        self.room.store.images().untag(stored).map_err(|error| failure::of_store(&error))?;
        removed.push(Removed::Untagged(familiar(stored)));
        self.room.tell("untag", image.id.as_str(), image.id.as_str(), Some(image));
        Ok(())
    }

    fn untag_all(&self, image: &Image, removed: &mut Vec<Removed>) -> Result<()> {
        names(image).into_iter().try_for_each(|stored| self.untag(image, stored, removed))
    }

    /// Deletes an image, and untagged parents. `quiet`: what forbids it is no error as long as a name went.
    fn delete(&self, id: &Digest, force: bool, prune: bool, quiet: bool, removed: &mut Vec<Removed>) -> Result<()> {
        let image = self.refreshed(id)?;
        if let Err(conflict) = self.check(&image, Strictness { soft: !force, names: !force }) {
            let used = !self.room.around.users(id).is_empty();
            let parent = !self.room.store.images().children(id).is_empty();
            return if quiet && (!names(&image).is_empty() || parent || used) { Ok(()) } else { Err(conflict) };
        }
        self.untag_all(&image, removed)?;
        let deleted = self.room.store.images().delete(id, false).map_err(|error| failure::of_store(&error))?;
        self.room.tell("delete", id.as_str(), id.as_str(), None);
        removed.push(Removed::Deleted(id.to_string()));
        removed.extend(deleted.layers.iter().map(|layer| Removed::Deleted(layer.to_string())));
        match image.parent.filter(|_| prune) {
            Some(parent) => self.delete_parent(&parent, removed),
            None => Ok(()),
        }
    }

    /// A parent goes along when nothing names or uses it; that it cannot is no error.
    fn delete_parent(&self, id: &Digest, removed: &mut Vec<Removed>) -> Result<()> {
        let Ok(parent) = self.refreshed(id) else { return Ok(()) };
        let strict = Strictness { soft: true, names: true };
        if !names(&parent).is_empty() || self.check(&parent, strict).is_err() {
            return Ok(());
        }
        self.delete(id, false, true, true, removed)
    }

    fn check(&self, image: &Image, strictness: Strictness) -> Result<()> {
        let Some(conflict) = self.conflict(image, strictness) else { return Ok(()) };
        let force = if conflict.hard { "cannot be forced" } else { "must be forced" };
        let text = format!("conflict: unable to delete {} ({force}) - {}", image.id.short(), conflict.reason);
        Err(Error::conflict(text))
    }

    fn conflict(&self, image: &Image, strictness: Strictness) -> Option<Conflict> {
        let users = self.room.around.users(&image.id);
        let used =
            |kind: &str, container: &str| format!("image is being used by {kind} container {}", short(container));
        if let Some(user) = users.iter().find(|user| user.running) {
            return Some(Conflict { hard: true, reason: used("running", &user.container) });
        }
        if image.member {
            let reason = "it belongs to an image for several platforms: remove that by its name".to_owned();
            return Some(Conflict { hard: true, reason });
        }
        if !self.room.store.images().children(&image.id).is_empty() {
            return Some(Conflict { hard: true, reason: "image has dependent child images".to_owned() });
        }
        if strictness.names && !names(image).is_empty() {
            return Some(Conflict { hard: false, reason: "image is referenced in multiple repositories".to_owned() });
        }
        let user = users.first().filter(|_| strictness.soft)?;
        Some(Conflict { hard: false, reason: used("stopped", &user.container) })
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn names(image: &Image) -> Vec<&String> {
    image.tags.iter().chain(&image.digests).collect()
}

/// Whether an image has at most one tag and all its names are of one repository: then its id means its name too.
fn is_single(image: &Image) -> bool {
    if image.tags.len() + image.digests.len() <= 1 {
        return true;
    }
    let repository = |stored: &String| Reference::parse(stored).map(|reference| reference.name()).unwrap_or_default();
    let mut repositories: Vec<String> = image.digests.iter().chain(&image.tags).map(repository).collect();
    repositories.dedup();
    image.tags.len() <= 1 && repositories.len() == 1
}
