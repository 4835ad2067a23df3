//! The Docker Engine API, version 1.51, as it is on the wire: bodies, query parameters, headers and stream framing.
//! It holds types and their spelling; what a request does is the engine's affair, how it travels the server's and client's.

pub mod body;
pub mod build;
pub mod container;
pub mod exec;
pub mod frame;
pub mod image;
pub mod inspect;
pub mod job;
pub mod network;
pub mod own;
pub mod progress;
pub mod query;
pub mod stats;
pub mod system;
pub mod usage;
pub mod version;
pub mod volume;

use serde::{Deserialize, Serialize};

/// The body of every error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// What went wrong, for people.
    pub message: String,
}

/// For `skip_serializing_if`: Go's `omitempty` on numbers and booleans.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
