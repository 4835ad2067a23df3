//! Safe verbs over the Linux kernel.
//!
//! Everything hako asks of the kernel that the standard library and rustix do not already say safely lives here,
//! and so does every line of `unsafe` in the project. No policy: what a container *is* belongs to `runtime`.

mod bpf;
pub mod caps;
pub mod cgroup;
pub mod confined;
mod error;
pub mod fdpass;
pub mod file;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod overlay;
pub mod own;
pub mod poll;
pub mod proc;
pub mod process;
pub mod project;
pub mod pty;
pub mod random;
pub mod seccomp;
pub mod socket;
mod syscall;

pub use error::{Error, Result};
