//! Images as registries and archives write them: OCI and Docker schema 2 manifests, indexes and configurations.
//! Unknown fields are kept. Leaves out bytes: an image's identity is the digest of the text, so whoever needs that keeps
//! the text itself.

mod config;
mod manifest;
pub mod media;

pub use config::{History, ImageConfig, RootFs, RunConfig};
pub use manifest::{Descriptor, Index, InvalidManifest, Manifest, ManifestOrIndex};

use serde::{Deserialize, Deserializer};

/// The most bytes a manifest, an index or a configuration may have.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;
/// The most layers an image may have.
pub const LAYER_LIMIT: usize = 512;
/// The most manifests an index may list.
pub const INDEX_LIMIT: usize = 1024;
/// The most indexes that may lie inside one another.
pub const INDEX_DEPTH: usize = 4;

/// A value for which `null` means the default: Go writes empty lists and maps that way.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
