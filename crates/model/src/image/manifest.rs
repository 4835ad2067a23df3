//! Descriptors, manifests and indexes, and the one door through which untrusted ones come in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DOCUMENT_LIMIT, INDEX_LIMIT, LAYER_LIMIT, media, nullable};
use crate::digest::Digest;
use crate::platform::Platform;

/// A pointer to content: its type, digest and size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content.
    #[serde(default, deserialize_with = "nullable")]
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// Where else the content may be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub urls: Vec<String>,
    /// Free-form metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: the platform the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// A plain descriptor.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            extra: Map::new(),
        }
    }
}

impl Default for Descriptor {
    /// The descriptor of nothing: no bytes, and the digest of no bytes.
    fn default() -> Self {
        const EMPTY: [u8; 32] = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
            0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ];
        Self::new("", Digest::from_sha256(EMPTY), 0)
    }
}

/// An image manifest, OCI's or Docker's schema 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own type; optional in OCI.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub media_type: String,
    /// The configuration, whose digest is the image's id.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
    /// Free-form metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Manifest {
    /// A manifest of this type over these contents.
    pub fn new(media_type: &str, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let annotations = BTreeMap::new();
        Self { schema_version: 2, media_type: media_type.to_owned(), config, layers, annotations, extra: Map::new() }
    }

    /// Whether the configuration is an image's; other artifacts (charts, signatures) cannot be run.
    pub fn is_image(&self) -> bool {
        let declared = &self.config.media_type;
        declared.is_empty() || media::is_config(declared) || declared == "application/octet-stream"
    }
}

/// An OCI index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own type; optional in OCI.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub media_type: String,
    /// Manifests and further indexes.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
    /// Free-form metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Index {
    /// An index of this type over these manifests.
    pub fn new(media_type: &str, manifests: Vec<Descriptor>) -> Self {
        let annotations = BTreeMap::new();
        Self { schema_version: 2, media_type: media_type.to_owned(), manifests, annotations, extra: Map::new() }
    }
}

/// What a tag can point to.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one at a time exists, and only for a moment")]
pub enum ManifestOrIndex {
    /// One image.
    Manifest(Manifest),
    /// Several, one per platform.
    Index(Index),
}

/// A document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse manifest: {reason}")]
pub struct InvalidManifest {
    /// What is wrong with it.
    pub reason: String,
}

impl ManifestOrIndex {
    /// Parses an untrusted document. `declared` is the type the sender gave it (empty: unknown). Documents that are
    /// both, whose own type contradicts the declared one, or that exceed the limits are refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8], declared: &str) -> Result<Self, InvalidManifest> {
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(refused(format!("{} bytes exceed the limit of {DOCUMENT_LIMIT}", bytes.len())));
        }
        let shape: Shape = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        match shape.kind(declared)? {
            Kind::Index => Self::parse_index(bytes),
            Kind::Manifest => Self::parse_manifest(bytes),
        }
    }

    fn parse_index(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let index: Index = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if index.manifests.len() > INDEX_LIMIT {
            return Err(refused(format!("{} manifests exceed the limit of {INDEX_LIMIT}", index.manifests.len())));
        }
        Ok(Self::Index(index))
    }

    fn parse_manifest(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if manifest.layers.len() > LAYER_LIMIT {
            return Err(refused(format!("{} layers exceed the limit of {LAYER_LIMIT}", manifest.layers.len())));
        }
        if manifest.config.size > DOCUMENT_LIMIT {
            return Err(refused(format!("a configuration of {} bytes exceeds the limit", manifest.config.size)));
        }
        Ok(Self::Manifest(manifest))
    }
}

fn refused(reason: impl Into<String>) -> InvalidManifest {
    InvalidManifest { reason: reason.into() }
}

enum Kind {
    Manifest,
    Index,
}

/// Which of the telling fields a document has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: Value,
    #[serde(default, deserialize_with = "nullable")]
    media_type: String,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Shape {
    fn kind(&self, declared: &str) -> Result<Kind, InvalidManifest> {
        if self.fs_layers.is_some() || self.schema_version == 1 {
            return Err(refused("Docker schema 1 is not supported; push the image again with a current client"));
        }
        if self.schema_version != 2 {
            return Err(refused("schemaVersion is not 2"));
        }
        let manifest = self.config.is_some() || self.layers.is_some();
        let kind = match (manifest, self.manifests.is_some()) {
            (true, true) => return Err(refused("both a manifest and an index")),
            (false, false) => return Err(refused("neither a manifest nor an index")),
            (true, false) => Kind::Manifest,
            (false, true) => Kind::Index,
        };
        for named in [self.media_type.as_str(), declared] {
            kind.agree(named)?;
        }
        Ok(kind)
    }
}

impl Kind {
    fn agree(&self, named: &str) -> Result<(), InvalidManifest> {
        let clash = match self {
            Self::Manifest => media::is_index(named),
            Self::Index => media::is_manifest(named),
        };
        if clash { Err(refused(format!("the content contradicts its media type {named}"))) } else { Ok(()) }
    }
}
