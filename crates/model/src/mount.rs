//! What a mount means: the short form of `-v` (`source:target[:options]`), the options of `--tmpfs`, and the structured
//! form of `--mount`, checked and reduced to one [`Plan`]. The refusals are Docker's.
//! Leaves out whether a source exists (engine) and mounting (runtime).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container::{Mount, MountKind};
use crate::digest::Digest;

/// Something to be mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Plan {
    /// Where: an absolute, clean path in the container.
    pub target: String,
    /// Refuse writes.
    #[serde(default)]
    pub read_only: bool,
    /// The options as they were given to `-v`, or Docker's word for none: what `inspect` shows as `Mode`.
    #[serde(default)]
    pub mode: String,
    /// What.
    pub origin: Origin,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Origin {
    /// A path of the host.
    Bind(Bind),
    /// A volume.
    Volume(Volume),
    /// Memory.
    Tmpfs(Tmpfs),
    /// The files of an image.
    Image(ImageFiles),
}

/// A path of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Bind {
    /// The path.
    pub source: String,
    /// Propagation; `rprivate` when empty.
    pub propagation: String,
    /// Make the source directory when it is missing (`-v` does, `--mount` does not).
    pub create: bool,
    /// Without the mounts below the source.
    pub non_recursive: bool,
    /// Read-only only at the top.
    pub read_only_non_recursive: bool,
    /// Fail where read-only cannot be recursive.
    pub read_only_force_recursive: bool,
    /// The mount the source lay on when it was asked for, if that was not the root of all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mounted_at: String,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name; empty for an anonymous one not yet made.
    pub name: String,
    /// Whether nobody named it: it goes with `rm -v`.
    pub anonymous: bool,
    /// Do not copy the image's content into it.
    pub no_copy: bool,
    /// A directory inside the volume.
    pub subpath: String,
    /// The driver of a volume made for this.
    pub driver: String,
    /// The driver's options of a volume made for this.
    pub options: BTreeMap<String, String>,
    /// Labels of a volume made for this.
    pub labels: BTreeMap<String, String>,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tmpfs {
    /// Options in the words of mount(8), complete.
    pub options: Vec<String>,
}

/// The files of an image, never to be written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageFiles {
    /// What it was called.
    pub name: String,
    /// Its id, once it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Digest>,
    /// The topmost of its layers; none of an image without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// A file or directory inside it.
    pub subpath: String,
}

/// Why a mount was refused, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMount {
    /// The short form does not parse.
    #[error("invalid volume specification: '{spec}'")]
    Spec {
        /// The text.
        spec: String,
    },
    /// The short form's options do not parse.
    #[error("invalid mode: {mode}")]
    Mode {
        /// The text.
        spec: String,
        /// Its options.
        mode: String,
    },
    /// The short form means something that makes no sense.
    #[error("invalid volume specification: '{spec}': {cause}")]
    Meaning {
        /// The text.
        spec: String,
        /// What is wrong.
        cause: Box<InvalidMount>,
    },
    /// A structured mount makes no sense.
    #[error("invalid mount config for type \"{kind}\": {reason}")]
    Config {
        /// Its type.
        kind: String,
        /// What is wrong.
        reason: String,
    },
    /// Options of a tmpfs.
    #[error("invalid tmpfs option {option:?}")]
    TmpfsOption {
        /// The option.
        option: String,
    },
}

const PROPAGATIONS: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const CONSISTENCIES: &[&str] = &["consistent", "cached", "delegated"];

/// Docker's defaults for a tmpfs.
const TMPFS_DEFAULTS: &[&str] = &["noexec", "nosuid", "nodev"];

