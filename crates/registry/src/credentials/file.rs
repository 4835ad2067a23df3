//! Docker's `config.json`: reading it, and changing nothing in it but credentials.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Credential, CredentialError, Helper, TOKEN_USER, host_of, server_key};

/// Docker's configuration file. What hako does not know in it stays as it is.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
}

/// Where a credential was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into the file, hardly hidden: worth a warning. Holds the file's path.
    PlainFile(PathBuf),
    /// Into the keeping of a helper. Holds its name.
    Helper(String),
}

impl ConfigFile {
    /// Reads the caller's file: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`. One that is not there is empty.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn load() -> Result<Self, CredentialError> {
        Self::read(&default_path())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(cause) => return Err(CredentialError::File { verb: "read", path: shown(path), cause }),
        };
        if text.trim_ascii().is_empty() {
            return Ok(Self { path: path.to_owned(), content: Map::new() });
        }
        let content = serde_json::from_slice(&text)
            .map_err(|error| CredentialError::Malformed { path: shown(path), reason: error.to_string() })?;
        Ok(Self { path: path.to_owned(), content })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A setting of the file, such as `psFormat`, `proxies` or `currentContext`.
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.content.get(name)
    }

    /// The credential for a registry (`docker.io`, `host:port`), from its helper, the store, or the file itself.
    ///
    /// # Errors
    /// The helper failed otherwise than by not having one.
    pub fn credential(&self, domain: &str) -> Result<Option<Credential>, CredentialError> {
        let key = server_key(domain);
        match self.helper(key) {
            Some(helper) => Ok(helper.get(key)?.or_else(|| self.plain(key))),
            None => Ok(self.plain(key)),
        }
    }

    /// All credentials in the file, by key; those of helpers are not asked for.
    pub fn plain_keys(&self) -> Vec<String> {
        self.auths().map(|auths| auths.keys().cloned().collect()).unwrap_or_default()
    }

    /// A file that holds the credentials of all registries this one names, helpers' among them; none if there are none.
    ///
    /// # Errors
    /// A helper failed otherwise than by not having one.
    pub fn all_in_one(&self) -> Result<Option<Vec<u8>>, CredentialError> {
        let helped = self.content.get("credHelpers").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let mut auths = Map::new();
        for key in self.plain_keys().iter().chain(helped) {
            let domain = if key.contains("index.docker.io") { "docker.io" } else { key };
            if let Some(credential) = self.credential(domain)? {
                auths.insert(key.clone(), plain_entry(&credential));
            }
        }
        Ok((!auths.is_empty()).then(|| json!({ "auths": auths }).to_string().into_bytes()))
    }

    /// Where [`ConfigFile::store`] would put a credential for this registry.
    pub fn place(&self, domain: &str) -> Place {
        match self.helper(server_key(domain)) {
            Some(helper) => Place::Helper(helper.name().to_owned()),
            None => Place::PlainFile(self.path.clone()),
        }
    }

    /// Keeps a credential, by a helper when one is configured.
    ///
    /// # Errors
    /// The helper failed or the file cannot be written.
    pub fn store(&mut self, domain: &str, credential: &Credential) -> Result<Place, CredentialError> {
        let key = server_key(domain).to_owned();
        let place = self.place(domain);
        let entry = match self.helper(&key) {
            Some(helper) => {
                helper.store(&key, credential)?;
                json!({})
            }
            None => plain_entry(credential),
        };
        self.set_auth(key, entry);
        self.save()?;
        Ok(place)
    }

    /// Forgets a registry's credential; whether there was one.
    ///
    /// # Errors
    /// The helper failed or the file cannot be written.
    pub fn erase(&mut self, domain: &str) -> Result<bool, CredentialError> {
        let key = server_key(domain).to_owned();
        let known = self.auths().is_some_and(|auths| auths.contains_key(&key));
        let mut had = known;
        if let Some(helper) = self.helper(&key) {
            had |= helper.get(&key)?.is_some();
            helper.erase(&key)?;
        }
        if known && let Some(Value::Object(auths)) = self.content.get_mut("auths") {
            auths.remove(&key);
            self.save()?;
        }
        Ok(had)
    }

    fn auths(&self) -> Option<&Map<String, Value>> {
        self.content.get("auths")?.as_object()
    }

    fn set_auth(&mut self, key: String, entry: Value) {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Value::Object(auths) = auths {
            auths.insert(key, entry);
        }
    }

    /// The helper responsible for a key: its own, else the general one.
    fn helper(&self, key: &str) -> Option<Helper> {
        let own = self.content.get("credHelpers").and_then(|helpers| {
            let named = helpers.get(key).or_else(|| helpers.get(host_of(key)))?;
            named.as_str()
        });
        let name = own.or_else(|| self.content.get("credsStore")?.as_str())?;
        (!name.is_empty()).then(|| Helper::new(name))
    }

    /// The credential in the file itself: under the exact key, or under an old key with the same host.
    fn plain(&self, key: &str) -> Option<Credential> {
        let auths = self.auths()?;
        let host = host_of(key);
        let entry = auths.get(key).or_else(|| auths.iter().find(|(old, _)| host_of(old) == host).map(|(_, e)| e))?;
        let mut credential: Credential = serde_json::from_value(entry.clone()).ok()?;
        credential = credential.with_auth_decoded();
        key.clone_into(&mut credential.serveraddress);
        if !credential.identitytoken.is_empty() && credential.username.is_empty() {
            TOKEN_USER.clone_into(&mut credential.username);
        }
        (!credential.is_anonymous()).then_some(credential)
    }

    /// Writes the file, by a temporary one beside it, readable by its owner only.
    fn save(&self) -> Result<(), CredentialError> {
        // A link to a file elsewhere stays a link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let failed = |cause| CredentialError::File { verb: "write", path: shown(&path), cause };
        let mut text = serde_json::to_string_pretty(&self.content).map_err(|error| failed(error.into()))?;
        text = text.replace("\n  ", "\n\t");
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let fresh = path.with_extension(format!("json{}", std::process::id()));
        write_private(&fresh, text.as_bytes()).and_then(|()| fs::rename(&fresh, &path)).map_err(|cause| {
            let _ = fs::remove_file(&fresh);
            failed(cause)
        })
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn plain_entry(credential: &Credential) -> Value {
    let pair = format!("{}:{}", credential.username, credential.password);
    let mut entry = json!({ "auth": STANDARD.encode(pair) });
    if !credential.identitytoken.is_empty() {
        // The token replaces the password; keeping both would give away more than needed.
        entry = json!({ "auth": STANDARD.encode(format!("{}:", credential.username)),
                        "identitytoken": credential.identitytoken });
    }
    entry
}

/// `$DOCKER_CONFIG/config.json`, or below the home directory (root's when there is none).
fn default_path() -> PathBuf {
    let dir = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    dir.unwrap_or_else(home).join("config.json")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
