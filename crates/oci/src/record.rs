//! What is remembered of a container from one command to the next: a directory below `--root`, closed to all but its
//! owner, with the record, a copy of the description, and the door of a container that waits to be started.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hako_runtime::hook::Identity;
use hako_runtime::spec::{Hooks, Spec};
use hako_sys::cgroup::Group;
use hako_sys::fdpass::Channel;
use hako_sys::file::Durability;
use hako_sys::process::Process;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::{bundle, place, systemd};

/// Where containers are remembered unless another place is named.
pub(crate) const DEFAULT_ROOT: &str = "/run/hako-runtime";

/// More than any record or description.
const LIMIT: u64 = 16 << 20;

/// The note of the control group in a container's directory.
const GROUP: &str = "group";
/// The note of the unit it belongs to, written once that is the container's own.
pub(crate) const UNIT: &str = "unit";

/// All containers.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

/// One container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) oci_version: String,
    pub(crate) identity: Identity,
    /// Its first process, and when that started: numbers are used again.
    pub(crate) pid: i32,
    pub(crate) started: u64,
    pub(crate) created: String,
    /// The root's directory.
    pub(crate) rootfs: String,
    /// The control group, from the root of every hierarchy.
    pub(crate) cgroup: String,
    /// The unit of systemd's that the group belongs to; empty if it is hako's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) unit: String,
    /// Whether its mounts lie among the host's.
    #[serde(default)]
    pub(crate) shares_mounts: bool,
    /// Whether its processes end with the first.
    pub(crate) own_pids: bool,
    /// Whether an agent answers calls its filter notifies of.
    #[serde(default)]
    pub(crate) has_agent: bool,
    /// The hooks that are still to be run.
    #[serde(default)]
    pub(crate) hooks: Hooks,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The states of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Store {
    /// The containers below a directory.
    pub(crate) fn at(root: &str) -> Self {
        Self { root: PathBuf::from(root) }
    }

    /// The directory of a container that may exist or not.
    pub(crate) fn directory(&self, id: &str) -> Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id == "." || id == ".." || id.len() > 1024 || !id.bytes().all(plain) {
            return Err(Error::Id { id: id.to_owned() });
        }
        Ok(self.root.join(id))
    }

    /// Reserves an id. Whoever has made the directory owns the name.
    pub(crate) fn reserve(&self, id: &str) -> Result<PathBuf> {
        let directory = self.directory(id)?;
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        let made = match builder.create(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                builder.recursive(true).create(&self.root).map_err(Error::file("create", &self.root))?;
                builder.recursive(false).create(&directory)
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(directory),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::Exists { id: id.to_owned() }),
            Err(error) => Err(Error::file("create", &directory)(error)),
        }
    }

    /// The container of an id.
    pub(crate) fn open(&self, id: &str) -> Result<Container> {
        Container::read(self.directory(id)?, id)
    }

    /// All ids, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::file("list", &self.root))?,
        };
        let mut ids: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ids.sort();
        Ok(ids)
    }
}

/// A remembered container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) directory: PathBuf,
    pub(crate) record: Record,
}

impl Container {
    fn read(directory: PathBuf, id: &str) -> Result<Self> {
        let path = directory.join("state.json");
        let bytes = match hako_sys::file::read_limited(&path, LIMIT) {
            Err(error) if error.is_not_found() => return Err(Error::Missing { id: id.to_owned() }),
            read => read?,
        };
        let record = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Config { path: path.display().to_string(), what: error.to_string() })?;
        Ok(Self { directory, record })
    }

    /// Remembers a container, with its description as it was read.
    pub(crate) fn write(&self, description: &[u8]) -> Result<()> {
        write(&self.directory.join("config.json"), description)?;
        let bytes = serde_json::to_vec(&self.record)
            .map_err(|error| Error::Config { path: "state.json".into(), what: error.to_string() })?;
        // The record comes last and in one step: a container without one does not exist yet.
        Ok(hako_sys::file::write_atomic(&self.directory.join("state.json"), &bytes, Durability::Process)?)
    }

    pub(crate) fn id(&self) -> &str {
        &self.record.identity.id
    }

    /// The description it was made from.
    pub(crate) fn spec(&self) -> Result<Spec> {
        let path = self.directory.join("config.json");
        bundle::parse(&hako_sys::file::read_limited(&path, LIMIT)?, &path)
    }

    /// Its first process, while that lives.
    pub(crate) fn process(&self) -> Option<Process> {
        let process = Process::open(self.record.pid).ok()?;
        let stat = hako_sys::proc::stat(self.record.pid).ok()?;
        (stat.start_time == self.record.started && !matches!(stat.state, 'Z' | 'X')).then_some(process)
    }

    /// Where it waits to be started.
    pub(crate) fn door(&self) -> PathBuf {
        self.directory.join("door")
    }

    /// Its control group.
    pub(crate) fn group(&self) -> Result<Group> {
        Ok(Group::open(&self.record.cgroup)?)
    }

    /// What it is doing.
    pub(crate) fn status(&self) -> Status {
        if self.process().is_none() {
            return Status::Stopped;
        }
        // First of all: one that was paused before it was started is to be resumed.
        if self.is_frozen() {
            return Status::Paused;
        }
        // A door that nobody listens at any more was left by somebody who was killed after starting the container.
        if Channel::connect(&self.door()).is_ok() { Status::Created } else { Status::Running }
    }

    /// Whether its processes are stopped where they are.
    pub(crate) fn is_frozen(&self) -> bool {
        self.group().is_ok_and(|group| group.is_frozen().unwrap_or(false))
    }

    /// Its process, unless its state forbids it.
    pub(crate) fn expect(&self, verb: &'static str, allowed: &[Status]) -> Result<Process> {
        let status = self.status();
        if !allowed.contains(&status) {
            return Err(Error::Status { verb, id: self.id().to_owned(), status: status.name() });
        }
        self.process().ok_or_else(|| Error::NotRunning { id: self.id().to_owned() })
    }

    /// Gives back everything: the group with what is left in it, and the memory.
    pub(crate) fn forget(&self) -> Result<()> {
        place::clear(&self.record.cgroup)?;
        if !self.record.unit.is_empty() {
            // Its group is gone, so systemd will forget it anyway: this only makes its name free at once.
            let _ = systemd::forget(&self.record.unit);
        }
        if self.record.shares_mounts {
            hako_sys::mount::detach(Path::new(&self.record.rootfs))?;
        }
        remove_directory(&self.directory)
    }
}

/// Notes the control group of a container in the making, for whoever must clear away what a killed command left: a link
/// that leads nowhere is made in one step.
pub(crate) fn note_group(directory: &Path, spec: &Spec) -> Result<()> {
    let Some(linux) = &spec.linux else { return Ok(()) };
    let link = directory.join(GROUP);
    std::os::unix::fs::symlink(&linux.cgroups_path, &link).map_err(Error::file("write", &link))
}

/// Gives back what a half-made container has: it has no record, but may have a directory and a group.
pub(crate) fn forget_half_made(directory: &Path) -> Result<()> {
    if let Ok(group) = std::fs::read_link(directory.join(GROUP)) {
        place::clear(&group.to_string_lossy())?;
    }
    if let Ok(unit) = std::fs::read_link(directory.join(UNIT)) {
        let _ = systemd::forget(&unit.to_string_lossy());
    }
    remove_directory(directory)
}

/// Removes a container's directory.
pub(crate) fn remove_directory(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", directory)(error)),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(Error::file("write", path))
}
