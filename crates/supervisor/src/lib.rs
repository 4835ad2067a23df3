//! One container's life: the process `hako supervise`, and [`Handle`], its client side in the engine.
//!
//! A supervisor is one thread with one epoll loop. It is started ahead of need, prepares a future init, and is told
//! by one Start message which container it is. From then on it owns that container's processes, streams, log,
//! restarts and health, whether an engine is connected or not.

pub mod description;
pub mod error;
pub mod handle;
pub mod log;
pub mod protocol;

pub use error::{Error, Result};
pub use hako_runtime::spec;
pub use handle::Handle;
