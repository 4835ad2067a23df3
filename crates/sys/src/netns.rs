//! Network namespaces: handles on them, and doing something inside one.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::{Error, Result};

/// The caller's own network namespace.
pub fn current() -> Result<OwnedFd> {
    open(Path::new("/proc/thread-self/ns/net"))
}

/// The number of the caller's own network namespace, nobody else's as long as it lives.
pub fn number() -> Result<u64> {
    let path = Path::new("/proc/thread-self/ns/net");
    rustix::fs::stat(path).map(|stat| stat.st_ino).map_err(Error::at("look at", path))
}

/// The network namespace of a process.
pub fn of(pid: i32) -> Result<OwnedFd> {
    open(Path::new(&format!("/proc/{pid}/ns/net")))
}

/// A network namespace by the path of its procfs or bound file.
pub fn open(path: &Path) -> Result<OwnedFd> {
    File::open(path).map(OwnedFd::from).map_err(Error::at("open", path))
}

/// Moves the calling thread into a new, empty network namespace, for good; threads it starts follow it.
pub fn unshare_network() -> Result<()> {
    // A network namespace is a property of one thread; no descriptor table or memory is split off.
    #[allow(deprecated, reason = "the replacement is an unsafe function for flags this call does not use")]
    rustix::thread::unshare(UnshareFlags::NEWNET).map_err(Error::os("create", "network namespace"))
}

/// A new, empty network namespace (its loopback interface is down) that lives as long as the descriptor.
pub fn create() -> Result<OwnedFd> {
    on_thread(|| {
        unshare_network()?;
        current()
    })?
}

/// Runs `work` in another network namespace, on a thread of its own, so that the caller never leaves its own.
pub fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    on_thread(move || enter(netns).map(|()| work()))?
}

/// Runs `work` in another network namespace on the only thread of this process, and comes back.
pub fn within_here<T>(
    _witness: crate::process::SingleThreaded,
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> T,
) -> Result<T> {
    let home = current()?;
    enter(netns)?;
    let result = work();
    enter(home.as_fd())?;
    Ok(result)
}

fn enter(netns: BorrowedFd<'_>) -> Result<()> {
    rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
        .map_err(Error::os("enter", "network namespace"))
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn_scoped(scope, work)
            .map_err(Error::os("start", "thread"))?;
        thread.join().map_err(|_| Error::Malformed { object: "thread".into(), what: "it panicked".into() })
    })
}
