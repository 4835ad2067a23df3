//! Clients that close their sending side before they have the answer, as `nc` and `socat` do: the connection shows its end
//! only once the answer is sent. A client that is gone altogether is noticed at once, and what it waited for is dropped.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::Connection;
use crate::reply::{Body, Broken, Reply};

/// How many answers a connection still owes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    owed: AtomicUsize,
    /// Whoever is to be told that nothing is owed any more.
    reader: Mutex<Option<Waker>>,
}

/// An answer that is owed as long as this lives.
#[derive(Debug)]
struct Owed(Arc<Shared>);

impl Drop for Owed {
    fn drop(&mut self) {
        if self.0.owed.fetch_sub(1, Ordering::SeqCst) == 1 {
            let reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }
}

/// One request on its way to its answer.
#[derive(Debug)]
pub(crate) struct Errand {
    patience: Patience,
    owed: Option<Owed>,
}

impl Errand {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, owed: None }
    }

    /// From now on the end of the client's side does not break it off.
    pub(crate) fn begin(&mut self) {
        self.patience.shared.owed.fetch_add(1, Ordering::SeqCst);
        self.owed = Some(Owed(self.patience.shared.clone()));
    }

    /// Keeps the answer owed until its body is sent.
    pub(crate) fn accompany(self, reply: Reply) -> Reply {
        reply.map(|body| Accompanied { body, _errand: self }.boxed_unsync())
    }
}

/// A body and the errand it ends.
struct Accompanied {
    body: Body,
    _errand: Errand,
}

impl hyper::body::Body for Accompanied {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that keeps its end to itself while answers are owed.
#[derive(Debug)]
pub(crate) struct Patient {
    connection: Connection,
    patience: Patience,
    ended: bool,
}

impl Patient {
    pub(crate) fn new(connection: Connection, patience: Patience) -> Self {
        Self { connection, patience, ended: false }
    }

    pub(crate) fn into_inner(self) -> Connection {
        self.connection
    }

    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.patience.shared;
        *shared.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        // Looked at after the waker is in place, so that the last answer is not missed.
        if shared.owed.load(Ordering::SeqCst) > 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Whether the client closed both sides. TCP cannot tell, so there an end is an end.
    fn is_gone(&self) -> bool {
        let Connection::Unix(stream) = &self.connection else { return true };
        let mut fds = [PollFd::new(stream, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return self.poll_end(cx);
        }
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        std::task::ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        if buffer.filled().len() > before || room == 0 || self.is_gone() {
            return Poll::Ready(Ok(()));
        }
        self.ended = true;
        self.poll_end(cx)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
