//! Control groups by systemd (`--systemd-cgroup`): a container's group is a scope, a unit that systemd makes for a process
//! that runs already. Spoken is systemd's own D-Bus interface, as much of it as this takes.

mod bus;
mod message;
mod property;

use std::path::{Path, PathBuf};

use hako_runtime::LaunchError;
use hako_runtime::launch::Keeper;
use hako_runtime::spec::{Resources, Spec};
use hako_sys::cgroup::{Group, Hierarchy, Version};

use bus::Bus;
use message::{Body, Property, Value};

const USUAL_SLICE: &str = "system.slice";
const USUAL_PREFIX: &str = "hako";

/// Why systemd did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It is not there.
    #[error("systemd does not run here; use the cgroupfs driver")]
    Absent,
    /// Its socket cannot be connected to.
    #[error("connect to systemd at {path}: {cause}")]
    Connect { path: String, cause: std::io::Error },
    /// The address of the bus is of another kind.
    #[error("DBUS_SYSTEM_BUS_ADDRESS {0:?} names no unix socket by its path")]
    Address(String),
    /// It does not let us in.
    #[error("the bus refuses us: {0}")]
    Unwelcome(String),
    /// The connection broke.
    #[error("the connection to systemd broke: {0}")]
    Broken(std::io::Error),
    /// It did not answer in time.
    #[error("systemd did not answer within 30 seconds")]
    Silent,
    /// What came was no D-Bus.
    #[error("systemd sent {0}")]
    Protocol(&'static str),
    /// It refused.
    #[error("systemd refused {member}: {words} ({name})")]
    Refused { member: String, name: String, words: String },
    /// A job was not done.
    #[error("systemd's job for {member} ended as {result:?}")]
    Job { member: String, result: String },
    /// A setting cannot be told to it.
    #[error("{name} {text:?} cannot be a property of a unit")]
    Setting { name: String, text: String },
    /// A path of another form.
    #[error("linux.cgroupsPath {0:?} is not of the form SLICE:PREFIX:NAME that --systemd-cgroup needs")]
    Form(String),
    /// A name that no unit can have.
    #[error("linux.cgroupsPath: {0:?} cannot be the name of a {1}")]
    Name(String, &'static str),
    /// What was made could not be noted.
    #[error("note the unit: {0}")]
    Note(std::io::Error),
    /// It put the process elsewhere.
    #[error("systemd made no control group {0}: its groups are not where this host's are")]
    Elsewhere(String),
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// The scope of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    slice: String,
    /// The unit's name.
    pub(crate) unit: String,
}

impl Scope {
    /// The scope that a description's `cgroupsPath` names.
    pub(crate) fn of(wanted: &str, id: &str) -> Result<Self> {
        let (slice, prefix, name) = match wanted.split(':').collect::<Vec<_>>()[..] {
            [""] => (USUAL_SLICE, USUAL_PREFIX, id),
            [slice, prefix, name] => (if slice.is_empty() { USUAL_SLICE } else { slice }, prefix, name),
            _ => return Err(Fault::Form(wanted.to_owned())),
        };
        let joined = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") };
        // Ids may have a sign that names of units may not.
        let unit = format!("{}.scope", joined.replace('+', "\\x2b"));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        if name.is_empty() || name.ends_with(".slice") || unit.len() > 255 || !unit.bytes().all(plain) {
            return Err(Fault::Name(joined, "scope"));
        }
        Ok(Self { slice: slice.to_owned(), unit })
    }

    /// Where its group is, from the root of every hierarchy.
    pub(crate) fn path(&self) -> Result<String> {
        Ok(format!("{}/{}", expand(&self.slice)?, self.unit))
    }
}

/// A slice lies in those that the parts of its name tell: `a-b.slice` in `a.slice`.
fn expand(slice: &str) -> Result<String> {
    let wrong = || Fault::Name(slice.to_owned(), "slice");
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.is_empty() && slice.len() <= 255).ok_or_else(wrong)?;
    if stem == "-" {
        return Ok(String::new());
    }
    let mut path = String::new();
    for (end, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        path.push_str(&format!("/{}.slice", &stem[..end]));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@".contains(&byte);
    if stem.split('-').any(|part| part.is_empty() || !part.bytes().all(plain)) {
        return Err(wrong());
    }
    Ok(path)
}

/// Refuses early where nobody would answer.
pub(crate) fn expect() -> Result<()> {
    let there = Path::new("/run/systemd/system").exists() || std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_some();
    if there { Ok(()) } else { Err(Fault::Absent) }
}

/// A scope about to be made.
#[derive(Debug)]
pub(crate) struct Order {
    unit: String,
    path: String,
    properties: Vec<Property>,
    /// A link that will name the unit once it is made.
    note: PathBuf,
}

impl Order {
    /// What systemd will be told of a container.
    pub(crate) fn of(scope: &Scope, id: &str, spec: &Spec, note: PathBuf) -> Result<Self> {
        let version = version();
        let flag = |name: &str, value| (name.to_owned(), Value::Flag(value));
        let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        let mut properties = vec![
            text("Description", &format!("hako container {id}")),
            text("Slice", &scope.slice),
            flag("Delegate", true),
            flag("DefaultDependencies", false),
            flag("CPUAccounting", true),
            flag("MemoryAccounting", true),
            flag("TasksAccounting", true),
            flag(if version == Version::V2 { "IOAccounting" } else { "BlockIOAccounting" }, true),
        ];
        let resources = spec.linux.iter().filter_map(|linux| linux.resources.as_ref());
        for resources in resources {
            properties.extend(property::of_resources(resources, version)?);
        }
        properties.extend(property::of_annotations(&spec.annotations)?);
        Ok(Self { unit: scope.unit.clone(), path: scope.path()?, properties, note })
    }

    fn place(&self, pid: i32) -> Result<()> {
        let mut properties = self.properties.clone();
        properties.push(("PIDs".into(), Value::Numbers(vec![pid.cast_unsigned()])));
        let body = || Body::default().text(&self.unit).text("replace").properties(&properties).nothing_else();
        let mut bus = Bus::connect()?;
        match bus.carry_out("StartTransientUnit", &body()) {
            Err(Fault::Refused { name, .. }) if name == "org.freedesktop.systemd1.UnitExists" => {
                // One that failed stays until somebody has taken note.
                let _ = bus.call("ResetFailedUnit", &Body::default().text(&self.unit));
                bus.carry_out("StartTransientUnit", &body())?;
            }
            placed => placed?,
        }
        std::os::unix::fs::symlink(&self.unit, &self.note).map_err(Fault::Note)?;
        let there = Group::open(&self.path).is_ok_and(|group| group.exists());
        // On v1 systemd makes a group only where it has a limit to set.
        if there || version() == Version::V1 { Ok(()) } else { Err(Fault::Elsewhere(self.path.clone())) }
    }
}

impl Keeper for Order {
    fn place(&self, pid: i32) -> std::result::Result<(), LaunchError> {
        Order::place(self, pid).map_err(|fault| LaunchError::setup(format!("place process in {}", self.unit), fault))
    }
}

fn version() -> Version {
    Hierarchy::of_host().map_or(Version::V2, Hierarchy::version)
}

/// Tells systemd of changed limits, so that it does not put the old ones back.
pub(crate) fn change(unit: &str, resources: &Resources) -> Result<()> {
    let properties = property::of_resources(resources, version())?;
    if properties.is_empty() {
        return Ok(());
    }
    let body = Body::default().text(unit).flag(true).properties(&properties);
    Bus::connect()?.call("SetUnitProperties", &body).map(drop)
}

/// Has a scope without processes forgotten at once; systemd itself takes a moment, in which its name is taken.
pub(crate) fn forget(unit: &str) -> Result<()> {
    let mut bus = Bus::connect()?;
    match bus.carry_out("StopUnit", &Body::default().text(unit).text("replace")) {
        Err(Fault::Refused { name, .. }) if name == "org.freedesktop.systemd1.NoSuchUnit" => return Ok(()),
        stopped => stopped?,
    }
    match bus.call("ResetFailedUnit", &Body::default().text(unit)) {
        Err(Fault::Refused { name, .. }) if name == "org.freedesktop.systemd1.NoSuchUnit" => Ok(()),
        reset => reset.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_scopes() {
        for (wanted, slice, unit, path) in [
            ("", "system.slice", "hako-box.scope", "/system.slice/hako-box.scope"),
            (":docker:1f", "system.slice", "docker-1f.scope", "/system.slice/docker-1f.scope"),
            ("machine.slice::1f", "machine.slice", "1f.scope", "/machine.slice/1f.scope"),
            ("a-b-c.slice:p:n", "a-b-c.slice", "p-n.scope", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"),
            ("-.slice:p:n", "-.slice", "p-n.scope", "/p-n.scope"),
            ("a.slice:p:x+y", "a.slice", "p-x\\x2by.scope", "/a.slice/p-x\\x2by.scope"),
        ] {
            let scope = Scope::of(wanted, "box").unwrap();
            assert_eq!((scope.slice.as_str(), scope.unit.as_str()), (slice, unit), "{wanted}");
            assert_eq!(scope.path().unwrap(), path, "{wanted}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for wanted in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a.slice:p:",
            "a.slice:../p:n",
            "a.slice:p:n/m",
            "a.slice:p:n.slice",
            "a:p:n",
            ".slice:p:n",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "a-.slice:p:n",
            "../a.slice:p:n",
            "a/b.slice:p:n",
        ] {
            let path = Scope::of(wanted, "box").and_then(|scope| scope.path());
            assert!(path.is_err(), "{wanted}: {path:?}");
        }
    }
}
