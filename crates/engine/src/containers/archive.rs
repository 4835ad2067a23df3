//! Files in and out of containers: `cp`, `export`, `diff`. Every path is resolved inside the container's root.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_model::mount::{Origin, Plan};
use hako_store::tree::{self, UnpackOptions};
use hako_sys::confined::Root;

use super::{ArchivePut, Change, ChangeKind, Containers, PathStat};
use crate::container::Container;
use crate::house::House;
use crate::stream::{ByteSource, ByteStream, reader, written_by};
use crate::{Error, Result, accounts};

impl Containers {
    /// How its files differ from its image's.
    pub async fn changes(&self, name: &str) -> Result<Vec<Change>> {
        let container = self.house.index.find(name)?;
        let house = Arc::clone(&self.house);
        let changes = off_the_loop(move || {
            let lowers = super::start::lowers(&house, &container.record())?;
            house.store.writable(&container.dir).changes(&lowers).map_err(|e| Error::io("compare layers", e))
        });
        let kind = |kind| match kind {
            hako_store::ChangeKind::Modified => ChangeKind::Modified,
            hako_store::ChangeKind::Added => ChangeKind::Added,
            hako_store::ChangeKind::Deleted => ChangeKind::Deleted,
        };
        let changes = changes.await?.into_iter().map(|change| Change { path: change.path, kind: kind(change.kind) });
        Ok(without_own(changes.collect()))
    }

    /// Its root filesystem as a tar.
    pub async fn export(&self, name: &str) -> Result<ByteStream> {
        let container = self.house.index.find(name)?;
        let root = layers(&self.house, &container)?;
        self.house.tell(&container, "export");
        Ok(written_by(move |out| tree::export(root.as_fd(), out).map_err(|e| Error::io("export container", e))))
    }

    /// One path in it.
    pub async fn archive_stat(&self, name: &str, path: &str) -> Result<PathStat> {
        let container = self.house.index.find(name)?;
        let (house, path) = (Arc::clone(&self.house), path.to_owned());
        off_the_loop(move || {
            let place = Place::find(&house, &container, &path)?;
            let found = tree::stat(place.root.as_fd(), &place.path);
            found.map(view).map_err(|e| missing(&container, &path, e))
        })
        .await
    }

    /// One path in it as a tar.
    pub async fn archive_get(&self, name: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let container = self.house.index.find(name)?;
        let (house, wanted, subject) = (Arc::clone(&self.house), path.to_owned(), Arc::clone(&container));
        let (place, stat) = off_the_loop(move || {
            let place = Place::find(&house, &subject, &wanted)?;
            let found = tree::stat(place.root.as_fd(), &place.path);
            let stat = found.map(view).map_err(|e| missing(&subject, &wanted, e))?;
            Ok((place, stat))
        })
        .await?;
        self.house.tell(&container, "archive-path");
        let stream = written_by(move |out| {
            let packed = tree::pack(place.root.as_fd(), &place.path, out);
            packed.map(drop).map_err(|e| Error::io("pack files", e))
        });
        Ok((stat, stream))
    }

    /// Unpacks a tar (plain, gzip or zstd) into a directory in it.
    pub async fn archive_put(&self, name: &str, path: &str, options: ArchivePut, archive: ByteSource) -> Result<()> {
        let container = self.house.index.find(name)?;
        let (house, subject, path) = (Arc::clone(&self.house), Arc::clone(&container), path.to_owned());
        let archive = reader(archive);
        off_the_loop(move || put(&house, &subject, &path, options, archive)).await?;
        self.house.tell(&container, "extract-to-dir");
        Ok(())
    }
}

/// What the engine itself puts into every container is no change of it; nor is a directory changed by that alone.
fn without_own(changes: Vec<Change>) -> Vec<Change> {
    const OWN: &[&str] = &[
        "/dev",
        "/dev/console",
        "/dev/pts",
        "/dev/shm",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
    ];
    let own = |change: &Change| OWN.contains(&change.path.as_str()) && change.kind == ChangeKind::Added;
    let touched = changes.iter().any(own);
    let others: Vec<Change> = changes.into_iter().filter(|change| !own(change)).collect();
    let below = |path: &str| {
        others.iter().any(|change| change.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    let by_own = |change: &Change| touched && change.path == "/etc" && !below("/etc");
    let by_own: Vec<bool> = others.iter().map(by_own).collect();
    others.into_iter().zip(by_own).filter(|(_, own)| !own).map(|(change, _)| change).collect()
}

/// Runs work that may take long on a thread of its own.
async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::io("finish work", e))?
}

fn put(
    house: &House,
    container: &Arc<Container>,
    path: &str,
    options: ArchivePut,
    archive: impl std::io::Read + Send,
) -> Result<()> {
    let place = Place::find(house, container, path)?;
    let found = tree::stat(place.root.as_fd(), &place.path.join(".")).map_err(|e| missing(container, path, e))?;
    if found.mode & GO_DIRECTORY == 0 {
        return Err(Error::invalid("extraction point is not a directory"));
    }
    place.check_writable(container)?;
    let owner = if options.copy_uid_gid { owner(container, &place)? } else { None };
    let unpack = UnpackOptions {
        no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
        copy_uid_gid: owner.is_none(),
        owner: owner.unwrap_or_default(),
        inflate: true,
    };
    let unpacked = tree::unpack(place.root.as_fd(), &place.path, archive, unpack);
    unpacked
        .map(drop)
        .map_err(|e| if e.is_bad_input() { Error::invalid(e.to_string()) } else { Error::io("unpack archive", e) })
}

/// Go's `os.ModeDir`.
const GO_DIRECTORY: u32 = 1 << 31;