impl Plan {
    /// Reads one of `HostConfig.Binds`: `target`, `source:target` or `source:target:options`.
    pub fn from_bind(spec: &str) -> Result<Self, InvalidMount> {
        let refused = || InvalidMount::Spec { spec: spec.to_owned() };
        let parts: Vec<&str> = spec.splitn(4, ':').collect();
        let (source, target, mode) = match parts[..] {
            [target] => ("", target, ""),
            [_, mode] if parse_mode(mode).is_some() => return Err(refused()),
            [source, target] => (source, target, ""),
            [source, target, mode] => (source, target, mode),
            _ => return Err(refused()),
        };
        if parts[0].is_empty() || target.is_empty() {
            return Err(refused());
        }
        let words = parse_mode(mode);
        let words = words.ok_or_else(|| InvalidMount::Mode { spec: spec.to_owned(), mode: mode.to_owned() })?;
        let plan = Self::short(source, target, mode, &words);
        plan.map_err(|cause| InvalidMount::Meaning { spec: spec.to_owned(), cause: Box::new(cause) })
    }

    fn short(source: &str, target: &str, mode: &str, words: &Mode) -> Result<Self, InvalidMount> {
        let origin = if source.starts_with('/') {
            let (source, propagation) = (clean(source), words.propagation.clone());
            Origin::Bind(Bind { source, propagation, create: true, ..Bind::default() })
        } else {
            let (name, anonymous) = (source.to_owned(), source.is_empty());
            Origin::Volume(Volume { name, anonymous, no_copy: words.no_copy, ..Volume::default() })
        };
        let target = check_target(target, origin.kind())?;
        let mode = shown_mode(mode, &origin);
        Ok(Self { target, read_only: words.read_only, mode, origin })
    }

    /// An anonymous volume at `target` (`VOLUME` in the image, or `Config.Volumes`).
    pub fn anonymous(target: &str) -> Result<Self, InvalidMount> {
        let origin = Origin::Volume(Volume { anonymous: true, ..Volume::default() });
        Ok(Self { target: check_target(target, "volume")?, read_only: false, mode: String::new(), origin })
    }

    /// One of `HostConfig.Tmpfs`: a target and its options, comma-separated.
    pub fn from_tmpfs(target: &str, options: &str) -> Result<Self, InvalidMount> {
        let given: Vec<String> = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
        given.iter().try_for_each(|option| check_tmpfs_option(option))?;
        let read_only = given.iter().any(|o| o == "ro");
        let origin = Origin::Tmpfs(Tmpfs { options: with_defaults(given) });
        Ok(Self { target: check_target(target, "tmpfs")?, read_only, mode: options.to_owned(), origin })
    }

    /// Reads one of `HostConfig.Mounts`.
    pub fn from_mount(mount: &Mount) -> Result<Self, InvalidMount> {
        let kind = mount.kind.as_str();
        if mount.target.is_empty() {
            return Err(config(kind, "field Target must not be empty"));
        }
        check_foreign_options(mount)?;
        let origin = match mount.kind {
            MountKind::Bind => bind_origin(mount)?,
            MountKind::Volume => volume_origin(mount)?,
            MountKind::Tmpfs => tmpfs_origin(mount)?,
            MountKind::Image => image_origin(mount)?,
            _ => return Err(config(kind, "mount type unknown")),
        };
        let target = check_target(&mount.target, kind)?;
        let mode = shown_mode("", &origin);
        let read_only = mount.read_only || matches!(origin, Origin::Image(_));
        Ok(Self { target, read_only, mode, origin })
    }
}

/// Docker asks for volumes to be relabelled when nothing else is asked for, and says so.
fn shown_mode(given: &str, origin: &Origin) -> String {
    if given.is_empty() && matches!(origin, Origin::Volume(_)) { "z".to_owned() } else { given.to_owned() }
}

impl Origin {
    /// Docker's word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bind(_) => "bind",
            Self::Volume(_) => "volume",
            Self::Tmpfs(_) => "tmpfs",
            Self::Image(_) => "image",
        }
    }
}

fn config(kind: &str, reason: impl Into<String>) -> InvalidMount {
    InvalidMount::Config { kind: kind.to_owned(), reason: reason.into() }
}

