//! hako's own build request (`POST /hako/build`): the order, then what the daemon cannot read in place. The body is the
//! order's length (four bytes, big-endian), the order as JSON, and a tar of the folders that contexts name.

use std::collections::BTreeMap;

use hako_model::annotation::Annotations;
use hako_model::attestation::Attestations;
use hako_model::container::Resources;
use serde::{Deserialize, Serialize};

/// The media type of the body.
pub const ORDER: &str = "application/vnd.hako.build";

/// The longest order.
pub const ORDER_LIMIT: u32 = 64 << 20;

/// What to build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// The Dockerfile, unless it lies in the main context.
    pub dockerfile: Option<String>,
    /// Its path in the main context, and what it is called.
    pub name: String,
    /// The stage.
    pub target: String,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The platform.
    pub platform: String,
    /// The platforms, if they are several.
    pub platforms: Vec<String>,
    /// What is to be attested of the image.
    pub attest: Attestations,
    /// What stands in the image's manifest and index besides.
    pub annotations: Annotations,
    /// Use nothing of earlier builds.
    pub no_cache: bool,
    /// Use nothing of earlier builds in these stages.
    pub no_cache_filter: Vec<String>,
    /// Ask registries even for images that are here.
    pub pull: bool,
    /// The network of steps.
    pub network: String,
    /// Whether a step may ask for the host's network.
    pub host_network: bool,
    /// Lines for /etc/hosts.
    pub hosts: Vec<String>,
    /// Bytes of /dev/shm.
    pub shm_size: i64,
    /// Limits of steps, and the parent of their control groups.
    pub resources: Resources,
    /// Names for the image.
    pub tags: Vec<String>,
    /// Whether the result becomes an image.
    pub keep: bool,
    /// Named contexts; the main one is `context`.
    pub contexts: BTreeMap<String, Place>,
    /// Secrets by id, base64.
    pub secrets: BTreeMap<String, String>,
    /// SSH agents by id: sockets that the client holds open under these numbers.
    pub agents: BTreeMap<String, i32>,
    /// Only say what is probably not meant.
    pub check: bool,
    /// Only answer a question: `targets` or `outline`.
    pub question: String,
    /// Nothing is later than this, in seconds since the epoch.
    pub epoch: Option<i64>,
    /// Keep what a failing step leaves as an image.
    pub debug: bool,
    /// Caches outside that results are taken from.
    pub cache_from: Vec<CachePlace>,
    /// Caches outside that results go to.
    pub cache_to: Vec<CacheGoal>,
}

/// Where a cache outside is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePlace {
    /// In a registry.
    Registry {
        /// Under this name.
        reference: String,
    },
    /// A directory that the client holds open under this number.
    Folder {
        /// The number.
        fd: i32,
    },
    /// In the image that is made.
    Inline,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheGoal {
    /// Where to.
    pub place: CachePlace,
    /// Those of all stages, and not only of the last one.
    pub max: bool,
    /// Which cache mounts go along: `true`, or their ids with commas between; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<String>,
}

/// Where a context is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A directory the client holds open under this number.
    Open {
        /// The number.
        fd: i32,
        /// Its ignore file.
        ignore: String,
    },
    /// A folder of the tar that follows.
    Sent {
        /// Its name.
        folder: String,
        /// Its ignore file; none to look for it in the folder.
        ignore: Option<String>,
    },
    /// A repository, an archive or a Dockerfile somewhere on the web.
    Remote {
        /// The address.
        address: String,
    },
    /// An image.
    Image {
        /// Its name.
        name: String,
    },
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A step begins.
    Begun {
        /// Its number in the build.
        step: usize,
        /// Its title; empty for what makes no layer.
        title: String,
    },
    /// An earlier build did it.
    Cached {
        /// Which.
        step: usize,
    },
    /// It wrote something.
    Output {
        /// Which.
        step: usize,
        /// What.
        text: String,
    },
    /// How far it is.
    Note {
        /// Which.
        step: usize,
        /// What to say.
        text: String,
    },
    /// Why it could not be taken from an earlier build.
    Why {
        /// Which.
        step: usize,
        /// The reason.
        text: String,
    },
    /// Something is probably not meant.
    Warning {
        /// The rule's name.
        rule: String,
        /// Where to read about it.
        url: String,
        /// What the rule is about.
        #[serde(default)]
        description: String,
        /// What is found.
        detail: String,
        /// The first line.
        first: usize,
        /// The last one.
        last: usize,
    },
    /// Everything was looked at, and nothing was to be built.
    Checked {
        /// Why that counts as a failure, if it does.
        failed: Option<String>,
    },
    /// What was asked, in BuildKit's form.
    Answer {
        /// The answer.
        answer: serde_json::Value,
    },
    /// It is done.
    Done {
        /// Which.
        step: usize,
        /// The topmost layer now.
        layer: Option<String>,
    },
    /// It failed.
    Failed {
        /// Which.
        step: usize,
        /// Why.
        message: String,
    },
    /// The build is done: the image's id.
    Image {
        /// The id.
        id: String,
        /// The digest of the index it is in, or of its manifest, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<String>,
    },
    /// The build is done, and no image was wanted: the topmost layer.
    Layer {
        /// The layer.
        id: Option<String>,
    },
    /// The same for several platforms: each with its topmost layer.
    Layers {
        /// The layers.
        layers: Vec<(String, Option<String>)>,
    },
    /// The build failed.
    Refused {
        /// Why.
        message: String,
        /// The first line of the Dockerfile it is about, 0 for none.
        first: usize,
        /// The last one.
        last: usize,
        /// The exit code of a step.
        code: Option<i32>,
        /// The image of what it left, if that was to be kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
    },
}
