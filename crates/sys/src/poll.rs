//! Waiting for many things at once: epoll, timers and signals as descriptors.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use crate::{Error, Result};

/// What to wake for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, connections or an end to read.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
    /// Nothing but the other end going away, which is always told.
    Closed,
    /// `EPOLLPRI`: an exceptional condition, e.g. a changed kernel file.
    Priority,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN | EventFlags::RDHUP,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP,
            Self::Closed => EventFlags::empty(),
            Self::Priority => EventFlags::PRI,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token given when the descriptor was added.
    pub token: u64,
    /// Something can be read (or an end has come).
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// The other end closed its writing side or went away, or there is an error to collect.
    pub closed: bool,
    /// An exceptional condition (`EPOLLPRI`).
    pub priority: bool,
}

/// A set of watched descriptors.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Self> {
        epoll::create(CreateFlags::CLOEXEC).map(Self).map_err(Error::os("create", "epoll"))
    }

    /// Watches `fd`; events carry `token`.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.0, fd, EventData::new_u64(token), interest.flags()).map_err(Error::os("watch", "descriptor"))
    }

    /// Changes what a watched descriptor wakes for.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.0, fd, EventData::new_u64(token), interest.flags())
            .map_err(Error::os("rewatch", "descriptor"))
    }

    /// Stops watching. Needed before closing a descriptor that has duplicates.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        epoll::delete(&self.0, fd).map_err(Error::os("unwatch", "descriptor"))
    }

    /// Waits until something happens or the time is over, and appends to `events`. Returns early on a signal.
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 32];
        let timeout = timeout.map(timespec);
        let ready = match epoll::wait(&self.0, &mut space[..], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            waited => waited.map_err(Error::os("wait for", "events"))?.0,
        };
        events.extend(ready.iter().map(|event| said(event.data.u64(), event.flags)));
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn said(token: u64, flags: EventFlags) -> Event {
    let closed = flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
    Event {
        token,
        readable: flags.intersects(EventFlags::IN | EventFlags::HUP),
        writable: flags.contains(EventFlags::OUT),
        closed,
        priority: flags.contains(EventFlags::PRI),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// Waits for one descriptor; `false` when the time is over first.
pub fn wait_one(fd: impl AsFd, interest: Interest, timeout: Option<Duration>) -> Result<bool> {
    let flags = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
        Interest::Both => PollFlags::IN | PollFlags::OUT,
        Interest::Closed => PollFlags::empty(),
        Interest::Priority => PollFlags::PRI,
    };
    let deadline = timeout.map(|timeout| std::time::Instant::now() + timeout);
    loop {
        let left = deadline.map(|end| timespec(end.saturating_duration_since(std::time::Instant::now())));
        let mut fds = [PollFd::new(&fd, flags)];
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            polled => return polled.map(|count| count > 0).map_err(Error::os("wait for", "descriptor")),
        }
    }
}

/// A one-shot or repeating timer on the monotonic clock, readable when it is over.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// A timer that is not set.
    pub fn new() -> Result<Self> {
        rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
            .map(Self)
            .map_err(Error::os("create", "timer"))
    }

    /// Fires once after `delay`; `None` unsets. A delay of zero fires at once.
    pub fn set(&self, delay: Option<Duration>) -> Result<()> {
        self.arm(delay, Duration::ZERO)
    }

    /// Fires every `period`.
    pub fn set_repeating(&self, period: Duration) -> Result<()> {
        self.arm(Some(period), period)
    }

    fn arm(&self, delay: Option<Duration>, period: Duration) -> Result<()> {
        // An all-zero value disarms, so "now" is one nanosecond.
        let delay = delay.map_or(Duration::ZERO, |delay| delay.max(Duration::from_nanos(1)));
        let value = Itimerspec { it_interval: timespec(period), it_value: timespec(delay) };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &value)
            .map(drop)
            .map_err(Error::os("set", "timer"))
    }

    /// Takes note that it fired: how often since the last call; 0 when it did not.
    pub fn take(&self) -> Result<u64> {
        let mut count = [0; 8];
        match rustix::io::read(&self.0, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(errno) => Err(Error::os("read", "timer")(errno)),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A received signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Who sent it.
    pub pid: i32,
}

/// Signals blocked for the whole process and read from a descriptor instead.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the given signal numbers in this thread (and threads and children made later) and reads them here.
    pub fn new(signals: &[i32]) -> Result<Self> {
        let mask = crate::syscall::signal_mask(signals);
        crate::syscall::block(&mask).map_err(Error::os("block", "signals"))?;
        // SAFETY: `mask` is an initialised signal set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::os("create", "signal descriptor")(std::io::Error::last_os_error()));
        }
        // SAFETY: the call succeeded, so `fd` is a new descriptor nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal; `None` when there is none.
    pub fn take(&self) -> Result<Option<Received>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = std::mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes into `info`.
        let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(read) == Ok(size) {
            // SAFETY: the kernel filled the whole structure.
            let info = unsafe { info.assume_init() };
            return Ok(Some(Received { signal: info.ssi_signo.cast_signed(), pid: info.ssi_pid.cast_signed() }));
        }
        let error = std::io::Error::last_os_error();
        match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Ok(None),
            _ => Err(Error::os("read", "signals")(error)),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
