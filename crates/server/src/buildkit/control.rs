//! What BuildKit's clients ask: builds that they drive themselves through the bridge, or have driven; their progress; workers
//! and the cache.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;
use hako_buildkit::caller::Caller;
use hako_buildkit::door::{Answers, Service};
use hako_buildkit::wire::control::{
    BuildkitVersion, CacheOptionsEntry, DiskUsageRequest, DiskUsageResponse, Exporter, InfoResponse,
    ListWorkersResponse, Platform, PruneRequest, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
    UsageRecord, WorkerRecord,
};
use hako_buildkit::wire::{fault, gateway};
use hako_buildkit::{Code, Status};
use hako_engine::Engine;
use hako_engine::builds::desk::Desk;
use hako_engine::builds::request::{Context, MAIN, Remote};
use hako_engine::builds::{
    Becomes, Bounds, BuildRequest, Builds, CacheTarget, Caches, Failure, Kept, KeptKind, Made, Outside, Told, context,
};
use hako_engine::stream::ByteSource;

use super::board::Board;
use super::context::{Local, texts};
use super::desk::Lent;
use super::job::Job;
use super::order::Order;
use super::{Bench, export, question, results};

/// The frontend that hako is.
const FRONTEND: &str = "dockerfile.v0";

/// What the bridge can, as BuildKit names it.
const CAPABILITIES: &[&str] = &[
    "solve.base",
    "solve.inlinereturn",
    "return",
    "returnmap",
    "proto.refarray",
    "reference.output",
    "gateway.solve.metadata",
    "gateway.evaluate",
    "gateway.solve.evaluate",
    "importcaches",
    "frontend.caps",
];

/// What a Dockerfile may use.
const OPERATIONS: &[&str] = &[
    "source.image",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.git",
    "source.git.keepgitdir",
    "source.git.fullurl",
    "source.http",
    "exec.meta.base",
    "exec.meta.proxyenv",
    "exec.meta.network",
    "exec.mount.bind",
    "exec.mount.cache",
    "exec.mount.cache.sharing",
    "exec.mount.selector",
    "exec.mount.tmpfs",
    "exec.mount.secret",
    "exec.mount.ssh",
    "file.base",
    "platform",
    "constraints",
    "exporter.image.attestations",
];

/// Why most entitlements are none here.
const NO_MORE: &str = "steps have no more privileges than containers";

/// Where uploads of a session are said to be.
const UPLOADS: &str = "http://buildkit-session/";

/// The label that says where `host-gateway` is.
const HOST_GATEWAY: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

/// One connection's view of the bench.
pub(super) struct Workbench {
    bench: Bench,
    engine: Engine,
}

impl Workbench {
    pub(super) fn new(bench: Bench, engine: Engine) -> Self {
        Self { bench, engine }
    }

    /// Builds, and gives the name of the result for each platform.
    async fn build(&self, job: &Arc<Job>, words: &HashMap<String, String>) -> Result<Vec<(String, Made)>, Status> {
        let builds = self.engine.builds();
        let order = Order(words);
        job.attest(order.attestations()?);
        let inputs = Inputs::gather(job, &builds, &order).await?;
        question::warn(job, &builds, &order, (&inputs.vertex, inputs.sources())).await?;
        let (from, unknown) = order.caches();
        for cache in unknown {
            // As with BuildKit, a cache that cannot be had does not end the build.
            let shown = job.begin(format!("importing cache manifest from {cache}")).await;
            job.end(shown, false, Some("hako takes caches from registries, directories and images")).await;
        }
        let mut build = order.request(inputs.dockerfile.clone(), inputs.contexts)?;
        build.sandbox.host_network = job.host_network;
        let (desk, caches) = (desk(job), Caches { from, to: Vec::new() });
        let platforms = Some(order.platforms()?).filter(|all| all.len() > 1).unwrap_or_default();
        let request = BuildRequest { build, platforms, result: Becomes::Open, desk, caches, ..BuildRequest::default() };
        let mut told = builds.build(request, inputs.kept);
        let mut board = Board::new(job);
        while let Some(told) = told.next().await {
            match told {
                Told::Step(event) => board.tell(event).await,
                Told::Made(all) => return Ok(all.into_iter().map(|made| (job.keep(made.clone()), made)).collect()),
                Told::Failed(failure) => return Err(refusal(failure, order.file(), &inputs.dockerfile)),
                Told::Image(_) | Told::Layers(_) => {}
            }
        }
        Err(Status::internal("the build ended without a result"))
    }

