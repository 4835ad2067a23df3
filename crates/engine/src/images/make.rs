//! Images made here: import of a root file system, commit of a container.

use hako_model::container::Config;
use hako_model::digest::Digest;
use hako_model::image::{History, ImageConfig, RootFs, RunConfig};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_model::time::Timestamp;
use hako_store::{Claim, NewImage, Staged, Unpack, chain_ids};

use super::answer::{CommitRequest, ImportRequest};
use super::job::Reporter;
use super::resolve::{key, new_name};
use super::{Images, change, failure};
use crate::stream::{self, ByteSource};
use crate::{Error, Result};

impl Images {
    /// Makes an image of the archive at `origin`: `-` for the one that was sent, an address otherwise.
    pub(super) async fn run_import(
        self,
        archive: ByteSource,
        origin: String,
        request: ImportRequest,
        reporter: Reporter,
    ) -> Result<()> {
        let reader = stream::reader(archive);
        let id = self.blocking(move |images| images.import_from(reader, &origin, &request)).await?;
        reporter.status(None, id.to_string());
        Ok(())
    }

    pub(super) async fn run_import_url(self, url: String, request: ImportRequest, reporter: Reporter) -> Result<()> {
        // What cannot be done is said before anything is fetched.
        change::apply(&mut RunConfig::default(), &request.changes)?;
        new_name(&request.repository, &request.tag)?;
        reporter.status(None, format!("Downloading from {url}"));
        let file = self.room.client.file(&url).await.map_err(|error| failure::of_registry(&error))?;
        let archive = pieces(file, reporter.clone());
        self.run_import(archive, url, request, reporter).await
    }

    fn import_from(&self, source: impl std::io::Read + Send, origin: &str, request: &ImportRequest) -> Result<Digest> {
        let name = new_name(&request.repository, &request.tag)?;
        let platform = if request.platform.is_empty() { Platform::host() } else { Platform::parse(&request.platform)? };
        let mut config = RunConfig::default();
        change::apply(&mut config, &request.changes)?;
        let _hold = self.room.store.hold();
        let options = Unpack { skeleton: true, ..Unpack::default() };
        let staged = self.room.store.layers().unpack(source, &options).map_err(|error| failure::of_store(&error))?;
        let imported = format!("Imported from {origin}");
        let comment = if request.message.is_empty() { &imported } else { &request.message };
        let made = Made { comment, platform, config, ..Made::default() };
        let id = self.add(staged, made)?;
        if let Some(name) = name {
            self.give_name(&id, &name)?;
        }
        self.room.tell("import", id.as_str(), id.as_str(), None);
        Ok(id)
    }

    pub(super) fn run_commit(&self, layer: Staged, request: &CommitRequest) -> Result<Digest> {
        let name = new_name(&request.repository, &request.tag)?;
        let mut config = defaults(&request.config);
        change::apply(&mut config, &request.changes)?;
        let _hold = self.room.store.hold();
        let made = Made {
            comment: &request.message,
            author: &request.author,
            container: &request.container,
            created_by: request.config.cmd.clone().unwrap_or_default().join(" "),
            platform: request.platform.clone(),
            parent: request.parent.as_ref(),
            made_of: Some(&request.made_of),
            config,
        };
        let id = self.add(layer, made)?;
        self.tell_of("create", &id, id.as_str());
        if let Some(name) = name {
            self.give_name(&id, &name)?;
        }
        Ok(id)
    }

    fn give_name(&self, id: &Digest, name: &Reference) -> Result<()> {
        self.room.store.images().tag(&key(name), id).map_err(|error| failure::of_store(&error))?;
        self.tell_of("tag", id, &name.familiar());
        Ok(())
    }

    /// Adds what a build made. An image that is here already is not written again.
    pub(super) fn run_add_built(&self, image: NewImage, tags: &[String]) -> Result<Digest> {
        let names = tags.iter().map(|tag| new_name(tag, "")).collect::<Result<Vec<_>>>()?;
        let id = hako_store::Hasher::digest(&image.config);
        let known = self.room.store.images().get(&id).is_ok_and(|image| image.damage.is_none());
        if !known {
            self.room.store.images().add(image).map_err(|error| failure::of_store(&error))?;
        }
        for name in names.iter().flatten() {
            self.give_name(&id, name)?;
        }
        Ok(id)
    }

