//! The devices that the files of some directories describe. A later directory's word on a device counts; two files of
//! one directory that describe the same device leave it out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hako_model::cdi::{is_kind, is_name};
use serde::Deserialize;

use super::yaml;

/// The most bytes a file may have.
const LIMIT: u64 = 4 << 20;

/// A file of devices.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    cdi_version: String,
    kind: String,
    devices: Vec<Described>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a device changes about a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Edits {
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<Node>,
    pub(super) mounts: Vec<Mount>,
    pub(super) hooks: Vec<Hook>,
    #[serde(rename = "additionalGids")]
    pub(super) additional_gids: Vec<u32>,
    pub(super) intel_rdt: Option<serde_json::Value>,
    pub(super) net_devices: Option<serde_json::Value>,
}

/// A device node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) host_path: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) major: Option<i64>,
    pub(super) minor: Option<i64>,
    pub(super) file_mode: Option<u32>,
    pub(super) permissions: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// A mount.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mount {
    pub(super) host_path: String,
    pub(super) container_path: String,
    pub(super) options: Vec<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// A program of the host that completes the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hook {
    pub(super) hook_name: String,
    pub(super) path: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) timeout: Option<u64>,
}

/// A device that can be had.
#[derive(Debug)]
pub(super) struct Device {
    /// Which of the catalogue's files it is in.
    pub(super) file: usize,
    pub(super) edits: Edits,
}

/// Everything that can be had.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// What each file says for all its devices.
    common: Vec<Edits>,
    devices: BTreeMap<String, Device>,
}

impl Catalogue {
    /// Reads the directories. A file that cannot be used is passed over, and said of in the log.
    pub(crate) fn read(directories: &[PathBuf]) -> Self {
        let mut catalogue = Self::default();
        for directory in directories {
            let mut found: BTreeMap<String, Option<Device>> = BTreeMap::new();
            for path in files(directory) {
                match load(&path) {
                    Ok(file) => catalogue.take(file, &mut found),
                    Err(reason) => tracing::warn!(path = %path.display(), reason, "device description not used"),
                }
            }
            for (name, device) in found {
                match device {
                    Some(device) => drop(catalogue.devices.insert(name, device)),
                    None => {
                        tracing::warn!(name, directory = %directory.display(), "device described twice, so not at all");
                        catalogue.devices.remove(&name);
                    }
                }
            }
        }
        catalogue
    }

    fn take(&mut self, file: File, found: &mut BTreeMap<String, Option<Device>>) {
        let number = self.common.len();
        self.common.push(file.container_edits);
        for device in file.devices {
            let name = format!("{}={}", file.kind, device.name);
            let twice = found.contains_key(&name);
            let device = Device { file: number, edits: device.container_edits };
            found.insert(name, (!twice).then_some(device));
        }
    }

    pub(super) fn device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// What a file says for all its devices.
    pub(super) fn common(&self, file: usize) -> &Edits {
        &self.common[file]
    }

    /// Whether there is any device of a kind.
    pub(super) fn has_kind(&self, kind: &str) -> bool {
        self.names().any(|name| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('=')))
    }

    /// The qualified names of all devices.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(String::as_str)
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| matches!(path.extension().and_then(|end| end.to_str()), Some("json" | "yaml" | "yml")))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}

fn load(path: &Path) -> Result<File, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LIMIT {
        return Err(format!("it has more than {LIMIT} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let json = path.extension().is_some_and(|end| end == "json");
    // YAML is more than JSON, but not every YAML reader takes every JSON, tabs for example.
    let parsed = if json { serde_json::from_str(&text) } else { serde_json::from_value(yaml::read(&text)?) };
    let file: File = parsed.map_err(|error| error.to_string())?;
    check(&file)?;
    Ok(file)
}

fn check(file: &File) -> Result<(), String> {
    if !is_kind(&file.kind) {
        return Err(format!("kind {:?} is not vendor/class", file.kind));
    }
    let version: Vec<u32> = file.cdi_version.split('.').filter_map(|part| part.parse().ok()).collect();
    if !matches!(version[..], [0, minor, _] if minor >= 2) && !matches!(version[..], [1, ..]) {
        return Err(format!("cdiVersion {:?} is not known", file.cdi_version));
    }
    if let Some(device) = file.devices.iter().find(|device| !is_name(&device.name)) {
        return Err(format!("{:?} is no device's name", device.name));
    }
    let edits = file.devices.iter().map(|device| &device.container_edits).chain([&file.container_edits]);
    for edits in edits {
        let relative = |path: &str| !path.starts_with('/');
        if edits.device_nodes.iter().any(|node| relative(&node.path)) {
            return Err("a device node has no absolute path".to_owned());
        }
        if edits.mounts.iter().any(|mount| relative(&mount.container_path) || mount.host_path.is_empty()) {
            return Err("a mount has no absolute path".to_owned());
        }
        if edits.env.iter().any(|pair| !pair.contains('=')) {
            return Err("a variable has no value".to_owned());
        }
        if edits.hooks.iter().any(|hook| relative(&hook.path)) {
            return Err("a hook has no absolute path".to_owned());
        }
    }
    Ok(())
}
