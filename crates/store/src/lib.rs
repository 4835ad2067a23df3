//! hako's store crate.
