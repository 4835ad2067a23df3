//! An OCI description becomes a process.
//!
//! Knows namespaces, mounts, control groups, capabilities and system call filters; knows no images, networks or
//! Docker. A caller prepares a container ([`launch::prepare`]), sets up its network meanwhile, and starts it
//! ([`launch::Prepared::start`]).

mod attach;
mod device;
mod error;
pub mod exec;
mod filesystem;
mod identity;
mod init;
mod kit;
pub mod launch;
mod mask;
mod option;
mod order;
mod overlay;
mod program;
mod reaper;
pub mod resources;
pub mod seccomp;
pub mod seed;
pub mod spec;
pub mod stdio;
mod sysctl;
mod tree;

pub use error::LaunchError;
