//! Processes: fork in a single-threaded process, pidfds, signals, exits, starting a program with given descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Error, Result};

pub use crate::syscall::Namespaces;

/// Evidence that this process has one thread, so that a forked child may run ordinary code.
#[derive(Clone, Copy, Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Looks at the kernel's thread list of this process.
    pub fn check() -> Result<Self> {
        let stat = rustix::fs::stat("/proc/self/task").map_err(Error::os("stat", "/proc/self/task"))?;
        // A directory has two links and one more for each directory in it, here one a thread.
        match usize::try_from(stat.st_nlink).unwrap_or(usize::MAX).saturating_sub(2) {
            1 => Ok(Self(())),
            threads => Err(Error::Threads { threads }),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// The code a shell would give: 128 and the signal's number for a killed process.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What the C library says of a signal, in lower case, e.g. `bad system call`.
pub fn signal_meaning(signal: i32) -> String {
    crate::syscall::describe_signal(signal).to_lowercase()
}

/// A process held by its descriptor; it does not die with this value.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
}

impl Process {
    /// Holds a running process. The pid may be reused: compare [`crate::proc::start_time`] afterwards if that matters.
    pub fn open(pid: i32) -> Result<Self> {
        let known = Pid::from_raw(pid).ok_or(Errno::SRCH).map_err(Error::os("open", format!("process {pid}")))?;
        let pidfd = rustix::process::pidfd_open(known, PidfdFlags::empty())
            .map_err(Error::os("open", format!("process {pid}")))?;
        Ok(Self { pid, pidfd })
    }

    /// Takes over a pid and its descriptor.
    pub fn from_parts(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Takes over a descriptor; the number is the one this process's own procfs knows.
    pub fn of_descriptor(pidfd: OwnedFd) -> Result<Self> {
        let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
        let text = std::fs::read_to_string(&path).map_err(Error::at("read", path.as_ref()))?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        match number.filter(|number| *number > 0) {
            Some(pid) => Ok(Self { pid, pidfd }),
            None => Err(Error::Malformed { object: path, what: "it names no process of this namespace".into() }),
        }
    }

    /// The number, in this process's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The descriptor: readable once the process ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// A second holder of the same process.
    pub fn try_clone(&self) -> Result<Self> {
        let pidfd = self.pidfd.try_clone().map_err(Error::os("duplicate", "pidfd"))?;
        Ok(Self { pid: self.pid, pidfd })
    }

    /// Sends a signal by number; `ESRCH` when the process has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        crate::syscall::pidfd_send_signal(self.pidfd.as_fd(), signal)
            .map_err(Error::os("signal", format!("process {}", self.pid)))
    }

    /// Whether the process still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        crate::poll::wait_one(&self.pidfd, crate::poll::Interest::Read, Some(std::time::Duration::ZERO))
            .is_ok_and(|ended| !ended)
    }

    /// Waits for the end of a child and reaps it.
    pub fn wait(&self) -> Result<Exit> {
        loop {
            if let Some(exit) = self.reap(WaitIdOptions::EXITED)? {
                return Ok(exit);
            }
        }
    }

    /// Reaps a child if it has ended.
    pub fn try_wait(&self) -> Result<Option<Exit>> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn reap(&self, options: WaitIdOptions) -> Result<Option<Exit>> {
        let status = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options))
            .map_err(Error::os("wait for", format!("process {}", self.pid)))?;
        Ok(status.map(|status| {
            status.exit_status().map_or_else(|| Exit::Signal(status.terminating_signal().unwrap_or(0)), Exit::Code)
        }))
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// How a fork differs from its parent.
#[derive(Debug, Default)]
pub struct ForkOptions<'a> {
    /// The namespaces the child gets new ones of.
    pub namespaces: Namespaces,
    /// The cgroup v2 directory the child is born into.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The child becomes a sibling of the caller.
    pub sibling: bool,
}

impl ForkOptions<'_> {
    fn is_plain(&self) -> bool {
        self.namespaces.is_empty() && self.cgroup.is_none() && !self.sibling
    }
}

/// Forks; the child runs `child` and exits with its code. No destructor of the caller's values runs in the child.
pub fn fork(_witness: SingleThreaded, options: &ForkOptions<'_>, child: impl FnOnce() -> i32) -> Result<Process> {
    // SAFETY: the witness says there is one thread, so no lock can be held by another one in the child's copy.
    let forked = match unsafe { crate::syscall::clone3(options) } {
        // A system call filter may know only the older call, which has no room for options.
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) && options.is_plain() => {
            // SAFETY: as above.
            unsafe { crate::syscall::fork() }
        }
        forked => forked,
    };
    match forked.map_err(Error::os("fork", "process"))? {
        None => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(70);
            // SAFETY: `_exit` ends the child at once; the parent's exit handlers are not the child's to run.
            unsafe { libc::_exit(code) }
        }
        Some((pid, pidfd)) => Ok(Process { pid, pidfd }),
    }
}

/// Starts a program with chosen descriptors; usable from any thread (`posix_spawn`: fork and exec in one).
#[derive(Debug)]
pub struct Program<'a> {
    path: std::ffi::CString,
    arguments: Vec<std::ffi::CString>,
    environment: Vec<std::ffi::CString>,
    fds: Vec<(BorrowedFd<'a>, i32)>,
    session: bool,
    /// Holds the mount the path leads to.
    sealed: Option<OwnedFd>,
}

impl<'a> Program<'a> {
    /// A program by its path, with no arguments but its own name, no environment and no descriptors.
    pub fn new(path: &std::path::Path) -> Result<Self> {
        let path = text(path.as_os_str().as_encoded_bytes())?;
        Ok(Self {
            arguments: vec![path.clone()],
            path,
            environment: Vec::new(),
            fds: Vec::new(),
            session: false,
            sealed: None,
        })
    }

