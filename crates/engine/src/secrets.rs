//! Secrets: sealed on the disk, opened for the containers that may read them, told to nobody.
//!
//! Each lies in a file of its own below `data-root/secrets`, sealed by ChaCha20-Poly1305 with everything else that is
//! known of it, so that one file cannot be passed off as another. The key is a file outside the data root that only
//! its owner may read: a copy of the data root alone tells nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_model::container::SecretFile;
use hako_model::time::Timestamp;
use hako_supervisor::description::{Hidden, Secret as Laid};
use hako_sys::file::{Durability, read_limited, write_atomic};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::house::House;
use crate::{Error, Result};

/// The most bytes of a secret, as Docker has it.
const LIMIT: usize = 500 * 1024;
/// The most bytes of a secret's file.
const FILE_LIMIT: u64 = 2 << 20;
/// The most characters of a name.
const NAME_LIMIT: usize = 64;
/// Where secrets are seen that do not say where.
pub(crate) const PLACE: &str = "/run/secrets";

/// The secret verbs. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    pub(crate) house: Arc<House>,
}

/// A secret, without what it says.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The containers that may read it, by name.
    pub used_by: Vec<String>,
}

/// A secret's file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sealed {
    #[serde(flatten)]
    about: About,
    /// Base64.
    nonce: String,
    /// Base64.
    sealed: String,
}

/// What is known of a secret; sealed with it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    created: Timestamp,
    labels: BTreeMap<String, String>,
}

impl Secrets {
    /// Keeps a secret; gives its id.
    pub async fn create(&self, name: &str, labels: BTreeMap<String, String>, content: Vec<u8>) -> Result<String> {
        check_name(name)?;
        if content.is_empty() || content.len() > LIMIT {
            return Err(Error::invalid(format!("a secret has between 1 byte and 500 KiB, not {}", content.len())));
        }
        let id = hako_sys::random::hex(13).map_err(|e| Error::io("make id", e))?;
        let about = About { id: id.clone(), name: name.to_owned(), created: now(), labels };
        let house = Arc::clone(&self.house);
        crate::blocking::blocking(move || {
            let path = path(&house, name);
            if path.exists() {
                return Err(Error::conflict(format!("secret {name} already exists")));
            }
            let directory = house.layout.secrets();
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            made.map_err(|e| Error::io("make directory of secrets", e))?;
            let sealed = seal(&key(&house)?, about, content)?;
            let bytes = serde_json::to_vec(&sealed).map_err(|e| Error::io("encode secret", e))?;
            write_atomic(&path, &bytes, Durability::Power).map_err(|e| Error::io(format!("keep secret {name}"), e))
        })?;
        Ok(id)
    }

    /// All secrets, by name.
    pub async fn list(&self) -> Result<Vec<Secret>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.house.layout.secrets()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".json") {
                found.push(self.inspect(name).await?);
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Everything about a secret but what it says.
    pub async fn inspect(&self, name: &str) -> Result<Secret> {
        let About { id, name, created, labels } = read(&self.house, name)?.about;
        let used_by = users(&self.house, &name);
        Ok(Secret { id, name, created, labels, used_by })
    }

    /// Forgets a secret that no container may read.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let name = read(&self.house, name)?.about.name;
        let users = users(&self.house, &name);
        if !users.is_empty() {
            return Err(Error::conflict(format!("secret {name} is in use by {}", users.join(", "))));
        }
        std::fs::remove_file(path(&self.house, &name)).map_err(|e| Error::io(format!("remove secret {name}"), e))
    }
}

/// Refuses files of secrets that make no sense or are not there.
pub(crate) fn check(house: &House, files: &[SecretFile]) -> Result<()> {
    let mut targets = std::collections::HashSet::new();
    for file in files {
        read(house, &file.source)?;
        let target = target(file);
        let parts = Path::new(&target).components();
        if !target.starts_with('/') || parts.into_iter().any(|part| matches!(part, std::path::Component::ParentDir)) {
            return Err(Error::invalid(format!("secret {}: invalid target {target:?}", file.source)));
        }
        if file.mode > 0o777 {
            return Err(Error::invalid(format!("secret {}: invalid mode {:o}", file.source, file.mode)));
        }
        if !targets.insert(target.clone()) {
            return Err(Error::invalid(format!("two secrets are to be at {target}")));
        }
    }
    Ok(())
}

/// Opens a container's secrets.
pub(crate) fn open(house: &House, files: &[SecretFile]) -> Result<Vec<Laid>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let key = key(house)?;
    let one = |file: &SecretFile| {
        let content = unseal(&key, &read(house, &file.source)?)?;
        let mode = if file.mode == 0 { 0o444 } else { file.mode };
        Ok(Laid { target: target(file), uid: file.uid, gid: file.gid, mode, content: Hidden(content) })
    };
    files.iter().map(one).collect()
}

