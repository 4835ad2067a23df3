//! From what a person types to an image: a reference, an id, or the beginning of one.

use hako_model::digest::Digest;
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::Image;

use super::{Images, failure, hello};
use crate::{Error, Result};

impl Images {
    /// The image a text means; Docker's error when there is none.
    pub(super) fn resolve(&self, text: &str, platform: &str) -> Result<Image> {
        let image = self.lookup(text)?;
        if platform.is_empty() {
            return Ok(image);
        }
        let wanted = Platform::parse(platform)?;
        let offered = image.config.platform();
        if wanted.accepts(&offered) {
            return Ok(image);
        }
        if let Some(other) = self.member_for(&image, &wanted) {
            return Ok(other);
        }
        Err(Error::not_found(format!(
            "image with reference {text} was found but its platform ({offered}) does not match the specified platform ({wanted})"
        )))
    }

    fn lookup(&self, text: &str) -> Result<Image> {
        let images = self.room.store.images();
        if let Some(id) = whole_id(text) {
            return images.get(&id).map_err(|_| no_such(text));
        }
        let reference = Reference::parse_tagged(text)?;
        if let Ok(image) = images.by_reference(&key(&reference)) {
            return Ok(image);
        }
        if is_prefix(text) {
            return images.by_prefix(text).map_err(|error| match error {
                hako_store::Error::Ambiguous { .. } => failure::of_store(&error),
                _ => no_such(&reference.familiar()),
            });
        }
        Err(no_such(&reference.familiar()))
    }

    /// As [`Images::resolve`]; `hello` is made when it is not there.
    pub(super) fn resolve_or_hello(&self, text: &str, platform: &str) -> Result<Image> {
        match self.resolve(text, platform) {
            Err(Error::NotFound { .. }) if hello::is_meant(text, platform) => hello::make(&self.room.store),
            found => found,
        }
    }
}

pub(super) fn no_such(text: &str) -> Error {
    Error::not_found(format!("No such image: {text}"))
}

/// What the store calls a reference; a digest leaves the tag without meaning.
pub(super) fn key(reference: &Reference) -> String {
    if reference.digest().is_some() { reference.clone().without_tag().to_string() } else { reference.to_string() }
}

/// A familiar form of a reference in the store.
pub(super) fn familiar(stored: &str) -> String {
    Reference::parse(stored).map_or_else(|_| stored.to_owned(), |reference| reference.familiar())
}

/// The id a text spells in full, with or without its algorithm.
fn whole_id(text: &str) -> Option<Digest> {
    Digest::parse(text).or_else(|_| Digest::from_sha256_hex(text)).ok()
}

fn is_prefix(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && hex.len() < 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text is an image's id or its beginning, and not a name.
pub(super) fn is_id_of(id: &Digest, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && id.hex().starts_with(hex)
}

/// The reference a repository and a tag (or digest) parameter mean together.
pub(super) fn join(repository: &str, tag: &str) -> Result<Reference> {
    let reference = Reference::parse(repository)?;
    if tag.is_empty() {
        return Ok(reference);
    }
    match Digest::parse(tag) {
        Ok(digest) => Ok(reference.repository().with_digest(digest)),
        Err(_) => Ok(reference.with_tag(tag)?),
    }
}

/// The name a new image gets: none, or a reference with a tag.
pub(super) fn new_name(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference = join(repository, tag)?;
    if reference.digest().is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    Ok(Some(reference.or_latest()))
}
