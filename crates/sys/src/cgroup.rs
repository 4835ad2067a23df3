//! Control groups on cgroup v1, v2 and hybrid hosts.
//!
//! A [`Group`] is one name in every hierarchy that matters: one directory on v2, one for each controller on v1.
//! Which file gets which value is the caller's business; this module knows where the files are, and the few things
//! that are done differently on the two versions: placing, freezing, killing, deleting, device rules, usage.

mod device;
mod hierarchy;
mod usage;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::process::SingleThreaded;
use crate::{Error, Result};

pub use device::{DeviceAccess, DeviceKind, DeviceRule, attach_device_program};
pub use hierarchy::{Hierarchy, Version};
pub use usage::{BlockIoUsage, Counters, CpuUsage, MemoryUsage, OomWatch, Usage};

/// A control group.
#[derive(Clone, Debug)]
pub struct Group {
    hierarchy: &'static Hierarchy,
    path: String,
}

impl Group {
    /// Makes the group and missing parents; `path` counts from the root of every hierarchy, e.g. `/hako/ab12`.
    pub fn create(path: &str) -> Result<Self> {
        let group = Self::open(path)?;
        group.make()?;
        Ok(group)
    }

    /// Makes the group and missing parents; what is there already is left as it is.
    pub fn make(&self) -> Result<()> {
        self.hierarchy.roots().iter().try_for_each(|root| self.make_below(root))
    }

    /// A handle on a group that may or may not exist.
    pub fn open(path: &str) -> Result<Self> {
        let sound = path.len() > 1 && path.starts_with('/') && !path.split('/').any(|part| part == ".." || part == ".");
        if !sound {
            return Err(Error::Malformed {
                object: format!("control group {path:?}"),
                what: "not an absolute path".into(),
            });
        }
        Ok(Self { hierarchy: Hierarchy::of_host()?, path: path.trim_end_matches('/').to_owned() })
    }

