//! Content digests as text: `sha256:HEX` and `sha512:HEX`.
//! Leaves out the hashing itself; whoever reads the bytes does that and compares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The hash functions hako verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 64 hex digits; what everybody uses.
    Sha256,
    /// SHA-512, 128 hex digits; allowed by OCI.
    Sha512,
}

impl Algorithm {
    /// The algorithm's name in a digest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex digits follow the name.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of some content: a known algorithm and lower-case hex of the right length.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    text: Box<str>,
}

/// A text was no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse digest {text:?}: {reason}")]
pub struct InvalidDigest {
    /// The text refused, shortened when it is absurdly long.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Digest {
    /// Parses `sha256:HEX` or `sha512:HEX`. Upper-case hex is refused, as the OCI specification does.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let refused = |reason| InvalidDigest { text: text.chars().take(200).collect(), reason };
        let (name, hex) = text.split_once(':').ok_or_else(|| refused("want ALGORITHM:HEX"))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(refused("unsupported algorithm, want sha256 or sha512")),
        };
        if hex.len() != algorithm.hex_len() {
            return Err(refused("wrong number of hex digits"));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refused("want lower-case hex digits"));
        }
        Ok(Self { algorithm, text: text.into() })
    }

    /// The digest of SHA-256 output.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Self::from_bytes(Algorithm::Sha256, &bytes)
    }

    /// The digest of SHA-512 output.
    pub fn from_sha512(bytes: [u8; 64]) -> Self {
        Self::from_bytes(Algorithm::Sha512, &bytes)
    }

    /// A SHA-256 digest of bare hex, as image ids are often written.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, InvalidDigest> {
        Self::parse(&format!("sha256:{hex}"))
    }

    fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(algorithm.hex_len() + 7);
        text.push_str(algorithm.name());
        text.push(':');
        for byte in bytes {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self { algorithm, text: text.into() }
    }

    /// The hash function.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hex digits alone.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    /// The first twelve hex digits, as tables show ids.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole text, `sha256:HEX`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_digests_keep_their_text() {
        for text in [format!("sha256:{}", "0a".repeat(32)), format!("sha512:{}", "f9".repeat(64))] {
            let digest = Digest::parse(&text).unwrap();
            assert_eq!(digest.as_str(), text);
            assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Digest>(&format!("{text:?}")).unwrap(), digest);
        }
    }

    #[test]
    fn bad_digests_are_refused() {
        let long = format!("sha256:{}", "a".repeat(65));
        let upper = format!("sha256:{}", "A".repeat(64));
        let path = format!("sha256:../{}", "a".repeat(61));
        let md5 = format!("md5:{}", "a".repeat(32));
        for text in ["", "sha256", "sha256:", "sha256:abc", &long, &upper, &path, &md5, "é"] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_become_hex() {
        let digest = Digest::from_sha256([0xab; 32]);
        assert_eq!(digest.hex(), "ab".repeat(32));
        assert_eq!(digest.short(), "abababababab");
        assert_eq!(digest.algorithm(), Algorithm::Sha256);
    }
}
