//! Image references in Docker's grammar: `[host[:port]/]path[:tag][@digest]`, with docker.io, `library/` and `latest`
//! implied. Leaves out looking anything up: whether a word is a name or a short id only the store can tell.

mod grammar;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// The registry that is meant when none is named.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag that is meant when neither a tag nor a digest is named.
pub const DEFAULT_TAG: &str = "latest";
/// The most characters `host/path` may have.
const NAME_LIMIT: usize = 255;

/// A normalised reference to an image, or to a repository when it has neither tag nor digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text was no reference. The messages are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Nothing fits the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository's name has upper-case letters.
    #[error("invalid reference format: repository name ({path}) must be lowercase")]
    Uppercase {
        /// The path with `library/` implied.
        path: String,
    },
    /// Sixty-four hex digits are an image's id, never a name.
    #[error("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")]
    Identifier {
        /// The text.
        text: String,
    },
    /// The name is too long.
    #[error("repository name must not be more than {NAME_LIMIT} characters")]
    TooLong,
    /// The digest's algorithm is unknown.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// The digest has too few or too many digits.
    #[error("invalid checksum digest length")]
    DigestLength,
    /// The tag does not fit the grammar.
    #[error("invalid tag format")]
    Tag,
}

impl Reference {
    /// Parses what a person types: `nginx`, `user/app:tag`, `host:5000/a/b@sha256:…`.
    ///
    /// # Errors
    /// Docker's words for what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if grammar::is_identifier(text) {
            return Err(InvalidReference::Identifier { text: text.to_owned() });
        }
        let (domain, rest) = split_domain(text);
        let path = rest.find(':').map_or(rest.as_str(), |at| &rest[..at]);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidReference::Uppercase { path: path.to_owned() });
        }
        Self::canonical(&domain, &rest)
    }

    /// Parses a reference, implying `latest` when it has neither tag nor digest.
    ///
    /// # Errors
    /// As [`Reference::parse`].
    pub fn parse_tagged(text: &str) -> Result<Self, InvalidReference> {
        Ok(Self::parse(text)?.or_latest())
    }

    fn canonical(domain: &str, rest: &str) -> Result<Self, InvalidReference> {
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(parse_digest(digest)?)),
            None => (rest, None),
        };
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let fits = grammar::is_domain(domain) && grammar::is_path(path) && tag.is_none_or(grammar::is_tag);
        if !fits {
            return Err(InvalidReference::Format);
        }
        if domain.len() + 1 + path.len() > NAME_LIMIT {
            return Err(InvalidReference::TooLong);
        }
        Ok(Self { domain: domain.to_owned(), path: path.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// The registry: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's path in the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The full name without tag and digest: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as people write it, without tag and digest: `nginx`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            // A path with further components would read as another name.
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The reference as people write it: `nginx:latest`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    fn suffix(&self) -> String {
        let mut text = String::new();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }

    /// Whether it names a repository only.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The repository alone.
    #[must_use]
    pub fn repository(&self) -> Self {
        Self { domain: self.domain.clone(), path: self.path.clone(), tag: None, digest: None }
    }

    /// With `latest` when there is neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// With this tag instead of its own.
    ///
    /// # Errors
    /// [`InvalidReference::Tag`].
    pub fn with_tag(mut self, tag: &str) -> Result<Self, InvalidReference> {
        if !grammar::is_tag(tag) {
            return Err(InvalidReference::Tag);
        }
        self.tag = Some(tag.to_owned());
        Ok(self)
    }

    /// With this digest instead of its own; a tag stays.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// With the tag dropped.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.tag = None;
        self
    }
}

/// The registry's name and the rest, with docker.io and `library/` implied. A first component is a registry when it has a
/// dot or a colon, is `localhost`, or has upper-case letters (which no repository may have).
fn split_domain(text: &str) -> (String, String) {
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        return (domain.to_owned(), format!("library/{rest}"));
    }
    (domain.to_owned(), rest.to_owned())
}

fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn parse_digest(text: &str) -> Result<Digest, InvalidReference> {
    if !grammar::is_digest(text) {
        return Err(InvalidReference::Format);
    }
    let (algorithm, hex) = text.split_once(':').unwrap_or_default();
    let want = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return Err(InvalidReference::Algorithm),
    };
    if hex.len() != want {
        return Err(InvalidReference::DigestLength);
    }
    Digest::parse(text).map_err(|_| InvalidReference::Format)
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/nginx:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
