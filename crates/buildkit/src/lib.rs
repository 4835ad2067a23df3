//! BuildKit's own protocol: gRPC over connections that HTTP handed over, both ways. What a client asks (`door`), what is
//! asked of a client (`caller`), and how files travel (`files`). Knows no images, builds or engine.

pub mod caller;
pub mod door;
mod error;
pub mod files;
pub mod wire;

pub use error::{Error, Result};
pub use tonic::{Code, Status};