fn bind_origin(mount: &Mount) -> Result<Origin, InvalidMount> {
    if mount.source.is_empty() {
        return Err(config("bind", "field Source must not be empty"));
    }
    if !mount.source.starts_with('/') {
        let reason = format!("invalid mount path: '{}' mount path must be absolute", mount.source);
        return Err(config("bind", reason));
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(config("bind", format!("invalid propagation mode: {}", options.propagation)));
    }
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err(config("bind", "mutually exclusive options: ReadOnlyNonRecursive and ReadOnlyForceRecursive"));
    }
    Ok(Origin::Bind(Bind {
        source: clean(&mount.source),
        propagation: options.propagation,
        create: options.create_mountpoint,
        non_recursive: options.non_recursive,
        read_only_non_recursive: options.read_only_non_recursive,
        read_only_force_recursive: options.read_only_force_recursive,
        mounted_at: String::new(),
    }))
}

fn volume_origin(mount: &Mount) -> Result<Origin, InvalidMount> {
    let anonymous = mount.source.is_empty();
    let options = mount.volume_options.clone().unwrap_or_default();
    if anonymous && mount.read_only {
        return Err(config("volume", "must not set ReadOnly mode when using anonymous volumes"));
    }
    if anonymous && !options.subpath.is_empty() {
        return Err(config("volume", "must not set Subpath when using anonymous volumes"));
    }
    check_subpath("volume", &options.subpath)?;
    let driver = options.driver_config.unwrap_or_default();
    Ok(Origin::Volume(Volume {
        name: mount.source.clone(),
        anonymous,
        no_copy: options.no_copy,
        subpath: options.subpath,
        driver: driver.name,
        options: driver.options.unwrap_or_default(),
        labels: options.labels.unwrap_or_default(),
    }))
}

fn image_origin(mount: &Mount) -> Result<Origin, InvalidMount> {
    if mount.source.is_empty() {
        return Err(config("image", "field Source must not be empty"));
    }
    let subpath = mount.image_options.clone().unwrap_or_default().subpath;
    check_subpath("image", &subpath)?;
    Ok(Origin::Image(ImageFiles { name: mount.source.clone(), id: None, layer: None, subpath }))
}

fn check_subpath(kind: &str, subpath: &str) -> Result<(), InvalidMount> {
    if subpath.starts_with('/') || subpath.split('/').any(|part| part == "..") {
        return Err(config(kind, "subpath must be a relative path within the volume"));
    }
    Ok(())
}

fn tmpfs_origin(mount: &Mount) -> Result<Origin, InvalidMount> {
    if !mount.source.is_empty() {
        return Err(config("tmpfs", "field Source must not be specified"));
    }
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let mut given = Vec::new();
    if options.size_bytes > 0 {
        given.push(format!("size={}", options.size_bytes));
    }
    if options.mode != 0 {
        given.push(format!("mode={:o}", options.mode));
    }
    given.extend(options.options.unwrap_or_default().iter().map(|words| words.join("=")));
    given.iter().try_for_each(|option| check_tmpfs_option(option))?;
    Ok(Origin::Tmpfs(Tmpfs { options: with_defaults(given) }))
}

/// Options that belong to another type of mount.
fn check_foreign_options(mount: &Mount) -> Result<(), InvalidMount> {
    let kind = mount.kind.as_str();
    let options = [
        ("BindOptions", MountKind::Bind, mount.bind_options.is_some()),
        ("VolumeOptions", MountKind::Volume, mount.volume_options.is_some()),
        ("TmpfsOptions", MountKind::Tmpfs, mount.tmpfs_options.is_some()),
        ("ImageOptions", MountKind::Image, mount.image_options.is_some()),
    ];
    match options.iter().find(|(_, of, given)| *given && *of != mount.kind) {
        Some((field, ..)) => Err(config(kind, format!("field {field} must not be specified"))),
        None => Ok(()),
    }
}

