//! Which capabilities a container has.

use hako_model::container::HostConfig;
use hako_supervisor::spec::Capabilities;
use hako_sys::caps;

/// Docker's fourteen.
const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// `CAP_` and upper case, as people leave it out.
pub(crate) fn full_name(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

/// The capabilities of a container's processes. None is ever inheritable or ambient.
pub(super) fn of(host: &HostConfig) -> Capabilities {
    sets(if host.privileged { possible() } else { tweaked(host) })
}

/// Every capability there is, for privileged processes.
pub(super) fn all() -> Capabilities {
    sets(possible())
}

/// What this process may itself give away: a daemon in a container does not have everything.
fn possible() -> Vec<String> {
    caps::effective().unwrap_or_else(|_| caps::Set::all()).names()
}

fn sets(names: Vec<String>) -> Capabilities {
    Capabilities {
        bounding: names.clone(),
        effective: names.clone(),
        permitted: names,
        inheritable: Vec::new(),
        ambient: Vec::new(),
    }
}

fn tweaked(host: &HostConfig) -> Vec<String> {
    let list = |names: &Option<Vec<String>>| names.iter().flatten().map(|n| full_name(n)).collect::<Vec<_>>();
    let (add, drop) = (list(&host.cap_add), list(&host.cap_drop));
    let all = |names: &[String]| names.iter().any(|name| name == "CAP_ALL");
    let base: Vec<String> = match (all(&add), all(&drop)) {
        (true, _) => possible(),
        (false, true) => Vec::new(),
        (false, false) => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    let kept = base.into_iter().filter(|name| !drop.contains(name));
    let mut names: Vec<String> = kept.collect();
    let added = add.into_iter().filter(|name| name != "CAP_ALL");
    for name in added {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Vec<String> {
        let list = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        tweaked(&HostConfig { cap_add: list(add), cap_drop: list(drop), ..HostConfig::default() })
    }

    #[test]
    fn tweaks() {
        assert_eq!(names(&[], &[]).len(), 14);
        assert_eq!(names(&["net_admin"], &[]).len(), 15);
        assert_eq!(names(&["chown"], &["ALL"]), ["CAP_CHOWN"]);
        assert!(!names(&["ALL"], &["CAP_SYS_ADMIN"]).contains(&"CAP_SYS_ADMIN".to_owned()));
        assert_eq!(names(&["ALL"], &[]), possible());
    }
}