fn target(file: &SecretFile) -> String {
    match file.target.as_str() {
        "" => format!("{PLACE}/{}", file.source),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("{PLACE}/{target}"),
    }
}

fn users(house: &House, name: &str) -> Vec<String> {
    let uses =
        |record: &crate::record::Record| record.host_config.secrets.iter().flatten().any(|file| file.source == name);
    let records = house.index.all().into_iter().map(|container| container.record());
    records.filter(|record| uses(record)).map(|record| record.name.clone()).collect()
}

fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edges =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= NAME_LIMIT && edges && name.chars().all(fits) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid secret name {name:?}: only 64 characters of [a-zA-Z0-9-_.] are allowed, beginning and ending with a letter or digit"
    )))
}

fn path(house: &House, name: &str) -> PathBuf {
    house.layout.secrets().join(format!("{name}.json"))
}

fn read(house: &House, name: &str) -> Result<Sealed> {
    let missing = || Error::not_found(format!("secret {name} not found"));
    check_name(name).map_err(|_| missing())?;
    let bytes = match read_limited(&path(house, name), FILE_LIMIT) {
        Err(error) if error.is_not_found() => return Err(missing()),
        read => read.map_err(|e| Error::io(format!("read secret {name}"), e))?,
    };
    serde_json::from_slice(&bytes).map_err(|e| Error::io(format!("parse secret {name}"), e))
}

fn bound(about: &About) -> Result<Aad<Vec<u8>>> {
    serde_json::to_vec(about).map(Aad::from).map_err(|e| Error::io("encode secret", e))
}

fn seal(key: &LessSafeKey, about: About, mut content: Vec<u8>) -> Result<Sealed> {
    let mut nonce = [0; NONCE_LEN];
    hako_sys::random::fill(&mut nonce).map_err(|e| Error::io("seal secret", e))?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(&about)?, &mut content)
        .map_err(|_| Error::system("seal secret: the cipher refuses"))?;
    Ok(Sealed { about, nonce: STANDARD.encode(nonce), sealed: STANDARD.encode(content) })
}

fn unseal(key: &LessSafeKey, sealed: &Sealed) -> Result<Vec<u8>> {
    let name = &sealed.about.name;
    let damaged = || {
        let text = format!("secret {name} cannot be opened: it was changed, or sealed with another key; make it again");
        Error::system(text)
    };
    let nonce = STANDARD.decode(&sealed.nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(damaged)?;
    let mut content = STANDARD.decode(&sealed.sealed).map_err(|_| damaged())?;
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), bound(&sealed.about)?, &mut content);
    let length = opened.map_err(|_| damaged())?.len();
    content.truncate(length);
    Ok(content)
}

/// The key, made at its first use.
fn key(house: &House) -> Result<LessSafeKey> {
    let path = &house.settings.secret_key;
    let failed = |e: std::io::Error| Error::io(format!("read key {}", path.display()), e);
    let file = match File::options().read(true).custom_flags(libc_nofollow()).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return make_key(path),
        opened => opened.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    if meta.mode() & 0o077 != 0 || meta.uid() != rustix::process::geteuid().as_raw() {
        let text =
            format!("key {} may be read by others: chown it to the daemon's user and chmod it to 600", path.display());
        return Err(Error::system(text));
    }
    let mut bytes = Vec::new();
    file.take(64).read_to_end(&mut bytes).map_err(failed)?;
    cipher(&bytes).ok_or_else(|| Error::system(format!("key {} is damaged: it must have 32 bytes", path.display())))
}

fn libc_nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

fn make_key(path: &Path) -> Result<LessSafeKey> {
    let failed = |e: std::io::Error| Error::io(format!("make key {}", path.display()), e);
    let mut bytes = [0; 32];
    hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make key", e))?;
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    cipher(&bytes).ok_or_else(|| Error::system("make key: the cipher refuses it"))
}

fn cipher(bytes: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, bytes).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> About {
        About { id: "1".into(), name: name.into(), created: Timestamp::from_secs(1), labels: BTreeMap::new() }
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_key_and_as_itself_only() {
        let (key, other) = (cipher(&[7; 32]).unwrap(), cipher(&[8; 32]).unwrap());
        let sealed = seal(&key, about("db"), b"hunter2".to_vec()).unwrap();
        assert!(!serde_json::to_string(&sealed).unwrap().contains("hunter2"));
        assert_eq!(unseal(&key, &sealed).unwrap(), b"hunter2");
        assert!(unseal(&other, &sealed).is_err());
        let swapped = Sealed { about: about("web"), ..sealed };
        assert!(unseal(&key, &swapped).is_err(), "another name on it");
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same() {
        let key = cipher(&[7; 32]).unwrap();
        let seal = || seal(&key, about("db"), b"x".to_vec()).unwrap().sealed;
        assert_ne!(seal(), seal());
    }

    #[test]
    fn names() {
        for name in ["db", "a.b-c_d1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a/b", "../x", "a ", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
