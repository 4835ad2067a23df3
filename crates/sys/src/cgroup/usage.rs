//! What a group has used: the numbers behind `stats`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::{Group, Version};
use crate::poll::Interest;
use crate::{Error, Result};

/// Everything counted for a group. What the host does not count is zero or absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// Tasks now.
    pub pids: u64,
    /// The most tasks allowed; absent if unlimited.
    pub pids_limit: Option<u64>,
    /// Block devices.
    pub block_io: BlockIoUsage,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// All of it.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub kernel: u64,
    /// By processor (v1 only).
    pub per_cpu: Vec<u64>,
    /// Enforcement periods that went by.
    pub periods: u64,
    /// Periods in which the group was held back.
    pub throttled_periods: u64,
    /// How long it was held back.
    pub throttled: u64,
}

/// Memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Now, page cache included.
    pub usage: u64,
    /// The most there ever was (v1 only).
    pub max_usage: u64,
    /// How often the limit was hit.
    pub failures: u64,
    /// The limit; absent if unlimited.
    pub limit: Option<u64>,
    /// The kernel's own detailed numbers.
    pub stats: BTreeMap<String, u64>,
}

/// Block device counters: (major, minor, operation, value), operations as the kernel writes them in v1 (`Read`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIoUsage {
    /// Bytes.
    pub bytes: Vec<(u64, u64, String, u64)>,
    /// Operations.
    pub operations: Vec<(u64, u64, String, u64)>,
}

/// A group's counters. They outlive the group, and are then zero.
#[derive(Debug)]
pub struct Counters {
    version: Version,
    /// By controller; on v2 there is one for all.
    directories: Vec<(&'static str, OwnedFd)>,
}

impl Counters {
    /// Reads all of them.
    pub fn usage(&self) -> Usage {
        let unified = self.version == Version::V2;
        Usage {
            cpu: if unified { self.cpu_v2() } else { self.cpu_v1() },
            memory: if unified { self.memory_v2() } else { self.memory_v1() },
            pids: self.number("pids", "pids.current"),
            pids_limit: self.get("pids", "pids.max").ok().and_then(|text| text.parse().ok()),
            block_io: if unified { self.block_io_v2() } else { self.block_io_v1() },
        }
    }

