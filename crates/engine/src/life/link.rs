//! One connection to one supervisor: requests get their replies, events go to whoever follows.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hako_supervisor::Handle;
use hako_supervisor::handle::Received;
use hako_supervisor::protocol::{Answer, Ask, Event, Failure, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::readiness::Readiness;
use crate::{Error, Result};

type Reply = std::result::Result<Answer, Failure>;

/// A connection to a supervisor. Its reading half runs as a task of its own until the supervisor is gone.
pub(crate) struct Link {
    handle: Handle,
    readiness: Readiness,
    next: AtomicU64,
    /// Requests without a reply; none once the supervisor is gone.
    pending: Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>,
    events: Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
    /// Waits for the process, once the connection is at its end.
    reaper: Mutex<Option<JoinHandle<()>>>,
    /// The group its seed waited in: still there if it was killed before it had a container.
    seat: Option<String>,
}

impl Link {
    /// Wraps a connection and begins to read. Must be called on the runtime.
    pub(crate) fn new(handle: Handle) -> Result<Arc<Self>> {
        Self::with_seat(handle, None)
    }

    /// The same to a supervisor whose seed waits in the control group `seat`.
    pub(crate) fn with_seat(handle: Handle, seat: Option<String>) -> Result<Arc<Self>> {
        let readiness = Readiness::of(handle.as_fd()).map_err(|e| Error::io("watch supervisor", e))?;
        let (tell, events) = mpsc::unbounded_channel();
        let link = Arc::new(Self {
            handle,
            readiness,
            next: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            events: Mutex::new(Some(events)),
            reaper: Mutex::default(),
            seat,
        });
        tokio::spawn(read(Arc::clone(&link), tell));
        Ok(link)
    }

    /// The events, for the one who follows; they end when the supervisor is gone.
    pub(crate) fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the supervisor is still there.
    pub(crate) fn is_open(&self) -> bool {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends the conversation; a spare leaves then, a supervisor with a container goes on.
    pub(crate) fn dismiss(&self) {
        // Fails only when the other side has gone already.
        let _ = rustix::net::shutdown(&self.handle, rustix::net::Shutdown::Both);
    }

    /// Waits until the supervisor is gone, with the control group of its seed; at once if somebody follows it.
    ///
    /// The connection of one that was dismissed is at its end before the process is.
    pub(crate) async fn ended(&self) {
        let Some(mut events) = self.events() else { return };
        while events.recv().await.is_some() {}
        let reaper = self.reaper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reaper) = reaper {
            // It cannot fail but by being cancelled, when nobody waits any more.
            let _ = reaper.await;
        }
    }

    /// Asks and waits for the reply. Failures keep their kind.
    pub(crate) async fn ask(&self, ask: Ask, fds: Vec<OwnedFd>) -> Result<Reply> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (send, reply) = oneshot::channel();
        match self.pending.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(pending) => drop(pending.insert(id, send)),
            None => return Err(vanished()),
        }
        let bytes = encode(id, ask)?;
        self.send(&bytes, &fds).await?;
        reply.await.map_err(|_| vanished())
    }

    async fn send(&self, bytes: &[u8], fds: &[OwnedFd]) -> Result<()> {
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let failed = |e: hako_supervisor::Error| Error::io("tell supervisor", e);
        // Nearly always there is room, and then nothing waits.
        if self.handle.send_encoded(bytes, &borrowed).map_err(failed)? {
            return Ok(());
        }
        loop {
            self.readiness.writable().await.map_err(|e| Error::io("wait for supervisor", e))?;
            if self.handle.send_encoded(bytes, &borrowed).map_err(failed)? {
                return Ok(());
            }
        }
    }

    /// Takes every message that is there; false when the supervisor is gone.
    fn take_in(&self, tell: &mpsc::UnboundedSender<Event>) -> bool {
        loop {
            match self.handle.receive() {
                Ok(Received::Message(message)) => self.dispatch(*message, tell),
                Ok(Received::Nothing) => return true,
                Ok(Received::Closed) => return false,
                Err(error) => {
                    tracing::warn!(%error, "supervisor connection lost");
                    return false;
                }
            }
        }
    }

    fn dispatch(&self, message: Message, tell: &mpsc::UnboundedSender<Event>) {
        match message {
            Message::Reply { id, result } => {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(waiting) = pending.as_mut().and_then(|pending| pending.remove(&id)) {
                    // Whoever asked may have gone.
                    let _ = waiting.send(result);
                }
            }
            Message::Event(event) => drop(tell.send(event)),
        }
    }

    /// Forgets all who wait, which tells them, and reaps the process if it was this engine's.
    fn close(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(process) = self.handle.process().and_then(|p| p.try_clone().ok()) else { return };
        let seat = self.seat.clone();
        let reaper = tokio::task::spawn_blocking(move || {
            // How it ended says nothing: what counts is what it left.
            let _ = process.wait();
            if let Some(seat) = seat {
                super::remains::clear_path(&seat);
            }
        });
        *self.reaper.lock().unwrap_or_else(PoisonError::into_inner) = Some(reaper);
    }
}

async fn read(link: Arc<Link>, tell: mpsc::UnboundedSender<Event>) {
    while link.readiness.readable().await.is_ok() && link.take_in(&tell) {}
    link.close();
}

fn encode(id: u64, ask: Ask) -> Result<Vec<u8>> {
    let request = hako_supervisor::protocol::Request { v: hako_supervisor::protocol::VERSION, id, ask };
    serde_json::to_vec(&request).map_err(|e| Error::io("encode request", e))
}

fn vanished() -> Error {
    Error::system("ask supervisor: it is gone")
}
