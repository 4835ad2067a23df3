//! One container's life: the process `hako supervise`, and [`Handle`], its client side in the engine.
//!
//! A supervisor is one thread with one epoll loop. It is started ahead of need, prepares a future init, and is told
//! by one Start message which container it is. From then on it owns that container's processes, streams, log,
//! restarts and health, whether an engine is connected or not.

mod ask;
mod checkpoint;
mod client;
mod container;
mod deadline;
pub mod description;
mod detach;
mod door;
mod edit;
pub mod error;
mod exec;
mod flow;
pub mod handle;
pub mod journal;
mod life;
pub mod log;
mod probe;
pub mod protocol;
mod secret;
mod session;
pub mod supervise;
mod token;

pub use error::{Error, Result};
pub use hako_runtime::checkpoint::Image;
pub use hako_runtime::criu::program as criu;
pub use hako_runtime::spec;
pub use handle::Handle;
