//! What the builder needs of the engine: images, containers, accounts, the web.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use hako_builder::request::Secret;
use hako_builder::workshop::{Cancel, Ending, Fetched, Recalled, Relay, Step, Workshop};
use hako_builder::{Error as Refused, Result as Built};
use hako_model::digest::Digest;
use hako_model::image::ImageConfig;
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::{Image, NewImage};
use tokio::runtime::Handle;

use super::outside::{Imports, Keys};
use super::relay::Agent;
use crate::accounts;
use crate::house::House;
use crate::images::{Images, Progress, PullRequest};
use crate::{Error, Result};

/// The most bytes an address may give.
const DOWNLOAD: u64 = 64 << 30;

/// The engine's side of a build.
pub(super) struct Shop {
    pub(super) house: Arc<House>,
    pub(super) images: Images,
    pub(super) keys: Keys,
    pub(super) imports: Arc<Imports>,
    pub(super) runtime: Handle,
    /// Whether images must be of the platform that is built for, even if that is the host's.
    pub(super) exact: bool,
    /// The image of what a failed step left.
    pub(super) failed: Mutex<Option<Digest>>,
}

impl Workshop for Shop {
    fn image(&self, reference: &str, platform: &Platform, pull: bool, tell: &dyn Fn(&str)) -> Built<Image> {
        self.find(reference, platform, pull, tell).map_err(|error| Refused::refused(error.to_string()))
    }

    fn run(&self, step: &Step, output: &(dyn Fn(bool, &[u8]) + Sync), cancel: &Cancel) -> Built<Ending> {
        self.execute(step, output, cancel).map_err(|error| Refused::refused(error.to_string()))
    }

    fn account(&self, lowers: &[PathBuf], user: &str) -> Built<(u32, u32)> {
        let found = || -> Result<(u32, u32)> {
            let rootfs = self.house.store.rootfs(lowers).map_err(|e| Error::io("open layers", e))?;
            let found = accounts::below(rootfs.as_fd())?.find(user, &[])?;
            Ok((found.uid, found.gid))
        };
        found().map_err(|error| Refused::refused(error.to_string()))
    }

    fn fetch(&self, url: &str, cancel: &Cancel) -> Built<Fetched> {
        self.runtime.block_on(self.download(url, cancel)).map_err(|error| Refused::refused(error.to_string()))
    }

    fn secret(&self, id: &str) -> Built<Option<Secret>> {
        let Some(desk) = &self.keys.desk else { return Ok(None) };
        self.runtime.block_on(desk.secret(id)).map_err(|error| Refused::refused(error.to_string()))
    }

    fn agent(&self, id: &str, socket: &Path) -> Built<Option<Box<dyn Relay>>> {
        let refused = |error: Error| Refused::refused(error.to_string());
        let Some(desk) = &self.keys.desk else { return Ok(None) };
        if !self.runtime.block_on(desk.lends(id)).map_err(refused)? {
            return Ok(None);
        }
        let agent = Agent::listen(&self.runtime, Arc::clone(desk), id, socket).map_err(refused)?;
        Ok(Some(Box::new(agent)))
    }

    fn keep_failed(&self, config: ImageConfig) -> Built<()> {
        let refused = |error: &dyn std::fmt::Display| Refused::refused(error.to_string());
        let config = serde_json::to_vec(&config).map_err(|error| refused(&error))?;
        let image = NewImage { config, manifest: None, parent: None };
        let id = self.runtime.block_on(self.images.add_built(image, Vec::new())).map_err(|error| refused(&error))?;
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        Ok(())
    }

    fn recall(&self, key: &Digest, below: &[Digest], tell: &dyn Fn(&str)) -> Built<Option<Recalled>> {
        let around = (&self.house.store, &self.images, &self.keys, &self.runtime);
        Ok(self.imports.recall(around, key, below, tell))
    }

    fn refill(&self, mount: &Digest, scratch: &Path, cancel: &Cancel, tell: &dyn Fn(&str)) -> Built<Option<PathBuf>> {
        let around = (&self.house.store, &self.images, &self.keys, &self.runtime);
        Ok(self.imports.refill(around, mount, scratch, (cancel, tell)))
    }

    fn checkout(&self, address: &str, keep_git: bool, into: &Path, cancel: &Cancel) -> Built<String> {
        let done = self.runtime.block_on(super::checkout::checkout(address, keep_git, into, cancel));
        done.map_err(|error| Refused::refused(error.to_string()))
    }
}

/// The platform that an image must be of; for the host's own, what is here is taken as it is.
pub(super) fn wanted(platform: &Platform) -> String {
    if platform.normalised() == Platform::host().normalised() { String::new() } else { platform.to_string() }
}

impl Shop {
    fn find(&self, name: &str, platform: &Platform, pull: bool, tell: &dyn Fn(&str)) -> Result<Image> {
        // One of several platforms must be just that one.
        let wanted = if self.exact { platform.to_string() } else { wanted(platform) };
        let here = || self.runtime.block_on(self.images.local(name, &wanted));
        let local = here().ok().filter(|_| !pull);
        let fits = |image: &&Image| {
            let own = image.config.platform();
            own.architecture.is_empty() || platform.accepts(&own)
        };
        if let Some(image) = local.as_ref().filter(fits) {
            return Ok(image.clone());
        }
        let reference = Reference::parse_tagged(name)?;
        let mut credential = self.keys.credentials.get(reference.domain()).cloned();
        if let (None, Some(desk)) = (&credential, &self.keys.desk) {
            credential = self.runtime.block_on(desk.credential(reference.domain()))?;
        }
        let request = PullRequest {
            image: reference.to_string(),
            platform: wanted.clone(),
            credential,
            beside: true,
            ..PullRequest::default()
        };
        let entered = self.runtime.enter();
        let mut lines = self.images.pull(request);
        drop(entered);
        // Told between the waits, and not while waiting: whoever hears of it may have to wait, too.
        while let Some(line) = self.runtime.block_on(lines.next()) {
            match (line, &local) {
                (Ok(Progress::Status { status, .. } | Progress::Layer { status, amount: None, .. }), _) => {
                    tell(&status);
                }
                (Ok(_), _) => {}
                // What is here is for another platform, but there is nothing better.
                (Err(_), Some(image)) => return Ok(image.clone()),
                (Err(error), None) => return Err(error),
            }
        }
        here()
    }

    async fn download(&self, url: &str, cancel: &Cancel) -> Result<Fetched> {
        use std::io::Write;
        let failed = |cause: std::io::Error| Error::io(format!("download {url}"), cause);
        let mut file = self.images.file(url).await?;
        let modified = file.modified().and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        let modified = modified.map(|moment| moment.timestamp().as_second());
        let scratch = self.house.store.scratch().map_err(|e| Error::io("download", e))?;
        let path = scratch.join("download");
        let mut content =
            std::fs::File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        // Without a name it goes with whoever reads it.
        let _ = std::fs::remove_dir_all(&scratch);
        let mut size = 0;
        while let Some(piece) = file.next().await.map_err(|e| Error::io(format!("download {url}"), e))? {
            size += piece.len() as u64;
            if cancel.is_set() || size > DOWNLOAD {
                return Err(Error::system(format!("download {url}: given up after {size} bytes")));
            }
            content.write_all(&piece).map_err(failed)?;
        }
        Ok(Fetched { content, modified, name: None })
    }
}
