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

    /// The same for several layers in one archive, each in a folder, which is a plain name.
    pub fn export_all(&self, parts: Vec<(String, Option<Digest>)>) -> Result<ByteStream> {
        let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        if let Some((name, _)) = parts.iter().find(|(name, _)| !plain(name)) {
            return Err(Error::invalid(format!("{name:?} is no name of a folder")));
        }
        let store = self.house.store.clone();
        let pins = parts.iter().filter_map(|(_, layer)| layer.as_ref()).map(|layer| store.layers().pin(layer));
        let pins = pins.collect::<std::result::Result<Vec<_>, _>>();
        let pins = pins.map_err(|e| Error::not_found(format!("the build's result is gone: {e}")))?;
        Ok(stream::written_by(move |out| {
            let open = |layer: Option<Digest>| {
                let lowers = layer.map_or(Ok(Vec::new()), |layer| store.layers().lowers(&layer))?;
                store.rootfs(&lowers)
            };
            let opened = parts.into_iter().map(|(name, layer)| Ok((name, open(layer)?)));
            let opened = opened.collect::<std::result::Result<Vec<_>, hako_store::Error>>();
            let opened = opened.map_err(|e| Error::io("open layers", e))?;
            let roots: Vec<_> = opened.iter().map(|(name, rootfs)| (name.as_str(), rootfs.as_fd())).collect();
            let done = hako_store::tree::export_all(&roots, out).map_err(|e| Error::io("export files", e));
            drop(pins);
            done
        }))
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