fn check_target(target: &str, kind: &str) -> Result<String, InvalidMount> {
    if !target.starts_with('/') {
        return Err(config(kind, format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    let target = clean(target);
    if target == "/" {
        return Err(config(kind, "invalid specification: destination can't be '/'"));
    }
    Ok(target)
}

/// Go's `path.Clean` of an absolute path.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The options of the short form, each kind at most once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mode {
    read_only: bool,
    propagation: String,
    no_copy: bool,
}

fn parse_mode(text: &str) -> Option<Mode> {
    let mut mode = Mode::default();
    let mut seen: Vec<u8> = Vec::new();
    for word in text.split(',').filter(|_| !text.is_empty()) {
        let kind = match word {
            "rw" => 0,
            "ro" => {
                mode.read_only = true;
                0
            }
            "z" | "Z" => 1,
            "nocopy" => {
                mode.no_copy = true;
                2
            }
            word if PROPAGATIONS.contains(&word) => {
                word.clone_into(&mut mode.propagation);
                3
            }
            word if CONSISTENCIES.contains(&word) => 4,
            _ => return None,
        };
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
    }
    Some(mode)
}

const TMPFS_FLAGS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "rbind",
    "relatime",
    "remount",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "unbindable",
];
const TMPFS_VALUES: &[&str] = &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

fn check_tmpfs_option(option: &str) -> Result<(), InvalidMount> {
    let known = match option.split_once('=') {
        Some((name, value)) => TMPFS_VALUES.contains(&name) && !value.is_empty(),
        None => TMPFS_FLAGS.contains(&option),
    };
    if known { Ok(()) } else { Err(InvalidMount::TmpfsOption { option: option.to_owned() }) }
}

/// Docker's defaults before the given options, less those whose opposite is given.
fn with_defaults(given: Vec<String>) -> Vec<String> {
    let opposite = |default: &str| given.iter().any(|o| default.strip_prefix("no") == Some(o.as_str()));
    let defaults = TMPFS_DEFAULTS.iter().filter(|d| !opposite(d)).map(|d| (*d).to_owned());
    defaults.chain(given.iter().filter(|o| !TMPFS_DEFAULTS.contains(&o.as_str())).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(spec: &str) -> String {
        Plan::from_bind(spec).unwrap_err().to_string()
    }

    #[test]
    fn short_forms() {
        let plan = Plan::from_bind("/srv/../a:/b/:ro,rslave").unwrap();
        assert_eq!((plan.target.as_str(), plan.read_only, plan.mode.as_str()), ("/b", true, "ro,rslave"));
        let bind = Bind { source: "/a".into(), propagation: "rslave".into(), create: true, ..Bind::default() };
        assert_eq!(plan.origin, Origin::Bind(bind));
        let Origin::Volume(volume) = Plan::from_bind("data:/data:nocopy").unwrap().origin else { panic!() };
        assert!(volume.no_copy && !volume.anonymous && volume.name == "data");
        let Origin::Volume(volume) = Plan::from_bind("/data").unwrap().origin else { panic!() };
        assert!(volume.anonymous);
    }

    #[test]
    fn refused_short_forms_have_dockers_words() {
        for (spec, expect) in [
            ("", "invalid volume specification: ''"),
            (":/a", "invalid volume specification: ':/a'"),
            ("/a:", "invalid volume specification: '/a:'"),
            ("/a:ro", "invalid volume specification: '/a:ro'"),
            ("a:/b:ro:x", "invalid volume specification: 'a:/b:ro:x'"),
            ("/a:/b:rx", "invalid mode: rx"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            (
                "/a:b",
                "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' \
                 mount path must be absolute",
            ),
            (
                "/a:/",
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: \
                 destination can't be '/'",
            ),
        ] {
            assert_eq!(refusal(spec), expect);
        }
    }

    #[test]
    fn structured_forms() {
        let mount = Mount { kind: MountKind::Bind, target: "/x".into(), ..Mount::default() };
        let text = Plan::from_mount(&mount).unwrap_err().to_string();
        assert_eq!(text, "invalid mount config for type \"bind\": field Source must not be empty");
        let mount = Mount { kind: MountKind::Tmpfs, target: "/x".into(), ..Mount::default() };
        let Origin::Tmpfs(tmpfs) = Plan::from_mount(&mount).unwrap().origin else { panic!() };
        assert_eq!(tmpfs.options, ["noexec", "nosuid", "nodev"]);
    }

    #[test]
    fn tmpfs_options_override_defaults() {
        let Origin::Tmpfs(tmpfs) = Plan::from_tmpfs("/t", "exec,size=1m,nosuid").unwrap().origin else { panic!() };
        assert_eq!(tmpfs.options, ["nosuid", "nodev", "exec", "size=1m"]);
        assert!(Plan::from_tmpfs("/t", "x=1").is_err());
    }
}
