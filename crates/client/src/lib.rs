//! hako's client crate.
