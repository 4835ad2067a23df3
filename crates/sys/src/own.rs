//! Changing the calling process itself: what a forked stage does to become a container's process.
//!
//! Everything here is for a process that is about to execute a program and owns little.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::thread::{Gid, LinkNameSpaceType, ThreadNameSpaceType, Uid, UnshareFlags};

use crate::process::Namespaces;
use crate::{Error, Result};

/// Nobody but a tracer with privileges over the whole host may look into this process or open its binary.
pub fn hide() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Error::os("hide", "process"))
}

/// The kernel kills this process when its parent ends. Undone by changes of user and set-uid programs.
pub fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Error::os("bind", "process to parent"))
}

/// This process goes on when its parent ends.
pub fn outlive_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(None).map_err(Error::os("free", "process from parent"))
}

/// Default signal actions, nothing blocked.
pub fn reset_signals() {
    crate::syscall::reset_signals();
}

/// Lets the signals that ask a process to end do so: the first process of a pid namespace does not hear them otherwise.
/// What is executed later has the default actions again.
pub fn end_when_asked() {
    crate::syscall::end_on(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM]);
}

/// Gives memory that was freed back to the kernel: after a burst, the allocator keeps what it needed at the peak. The
/// program's text leaves the process, too; what is needed again comes back from the page cache.
pub fn trim_memory() {
    crate::syscall::trim_heap();
    for range in text_ranges(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        crate::syscall::forget_text(range);
    }
}

/// Where files are mapped for execution, by the lines of `/proc/PID/maps`. What could ever be written to is left out.
fn text_ranges(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, mode, inode) = (fields.next()?, fields.next()?, fields.nth(2)?);
        let (from, to) = range.split_once('-')?;
        let text = mode == "r-xp" && inode != "0";
        text.then_some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
    })
}

/// Large blocks of memory go back to the kernel as soon as they are freed: for small processes that live long.
pub fn keep_memory_small() {
    const LARGE: i32 = 64 * 1024;
    // SAFETY: the call only sets parameters of the allocator, which it guards itself.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// All threads share so many heaps: the allocator would make one for each of a burst, and none of them ever quite empty.
pub fn share_heaps(count: i32) {
    // SAFETY: the call only sets a parameter of the allocator, which it guards itself.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
}

/// In a fresh fork: keeps one descriptor beside the standard streams and the `inherited` ones that follow them, and
/// closes all others.
///
/// Everything of the parent's that was copied by the fork and owns a descriptor must never be used or dropped here.
pub fn keep_only(fd: BorrowedFd<'_>, inherited: u32) -> Result<OwnedFd> {
    let number = 3 + inherited;
    let kept = i32::try_from(number).unwrap_or(i32::MAX);
    crate::syscall::duplicate_to(fd, kept).map_err(Error::os("keep", "descriptor"))?;
    crate::syscall::close_range(number + 1, u32::MAX, false).map_err(Error::os("close", "descriptors"))?;
    // SAFETY: by contract no value of this process that owned the number is used any more.
    let kept = unsafe { OwnedFd::from_raw_fd(kept) };
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::CLOEXEC).map_err(Error::os("keep", "descriptor"))?;
    Ok(kept)
}

/// Marks every descriptor but the standard streams and the `inherited` ones that follow them close-on-exec.
pub fn close_rest_on_exec(inherited: u32) -> Result<()> {
    crate::syscall::close_range(3 + inherited, u32::MAX, true).map_err(Error::os("mark", "descriptors"))
}

/// Makes a descriptor a standard stream: 0, 1 or 2.
pub fn set_standard_stream(fd: BorrowedFd<'_>, number: i32) -> Result<()> {
    if !(0..=2).contains(&number) {
        return Err(Error::os("set", format!("standard stream {number}"))(rustix::io::Errno::BADF));
    }
    crate::syscall::duplicate_to(fd, number).map_err(Error::os("set", "standard stream"))
}

/// Leaves shared namespaces for new ones.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    let flags = UnshareFlags::from_bits_retain(u32::try_from(namespaces.bits()).unwrap_or(0));
    // Only CLONE_NEW* bits fit in Namespaces: memory and descriptors stay shared as they are.
    #[allow(deprecated, reason = "the replacement is an unsafe function for flags this call cannot have")]
    rustix::thread::unshare(flags).map_err(Error::os("create", "namespaces"))
}