    fn make_below(&self, root: &Path) -> Result<()> {
        let mut directory = root.to_path_buf();
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            let parent = directory.clone();
            directory.push(part);
            match rustix::fs::mkdirat(CWD, &directory, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.hierarchy.inherit(&parent, &directory)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::at("make control group", &directory)(errno)),
            }
        }
        Ok(())
    }

    /// The path from the root of every hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Which version the controllers are on.
    pub fn version(&self) -> Version {
        self.hierarchy.version()
    }

    /// Whether anything of the group exists: whoever made or renamed it may have been killed half-way.
    pub fn exists(&self) -> bool {
        self.directories().any(|directory| directory.is_dir())
    }

    /// The first of the group's directories that is not there.
    pub fn lacking(&self) -> Option<PathBuf> {
        self.directories().find(|directory| !directory.is_dir())
    }

    /// Whether the host has a hierarchy with a controller.
    pub fn has_hierarchy_of(&self, controller: &str) -> bool {
        self.hierarchy.root_of(controller).is_some()
    }

    /// The group's directory for a controller, e.g. `memory`; `None` if the host has no such controller.
    pub fn directory(&self, controller: &str) -> Option<PathBuf> {
        self.hierarchy.root_of(controller).map(|root| below(root, &self.path))
    }

    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchy.roots().iter().map(|root| below(root, &self.path))
    }

    /// On a v2 host, the directory `fork` can place a child into.
    pub fn unified_fd(&self) -> Result<Option<OwnedFd>> {
        if self.version() != Version::V2 {
            return Ok(None);
        }
        let Some(directory) = self.directories().next() else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&directory, flags, Mode::empty()).map(Some).map_err(Error::at("open", &directory))
    }

    /// The group's doors, one in every hierarchy, through which a process takes itself in with [`enter`].
    ///
    /// On v1 these are the files `tasks`. To move a process from outside, by `cgroup.procs`, the kernel keeps all
    /// threads of the machine from being made meanwhile and waits for a grace period first, some ten milliseconds; a
    /// thread that moves itself needs none of that.
    pub fn doors(&self) -> Result<Vec<OwnedFd>> {
        self.doors_but(&[])
    }

    /// The same, but for the named controllers' hierarchies the doors of other groups.
    pub fn doors_but(&self, elsewhere: &[(String, Self)]) -> Result<Vec<OwnedFd>> {
        self.hierarchy.fill_cpusets(&self.path)?;
        let name = if self.version() == Version::V2 { "cgroup.procs" } else { "tasks" };
        let open = |root: &PathBuf| {
            let is_here = |controller: &str| self.hierarchy.root_of(controller) == Some(root.as_path());
            let other = elsewhere.iter().find(|(controller, _)| is_here(controller));
            let path = other.map_or(&self.path, |(_, group)| &group.path);
            open_to_write(&below(root, path).join(name))
        };
        self.hierarchy.roots().iter().map(open).collect()
    }

    /// Gives the group another name below the same parent. `false` on v2, where the kernel cannot.
    pub fn rename(&mut self, path: &str) -> Result<bool> {
        let target = Self::open(path)?;
        if parent(&self.path) != parent(&target.path) {
            return Ok(false);
        }
        if target.path == self.path {
            return Ok(true);
        }
        if self.version() == Version::V2 {
            return Ok(false);
        }
        for root in self.hierarchy.roots() {
            let (from, to) = (below(root, &self.path), below(root, &target.path));
            std::fs::rename(&from, &to).map_err(Error::at("rename", &to))?;
        }
        self.path = target.path;
        Ok(true)
    }

    /// Writes one of a controller's files, e.g. `("memory", "memory.limit_in_bytes", "1048576")`.
    pub fn set(&self, controller: &str, file: &str, value: &str) -> Result<()> {
        let directory = self.controller(controller)?;
        write(&directory.join(file), value.as_bytes())
    }

    /// Reads one of a controller's files, without the final line feed.
    pub fn get(&self, controller: &str, file: &str) -> Result<String> {
        let path = self.controller(controller)?.join(file);
        let read = std::fs::File::open(&path).and_then(whole);
        let mut text = read.map_err(Error::at("read", &path))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// Whether a controller's file exists: kernels are built with and without, e.g., swap accounting.
    pub fn has(&self, controller: &str, file: &str) -> bool {
        self.directory(controller).is_some_and(|directory| directory.join(file).exists())
    }

    fn controller(&self, controller: &str) -> Result<PathBuf> {
        self.directory(controller)
            .ok_or(Errno::NOSYS)
            .map_err(Error::os("find", format!("cgroup controller {controller:?}")))
    }

    /// Stops every process in the group where it is; returns once all are stopped.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen(true)
    }

    /// Lets the processes go on.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    /// Only asks; the kernel takes its time.
    fn ask_frozen(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (self.version(), frozen) {
            (Version::V2, true) => ("cgroup.freeze", "1"),
            (Version::V2, false) => ("cgroup.freeze", "0"),
            (Version::V1, true) => ("freezer.state", "FROZEN"),
            (Version::V1, false) => ("freezer.state", "THAWED"),
        };
        self.set("freezer", file, value)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.ask_frozen(frozen)?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while frozen && !self.is_frozen()? {
            if std::time::Instant::now() > deadline {
                self.set_frozen(false)?;
                return Err(Error::os("freeze", self.path.clone())(Errno::TIMEDOUT));
            }
            if self.version() == Version::V1 {
                // A task that was being forked can be missed; v1 asks to write again.
                self.ask_frozen(frozen)?;
            }
            rustix::thread::sched_yield();
        }
        Ok(())
    }

    /// Whether every process in the group is stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        if self.version() == Version::V2 {
            return Ok(self.get("freezer", "cgroup.events")?.lines().any(|line| line == "frozen 1"));
        }
        Ok(self.get("freezer", "freezer.state")? == "FROZEN")
    }

    /// Whether a process that comes into the group would be stopped at once: it is frozen, or about to be, or a group
    /// above it is.
    pub fn stops_newcomers(&self) -> Result<bool> {
        if !self.exists() {
            return Ok(false);
        }
        if self.version() == Version::V2 {
            return Ok(self.is_frozen()? || self.get("freezer", "cgroup.freeze")? == "1");
        }
        Ok(self.has("freezer", "freezer.state") && self.get("freezer", "freezer.state")? != "THAWED")
    }

    /// The processes in the group and in groups below it, in the caller's pid namespace.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let directory = self
            .directory("pids")
            .or_else(|| self.directories().next())
            .ok_or(Errno::NOENT)
            .map_err(Error::os("find", self.path.clone()))?;
        let mut pids = Vec::new();
        collect_pids(&directory, &mut pids)?;
        Ok(pids)
    }

    /// Kills every process in the group, also those forked meanwhile. They may be reaped a moment later.
    pub fn kill_all(&self) -> Result<()> {
        if self.version() == Version::V2 && self.set("cgroup", "cgroup.kill", "1").is_ok() {
            return Ok(());
        }
        if self.pids()?.is_empty() {
            return Ok(());
        }
        // Before 5.14 there is no file for it. A group that forks while being killed is first stopped; frozen tasks of
        // v1 do not even die, so it is let go afterwards.
        let frozen = self.ask_frozen(true).is_ok();
        let killed = self.pids().map(|pids| pids.into_iter().for_each(kill));
        if frozen {
            self.thaw()?;
        }
        killed
    }

    /// Removes the group and groups below it. `EBUSY` while processes are left; a missing group is no error.
    pub fn delete(&self) -> Result<()> {
        self.directories().try_for_each(|directory| remove(&directory))
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // The process may have ended since the list was read: that is what was wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Takes the caller, a process of one thread, through the doors of a group.
pub fn enter(_witness: SingleThreaded, doors: &[OwnedFd]) -> Result<()> {
    for door in doors {
        // Zero is whoever writes it.
        rustix::io::retry_on_intr(|| rustix::io::write(door, b"0")).map_err(Error::os("enter", "control group"))?;
    }
    Ok(())
}

fn open_to_write(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::at("open", path))
}

