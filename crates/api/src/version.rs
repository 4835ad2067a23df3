//! API versions, the headers that carry them, and the media types of streams.

use std::fmt;
use std::str::FromStr;

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Always one, so far.
    pub major: u16,
    /// Counts up with every release of Docker.
    pub minor: u16,
}

impl ApiVersion {
    /// The version hako speaks.
    pub const CURRENT: Self = Self { major: 1, minor: 51 };
    /// The oldest version it answers.
    pub const MINIMUM: Self = Self { major: 1, minor: 24 };

    /// `1.minor`, for comparisons.
    #[must_use]
    pub const fn minor(minor: u16) -> Self {
        Self { major: 1, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not `MAJOR.MINOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVersion;

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (major, minor) = text.split_once('.').ok_or(NotAVersion)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse().map_err(|_| NotAVersion) } else { Err(NotAVersion) }
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// The header of a log that has marks to go on from: hako's own.
pub const LOG_MARKS: &str = "hako-log-marks";

/// The header that names the version of the server.
pub const API_VERSION: &str = "api-version";
/// The header that tells whether experimental features are on.
pub const EXPERIMENTAL: &str = "docker-experimental";
/// The header that names the server's operating system.
pub const OS_TYPE: &str = "ostype";
/// The header that names the builder the CLI should prefer.
pub const BUILDER_VERSION: &str = "builder-version";
/// The header that tells the state of the swarm.
pub const SWARM: &str = "swarm";
/// The request header with the caller's credentials for one registry.
pub const REGISTRY_AUTH: &str = "x-registry-auth";
/// The header with the metadata of a path in a container.
pub const PATH_STAT: &str = "x-docker-container-path-stat";
/// What a hijacking request asks for in `Upgrade`.
pub const UPGRADE: &str = "tcp";

/// A stream of raw bytes (a terminal, or an API before 1.42).
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// A stream of frames, each naming its stream.
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";
/// Since this version the content type tells framed streams from raw ones.
pub const NAMES_MULTIPLEXED: ApiVersion = ApiVersion::minor(42);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let check = |text: &str| text.parse::<ApiVersion>();
        assert_eq!(check("1.51"), Ok(ApiVersion::CURRENT));
        assert!(check("1.9").unwrap() < check("1.24").unwrap());
        for bad in ["", "1", "1.", ".1", "1.+4", "1.4.1", "v1.4", "1.99999999"] {
            assert_eq!(check(bad), Err(NotAVersion), "{bad}");
        }
        assert_eq!(ApiVersion::MINIMUM.to_string(), "1.24");
    }
}
