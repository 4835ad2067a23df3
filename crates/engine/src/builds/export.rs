//! What was built, as a tar of its files.

use std::os::fd::{AsFd, OwnedFd};

use hako_model::digest::Digest;

use super::{Builds, Made};
use crate::stream::{self, ByteStream};
use crate::{Error, Result};

impl Builds {
    /// The files of a result, read-only, as long as the descriptor is open.
    pub fn view(&self, made: &Made) -> Result<OwnedFd> {
        let store = &self.house.store;
        let lowers = made.product.state.lowers(store).map_err(|e| Error::io("find layers", e))?;
        let rootfs = store.rootfs(&lowers).map_err(|e| Error::io("open layers", e))?;
        rootfs.as_fd().try_clone_to_owned().map_err(|e| Error::io("open layers", e))
    }

    /// The files of a layer and all below it; no layer is an empty archive.
    pub fn export(&self, layer: Option<Digest>) -> Result<ByteStream> {
        let store = self.house.store.clone();
        let pin = layer.as_ref().map(|layer| store.layers().pin(layer)).transpose();
        let pin = pin.map_err(|e| Error::not_found(format!("the build's result is gone: {e}")))?;
        Ok(stream::written_by(move |out| {
            let lowers = layer.map_or(Ok(Vec::new()), |layer| store.layers().lowers(&layer));
            let lowers = lowers.map_err(|e| Error::io("find layers", e))?;
            let rootfs = store.rootfs(&lowers).map_err(|e| Error::io("open layers", e))?;
            let done = hako_store::tree::export(rootfs.as_fd(), out).map_err(|e| Error::io("export files", e));
            drop(pin);
            done
        }))
    }
}
