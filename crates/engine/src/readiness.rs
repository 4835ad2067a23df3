//! Waiting until a descriptor that is no file of tokio's own (a packet socket, an inotify instance) has something to say.

use std::io;
use std::os::fd::BorrowedFd;

use tokio::io::Interest;
use tokio::net::UnixStream;

/// A descriptor watched by the runtime. It watches a duplicate, so the owner may do with its own what it likes.
///
/// Registered as a stream socket, which to the runtime is nothing but a descriptor to poll; its safe door for arbitrary
/// ones does not exist any more.
pub(crate) struct Readiness {
    stream: UnixStream,
}

impl Readiness {
    /// Watches a non-blocking descriptor. Must be called on the runtime.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let duplicate = std::os::unix::net::UnixStream::from(fd.try_clone_to_owned()?);
        Ok(Self { stream: UnixStream::from_std(duplicate)? })
    }

    /// Waits until there may be something to read; then read until there is nothing left.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await?;
        self.forget(Interest::READABLE);
        Ok(())
    }

    /// Waits until there may be room to write.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await?;
        self.forget(Interest::WRITABLE);
        Ok(())
    }

    /// What was told is taken note of; only what comes later wakes again.
    fn forget(&self, interest: Interest) {
        let _ = self.stream.try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}
