//! From the engine's words to the wire's.

pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod sample;
pub(crate) mod storage;
pub(crate) mod system;

use std::collections::BTreeMap;

/// Docker shows an empty map of these fields as `null`.
pub(crate) fn null_if_empty(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

/// Sizes are unsigned in the engine and signed on the wire.
pub(crate) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