/// Joins one namespace by its procfs or bound file, which must be one of this kind: what a caller believes to be a name
/// for one must not lead into another. Pid and time namespaces take effect for children.
pub fn join(namespace: BorrowedFd<'_>, kind: Namespaces) -> Result<()> {
    let kinds = [
        (Namespaces::MOUNT, LinkNameSpaceType::Mount, "mount"),
        (Namespaces::PID, LinkNameSpaceType::ProcessID, "pid"),
        (Namespaces::IPC, LinkNameSpaceType::InterProcessCommunication, "ipc"),
        (Namespaces::UTS, LinkNameSpaceType::HostNameAndNISDomainName, "uts"),
        (Namespaces::NETWORK, LinkNameSpaceType::Network, "network"),
        (Namespaces::CGROUP, LinkNameSpaceType::ControlGroup, "cgroup"),
        (Namespaces::USER, LinkNameSpaceType::User, "user"),
        (Namespaces::TIME, LinkNameSpaceType::Time, "time"),
    ];
    let known = kinds.into_iter().find(|(bits, _, _)| *bits == kind);
    let (_, kind, name) = known.ok_or(rustix::io::Errno::INVAL).map_err(Error::os("join", "namespace"))?;
    rustix::thread::move_into_link_name_space(namespace, Some(kind))
        .map_err(Error::os("join", format!("{name} namespace")))
}

/// Joins namespaces of a process. A pid namespace takes effect for children.
pub fn join_process(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> Result<()> {
    let kinds = ThreadNameSpaceType::from_bits_retain(u32::try_from(namespaces.bits()).unwrap_or(0));
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds).map_err(Error::os("join", "namespaces of process"))
}

/// Brings up the loopback interface of the caller's network namespace.
pub fn loopback_up() -> Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(Error::os("open", "socket"))?;
    crate::syscall::loopback_up(socket.as_fd()).map_err(Error::os("bring up", "loopback interface"))
}

/// Whether this process is in the user namespace that the kernel was started with, whose root may make devices.
pub fn is_first_user_namespace() -> bool {
    // The kernel gives the first one a fixed number.
    const FIRST: u64 = 0xEFFF_FFFD;
    rustix::fs::stat("/proc/self/ns/user").map_or(true, |stat| stat.st_ino == FIRST)
}

/// Sets the host name of the caller's UTS namespace.
pub fn set_host_name(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).map_err(Error::os("set", "host name"))
}

/// Sets the NIS domain name of the caller's UTS namespace.
pub fn set_domain_name(name: &str) -> Result<()> {
    crate::syscall::set_domain_name(name).map_err(Error::os("set", "domain name"))
}

/// Starts an empty session keyring. Kernels without keys have none to leak.
pub fn leave_keyring() {
    let _ = crate::syscall::new_session_keyring();
}

/// Makes the supplementary groups exactly these. A user namespace may forbid that; having none is then as good as setting
/// none.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    let wanted: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&wanted) {
        Err(rustix::io::Errno::PERM)
            if groups.is_empty() && rustix::process::getgroups().is_ok_and(|had| had.is_empty()) =>
        {
            Ok(())
        }
        set => set.map_err(Error::os("set", "supplementary groups")),
    }
}

/// Changes group and user, all three numbers of each, for good.
pub fn become_user(uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(Error::os("set", "group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(Error::os("set", "user"))
}

/// Programs executed from now on gain no privileges.
pub fn renounce_new_privileges() -> Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(Error::os("set", "no_new_privs"))
}

/// Sets a resource limit by its name, e.g. `RLIMIT_NOFILE`; `u64::MAX` is unlimited.
pub fn set_limit(name: &str, soft: u64, hard: u64) -> Result<()> {
    let resource = match name.strip_prefix("RLIMIT_").unwrap_or(name) {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return Err(Error::Malformed { object: format!("resource limit {name:?}"), what: "unknown".into() }),
    };
    let value = |number: u64| (number != u64::MAX).then_some(number);
    let limit = Rlimit { current: value(soft), maximum: value(hard) };
    setrlimit(resource, limit).map_err(Error::os("set", format!("resource limit {name}")))
}

/// The soft limit on open files from before it was lifted.
static OPEN_FILES: OnceLock<u64> = OnceLock::new();

/// Lifts the soft limit on open files to the hard one: a daemon has some for each container, and shells give 1,024.
/// What it starts should have the limit from before, [`former_open_files`]: select(2) knows no descriptor above 1,023.
pub fn lift_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok()
    {
        let _ = OPEN_FILES.set(limit.current.unwrap_or(u64::MAX));
    }
}

