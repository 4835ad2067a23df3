//! A file that is there only as long as somebody needs it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, path_failure};

/// Such a file; gone when this is dropped.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A file with this text.
    pub(crate) fn with(text: &str) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("hako-{}", hako_compose::slug()));
        let failed = |error: std::io::Error| path_failure("create", &path.display().to_string(), &error);
        // The name is not to be guessed, and nothing that is there already is followed.
        let mut file = std::fs::File::create_new(&path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever empties the directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A directory; gone with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// An empty one, which nobody else can read.
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::within(&std::env::temp_dir())
    }

    /// One in another directory, which is made if need be.
    pub(crate) fn within(directory: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| path_failure("mkdir", &directory.display().to_string(), &error);
        std::fs::create_dir_all(directory).map_err(failed)?;
        let path = directory.join(format!("hako-{}", hako_compose::slug()));
        let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path);
        made.map_err(|error| path_failure("create", &path.display().to_string(), &error))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever empties the directory.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
