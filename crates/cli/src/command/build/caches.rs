//! `--cache-from` and `--cache-to`: where a build takes results from, and where it puts its own.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use hako_api::build::{CacheGoal, CachePlace};

use crate::creation::fields;
use crate::failure::{Failure, path_failure};
use crate::flags::Matches;

/// Caches, and the directories that are held open for the daemon.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) from: Vec<CachePlace>,
    pub(super) to: Vec<CacheGoal>,
    _open: Vec<OwnedFd>,
}

/// What a flag says.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Registry(String),
    Local(String),
    Inline,
}

/// A place, and what goes there.
#[derive(Debug, PartialEq, Eq)]
struct Cache {
    asked: Asked,
    max: bool,
    mounts: Option<String>,
}

impl Caches {
    pub(super) fn read(found: &Matches) -> Result<Self, Failure> {
        let mut caches = Self::default();
        for flag in found.list("cache-from") {
            match parse("cache-from", flag)?.asked {
                Asked::Registry(reference) => caches.from.push(CachePlace::Registry { reference }),
                // Before the first build there is none.
                Asked::Local(path) if !std::path::Path::new(&path).exists() => {}
                Asked::Local(path) => {
                    let fd = caches.hold(&path)?;
                    caches.from.push(CachePlace::Folder { fd });
                }
                Asked::Inline => {
                    return Err(Failure::local("--cache-from names no image: give it type=registry,ref=IMAGE"));
                }
            }
        }
        for flag in found.list("cache-to") {
            let Cache { asked, max, mounts } = parse("cache-to", flag)?;
            let place = match asked {
                Asked::Registry(reference) => CachePlace::Registry { reference },
                Asked::Local(path) => {
                    std::fs::create_dir_all(&path).map_err(|error| path_failure("mkdir", &path, &error))?;
                    CachePlace::Folder { fd: caches.hold(&path)? }
                }
                Asked::Inline => CachePlace::Inline,
            };
            caches.to.push(CacheGoal { place, max, mounts });
        }
        Ok(caches)
    }

    fn hold(&mut self, path: &str) -> Result<i32, Failure> {
        let file = OwnedFd::from(File::open(path).map_err(|error| path_failure("open", path, &error))?);
        let number = file.as_raw_fd();
        self._open.push(file);
        Ok(number)
    }
}

/// `type=KIND,key=value,…`, or the name of an image.
fn parse(flag: &str, text: &str) -> Result<Cache, Failure> {
    let (mut max, mut mounts) = (false, None);
    if !text.contains('=') {
        return Ok(Cache { asked: Asked::Registry(text.to_owned()), max, mounts });
    }
    let (mut kind, mut place) = (String::new(), String::new());
    let own = if flag == "cache-from" { "src" } else { "dest" };
    for pair in fields(text) {
        let wrong = || Failure::local(format!("invalid value {pair} of --{flag}: expected key=value"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        match (key, value) {
            ("type", _) => kind = value.to_owned(),
            ("ref", _) => place = value.to_owned(),
            (key, _) if key == own => place = value.to_owned(),
            ("mode", "min" | "max") if flag == "cache-to" => max = value == "max",
            ("mounts", _) if flag == "cache-to" => mounts = Some(value.to_owned()),
            // What is so anyway.
            ("image-manifest" | "oci-mediatypes", "true") | ("compression", "gzip") => {}
            _ => return Err(Failure::local(format!("--{flag}: {key}={value} is not supported"))),
        }
    }
    let needed = |what: &str| match place.is_empty() {
        true => Err(Failure::local(format!("--{flag} type={kind} needs {what}"))),
        false => Ok(place.clone()),
    };
    let asked = match kind.as_str() {
        "registry" => Asked::Registry(needed("ref=IMAGE")?),
        "local" => Asked::Local(needed(&format!("{own}=DIRECTORY"))?),
        "inline" => Asked::Inline,
        other => {
            let why = format!("--{flag}: type={other} is not supported: use registry, local or inline");
            return Err(Failure::local(why));
        }
    };
    Ok(Cache { asked, max, mounts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_as_buildx_has_it() {
        let to = |text| parse("cache-to", text).map_err(|error| error.to_string());
        let from = |text| parse("cache-from", text).map_err(|error| error.to_string());
        let plain = |asked, max| Ok(Cache { asked, max, mounts: None });
        let registry = || Asked::Registry("r/a:b".to_owned());
        let local = || Asked::Local("/d".to_owned());
        assert_eq!(from("r/a:b"), plain(registry(), false));
        assert_eq!(to("type=registry,ref=r/a:b,mode=max,image-manifest=true"), plain(registry(), true));
        assert_eq!(to("type=local,dest=/d"), plain(local(), false));
        assert_eq!(from("type=local,src=/d"), plain(local(), false));
        assert_eq!(to("type=inline"), plain(Asked::Inline, false));
        let with = |mounts: &str| Ok(Cache { asked: local(), max: true, mounts: Some(mounts.to_owned()) });
        assert_eq!(to("type=local,dest=/d,mode=max,mounts=true"), with("true"));
        assert_eq!(to("type=local,dest=/d,mode=max,\"mounts=/root/.cache,npm\""), with("/root/.cache,npm"));
        for wrong in ["type=gha", "type=local", "type=registry", "type=registry,ref=x,mode=some", "type=s3,bucket=b"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
        assert!(from("type=local,dest=/d").unwrap_err().contains("dest=/d"));
        assert!(from("type=local,src=/d,mounts=true").unwrap_err().contains("mounts=true"));
    }
}
