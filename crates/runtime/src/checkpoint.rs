//! A container's processes to disk and back, by CRIU.
//!
//! What is the host's is not saved but given anew: the network namespace, bind mounts, control groups and the pipes of
//! the standard streams. Connections of TCP are not taken along; those of a saved container end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use hako_sys::cgroup::Group;
use hako_sys::confined::Root;
use hako_sys::fdpass::Channel;
use hako_sys::mount::{Attributes, Propagation};
use hako_sys::process::{Exit, ForkOptions, Namespaces, Process, SingleThreaded};
use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::criu::Criu;
use crate::launch::{RootfsPlan, Running};
use crate::option::MountOptions;
use crate::order::{self, Answer, Parcel};
use crate::spec::{Mount, Namespace, NamespaceKind, Resources, Spec};
use crate::stdio::{self, Stdio, Streams};

/// What the network namespace is called in an image.
const NETWORK: &str = "network";
/// Where an image says which pipes its standard streams were; runc's name and form.
const DESCRIPTORS: &str = "descriptors.json";
/// Where CRIU's own helpers are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image of processes, and what makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The directory it is in.
    pub directory: PathBuf,
    /// Where CRIU works and logs.
    pub work: PathBuf,
    /// CRIU.
    pub program: PathBuf,
}

/// Saves the tree of process `pid`. It goes on if `goes_on`; otherwise it is left stopped, to be killed.
///
/// `streams` are the launcher's ends of the standard streams.
pub fn save(
    image: &Image,
    pid: i32,
    spec: &Spec,
    streams: [Option<BorrowedFd<'_>>; 3],
    goes_on: bool,
) -> Result<(), LaunchError> {
    refuse(spec)?;
    let descriptors =
        streams.map(|end| end.map_or(Ok(String::new()), pipe)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let text = serde_json::to_vec(&descriptors).map_err(failed)?;
    std::fs::write(image.directory.join(DESCRIPTORS), text).map_err(failed)?;
    let mut criu = criu(image, "dump");
    criu.arg("--tree").arg(pid.to_string()).arg(if goes_on { "--leave-running" } else { "--leave-stopped" });
    criu.command().env("PATH", PATH);
    if crate::criu::leaves_network(&image.program) {
        // Nothing needs to be kept from connections that are not taken along.
        criu.arg("--network-lock").arg("skip");
    }
    let netns = number(Path::new(&format!("/proc/{pid}/ns/net")))?;
    if netns != hako_sys::netns::number()? {
        criu.arg("--external").arg(format!("net[{netns}]:{NETWORK}"));
    }
    let root = Root::open(Path::new(&format!("/proc/{pid}/root")))?;
    for mount in bound(spec) {
        let place = root.open_path(Path::new(&mount.destination))?;
        let place = std::fs::read_link(hako_sys::file::fd_path(place.as_fd())).map_err(failed)?;
        criu.arg("--external").arg(format!("mnt[{}]:{}", place.display(), key(mount)));
    }
    criu.run().map_err(failed)
}

/// A container about to be brought back: its control group, network namespace and streams are there, its processes not.
///
/// Dropping it removes the control group.
#[derive(Debug)]
pub struct Returning {
    witness: SingleThreaded,
    group: Option<Group>,
    netns: OwnedFd,
    streams: Streams,
    /// The other ends of the streams.
    ends: Parcel,
}

impl Returning {
    /// Makes what is not in the image.
    pub fn prepare(witness: SingleThreaded, spec: &Spec, stdio: Stdio) -> Result<Self, LaunchError> {
        refuse(spec)?;
        let linux = spec.linux.clone().unwrap_or_default();
        let netns = match linux.namespaces.iter().find(|one| one.kind == NamespaceKind::Network) {
            None => hako_sys::netns::current()?,
            Some(Namespace { path, .. }) if path.is_empty() => {
                let netns = hako_sys::netns::create()?;
                hako_sys::netns::within_here(witness, netns.as_fd(), hako_sys::own::loopback_up)??;
                netns
            }
            Some(Namespace { path, .. }) => hako_sys::netns::open(Path::new(path))?,
        };
        let group = Group::create(&linux.cgroups_path)?;
        let mut returning =
            Self { witness, group: Some(group), netns, streams: Streams::default(), ends: Parcel::default() };
        let (_, streams) = stdio::open(stdio, &mut returning.ends)?;
        returning.streams = streams;
        Ok(returning)
    }

    /// The network namespace it will be in.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Brings the processes back, with the root file system mounted at `place` while that is done.
    pub fn restore(
        mut self,
        image: &Image,
        spec: &Spec,
        rootfs: &RootfsPlan,
        place: &Path,
    ) -> Result<Running, LaunchError> {
        let group = self.group.clone().ok_or(LaunchError::Vanished)?;
        let resources = spec.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
        // CRIU does its work inside the group, with more processes than the container may have.
        crate::resources::apply(&group, &Resources { pids: None, ..resources.clone() })?;
        let number_file = image.work.join("pid");
        hako_sys::file::remove_if_present(&number_file)?;
        let mut criu = self.criu(image, spec, place, &number_file)?;
        let root = crate::overlay::mount(self.witness, rootfs)?;
        if spec.root.as_ref().is_some_and(|root| root.readonly) {
            hako_sys::mount::set_attributes(root.as_fd(), Attributes::READ_ONLY, Attributes::NONE, false)?;
        }
        let vessel = Vessel { witness: self.witness, root, doors: group.doors()?, own_view: has_own_view(spec) };
        vessel.run(&mut criu, place, &self.kept())?;
        let text = std::fs::read_to_string(&number_file).map_err(failed)?;
        let pid: i32 = text.trim().parse().map_err(|_| failed(format!("criu told pid {text:?}")))?;
        let process = Process::open(pid)?;
        if let Err(error) = crate::resources::apply(&group, &resources) {
            // Nobody can be told of failures here; the group is what matters.
            let _ = process.kill(9).and_then(|()| process.wait());
            return Err(error);
        }
        self.group = None;
        let streams = std::mem::take(&mut self.streams);
        let netns = self.netns.try_clone().map_err(failed)?;
        Ok(Running { process, streams, netns, group })
    }

    fn criu(&self, image: &Image, spec: &Spec, place: &Path, number_file: &Path) -> Result<Criu, LaunchError> {
        let mut criu = criu(image, "restore");
        // As a sibling it is this process's child, and dies with it as every container does.
        criu.arg("--restore-detached").arg("--restore-sibling").arg("--pidfile").arg(number_file);
        criu.arg("--root").arg(place);
        criu.arg("--inherit-fd").arg(format!("fd[{}]:{NETWORK}", raw(self.netns.as_fd())));
        let text = hako_sys::file::read_limited(&image.directory.join(DESCRIPTORS), 1 << 16)?;
        let was: Vec<String> = serde_json::from_slice(&text).map_err(failed)?;
        for (was, end) in was.iter().zip(self.ends.borrowed()).filter(|(was, _)| was.starts_with("pipe:")) {
            criu.arg("--inherit-fd").arg(format!("fd[{}]:{was}", raw(end)));
        }
        for mount in bound(spec) {
            criu.arg("--external").arg(format!("mnt[{}]:{}", key(mount), mount.source));
        }
        Ok(criu)
    }

    /// What CRIU inherits.
    fn kept(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.netns.as_fd()).chain(self.ends.borrowed()).collect()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            // Nobody can be told of failures here; what is left over is the sweep's.
            let _ = group.delete().or_else(|_| group.kill_all().and_then(|()| group.delete()));
        }
    }
}