fn write(path: &Path, value: &[u8]) -> Result<()> {
    write_to(open_to_write(path)?.as_fd(), path, value)
}

fn write_to(file: BorrowedFd<'_>, path: &Path, value: &[u8]) -> Result<()> {
    rustix::io::retry_on_intr(|| rustix::io::write(file, value)).map(drop).map_err(|errno| Error::Os {
        verb: "write",
        object: format!("{:?} to {}", String::from_utf8_lossy(value), path.display()),
        source: errno.into(),
    })
}

fn collect_pids(directory: &Path, pids: &mut Vec<i32>) -> Result<()> {
    let file = directory.join("cgroup.procs");
    match std::fs::read_to_string(&file) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // A threaded group of v2 lists its processes in its domain only.
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {}
        Err(error) => return Err(Error::at("read", &file)(error)),
    }
    for child in children(directory)? {
        collect_pids(&child, pids)?;
    }
    Ok(())
}

fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    // Two links and one for each directory inside: most groups have none, and need not be listed.
    match rustix::fs::stat(directory) {
        Ok(stat) if stat.st_nlink <= 2 => return Ok(Vec::new()),
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(Error::at("stat", directory)(errno)),
        Ok(_) => {}
    }
    let entries = std::fs::read_dir(directory).map_err(Error::at("list", directory))?;
    Ok(entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect())
}

fn remove(directory: &Path) -> Result<()> {
    match rustix::fs::unlinkat(CWD, directory, rustix::fs::AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY) => {}
        Err(errno) => return Err(Error::at("remove control group", directory)(errno)),
    }
    for child in children(directory)? {
        remove(&child)?;
    }
    match rustix::fs::unlinkat(CWD, directory, rustix::fs::AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::at("remove control group", directory)(errno)),
    }
}
/// Less than this in one read is all there is: the kernel ends a read early only where its page is nearly full of lines.
const SHORT: usize = 2048;

/// All of a control file. `stats` reads a dozen a second of each container: nobody asks for the size of what has none, nor
/// for more where there is no more.
fn whole(mut file: std::fs::File) -> std::io::Result<String> {
    use std::io::Read;
    let (mut bytes, mut have) = (vec![0; 2 * SHORT], 0);
    loop {
        let count = file.read(&mut bytes[have..])?;
        have += count;
        if count == 0 || have < SHORT {
            break;
        }
        bytes.resize(have + 2 * SHORT, 0);
    }
    bytes.truncate(have);
    String::from_utf8(bytes).map_err(std::io::Error::other)
}
