//! What a build is asked for, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::container::Resources;
use hako_model::platform::Platform;

use crate::files::tree::Tree;

/// The name of the context that `COPY` without `--from` means.
pub const MAIN: &str = "context";

/// A build.
#[derive(Clone, Default)]
pub struct Request {
    /// The Dockerfile's bytes.
    pub dockerfile: Vec<u8>,
    /// What it is called in messages.
    pub name: String,
    /// The stage to be built; the last one when empty.
    pub target: String,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The platform asked for.
    pub platform: Option<Platform>,
    /// What of earlier builds may be used.
    pub reuse: Reuse,
    /// Ask the registry even for images that are here.
    pub pull: bool,
    /// Files and images by name; [`MAIN`] is the build context.
    pub contexts: BTreeMap<String, Context>,
    /// Secrets by id; never written down.
    pub secrets: BTreeMap<String, Secret>,
    /// The time everything was made, in seconds since the epoch: nothing in the image is later.
    pub epoch: Option<i64>,
    /// How steps are confined.
    pub sandbox: Sandbox,
    /// Keep the files that a failing RUN leaves, see [`crate::workshop::Workshop::keep_failed`].
    pub debug: bool,
    /// How many steps may run at once; 0 for as many as there are processors.
    pub parallel: usize,
}

/// What of earlier builds may be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reuse {
    /// Everything.
    #[default]
    All,
    /// Nothing.
    Nothing,
    /// Everything but the steps of these stages.
    Except(Vec<String>),
}

/// A named source of files.
#[derive(Clone)]
pub enum Context {
    /// Files.
    Files(Arc<Tree>),
    /// An image.
    Image(String),
    /// Files that are fetched when a step needs them.
    Remote(Arc<dyn Remote>),
}

/// Files that somebody else has.
pub trait Remote: Send + Sync {
    /// A tree with these paths, as far as they exist; all of it when there are none. `likely` are those that other steps
    /// will ask for.
    fn tree(&self, paths: &[String], likely: &[String]) -> crate::Result<Arc<Tree>>;
}

/// A secret's bytes. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How steps are confined, beyond what the Dockerfile says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sandbox {
    /// `--network`: `default`, `none`, `host` or a network.
    pub network: String,
    /// Whether a RUN may ask for the host's network.
    pub host_network: bool,
    /// `--add-host`, `NAME:ADDRESS` each.
    pub hosts: Vec<String>,
    /// The size of /dev/shm; 0 for the usual one.
    pub shm_size: i64,
    /// Limits, and the parent of the steps' control groups.
    pub resources: Resources,
}
