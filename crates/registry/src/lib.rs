//! hako's registry crate.
