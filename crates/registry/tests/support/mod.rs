//! What tests of registries need: a real one, one that misbehaves, and images to put into them.
#![allow(dead_code, clippy::unwrap_used, reason = "each test crate uses its own part; what fails here fails the test")]

pub(crate) mod hostile;
pub(crate) mod image;
pub(crate) mod real;
