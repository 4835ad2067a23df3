//! Events: the live stream and the history.

use hako_model::event::Event;
use hako_model::filter::Filters;
use hako_model::time::Timestamp;

use crate::Result;

/// The event verbs. Cheap to clone.
#[derive(Clone)]
pub struct Events {}

impl Events {
    /// Events that pass the filters: those of the past from `since` on (when given), then live ones until `until`
    /// (without end when absent).
    pub async fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> Result<Subscription> {
        todo!()
    }
}

/// A stream of events.
pub struct Subscription {}

impl Subscription {
    /// The next event; `None` at `until`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        todo!()
    }
}
