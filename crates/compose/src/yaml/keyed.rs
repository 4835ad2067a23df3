//! A hasher for short keys of mappings: a project has tens of thousands of them. Keyed anew in every process, so that no
//! file can be made whose keys all meet.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// Makes [`Folded`] hashers with the process's key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keyed;

impl BuildHasher for Keyed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        static KEY: OnceLock<[u64; 2]> = OnceLock::new();
        // std's hashers are keyed from the system's randomness.
        let word = || RandomState::new().build_hasher().finish();
        let [state, factor] = *KEY.get_or_init(|| [word(), word() | 1]);
        Folded { state, factor }
    }
}

/// Each word is multiplied into the state, both halves of the product folded together.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    state: u64,
    factor: u64,
}

impl Folded {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let halves = (product as u64, (product >> 64) as u64);
        self.state = halves.0 ^ halves.1.rotate_left(23);
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.fold(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells "a" from "a\0".
        self.fold(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.fold(self.factor);
        last.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_that_are_alike_are_told_apart() {
        let keys =
            (0..10_000).flat_map(|number| [format!("service-{number}"), format!("{number}"), format!("{number}\0")]);
        let hashes: HashSet<u64> = keys.map(|key| Keyed.hash_one(key)).collect();
        assert_eq!(hashes.len(), 30_000);
        let low: HashSet<u64> = (0..4096).map(|number| Keyed.hash_one(format!("s{number}")) % 4096).collect();
        assert!(low.len() > 2000, "{} of 4096 places", low.len());
    }
}
