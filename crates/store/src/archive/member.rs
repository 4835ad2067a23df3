//! What the members of an archive are, told by name and first bytes, and what is kept of each.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};

use hako_model::digest::Digest;
use hako_model::image::media::Compression;
use hako_model::image::{DOCUMENT_LIMIT, Descriptor};

use super::{Load, Progress};
use crate::extract::components;
use crate::layers::chain_id;
use crate::tar::{Entry, Kind, Reader};
use crate::{ChainId, Draft, Error, Hasher, Layer, Result, Staged, Store, Unpack};

/// The most bytes of documents and links kept in memory.
const DOCUMENTS: u64 = 64 << 20;
/// The most members of an archive.
const MEMBERS: usize = 100_000;

/// A layer that came by.
pub(super) enum Held {
    /// Unpacked now; holds the compressed blob that was kept too.
    Staged(Box<Staged>, Option<Box<Descriptor>>),
    /// The store has one with this content already, so the archive's was not unpacked.
    Known(Layer),
    /// Given its place.
    Placed(Layer),
}

/// Everything an archive brought.
#[derive(Default)]
pub(super) struct Members {
    pub(super) documents: HashMap<String, Vec<u8>>,
    pub(super) layers: HashMap<String, Held>,
    links: HashMap<String, String>,
    bytes: u64,
    count: usize,
}

/// A layer that is to be unpacked.
pub(super) struct Met {
    /// The member's name.
    pub(super) name: String,
    /// The bytes of it that were read to see what it is.
    pub(super) start: Vec<u8>,
    /// All its bytes.
    pub(super) size: u64,
    promised: Option<Digest>,
}

impl Met {
    /// Unpacks it; `content` is all its bytes.
    pub(super) fn unpack(
        &self,
        store: &Store,
        content: impl Read + Send,
        options: &Load,
        progress: &mut (dyn Progress + Send),
    ) -> Result<Held> {
        let id = self.promised.as_ref().map_or(self.name.as_str(), Digest::short).to_owned();
        let mut draft = match Compression::detect(&self.start) {
            Compression::None => None,
            _ => Some(store.blobs().draft()?),
        };
        let content = Content { content, keep: draft.as_mut(), progress, id: &id, done: 0, total: self.size };
        let unpack = Unpack {
            diff_id: None,
            skeleton: content.keep.is_none(),
            limits: options.limits.clone(),
            ..Unpack::default()
        };
        let staged = store.layers().unpack(content, &unpack)?;
        keep(&self.name, self.promised.clone(), staged, draft)
    }
}

/// A member's content with a progress report.
struct Content<'a, R> {
    content: R,
    keep: Option<&'a mut Draft>,
    progress: &'a mut (dyn Progress + Send),
    id: &'a str,
    done: u64,
    total: u64,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.progress.is_wanted() {
            return Err(io::Error::other("the work was given up"));
        }
        let count = self.content.read(buffer)?;
        if let Some(keep) = &mut self.keep {
            keep.write_all(&buffer[..count])?;
        }
        self.done += count as u64;
        self.progress.layer(self.id, self.done, self.total);
        Ok(count)
    }
}

impl Members {
    /// Takes one member in. A layer that is not known is left to the caller, its content behind the first bytes unread.
    pub(super) fn take<R: BufRead>(
        &mut self,
        store: &Store,
        reader: &mut Reader<R>,
        entry: &Entry,
    ) -> Result<Option<Met>> {
        self.count += 1;
        if self.count > MEMBERS {
            return Err(Error::limit("archive", format!("it has more than {MEMBERS} members")));
        }
        let name = name_of(&entry.path)?;
        match entry.kind {
            Kind::Directory => Ok(None),
            Kind::Regular if entry.sparse.is_some() => {
                Err(Error::malformed(format!("archive member {name}"), "a sparse file is not expected here"))
            }
            Kind::Regular => self.file(store, reader, entry, name),
            Kind::Symlink | Kind::HardLink => self.link(name, entry).map(|()| None),
            _ => Err(Error::malformed(format!("archive member {name}"), "it is a device or pipe, not a file")),
        }
    }

