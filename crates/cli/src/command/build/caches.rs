//! `--cache-from` and `--cache-to`: where a build takes results from, and where it puts its own.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use hako_api::build::{CacheGoal, CachePlace};

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
    Registry { reference: String, max: bool },
    Local { path: String, max: bool },
    Inline,
}

impl Caches {
    pub(super) fn read(found: &Matches) -> Result<Self, Failure> {
        let mut caches = Self::default();
        for flag in found.list("cache-from") {
            match parse("cache-from", flag)? {
                Asked::Registry { reference, .. } => caches.from.push(CachePlace::Registry { reference }),
                // Before the first build there is none.
                Asked::Local { path, .. } if !std::path::Path::new(&path).exists() => {}
                Asked::Local { path, .. } => {
                    let fd = caches.hold(&path)?;
                    caches.from.push(CachePlace::Folder { fd });
                }
                Asked::Inline => {
                    return Err(Failure::local("--cache-from names no image: give it type=registry,ref=IMAGE"));
                }
            }
        }
        for flag in found.list("cache-to") {
            let (place, max) = match parse("cache-to", flag)? {
                Asked::Registry { reference, max } => (CachePlace::Registry { reference }, max),
                Asked::Local { path, max } => {
                    std::fs::create_dir_all(&path).map_err(|error| path_failure("mkdir", &path, &error))?;
                    (CachePlace::Folder { fd: caches.hold(&path)? }, max)
                }
                Asked::Inline => (CachePlace::Inline, false),
            };
            caches.to.push(CacheGoal { place, max });
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
fn parse(flag: &str, text: &str) -> Result<Asked, Failure> {
    if !text.contains('=') {
        return Ok(Asked::Registry { reference: text.to_owned(), max: false });
    }
    let (mut kind, mut place, mut max) = ("", String::new(), false);
    let own = if flag == "cache-from" { "src" } else { "dest" };
    for pair in text.split(',') {
        let wrong = || Failure::local(format!("invalid value {pair} of --{flag}: expected key=value"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        match (key, value) {
            ("type", _) => kind = value,
            ("ref", _) => place = value.to_owned(),
            (key, _) if key == own => place = value.to_owned(),
            ("mode", "min" | "max") if flag == "cache-to" => max = value == "max",
            // What is so anyway.
            ("image-manifest" | "oci-mediatypes", "true") | ("compression", "gzip") => {}
            _ => return Err(Failure::local(format!("--{flag}: {key}={value} is not supported"))),
        }
    }
    let needed = |what: &str| match place.is_empty() {
        true => Err(Failure::local(format!("--{flag} type={kind} needs {what}"))),
        false => Ok(place.clone()),
    };
    match kind {
        "registry" => Ok(Asked::Registry { reference: needed("ref=IMAGE")?, max }),
        "local" => Ok(Asked::Local { path: needed(&format!("{own}=DIRECTORY"))?, max }),
        "inline" => Ok(Asked::Inline),
        other => Err(Failure::local(format!("--{flag}: type={other} is not supported: use registry, local or inline"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_as_buildx_has_it() {
        let to = |text| parse("cache-to", text).map_err(|error| error.to_string());
        let from = |text| parse("cache-from", text).map_err(|error| error.to_string());
        let registry = |max| Asked::Registry { reference: "r/a:b".to_owned(), max };
        assert_eq!(from("r/a:b"), Ok(registry(false)));
        assert_eq!(to("type=registry,ref=r/a:b,mode=max,image-manifest=true"), Ok(registry(true)));
        assert_eq!(to("type=local,dest=/d"), Ok(Asked::Local { path: "/d".to_owned(), max: false }));
        assert_eq!(from("type=local,src=/d"), Ok(Asked::Local { path: "/d".to_owned(), max: false }));
        assert_eq!(to("type=inline"), Ok(Asked::Inline));
        for wrong in ["type=gha", "type=local", "type=registry", "type=registry,ref=x,mode=some", "type=s3,bucket=b"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
        assert!(from("type=local,dest=/d").unwrap_err().contains("dest=/d"));
    }
}
