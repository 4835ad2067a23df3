//! An OCI description becomes a process.
//!
//! Knows namespaces, mounts, control groups, capabilities and system call filters; knows no images, networks or
//! Docker. A caller prepares a container ([`launch::prepare`]), sets up its network meanwhile, and starts it
//! ([`launch::Prepared::start`]).

mod error;
pub mod exec;
pub mod launch;
pub mod seed;
pub mod spec;
pub mod stdio;

pub use error::LaunchError;
