//! From a Dockerfile to layers: the language, the graph of steps, the cache, and copying files into layers. What runs
//! containers, pulls images and fetches addresses comes in through one trait. Leaves out HTTP and the engine's records.

pub mod cache;
pub mod dockerfile;
mod error;
pub mod files;
pub mod lint;
pub mod progress;
pub mod request;
pub mod solve;
pub mod workshop;

pub use error::{Error, Result};
