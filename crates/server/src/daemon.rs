//! The daemon's life: settings, sockets, the engine, serving, and leaving when idle or told to.

mod file;
mod flags;
mod options;
mod sockets;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hako_engine::Engine;
use hako_sys::file::Lock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::activity::Activity;
use crate::buildkit::Bench;
use crate::listen::{self, Listener};
use crate::metrics::{self, Tally};
use crate::serve::{self, House, Leaving};
use crate::spans::{Collector, Spans};
use options::Options;
use sockets::Sockets;

/// How long connections may take to finish what they are at when the daemon leaves.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long cutting off the others may take.
const CUT: Duration = Duration::from_millis(200);

/// Runs the daemon: `hako daemon` with these arguments. Must be called before anything else opens descriptors.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let inherited = listen::inherited();
    // Kept open until the reason of a failed start is in the log: a client that sees the door shut looks there.
    let _door: Vec<_> = inherited.iter().map(listen::Bound::try_clone).collect();
    let options = match flags::parse(arguments) {
        Ok(flags::Request::Serve(given)) => Options::gather(&given),
        Ok(flags::Request::Say(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(refused) => Err(refused),
    };
    match options.and_then(|options| live(options, inherited)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("hako daemon: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn live(options: Options, inherited: Vec<listen::Bound>) -> Result<(), String> {
    start_log(&options.log_level, options.log_json);
    hako_sys::own::share_heaps(HEAPS);
    hako_sys::own::lift_open_files();
    let exec_root = options.settings.exec_root.clone();
    make_directory(&exec_root)?;
    let lock = claim(&exec_root)?;
    let sockets = Sockets::gather(&options, inherited)?;
    write_pid(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(workers())
        .thread_name("hako")
        .thread_keep_alive(KEEP_THREADS)
        .build()
        .map_err(|cause| format!("start runtime: {cause}"))?;
    let pid_file = options.pid_file.clone();
    // On a worker, not on this thread: a request is then taken, worked on and answered without changing threads.
    let serving = runtime.spawn(serve(options, sockets));
    let outcome = runtime.block_on(serving).unwrap_or_else(|cause| Err(format!("serve: {cause}")));
    runtime.shutdown_timeout(FAREWELL);
    let _ = std::fs::remove_file(pid_file);
    drop(lock);
    // What is left is the lock on starting, if it was taken: it is the last to go, so that the next daemon finds all free.
    outcome.map(drop)
}

/// Two threads are enough to keep a request going beside another that computes; more would only cost memory.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4))
}

async fn serve(options: Options, mut sockets: Sockets) -> Result<Option<Lock>, String> {
    let (leave, leaving) = watch::channel(Leaving::No);
    let mut listeners = sockets.open()?;
    // Taken before the engine is opened: whoever wants it to end early is heard.
    let mut stop = Stop::listen()?;
    let scrapers = options.metrics.map(metrics::listen).transpose()?;
    let engine = Engine::open(options.settings).await.map_err(|cause| format!("open engine: {cause}"))?;
    let (activity, bench, tally) = (Activity::default(), Bench::default(), Tally::default());
    let (spans, passing_on) = collect_spans();
    let house = House { engine: engine.clone(), activity, bench, tally, spans, leaving };
    let tidying = tokio::spawn(give_memory_back(house.activity.clone()));
    if let Some(listener) = scrapers {
        tokio::spawn(metrics::serve(listener, engine.clone(), house.tally.clone()));
    }
    tracing::info!("listening on {sockets}");
    let lock = attend(&mut listeners, &house, &mut sockets, options.idle_timeout, &mut stop).await?;
    tracing::info!("leaving");
    tidying.abort();
    drop(listeners);
    let _ = leave.send(Leaving::Soon);
    if tokio::time::timeout(FAREWELL, house.activity.idle_for(Duration::ZERO)).await.is_err() {
        tracing::warn!("{} connections are still at work; they are broken off", house.activity.count());
        let _ = leave.send(Leaving::Now);
        // What goes on without a connection, such as a verb half-way, is broken off with the runtime.
        let _ = tokio::time::timeout(CUT, house.activity.idle_for(Duration::ZERO)).await;
    }
    engine.close().await;
    drop(house);
    if let Some(passing_on) = passing_on {
        // What was not sent by then is not worth staying for.
        let _ = tokio::time::timeout(FAREWELL, passing_on).await;
    }
    Ok(lock)
}

/// Where spans of requests go, if the environment says so. What it says wrong is no reason not to serve.
fn collect_spans() -> (Spans, Option<tokio::task::JoinHandle<()>>) {
    match Collector::from_environment(|name| std::env::var(name).ok()) {
        Ok(None) => (Spans::default(), None),
        Ok(Some(collector)) => {
            let (spans, passing_on) = Spans::to(collector);
            (spans, Some(passing_on))
        }
        Err(reason) => {
            tracing::warn!("no spans: {reason}");
            (Spans::default(), None)
        }
    }
}

/// Serves until the daemon is to leave, and sees to it that nobody is kept waiting at its door then.
async fn attend(
    listeners: &mut Vec<Listener>,
    house: &House,
    sockets: &mut Sockets,
    idle_timeout: Option<Duration>,
    stop: &mut Stop,
) -> Result<Option<Lock>, String> {
    loop {
        tokio::select! {
            () = serve::accept(listeners, house) => {}
            () = idle(house, idle_timeout) => {
                let Some(lock) = sockets.close_door()? else { return Ok(None) };
                if !serve::accept_waiting(listeners, house) {
                    return Ok(Some(lock));
                }
                // Somebody came at the last moment: open the door again for those who come after.
                listeners.push(sockets.reopen_door()?);
            }
            () = stop.told() => {
                let lock = sockets.close_door()?;
                // Whoever stands at the door already is still served.
                serve::accept_waiting(listeners, house);
                return Ok(lock);
            }
        }
    }
}

/// How many threads may allocate at once.
const HEAPS: i32 = 4;
/// How long threads that wait for the disk are kept for the next request.
const KEEP_THREADS: Duration = Duration::from_secs(1);
/// How long after a burst of requests its memory is given back: its threads have gone by then.
const SETTLED: Duration = Duration::from_secs(2);

/// After a burst the allocator keeps what it needed at the peak, many times of what is in use.
async fn give_memory_back(activity: Activity) {
    loop {
        activity.settled(SETTLED).await;
        hako_sys::own::trim_memory();
    }
}

async fn idle(house: &House, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => {
            house.activity.idle_for(timeout).await;
            // Somebody must be there when a job is due.
            while house.engine.jobs().any() {
                tokio::time::sleep(timeout.max(JOBS)).await;
                house.activity.idle_for(timeout).await;
            }
        }
        None => std::future::pending().await,
    }
}

/// How soon an idle daemon looks again whether there are jobs.
const JOBS: Duration = Duration::from_secs(1);

/// The signals that end a daemon.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, String> {
        let on = |kind| signal(kind).map_err(|cause| format!("listen for signals: {cause}"));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One daemon to an exec root.
fn claim(exec_root: &Path) -> Result<Lock, String> {
    let path = exec_root.join("daemon.lock");
    match Lock::try_exclusive(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(format!("another daemon is running: it holds {}", path.display())),
        Err(cause) => Err(cause.to_string()),
    }
}

fn make_directory(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path);
    made.map_err(|cause| format!("create {}: {cause}", path.display()))
}

fn write_pid(options: &Options) -> Result<(), String> {
    let path: &PathBuf = &options.pid_file;
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    std::fs::write(path, std::process::id().to_string()).map_err(|cause| format!("write {}: {cause}", path.display()))
}

fn start_log(level: &str, json: bool) {
    use tracing::level_filters::LevelFilter;
    let filter = match level {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" | "panic" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let log =
        tracing_subscriber::fmt().with_max_level(filter).with_writer(io::stderr).with_ansi(false).with_target(false);
    // Only a second daemon in one process would find one there: the tests'.
    let _ = if json { log.json().flatten_event(true).try_init() } else { log.try_init() };
}
