//! hako's engine crate.
