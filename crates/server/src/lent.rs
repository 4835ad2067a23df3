//! What a client on this host lends the daemon: files it holds open, named by the number of its descriptor.
//!
//! Only a client that is root by the kernel's word may: what the daemon may open need not be others' to read or write.
//! Anything else is refused with 403, and the client sends bytes instead.

use std::fs::File;
use std::os::fd::OwnedFd;

use http::StatusCode;
use rustix::fs::{FileType, Mode, OFlags};

use crate::failure::Failure;
use crate::listen::Peer;

/// A directory.
pub(crate) fn directory(peer: Option<Peer>, fd: i32) -> Result<OwnedFd, Failure> {
    open(peer, fd, OFlags::RDONLY | OFlags::DIRECTORY, "context cannot be read in place")
}

/// A directory that holds a build cache.
pub(crate) fn cache(peer: Option<Peer>, fd: i32) -> Result<OwnedFd, Failure> {
    open(peer, fd, OFlags::RDONLY | OFlags::DIRECTORY, "the cache's directory cannot be used in place")
}

/// A socket.
pub(crate) fn agent(peer: Option<Peer>, fd: i32) -> Result<OwnedFd, Failure> {
    open(peer, fd, OFlags::PATH, "the ssh agent cannot be lent")
}

/// A regular file, read or written from its beginning.
pub(crate) fn file(peer: Option<Peer>, fd: Option<i64>, flags: OFlags) -> Result<File, Failure> {
    let what = "the file cannot be lent";
    let fd = fd.and_then(|fd| i32::try_from(fd).ok()).unwrap_or(-1);
    let opened = open(peer, fd, flags | OFlags::NONBLOCK, what)?;
    let kind = rustix::fs::fstat(&opened).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if kind != Ok(FileType::RegularFile) {
        return Err(refused(what, "it is no regular file"));
    }
    Ok(opened.into())
}

fn refused(what: &str, why: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, format!("{what}: {why}"))
}

fn open(peer: Option<Peer>, fd: i32, flags: OFlags, what: &str) -> Result<OwnedFd, Failure> {
    let peer = peer.ok_or_else(|| refused(what, "the client is not on this host"))?;
    if peer.uid != 0 || peer.pid <= 0 || fd < 0 {
        return Err(refused(what, "the client is not root"));
    }
    let path = format!("/proc/{}/fd/{fd}", peer.pid);
    rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| refused(what, &errno.to_string()))
}
