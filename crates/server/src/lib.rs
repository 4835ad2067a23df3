//! The Engine API over sockets: decode, convert, one engine call, encode; and the daemon's entry.
//! What a verb does is the engine's affair; bodies and parameters are spelled in `api`.

mod activity;
mod buildkit;
mod daemon;
mod failure;
mod former;
mod handlers;
mod hijack;
mod lent;
mod listen;
mod metrics;
mod outline;
mod patience;
mod reply;
mod request;
mod router;
mod serve;
mod spans;
mod tls;
mod websocket;
mod wire;

pub use activity::{Activity, Guard};
pub use daemon::run as daemon;