/// The soft limit on open files that [`lift_open_files`] found; `None` if there was nothing to lift.
pub fn former_open_files() -> Option<u64> {
    OPEN_FILES.get().copied()
}

/// Sets the soft limit on open files and leaves the hard one.
pub fn limit_open_files(soft: u64) -> Result<()> {
    let limit = Rlimit { current: Some(soft), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).map_err(Error::os("set", "limit on open files"))
}

/// The working directory as the kernel sees it; `None` if it lies outside the root.
pub fn working_directory() -> Result<Option<String>> {
    let path = rustix::process::getcwd(Vec::new()).map_err(Error::os("read", "working directory"))?;
    let path = path.to_string_lossy().into_owned();
    Ok(path.starts_with('/').then_some(path))
}

/// Puts this process under a scheduling policy.
pub fn schedule(wanted: &Scheduling) -> Result<()> {
    crate::syscall::sched_setattr(wanted).map_err(Error::os("set", "scheduling policy"))
}

/// A scheduling policy in the numbers of `sched_setattr(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// The policy's number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// Niceness, for the ordinary policies.
    pub nice: i32,
    /// Priority, for the real-time policies.
    pub priority: u32,
    /// Nanoseconds of processor time in each period.
    pub runtime: u64,
    /// Nanoseconds until that must be had.
    pub deadline: u64,
    /// Nanoseconds of a period.
    pub period: u64,
}

/// Sets this process's input and output priority: class 1 (real time), 2 (best effort) or 3 (idle), level 0 to 7.
pub fn set_io_priority(class: u32, level: u32) -> Result<()> {
    crate::syscall::ioprio_set(class << 13 | level).map_err(Error::os("set", "input and output priority"))
}

/// Sets the execution domain (`personality(2)`).
pub fn set_personality(domain: u32) -> Result<()> {
    crate::syscall::personality(domain).map_err(Error::os("set", "execution domain"))
}

/// Binds this process to processors, by number.
pub fn set_affinity(cpus: &[usize]) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus {
        if *cpu >= rustix::thread::CpuSet::MAX_CPU {
            return Err(Error::Malformed { object: format!("processor {cpu}"), what: "number out of range".into() });
        }
        set.set(*cpu);
    }
    rustix::thread::sched_setaffinity(None, &set).map_err(Error::os("bind to", format!("processors {cpus:?}")))
}

/// Lets this process run on every processor its control group allows.
pub fn free_affinity() -> Result<()> {
    let mut all = rustix::thread::CpuSet::new();
    (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    rustix::thread::sched_setaffinity(None, &all).map_err(Error::os("bind to", "all processors"))
}

/// Says from which memory nodes this process is to get memory (`set_mempolicy(2)`): the mode with its flags, and nodes.
pub fn set_memory_policy(mode: i32, nodes: &[u32]) -> Result<()> {
    let mut mask = [0_u64; 16];
    for node in nodes {
        let word = mask.get_mut(*node as usize / 64).ok_or_else(|| Error::Malformed {
            object: format!("memory node {node}"),
            what: "number out of range".into(),
        })?;
        *word |= 1 << (node % 64);
    }
    crate::syscall::set_mempolicy(mode, &mask).map_err(Error::os("set", "memory policy"))
}

/// Replaces this process's program. Returns only if that fails.
pub fn execute(path: &OsStr, arguments: &[String], environment: &[String]) -> Error {
    let object = path.to_string_lossy().into_owned();
    let texts = |list: &[String]| {
        list.iter().map(|text| CString::new(text.as_bytes())).collect::<std::result::Result<Vec<_>, _>>()
    };
    let converted =
        CString::new(path.as_encoded_bytes()).and_then(|path| Ok((path, texts(arguments)?, texts(environment)?)));
    match converted {
        Ok((path, arguments, environment)) => {
            Error::os("exec", object)(crate::syscall::execve(&path, &arguments, &environment))
        }
        Err(error) => Error::Malformed { object, what: error.to_string() },
    }
}

/// The signals a set of numbers names, blocked here and waited for one at a time.
#[derive(Debug)]
pub struct Awaited(libc::sigset_t);

impl Awaited {
    /// Blocks every signal that can be.
    pub fn all() -> Result<Self> {
        let numbers: Vec<i32> = (1..=64).collect();
        let mask = crate::syscall::signal_mask(&numbers);
        crate::syscall::block(&mask).map_err(Error::os("block", "signals"))?;
        Ok(Self(mask))
    }

    /// Waits for the next one.
    pub fn next(&self) -> Result<i32> {
        loop {
            match crate::syscall::wait_signal(&self.0) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                waited => return waited.map_err(Error::os("wait for", "signal")),
            }
        }
    }
}