    /// Old archives name a layer they have already by a link to it.
    fn link(&mut self, name: String, entry: &Entry) -> Result<()> {
        let target = match entry.kind {
            Kind::HardLink => entry.link.clone(),
            _ if entry.link.starts_with(b"/") => return Err(outside(&name)),
            _ => [parent_of(&name).as_bytes(), &entry.link].join(&b'/'),
        };
        let target = name_of(&target).map_err(|_| outside(&name))?;
        self.count_bytes(&name, (name.len() + target.len()) as u64)?;
        self.links.insert(name, target);
        Ok(())
    }

    fn count_bytes(&mut self, name: &str, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        if self.bytes > DOCUMENTS {
            return Err(Error::limit(format!("archive member {name}"), "the archive's documents are too large"));
        }
        Ok(())
    }

    fn file<R: BufRead>(
        &mut self,
        store: &Store,
        reader: &mut Reader<R>,
        entry: &Entry,
        name: String,
    ) -> Result<Option<Met>> {
        let mut start = vec![0; 512];
        let count = read_start(reader, &mut start)?;
        start.truncate(count);
        if !is_layer(&name, &start, entry.size) {
            self.count_bytes(&name, entry.size)?;
            start.extend(reader.read_content(DOCUMENT_LIMIT)?);
            self.documents.insert(name, start);
            return Ok(None);
        }
        let promised = promised(&name);
        if let Some(known) = promised.as_ref().and_then(|digest| known(store, digest)) {
            self.layers.insert(name, Held::Known(known));
            return Ok(None);
        }
        Ok(Some(Met { name, start, size: entry.size, promised }))
    }

    /// The name a member's content is kept under, links followed.
    fn content_name(&self, name: &str) -> String {
        let mut name = name_of(name.as_bytes()).unwrap_or_default();
        for _ in 0..16 {
            match self.links.get(&name) {
                Some(target) => name.clone_from(target),
                None => break,
            }
        }
        name
    }

    /// A document by name.
    pub(super) fn document(&self, name: &str) -> Option<&[u8]> {
        self.documents.get(&self.content_name(name)).map(Vec::as_slice)
    }

    /// Whether the archive has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let name = self.content_name(name);
        self.documents.contains_key(&name) || self.layers.contains_key(&name)
    }

    /// Gives a layer its place above `parent`; one that several images use in different places is made again.
    pub(super) fn place(
        &mut self,
        store: &Store,
        name: &str,
        parent: Option<&ChainId>,
        diff_id: &Digest,
        options: &Load,
    ) -> Result<ChainId> {
        let name = self.content_name(name);
        let wanted = chain_id(parent, diff_id);
        let Some(held) = self.layers.remove(&name) else { return from_store(store, &name, parent, diff_id, options) };
        let (layer, source) = match held {
            Held::Staged(staged, blob) => {
                check_diff_id(&name, staged.diff_id(), diff_id)?;
                let layer = staged.place(parent, blob.map(|blob| *blob))?;
                (layer.clone(), layer)
            }
            Held::Known(known) | Held::Placed(known) => {
                check_diff_id(&name, &known.diff_id, diff_id)?;
                (replicate(store, &known, &wanted, parent, options)?, known)
            }
        };
        self.layers.insert(name, Held::Placed(source));
        Ok(layer.chain_id)
    }
}

fn from_store(
    store: &Store,
    name: &str,
    parent: Option<&ChainId>,
    diff_id: &Digest,
    options: &Load,
) -> Result<ChainId> {
    let wanted = chain_id(parent, diff_id);
    match store.layers().with_diff_id(diff_id) {
        Some(known) => Ok(replicate(store, &known, &wanted, parent, options)?.chain_id),
        None => Err(Error::malformed(format!("archive member {name}"), "the layer is not in the archive")),
    }
}

