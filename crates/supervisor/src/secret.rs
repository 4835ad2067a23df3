//! Secrets of a container: files in memory that have a name on the host only until they are mounted.
//!
//! What they say is held by the supervisor, for later lives, and is written nowhere.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use hako_runtime::spec::Mount;

use crate::description::Secret;
use crate::{Error, Result};

/// Where memory is a directory.
const MEMORY: &str = "/dev/shm";
/// How statfs(2) names such a file system.
const TMPFS: i64 = 0x0102_1994;

/// Files that go with the value; what was mounted meanwhile stays mounted.
#[derive(Debug, Default)]
pub(crate) struct Laid {
    directory: Option<PathBuf>,
    /// What shows them in the container.
    pub mounts: Vec<Mount>,
}

impl Drop for Laid {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            // It is in memory and nobody else's: there is no reason for the kernel to refuse.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Lays secrets out for one launch.
pub(crate) fn lay(secrets: &[Secret]) -> Result<Laid> {
    let mut laid = Laid::default();
    if secrets.is_empty() {
        return Ok(laid);
    }
    let memory = Path::new(MEMORY);
    if !rustix::fs::statfs(memory).is_ok_and(|found| found.f_type == TMPFS) {
        return Err(Error::SecretPlace { path: MEMORY });
    }
    let directory = memory.join(format!("hako-{}", hako_sys::random::hex(16)?));
    std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(Error::file("make", &directory))?;
    laid.directory = Some(directory.clone());
    for (number, secret) in secrets.iter().enumerate() {
        let path = directory.join(number.to_string());
        write(&path, secret).map_err(Error::file("write secret", &path))?;
        laid.mounts.push(Mount {
            destination: secret.target.clone(),
            kind: "bind".to_owned(),
            source: path.to_string_lossy().into_owned(),
            options: ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
            ..Mount::default()
        });
    }
    Ok(laid)
}

fn write(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&secret.content.0)?;
    chown(path, Some(secret.uid), Some(secret.gid))?;
    file.set_permissions(PermissionsExt::from_mode(secret.mode))
}
