//! Collection: what nobody refers to goes.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

use hako_model::digest::{Algorithm, Digest};

use crate::blobs::flight_name;
use crate::index::Index;
use crate::store::{boot, discard};
use crate::{ChainId, Error, Result, Store, usage};

/// What a collection gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers removed, topmost first.
    pub layers: Vec<ChainId>,
    /// How many blobs were removed.
    pub blobs: usize,
    /// Partial downloads removed.
    pub ingests: usize,
    /// Bytes given back on disk.
    pub reclaimed: u64,
}

impl Store {
    /// Removes layers and blobs that no image and no pin needs, and partial downloads nobody is at. Containers must have
    /// pinned their layers before.
    pub fn collect(&self) -> Result<Collected> {
        let mut collected = self.collect_unneeded()?;
        for (path, digest) in self.ingests()? {
            if !self.shared.flights.is_under_way(&flight_name(&digest)) {
                collected.reclaimed += usage::blocks(&path)?;
                discard(&path)?;
                collected.ingests += 1;
            }
        }
        Ok(collected)
    }

    /// [`Store::collect`] without the partial downloads, which a repeated pull goes on with.
    pub(crate) fn collect_unneeded(&self) -> Result<Collected> {
        let mut collected = Collected::default();
        let graves = {
            let mut index = self.shared.index();
            let layers = index.needed_layers();
            let blobs = index.needed_blobs(&layers);
            let mut graves = self.bury_layers(&mut index, &layers, &mut collected)?;
            graves.extend(self.bury_blobs(&blobs, &mut collected)?);
            graves
        };
        // The slow part happens without the lock: what lies in tmp/ is invisible.
        for grave in graves {
            collected.reclaimed += usage::released(&grave)?;
            discard(&grave)?;
        }
        Ok(collected)
    }

    fn bury_layers(
        &self,
        index: &mut Index,
        needed: &HashSet<ChainId>,
        collected: &mut Collected,
    ) -> Result<Vec<PathBuf>> {
        let place = self.shared.path("layers");
        let mut graves = Vec::new();
        let mut gone: Vec<(usize, ChainId)> = Vec::new();
        for (path, id) in named(&place, Algorithm::Sha256)? {
            if !needed.contains(&id) {
                gone.push((index.chain(&id).map_or(0, |chain| chain.len()), id));
                graves.extend(self.shared.bury(&path)?);
            }
        }
        gone.sort_by(|one, other| other.cmp(one));
        for (_, id) in gone {
            index.layers.remove(&id);
            collected.layers.push(id);
        }
        Ok(graves)
    }

    fn bury_blobs(&self, needed: &HashSet<Digest>, collected: &mut Collected) -> Result<Vec<PathBuf>> {
        let mut graves = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for (path, digest) in named(&self.shared.path("blobs").join(algorithm.name()), algorithm)? {
                if !needed.contains(&digest) {
                    graves.extend(self.shared.bury(&path)?);
                    collected.blobs += 1;
                }
            }
        }
        Ok(graves)
    }

    fn ingests(&self) -> Result<Vec<(PathBuf, Digest)>> {
        let place = self.shared.path("ingest");
        let digest = |name: &str| Digest::parse(&name.replacen('-', ":", 1)).ok();
        list(&place, digest)
    }

    /// After a power cut: removes layers that were never sealed, blobs nobody refers to and partial downloads, for their
    /// bytes may be lost though their names are there.
    pub(crate) fn drop_unsealed(&self) -> Result<()> {
        {
            let mut index = self.shared.index();
            let promised: HashSet<ChainId> = index.images.values().flat_map(|image| image.layers.clone()).collect();
            let now = boot();
            let lost = index.layers.values().filter(|layer| {
                layer.boot != now && !promised.contains(&layer.chain_id) && !self.layers().is_sealed(&layer.chain_id)
            });
            for id in lost.map(|layer| layer.chain_id.clone()).collect::<Vec<_>>() {
                index.layers.remove(&id);
                discard(&self.layers().dir(&id))?;
            }
        }
        let kept = self.shared.index().layers.keys().cloned().collect();
        let blobs = self.shared.index().needed_blobs(&kept);
        for grave in self.bury_blobs(&blobs, &mut Collected::default())? {
            discard(&grave)?;
        }
        for (path, _) in self.ingests()? {
            discard(&path)?;
        }
        Ok(())
    }
}

impl crate::Layers {
    fn seal_path(&self, id: &ChainId) -> PathBuf {
        self.dir(id).join("sealed")
    }

    /// Marks layers as safely on the disk. The mark need not be: an image's record is, and promises the same.
    pub(crate) fn seal(&self, layers: &[ChainId]) -> Result<()> {
        for id in layers.iter().filter(|id| !self.is_sealed(id)) {
            let path = self.seal_path(id);
            File::create(&path).map_err(Error::at("create", &path))?;
        }
        Ok(())
    }

    fn is_sealed(&self, id: &ChainId) -> bool {
        self.seal_path(id).exists()
    }
}

/// What lies in a directory under a digest's hex.
fn named(place: &std::path::Path, algorithm: Algorithm) -> Result<Vec<(PathBuf, Digest)>> {
    list(place, |name| Digest::parse(&format!("{}:{name}", algorithm.name())).ok())
}

fn list(place: &std::path::Path, digest: impl Fn(&str) -> Option<Digest>) -> Result<Vec<(PathBuf, Digest)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).map_err(Error::at("list", place))? {
        let path = entry.map_err(Error::at("list", place))?.path();
        if let Some(digest) = path.file_name().and_then(|name| name.to_str()).and_then(&digest) {
            found.push((path, digest));
        }
    }
    Ok(found)
}
