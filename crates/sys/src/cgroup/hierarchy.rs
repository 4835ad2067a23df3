//! Which controllers the host has, on which version, mounted where.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::io::Errno;

use crate::{Error, Result};

/// Where the controllers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// On cgroup v1 (also where a v2 hierarchy without controllers is mounted beside: hybrid).
    V1,
    /// On cgroup v2.
    V2,
}

/// The mounted hierarchies of the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Hierarchy {
    version: Version,
    /// Mount points, each once.
    roots: Vec<PathBuf>,
    /// Controller names and the index of their mount point.
    controllers: Vec<(String, usize)>,
    /// The v2 mount beside v1 hierarchies.
    unified_beside: Option<PathBuf>,
}

impl Hierarchy {
    /// What is mounted in the caller's mount namespace; looked at once.
    pub fn of_host() -> Result<&'static Self> {
        static FOUND: OnceLock<Hierarchy> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found);
        }
        let path = "/proc/self/mountinfo";
        let table = std::fs::read_to_string(path).map_err(Error::os("read", path))?;
        let found = Self::parse(&table)?;
        Ok(FOUND.get_or_init(|| found))
    }

    fn parse(table: &str) -> Result<Self> {
        let mut this = Self { version: Version::V1, roots: Vec::new(), controllers: Vec::new(), unified_beside: None };
        for mount in table.lines().filter_map(CgroupMount::parse) {
            this.learn(&mount);
        }
        let unified = this.unified_beside.take();
        match unified {
            Some(root) if this.controllers.is_empty() => {
                this.version = Version::V2;
                this.roots.push(root);
            }
            beside => this.unified_beside = beside,
        }
        if this.roots.is_empty() {
            return Err(Error::os("find", "a mounted cgroup hierarchy")(Errno::NOENT));
        }
        Ok(this)
    }

    fn learn(&mut self, mount: &CgroupMount<'_>) {
        if mount.kind == "cgroup2" {
            self.unified_beside.get_or_insert_with(|| PathBuf::from(&mount.point));
            return;
        }
        let names: Vec<&str> = mount.options.split(',').filter(|option| KNOWN.contains(option)).collect();
        let known = |name: &&str| self.controllers.iter().any(|(other, _)| other == name);
        if names.is_empty() || names.iter().any(known) {
            return;
        }
        self.roots.push(PathBuf::from(&mount.point));
        let index = self.roots.len() - 1;
        self.controllers.extend(names.into_iter().map(|name| (name.to_owned(), index)));
    }

    /// Where the controllers are.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether a v2 hierarchy is mounted beside v1 controllers.
    pub fn is_hybrid(&self) -> bool {
        self.unified_beside.is_some()
    }

    /// The controllers of the host, by the names of v1.
    pub fn controllers(&self) -> Vec<String> {
        if self.version == Version::V2 {
            let path = self.roots[0].join("cgroup.controllers");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            return text.split_ascii_whitespace().map(str::to_owned).collect();
        }
        self.controllers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The controllers of the v1 hierarchy at a mount point.
    pub fn controllers_at(&self, root: &Path) -> Vec<String> {
        let here = |index: usize| self.roots.get(index).is_some_and(|other| other == root);
        self.controllers.iter().filter(|(_, index)| here(*index)).map(|(name, _)| name.clone()).collect()
    }

    /// The mount points, each once.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The mount point a controller's files are below. On v2 every controller is in the one place.
    pub fn root_of(&self, controller: &str) -> Option<&Path> {
        if self.version == Version::V2 {
            return self.roots.first().map(PathBuf::as_path);
        }
        let (_, index) = self.controllers.iter().find(|(name, _)| name == controller)?;
        self.roots.get(*index).map(PathBuf::as_path)
    }

    /// Fills empty cpusets on the way to a group: whoever made those above it may not have, and then no process can be
    /// put into any of them.
    pub(super) fn fill_cpusets(&self, path: &str) -> Result<()> {
        let Some(root) = self.root_of("cpuset").filter(|_| self.version == Version::V1) else { return Ok(()) };
        // Where a group has processors, those above have them too.
        let last = super::below(root, path);
        let full = |file: &str| std::fs::read(last.join(file)).is_ok_and(|own| !own.trim_ascii().is_empty());
        if CPUSET.into_iter().all(full) {
            return Ok(());
        }
        let mut group = root.to_path_buf();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let parent = group.clone();
            group.push(part);
            for file in CPUSET {
                let own = std::fs::read(group.join(file)).map_err(Error::at("read", &group))?;
                if own.trim_ascii().is_empty() {
                    copy_setting(&parent.join(file), &group.join(file))?;
                }
            }
        }
        Ok(())
    }

    /// Makes a new group usable: a v1 cpuset starts empty and takes no process, a v2 group has only the controllers
    /// its parent passes on.
    pub(super) fn inherit(&self, parent: &Path, group: &Path) -> Result<()> {
        if self.version == Version::V2 {
            pass_controllers_on(parent);
            return Ok(());
        }
        if self.root_of("cpuset").is_some_and(|root| group.starts_with(root)) {
            for file in CPUSET {
                copy_setting(&parent.join(file), &group.join(file))?;
            }
        }
        Ok(())
    }
}