/// A process that becomes CRIU: in the container's control group, with its root file system mounted for it alone.
struct Vessel {
    witness: SingleThreaded,
    root: OwnedFd,
    doors: Vec<OwnedFd>,
    /// Whether the container has its own view of control groups.
    own_view: bool,
}

impl Vessel {
    fn run(&self, criu: &mut Criu, place: &Path, kept: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        std::fs::create_dir_all(place).map_err(failed)?;
        let (ours, theirs) = Channel::pair()?;
        let options = ForkOptions { namespaces: Namespaces::MOUNT, ..ForkOptions::default() };
        let process = hako_sys::process::fork(self.witness, &options, || {
            let error = self.embark(criu, place, kept);
            // If nobody listens there is nobody to tell.
            let _ = order::send(&theirs, &Answer::Failed(error), &Parcel::default());
            1
        })?;
        drop(theirs);
        // The channel closes by execution.
        if let Some((Answer::Failed(error), _)) = order::receive::<Answer>(&ours)? {
            process.wait()?;
            return Err(error);
        }
        match process.wait()? {
            Exit::Code(0) => Ok(()),
            Exit::Code(_) => Err(failed(criu.complaint(""))),
            Exit::Signal(signal) => Err(failed(format!("criu was killed by signal {signal}"))),
        }
    }

