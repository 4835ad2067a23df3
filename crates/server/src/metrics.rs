//! `/metrics` in Prometheus' text format: on the API's socket, and for scrapers on an address of its own, where nothing
//! else is answered.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hako_engine::Engine;
use hako_engine::containers::ListOptions;
use hako_engine::images::ListRequest;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::failure::Failure;
use crate::reply::{self, Outcome, Reply};

/// How long a scraper may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// How often requests were answered, by the first digit of the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    answers: Arc<[AtomicU64; 6]>,
}

impl Tally {
    /// One more answer.
    pub(crate) fn count(&self, status: StatusCode) {
        if let Some(class) = self.answers.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Answers a scrape.
pub(crate) async fn answer(engine: &Engine, tally: &Tally) -> Outcome {
    let text = told(engine, tally).await?;
    let mut reply = reply::text_of(StatusCode::OK, text);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(reply)
}

async fn told(engine: &Engine, tally: &Tally) -> Result<String, Failure> {
    let containers = engine.containers().list(ListOptions { all: true, ..ListOptions::default() }).await?;
    let images = engine.images().list(ListRequest::default()).await?;
    let mut page = Page::default();
    page.family("hako_info", "gauge", "The version of the daemon.");
    page.sample("hako_info", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    page.family("hako_containers", "gauge", "Containers by state.");
    for state in ["created", "running", "paused", "restarting", "exited", "dead"] {
        let count = containers.iter().filter(|container| container.state == state).count();
        page.sample("hako_containers", &format!("{{state=\"{state}\"}}"), count as u64);
    }
    page.family("hako_images", "gauge", "Images.");
    page.sample("hako_images", "", images.len() as u64);
    page.family("hako_http_requests_total", "counter", "Requests answered, by class of status.");
    for (class, count) in tally.answers.iter().enumerate().skip(1) {
        page.sample("hako_http_requests_total", &format!("{{status=\"{class}xx\"}}"), count.load(Ordering::Relaxed));
    }
    page.process();
    Ok(page.text)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a text does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: u64) {
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    /// What every exporter tells of itself.
    fn process(&mut self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let member = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory of the daemon.", member("VmRSS:").map(|kib| kib << 10)),
            ("process_threads", "Threads of the daemon.", member("Threads:")),
            ("process_open_fds", "Open descriptors of the daemon.", Some(open)),
        ] {
            if let Some(value) = value {
                self.family(name, "gauge", help);
                self.sample(name, "", value);
            }
        }
    }
}

/// An address where only metrics are answered. They are told to whoever asks, so nothing in them is a secret.
pub(crate) fn listen(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let listener = std::net::TcpListener::bind(address).map_err(|cause| format!("metrics-addr {address}: {cause}"))?;
    listener.set_nonblocking(true).map_err(|cause| format!("metrics-addr {address}: {cause}"))?;
    Ok(listener)
}

/// Serves scrapers until the daemon leaves.
pub(crate) async fn serve(listener: std::net::TcpListener, engine: Engine, tally: Tally) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (engine, tally) = (engine.clone(), tally.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (engine, tally) = (engine.clone(), tally.clone());
                async move { Ok::<_, std::convert::Infallible>(scrape(&request, &engine, &tally).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            // A scraper that goes away asks again.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn scrape(request: &Request<Incoming>, engine: &Engine, tally: &Tally) -> Reply {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return reply::failure(&Failure::page_not_found());
    }
    answer(engine, tally).await.unwrap_or_else(|failure| reply::failure(&failure))
}
