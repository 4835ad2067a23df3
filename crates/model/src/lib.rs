//! hako's model crate.