    /// Executes CRIU; returns only with what kept it from that.
    fn embark(&self, criu: &mut Criu, place: &Path, kept: &[BorrowedFd<'_>]) -> LaunchError {
        match self.prepare(place, kept) {
            Ok(()) => {
                let command = criu.command().env_clear().env("PATH", PATH);
                failed(format!("execute criu: {}", command.exec()))
            }
            Err(error) => error,
        }
    }

    fn prepare(&self, place: &Path, kept: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        hako_sys::own::reset_signals();
        hako_sys::cgroup::enter(self.witness, &self.doors)?;
        if self.own_view {
            hako_sys::own::unshare(Namespaces::CGROUP)?;
        }
        let host = Root::open(Path::new("/"))?;
        let all = host.open_dir(Path::new("/"))?;
        hako_sys::mount::set_propagation(all.as_fd(), Propagation::Private, true)?;
        hako_sys::mount::attach(self.root.as_fd(), host.open_path(place)?.as_fd())?;
        for fd in kept {
            rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(failed)?;
        }
        Ok(())
    }
}

/// What is said alike when saving and restoring: control groups are the caller's affair.
fn criu(image: &Image, verb: &str) -> Criu {
    let mut criu = Criu::new(&image.program, verb, &image.directory, &image.work);
    for argument in ["--manage-cgroups=ignore", "--tcp-close", "--ext-unix-sk", "--file-locks"] {
        criu.arg(argument);
    }
    criu
}

/// What cannot be brought back as it was.
fn refuse(spec: &Spec) -> Result<(), LaunchError> {
    let refused = |what: &str| Err(failed(format!("containers with {what} cannot be saved")));
    let namespaces = || spec.linux.iter().flat_map(|linux| &linux.namespaces);
    if spec.process.as_ref().is_some_and(|process| process.terminal) {
        return refused("a terminal");
    }
    if spec.hooks.is_some() {
        return refused("devices that need hooks");
    }
    if namespaces().any(|one| one.kind == NamespaceKind::User) {
        return refused("a user namespace");
    }
    if let Some(joined) = namespaces().find(|one| !one.path.is_empty() && one.kind != NamespaceKind::Network) {
        return refused(&format!("another's namespace ({})", joined.path));
    }
    let partial = |mount: &&Mount| {
        let mapped = !mount.uid_mappings.is_empty() || MountOptions::parse(&mount.options).mapped.is_some();
        mapped || !mount.beneath.is_empty()
    };
    match spec.mounts.iter().find(partial) {
        Some(mount) => refused(&format!("part of a volume, or an image, as {}", mount.destination)),
        None => Ok(()),
    }
}

/// Mounts that are the host's.
fn bound(spec: &Spec) -> impl Iterator<Item = &Mount> {
    spec.mounts.iter().filter(|mount| mount.kind == "bind" || MountOptions::parse(&mount.options).bind.is_some())
}

/// What a mount is called in an image: its destination, without what has a meaning to CRIU.
fn key(mount: &Mount) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "/._-".contains(c) { c.to_string() } else { format!("%{:x}", u32::from(c)) }
    };
    mount.destination.chars().map(plain).collect()
}

fn has_own_view(spec: &Spec) -> bool {
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    namespaces.into_iter().any(|one| one.kind == NamespaceKind::Cgroup && one.path.is_empty())
}

/// How CRIU calls a pipe, of which both ends have one number.
fn pipe(end: BorrowedFd<'_>) -> Result<String, LaunchError> {
    let stat = rustix::fs::fstat(end).map_err(failed)?;
    Ok(format!("pipe:[{}]", stat.st_ino))
}

fn number(path: &Path) -> Result<u64, LaunchError> {
    Ok(rustix::fs::stat(path).map_err(failed)?.st_ino)
}

fn raw(fd: BorrowedFd<'_>) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(&fd)
}

fn failed(cause: impl std::fmt::Display) -> LaunchError {
    LaunchError::setup("checkpoint", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_images_mean_nothing_to_criu() {
        let named = |destination: &str| key(&Mount { destination: destination.to_owned(), ..Mount::default() });
        assert_eq!(named("/etc/resolv.conf"), "/etc/resolv.conf");
        assert_eq!(named("/a]:b c"), "/a%5d%3ab%20c");
    }

    #[test]
    fn what_cannot_come_back_is_named() {
        let spec = |mount: Mount| Spec { mounts: vec![mount], ..Spec::default() };
        assert_eq!(refuse(&spec(Mount::default())), Ok(()));
        let part = Mount { beneath: "x".to_owned(), destination: "/data".to_owned(), ..Mount::default() };
        assert!(refuse(&spec(part)).unwrap_err().to_string().contains("/data"));
    }
}
