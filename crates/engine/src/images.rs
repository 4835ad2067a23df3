//! The image verbs: pull, push, list, inspect, history, tag, remove, prune, save, load, import, commit, login.
//! Leaves out containers and the wire's JSON.

mod answer;
mod archive;
mod bundle;
mod change;
mod failure;
mod hello;
mod inspect;
mod job;
mod layer;
mod list;
mod make;
mod manifest;
mod progress;
mod prune;
mod pull;
mod push;
mod remote;
mod remove;
mod resolve;
mod search;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

pub use answer::{
    CommitRequest, Credential, Details, Distribution, Found, HistoryEntry, ImportRequest, ListRequest, Login, Part,
    PartKind, Pruned, PullRequest, PushRequest, Removed, SaveRequest, Summary, Usage,
};
pub(crate) use bundle::{Member, Predicate, Series};
use hako_model::digest::Digest;
use hako_model::filter::Filters;
use hako_store::Store;
pub use progress::{Amount, Progress, ProgressStream};
pub(crate) use remote::fetch;
pub use search::SearchResult;
use tokio::sync::Semaphore;

use crate::stream::{ByteSource, ByteStream};
use crate::{Error, Result, Settings};

/// What the image verbs need from the rest of the engine.
pub trait Surroundings: Send + Sync + 'static {
    /// The containers made from this image.
    fn users(&self, image: &Digest) -> Vec<Usage>;
    /// Tells an image event: action, id or name, attributes.
    fn tell(&self, action: &str, id: &str, attributes: BTreeMap<String, String>);
}

/// The image verbs. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    room: Arc<Room>,
}

/// What all verbs share.
struct Room {
    store: Store,
    client: hako_registry::Client,
    around: Arc<dyn Surroundings>,
    downloads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    pulls: job::Joint<PullRequest>,
    /// Held while a name's index gets another image.
    beside: Mutex<()>,
}

impl Room {
    /// Tells an event about an image, with its labels.
    fn tell(&self, action: &str, id: &str, name: &str, image: Option<&hako_store::Image>) {
        let labels = image.and_then(|image| image.config.config.labels.clone());
        let mut attributes = labels.unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        self.around.tell(action, id, attributes);
    }
}

impl Images {
    /// Opens the verbs over a store.
    ///
    /// # Errors
    /// A mirror in the settings is no address.
    pub fn open(store: Store, settings: &Settings, around: Arc<dyn Surroundings>) -> Result<Self> {
        let registry = hako_registry::Settings {
            mirrors: settings.registry_mirrors.clone(),
            insecure: settings.insecure_registries.clone(),
            proxies: settings.proxies.clone(),
            ..hako_registry::Settings::default()
        };
        let room = Room {
            store,
            client: hako_registry::Client::new(registry).map_err(|error| failure::of_registry(&error))?,
            around,
            downloads: Arc::new(Semaphore::new(settings.max_concurrent_downloads.max(1))),
            uploads: Arc::new(Semaphore::new(settings.max_concurrent_uploads.max(1))),
            pulls: job::Joint::default(),
            beside: Mutex::default(),
        };
        Ok(Self { room: Arc::new(room) })
    }

    /// Pulls an image, or all tags of a repository. The same pull asked for twice at once is done once.
    pub fn pull(&self, request: PullRequest) -> ProgressStream {
        let images = self.clone();
        let key = request.clone();
        self.room.pulls.join(key, || job::Lease::start(|reporter| images.run_pull(request, reporter))).watch()
    }

    /// Pushes one tag or all.
    pub fn push(&self, request: PushRequest) -> ProgressStream {
        let images = self.clone();
        job::Lease::start(|reporter| images.run_push(request, reporter)).watch()
    }

    /// Lists images, newest first.
    pub async fn list(&self, request: ListRequest) -> Result<Vec<Summary>> {
        self.blocking(move |images| images.run_list(&request)).await
    }

    /// Everything about one image.
    pub async fn inspect(&self, name: &str, platform: &str) -> Result<Details> {
        let (name, platform) = (name.to_owned(), platform.to_owned());
        self.blocking(move |images| images.run_inspect(&name, &platform)).await
    }

    /// The image for a new container; `hello` is made when it is not there. Not found is Docker's `No such image: …`.
    pub async fn find(&self, name: &str, platform: &str) -> Result<Found> {
        let (name, platform) = (name.to_owned(), platform.to_owned());
        self.blocking(move |images| {
            let image = images.resolve_or_hello(&name, &platform)?;
            let lowers = images.room.store.images().lowers(&image.id).map_err(|error| failure::of_store(&error))?;
            Ok(Found { id: image.id.clone(), config: (*image.config).clone(), lowers })
        })
        .await
    }

