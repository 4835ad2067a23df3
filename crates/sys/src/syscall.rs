//! The system calls neither the standard library nor rustix wraps, one small function each.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::process::ForkOptions;

/// A set of kinds of namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    /// No namespace.
    pub const NONE: Self = Self(0);
    /// Mounts.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Process numbers.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// Host and domain name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// Network.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    /// The view of cgroups.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    /// User and group numbers.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// Clocks that count from boot. The libc crate does not name its bit.
    pub const TIME: Self = Self(0x80);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every kind of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kernel's flag bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The libc crate's constant of this name overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks. `None` in the child; in the parent the child's pid and pidfd.
///
/// # Safety
/// The process has one thread, or the child does nothing but async-signal-safe calls.
pub(crate) unsafe fn clone3(options: &ForkOptions<'_>) -> io::Result<Option<(i32, OwnedFd)>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid clone_args.
    let mut arguments: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    arguments.flags = options.namespaces.bits() | libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd).addr() as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if options.sibling {
        arguments.flags |= libc::CLONE_PARENT as u64;
        arguments.exit_signal = 0;
    }
    if let Some(cgroup) = options.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure is initialised and outlives the call; without CLONE_VM the child has its own copy of memory.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Some((i32::try_from(pid).unwrap_or(0), pidfd)))
}

/// Forks by the oldest call; like [`clone3`] otherwise.
///
/// # Safety
/// As for [`clone3`].
pub(crate) unsafe fn fork() -> io::Result<Option<(i32, OwnedFd)>> {
    // SAFETY: the caller's promise.
    let pid = checked(unsafe { libc::fork() }.into())?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: no pointers. The child is not reaped yet, so the number is still its own.
    let pidfd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the call returned a new descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(i32::try_from(pidfd).unwrap_or(-1)) };
    Ok(Some((i32::try_from(pid).unwrap_or(0), pidfd)))
}

/// `pidfd_send_signal` with any signal number, real-time ones included.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null info asks the kernel to fill it as kill(2) does.
    checked(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) }).map(drop)
}

/// A set of signals by number.
pub(crate) fn signal_mask(signals: &[i32]) -> libc::sigset_t {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set is initialised; a wrong number is refused and leaves it unchanged.
        unsafe { libc::sigaddset(mask.as_mut_ptr(), *signal) };
    }
    // SAFETY: initialised by sigemptyset.
    unsafe { mask.assume_init() }
}

/// Blocks signals in the calling thread.
pub(crate) fn block(mask: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, mask, ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Asks for the kernel's words beside an error number, and for short acknowledgements. Old kernels lack both; nothing
/// depends on them.
pub(crate) fn explain_netlink_errors(fd: BorrowedFd<'_>) {
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let _ = set_option(fd, libc::SOL_NETLINK, option, 1);
    }
}

/// Joins a netlink multicast group.
pub(crate) fn join_netlink_group(fd: BorrowedFd<'_>, group: u32) -> io::Result<()> {
    set_option(fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group.cast_signed())
}

/// Lets a socket hear only what a classic BPF program of (code, jump if true, jump if false, value) admits.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|(code, jt, jf, k)| libc::sock_filter { code: *code, jt: *jt, jf: *jf, k: *k }).collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let whole = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the option's value is a live sock_fprog that points to `len` live instructions; the kernel copies them.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const whole).cast(), size)
    };
    checked(result.into()).map(drop)
}

fn set_option(fd: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value is a live i32 of the given size.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), size) };
    checked(result.into()).map(drop)
}

unsafe extern "C" {
    /// Of glibc since 2.34; the libc crate does not name it.
    fn posix_spawn_file_actions_addclosefrom_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        from: libc::c_int,
    ) -> libc::c_int;
}

/// Fork and exec in one, safe from any thread. Descriptors from `close_from` on are closed.
pub(crate) fn posix_spawn(
    path: &CString,
    arguments: &[CString],
    environment: &[CString],
    fds: &[(BorrowedFd<'_>, i32)],
    close_from: i32,
    session: bool,
) -> io::Result<i32> {
    let mut actions = MaybeUninit::uninit();
    let mut attributes = MaybeUninit::uninit();
    let mut flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
    if session {
        // The value of POSIX_SPAWN_SETSID in glibc, which the libc crate does not name.
        flags |= 0x80;
    }
    let empty = signal_mask(&[]);
    let all = every_signal();
    let mut pid = 0;
    let argv = pointers(arguments);
    let envp = pointers(environment);
    // SAFETY: both objects are initialised before use and destroyed once; all strings and sets outlive the call.
    let code = unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawnattr_init(attributes.as_mut_ptr());
        for (fd, number) in fds {
            libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), fd.as_raw_fd(), *number);
        }
        posix_spawn_file_actions_addclosefrom_np(actions.as_mut_ptr(), close_from);
        libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags as libc::c_short);
        libc::posix_spawnattr_setsigmask(attributes.as_mut_ptr(), &raw const empty);
        libc::posix_spawnattr_setsigdefault(attributes.as_mut_ptr(), &raw const all);
        let code = libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            actions.as_ptr(),
            attributes.as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
        );
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        libc::posix_spawnattr_destroy(attributes.as_mut_ptr());
        code
    };
    if code == 0 { Ok(pid) } else { Err(io::Error::from_raw_os_error(code)) }
}