    /// Answers a question about a Dockerfile, without building.
    async fn answer(
        &self,
        job: &Arc<Job>,
        question: &str,
        words: &HashMap<String, String>,
    ) -> Result<gateway::Outcome, Status> {
        let (builds, order) = (self.engine.builds(), Order(words));
        let inputs = Inputs::gather(job, &builds, &order).await?;
        question::answer(&builds, &order, question, inputs.sources()).await
    }

    /// Builds, or has the client drive the build, and exports the result.
    async fn work(
        &self,
        job: &Arc<Job>,
        frontend: &str,
        words: &HashMap<String, String>,
    ) -> Result<HashMap<String, String>, Status> {
        let result = match frontend {
            FRONTEND => self.build(job, words).await?.into_iter().map(|(_, made)| made).collect(),
            "" => {
                let returned = job.returned().await?;
                if let Some(error) = returned.error.filter(|error| error.code != Code::Ok as i32) {
                    return Err(error.into());
                }
                results::named(job, returned.result.unwrap_or_default())?
            }
            other => return Err(only_dockerfiles(&format!("frontend {other:?}"))),
        };
        self.export(job, &result).await
    }

    async fn export(&self, job: &Job, made: &[Made]) -> Result<HashMap<String, String>, Status> {
        let mut answer = HashMap::new();
        if (job.exporters.is_empty() && job.caches.is_empty()) || made.is_empty() {
            return Ok(answer);
        }
        for target in job.caches.iter().filter(|target| !matches!(target.place, Outside::Inline)) {
            let shown = job.begin(format!("exporting cache to {}", target.place)).await;
            let given = self.engine.builds().export_cache(made, target, desk(job)).await;
            let message = given.as_ref().err().map(ToString::to_string);
            job.end(shown, false, message.as_deref()).await;
            if let Some(manifest) = given.map_err(failed)? {
                // The client's own list of what is in its directory is brought up to date by this.
                let described = serde_json::to_string(&manifest).unwrap_or_default();
                answer.insert("cache.manifest".to_owned(), described);
            }
        }
        for (number, exporter) in job.exporters.iter().enumerate() {
            answer.extend(export::export(job, &self.engine, number, exporter, made).await?);
        }
        Ok(answer)
    }
}

/// A failure with its place in the Dockerfile.
pub(super) fn refusal(failure: Failure, name: &str, dockerfile: &[u8]) -> Status {
    let line = |line: usize| fault::Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 };
    let place = failure.lines.map(|lines| fault::Source {
        info: Some(fault::SourceInfo {
            filename: name.rsplit('/').next().unwrap_or(name).to_owned(),
            data: dockerfile.to_vec(),
            language: "Dockerfile".to_owned(),
        }),
        ranges: vec![fault::Range { start: Some(line(lines.first)), end: Some(line(lines.last)) }],
    });
    fault::Status::about(failure.message, place.as_ref()).into()
}

/// What a build reads.
#[derive(Default)]
struct Inputs {
    dockerfile: Vec<u8>,
    /// What is left out of the main context.
    ignore: Option<Vec<u8>>,
    /// The step that people saw fetch it.
    vertex: String,
    contexts: BTreeMap<String, Context>,
    kept: Vec<context::Origin>,
}

