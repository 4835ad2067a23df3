//! hako's cli crate.
