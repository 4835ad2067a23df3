//! The bundle: a directory with a description of a container and its root.

use std::path::{Path, PathBuf};

use hako_runtime::spec::{DeviceRule, Spec};

use crate::error::{Error, Result};

/// More than any description.
const LIMIT: u64 = 16 << 20;

/// A bundle that was read.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its absolute path.
    pub(crate) path: PathBuf,
    /// The description as it was read.
    pub(crate) text: Vec<u8>,
    /// The description, its root's path absolute.
    pub(crate) spec: Spec,
}

/// Reads the bundle at a path, or here.
pub(crate) fn read(path: Option<&str>) -> Result<Bundle> {
    let given = Path::new(path.unwrap_or("."));
    let path = std::fs::canonicalize(given).map_err(Error::file("open bundle", given))?;
    let file = path.join("config.json");
    let text = hako_sys::file::read_limited(&file, LIMIT)?;
    let mut spec = parse(&text, &file)?;
    check(&spec).map_err(|what| Error::Config { path: file.display().to_string(), what })?;
    if let Some(root) = &mut spec.root {
        root.path = path.join(&root.path).display().to_string();
    }
    allow_usual_devices(&mut spec);
    Ok(Bundle { path, text, spec })
}

/// Understands a description. Engines in Go write `null` for what is empty.
pub(crate) fn parse<T: for<'de> serde::Deserialize<'de>>(text: &[u8], path: &Path) -> Result<T> {
    let wrong = |error: serde_json::Error| Error::Config { path: path.display().to_string(), what: error.to_string() };
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(first) => {
            let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(text) else { return Err(wrong(first)) };
            drop_nulls(&mut value);
            serde_json::from_value(value).map_err(|_| wrong(first))
        }
    }
}

fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What must be right before anything is made.
fn check(spec: &Spec) -> std::result::Result<(), String> {
    if !spec.oci_version.starts_with("1.") {
        return Err(format!("ociVersion {:?} is not supported: it must be 1.x", spec.oci_version));
    }
    let Some(root) = &spec.root else { return Err("there is no root".into()) };
    if root.path.is_empty() {
        return Err("root.path is empty".into());
    }
    if let Some(process) = &spec.process
        && !process.cwd.starts_with('/')
    {
        return Err(format!("process.cwd {:?} is not an absolute path", process.cwd));
    }
    let Some(linux) = &spec.linux else { return Err("there is no linux section".into()) };
    let mut kinds: Vec<_> = linux.namespaces.iter().map(|namespace| namespace.kind).collect();
    kinds.sort_unstable();
    if let Some(pair) = kinds.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("there are two namespaces of type {:?}", pair[0]));
    }
    check_namespaces(spec, linux)
}

fn check_namespaces(spec: &Spec, linux: &hako_runtime::spec::Linux) -> std::result::Result<(), String> {
    use hako_runtime::spec::NamespaceKind::{Time, User, Uts};
    let has = |kind| linux.namespaces.iter().any(|namespace| namespace.kind == kind);
    let named = !spec.hostname.is_empty() || !spec.domainname.is_empty();
    if named && !has(Uts) {
        return Err("hostname and domainname need a uts namespace".into());
    }
    if !linux.time_offsets.is_empty() && !has(Time) {
        return Err("timeOffsets need a time namespace".into());
    }
    let joined = linux.namespaces.iter().any(|namespace| namespace.kind == User && !namespace.path.is_empty());
    if has(User) && !joined && (linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty()) {
        return Err("a new user namespace needs uidMappings and gidMappings".into());
    }
    let mapped = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if mapped && !has(User) {
        return Err("uidMappings and gidMappings need a user namespace".into());
    }
    Ok(())
}

/// Devices that every container may use, whatever its rules: kind, major and minor number.
const USUAL: [(&str, Option<i64>, Option<i64>, &str); 11] = [
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(1), "rwm"),
    ("c", Some(136), None, "rwm"),
    ("c", Some(5), Some(2), "rwm"),
];

/// A container has no access to devices but those of its rules and the usual ones.
fn allow_usual_devices(spec: &mut Spec) {
    let rules = &mut spec.linux.get_or_insert_default().resources.get_or_insert_default().devices;
    let everything = |rule: &DeviceRule| rule.allow && matches!(rule.kind.as_str(), "" | "a") && rule.major.is_none();
    if rules.iter().any(everything) {
        return;
    }
    if rules.first().is_none_or(|first| first.allow) {
        rules.insert(0, DeviceRule { access: "rwm".into(), ..DeviceRule::default() });
    }
    rules.extend(USUAL.map(|(kind, major, minor, access)| DeviceRule {
        allow: true,
        kind: kind.into(),
        major,
        minor,
        access: access.into(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"ociVersion":"1.2.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]}}"#;

    fn checked(text: &str) -> std::result::Result<(), String> {
        let spec = parse::<Spec>(text.as_bytes(), Path::new("config.json")).map_err(|error| error.to_string())?;
        check(&spec)
    }

    #[test]
    fn descriptions_are_checked() {
        assert_eq!(checked(LEAST), Ok(()));
        for (from, to, word) in [
            ("1.2.0", "2.0.0", "ociVersion"),
            ("rootfs", "", "root.path"),
            ("\"linux\"", "\"hostname\":\"x\",\"linux\"", "uts"),
            ("\"linux\"", "\"process\":{\"cwd\":\"x\"},\"linux\"", "cwd"),
            ("{\"type\":\"mount\"}", "{\"type\":\"mount\"},{\"type\":\"mount\"}", "two"),
            ("{\"type\":\"mount\"}", "{\"type\":\"moon\"}", "moon"),
            ("{\"type\":\"mount\"}", "{\"type\":\"user\"}", "uidMappings"),
        ] {
            let said = checked(&LEAST.replace(from, to)).unwrap_err();
            assert!(said.contains(word), "{said:?} names {word}");
        }
    }

    #[test]
    fn nulls_are_empty() {
        let text = LEAST.replace("\"root\"", "\"mounts\":null,\"annotations\":null,\"root\"");
        assert_eq!(checked(&text), Ok(()));
    }

    #[test]
    fn devices_are_refused_but_the_usual() {
        let mut spec = Spec::default();
        allow_usual_devices(&mut spec);
        let rules = spec.linux.unwrap().resources.unwrap().devices;
        assert!(!rules[0].allow && rules.len() == 12);
        let mut privileged = Spec::default();
        let all = DeviceRule { allow: true, access: "rwm".into(), ..DeviceRule::default() };
        privileged.linux.get_or_insert_default().resources.get_or_insert_default().devices = vec![all.clone()];
        allow_usual_devices(&mut privileged);
        assert_eq!(privileged.linux.unwrap().resources.unwrap().devices, [all]);
    }
}
