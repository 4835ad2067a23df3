//! `checkpoint` and `restore`: a container's processes to disk and back, by the program CRIU where it is installed.

use std::path::{Path, PathBuf};

use hako_runtime::criu::Criu;
use hako_runtime::hook::Identity;
use hako_runtime::spec::{Mount, NamespaceKind, Spec};
use hako_sys::cgroup::{Group, Hierarchy, Version};
use hako_sys::process::Process;

use crate::Session;
use crate::arguments::Parsed;
use crate::console::{self, Console};
use crate::error::{Error, Result};
use crate::record::{Container, Record, Status};
use crate::{bundle, calendar, ending, place, record, relay};

const USUAL_IMAGE: &str = "checkpoint";

/// `checkpoint`.
pub(crate) fn checkpoint(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    container.expect("checkpoint", &[Status::Running, Status::Paused])?;
    let spec = container.spec()?;
    let before = parsed.on("pre-dump");
    let mut criu = criu(parsed, if before { "pre-dump" } else { "dump" })?;
    criu.arg("--tree").arg(container.record.pid.to_string()).arg("--root").arg(&container.record.rootfs);
    if let Some(parent) = parsed.value("parent-path") {
        criu.arg("--prev-images-dir").arg(parent);
    }
    if before {
        criu.arg("--track-mem");
    } else if parsed.on("leave-running") {
        criu.arg("--leave-running");
    }
    for (destination, _) in external(&spec, &container.record.cgroup)? {
        criu.arg("--external").arg(format!("mnt[{destination}]:{destination}"));
    }
    carry_out(criu)?;
    if !before && !parsed.on("leave-running") {
        ending::bury(session, &container)?;
    }
    Ok(0)
}

/// `restore`.
pub(crate) fn restore(session: &Session, parsed: &Parsed) -> Result<u8> {
    let bundle = bundle::read(parsed.value("bundle"))?;
    if bundle.spec.process.as_ref().is_some_and(|process| process.terminal) {
        let what = "restore of a container with a terminal".to_owned();
        return Err(Error::Unsupported { what, hint: "checkpoint it without one" });
    }
    Console::of_attached_or_sent(parsed);
    let directory = session.store.reserve(parsed.id())?;
    let made = revive(session, parsed, &bundle, &directory);
    let (container, process) = made.inspect_err(|_| drop(record::remove_directory(&directory)))?;
    console::write_pid_file(parsed, process.pid())?;
    if parsed.on("detach") {
        return Ok(0);
    }
    let code = relay::Attendance::begin(None, true)?.attend(&process)?;
    ending::bury(session, &container)?;
    Ok(code)
}

fn revive(
    session: &Session,
    parsed: &Parsed,
    bundle: &bundle::Bundle,
    directory: &Path,
) -> Result<(Container, Process)> {
    let linux = bundle.spec.linux.clone().unwrap_or_default();
    if session.systemd {
        let what = "restore with --systemd-cgroup".to_owned();
        return Err(Error::Unsupported { what, hint: "restore it into a group of the cgroupfs driver" });
    }
    let cgroup = place::path(parsed.id(), &linux.cgroups_path)?;
    let rootfs = bundle.spec.root.as_ref().map(|root| root.path.clone()).unwrap_or_default();
    // The restored tree becomes this process's when CRIU leaves, and can be waited for.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(hako_sys::Error::os("collect", "orphans"))?;
    Group::create(&cgroup)?;
    let pid_file = directory.join("pid");
    let mut criu = criu(parsed, "restore")?;
    criu.arg("--restore-detached").arg("--pidfile").arg(&pid_file).arg("--root").arg(&rootfs);
    for (destination, source) in external(&bundle.spec, &cgroup)? {
        criu.arg("--external").arg(format!("mnt[{destination}]:{source}"));
    }
    carry_out(criu)?;
    let text = std::fs::read_to_string(&pid_file).map_err(Error::file("read", &pid_file))?;
    let pid: i32 =
        text.trim().parse().map_err(|_| Error::Helper { program: "criu", what: format!("told pid {text:?}") })?;
    let record = Record {
        oci_version: bundle.spec.oci_version.clone(),
        identity: Identity { id: parsed.id().to_owned(), bundle: bundle.path.display().to_string() },
        pid,
        started: hako_sys::proc::start_time(pid)?,
        created: calendar::now(),
        rootfs,
        cgroup,
        own_pids: linux.namespaces.iter().any(|one| one.kind == NamespaceKind::Pid && one.path.is_empty()),
        annotations: bundle.spec.annotations.clone(),
        ..Record::default()
    };
    let container = Container { directory: directory.to_owned(), record };
    container.write(&bundle.text)?;
    Ok((container, Process::open(pid)?))
}

/// Mounts that are the host's, and so are not saved: where they are in the container, and on the host. Control groups
/// are among them, unless the container has a view of its own.
fn external(spec: &Spec, cgroup: &str) -> Result<Vec<(String, String)>> {
    let bound = |mount: &Mount| mount.kind == "bind" || mount.options.iter().any(|one| one == "bind" || one == "rbind");
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    let own_view = namespaces.into_iter().any(|one| one.kind == NamespaceKind::Cgroup && one.path.is_empty());
    let hierarchy = Hierarchy::of_host()?;
    let mut found = Vec::new();
    for mount in &spec.mounts {
        if bound(mount) {
            found.push((mount.destination.clone(), mount.source.clone()));
        } else if !own_view && matches!(mount.kind.as_str(), "cgroup" | "cgroup2") {
            found.extend(hierarchy.roots().iter().map(|root| {
                let name = root.file_name().filter(|_| hierarchy.version() == Version::V1).unwrap_or_default();
                let destination = Path::new(&mount.destination).join(name);
                let source = root.join(cgroup.trim_start_matches('/'));
                (destination.display().to_string().trim_end_matches('/').to_owned(), source.display().to_string())
            }));
        }
    }
    Ok(found)
}

/// The program with what is said alike when saving and restoring.
fn criu(parsed: &Parsed, verb: &str) -> Result<Criu> {
    let Some(program) = hako_runtime::criu::program() else {
        let what = "checkpoint and restore".to_owned();
        return Err(Error::Unsupported { what, hint: "the program criu is not installed on this host" });
    };
    let image = directory(parsed.value("image-path").unwrap_or(USUAL_IMAGE))?;
    let work = parsed.value("work-path").map(directory).transpose()?.unwrap_or_else(|| image.clone());
    let mut criu = Criu::new(&program, verb, &image, &work);
    criu.arg(format!("--manage-cgroups={}", parsed.value("manage-cgroups-mode").unwrap_or("soft")));
    for name in ["tcp-established", "ext-unix-sk", "shell-job", "file-locks"] {
        if parsed.on(name) {
            criu.arg(format!("--{name}"));
        }
    }
    Ok(criu)
}

fn directory(path: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(path).map_err(Error::file("create", path))?;
    std::fs::canonicalize(path).map_err(Error::file("open", path))
}

fn carry_out(criu: Criu) -> Result<()> {
    criu.run().map_err(|what| Error::Helper { program: "criu", what })
}
