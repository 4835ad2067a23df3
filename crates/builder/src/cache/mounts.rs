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

/// The name of the directory of a cache mount: its id, what it begins with and which part of that. Whatever they say, a digest
/// names no path.
#[must_use]
pub fn name(id: &str, origin: &str, source: &str) -> Digest {
    Hasher::digest(format!("{id}\n{origin}\n{source}").as_bytes())
}

/// Makes what a cache mount begins with, somewhere in an empty directory; none leaves the mount as it is. The flag is true when
/// there is nothing yet, and false for an empty mount.
pub type Begin<'f> = &'f dyn Fn(&Path, bool) -> Result<Option<PathBuf>>;

impl Cache {
    /// Takes the directory of a cache mount. One that is not there, or empty, is begun: others wait for that, and it is there as a
    /// whole or not at all.
    pub fn occupy(&self, name: &Digest, sharing: Sharing, cancel: &Cancel, begin: Begin<'_>) -> Result<Occupied<'_>> {
        let mut inside = self.inside();
        let path = loop {
            cancel.check()?;
            let own = self.place(name, 0);
            match sharing {
                Sharing::Shared if !alone(&inside.mounts, &own) => break own,
                Sharing::Locked if !inside.mounts.contains_key(&own) => break own,
                Sharing::Private => {
                    let free = (0..).map(|number| self.place(name, number));
                    let free = free.take(1000).find(|path| !inside.mounts.contains_key(path));
                    break free.ok_or_else(|| Error::refused(format!("cache {name} is used by too many steps")))?;
                }
                Sharing::Shared | Sharing::Locked => {}
            }
            inside = self.changed.wait_timeout(inside, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        };
        let is_first = !inside.mounts.contains_key(&path);
        let entry = inside.mounts.entry(path.clone()).or_insert((0, true));
        entry.0 += 1;
        drop(inside);
        let occupied = Occupied { cache: self, path };
        if is_first {
            self.prepare(&occupied.path, begin)?;
            if let Some((_, alone)) = self.inside().mounts.get_mut(&occupied.path) {
                *alone = sharing == Sharing::Locked;
            }
            self.changed.notify_all();
        }
        Ok(occupied)
    }

    /// Takes the directory of a cache mount as it is, to read it: nobody writes to it who would not let others write, too. None
    /// if there is nothing in it.
    pub fn visit(&self, name: &Digest, sharing: Sharing, cancel: &Cancel) -> Result<Option<Occupied<'_>>> {
        let path = self.place(name, 0);
        let mut inside = self.inside();
        let is_shared = sharing == Sharing::Shared;
        while alone(&inside.mounts, &path) || !is_shared && inside.mounts.contains_key(&path) {
            cancel.check()?;
            inside = self.changed.wait_timeout(inside, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        let entry = inside.mounts.entry(path.clone()).or_insert((0, !is_shared));
        entry.0 += 1;
        drop(inside);
        let occupied = Occupied { cache: self, path };
        let is_filled = filled(&occupied.path)?.unwrap_or(false);
        Ok(is_filled.then_some(occupied))
    }

    fn prepare(&self, path: &Path, begin: Begin<'_>) -> Result<()> {
        let known = filled(path)?;
        if known == Some(true) {
            return Ok(());
        }
        let scratch = Scratch(self.store.scratch()?);
        match begin(&scratch.0, known.is_none())? {
            // Takes the place of an empty directory, but of no other.
            Some(made) => std::fs::rename(made, path).map_err(|cause| Error::io("make cache directory", cause)),
            None => Ok(()),
        }
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

/// Whether there is something in a directory; none if there is no directory.
fn filled(path: &Path) -> Result<Option<bool>> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(Some(entries.next().is_some())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io("open cache directory", cause)),
    }
}

/// A directory that goes with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Swept at the next start otherwise.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
