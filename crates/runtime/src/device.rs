//! Device nodes and links in `/dev`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use hako_sys::pty::Pty;
use rustix::fs::{FileType, Mode, OFlags};

use crate::LaunchError;
use crate::spec::{Device, Spec};

/// What every container has: name, major and minor number.
const STANDARD: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes nodes and links, unless `/dev` is the host's. In a user namespace nobody may make nodes: the host's are bound
/// instead, while they can be seen.
pub(crate) fn make_all(root: &Root, spec: &Spec, bind: bool) -> Result<(), LaunchError> {
    if spec.mounts.iter().any(is_bind_of_dev) {
        return Ok(());
    }
    let failed = |error: hako_sys::Error| LaunchError::setup("make devices", error);
    let dev = root.mkdir_all(Path::new("/dev"), 0o755).map_err(failed)?;
    for (name, major, minor) in STANDARD {
        if bind {
            bind_host(&dev, Path::new(name), &Path::new("/dev").join(name)).map_err(failed)?;
        } else {
            node(&dev, Path::new(name), FileType::CharacterDevice, 0o666, (major, minor)).map_err(failed)?;
        }
    }
    for (name, target) in LINKS {
        replace_link(&dev, name, target).map_err(failed)?;
    }
    if dev.exists(Path::new("pts/ptmx")) {
        replace_link(&dev, "ptmx", "pts/ptmx").map_err(failed)?;
    }
    for device in spec.linux.iter().flat_map(|linux| &linux.devices) {
        let made = if bind { bind_device(root, device) } else { make(root, device) };
        made.map_err(|error| LaunchError::setup(format!("error creating device nodes: {}", device.path), error))?;
    }
    Ok(())
}

fn is_bind_of_dev(mount: &crate::spec::Mount) -> bool {
    let bind = crate::option::MountOptions::parse(&mount.options).bind.is_some() || mount.kind == "bind";
    bind && Path::new(&mount.destination) == Path::new("/dev")
}

/// Binds the host's node of the same path.
fn bind_device(root: &Root, device: &Device) -> hako_sys::Result<()> {
    let path = Path::new(&device.path);
    let parent = root.mkdir_all(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    path.file_name().map_or(Ok(()), |name| bind_host(&parent, Path::new(name), path))
}

fn bind_host(dev: &Root, name: &Path, host: &Path) -> hako_sys::Result<()> {
    let tree = hako_sys::mount::copy_tree(host, false)?;
    let place = empty_file(dev, name, 0o666)?;
    hako_sys::mount::attach(tree.as_fd(), place.as_fd())
}

/// A new file that something is mounted over, instead of whatever the image has there.
fn empty_file(dev: &Root, name: &Path, mode: u32) -> hako_sys::Result<OwnedFd> {
    dev.remove_all(name)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
    drop(dev.open_with(name, flags, Mode::from_raw_mode(mode))?);
    dev.open_path_nofollow(name)
}

fn make(root: &Root, device: &Device) -> hako_sys::Result<()> {
    let path = Path::new(&device.path);
    let (kind, letter) = match device.kind.as_str() {
        "b" => (FileType::BlockDevice, true),
        "p" => (FileType::Fifo, false),
        _ => (FileType::CharacterDevice, true),
    };
    let number = |number: i64| u32::try_from(number).unwrap_or(0);
    let numbers = if letter { (number(device.major), number(device.minor)) } else { (0, 0) };
    let parent = root.mkdir_all(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    let Some(name) = path.file_name().map(Path::new) else { return Ok(()) };
    node(&parent, name, kind, device.file_mode.unwrap_or(0o666) & 0o7777, numbers)?;
    if device.uid.unwrap_or(0) != 0 || device.gid.unwrap_or(0) != 0 {
        parent.chown(name, device.uid.unwrap_or(0), device.gid.unwrap_or(0))?;
    }
    Ok(())
}

/// Makes a node, replacing whatever the image has there: a link left in place could lead elsewhere.
fn node(dev: &Root, name: &Path, kind: FileType, mode: u32, numbers: (u32, u32)) -> hako_sys::Result<()> {
    match dev.mknod(name, kind, mode, numbers) {
        Err(error) if error.is_exists() => {
            dev.remove_all(name)?;
            dev.mknod(name, kind, mode, numbers)
        }
        made => made,
    }
}

fn replace_link(dev: &Root, name: &str, target: &str) -> hako_sys::Result<()> {
    match dev.symlink(target.as_ref(), Path::new(name)) {
        Err(error) if error.is_exists() => {
            dev.remove_all(Path::new(name))?;
            dev.symlink(target.as_ref(), Path::new(name))
        }
        made => made,
    }
}

/// Lays the terminal over `/dev/console`. The terminal is bound by descriptor, the place is an ordinary new file.
pub(crate) fn make_console(root: &Root, terminal: &Pty) -> Result<(), LaunchError> {
    let failed = |error: hako_sys::Error| LaunchError::setup("make /dev/console", error);
    let dev = root.open_dir(Path::new("/dev")).map_err(failed)?;
    let place = empty_file(&dev, Path::new("console"), 0o600).map_err(failed)?;
    let tree = hako_sys::mount::copy_tree_at(terminal.slave.as_fd(), false).map_err(failed)?;
    hako_sys::mount::attach(tree.as_fd(), place.as_fd()).map_err(failed)
}

/// The container's own `/dev/null`, verified to be it.
pub(crate) fn null(root: &Root) -> Result<OwnedFd, LaunchError> {
    let fd = root.open_path_nofollow(Path::new("/dev/null"))?;
    let stat = rustix::fs::fstat(&fd).map_err(|error| LaunchError::setup("look at /dev/null", error))?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(fd) } else { Err(LaunchError::setup("mask paths", "/dev/null is not the null device")) }
}