fn every_signal() -> libc::sigset_t {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the whole set.
    unsafe {
        libc::sigfillset(mask.as_mut_ptr());
        mask.assume_init()
    }
}

fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// Installs a seccomp filter; the result is a descriptor if the flags ask for one.
pub(crate) fn seccomp_filter(program: &[crate::seccomp::Instruction], flags: u32) -> io::Result<i32> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: Instruction has sock_filter's layout; the kernel copies `length` of them and writes nothing.
    let fd = checked(unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const filter) })?;
    Ok(i32::try_from(fd).unwrap_or(-1))
}

/// `mount_setattr` on the mount at a descriptor.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    change_mount(mount, [set, clear, propagation, 0], recursive)
}

/// `MOUNT_ATTR_IDMAP` on the mount at a descriptor: numbers on it are read through a user namespace's mappings.
pub(crate) fn mount_idmap(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    const IDMAP: u64 = 0x10_0000;
    change_mount(mount, [IDMAP, 0, 0, u64::from(namespace.as_raw_fd().cast_unsigned())], recursive)
}

fn change_mount(mount: BorrowedFd<'_>, change: [u64; 4], recursive: bool) -> io::Result<()> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let number = libc::SYS_mount_setattr;
    // SAFETY: the empty path and the four words of the structure outlive the call.
    let result =
        unsafe { libc::syscall(number, mount.as_raw_fd(), c"".as_ptr(), flags, change.as_ptr(), size_of_val(&change)) };
    checked(result).map(drop)
}

/// Closes every descriptor from `first` to `last`, or only marks them close-on-exec.
pub(crate) fn close_range(first: u32, last: u32, mark_only: bool) -> io::Result<()> {
    let flags = if mark_only { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: no pointers. That no owner of a closed number uses it again is the caller's documented duty.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Default actions for all signals, none blocked.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: default is a valid action; numbers that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = signal_mask(&[]);
    // SAFETY: the set is initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// `strsignal`.
pub(crate) fn describe_signal(signal: i32) -> String {
    // SAFETY: the text is read before anybody else asks; it ends with a zero.
    let text = unsafe { libc::strsignal(signal).as_ref().map(|text| std::ffi::CStr::from_ptr(text)) };
    text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
}

/// Lets each of the signals end the process with exit code 128 and its number.
pub(crate) fn end_on(signals: &[i32]) {
    extern "C" fn end(signal: i32) {
        // SAFETY: may be called in a signal handler, and does not return.
        unsafe { libc::_exit(128 + signal) }
    }
    let handler: extern "C" fn(i32) = end;
    for signal in signals {
        // SAFETY: the handler calls nothing but `_exit`.
        unsafe { libc::signal(*signal, handler as libc::sighandler_t) };
    }
}

/// `sync_file_range` of the whole file, without waiting.
pub(crate) fn begin_writeback(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) }.into()).map(drop)
}

/// `malloc_trim`.
pub(crate) fn trim_heap() {
    // SAFETY: takes a number only; the allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

/// `madvise(MADV_DONTNEED)` on mapped program text.
pub(crate) fn forget_text(range: std::ops::Range<usize>) {
    // SAFETY: the caller knows the range for a file's pages that nobody can have written to, so that the kernel finds the
    // same bytes in the file.
    unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
}

/// `setdomainname`.
pub(crate) fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are of one live string.
    checked(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// `execve`; returns only on failure.
pub(crate) fn execve(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let argv = pointers(arguments);
    let envp = pointers(environment);
    // SAFETY: both arrays end with null and point to live strings.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()) };
    io::Error::last_os_error()
}

/// Waits for a signal of the set; returns its number.
pub(crate) fn wait_signal(mask: &libc::sigset_t) -> io::Result<i32> {
    // SAFETY: the set is initialised; no information is asked for.
    let signal = unsafe { libc::sigwaitinfo(mask, ptr::null_mut()) };
    checked(signal.into()).map(|_| signal)
}

/// `dup2`-like: `fd` gets the number, inheritable.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // dup2 onto itself would leave close-on-exec set.
        // SAFETY: only flags of an open descriptor change.
        return checked(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: the numbers given are the standard streams, which no Rust value owns.
    checked(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// Joins an anonymous session keyring, so that the caller's keys are not the container's.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>()) })
        .map(drop)
}

/// Brings up the loopback interface of the current network namespace.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    request.ifr_name[0] = b'l'.cast_signed();
    request.ifr_name[1] = b'o'.cast_signed();
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is a live ifreq with name and flags set.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// Bytes sent on a socket that its peer has not taken yet (`SIOCOUTQ`; for unix sockets with the kernel's overhead).
pub(crate) fn unread_by_peer(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) }.into())?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// `kill` with any signal number, real-time ones included.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// `sched_setattr` on the calling thread.
pub(crate) fn sched_setattr(wanted: &crate::own::Scheduling) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: wanted.policy,
        flags: wanted.flags,
        nice: wanted.nice,
        priority: wanted.priority,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    };
    // SAFETY: the structure has the layout of the kernel's first version and outlives the call.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// `ioprio_set` on the calling process.
