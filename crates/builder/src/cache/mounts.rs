//! Directories that stay from build to build: `RUN --mount=type=cache`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use hako_model::digest::Digest;
use hako_store::Hasher;

use super::{Cache, PATIENCE};
use crate::dockerfile::mount::Sharing;
use crate::workshop::Cancel;
use crate::{Error, Result};

/// What stands before the name of a directory that is being removed.
const GONE: &str = ".gone-";

/// How many steps use each directory, and whether one has it alone.
pub(super) type Busy = HashMap<PathBuf, (usize, bool)>;

/// The use of a cache directory, as long as it lives.
pub struct Occupied<'a> {
    cache: &'a Cache,
    path: PathBuf,
    /// It was made just now, and is empty.
    pub new: bool,
}

impl Occupied<'_> {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        let mut inside = self.cache.inside();
        if let Some((users, _)) = inside.mounts.get_mut(&self.path) {
            *users -= 1;
            if *users == 0 {
                inside.mounts.remove(&self.path);
            }
        }
        drop(inside);
        self.cache.changed.notify_all();
    }
}

impl Cache {
    /// Takes the directory of an id. The id is only ever used as a digest: whatever it says, it names no path.
    pub fn occupy(&self, id: &str, sharing: Sharing, cancel: &Cancel) -> Result<Occupied<'_>> {
        let name = Hasher::digest(id.as_bytes());
        let mut inside = self.inside();
        let path = loop {
            cancel.check()?;
            let own = self.place(&name, 0);
            match sharing {
                Sharing::Shared if !alone(&inside.mounts, &own) => break own,
                Sharing::Locked if !inside.mounts.contains_key(&own) => break own,
                Sharing::Private => {
                    let free = (0..).map(|number| self.place(&name, number));
                    let free = free.take(1000).find(|path| !inside.mounts.contains_key(path));
                    break free.ok_or_else(|| Error::refused(format!("cache {id} is used by too many steps")))?;
                }
                Sharing::Shared | Sharing::Locked => {}
            }
            inside = self.changed.wait_timeout(inside, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        };
        let entry = inside.mounts.entry(path.clone()).or_insert((0, sharing == Sharing::Locked));
        entry.0 += 1;
        drop(inside);
        let mut occupied = Occupied { cache: self, path, new: false };
        occupied.new = make(&occupied.path)?;
        Ok(occupied)
    }

    fn place(&self, name: &Digest, number: usize) -> PathBuf {
        let name = if number == 0 { name.hex().to_owned() } else { format!("{}-{number}", name.hex()) };
        self.root.join("mounts").join(name)
    }

    /// Removes the cache directories of these names, unless somebody uses them; gives their names and bytes.
    pub fn clear_mounts(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, u64)>> {
        let mut gone = Vec::new();
        let root = self.root.join("mounts");
        let confined = hako_sys::confined::Root::open(&root)?;
        for entry in std::fs::read_dir(&root).map_err(|cause| Error::io("list cache mounts", cause))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !wanted(name.trim_start_matches(GONE)) {
                continue;
            }
            let mut place = name.clone();
            if !name.starts_with(GONE) {
                place = format!("{GONE}{name}");
                let inside = self.inside();
                if inside.mounts.contains_key(&entry.path()) {
                    continue;
                }
                // Under another name nobody can begin to use it.
                confined.rename(Path::new(&name), Path::new(&place))?;
            }
            let bytes = hako_store::disk_usage(&root.join(&place))?;
            confined.remove_all(Path::new(&place))?;
            gone.push((name.trim_start_matches(GONE).to_owned(), bytes));
        }
        Ok(gone)
    }
}

fn alone(mounts: &Busy, path: &Path) -> bool {
    mounts.get(path).is_some_and(|(_, alone)| *alone)
}

fn make(path: &Path) -> Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(Error::io("make cache directory", cause)),
    }
}
