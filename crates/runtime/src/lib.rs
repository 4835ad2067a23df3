//! An OCI description becomes a process.
//!
//! Knows namespaces, mounts, control groups, capabilities and system call filters; knows no images, networks or
//! Docker. A caller prepares a container ([`launch::prepare`]), sets up its network meanwhile, and starts it
//! ([`launch::Prepared::start`]).

pub mod agent;
mod attach;
mod birth;
pub mod checkpoint;
pub mod criu;
mod device;
mod error;
pub mod exec;
mod filesystem;
mod furniture;
pub mod graft;
pub mod hook;
mod identity;
mod idmap;
mod init;
mod kit;
pub mod launch;
mod mask;
mod option;
mod order;
mod overlay;
mod priority;
mod program;
mod reaper;
pub mod resources;
pub mod seccomp;
pub mod seed;
pub mod spec;
pub mod stdio;
mod sysctl;
mod tree;
mod wait;

pub use error::LaunchError;
