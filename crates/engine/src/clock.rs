//! The one place the engine asks for the time.

use std::time::SystemTime;

use hako_model::time::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
