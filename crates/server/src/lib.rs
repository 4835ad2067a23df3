//! hako's server crate.