/// Ends this process at once, without running exit handlers.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Names this process in the process list, at most 15 bytes.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Lets the process list show other arguments for this process, as far as there is room where its own ones lie. `procfs`
/// must be known to be one: what it says is where memory is written.
pub fn show_arguments(procfs: BorrowedFd<'_>, arguments: &[&str]) -> Result<()> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::openat(procfs, "self/stat", flags, rustix::fs::Mode::empty());
    let mut text = String::new();
    let read = file.map_err(std::io::Error::from).and_then(|file| File::from(file).read_to_string(&mut text));
    read.map_err(Error::os("read", "self/stat"))?;
    let Some((start, room)) = arguments_in(&text) else { return Ok(()) };
    let shown: Vec<u8> = arguments.iter().flat_map(|word| word.bytes().chain([0])).take(room - 1).collect();
    let start = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel says that the arguments lie there: on this process's own stack, writable, and read by nobody
    // else, since this process has one thread and has parsed them.
    unsafe {
        std::ptr::write_bytes(start, 0, room);
        std::ptr::copy_nonoverlapping(shown.as_ptr(), start, shown.len());
    }
    Ok(())
}

/// Where a process's arguments lie and how long they are: fields 48 and 49 of its `stat`.
fn arguments_in(stat: &str) -> Option<(usize, usize)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(45);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then(|| (start, end - start))
}

/// Makes a terminal the controlling one of this session.
pub fn control_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    crate::pty::control(terminal)
}

/// Makes this process the leader of a group of its own, in the foreground if there is a terminal.
pub fn lead_group(terminal: bool) {
    // Failures leave the process in its parent's group, where it works as well but for job control.
    if rustix::process::setpgid(None, None).is_ok() && terminal {
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
    }
}

/// Closes everything but the standard streams. Nothing that owned a closed descriptor may be used or dropped later.
pub fn close_from_standard() -> Result<()> {
    crate::syscall::close_range(3, u32::MAX, false).map_err(Error::os("close", "descriptors"))
}

/// Sends a signal by number to a process.
pub fn signal(pid: i32, signal: i32) -> Result<()> {
    crate::syscall::kill(pid, signal).map_err(Error::os("signal", format!("process {pid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_lie_where_the_kernel_says() {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (start, room) = arguments_in(&text).unwrap();
        let length: usize = std::fs::read("/proc/self/cmdline").unwrap().len();
        assert!(start > 0 && room == length, "{room} {length}");
        assert_eq!(arguments_in("1 (a) b) S 0"), None);
        assert_eq!(arguments_in(&format!("1 (a) S{}", " 0".repeat(50))), None);
    }

    #[test]
    fn text_is_told_from_data() {
        let maps = "00200000-0085f000 r--p 00000000 fe:00 12 /bin/hako\n00860000-0225d000 r-xp 0065f000 fe:00 12 /bin/hako\n\
                    0225d000-02262000 r--p 0205b000 fe:00 12 /bin/hako\n02263000-0226a000 rwxp 02060000 fe:00 12 /bin/hako\n\
                    7ffc1000-7ffc3000 r-xp 00000000 00:00 0 [vdso]\n";
        assert!(text_ranges(maps).eq(std::iter::once(0x86_0000..0x225_d000)));
        // This very function comes back.
        trim_memory();
    }
}
