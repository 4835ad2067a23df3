//! Clients that offer what they serve, by the names they gave themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hako_buildkit::Status;
use hako_buildkit::caller::Caller;
use tokio::sync::Notify;

/// How long a build waits for its client's session, which comes on a connection of its own.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that can be asked.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) caller: Caller,
    /// The same for all builds of one context on one machine; not more than a hint.
    pub(super) shared_key: String,
}

/// All of them. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<HashMap<String, Session>>,
    changed: Notify,
}

/// A session that is known as long as this lives.
pub(super) struct Known {
    sessions: Sessions,
    id: String,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.sessions.shared.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Sessions {
    /// Whether a session has that name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Adds a session; none if another has its name, which nobody takes away from it.
    pub(super) fn add(&self, id: String, session: Session) -> Option<Known> {
        match self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(session),
        };
        self.shared.changed.notify_waiters();
        Some(Known { sessions: self.clone(), id })
    }

    /// The session of that name, which may be on its way.
    pub(super) async fn find(&self, id: &str) -> Result<Session, Status> {
        let looking = async {
            loop {
                let changed = self.shared.changed.notified();
                let found = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
                match found {
                    Some(session) => return session,
                    None => changed.await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.map_err(|_| Status::unavailable(format!("no active session for {id}")))
    }
}
