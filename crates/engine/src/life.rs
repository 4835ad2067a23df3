//! The engine's half of the conversation with supervisors: connections, spares, and what they tell.

mod link;
pub(crate) mod remains;
mod spares;
mod story;

pub(crate) use link::Link;
pub(crate) use spares::Spares;
pub(crate) use story::{follow, give_back, tell_endpoints, tell_journal, tell_volumes, vanished};
