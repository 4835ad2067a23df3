//! Kernel parameters of the container's namespaces.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use hako_sys::confined::Root;
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;

/// Writes parameters through a procfs that is known to be one.
pub(crate) fn apply(procfs: &OwnedFd, parameters: &BTreeMap<String, String>) -> Result<(), LaunchError> {
    if parameters.is_empty() {
        return Ok(());
    }
    let sys = rustix::fs::openat(procfs, "sys", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| LaunchError::setup("open /proc/sys", error))?;
    let sys = Root::from_fd(sys);
    for (name, value) in parameters {
        let failed = |error: &dyn std::fmt::Display| LaunchError::setup(format!("open sysctl {name} file"), error);
        let path = path_of(name);
        let fd = sys.open_with(Path::new(&path), OFlags::WRONLY, Mode::empty()).map_err(|error| failed(&error))?;
        File::from(fd).write_all(value.as_bytes()).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Dots and slashes trade places: `net.ipv4.conf.eth0/1.forwarding` is about the interface `eth0.1`.
fn path_of(name: &str) -> String {
    let first = name.find(['.', '/']);
    match first.map(|at| &name[at..=at]) {
        Some("/") | None => name.to_owned(),
        Some(_) => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_become_paths() {
        for (name, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ] {
            assert_eq!(super::path_of(name), path);
        }
    }
}
