//! Building images: the builder's work with the engine's images, containers and network.

mod attest;
mod check;
mod checkout;
pub mod context;
pub mod desk;
mod export;
mod outside;
mod prune;
mod relay;
mod secrets;
mod shop;
mod step;
mod sweep;
mod usage;

use std::collections::{BTreeMap, HashSet};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::Stream;
use hako_builder::cache::Cache;
pub use hako_builder::dockerfile::{Dockerfile, Kind, Lines, Stage, SyntaxError, mount};
use hako_builder::progress::{Event, Watcher};
use hako_builder::solve::{self, Product, Series, Tools};
use hako_builder::workshop::Cancel;
pub use hako_builder::{Error as BuildError, lint, progress, request};
pub use hako_model::annotation::Annotations;
pub use hako_model::attestation::Attestations;
use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_model::platform::Platform;
use hako_store::{ChainId, Store};
use tokio::sync::mpsc;

use self::attest::Story;
pub use self::check::CheckRequest;
use self::desk::Desk;
pub use self::outside::{CacheTarget, Caches, Carried, Outside};
use self::outside::{Imports, Keys};
pub use self::prune::{Bounds, Pruned};
use self::shop::Shop;
pub(crate) use self::sweep::sweep;
pub(crate) use self::usage::list;
pub use self::usage::{Kept, KeptKind};
use crate::house::House;
use crate::images::{self, Credential, Images, Member};
use crate::{Error, Result};

/// The argument that asks for a cache in the image, as with BuildKit.
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

/// The most platforms of one build: they go on side by side.
const PLATFORMS: usize = 32;

/// How many messages may wait for a client; then the build waits, too.
const BACKLOG: usize = 1024;

/// The build verbs. Cheap to clone.
#[derive(Clone)]
pub struct Builds {
    pub(crate) house: Arc<House>,
    pub(crate) images: Images,
}

/// A build, and what is to become of it.
#[derive(Clone, Default)]
pub struct BuildRequest {
    /// What to build.
    pub build: request::Request,
    /// The platforms to build for, if they are several; otherwise it is that of `build`.
    pub platforms: Vec<Platform>,
    /// What is to be attested of the image.
    pub attest: Attestations,
    /// What stands in the image's manifest and index besides.
    pub annotations: Annotations,
    /// Names for the image.
    pub tags: Vec<String>,
    /// What the result becomes.
    pub result: Becomes,
    /// Credentials by registry, for base images.
    pub credentials: BTreeMap<String, Credential>,
    /// What the client lends while the build goes on.
    pub desk: Option<Arc<dyn Desk>>,
    /// Caches outside.
    pub caches: Caches,
}

/// What becomes of a build's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Becomes {
    /// An image.
    #[default]
    Image,
    /// Files, which are asked for by their topmost layer.
    Files,
    /// Whatever is said later: it is kept until then.
    Open,
}

/// What an image is to have besides what was built.
#[derive(Debug, Clone, Default)]
pub struct Trimmings {
    /// Its names.
    pub tags: Vec<String>,
    /// Whether it holds what other builds may take of it.
    pub inline: bool,
    /// What is to be attested of it.
    pub attest: Attestations,
    /// What stands in its manifest and index.
    pub annotations: Annotations,
}

/// The result of a build, before it is said what becomes of it. Holds its layers.
#[derive(Clone)]
pub struct Made {
    product: Arc<Product>,
    story: Arc<Story>,
    /// The caches it took from.
    imports: Arc<Imports>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Made").field(&self.layer()).finish()
    }
}

impl Made {
    /// Its topmost layer.
    #[must_use]
    pub fn layer(&self) -> Option<Digest> {
        self.product.state.top()
    }

    /// The platform it is for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.product.state.platform.normalised()
    }
}

/// An image that was made.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Its id; of several platforms' the one that its names lead to.
    pub id: Digest,
    /// The index it is in, if there is one; or the manifest, if it has one already.
    pub index: Option<Descriptor>,
}

/// What a build tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something happened to a step.
    Step(Event),
    /// It is done: this is the image.
    Image(NewImage),
    /// It is done and no image was wanted: these are the topmost layers, for each platform in turn.
    Layers(Vec<(Platform, Option<Digest>)>),
    /// It is done, for each platform in turn, and nothing was made of it yet.
    Made(Vec<Made>),
    /// It failed.
    Failed(Failure),
}