    /// An image that is here.
    pub(crate) async fn local(&self, name: &str, platform: &str) -> Result<hako_store::Image> {
        let (name, platform) = (name.to_owned(), platform.to_owned());
        self.blocking(move |images| images.resolve_or_hello(&name, &platform)).await
    }

    /// A repository to read from or write to.
    pub(crate) fn repository(
        &self,
        reference: &hako_model::reference::Reference,
        credential: Option<&Credential>,
        access: &hako_registry::Access,
    ) -> Result<hako_registry::Repository> {
        let opened = self.room.client.repository(reference, credential, access);
        opened.map_err(|error| failure::of_registry(&error))
    }

    /// An image that is here, asked for on a thread that may wait.
    pub(crate) fn find_here(&self, name: &str, platform: &str) -> Option<hako_store::Image> {
        self.resolve(name, platform).ok()
    }

    /// A file from anywhere on the web.
    pub(crate) async fn file(&self, url: &str) -> Result<hako_registry::File> {
        self.room.client.file(url).await.map_err(|error| failure::of_registry(&error))
    }

    /// Adds an image whose layers are in place, and gives it names.
    pub(crate) async fn add_built(&self, image: hako_store::NewImage, tags: Vec<String>) -> Result<Digest> {
        self.blocking(move |images| images.run_add_built(image, &tags)).await
    }

    /// The steps of an image's making, newest first.
    pub async fn history(&self, name: &str, platform: &str) -> Result<Vec<HistoryEntry>> {
        let (name, platform) = (name.to_owned(), platform.to_owned());
        self.blocking(move |images| images.run_history(&name, &platform)).await
    }

    /// Gives an image another name; an empty tag is `latest`.
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let (name, repository, tag) = (name.to_owned(), repository.to_owned(), tag.to_owned());
        self.blocking(move |images| images.run_tag(&name, &repository, &tag)).await
    }

    /// Removes a name, and the image with its last name.
    pub async fn remove(&self, name: &str, force: bool, no_prune: bool) -> Result<Vec<Removed>> {
        let name = name.to_owned();
        self.blocking(move |images| images.run_remove(&name, force, !no_prune)).await
    }

    /// Removes unused images: dangling ones, or with the filter `dangling=false` all.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        self.blocking(move |images| images.run_prune(&filters)).await
    }

    /// Writes images as a docker-archive that is an OCI layout as well.
    pub async fn save(&self, request: SaveRequest) -> Result<ByteStream> {
        self.blocking(move |images| images.run_save(&request)).await
    }

    /// The same into a file. Dropped before its end, it stops writing.
    pub async fn save_to(&self, request: SaveRequest, file: File) -> Result<()> {
        let wanted = Arc::new(());
        let watch = Arc::downgrade(&wanted);
        let outcome = self.blocking(move |images| images.run_save_to(&request, file, watch)).await;
        drop(wanted);
        outcome
    }

    /// Reads a docker-archive or an OCI layout, packed or not.
    pub fn load(&self, archive: ByteSource, quiet: bool, platform: &str) -> ProgressStream {
        let (images, platform) = (self.clone(), platform.to_owned());
        let source = archive::Source::Sent(archive);
        job::Lease::start(|reporter| images.run_load(source, quiet, platform, reporter)).watch()
    }

    /// The same from a regular file, read in place.
    pub fn load_file(&self, archive: File, quiet: bool, platform: &str) -> ProgressStream {
        let (images, platform) = (self.clone(), platform.to_owned());
        let source = archive::Source::Lent(archive);
        job::Lease::start(|reporter| images.run_load(source, quiet, platform, reporter)).watch()
    }

    /// Makes an image of one tar stream.
    pub fn import(&self, archive: ByteSource, request: ImportRequest) -> ProgressStream {
        let images = self.clone();
        job::Lease::start(|reporter| images.run_import(archive, "-".to_owned(), request, reporter)).watch()
    }

    /// Makes an image of the tar at an address of the web.
    pub fn import_url(&self, url: String, request: ImportRequest) -> ProgressStream {
        let images = self.clone();
        job::Lease::start(|reporter| images.run_import_url(url, request, reporter)).watch()
    }

    /// Makes an image of a layer (`store`'s `Writable::commit`) on top of another image; gives its id.
    pub async fn commit(&self, layer: hako_store::Staged, request: CommitRequest) -> Result<Digest> {
        self.blocking(move |images| images.run_commit(layer, &request)).await
    }

    /// Runs blocking work on its own thread.
    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T> + Send + 'static,
    {
        let images = self.clone();
        let outcome = tokio::task::spawn_blocking(move || work(&images)).await;
        outcome.map_err(|error| Error::io("work on images", error))?
    }
}
