//! Records of images and references on disk: one file each, replaced by rename.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, ImageConfig, media};
use hako_model::time::Timestamp;
use hako_sys::file::Durability;
use serde::{Deserialize, Serialize};

use crate::store::Shared;
use crate::{Blobs, ChainId, Error, Hasher, Result};

/// What the index holds of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImageEntry {
    pub(crate) id: Digest,
    #[serde(default)]
    pub(crate) manifest: Option<Descriptor>,
    pub(crate) layers: Vec<ChainId>,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) parent: Option<Digest>,
    #[serde(skip)]
    pub(crate) config: Arc<ImageConfig>,
    #[serde(skip)]
    pub(crate) damage: Option<String>,
}

/// Where a reference points.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReferenceRecord {
    pub(crate) reference: String,
    pub(crate) image: Digest,
    #[serde(default)]
    pub(crate) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bundle: Option<Bundle>,
}

/// What a reference leads to besides its image: an index as registries have it, of images for several platforms, or with
/// what is attested of them. Where only the manifest is of its own, as it is annotated, that takes the index's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The index; or the manifest.
    pub index: Descriptor,
    /// The images in it, in its order.
    pub images: Vec<Digest>,
    /// Blobs of it that nothing else keeps: manifests, configurations and statements of attestations.
    pub blobs: Vec<Digest>,
}

impl Bundle {
    /// The manifest that the reference leads to, and not the image's own, if there is such a one.
    #[must_use]
    pub fn manifest(&self) -> Option<&Descriptor> {
        Some(&self.index).filter(|descriptor| media::is_manifest(&descriptor.media_type))
    }
}

/// The longest file name made of a reference's own text.
const NAME_LIMIT: usize = 240;

impl ImageEntry {
    pub(super) fn path(shared: &Shared, id: &Digest) -> PathBuf {
        shared.path("images/records").join(format!("{}.json", id.hex()))
    }

    pub(super) fn write(&self, shared: &Shared) -> Result<()> {
        write(&Self::path(shared, &self.id), self)
    }

    pub(super) fn remove(shared: &Shared, id: &Digest) -> Result<()> {
        remove(&Self::path(shared, id))
    }

    /// The entry of an image whose record says nothing any more.
    fn damaged(id: Digest, reason: String) -> Self {
        Self {
            id,
            manifest: None,
            layers: Vec::new(),
            size: 0,
            parent: None,
            config: Arc::default(),
            damage: Some(reason),
        }
    }

    fn read(shared: &Arc<Shared>, path: &std::path::Path, id: Digest) -> Self {
        let parsed = std::fs::read(path).map_err(|error| error.to_string());
        let parsed = parsed.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).map_err(|error| error.to_string()));
        let mut entry = match parsed {
            Ok(entry) if entry.id == id => entry,
            Ok(_) => return Self::damaged(id, format!("read record {}: it tells of another image", path.display())),
            Err(reason) => return Self::damaged(id, format!("read record {}: {reason}", path.display())),
        };
        match read_config(shared, &entry.id) {
            Ok(config) => entry.config = Arc::new(config),
            Err(reason) => entry.damage = Some(reason),
        }
        entry
    }
}

fn read_config(shared: &Arc<Shared>, id: &Digest) -> Result<ImageConfig, String> {
    let bytes = Blobs { shared: shared.clone() }.read(id, DOCUMENT_LIMIT).map_err(|error| error.to_string())?;
    if Hasher::digest(&bytes) != *id {
        return Err(format!("read configuration {id}: its content has another digest"));
    }
    ImageConfig::parse(&bytes).map_err(|error| error.to_string())
}

impl ReferenceRecord {
    /// The reference's own text as a file name where it fits, so that a person finds it.
    fn path(shared: &Shared, reference: &str) -> PathBuf {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let mut name = String::new();
        for byte in reference.bytes() {
            match plain(byte) {
                true => name.push(char::from(byte)),
                false => name.push_str(&format!("%{byte:02X}")),
            }
        }
        if name.len() > NAME_LIMIT {
            name = Hasher::digest(reference.as_bytes()).hex().to_owned();
        }
        shared.path("images/references").join(name + ".json")
    }

    pub(super) fn write(&self, shared: &Shared) -> Result<()> {
        write(&Self::path(shared, &self.reference), self)?;
        self.touch(shared);
        Ok(())
    }

    /// Whether another one leads to the same.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        self.image == other.image && self.bundle == other.bundle
    }

    /// Notes the time, which the file's own says too: so it can be told anew without writing the rest again.
    pub(super) fn touch(&self, shared: &Shared) {
        let file = File::options().write(true).open(Self::path(shared, &self.reference));
        // Only when it is said to have been tagged hangs on it.
        let _ = file.and_then(|file| file.set_modified(self.time.into()));
    }

    /// What a file says.
    fn read(path: &std::path::Path) -> Option<Self> {
        let mut record: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let written = std::fs::metadata(path).and_then(|file| file.modified()).ok().map(Timestamp::from);
        record.time = record.time.max(written.unwrap_or_default());
        Some(record)
    }

    pub(super) fn remove(shared: &Shared, reference: &str) -> Result<()> {
        remove(&Self::path(shared, reference))
    }
}

fn write(path: &std::path::Path, record: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|error| Error::malformed("record", error.to_string()))?;
    Ok(hako_sys::file::write_atomic(path, &bytes, Durability::Power)?)
}

/// Removal is a promise too.
fn remove(path: &std::path::Path) -> Result<()> {
    hako_sys::file::remove_if_present(path)?;
    let parent = path.parent().unwrap_or(path);
    let directory = File::open(parent).map_err(Error::at("open", parent))?;
    directory.sync_all().map_err(Error::at("sync", parent))
}

/// All images with a record, damaged ones included.
pub(super) fn read_images(shared: &Arc<Shared>) -> Result<Vec<ImageEntry>> {
    let files = list(shared.path("images/records"))?;
    let named = files.into_iter().filter_map(|path| {
        let id = Digest::from_sha256_hex(path.file_stem()?.to_str()?).ok()?;
        Some((path, id))
    });
    Ok(named.map(|(path, id)| ImageEntry::read(shared, &path, id)).collect())
}

/// All readable references; of a damaged one nothing is left but its name, and tagging writes it anew.
pub(super) fn read_references(shared: &Shared) -> Result<Vec<ReferenceRecord>> {
    let files = list(shared.path("images/references"))?;
    Ok(files.iter().filter_map(|path| ReferenceRecord::read(path)).collect())
}

/// The records in a directory; unfinished writes are swept.
fn list(place: PathBuf) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&place).map_err(Error::at("list", &place))? {
        let path = entry.map_err(Error::at("list", &place))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        } else {
            hako_sys::file::remove_if_present(&path)?;
        }
    }
    Ok(paths)
}
