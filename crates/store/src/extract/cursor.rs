//! Walks directories by descriptor. Members come in depth-first order, so the directories on the way to the last one are
//! kept open and the next one usually costs no lookup.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// How many directories stay open at most; deeper paths reopen theirs.
const KEPT: usize = 48;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Inside what links in the middle of a path are followed: a root, and where below it the archive goes.
pub(crate) struct Scope {
    /// Absolute links start here.
    pub(crate) root: OwnedFd,
    /// The path from there to the cursor's own root.
    pub(crate) base: Vec<u8>,
}

impl Scope {
    /// Opens a directory below the cursor's root.
    pub(super) fn open(&self, below: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = [self.base.as_slice(), below].join(&b'/');
        let path: &[u8] = if path.iter().all(|byte| *byte == b'/') { b"." } else { &path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // A rename anywhere on the system can make the kernel give up a lookup that met "..".
        for _ in 0..64 {
            match rustix::fs::openat2(&self.root, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// A position below a root.
pub(super) struct Cursor {
    root: OwnedFd,
    scope: Option<Scope>,
    names: Vec<Vec<u8>>,
    /// One per name; the ones far above the position may be closed.
    open: Vec<Option<OwnedFd>>,
}

/// Told of each directory that had to be made.
type Made<'a> = &'a mut dyn FnMut(&[Vec<u8>]);

impl Cursor {
    /// Starts at `root`. Without a scope, links in the middle of a path are errors.
    pub(super) fn new(root: OwnedFd, scope: Option<Scope>) -> Self {
        Self { root, scope, names: Vec::new(), open: Vec::new() }
    }

    pub(super) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at the position.
    pub(super) fn here(&self) -> &OwnedFd {
        self.open.last().and_then(Option::as_ref).unwrap_or(&self.root)
    }

    /// Moves to a directory, making missing ones (mode 0755, owned by the caller).
    pub(super) fn enter(&mut self, path: &[&[u8]], made: Made<'_>) -> Result<()> {
        self.back_to(path)?;
        for name in &path[self.names.len()..] {
            let fd = match self.step(name) {
                Err(Errno::NOENT) => self.make(name, made)?,
                stepped => stepped.map_err(|errno| self.refused(name, errno))?,
            };
            self.push(name, fd);
        }
        Ok(())
    }

    /// Moves to a directory that may be gone; false when it is.
    pub(super) fn enter_existing(&mut self, path: &[&[u8]]) -> Result<bool> {
        self.back_to(path)?;
        for name in &path[self.names.len()..] {
            match self.step(name) {
                Ok(fd) => self.push(name, fd),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                Err(errno) => return Err(self.refused(name, errno)),
            }
        }
        Ok(true)
    }

    fn push(&mut self, name: &[u8], fd: OwnedFd) {
        self.names.push(name.to_vec());
        self.open.push(Some(fd));
        if let Some(far) = self.open.len().checked_sub(KEPT + 1) {
            self.open[far] = None;
        }
    }

    /// Goes up to the deepest directory shared with `path`.
    fn back_to(&mut self, path: &[&[u8]]) -> Result<()> {
        let shared = self.names.iter().zip(path).take_while(|(have, want)| have.as_slice() == **want).count();
        self.names.truncate(shared);
        self.open.truncate(shared);
        if !matches!(self.open.last(), Some(None)) {
            return Ok(());
        }
        // The way back is longer than what is kept open: walk down again.
        self.open.clear();
        for name in std::mem::take(&mut self.names) {
            let fd = self.step(&name).map_err(|errno| self.refused(&name, errno))?;
            self.push(&name, fd);
        }
        Ok(())
    }

    fn step(&self, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        let opened = rustix::fs::openat(self.here(), OsStr::from_bytes(name), DIRECTORY, Mode::empty());
        match (opened, &self.scope) {
            // A link: O_DIRECTORY and O_NOFOLLOW together say ENOTDIR.
            (Err(Errno::NOTDIR | Errno::LOOP), Some(scope)) => {
                scope.open(&[self.names.join(&b'/').as_slice(), name].join(&b'/'))
            }
            (opened, _) => opened,
        }
    }

    fn make(&self, name: &[u8], made: Made<'_>) -> Result<OwnedFd> {
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(self.here(), OsStr::from_bytes(name), mode).map_err(|errno| self.refused(name, errno))?;
        let mut path = self.names.clone();
        path.push(name.to_vec());
        made(&path);
        let fd = self.step(name).map_err(|errno| self.refused(name, errno))?;
        Ok(fd)
    }

    fn refused(&self, name: &[u8], errno: Errno) -> Error {
        let path = [self.names.join(&b'/').as_slice(), name].join(&b'/');
        let shown: String = String::from_utf8_lossy(&path).chars().take(300).collect();
        match errno {
            Errno::NOTDIR | Errno::LOOP => Error::malformed(format!("tar member below {shown}"), "it is no directory"),
            errno => Error::io("open", shown)(errno),
        }
    }
}