    /// Tells of an image, with its labels.
    pub(super) fn tell_of(&self, action: &str, id: &Digest, name: &str) {
        let image = self.room.store.images().get(id).ok();
        self.room.tell(action, id.as_str(), name, image.as_ref());
    }

    /// Places a layer above an image's and makes an image of both.
    fn add(&self, layer: Staged, made: Made<'_>) -> Result<Digest> {
        let failed = |error: hako_store::Error| failure::of_store(&error);
        let images = self.room.store.images();
        let parent = made.parent.map(|id| images.get(id)).transpose().map_err(failed)?;
        let base = parent.as_ref().map(|image| (*image.config).clone()).unwrap_or_default();
        let mut diff_ids = base.rootfs.diff_ids.clone();
        diff_ids.push(layer.diff_id().clone());
        self.place(layer, &diff_ids)?;
        let origin = made.parent.cloned();
        let config = made.configuration(base.history, diff_ids, now());
        let config = serde_json::to_vec(&config).map_err(|error| Error::io("write image", error))?;
        let image = NewImage { config, manifest: None, parent: origin };
        Ok(images.add(image).map_err(failed)?.id)
    }

    fn place(&self, layer: Staged, diff_ids: &[Digest]) -> Result<()> {
        let failed = |error: hako_store::Error| failure::of_store(&error);
        let chain = chain_ids(diff_ids);
        let (own, below) = match chain.split_last() {
            Some((own, below)) => (own, below.last()),
            None => return Ok(()),
        };
        match self.room.store.layers().claim(own).map_err(failed)? {
            Claim::Present(_) => Ok(()),
            Claim::Free(_claim) => layer.place(below, None).map(drop).map_err(failed),
        }
    }
}

/// What a new image is made of, besides its layer.
#[derive(Default)]
struct Made<'a> {
    comment: &'a str,
    author: &'a str,
    container: &'a str,
    created_by: String,
    platform: Platform,
    parent: Option<&'a Digest>,
    /// The configuration of the container it was made of, if it was one.
    made_of: Option<&'a Config>,
    config: RunConfig,
}

impl Made<'_> {
    fn configuration(self, mut history: Vec<History>, diff_ids: Vec<Digest>, created: String) -> ImageConfig {
        history.push(History {
            created: Some(created.clone()),
            created_by: self.created_by,
            author: self.author.to_owned(),
            comment: self.comment.to_owned(),
            ..History::default()
        });
        let made_of = self.made_of.and_then(|config| serde_json::to_value(config).ok());
        ImageConfig {
            architecture: self.platform.architecture,
            variant: self.platform.variant,
            os: self.platform.os,
            created: Some(created),
            author: self.author.to_owned(),
            comment: self.comment.to_owned(),
            container: self.container.to_owned(),
            config: self.config,
            rootfs: RootFs { diff_ids, ..RootFs::default() },
            history,
            extra: made_of.map(|config| ("container_config".to_owned(), config)).into_iter().collect(),
            ..ImageConfig::default()
        }
    }
}

fn now() -> String {
    Timestamp::from(std::time::SystemTime::now()).to_string()
}

/// The defaults a container's configuration makes for an image.
fn defaults(config: &Config) -> RunConfig {
    RunConfig {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        healthcheck: config.healthcheck.clone(),
        args_escaped: None,
        volumes: config.volumes.clone(),
        working_dir: config.working_dir.clone(),
        on_build: config.on_build.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone(),
        extra: serde_json::Map::new(),
    }
}
/// The pieces of a file, and how far it is.
fn pieces(file: hako_registry::File, reporter: Reporter) -> ByteSource {
    let total = file.length().unwrap_or(0);
    Box::pin(futures_util::stream::unfold((file, 0), move |(mut file, done)| {
        let reporter = reporter.clone();
        async move {
            let piece = file.next().await.map_err(std::io::Error::other).transpose()?;
            let done = done + piece.as_ref().map_or(0, bytes::Bytes::len) as u64;
            reporter.amount("", "Importing", done, total);
            Some((piece, (file, done)))
        }
    }))
}
