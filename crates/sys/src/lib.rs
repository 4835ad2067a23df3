//! hako's sys crate.
