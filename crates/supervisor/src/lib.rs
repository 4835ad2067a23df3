//! hako's supervisor crate.
