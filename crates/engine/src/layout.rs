//! Where things lie below the two roots, and the instance word that keeps several daemons apart.

use std::path::{Path, PathBuf};

use hako_model::id::ContainerId;
use hako_store::Hasher;

/// The data root of the daemon nobody configured: its instance word is empty.
const DEFAULT_DATA_ROOT: &str = "/var/lib/hako";

/// Paths below the roots.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    /// Empty for the default data root, else eight hexadecimal digits.
    pub(crate) instance: String,
}

impl Layout {
    pub(crate) fn new(data_root: &Path, exec_root: &Path) -> Self {
        let instance = instance_word(data_root);
        Self { data_root: data_root.to_owned(), exec_root: exec_root.to_owned(), instance }
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.data_root.join("containers")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.data_root.join("network")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.data_root.join("tmp")
    }

    /// What builds keep: the cache, cache mounts, steps that run.
    pub(crate) fn builds(&self) -> PathBuf {
        self.data_root.join("build")
    }

    /// The directories of steps that run.
    pub(crate) fn steps(&self) -> PathBuf {
        self.builds().join("steps")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.data_root.join("secrets")
    }

    pub(crate) fn events(&self) -> PathBuf {
        self.data_root.join("events")
    }

    pub(crate) fn supervisors(&self) -> PathBuf {
        self.exec_root.join("supervisors")
    }

    /// What is on the host for all networks.
    pub(crate) fn blueprint(&self) -> PathBuf {
        self.exec_root.join("network.json")
    }

    /// Who is called what, by network.
    pub(crate) fn names(&self) -> PathBuf {
        self.exec_root.join("names")
    }

    /// A live supervisor's door.
    pub(crate) fn door(&self, id: &ContainerId) -> PathBuf {
        self.supervisors().join(format!("{id}.sock"))
    }

    /// The default bridge's device.
    pub(crate) fn bridge(&self) -> String {
        if self.instance.is_empty() { "hako0".to_owned() } else { format!("hk-{}", self.instance) }
    }

    /// The cgroup containers' groups are made in, below each hierarchy's root.
    pub(crate) fn cgroup_parent(&self) -> String {
        if self.instance.is_empty() { "/hako".to_owned() } else { format!("/hako-{}", self.instance) }
    }
}

fn instance_word(data_root: &Path) -> String {
    if data_root == Path::new(DEFAULT_DATA_ROOT) {
        return String::new();
    }
    let digest = Hasher::digest(data_root.as_os_str().as_encoded_bytes()).to_string();
    digest.split(':').next_back().unwrap_or_default().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_keep_apart() {
        let default = Layout::new(Path::new("/var/lib/hako"), Path::new("/run/hako"));
        assert_eq!((default.bridge().as_str(), default.cgroup_parent().as_str()), ("hako0", "/hako"));
        let other = Layout::new(Path::new("/tmp/x/data"), Path::new("/tmp/x/run"));
        assert_eq!(other.instance.len(), 8);
        assert!(other.bridge().len() <= 15, "{}", other.bridge());
    }
}
