//! Names of containers and volumes: which are allowed, and which are made up when none was given.
//! Leaves out whether a name is taken (engine).

/// A name Docker would refuse; the text is Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A container's name holds a forbidden character.
    #[error("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    Container {
        /// The name refused.
        name: String,
    },
    /// A volume's name has one character.
    #[error("create {name}: volume name is too short, names should be at least two alphanumeric characters")]
    VolumeTooShort {
        /// The name refused.
        name: String,
    },
    /// A volume's name holds a forbidden character.
    #[error(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Volume {
        /// The name refused.
        name: String,
    },
}

/// Docker's `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.len() > 1
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Checks a container's name; one leading slash is dropped, as Docker does.
pub fn container(name: &str) -> Result<&str, InvalidName> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if is_name(bare) { Ok(bare) } else { Err(InvalidName::Container { name: name.to_owned() }) }
}

/// Checks a volume's name.
pub fn volume(name: &str) -> Result<&str, InvalidName> {
    if is_name(name) && name.len() <= 255 {
        return Ok(name);
    }
    let name = name.to_owned();
    Err(if name.len() == 1 { InvalidName::VolumeTooShort { name } } else { InvalidName::Volume { name } })
}

/// A made-up name like `calm_curie` from random bits; `attempt` > 0 appends a digit, for when it was taken.
pub fn made_up(random: u64, attempt: u32) -> String {
    let left = LEFT[usize::try_from(random % LEFT.len() as u64).unwrap_or(0)];
    let rest = random / LEFT.len() as u64;
    let right = RIGHT[usize::try_from(rest % RIGHT.len() as u64).unwrap_or(0)];
    let digit = rest / RIGHT.len() as u64 % 10;
    match attempt {
        0 => format!("{left}_{right}"),
        1..4 => format!("{left}_{right}{digit}"),
        _ => format!("{left}_{right}{}", rest / RIGHT.len() as u64 % 1_000_000),
    }
}

const LEFT: &[&str] = &[
    "able", "agile", "alert", "amber", "ample", "apt", "ardent", "bold", "brave", "bright", "brisk", "calm", "candid",
    "careful", "cheery", "clear", "clever", "cool", "cosy", "crisp", "curious", "daring", "deft", "dreamy", "eager",
    "early", "earnest", "easy", "elated", "epic", "fair", "famous", "fine", "fleet", "fond", "frank", "fresh",
    "friendly", "gentle", "glad", "golden", "grand", "happy", "hardy", "hearty", "honest", "hopeful", "humble",
    "jolly", "jovial", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry", "mild", "modest",
    "neat", "nice", "nifty", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet",
    "rapid", "ready", "serene", "sharp", "silent", "simple", "sincere", "sleek", "smart", "snug", "solid", "spry",
    "stable", "steady", "stoic", "sturdy", "sunny", "swift", "tender", "tidy", "trusty", "upbeat", "vivid", "warm",
    "wise", "witty", "zesty",
];

const RIGHT: &[&str] = &[
    "abel",
    "agnesi",
    "ampere",
    "babbage",
    "banach",
    "bardeen",
    "becquerel",
    "bell",
    "bohr",
    "boole",
    "born",
    "bose",
    "brahe",
    "cantor",
    "carson",
    "cauchy",
    "cerf",
    "chandrasekhar",
    "chern",
    "church",
    "clarke",
    "cray",
    "curie",
    "curry",
    "dalton",
    "darwin",
    "diffie",
    "dijkstra",
    "dirac",
    "easley",
    "edison",
    "einstein",
    "elion",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "godel",
    "goodall",
    "hamilton",
    "hamming",
    "hawking",
    "hellman",
    "hermann",
    "hilbert",
    "hodgkin",
    "hoover",
    "hopper",
    "hypatia",
    "jang",
    "johnson",
    "joule",
    "kalam",
    "kepler",
    "khorana",
    "kilby",
    "knuth",
    "kowalevski",
    "lagrange",
    "lamarr",
    "lamport",
    "leavitt",
    "leibniz",
    "lovelace",
    "lumiere",
    "maxwell",
    "mayer",
    "mccarthy",
    "mcclintock",
    "meitner",
    "mendel",
    "milner",
    "mirzakhani",
    "morse",
    "napier",
    "nash",
    "newton",
    "nightingale",
    "nobel",
    "noether",
    "ohm",
    "pascal",
    "pasteur",
    "payne",
    "perlman",
    "pike",
    "planck",
    "poincare",
    "ramanujan",
    "ride",
    "ritchie",
    "rubin",
    "sanderson",
    "shannon",
    "snyder",
    "stallman",
    "swanson",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "villani",
    "volta",
    "wiles",
    "wilson",
    "wing",
    "wright",
    "yalow",
    "yonath",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names() {
        for good in ["web", "/web", "a1", "A_b.c-d", "0x"] {
            assert_eq!(container(good), Ok(good.trim_start_matches('/')));
        }
        for bad in ["", "/", "a", "_a", "-a", "a b", "a/b", "é1", "//ab"] {
            assert!(container(bad).is_err(), "{bad}");
        }
        assert_eq!(
            container("a b").unwrap_err().to_string(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn volume_names() {
        assert_eq!(volume("data"), Ok("data"));
        assert!(matches!(volume("d"), Err(InvalidName::VolumeTooShort { .. })));
        for bad in ["", "./x", "a b", "..", &"v".repeat(256)] {
            assert!(matches!(volume(bad), Err(InvalidName::Volume { .. })), "{bad}");
        }
    }

    #[test]
    fn made_up_names_are_names() {
        for random in [0, 1, 98, 12_345, u64::MAX] {
            for attempt in [0, 1, 9] {
                assert!(container(&made_up(random, attempt)).is_ok());
            }
        }
    }
}
