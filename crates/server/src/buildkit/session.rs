//! Clients that offer what they serve, by the names they gave themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// None for one that is being opened.
    known: Mutex<HashMap<String, Option<Session>>>,
    changed: Notify,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Option<Session>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's name, which is its own as long as this lives.
pub(super) struct Name {
    sessions: Sessions,
    id: String,
}

impl Name {
    /// The session is open: builds find it.
    pub(super) fn opened(&self, session: Session) {
        self.sessions.shared.known().insert(self.id.clone(), Some(session));
        self.sessions.shared.changed.notify_waiters();
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.sessions.shared.known().remove(&self.id);
    }
}

impl Sessions {
    /// Takes a name; none if another session has it, from which nobody takes it away.
    pub(super) fn name(&self, id: &str) -> Option<Name> {
        match self.shared.known().entry(id.to_owned()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(None),
        };
        Some(Name { sessions: self.clone(), id: id.to_owned() })
    }

    /// The session of that name, which may be on its way.
    pub(super) async fn find(&self, id: &str) -> Result<Session, Status> {
        let looking = async {
            loop {
                let changed = self.shared.changed.notified();
                let found = self.shared.known().get(id).cloned().flatten();
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
