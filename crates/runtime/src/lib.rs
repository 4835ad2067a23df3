//! hako's runtime crate.
