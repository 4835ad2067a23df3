//! `--mount`, `-v` and `--tmpfs`: the one-line forms a person types, as the API wants them.

use std::collections::BTreeMap;
use std::path::Path;

use hako_model::container::{BindOptions, Empty, Mount, MountKind, NameSet, TmpfsOptions, VolumeDriver, VolumeOptions};

use crate::flags::{parse_bool, parse_bytes};

/// One `--mount`: fields separated by commas, each `key=value`; some keys may stand alone.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount { kind: MountKind::Volume, ..Mount::default() };
    for field in fields(text) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        match value {
            Some(value) => valued(&mut mount, &key, value, &field)?,
            None => bare(&mut mount, &key, &field)?,
        }
    }
    complete(mount)
}

/// The fields of a CSV line; double quotes protect commas.
pub(crate) fn fields(text: &str) -> Vec<String> {
    let (mut found, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    found.push(field);
    found
}

fn bare(mount: &mut Mount, key: &str, field: &str) -> Result<(), String> {
    match key {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => volume(mount).no_copy = true,
        "bind-nonrecursive" => bind(mount).non_recursive = true,
        "bind-create-src" => bind(mount).create_mountpoint = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn valued(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let truth = || parse_bool(value).map_err(|_| format!("invalid value for {key}: {value}"));
    match key {
        "type" => mount.kind = kind(value)?,
        "source" | "src" => mount.source = source(value),
        "target" | "dst" | "destination" => mount.target = value.to_owned(),
        "readonly" | "ro" => mount.read_only = truth()?,
        "consistency" => mount.consistency = value.to_ascii_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_ascii_lowercase(),
        "bind-nonrecursive" => bind(mount).non_recursive = truth()?,
        "bind-create-src" => bind(mount).create_mountpoint = truth()?,
        "bind-recursive" => recursion(mount, value)?,
        "volume-subpath" => volume(mount).subpath = value.to_owned(),
        "volume-nocopy" => {
            volume(mount).no_copy =
                parse_bool(value).map_err(|_| format!("invalid value for volume-nocopy: {value}"))?;
        }
        "volume-label" => insert(volume(mount).labels.get_or_insert_default(), value),
        "volume-driver" => driver(mount).name = value.to_owned(),
        "volume-opt" => insert(driver(mount).options.get_or_insert_default(), value),
        "image-subpath" => mount.image_options.get_or_insert_default().subpath = value.to_owned(),
        "tmpfs-size" => {
            tmpfs(mount).size_bytes = parse_bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        "tmpfs-mode" => {
            tmpfs(mount).mode =
                u32::from_str_radix(value, 8).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn kind(value: &str) -> Result<MountKind, String> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        "image" => MountKind::Image,
        // Docker's client leaves this to the daemon, whose words these are.
        other => return Err(format!("invalid mount config for type {other:?}: mount type unknown")),
    })
}

/// `.` and what begins with it is relative to the caller, as for `-v`.
fn source(value: &str) -> String {
    if value == "." || value.starts_with("./") || value == ".." || value.starts_with("../") {
        return absolute(value);
    }
    value.to_owned()
}

fn recursion(mount: &mut Mount, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind(mount).non_recursive = true,
        "writable" => bind(mount).read_only_non_recursive = true,
        "readonly" => bind(mount).read_only_force_recursive = true,
        other => {
            return Err(format!(
                "invalid value for bind-recursive: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn complete(mount: Mount) -> Result<Mount, String> {
    let kind = mount.kind;
    let wrong = |option: &str| Err(format!("cannot mix '{option}' options with mount type '{}'", kind.as_str()));
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    if mount.volume_options.is_some() && kind != MountKind::Volume {
        return wrong("volume-*");
    }
    if mount.bind_options.is_some() && kind != MountKind::Bind {
        return wrong("bind-*");
    }
    if mount.tmpfs_options.is_some() && kind != MountKind::Tmpfs {
        return wrong("tmpfs-*");
    }
    if mount.image_options.is_some() && kind != MountKind::Image {
        return wrong("image-*");
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    if options.read_only_non_recursive && !mount.read_only {
        return Err("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".to_owned());
    }
    if options.read_only_force_recursive && !mount.read_only {
        return Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned());
    }
    if options.read_only_force_recursive && options.propagation != "rprivate" {
        return Err(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
                .to_owned(),
        );
    }
    Ok(mount)
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn driver(mount: &mut Mount) -> &mut VolumeDriver {
    volume(mount).driver_config.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

fn insert(map: &mut BTreeMap<String, String>, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    map.insert(key.to_owned(), value.to_owned());
}

/// `-v` words, parted as the API wants them: binds (and named volumes) here, anonymous volumes there.
pub(crate) fn volumes(words: &[&str]) -> Result<(Vec<String>, NameSet), String> {
    let (mut binds, mut anonymous) = (Vec::new(), NameSet::new());
    for word in words {
        let parts: Vec<&str> = word.split(':').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(if *word == ":" || parts.len() > 1 {
                format!("invalid spec: {word}: empty section between colons")
            } else {
                "invalid empty volume spec".to_owned()
            });
        }
        match parts.as_slice() {
            [target] => {
                anonymous.insert((*target).to_owned(), Empty {});
            }
            [source, rest @ ..] if rest.len() <= 2 => {
                let source = if source.starts_with('.') { absolute(source) } else { (*source).to_owned() };
                binds.push(format!("{source}:{}", rest.join(":")));
            }
            _ => return Err(format!("invalid spec: {word}: too many colons")),
        }
    }
    Ok((binds, anonymous))
}

/// `/run:rw,size=64m` words.
pub(super) fn tmpfs_flags(words: &[&str]) -> BTreeMap<String, String> {
    words
        .iter()
        .map(|word| word.split_once(':').unwrap_or((word, "")))
        .map(|(t, o)| (t.to_owned(), o.to_owned()))
        .collect()
}

/// A path below the working directory, with `.` and `..` resolved by text as Go's `filepath.Abs` does.
fn absolute(path: &str) -> String {
    let full = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()).join(path);
    crate::paths::clean(&full.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_mounts() {
        let cases = [
            ("x", "invalid field 'x' must be a key=value pair"),
            (",x", "invalid field '' must be a key=value pair"),
            ("type=bind,src=/x", "target is required"),
            ("type=bind,src=/x,dst=/y,foo=bar", "unexpected key 'foo' in 'foo=bar'"),
            ("type=volume,src=x,dst=/y,readonly=foo", "invalid value for readonly: foo"),
            ("type=bind,src=/x,dst=/y,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
            ("type=volume,src=x,dst=/y,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ];
        for (text, expect) in cases {
            assert_eq!(parse(text).unwrap_err(), expect, "{text}");
        }
    }

    #[test]
    fn accepted_mounts() {
        let mount = parse("type=bind,source=/a,target=/b,readonly,bind-propagation=rslave").unwrap();
        assert_eq!((mount.kind, mount.read_only), (MountKind::Bind, true));
        assert_eq!(mount.bind_options.unwrap().propagation, "rslave");
        let mount = parse("src=data,dst=/d,volume-opt=type=nfs,\"volume-opt=o=a,b\",volume-driver=local").unwrap();
        let driver = mount.volume_options.unwrap().driver_config.unwrap();
        assert_eq!(driver.name, "local");
        assert_eq!(driver.options.unwrap()["o"], "a,b");
        let mount = parse("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777").unwrap();
        assert_eq!(mount.tmpfs_options.unwrap().mode, 0o1777);
    }

    #[test]
    fn dash_v_parts_binds_from_anonymous_volumes() {
        let (binds, anonymous) = volumes(&["/a:/b:ro", "data:/d", "/only"]).unwrap();
        assert_eq!(binds, ["/a:/b:ro", "data:/d"]);
        assert!(anonymous.contains_key("/only"));
        let here = std::env::current_dir().unwrap().join("x").display().to_string();
        assert_eq!(volumes(&["./x:/y"]).unwrap().0, [format!("{here}:/y")]);
        assert_eq!(volumes(&["a:b:c:d"]).unwrap_err(), "invalid spec: a:b:c:d: too many colons");
        assert_eq!(volumes(&[":/foo"]).unwrap_err(), "invalid spec: :/foo: empty section between colons");
    }
}
