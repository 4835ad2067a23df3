//! Commands about the daemon itself.

pub(crate) mod dial;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod install;
pub(crate) mod usage;
pub(crate) mod version;
