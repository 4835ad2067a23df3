//! hako's api crate.
