//! Named volumes: `volumes/NAME/_data` and a record beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hako_model::time::Timestamp;
use hako_sys::file::Durability;
use serde::{Deserialize, Serialize};

use crate::extract::list;
use crate::store::{Shared, discard, make_dir};
use crate::{Error, Result, quota, tree, usage};

/// The volumes of a store. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {
    pub(crate) shared: Arc<Shared>,
}

/// A volume's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Always `local`.
    pub driver: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The user's labels; `null` when none were given.
    pub labels: Option<BTreeMap<String, String>>,
    /// Options of the local driver: `type`, `device`, `o`; `null` when none were given.
    pub options: Option<BTreeMap<String, String>>,
    /// Whether nobody named it.
    pub anonymous: bool,
    /// Where its data lies.
    #[serde(skip)]
    pub mountpoint: PathBuf,
    /// Why its record cannot be read; it can still be removed.
    #[serde(skip)]
    pub damage: Option<String>,
}

/// A volume to be made.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Its name; empty makes an anonymous one with a random name.
    pub name: String,
    /// `local` or empty.
    pub driver: String,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// The most bytes it may hold, if that is bounded.
    pub bound: Option<u64>,
    /// Mark as anonymous even though named (containers' anonymous volumes).
    pub anonymous: bool,
}

/// The label by which Docker's clients know a volume nobody named.
const ANONYMOUS: &str = "com.docker.volume.anonymous";
/// The options of the local driver.
const OPTIONS: [&str; 4] = ["type", "device", "o", "size"];
/// Which options each of them needs beside it.
const NEEDED: [(&str, &[&str]); 3] = [("type", &["device"]), ("device", &["type"]), ("o", &["device", "type"])];

fn marked(labels: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut labels = labels.unwrap_or_default();
    labels.insert(ANONYMOUS.to_owned(), String::new());
    labels
}

impl Volumes {
    fn dir(&self, name: &str) -> PathBuf {
        self.shared.path("volumes").join(name)
    }

