//! Words and rules: ids, references, digests, image and container types, the state machine, restart and health
//! decisions, ports and address pools. Pure: no I/O and no clock.

pub mod amount;
pub mod annotation;
pub mod attestation;
pub mod budget;
pub mod cdi;
pub mod container;
pub mod digest;
pub mod duration;
pub mod event;
pub mod evidence;
pub mod filter;
pub mod health;
pub mod id;
pub mod image;
pub mod mount;
pub mod name;
pub mod network;
pub mod platform;
pub mod pool;
pub mod port;
pub mod program;
pub mod quote;
pub mod reference;
pub mod restart;
pub mod schedule;
pub mod signal;
pub mod state;
pub mod time;
pub mod verdict;
pub mod word;
