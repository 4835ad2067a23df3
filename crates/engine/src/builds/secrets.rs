//! Secrets of steps: files in memory that have a name only until they are mounted.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Where memory is a directory.
const MEMORY: &str = "/dev/shm";

/// Files that go with the value; what was mounted meanwhile stays mounted.
#[derive(Default)]
pub(super) struct Hidden {
    directories: Mutex<Vec<PathBuf>>,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let directories = std::mem::take(&mut *self.directories.lock().unwrap_or_else(PoisonError::into_inner));
        for directory in directories {
            if let Err(error) = std::fs::remove_dir_all(&directory) {
                tracing::warn!(%error, "a secret's file is not removed");
            }
        }
    }
}

impl Hidden {
    /// Writes a secret; gives the file's path.
    pub(super) fn put(&self, content: &[u8], mode: u32, (uid, gid): (u32, u32)) -> Result<PathBuf> {
        let failed = |e: &dyn std::fmt::Display| Error::io("write secret", e);
        let name = hako_sys::random::hex(16).map_err(|e| failed(&e))?;
        let directory = Path::new(MEMORY).join(format!("hako-{name}"));
        if !is_memory(Path::new(MEMORY)) {
            return Err(Error::system(format!("write secret: {MEMORY} is not in memory, and secrets go nowhere else")));
        }
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|e| failed(&e))?;
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).push(directory.clone());
        let path = directory.join("secret");
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| failed(&e))?;
        file.write_all(content).map_err(|e| failed(&e))?;
        chown(&path, Some(uid), Some(gid)).map_err(|e| failed(&e))?;
        file.set_permissions(PermissionsExt::from_mode(mode)).map_err(|e| failed(&e))?;
        Ok(path)
    }
}

fn is_memory(path: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS)
}