/// Why a build failed.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// Why.
    pub message: String,
    /// Where in the Dockerfile.
    pub lines: Option<Lines>,
    /// The code of a step that failed.
    pub code: Option<i32>,
    /// The image of what it left, if that was to be kept.
    pub image: Option<Digest>,
}

/// What a build tells, as it goes on. Dropped, the build stops.
pub type BuildStream = Pin<Box<dyn Stream<Item = Told> + Send>>;

/// Passes events on to a client that may leave.
struct Teller {
    send: mpsc::Sender<Told>,
    cancel: Arc<Cancel>,
}

impl Watcher for Teller {
    fn tell(&self, event: Event) {
        if self.send.blocking_send(Told::Step(event)).is_err() {
            self.cancel.set();
        }
    }
}

/// Stops a build whose client is gone.
struct Leash {
    cancel: Arc<Cancel>,
    done: Arc<AtomicBool>,
}

impl Drop for Leash {
    fn drop(&mut self) {
        if !self.done.load(Ordering::Acquire) {
            self.cancel.set();
        }
    }
}

impl Builds {
    /// Builds. `hold` is kept until the build is over.
    pub fn build(&self, request: BuildRequest, hold: impl Send + 'static) -> BuildStream {
        let (send, mut told) = mpsc::channel(BACKLOG);
        let (cancel, done) = (Arc::new(Cancel::default()), Arc::new(AtomicBool::new(false)));
        let leash = Leash { cancel: Arc::clone(&cancel), done: Arc::clone(&done) };
        let builds = self.clone();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let _hold = hold;
            let outcome = builds.work(request, &send, &cancel, runtime);
            done.store(true, Ordering::Release);
            // A client that left does not want to know.
            let _ = send.blocking_send(outcome.unwrap_or_else(Told::Failed));
        });
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            let _ = &leash;
            told.poll_recv(cx)
        }))
    }

    fn work(
        &self,
        request: BuildRequest,
        send: &mpsc::Sender<Told>,
        cancel: &Arc<Cancel>,
        runtime: tokio::runtime::Handle,
    ) -> std::result::Result<Told, Failure> {
        if request.platforms.len() > PLATFORMS {
            let message = format!("a build for more than {PLATFORMS} platforms: build for some of them at a time");
            return Err(Failure { message, ..Failure::default() });
        }
        let store = &self.house.store;
        let _held = store.hold();
        let watcher = Teller { send: send.clone(), cancel: Arc::clone(cancel) };
        let keys = Keys { credentials: request.credentials, desk: request.desk };
        let imports = Arc::new(Imports::new(request.caches.from));
        let shop = Shop {
            house: Arc::clone(&self.house),
            images: self.images.clone(),
            keys: keys.clone(),
            imports: Arc::clone(&imports),
            runtime: runtime.clone(),
            exact: request.platforms.len() > 1,
            failed: Mutex::default(),
        };
        let cache = &self.house.cache;
        make_room(cache, store);
        let series = Series::new(request.platforms.len() > 1, request.build.parallel);
        let tools = Tools { store, cache, workshop: &shop, watcher: &watcher, cancel, series: &series };
        let made = solve_all(&for_each(&request.build, &request.platforms), tools, &imports).map_err(|error| {
            let image = shop.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
            Failure { image, ..failure(error) }
        })?;
        prune::clear_stale_contexts(&self.house);
        for target in &request.caches.to {
            runtime.block_on(self.give(&made, target, &keys)).map_err(|error| plain(&error))?;
        }
        let asked = request.build.arguments.get(INLINE_CACHE).is_some_and(|text| matches!(text.as_str(), "1" | "true"));
        let inline = asked || request.caches.to.iter().any(|target| matches!(target.place, Outside::Inline));
        match request.result {
            Becomes::Open => Ok(Told::Made(made)),
            Becomes::Files => Ok(Told::Layers(made.iter().map(|made| (made.platform(), made.layer())).collect())),
            Becomes::Image => {
                let (attest, annotations) = (request.attest, request.annotations);
                let image =
                    runtime.block_on(self.keep(&made, Trimmings { tags: request.tags, inline, attest, annotations }));
                image.map(Told::Image).map_err(|error| plain(&error))
            }
        }
    }

    /// Gives a result's layers to a cache outside, with what the client lends; gives the manifest that stands there then.
    pub async fn export_cache(
        &self,
        made: &[Made],
        target: &CacheTarget,
        desk: Option<Arc<dyn Desk>>,
    ) -> Result<Option<Descriptor>> {
        self.give(made, target, &Keys { credentials: BTreeMap::new(), desk }).await
    }

    /// Makes an image of a result for each platform. Several platforms, and what is attested, make an index; annotations
    /// make a manifest at once, which others get when they are pushed.
    pub async fn keep(&self, made: &[Made], trimmings: Trimmings) -> Result<NewImage> {
        let Trimmings { tags, inline, attest, annotations } = trimmings;
        let (builds, made) = (self.clone(), made.to_vec());
        let is_alone = made.len() == 1 && attest.is_empty();
        let described = tokio::task::spawn_blocking(move || {
            let all = made.iter().map(|made| builds.member(made, inline, &attest));
            all.collect::<Result<Vec<_>>>()
        });
        let mut members = described.await.map_err(|e| Error::io("describe image", e))??;
        if is_alone
            && annotations.is_empty()
            && let Some(Member { config, .. }) = members.pop()
        {
            let image = hako_store::NewImage { config, manifest: None, parent: None };
            return Ok(NewImage { id: self.images.add_built(image, tags).await?, index: None });
        }
        let series = images::Series { members, tags, annotations };
        let added =
            if is_alone { self.images.add_annotated(series).await } else { self.images.add_bundle(series).await };
        let (id, index) = added?;
        Ok(NewImage { id, index: Some(index) })
    }

    fn member(&self, made: &Made, inline: bool, attest: &Attestations) -> Result<Member> {
        let product = &made.product;
        let mut config = product.config.clone();
        config.extra.extend(outside::inlined(product).filter(|_| inline));
        let config = serde_json::to_vec(&config).map_err(|error| Error::io("write image", error))?;
        let statements = attest::statements(attest, &made.story, product, || self.view(made))?;
        Ok(Member { config, statements })
    }
}