pub(crate) fn ioprio_set(priority: u32) -> io::Result<()> {
    const PROCESS: i32 = 1;
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, priority) }).map(drop)
}

/// `personality`.
pub(crate) fn personality(domain: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::personality(libc::c_ulong::from(domain)) }.into()).map(drop)
}

/// `set_mempolicy` with a mask of 1024 nodes.
pub(crate) fn set_mempolicy(mode: i32, mask: &[u64; 16]) -> io::Result<()> {
    let nodes = if mask.iter().all(|word| *word == 0) { ptr::null() } else { mask.as_ptr() };
    // SAFETY: the kernel reads at most the bits announced, one less than there are.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes, 1024) }).map(drop)
}

/// `struct fsxattr`: what file systems keep of a file beside its mode.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) flags: u32,
    pub(crate) extent_size: u32,
    pub(crate) extents: u32,
    pub(crate) project: u32,
    pub(crate) copy_extent_size: u32,
    pub(crate) padding: [u8; 8],
}

/// `struct if_dqblk`: limits in blocks of 1024 bytes, space in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskQuota {
    pub(crate) hard_blocks: u64,
    pub(crate) soft_blocks: u64,
    pub(crate) space: u64,
    pub(crate) hard_inodes: u64,
    pub(crate) soft_inodes: u64,
    pub(crate) inodes: u64,
    pub(crate) block_time: u64,
    pub(crate) inode_time: u64,
    pub(crate) valid: u32,
}

/// `struct fs_quota_stat`, of which only the flags matter here; the kernel writes 80 bytes.
#[repr(C, align(8))]
struct QuotaState {
    version: i8,
    flags: u16,
    rest: [u8; 124],
}

/// The kind of quota that counts projects (`PRJQUOTA`).
const PROJECTS: u32 = 2;
const GET_QUOTA: u32 = 0x80_0007;
const SET_QUOTA: u32 = 0x80_0008;
/// `Q_XGETQSTAT`, which all file systems with quotas answer.
const GET_STATE: u32 = ((b'X' as u32) << 8) + 5;
/// `_IOR('X', 31, struct fsxattr)` and `_IOW('X', 32, struct fsxattr)`.
const GET_ATTRIBUTES: u64 = 0x801c_581f;
const SET_ATTRIBUTES: u64 = 0x401c_5820;

pub(crate) fn attributes(file: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut found = Attributes::default();
    // SAFETY: the kernel writes one fsxattr.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), GET_ATTRIBUTES as _, &raw mut found) }.into())?;
    Ok(found)
}

pub(crate) fn set_attributes(file: BorrowedFd<'_>, wanted: &Attributes) -> io::Result<()> {
    // SAFETY: the kernel reads one fsxattr.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), SET_ATTRIBUTES as _, &raw const *wanted) }.into()).map(drop)
}

/// `quotactl_fd` (Linux 5.14) about projects on the file system of an open file.
fn quotactl<T>(file: BorrowedFd<'_>, command: u32, project: u32, value: *mut T) -> io::Result<()> {
    let command = command << 8 | PROJECTS;
    // SAFETY: callers pass the structure their command reads or writes, alive for the call.
    checked(unsafe { libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), command, project, value) }).map(drop)
}

pub(crate) fn quota(file: BorrowedFd<'_>, project: u32) -> io::Result<DiskQuota> {
    let mut found = DiskQuota::default();
    quotactl(file, GET_QUOTA, project, &raw mut found)?;
    Ok(found)
}

pub(crate) fn set_quota(file: BorrowedFd<'_>, project: u32, wanted: &DiskQuota) -> io::Result<()> {
    let mut wanted = *wanted;
    quotactl(file, SET_QUOTA, project, &raw mut wanted)
}

/// Which quotas a file system counts and enforces.
pub(crate) fn quota_state(file: BorrowedFd<'_>) -> io::Result<u16> {
    let mut state = QuotaState { version: 0, flags: 0, rest: [0; 124] };
    quotactl(file, GET_STATE, 0, &raw mut state)?;
    let _ = (state.version, state.rest);
    Ok(state.flags)
}