/// With `copyUIDGID` everything belongs to the container's user.
fn owner(container: &Container, place: &Place) -> Result<Option<(u32, u32)>> {
    let user = container.record().config.user.clone();
    if user.is_empty() {
        return Ok(None);
    }
    let found = accounts::below(place.account_root.as_fd())?.find(&user, &[])?;
    Ok(Some((found.uid, found.gid)))
}

/// A path and the root it is to be resolved in.
struct Place {
    root: OwnedFd,
    path: PathBuf,
    /// The container's own root, where its accounts are.
    account_root: OwnedFd,
    /// The mount the path is in.
    mount: Option<Plan>,
}

impl Place {
    fn find(house: &House, container: &Container, path: &str) -> Result<Self> {
        let path = Path::new("/").join(path);
        let own = |root: &OwnedFd| root.try_clone().map_err(|e| Error::io("open root", e));
        if let Some(live) = container.status().state.live() {
            let root = Root::open(Path::new(&format!("/proc/{}/root", live.pid)));
            let root = root
                .and_then(|root| root.open_path(Path::new("/")))
                .map_err(|e| Error::io("open container root", e))?;
            return Ok(Self { account_root: own(&root)?, root, mount: mount_of(container, &path), path });
        }
        Self::stopped(house, container, writable(house, container)?, path)
    }

    /// Volumes of a stopped container are not mounted: a path in one is looked up in the volume itself.
    fn stopped(house: &House, container: &Container, root: OwnedFd, path: PathBuf) -> Result<Self> {
        let account_root = root.try_clone().map_err(|e| Error::io("open root", e))?;
        let resolved = tree::resolve(root.as_fd(), &path).unwrap_or_else(|_| path.clone());
        let Some(plan) = mount_of(container, &resolved) else {
            return Ok(Self { root, path, account_root, mount: None });
        };
        let (source, beneath) = match &plan.origin {
            Origin::Bind(bind) => (PathBuf::from(&bind.source), Path::new("/")),
            Origin::Volume(volume) => {
                let found = house.store.volumes().get(&volume.name);
                let mountpoint = found.map_err(|e| Error::not_found(e.to_string()))?.mountpoint;
                // Its content is not to be trusted: a link in it must not lead to the host.
                (mountpoint, Path::new(if volume.subpath.is_empty() { "/" } else { &volume.subpath }))
            }
            Origin::Image(files) => {
                let inside = Path::new("/").join(resolved.strip_prefix(&plan.target).unwrap_or(Path::new("")));
                let root = super::mounts::image_files(house, files)?;
                return Ok(Self { root, path: inside, account_root, mount: Some(plan) });
            }
            Origin::Tmpfs(_) => return Ok(Self { root, path, account_root, mount: Some(plan) }),
        };
        let inside = resolved.strip_prefix(&plan.target).unwrap_or(Path::new("")).to_owned();
        if source.is_file() {
            return Ok(Self { root, path, account_root, mount: Some(plan) });
        }
        let opened = Root::open(&source).and_then(|root| root.open_path(beneath));
        let root = opened.map_err(|e| Error::io(format!("open {}", source.display()), e))?;
        Ok(Self { root, path: Path::new("/").join(inside), account_root, mount: Some(plan) })
    }

    fn check_writable(&self, container: &Container) -> Result<()> {
        match &self.mount {
            Some(plan) if plan.read_only => Err(Error::forbidden("mounted volume is marked read-only")),
            None if container.record().host_config.readonly_rootfs => {
                Err(Error::forbidden("container rootfs is marked read-only"))
            }
            _ => Ok(()),
        }
    }
}

/// The innermost mount a path is in.
fn mount_of(container: &Container, path: &Path) -> Option<Plan> {
    let record = container.record();
    let around = record.mounts.iter().filter(|plan| path.starts_with(&plan.target));
    around.max_by_key(|plan| plan.target.len()).cloned()
}

/// A container's layers without its mounts, for reading: the writable one lies on top of the image's.
pub(super) fn layers(house: &House, container: &Container) -> Result<OwnedFd> {
    let mut lowers = vec![house.store.writable(&container.dir).upper()];
    lowers.extend(super::start::lowers(house, &container.record())?);
    let rootfs = house.store.rootfs(&lowers).map_err(|e| Error::io("open container's layers", e))?;
    rootfs.as_fd().try_clone_to_owned().map_err(|e| Error::io("open container's layers", e))
}

/// A stopped container's layers, for writing.
fn writable(house: &House, container: &Container) -> Result<OwnedFd> {
    let lowers = super::start::lowers(house, &container.record())?;
    let rootfs = house.store.writable(&container.dir).rootfs(&lowers);
    let rootfs = rootfs.map_err(|e| Error::io("open container's layers", e))?;
    rootfs.as_fd().try_clone_to_owned().map_err(|e| Error::io("open container's layers", e))
}

fn missing(container: &Container, path: &str, cause: hako_store::Error) -> Error {
    if cause.is_not_found() {
        return Error::not_found(format!("Could not find the file {path} in container {}", container.record().name));
    }
    if cause.to_string().ends_with("Not a directory (os error 20)") {
        return Error::invalid(format!("lstat {path:.255}: not a directory"));
    }
    if cause.is_bad_path() {
        return Error::invalid(format!("find {path:.255}: {cause:.255}"));
    }
    Error::io(format!("find {path}"), cause)
}

fn view(found: tree::PathStat) -> PathStat {
    PathStat {
        name: found.name,
        size: found.size,
        mode: found.mode,
        modified: found.mtime,
        link_target: found.link_target,
    }
}