impl Inputs {
    fn sources(&self) -> question::Sources<'_> {
        question::Sources { dockerfile: &self.dockerfile, ignore: self.ignore.as_deref() }
    }

    async fn gather(job: &Arc<Job>, builds: &Builds, order: &Order<'_>) -> Result<Self, Status> {
        let mut inputs = Self::default();
        match order.word("context") {
            Some(address) => inputs.fetch_main(job, builds, order, address).await?,
            None => inputs.ask_for_main(job, builds, order).await?,
        }
        for (name, place) in order.contexts() {
            let context = inputs.named(job, builds, &name, place).await?;
            inputs.contexts.insert(name, context);
        }
        Ok(inputs)
    }

    /// The client has the context.
    async fn ask_for_main(&mut self, job: &Arc<Job>, builds: &Builds, order: &Order<'_>) -> Result<(), Status> {
        let caller = caller(job)?;
        let name = order.word("contextkey").unwrap_or("context");
        let own = self.read_dockerfile(job, builds, order).await?;
        let ignore = match own {
            Some(own) => own,
            None => ignored(job, &caller, builds, name).await?,
        };
        self.ignore = Some(ignore.clone());
        self.contexts.insert(MAIN.to_owned(), local(job, &caller, builds, name, ignore)?);
        Ok(())
    }

    /// The Dockerfile of the client's, and the ignore file that is its own.
    async fn read_dockerfile(
        &mut self,
        job: &Arc<Job>,
        builds: &Builds,
        order: &Order<'_>,
    ) -> Result<Option<Vec<u8>>, Status> {
        let (caller, file) = (caller(job)?, order.file());
        let directory = order.word("dockerfilekey").unwrap_or("dockerfile");
        let title = format!("[internal] load build definition from {}", file.rsplit('/').next().unwrap_or(file));
        let own = format!("{file}.dockerignore");
        let what = (directory, title.as_str(), "transferring dockerfile:");
        let (root, _origin, vertex) = texts(job, &caller, builds, what, vec![file.to_owned(), own.clone()]).await?;
        self.vertex = vertex;
        let text = |path: &str| context::text(&root, path).map_err(failed);
        let missing = || failed(format!("failed to read dockerfile: open {file}: no such file or directory"));
        self.dockerfile = text(file)?.ok_or_else(missing)?;
        text(&own)
    }

    /// The context is somewhere else: an upload of the client's, a repository, or an address.
    async fn fetch_main(
        &mut self,
        job: &Arc<Job>,
        builds: &Builds,
        order: &Order<'_>,
        address: &str,
    ) -> Result<(), Status> {
        let shown = job.begin(format!("[internal] load remote build context {address}")).await;
        let fetched = fetch(job, builds, address, order.word("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR")).await;
        let message = fetched.as_ref().err().map(|status| status.message().to_owned());
        self.vertex = shown.digest();
        job.end(shown, false, message.as_deref()).await;
        let origin = fetched?;
        let root = origin.open().map_err(failed)?;
        let file = order.file();
        let mut own = context::text(&root, &format!("{file}.dockerignore")).map_err(failed)?;
        if order.word("dockerfilekey").is_some() {
            own = self.read_dockerfile(job, builds, order).await?.or(own);
        } else {
            let found = context::text(&root, file).map_err(failed)?;
            let missing = || failed(format!("failed to read dockerfile: open {file}: no such file or directory"));
            self.dockerfile = found.ok_or_else(missing)?;
        }
        let ignore = match own {
            Some(own) => Some(own),
            None => context::text(&root, ".dockerignore").map_err(failed)?,
        };
        let tree = context::tree(root, ignore.as_deref()).map_err(failed)?;
        self.ignore = ignore;
        self.contexts.insert(MAIN.to_owned(), Context::Files(tree));
        self.kept.push(origin);
        Ok(())
    }

    async fn named(&mut self, job: &Arc<Job>, builds: &Builds, name: &str, place: &str) -> Result<Context, Status> {
        if let Some(image) = place.strip_prefix("docker-image://") {
            return Ok(Context::Image(image.to_owned()));
        }
        if let Some(directory) = place.strip_prefix("local:") {
            let caller = caller(job)?;
            let ignore = ignored(job, &caller, builds, directory).await?;
            return local(job, &caller, builds, directory, ignore);
        }
        let known = ["http://", "https://", "git://", "git@", "ssh://", "github.com/"];
        if !known.iter().any(|scheme| place.starts_with(scheme)) {
            let why = format!("build context {name}={place}: hako takes directories, docker-image://, git and http(s)");
            return Err(Status::unimplemented(why));
        }
        let origin = fetch(job, builds, place, None).await?;
        let tree = context::tree(origin.open().map_err(failed)?, None).map_err(failed)?;
        self.kept.push(origin);
        Ok(Context::Files(tree))
    }
}

