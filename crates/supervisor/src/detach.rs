//! Detach keys: a sequence that, typed by a client of a terminal, ends its connection and nothing else.

/// Looks for the keys in what a client types.
#[derive(Debug, Default)]
pub(crate) struct Detacher {
    keys: Vec<u8>,
    matched: usize,
}

impl Detacher {
    /// Looks for `keys`; for nothing, if they are empty.
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of `typed` is meant for the process, and whether the keys were typed. A beginning of the keys is held back
    /// until it is clear that it is not them.
    pub(crate) fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        if self.keys.is_empty() {
            passed.extend_from_slice(typed);
            return (passed, false);
        }
        for byte in typed {
            if *byte != self.keys[self.matched] {
                passed.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if *byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                passed.push(*byte);
            }
            if self.matched == self.keys.len() {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8], reads: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut detacher = Detacher::new(keys.to_vec());
        let mut all = Vec::new();
        for read in reads {
            let (passed, left) = detacher.pass(read);
            all.extend(passed);
            if left {
                return (all, true);
            }
        }
        (all, false)
    }

    #[test]
    fn keys_are_found_and_the_rest_passes() {
        let keys = b"\x10\x11";
        assert_eq!(typed(keys, &[b"ls\n\x10\x11more"]), (b"ls\n".to_vec(), true));
        assert_eq!(typed(keys, &[b"a\x10", b"\x11"]), (b"a".to_vec(), true));
        assert_eq!(typed(keys, &[b"a\x10", b"b"]), (b"a\x10b".to_vec(), false));
        assert_eq!(typed(keys, &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(typed(b"", &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
        assert_eq!(typed(b"q", &[b"abq"]), (b"ab".to_vec(), true));
    }
}
