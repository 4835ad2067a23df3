//! Events: the live stream and the history.

mod filter;
mod history;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_model::event::{Event, Kind};
use hako_model::filter::Filters;
use hako_model::time::Timestamp;
use tokio::sync::watch;

use self::history::History;
use crate::Result;
use crate::clock::now;

/// How many of the last events are kept in memory. A listener that is further behind reads the history on disk.
const RECENT: usize = 2048;

/// Where events are told. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    past: Mutex<Past>,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

struct Past {
    history: History,
    recent: VecDeque<(u64, Arc<Event>)>,
    last: u64,
}

impl Hub {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let recorded = history::tail(path, RECENT);
        let last = recorded.last().map_or(0, |(number, _)| *number);
        let mut recent = VecDeque::with_capacity(RECENT);
        recent.extend(recorded.into_iter().map(|(number, event)| (number, Arc::new(event))));
        let past = Mutex::new(Past { history: History::open(path)?, recent, last });
        Ok(Self { shared: Arc::new(Shared { path: path.to_owned(), past, last: watch::Sender::new(last) }) })
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.shared.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that something happened now.
    pub(crate) fn tell(&self, kind: Kind, action: impl Into<String>, id: &str, attributes: BTreeMap<String, String>) {
        self.tell_event(Event::new(kind, action, id, attributes, now()));
    }

    /// Tells an event, with its own time.
    pub(crate) fn tell_event(&self, event: Event) {
        let mut past = self.past();
        let number = past.last + 1;
        past.last = number;
        past.history.append(number, &event);
        if past.recent.len() == RECENT {
            past.recent.pop_front();
        }
        past.recent.push_back((number, Arc::new(event)));
        drop(past);
        self.shared.last.send_replace(number);
    }

    /// Whether this very event was told before: a supervisor repeats what it does not know was heard.
    pub(crate) fn knows(&self, id: &str, time: Timestamp, verb: &str) -> bool {
        self.remembers(id, time, verb, |event| event.time_nano == time.nanos())
    }

    /// Whether such an event of something that exists since `time` was ever told.
    pub(crate) fn has_told(&self, id: &str, time: Timestamp, verb: &str) -> bool {
        self.remembers(id, time, verb, |_| true)
    }

    /// What is older than all that is kept in memory was told: an engine that was away has missed only what is newer
    /// than everything it knows.
    fn remembers(&self, id: &str, time: Timestamp, verb: &str, is_it: impl Fn(&Event) -> bool) -> bool {
        let past = self.past();
        // Unless the clock was set back: then what is new seems old.
        let set_back = past.recent.back().is_some_and(|(_, newest)| newest.moment() > now());
        let forgotten = past.recent.len() == RECENT && !set_back;
        if forgotten && past.recent.front().is_some_and(|(_, oldest)| time < oldest.moment()) {
            return true;
        }
        let mut events = past.recent.iter().rev().map(|(_, event)| event);
        events.any(|event| event.actor.id == id && event.verb() == verb && is_it(event))
    }

    /// The events after number `after`, as many as are at hand.
    fn after(&self, after: u64) -> Vec<(u64, Arc<Event>)> {
        let past = self.past();
        match past.recent.front() {
            Some((first, _)) if *first > after + 1 => {}
            _ => return past.recent.iter().filter(|(number, _)| *number > after).cloned().collect(),
        }
        drop(past);
        let recorded = history::read(&self.shared.path, after);
        recorded.into_iter().map(|(number, event)| (number, Arc::new(event))).collect()
    }

    /// Tells that something was told.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.shared.last.subscribe()
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.shared.last.receiver_count()
    }
}

/// The event verbs. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    hub: Hub,
}

impl Events {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
    }

    /// Events that pass the filters: those of the past from `since` on (when given), then live ones until `until`
    /// (without end when absent).
    pub async fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> Result<Subscription> {
        let watching = self.hub.shared.last.subscribe();
        let cursor = if since.is_some() { 0 } else { self.hub.past().last };
        // Docker tells the past also when only its end was asked for.
        let cursor = if since.is_none() && until.is_some_and(|until| until <= now()) { 0 } else { cursor };
        Ok(Subscription {
            hub: self.hub.clone(),
            watching,
            cursor,
            since,
            until,
            filters,
            pending: VecDeque::new(),
            numbered: false,
        })
    }
}

/// A stream of events.
pub struct Subscription {
    hub: Hub,
    watching: watch::Receiver<u64>,
    cursor: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    filters: Filters,
    pending: VecDeque<(u64, Arc<Event>)>,
    numbered: bool,
}

impl Subscription {
    /// Tells numbers as well; with `after`, goes on behind an event that was heard before.
    #[must_use]
    pub fn numbered(mut self, after: Option<u64>) -> Self {
        self.numbered = true;
        if let Some(after) = after {
            (self.cursor, self.since) = (after, None);
        }
        self
    }

    /// The next event; `None` at `until`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((number, event)) = self.pending.pop_front() {
                return Some(Event { number: self.numbered.then_some(number), ..Event::clone(&event) });
            }
            self.watching.borrow_and_update();
            self.take_in();
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.watching.changed() => changed.ok()?,
                () = over(self.until) => return None,
            }
        }
    }

    fn take_in(&mut self) {
        for (number, event) in self.hub.after(self.cursor) {
            self.cursor = number;
            let time = event.moment();
            let timely = self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until);
            if timely && filter::admits(&self.filters, &event) {
                self.pending.push_back((number, event));
            }
        }
    }
}

/// Ends at `until`; never when there is none.
async fn over(until: Option<Timestamp>) {
    match until {
        Some(until) => tokio::time::sleep(until.since(now())).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
