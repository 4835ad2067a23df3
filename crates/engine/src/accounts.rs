//! Account files of images and containers, remembered by image so that a start need not open its root filesystem.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_model::time::Timestamp;
use hako_sys::confined::Root;

use crate::container::Container;
use crate::house::House;
use crate::oci::user::Accounts;
use crate::{Error, Result};

/// How many images' accounts are remembered.
const REMEMBERED: usize = 64;

/// The account files a container starts with: its image's before its first start, its own after.
pub(crate) fn of(house: &House, container: &Container, lowers: &[PathBuf]) -> Result<Arc<Accounts>> {
    let image = of_image(house, container, lowers)?;
    let fresh = container.status().started_at == Timestamp::ZERO && container.status().exit_code == 0;
    let writable = house.store.writable(&container.dir);
    // Mounting the whole rootfs only to look takes three milliseconds.
    let same = || image.plain && !Accounts::FILES.iter().any(|file| writable.covers(Path::new(file)));
    if fresh || same() {
        return Ok(image);
    }
    let rootfs = writable.rootfs(lowers).map_err(|e| Error::io("open rootfs", e))?;
    below(rootfs.as_fd()).map(Arc::new)
}

fn of_image(house: &House, container: &Container, lowers: &[PathBuf]) -> Result<Arc<Accounts>> {
    let image = container.record().image.clone();
    let mut known = house.accounts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(accounts) = known.get(&image) {
        return Ok(Arc::clone(accounts));
    }
    let accounts = Arc::new(match lowers {
        [] => Accounts::default(),
        lowers => below(house.store.rootfs(lowers).map_err(|e| Error::io("open image", e))?.as_fd())?,
    });
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(image, Arc::clone(&accounts));
    Ok(accounts)
}

/// The account files of a running container, as its own process 1 sees them.
pub(crate) fn of_running(pid: u32) -> Result<Accounts> {
    let root = Root::open(Path::new(&format!("/proc/{pid}/root"))).map_err(|e| Error::io("open container root", e))?;
    Ok(Accounts::read(&root))
}

/// The account files below a root.
pub(crate) fn below(root: std::os::fd::BorrowedFd<'_>) -> Result<Accounts> {
    let fd = root.try_clone_to_owned().map_err(|e| Error::io("open root", e))?;
    Ok(Accounts::read(&Root::from_fd(fd)))
}