    /// This process's own binary, with `name` as its first argument.
    ///
    /// It is executed from a read-only mount of itself that nobody else has, so that a container which gets hold of
    /// a forked stage's `/proc/PID/exe` holds nothing it can write to. (Without the privilege to mount there are no
    /// containers either, and the binary is executed as it is.)
    pub fn own(name: &str) -> Result<Self> {
        let path = std::path::Path::new("/proc/self/exe");
        let sealed = crate::mount::copy_tree(path, false).and_then(|copy| {
            let (set, clear) = (crate::mount::Attributes::READ_ONLY, crate::mount::Attributes::NONE);
            crate::mount::set_attributes(copy.as_fd(), set, clear, false)?;
            // A high number: low ones may be given to the program ([`Program::fd`]) before it is executed.
            rustix::io::fcntl_dupfd_cloexec(&copy, 512).map_err(Error::os("duplicate", "own binary"))
        });
        let mut program = match &sealed {
            Ok(copy) => Self::new(std::path::Path::new(&crate::file::fd_path(copy.as_fd())))?,
            Err(_) => Self::new(path)?,
        };
        program.arguments = vec![text(name.as_bytes())?];
        program.sealed = sealed.ok();
        Ok(program)
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(mut self, arguments: I) -> Result<Self> {
        for argument in arguments {
            self.arguments.push(text(argument.as_ref().as_encoded_bytes())?);
        }
        Ok(self)
    }

    /// Makes these all of its arguments, its own name included.
    pub fn argv<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(mut self, arguments: I) -> Result<Self> {
        self.arguments.clear();
        self.args(arguments)
    }

    /// Adds an environment variable by its `NAME=value` text.
    pub fn env_pair(mut self, pair: &str) -> Result<Self> {
        self.environment.push(text(pair.as_bytes())?);
        Ok(self)
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &std::ffi::OsStr) -> Result<Self> {
        let mut pair = name.as_bytes().to_vec();
        pair.push(b'=');
        pair.extend_from_slice(value.as_encoded_bytes());
        self.environment.push(text(&pair)?);
        Ok(self)
    }

    /// Gives the program a descriptor under a number. Numbers are given in the order of the calls, so a source must not
    /// itself have a number that an earlier call gave away.
    pub fn fd(mut self, fd: BorrowedFd<'a>, number: i32) -> Self {
        self.fds.push((fd, number));
        self
    }

    /// Makes the program the leader of a new session, away from the caller's terminal.
    pub fn session(mut self) -> Self {
        self.session = true;
        self
    }

    /// Starts it with an empty signal mask and default signal actions. Beside the standard streams it inherits only
    /// what it was given, also of descriptors this process itself inherited without knowing.
    pub fn spawn(&self) -> Result<Process> {
        let name = match self.sealed {
            Some(_) => "own binary".to_owned(),
            None => self.path.to_string_lossy().into_owned(),
        };
        let mut fds = self.fds.clone();
        let first_free = fds.iter().map(|(_, number)| *number).fold(2, i32::max) + 1;
        let mut path = self.path.clone();
        if let Some(sealed) = &self.sealed {
            // The path must still lead somewhere when all else is closed.
            fds.push((sealed.as_fd(), first_free));
            path = text(format!("/proc/self/fd/{first_free}").as_bytes())?;
        }
        let rest = first_free + i32::from(self.sealed.is_some());
        let pid = crate::syscall::posix_spawn(&path, &self.arguments, &self.environment, &fds, rest, self.session)
            .map_err(Error::os("start", name))?;
        Process::open(pid)
    }
}

/// Executes this process's own binary anew, with the same arguments, environment and descriptors, from a read-only mount
/// of it that nobody else has. Returns when that is already so.
pub fn seal_own_binary() -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new("/proc/self/exe");
    let stat = rustix::fs::statvfs(path).map_err(Error::at("stat", path))?;
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let copy = crate::mount::copy_tree(path, false)?;
    let (set, clear) = (crate::mount::Attributes::READ_ONLY, crate::mount::Attributes::NONE);
    crate::mount::set_attributes(copy.as_fd(), set, clear, false)?;
    let arguments = std::env::args_os().map(|argument| text(argument.as_bytes())).collect::<Result<Vec<_>>>()?;
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        text(&[name.as_bytes(), b"=", value.as_bytes()].concat())
    };
    let environment = std::env::vars_os().map(pair).collect::<Result<Vec<_>>>()?;
    let sealed = text(crate::file::fd_path(copy.as_fd()).as_bytes())?;
    Err(Error::os("execute", "own binary")(crate::syscall::execve(&sealed, &arguments, &environment)))
}

fn text(bytes: &[u8]) -> Result<std::ffi::CString> {
    std::ffi::CString::new(bytes)
        .map_err(|error| Error::Malformed { object: "program argument".into(), what: error.to_string() })
}

/// Gives up a descriptor number that this process inherited, so that it is owned exactly once.
///
/// Returns `None` when the number is not open. The descriptor is made close-on-exec. Meant for numbers agreed with
/// the process that started this one (`--fd N`, `LISTEN_FDS`), each taken once, before any other descriptor is made.
pub fn take_inherited(number: i32) -> Option<OwnedFd> {
    if number < 3 {
        return None;
    }
    // SAFETY: F_SETFD touches only flags of a descriptor that may or may not be open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: the number is open (checked above) and by contract inherited, so nothing in this process owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A raw number for texts such as `--fd N`; the descriptor stays owned by the caller.
pub fn number_of(fd: BorrowedFd<'_>) -> i32 {
    fd.as_raw_fd()
}
