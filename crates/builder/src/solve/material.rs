//! What a build took from elsewhere, for those who want to know later.

use hako_model::platform::Platform;
use hako_model::reference::{DEFAULT_TAG, Reference};
use hako_store::Image;

use super::Build;

/// Something a build took from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    /// Where it is from: an address, or an image as a package address.
    pub uri: String,
    /// How it was hashed: `sha256`, or `sha1` for commits.
    pub algorithm: String,
    /// Its hash.
    pub hash: String,
}

impl Build<'_> {
    pub(super) fn took(&self, material: Material) {
        self.materials.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(material);
    }

    /// Takes note of a base image: by the digest its registry knows it by, its manifest's, or its own.
    pub(super) fn took_image(&self, name: &str, image: &Image, platform: &Platform) {
        let Ok(reference) = Reference::parse_tagged(name) else { return };
        let repository = reference.repository();
        let known = image.digests.iter().filter_map(|text| Reference::parse(text).ok());
        let known = known.filter(|other| other.repository() == repository).find_map(|other| other.digest().cloned());
        let digest =
            reference.digest().cloned().or(known).or_else(|| image.manifest.as_ref().map(|it| it.digest.clone()));
        let digest = digest.unwrap_or_else(|| image.id.clone());
        let version = reference.tag().unwrap_or_else(|| reference.digest().map_or(DEFAULT_TAG, |it| it.as_str()));
        let platform = platform.to_string().replace('/', "%2F");
        self.took(Material {
            uri: format!("pkg:docker/{}@{version}?platform={platform}", reference.familiar_name()),
            algorithm: digest.algorithm().name().to_owned(),
            hash: digest.hex().to_owned(),
        });
    }
}
