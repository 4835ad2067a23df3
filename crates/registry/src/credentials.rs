//! Who one is at a registry: Docker's `config.json` with its `auths`, `credsStore` and `credHelpers`, and the helper
//! programs. Blocking and without an async runtime, for the CLI. Leaves out sending credentials anywhere.

mod file;
mod program;

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::{Deserialize, Serialize};

pub use file::{ConfigFile, Place};
pub use program::{Helper, HelperError};

/// The key under which docker.io's credentials are kept.
pub const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// base64url that takes padding or leaves it: clients differ.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What one shows to a registry, in the JSON of Docker's `X-Registry-Auth`. `Debug` never tells secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credential {
    /// The user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// `user:password` in base64; some clients send only this.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth: String,
    /// Of no use to anybody; old clients send it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The registry it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serveraddress: String,
    /// A refresh token given at login, used instead of the password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identitytoken: String,
    /// A bearer token to send as it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registrytoken: String,
}

/// A credential text or file was refused.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The header is not base64 of JSON.
    #[error("decode registry credentials: {reason}")]
    Header {
        /// What is wrong; never the text itself.
        reason: &'static str,
    },
    /// The file cannot be read or written.
    #[error("{verb} {path}: {cause}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// Which file.
        path: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// The file is not Docker's JSON.
    #[error("read {path}: {reason}")]
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A helper program failed.
    #[error(transparent)]
    Helper(#[from] HelperError),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("serveraddress", &self.serveraddress).finish_non_exhaustive()
    }
}

impl Credential {
    /// A name and a password for a server.
    pub fn new(server: &str, username: &str, password: &str) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        Self { username, password, serveraddress: server.to_owned(), ..Self::default() }
    }

    /// Reads the `X-Registry-Auth` header: base64url of JSON. Empty text is nobody.
    ///
    /// # Errors
    /// [`CredentialError::Header`]; it does not repeat the text.
    pub fn from_header(text: &str) -> Result<Option<Self>, CredentialError> {
        let refused = |reason| CredentialError::Header { reason };
        if text.is_empty() {
            return Ok(None);
        }
        let json = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| refused("not base64"))?;
        let credential: Self = serde_json::from_slice(&json).map_err(|_| refused("not the JSON of credentials"))?;
        let credential = credential.with_auth_decoded();
        Ok(if credential.is_anonymous() { None } else { Some(credential) })
    }

    /// Reads the `X-Registry-Config` header: credentials by registry, for base images of builds.
    ///
    /// # Errors
    /// [`CredentialError::Header`]; it does not repeat the text.
    pub fn map_from_header(text: &str) -> Result<std::collections::BTreeMap<String, Self>, CredentialError> {
        let refused = |reason| CredentialError::Header { reason };
        if text.is_empty() {
            return Ok(std::collections::BTreeMap::new());
        }
        let json = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| refused("not base64"))?;
        let found: std::collections::BTreeMap<String, Self> =
            serde_json::from_slice(&json).map_err(|_| refused("not the JSON of credentials"))?;
        let domain = |name: String| match name.as_str() {
            "https://index.docker.io/v1/" | "index.docker.io" => "docker.io".to_owned(),
            _ => name,
        };
        let decoded = found.into_iter().map(|(name, one)| (domain(name), one.with_auth_decoded()));
        Ok(decoded.filter(|(_, one)| !one.is_anonymous()).collect())
    }

    /// [`Credential::map_from_header`]'s text.
    pub fn map_to_header(map: &std::collections::BTreeMap<String, Self>) -> String {
        let json = serde_json::to_vec(map).unwrap_or_default();
        base64::engine::general_purpose::URL_SAFE.encode(json)
    }

    /// The `X-Registry-Auth` header's text.
    pub fn to_header(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        base64::engine::general_purpose::URL_SAFE.encode(json)
    }

    /// Whether it says nothing about anybody.
    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.identitytoken.is_empty() && self.registrytoken.is_empty()
    }

    /// With `auth` taken apart into name and password.
    #[must_use]
    fn with_auth_decoded(mut self) -> Self {
        let decoded = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((username, password)) = decoded.as_deref().and_then(|text| text.split_once(':'))
            && self.username.is_empty()
        {
            self.username = username.to_owned();
            // Docker's own files end some passwords with zero bytes.
            self.password = password.trim_end_matches('\0').to_owned();
        }
        self.auth.clear();
        self
    }
}

/// The key under which a registry's credentials are kept: the host, or [`DOCKER_HUB`] for docker.io.
pub fn server_key(domain: &str) -> &str {
    match domain {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | "" => DOCKER_HUB,
        _ => domain,
    }
}

/// The host of a key as people and old files write it: scheme and path dropped.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests;