    /// One of a controller's files, without the final line feed.
    fn get(&self, controller: &str, file: &str) -> std::io::Result<String> {
        let directory = self.directories.iter().find(|(name, _)| self.version == Version::V2 || *name == controller);
        let (_, directory) = directory.ok_or(std::io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut text = super::whole(File::from(rustix::fs::openat(directory, file, flags, Mode::empty())?))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    fn number(&self, controller: &str, file: &str) -> u64 {
        self.get(controller, file).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn table(&self, controller: &str, file: &str) -> BTreeMap<String, u64> {
        self.get(controller, file).map(|text| keyed(&text)).unwrap_or_default()
    }

    fn cpu_v1(&self) -> CpuUsage {
        let times = self.table("cpu", "cpu.stat");
        let per_cpu = self.get("cpuacct", "cpuacct.usage_percpu").unwrap_or_default();
        let per_cpu: Vec<u64> = per_cpu.split_ascii_whitespace().filter_map(|text| text.parse().ok()).collect();
        // What the kernel adds up for `cpuacct.usage`, `usage_user` and `usage_sys`, in two files instead of four.
        let [user, kernel] = columns(&self.get("cpuacct", "cpuacct.usage_all").unwrap_or_default());
        CpuUsage {
            total: per_cpu.iter().sum(),
            user,
            kernel,
            per_cpu,
            periods: entry(&times, "nr_periods"),
            throttled_periods: entry(&times, "nr_throttled"),
            throttled: entry(&times, "throttled_time"),
        }
    }

    fn cpu_v2(&self) -> CpuUsage {
        let times = self.table("cpu", "cpu.stat");
        CpuUsage {
            total: entry(&times, "usage_usec") * 1000,
            user: entry(&times, "user_usec") * 1000,
            kernel: entry(&times, "system_usec") * 1000,
            per_cpu: Vec::new(),
            periods: entry(&times, "nr_periods"),
            throttled_periods: entry(&times, "nr_throttled"),
            throttled: entry(&times, "throttled_usec") * 1000,
        }
    }

    fn memory_v1(&self) -> MemoryUsage {
        // "Unlimited" is the largest multiple of the page size a signed number holds.
        let limit = self.number("memory", "memory.limit_in_bytes");
        MemoryUsage {
            usage: self.number("memory", "memory.usage_in_bytes"),
            max_usage: self.number("memory", "memory.max_usage_in_bytes"),
            failures: self.number("memory", "memory.failcnt"),
            limit: (limit > 0 && limit < 1 << 62).then_some(limit),
            stats: self.table("memory", "memory.stat"),
        }
    }

    fn memory_v2(&self) -> MemoryUsage {
        MemoryUsage {
            usage: self.number("memory", "memory.current"),
            max_usage: self.number("memory", "memory.peak"),
            failures: entry(&self.table("memory", "memory.events"), "max"),
            limit: self.get("memory", "memory.max").ok().and_then(|text| text.parse().ok()),
            stats: self.table("memory", "memory.stat"),
        }
    }

    fn block_io_v1(&self) -> BlockIoUsage {
        let read = |file: &str| self.get("blkio", file).map(|text| serviced(&text)).unwrap_or_default();
        BlockIoUsage {
            bytes: read("blkio.throttle.io_service_bytes_recursive"),
            operations: read("blkio.throttle.io_serviced_recursive"),
        }
    }

    fn block_io_v2(&self) -> BlockIoUsage {
        let text = self.get("io", "io.stat").unwrap_or_default();
        let mut usage = BlockIoUsage::default();
        for line in text.lines() {
            let Some((device, rest)) = line.split_once(' ') else { continue };
            let Some((major, minor)) = numbers(device) else { continue };
            for (key, value) in rest.split(' ').filter_map(|part| part.split_once('=')) {
                let value = value.parse().unwrap_or(0);
                match key {
                    "rbytes" => usage.bytes.push((major, minor, "read".into(), value)),
                    "wbytes" => usage.bytes.push((major, minor, "write".into(), value)),
                    "rios" => usage.operations.push((major, minor, "read".into(), value)),
                    "wios" => usage.operations.push((major, minor, "write".into(), value)),
                    _ => {}
                }
            }
        }
        usage
    }
}

/// The controllers that count.
const COUNTING: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "blkio"];

impl Group {
    /// What is counted, to be read as often as wanted: the group's directories are looked up once.
    pub fn counters(&self) -> Counters {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |(name, path)| Some((name, rustix::fs::open::<PathBuf>(path, flags, Mode::empty()).ok()?));
        let version = self.version();
        let directories = match version {
            Version::V2 => self.directories().take(1).filter_map(|path| open(("", path))).collect(),
            Version::V1 => {
                let of = |name: &&'static str| Some((*name, self.directory(name)?));
                COUNTING.iter().filter_map(of).filter_map(open).collect()
            }
        };
        Counters { version, directories }
    }

    /// Reads everything that is counted.
    pub fn usage(&self) -> Usage {
        self.counters().usage()
    }

    fn table(&self, controller: &str, file: &str) -> BTreeMap<String, u64> {
        self.get(controller, file).map(|text| keyed(&text)).unwrap_or_default()
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.version() == Version::V2 { "memory.events" } else { "memory.oom_control" };
        entry(&self.table("memory", file), "oom_kill")
    }

    /// Tells when the kernel kills a process of the group for want of memory.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let unified = self.version() == Version::V2;
        let (fd, interest) = match unified {
            true => (self.events()?, Interest::Priority),
            false => (self.watch_oom_control()?, Interest::Read),
        };
        let mut watch = OomWatch { group: self.clone(), fd, interest, seen: 0, over: false };
        watch.take();
        Ok(watch)
    }

    /// The file itself tells of its changes, to whoever polls it. (The kernel lets a user have 128 inotify instances.)
    fn events(&self) -> Result<OwnedFd> {
        let path = self.controller("memory")?.join("memory.events");
        File::open(&path).map(OwnedFd::from).map_err(Error::at("open", &path))
    }

    fn watch_oom_control(&self) -> Result<OwnedFd> {
        use rustix::event::EventfdFlags;
        let path = self.controller("memory")?.join("memory.oom_control");
        let control = File::open(&path).map_err(Error::at("open", &path))?;
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(Error::at("watch", &path))?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        self.set("memory", "cgroup.event_control", &line)?;
        Ok(event)
    }
}

/// Polled for its [`interest`](Self::interest), it wakes when the kernel may have killed a process of the group for want of
/// memory.
#[derive(Debug)]
pub struct OomWatch {
    group: Group,
    fd: OwnedFd,
    interest: Interest,
    seen: u64,
    over: bool,
}

impl OomWatch {
    /// What to wait for: v2's file is always readable, and tells of a change by `POLLPRI`.
    pub fn interest(&self) -> Interest {
        self.interest
    }

    /// Whether the group is gone, and the descriptor will do nothing but wake.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// How many processes were killed since the last call. v1 also wakes when the group is removed.
    pub fn take(&mut self) -> u64 {
        let mut buffer = [0; 4096];
        // Only takes note of what woke; the count is what says something.
        match self.interest {
            Interest::Priority => self.over = rustix::io::pread(&self.fd, &mut buffer, 0).is_err(),
            _ => drop(rustix::io::read(&self.fd, &mut buffer)),
        }
        let now = self.group.oom_kills();
        let new = now.saturating_sub(self.seen);
        self.seen = self.seen.max(now);
        new
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn entry(table: &BTreeMap<String, u64>, key: &str) -> u64 {
    table.get(key).copied().unwrap_or(0)
}

/// The sums of the second and the third of the columns in `cpuacct.usage_all`, a line for each processor below a heading.
fn columns(text: &str) -> [u64; 2] {
    let mut sums = [0; 2];
    for line in text.lines().skip(1) {
        for (sum, word) in sums.iter_mut().zip(line.split(' ').skip(1)) {
            *sum += word.parse().unwrap_or(0);
        }
    }
    sums
}

/// Lines of a word and a number.
fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

fn numbers(device: &str) -> Option<(u64, u64)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines of `major:minor Operation value`; the totals without device are left out.
fn serviced(text: &str) -> Vec<(u64, u64, String, u64)> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = numbers(words.next()?)?;
        Some((major, minor, words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_over_processors() {
        assert_eq!(columns("cpu user system\n0 10 3\n1 20 4\n"), [30, 7]);
        assert_eq!(columns("cpu user system\n"), [0, 0]);
        assert_eq!(columns(""), [0, 0]);
    }
}
