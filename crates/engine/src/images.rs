//! The image verbs: pull, push, list, inspect, history, tag, remove, prune, save, load, import, commit, login.
//! Leaves out containers and the wire's JSON.

mod answer;
mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use answer::{
    CommitRequest, Credential, Details, Distribution, Found, HistoryEntry, ImportRequest, ListRequest, Login, Pruned,
    PullRequest, PushRequest, Removed, SaveRequest, Summary, Usage,
};
use hako_model::digest::Digest;
use hako_model::filter::Filters;
pub use progress::{Amount, Progress, ProgressStream};

use crate::stream::{ByteSource, ByteStream};
use crate::{Result, Settings};

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
    house: Arc<House>,
}

/// What all verbs share.
struct House {
    store: Arc<hako_store::Store>,
    around: Arc<dyn Surroundings>,
}

impl Images {
    /// Opens the verbs over a store.
    pub fn open(store: Arc<hako_store::Store>, settings: &Settings, around: Arc<dyn Surroundings>) -> Result<Self> {
        todo!()
    }

    /// Pulls an image, or all tags of a repository. The same pull asked for twice at once is done once.
    pub fn pull(&self, request: PullRequest) -> ProgressStream {
        todo!()
    }

    /// Pushes one tag or all.
    pub fn push(&self, request: PushRequest) -> ProgressStream {
        todo!()
    }

    /// Lists images.
    pub async fn list(&self, request: ListRequest) -> Result<Vec<Summary>> {
        todo!()
    }

    /// Everything about one image.
    pub async fn inspect(&self, name: &str, platform: &str) -> Result<Details> {
        todo!()
    }

    /// The image for a new container; `hello` is made when it is not there. Not found is Docker's `No such image: …`.
    pub async fn find(&self, name: &str, platform: &str) -> Result<Found> {
        todo!()
    }

    /// The steps of an image's making, newest first.
    pub async fn history(&self, name: &str, platform: &str) -> Result<Vec<HistoryEntry>> {
        todo!()
    }

    /// Gives an image another name; an empty tag is `latest`.
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        todo!()
    }

    /// Removes a name, and the image with its last name.
    pub async fn remove(&self, name: &str, force: bool, no_prune: bool) -> Result<Vec<Removed>> {
        todo!()
    }

    /// Removes unused images: dangling ones, or with the filter `dangling=false` all.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }

    /// Writes images as a docker-archive that is an OCI layout as well.
    pub async fn save(&self, request: SaveRequest) -> Result<ByteStream> {
        todo!()
    }

    /// Reads a docker-archive or an OCI layout, packed or not.
    pub fn load(&self, archive: ByteSource, quiet: bool, platform: &str) -> ProgressStream {
        todo!()
    }

    /// Makes an image of one tar stream.
    pub fn import(&self, archive: ByteSource, request: ImportRequest) -> ProgressStream {
        todo!()
    }

    /// Makes an image of a layer (`store`'s `Writable::commit`) on top of another image; gives its id.
    pub async fn commit(&self, layer: hako_store::Staged, request: CommitRequest) -> Result<Digest> {
        todo!()
    }

    /// Checks credentials with their registry.
    pub async fn login(&self, credential: Credential) -> Result<Login> {
        todo!()
    }

    /// What the registry has under a name.
    pub async fn distribution(&self, name: &str, credential: Option<Credential>) -> Result<Distribution> {
        todo!()
    }

    /// Searching needs docker.io's index, which hako does not speak.
    pub async fn search(&self, term: &str) -> Result<()> {
        todo!()
    }
}
