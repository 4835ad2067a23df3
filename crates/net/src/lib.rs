//! Networking mechanism: the bridge, the veth pair of a container, the nft table that publishes ports.
//!
//! What runs where: the engine makes bridges, the table and its rules; a supervisor attaches its container's endpoint
//! and adds and removes *elements* of the table's maps. Nothing here is async; every call is a few system calls.

mod address;
mod annex;
pub mod blueprint;
pub mod bridge;
mod conntrack;
pub mod dns;
pub mod endpoint;
mod error;
pub mod firewall;
mod netfilter;
pub mod nft;
pub mod parent;
pub mod publish;
mod relay;
mod reservation;
pub mod route;
mod rtnetlink;
mod sysctl;
pub mod traffic;

pub use error::{Error, Result};
