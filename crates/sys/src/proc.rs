//! What procfs tells about processes.

use std::path::Path;

use crate::{Error, Result};

/// The fields of `/proc/PID/stat` hako reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The program's name, at most 15 bytes.
    pub name: String,
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    /// The parent.
    pub parent: i32,
    /// When it started, in clock ticks since boot: with the pid, this names one process for ever.
    pub start_time: u64,
}

/// Reads `/proc/PID/stat`.
pub fn stat(pid: i32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(Error::os("read", &path))?;
    parse_stat(&text).ok_or(Error::Malformed { object: path, what: "unknown form".into() })
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold blanks and parentheses; the last ")" ends it.
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    Some(Stat {
        name,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// How many processors the caller may use (sched_getaffinity(2)), as Docker counts them: shares and quotas of control
/// groups do not make fewer.
pub fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1) as usize)
}

/// When a process started, in clock ticks since boot.
pub fn start_time(pid: i32) -> Result<u64> {
    stat(pid).map(|stat| stat.start_time)
}

/// The program and arguments of a process; empty for kernel threads.
pub fn command_line(pid: i32) -> Result<Vec<String>> {
    let path = format!("/proc/{pid}/cmdline");
    let bytes = std::fs::read(&path).map_err(Error::os("read", &path))?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

/// All process numbers.
pub fn pids() -> Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc").map_err(Error::os("list", "/proc"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The process the kernel last killed for want of memory in a control group, its number and name, as its log tells; none
/// if the log may not be read or has forgotten.
pub fn memory_victim(group: &str) -> Option<(u32, String)> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let log = rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok()?;
    let mut record = [0; 8192];
    let mut found = None;
    loop {
        match rustix::io::read(&log, &mut record) {
            Ok(0) => return found,
            Ok(length) => found = parse_victim(&String::from_utf8_lossy(&record[..length]), group).or(found),
            // The oldest records were overwritten while they were read.
            Err(Errno::PIPE | Errno::INTR) => {}
            Err(_) => return found,
        }
    }
}

fn parse_victim(record: &str, group: &str) -> Option<(u32, String)> {
    let (_, facts) = record.split_once("oom-kill:")?;
    let fact =
        |name: &str| facts.trim_end().split(',').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let (_, memory) = fact("task_memcg")?;
    let own = memory.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let ((_, task), (_, pid)) = (fact("task")?, fact("pid")?);
    if own { Some((pid.parse().ok()?, task.to_owned())) } else { None }
}

/// A random name of this boot of the kernel.
pub fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(std::fs::read_to_string(path).map_err(Error::at("read", path))?.trim().to_owned())
}

/// The kernel's release as major and minor number.
pub fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Undoes the octal escapes of blanks in mountinfo.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