/// The same content above another parent: a layer of its own, for the directories it implies may differ.
fn replicate(
    store: &Store,
    known: &Layer,
    wanted: &ChainId,
    parent: Option<&ChainId>,
    options: &Load,
) -> Result<Layer> {
    if let Some(layer) = store.layers().get(wanted) {
        return Ok(layer);
    }
    let blob = known.blobs.iter().find(|blob| store.blobs().contains(&blob.digest)).cloned();
    let unpack = Unpack {
        diff_id: Some(known.diff_id.clone()),
        skeleton: blob.is_none(),
        limits: options.limits.clone(),
        ..Unpack::default()
    };
    store.layers().unpack(store.layers().tar(&known.chain_id)?, &unpack)?.place(parent, blob)
}

fn check_diff_id(name: &str, actual: &Digest, expected: &Digest) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    let what = format!("archive member {name}");
    Err(Error::DigestMismatch { what, expected: expected.clone(), actual: actual.clone() })
}

/// A layer the store has, by the digest of its tar or of a blob of it.
fn known(store: &Store, digest: &Digest) -> Option<Layer> {
    let same = |layer: &Layer| layer.blobs.iter().any(|blob| blob.digest == *digest);
    store.layers().with_diff_id(digest).or_else(|| store.layers().list().into_iter().find(same))
}

/// Checks what was unpacked against the digest its name promises.
fn keep(name: &str, promised: Option<Digest>, staged: Staged, draft: Option<Draft>) -> Result<Held> {
    let what = || format!("archive member {name}");
    let compression = staged.compression();
    let Some(draft) = draft else {
        let held = promised.map_or(Ok(()), |promised| check_diff_id(name, staged.diff_id(), &promised));
        return held.map(|()| Held::Staged(Box::new(staged), None));
    };
    let actual = draft.digest();
    if let Some(expected) = promised.filter(|promised| *promised != actual) {
        return Err(Error::DigestMismatch { what: what(), expected, actual });
    }
    let (digest, size) = draft.finish()?;
    let descriptor = Descriptor::new(compression.oci_layer(), digest, size);
    Ok(Held::Staged(Box::new(staged), Some(Box::new(descriptor))))
}

/// The digest a name promises: OCI's `blobs/sha256/HEX`.
pub(super) fn promised(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// Whether a file is a layer: it looks like a tar or a compressed one, or is called one.
fn is_layer(name: &str, start: &[u8], size: u64) -> bool {
    let tar = start.get(257..262) == Some(b"ustar");
    let zeros = start.len() == 512 && start.iter().all(|byte| *byte == 0);
    let named = name.ends_with(".tar") || name.ends_with("/layer.tar");
    tar || named
        || (zeros && size.is_multiple_of(512))
        || Compression::detect(start) != Compression::None
        || size > DOCUMENT_LIMIT
}

fn read_start(reader: &mut impl Read, start: &mut [u8]) -> Result<usize> {
    let mut have = 0;
    while have < start.len() {
        match reader.read(&mut start[have..]).map_err(Error::io("read", "archive"))? {
            0 => break,
            count => have += count,
        }
    }
    Ok(have)
}

/// A member's name, cleaned; names that lead out are refused.
fn name_of(path: &[u8]) -> Result<String> {
    let path = components(path)?.join(&b'/');
    String::from_utf8(path).map_err(|_| Error::malformed("archive", "a member's name is not UTF-8"))
}

fn parent_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn outside(name: &str) -> Error {
    Error::malformed(format!("archive member {name}"), "it links to something outside the archive")
}

/// Checks a document against the digest its name promises, be it `blobs/sha256/HEX` or `HEX.json`.
pub(super) fn verified<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let hex = name.strip_suffix(".json").filter(|hex| hex.len() == 64);
    let promised = promised(name).or_else(|| Digest::from_sha256_hex(hex?).ok());
    let Some(expected) = promised else { return Ok(bytes) };
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(bytes);
    let actual = hasher.finish();
    if actual == expected {
        return Ok(bytes);
    }
    Err(Error::DigestMismatch { what: format!("archive member {name}"), expected, actual })
}