/// What the client lends.
pub(super) fn desk(job: &Job) -> Option<Arc<dyn Desk>> {
    job.session.as_ref().map(|session| Arc::new(Lent(session.caller.clone())) as Arc<dyn Desk>)
}

/// Where a client wants the result's layers.
fn target(entry: &CacheOptionsEntry) -> Result<CacheTarget, Status> {
    let attribute = |name: &str| entry.attrs.get(name).map(String::as_str);
    let place = match (entry.kind.as_str(), attribute("ref")) {
        ("inline", _) => Outside::Inline,
        ("registry", Some(name)) => Outside::Registry(name.to_owned()),
        ("local", _) if attribute("dest").is_some() => {
            let place = format!("local:{}", attribute("dest").unwrap_or_default());
            Outside::Client { place, manifest: None }
        }
        ("registry", None) => return Err(Status::invalid_argument("registry cache exporter requires ref")),
        (other, _) => {
            let why = format!("hako keeps caches in registries, directories or images, not in type={other}");
            return Err(Status::unimplemented(why));
        }
    };
    let max = match attribute("mode") {
        None | Some("" | "min") => false,
        Some("max") => true,
        Some(other) => {
            return Err(Status::invalid_argument(format!("unknown cache mode {other:?}: want min or max")));
        }
    };
    CacheTarget::new(place, max, attribute("mounts")).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn failed(error: impl ToString) -> Status {
    fault::Status::about(error.to_string(), None).into()
}

fn caller(job: &Job) -> Result<Caller, Status> {
    let session = job.session.as_ref().map(|session| session.caller.clone());
    session.ok_or_else(|| Status::failed_precondition("the build has no session that its files could come from"))
}

/// The context's own ignore file.
async fn ignored(job: &Arc<Job>, caller: &Caller, builds: &Builds, name: &str) -> Result<Vec<u8>, Status> {
    let title = if name == "context" {
        "[internal] load .dockerignore".to_owned()
    } else {
        format!("[context {name}] load .dockerignore")
    };
    let what = (name, title.as_str(), "transferring context:");
    let (root, _origin, _) = texts(job, caller, builds, what, vec![".dockerignore".to_owned()]).await?;
    Ok(context::text(&root, ".dockerignore").map_err(failed)?.unwrap_or_default())
}

fn local(job: &Arc<Job>, caller: &Caller, builds: &Builds, name: &str, ignore: Vec<u8>) -> Result<Context, Status> {
    let local = Local::new(Arc::clone(job), caller.clone(), builds, name, ignore)?;
    Ok(Context::Remote(Arc::new(local) as Arc<dyn Remote>))
}

async fn fetch(
    job: &Arc<Job>,
    builds: &Builds,
    address: &str,
    keep_git: Option<&str>,
) -> Result<context::Origin, Status> {
    let Some(upload) = address.strip_prefix(UPLOADS) else {
        return builds.fetch(address, keep_git).await.map_err(failed);
    };
    let pieces = caller(job)?.upload(&format!("/{upload}")).await.map_err(failed)?;
    let pieces = pieces.map(|piece| piece.map(|piece| piece.data.into()).map_err(std::io::Error::other));
    let pieces: ByteSource = Box::pin(pieces);
    builds.receive(pieces).await.map_err(failed)
}

/// The outputs of a request, however its client says them.
fn exporters(asked: &SolveRequest) -> Vec<Exporter> {
    match (asked.exporters.is_empty(), asked.exporter.is_empty()) {
        (false, _) => asked.exporters.clone(),
        (true, true) => Vec::new(),
        (true, false) => vec![Exporter { kind: asked.exporter.clone(), attrs: asked.exporter_attrs.clone() }],
    }
}

fn only_dockerfiles(what: &str) -> Status {
    Status::unimplemented(format!("hako builds Dockerfiles ({FRONTEND}): it has no {what}"))
}

fn refuse_filters(filters: &[String]) -> Result<(), Status> {
    match filters.iter().find(|filter| !filter.is_empty()) {
        None => Ok(()),
        Some(filter) => Err(Status::unimplemented(format!("hako does not filter the build cache by {filter}"))),
    }
}

fn record(kept: Kept) -> UsageRecord {
    let moment = |time: hako_model::time::Timestamp| prost_types::Timestamp {
        seconds: time.secs(),
        nanos: i32::try_from(time.nanos().rem_euclid(1_000_000_000)).unwrap_or_default(),
    };
    UsageRecord {
        parents: kept.parents,
        id: kept.id,
        mutable: kept.kind != KeptKind::Layer,
        size: i64::try_from(kept.size).unwrap_or(i64::MAX),
        created_at: Some(moment(kept.created)),
        last_used_at: Some(moment(kept.used)),
        description: kept.text,
        record_type: kept.kind.word().to_owned(),
        shared: kept.shared,
        ..UsageRecord::default()
    }
}

fn version() -> BuildkitVersion {
    BuildkitVersion {
        package: "hako".to_owned(),
        version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
        revision: String::new(),
    }
}

impl Service for Workbench {
    async fn solve(&self, asked: SolveRequest) -> Result<SolveResponse, Status> {
        if asked.definition.as_ref().is_some_and(|definition| !definition.operations.is_empty()) {
            return Err(only_dockerfiles("graphs of operations"));
        }
        let exports = asked.cache.as_ref().map(|cache| cache.exports.as_slice()).unwrap_or_default();
        let caches = exports.iter().map(target).collect::<Result<Vec<_>, _>>()?;
        let session = match asked.session.as_str() {
            "" => None,
            id => Some(self.bench.sessions.find(id).await?),
        };
        let exporters = exporters(&asked);
        let mut job = Job::new(asked.reference, session, exporters, caches);
        for entitlement in &asked.entitlements {
            match entitlement.as_str() {
                "network.host" => job.host_network = true,
                other => return Err(Status::unimplemented(format!("{other} is not allowed: {NO_MORE}"))),
            }
        }
        let known = self.bench.jobs.begin(job)?;
        let outcome = self.work(&known.job, &asked.frontend, &asked.frontend_attrs).await;
        known.end();
        outcome.map(|exporter_response| SolveResponse { exporter_response })
    }

    async fn status(&self, asked: StatusRequest) -> Result<Answers<StatusResponse>, Status> {
        let job = self.bench.jobs.find(&asked.reference).await?;
        let mut messages =
            job.listen().ok_or_else(|| Status::already_exists("somebody listens to this build already"))?;
        drop(job);
        Ok(Answers::new(futures_util::stream::poll_fn(move |cx| messages.poll_recv(cx).map(|next| next.map(Ok)))))
    }

    fn workers(&self) -> ListWorkersResponse {
        let host = hako_model::platform::Platform::host();
        let platform = Platform { architecture: host.architecture, os: host.os, variant: host.variant };
        let mut labels = HashMap::from([
            ("org.mobyproject.buildkit.worker.executor".to_owned(), "hako".to_owned()),
            // By this clients know that images of several platforms can be kept here.
            ("org.mobyproject.buildkit.worker.snapshotter".to_owned(), "hako".to_owned()),
        ]);
        // What clients put in the place of `--add-host NAME:host-gateway`.
        let gateway = self.engine.networks().host_gateway();
        labels.extend(gateway.map(|own| (HOST_GATEWAY.to_owned(), own.to_string())));
        let record =
            WorkerRecord { id: "hako".to_owned(), labels, platforms: vec![platform], version: Some(version()) };
        ListWorkersResponse { record: vec![record] }
    }

    fn info(&self) -> InfoResponse {
        InfoResponse { version: Some(version()) }
    }

    async fn usage(&self, asked: DiskUsageRequest) -> Result<DiskUsageResponse, Status> {
        let kept = self.engine.builds().usage().await.map_err(failed)?;
        let record =
            kept.into_iter().map(record).filter(|record| super::filter::admits(&asked.filter, record)).collect();
        Ok(DiskUsageResponse { record })
    }

    async fn prune(&self, asked: PruneRequest) -> Result<Answers<UsageRecord>, Status> {
        refuse_filters(&asked.filter)?;
        let bytes = |asked: i64| u64::try_from(asked).unwrap_or(0);
        let bounds = Bounds {
            reserved: bytes(asked.reserved_space),
            most: bytes(asked.max_used_space),
            free: bytes(asked.min_free_space),
        };
        let before = (asked.keep_duration > 0).then(|| {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
            i64::try_from(now).unwrap_or(i64::MAX) - asked.keep_duration / 1_000_000_000
        });
        let pruned = self.engine.builds().forget(asked.all, before, bounds).await.map_err(failed)?;
        let records = pruned.gone.into_iter().map(|kept| Ok(record(kept)));
        Ok(Answers::new(futures_util::stream::iter(records.collect::<Vec<_>>())))
    }

    fn ping(&self) -> gateway::PongResponse {
        let able = |id: &&str| gateway::Capability { id: (*id).to_owned(), enabled: true };
        gateway::PongResponse {
            frontend_caps: CAPABILITIES.iter().map(able).collect(),
            llb_caps: OPERATIONS.iter().map(able).collect(),
            workers: self.workers().record,
        }
    }

    async fn bridge_solve(
        &self,
        build: String,
        asked: gateway::SolveRequest,
    ) -> Result<gateway::SolveResponse, Status> {
        if asked.frontend != FRONTEND {
            return Err(only_dockerfiles(&format!("frontend {:?}", asked.frontend)));
        }
        let job = self.bench.jobs.find(&build).await?;
        if let Some(question) = asked.frontend_opt.get("requestid").filter(|question| !question.is_empty()) {
            let result = Some(self.answer(&job, question, &asked.frontend_opt).await?);
            return Ok(gateway::SolveResponse { result });
        }
        let made = self.build(&job, &asked.frontend_opt).await?;
        Ok(gateway::SolveResponse { result: Some(results::told(made)) })
    }

    async fn evaluate(
        &self,
        build: String,
        asked: gateway::EvaluateRequest,
    ) -> Result<gateway::EvaluateResponse, Status> {
        let job = self.bench.jobs.find(&build).await?;
        match job.made(&asked.reference) {
            Some(_) => Ok(gateway::EvaluateResponse {}),
            None => Err(Status::not_found(format!("no such result {}", asked.reference))),
        }
    }

    async fn finish(&self, build: String, asked: gateway::ReturnRequest) -> Result<gateway::ReturnResponse, Status> {
        self.bench.jobs.find(&build).await?.finish(asked);
        Ok(gateway::ReturnResponse {})
    }
}