    /// Makes a volume, or returns the one of that name when driver and options agree.
    pub fn create(&self, new: NewVolume) -> Result<Volume> {
        let anonymous = new.anonymous || new.name.is_empty();
        let name = if new.name.is_empty() { hako_sys::random::hex(32)? } else { new.name };
        check_name(&name)?;
        check_driver(&new.driver, new.options.as_ref())?;
        let flight = self.shared.flights.begin(&format!("volume {name}"), None);
        match self.get(&name) {
            Ok(known) => return agree(known, new.options.as_ref()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let volume = Volume {
            name: name.clone(),
            driver: "local".to_owned(),
            created_at: Timestamp::from(SystemTime::now()),
            labels: if anonymous { Some(marked(new.labels)) } else { new.labels },
            options: new.options,
            anonymous,
            mountpoint: self.dir(&name).join("_data"),
            damage: None,
        };
        self.write(&volume, new.bound)?;
        drop(flight);
        Ok(volume)
    }

    /// Everything is made aside and then renamed, so that a volume is there with its record or not at all.
    fn write(&self, volume: &Volume, bound: Option<u64>) -> Result<()> {
        let scratch = self.shared.scratch()?;
        let data = scratch.join("_data");
        make_dir(&data, 0o755)?;
        if let Some(bytes) = bound {
            quota::bound(&[data], &format!("volume {}", volume.name), bytes)?;
        }
        let bytes = serde_json::to_vec(volume).map_err(|error| Error::malformed("volume record", error.to_string()))?;
        hako_sys::file::write_atomic(&scratch.join("record.json"), &bytes, Durability::Power)?;
        // Other users pass through here to the data when a container's user namespace differs.
        rustix::fs::chmod(&scratch, rustix::fs::Mode::from_raw_mode(0o711))
            .map_err(Error::at("change mode of", &scratch))?;
        let place = self.dir(&volume.name);
        std::fs::rename(&scratch, &place).map_err(Error::at("create", &place))?;
        Ok(hako_sys::file::fsync_dir(&self.shared.path("volumes"))?)
    }

    /// The volume of that name; a damaged one is an error that says so.
    pub fn get(&self, name: &str) -> Result<Volume> {
        check_name(name).map_err(|_| Error::not_found("volume", name))?;
        let volume = self.read(name)?;
        match volume.damage {
            Some(reason) => Err(Error::Damaged { path: self.dir(name).display().to_string(), reason }),
            None => Ok(volume),
        }
    }

    fn read(&self, name: &str) -> Result<Volume> {
        let dir = self.dir(name);
        if !dir.is_dir() {
            return Err(Error::not_found("volume", name));
        }
        let read = std::fs::read(dir.join("record.json")).map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| serde_json::from_slice::<Volume>(&bytes).map_err(|error| error.to_string()));
        let mut volume = parsed.unwrap_or_else(|reason| Volume { damage: Some(reason), ..Volume::default() });
        (volume.name, volume.mountpoint) = (name.to_owned(), dir.join("_data"));
        Ok(volume)
    }

    /// All volumes by name, damaged ones too.
    pub fn list(&self) -> Vec<Volume> {
        let Ok(names) = std::fs::read_dir(self.shared.path("volumes")) else { return Vec::new() };
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut volumes: Vec<Volume> = names.filter_map(|name| self.read(&name).ok()).collect();
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
        volumes
    }

    /// Removes a volume and its data. Whether somebody uses it is the caller's knowledge.
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name).map_err(|_| Error::not_found("volume", name))?;
        if self.read(name).is_ok_and(|volume| volume.options.is_some_and(|options| options.contains_key("size"))) {
            // A bound that stays costs a number, and nothing else.
            let _ = quota::free_again(&self.dir(name).join("_data"));
        }
        match self.shared.bury(&self.dir(name))? {
            Some(grave) => {
                hako_sys::file::fsync_dir(&self.shared.path("volumes"))?;
                discard(&grave)
            }
            None => Err(Error::not_found("volume", name)),
        }
    }

    /// Whether the bytes of volumes can be bounded.
    pub fn can_be_bounded(&self) -> bool {
        quota::is_possible(&self.shared.path("volumes"))
    }

    /// The bytes its data takes on disk.
    pub fn usage(&self, name: &str) -> Result<u64> {
        let volume = self.read(name)?;
        usage::tree(&volume.mountpoint)
    }

    /// Copies what lies at `path` inside `root` into the volume, with ownership, times and xattrs, when the volume is
    /// empty and `path` is a directory there. Links in `path` are resolved inside `root`; links in the content are copied,
    /// never followed. Returns whether anything was copied.
    pub fn copy_up(&self, name: &str, root: BorrowedFd<'_>, path: &Path) -> Result<bool> {
        let mountpoint = self.get(name)?.mountpoint;
        // Two containers that start at once must not both find it empty.
        let _flight = self.shared.flights.begin(&format!("volume {name}"), None);
        let data = File::open(&mountpoint).map_err(Error::at("open", &mountpoint))?;
        if !list(&data)?.is_empty() {
            return Ok(false);
        }
        let Some(from) = tree::directory(root, path)? else { return Ok(false) };
        tree::copy(std::os::fd::AsFd::as_fd(&from), data.into())?;
        Ok(true)
    }
}

/// Docker's rule for names.
fn check_name(name: &str) -> Result<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() >= 2 && name.len() <= 255 && name.bytes().all(word) {
        return Ok(());
    }
    let reason = "includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed";
    let reason = if name.len() == 1 && first {
        "volume name is too short, names should be at least two alphanumeric characters"
    } else {
        reason
    };
    Err(Error::Invalid { what: "create volume", text: name.to_owned(), reason: reason.to_owned() })
}

fn check_driver(driver: &str, options: Option<&BTreeMap<String, String>>) -> Result<()> {
    let invalid = |text: &str, reason: &str| Error::Invalid {
        what: "create volume",
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    if !matches!(driver, "" | "local") {
        return Err(invalid(driver, "only the local driver exists"));
    }
    let Some(options) = options else { return Ok(()) };
    if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        return Err(invalid(unknown, "invalid option, want type, device, o or size"));
    }
    for (_, needed) in NEEDED.iter().filter(|(key, _)| options.contains_key(*key)) {
        if let Some(missing) = needed.iter().find(|key| !options.contains_key(**key)) {
            return Err(invalid(missing, "missing required option"));
        }
    }
    Ok(())
}

fn agree(known: Volume, options: Option<&BTreeMap<String, String>>) -> Result<Volume> {
    let same = match (options, known.options.as_ref()) {
        // Asking without options is asking for whatever is there.
        (None, _) => true,
        (Some(wanted), _) if wanted.is_empty() => true,
        (Some(wanted), have) => have == Some(wanted),
    };
    if same { Ok(known) } else { Err(Error::Exists { kind: "volume", name: known.name }) }
}

#[cfg(test)]
mod tests;
