//! `spec`: a description to begin with, the one runc writes.

use std::io::Write;
use std::path::Path;

use hako_runtime::spec::{
    Capabilities, DeviceRule, Linux, Mount, Namespace, NamespaceKind, Process, Resources, Rlimit, Root, Spec,
};
use hako_sys::cgroup::{Hierarchy, Version};

use crate::Session;
use crate::arguments::Parsed;
use crate::error::{Error, Result};

/// The version of the specification that is followed.
pub(crate) const VERSION: &str = "1.2.1";

const MOUNTS: [(&str, &str, &str, &str); 7] = [
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
];

const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// `spec`.
pub(crate) fn spec(_session: &Session, parsed: &Parsed) -> Result<u8> {
    if parsed.on("rootless") {
        return Err(Error::Unsupported { what: "--rootless".into(), hint: "run containers as root" });
    }
    let path = Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json");
    let text = serde_json::to_string_pretty(&template(Hierarchy::of_host()?.version()))
        .map_err(|error| Error::Config { path: path.display().to_string(), what: error.to_string() })?;
    // Somebody's work is not overwritten.
    let mut file = std::fs::File::create_new(&path).map_err(Error::file("create", &path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(Error::file("write", &path))?;
    Ok(0)
}

/// A cgroup namespace is for hosts with cgroup v2, where runc and the engines use one as well.
fn template(version: Version) -> Spec {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let capabilities = texts(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mount = |(destination, kind, source, options): (&str, &str, &str, &str)| Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.into(),
        options: options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect(),
        ..Mount::default()
    };
    use NamespaceKind::{Cgroup, Ipc, Mount as Mounts, Network, Pid, Uts};
    Spec {
        oci_version: VERSION.into(),
        process: Some(Process {
            terminal: true,
            args: texts(&["sh"]),
            env: texts(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]),
            cwd: "/".into(),
            capabilities: Some(Capabilities {
                bounding: capabilities.clone(),
                effective: capabilities.clone(),
                permitted: capabilities,
                ..Capabilities::default()
            }),
            rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 1024, soft: 1024 }],
            no_new_privileges: true,
            ..Process::default()
        }),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: "hako".into(),
        mounts: MOUNTS.map(mount).to_vec(),
        linux: Some(Linux {
            resources: Some(Resources {
                devices: vec![DeviceRule { access: "rwm".into(), ..DeviceRule::default() }],
                ..Resources::default()
            }),
            namespaces: [Pid, Network, Ipc, Uts, Mounts]
                .into_iter()
                .chain((version == Version::V2).then_some(Cgroup))
                .map(|kind| Namespace { kind, path: String::new() })
                .collect(),
            masked_paths: texts(&MASKED),
            readonly_paths: texts(&READ_ONLY),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_read_back() {
        for version in [Version::V1, Version::V2] {
            let text = serde_json::to_vec(&template(version)).unwrap();
            let spec: Spec = crate::bundle::parse(&text, Path::new("config.json")).unwrap();
            assert_eq!(spec, template(version));
        }
    }
}