/// What a v1 cpuset must have before it takes a process.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// The controllers of v1 that hako places containers in, and their names on v2 where they differ.
const KNOWN: [&str; 12] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
];

fn copy_setting(from: &Path, to: &Path) -> Result<()> {
    let value = std::fs::read(from).map_err(Error::at("read", from))?;
    super::write(to, value.trim_ascii_end())
}

/// A parent that cannot pass a controller on (it holds processes, or the kernel lacks it) leaves the limit unusable,
/// which is told when the limit is set.
fn pass_controllers_on(parent: &Path) {
    let available = std::fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    let control = parent.join("cgroup.subtree_control");
    let wanted: Vec<String> = available.split_ascii_whitespace().map(|name| format!("+{name}")).collect();
    if super::write(&control, wanted.join(" ").as_bytes()).is_err() {
        for one in wanted {
            let _ = super::write(&control, one.as_bytes());
        }
    }
}

struct CgroupMount<'a> {
    kind: &'a str,
    point: String,
    options: &'a str,
}

impl<'a> CgroupMount<'a> {
    /// One line of mountinfo: `id parent dev root point options [optional…] - type source super-options`.
    fn parse(line: &'a str) -> Option<Self> {
        let (head, tail) = line.split_once(" - ")?;
        let mut tail = tail.split(' ');
        let kind = tail.next()?;
        let options = tail.nth(1)?;
        let point = crate::proc::unescape(head.split(' ').nth(4)?);
        kind.starts_with("cgroup").then_some(Self { kind, point, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(point: &str, kind: &str, options: &str) -> String {
        format!("35 25 0:30 / {point} rw,nosuid shared:9 - {kind} {kind} rw,{options}\n")
    }

    #[test]
    fn pure_v2_has_one_root() {
        let found = Hierarchy::parse(&line("/sys/fs/cgroup", "cgroup2", "nsdelegate")).unwrap();
        assert_eq!(found.version(), Version::V2);
        assert_eq!(found.root_of("memory"), Some(Path::new("/sys/fs/cgroup")));
        assert!(!found.is_hybrid());
    }

    #[test]
    fn hybrid_is_v1_with_a_v2_beside() {
        let table = line("/sys/fs/cgroup/unified", "cgroup2", "")
            + &line("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct")
            + &line("/sys/fs/cgroup/systemd", "cgroup", "xattr,name=systemd")
            + &line("/sys/fs/cgroup/memory", "cgroup", "memory");
        let found = Hierarchy::parse(&table).unwrap();
        assert_eq!(found.version(), Version::V1);
        assert!(found.is_hybrid());
        assert_eq!(found.roots().len(), 2);
        assert_eq!(found.root_of("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.root_of("pids"), None);
    }

    #[test]
    fn a_controller_mounted_twice_counts_once() {
        let table = line("/sys/fs/cgroup/cpu", "cgroup", "cpu") + &line("/other\\040place", "cgroup", "cpu");
        assert_eq!(Hierarchy::parse(&table).unwrap().roots(), [PathBuf::from("/sys/fs/cgroup/cpu")]);
    }

    #[test]
    fn no_hierarchy_is_an_error() {
        assert!(Hierarchy::parse("22 1 0:20 / /proc rw - proc proc rw\n").is_err());
    }
}
