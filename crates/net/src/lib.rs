//! hako's net crate.