/// Solves builds side by side. What breaks one stops the others.
fn solve_all(
    builds: &[request::Request],
    tools: Tools<'_>,
    imports: &Arc<Imports>,
) -> std::result::Result<Vec<Made>, BuildError> {
    let solve = |build: &request::Request| {
        let mut story = Story::begin(build);
        let product = solve::build(build, tools)?;
        story.end();
        Ok(Made { product: Arc::new(product), story: Arc::new(story), imports: Arc::clone(imports) })
    };
    let outcomes: Vec<std::result::Result<Made, BuildError>> = match builds {
        [build] => vec![solve(build)],
        builds => std::thread::scope(|scope| {
            let threads: Vec<_> = builds.iter().map(|build| scope.spawn(|| solve(build))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        }),
    };
    // The one that was first to break is not among those that were stopped for it.
    let stopped = |error: &BuildError| matches!(error.cause(), BuildError::Cancelled);
    let (whole, mut broken): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(std::result::Result::is_ok);
    broken.sort_by_key(|outcome| outcome.as_ref().err().is_some_and(stopped));
    broken.into_iter().chain(whole).collect()
}

/// The build for each platform.
fn for_each(build: &request::Request, platforms: &[Platform]) -> Vec<request::Request> {
    if platforms.is_empty() {
        return vec![build.clone()];
    }
    let one = |platform: &Platform| request::Request { platform: Some(platform.clone()), ..build.clone() };
    platforms.iter().map(one).collect()
}

/// Forgets steps that were not used for long, when the cache is too large. Before a build, for by then what the last one made
/// is an image: steps whose layers an image has cost nothing.
fn make_room(cache: &Cache, store: &Store) {
    let layers: HashSet<ChainId> = store.images().list().into_iter().flat_map(|image| image.layers).collect();
    if cache.trim(limit(cache.root()), |layer| layers.contains(layer)) > 0
        && let Err(error) = store.collect()
    {
        tracing::warn!(%error, "layers of forgotten build steps stay");
    }
}

/// How large the cache may be: a tenth of its disk.
fn limit(root: &std::path::Path) -> u64 {
    let disk = rustix::fs::statvfs(root).map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    disk.map_or(u64::MAX, |size| size / 10)
}

fn failure(error: hako_builder::Error) -> Failure {
    let code = match error.cause() {
        hako_builder::Error::Exit { code, .. } | hako_builder::Error::Memory { code, .. } => Some(*code),
        _ => None,
    };
    Failure { message: error.to_string(), lines: error.lines(), code, image: None }
}

fn plain(error: &Error) -> Failure {
    Failure { message: error.to_string(), ..Failure::default() }
}
