//! What image verbs are asked and what they answer, as plain data.

use std::collections::BTreeMap;

use hako_model::digest::Digest;
use hako_model::filter::Filters;
use hako_model::image::{Descriptor, ImageConfig};
use hako_model::platform::Platform;
use hako_model::time::Timestamp;

pub use hako_registry::credentials::Credential;

/// What to pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// The `fromImage` parameter: a reference with or without tag.
    pub image: String,
    /// The `tag` parameter: a tag, a digest, or empty. When neither it nor `image` has one, all tags are pulled.
    pub tag: String,
    /// The wanted platform; empty for the host's.
    pub platform: String,
    /// The caller's credentials (`X-Registry-Auth`).
    pub credential: Option<Credential>,
    /// A name that leads to an image of another platform goes on doing so; this one stands beside it in its index.
    pub beside: bool,
}

/// What to push.
#[derive(Debug, Clone, Default)]
pub struct PushRequest {
    /// The repository, with or without tag.
    pub image: String,
    /// The `tag` parameter; when neither it nor `image` has one, all local tags are pushed.
    pub tag: String,
    /// The platform of the manifest to push; empty for what is there.
    pub platform: String,
    /// The caller's credentials (`X-Registry-Auth`).
    pub credential: Option<Credential>,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Intermediate images too.
    pub all: bool,
    /// `dangling`, `label`, `before`, `since`, `reference`, `until`.
    pub filters: Filters,
    /// Whether to work out how much of each image others share.
    pub shared_size: bool,
    /// Whether to tell what is in each image's index.
    pub manifests: bool,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The image's id.
    pub id: Digest,
    /// The image it was committed from, or empty.
    pub parent: String,
    /// `name:tag` each, familiar form.
    pub repo_tags: Vec<String>,
    /// `name@digest` each, familiar form.
    pub repo_digests: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Bytes of its unpacked layers.
    pub size: i64,
    /// Bytes of them that other images use too; -1 when not asked for.
    pub shared_size: i64,
    /// Its labels; none and no list of them are not the same to who made it.
    pub labels: Option<BTreeMap<String, String>>,
    /// How many containers use it; -1 when not asked for.
    pub containers: i64,
    /// Its index, if it has one.
    pub index: Option<Descriptor>,
    /// What is in its index, or itself; none when not asked for.
    pub manifests: Option<Vec<Part>>,
}

/// One manifest of an image's index.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The manifest, as the index has it.
    pub descriptor: Descriptor,
    /// What it is.
    pub kind: PartKind,
    /// Whether all of it is here.
    pub available: bool,
    /// Bytes of its blobs that are here.
    pub content: i64,
}

/// What a manifest in an index is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind {
    /// An image.
    Image {
        /// Its id; none if it is not here.
        id: Option<Digest>,
        /// What it is for.
        platform: Platform,
        /// Bytes of its unpacked layers.
        unpacked: i64,
        /// The containers that use it.
        containers: Vec<String>,
    },
    /// What is attested of an image: the digest of its manifest.
    Attestation(String),
}

/// Everything about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    /// The image's id.
    pub id: Digest,
    /// `name:tag` each, familiar form.
    pub repo_tags: Vec<String>,
    /// `name@digest` each, familiar form.
    pub repo_digests: Vec<String>,
    /// The image it was committed from, or empty.
    pub parent: String,
    /// Bytes of its unpacked layers.
    pub size: i64,
    /// Its configuration: defaults, layers, history, platform, author, comment, …
    pub config: ImageConfig,
    /// The manifest it was pulled by, or its index, if any.
    pub descriptor: Option<Descriptor>,
    /// What is in its index, or itself.
    pub manifests: Vec<Part>,
    /// The layers' directories, topmost first.
    pub lower_dirs: Vec<std::path::PathBuf>,
    /// When a tag last was set here.
    pub last_tag_time: Timestamp,
}

/// A step of an image's making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image's id for the newest step, `<missing>` for the others.
    pub id: String,
    /// When; zero when unknown.
    pub created: Timestamp,
    /// The instruction.
    pub created_by: String,
    /// The tags of the image, on the newest step.
    pub tags: Vec<String>,
    /// Bytes of the step's layer.
    pub size: i64,
    /// The message.
    pub comment: String,
}

/// What a removal did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image or layer is gone.
    Deleted(String),
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went, in order.
    pub removed: Vec<Removed>,
    /// Bytes gained.
    pub reclaimed: u64,
}

/// What to import a root file system as.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// The repository to name it (`repo` parameter), or empty.
    pub repository: String,
    /// The tag (`tag` parameter), or empty.
    pub tag: String,
    /// The commit message; empty for Docker's "Imported from …".
    pub message: String,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
    /// The platform; empty for the host's.
    pub platform: String,
}

/// What to commit (for `containers().commit`).
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The repository to name it, or empty.
    pub repository: String,
    /// The tag, or empty.
    pub tag: String,
    /// The author.
    pub author: String,
    /// The message.
    pub message: String,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
    /// The image the container was made from; none for one without layers below.
    pub parent: Option<Digest>,
    /// The container's id.
    pub container: String,
    /// The configuration the new image starts from: the container's, or one that was asked for.
    pub config: hako_model::container::Config,
    /// The container's configuration, which older clients ask an image for.
    pub made_of: hako_model::container::Config,
    /// The platform the container runs on.
    pub platform: Platform,
}

/// An image a container can be made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The image's id.
    pub id: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers' directories, topmost first: overlay's lower directories.
    pub lowers: Vec<std::path::PathBuf>,
}

/// What a registry tells about a reference (`/distribution/{name}/json`).
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// The platforms it serves.
    pub platforms: Vec<Platform>,
}

/// The answer of `/auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// `Login Succeeded`.
    pub status: String,
    /// A token to use instead of the password from now on; empty when the registry gives none.
    pub identity_token: String,
}

/// What an archive holds when it is loaded or saved.
#[derive(Debug, Clone, Default)]
pub struct SaveRequest {
    /// Names or ids.
    pub names: Vec<String>,
    /// The wanted platform; empty for what is there.
    pub platform: String,
}

/// How a container uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The container's id.
    pub container: String,
    /// Whether it runs (then even force does not remove the image).
    pub running: bool,
}
