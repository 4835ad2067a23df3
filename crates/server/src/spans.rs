//! Spans of requests for whoever collects them: OpenTelemetry's protocol over plain http, as JSON, if the environment asks
//! for it with `OTEL_EXPORTER_OTLP_ENDPOINT`. Nothing waits for a collector: what it does not take is dropped and counted.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::router;

/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 4096;
/// Spans sent at once.
const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where spans go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Collector {
    address: SocketAddr,
    /// As it was written, for `Host`.
    host: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    service: String,
}

impl Collector {
    /// The collector that the environment names, if it names one.
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let off = given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || given("OTEL_TRACES_EXPORTER").is_some_and(|value| value != "otlp");
        let (own, base) = (given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), given("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let base = base.map(|base| format!("{}/v1/traces", base.trim_end_matches('/')));
        let Some(endpoint) = own.or(base).filter(|_| !off) else { return Ok(None) };
        let refused = |reason: &str| Err(format!("OTEL_EXPORTER_OTLP_ENDPOINT {endpoint:?}: {reason}"));
        if given("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
            return refused("gRPC is not spoken; name the collector's port for http, mostly 4318");
        }
        let Some(rest) = endpoint.strip_prefix("http://") else {
            return refused("only http:// is spoken; run a collector on this machine that passes on what it gets");
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(address) = address(host) else {
            return refused("its host is neither an address nor a name of /etc/hosts");
        };
        let headers = given("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let service = given("OTEL_SERVICE_NAME").unwrap_or_else(|| "hako".to_owned());
        let (host, path) = (host.to_owned(), format!("/{path}"));
        Ok(Some(Self { address, host, path, headers: pairs(&headers), service }))
    }
}

/// `key=value,key=value`
fn pairs(text: &str) -> Vec<(HeaderName, HeaderValue)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

fn address(host: &str) -> Option<SocketAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let (name, port) = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).unwrap_or((host, "4318"));
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = || {
        hosts.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words.any(|word| word == name).then_some(address)
        })
    };
    let address = name.parse::<IpAddr>().ok().or_else(known)?;
    Some(SocketAddr::new(address, port.parse().ok()?))
}

/// One request, answered.
#[derive(Debug)]
struct Span {
    name: String,
    method: String,
    path: String,
    status: StatusCode,
    trace: String,
    parent: String,
    began: SystemTime,
    ended: SystemTime,
}

/// A request on its way.
pub(crate) struct Begun(Box<Span>);

/// Takes spans. Without a collector it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Spans {
    sender: Option<mpsc::Sender<Span>>,
    dropped: Arc<AtomicU64>,
}

impl Spans {
    /// Spans go to this collector from now on; the task ends when nobody makes spans any more.
    pub(crate) fn to(collector: Collector) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(pass_on(collector, receiver, Arc::clone(&dropped)));
        (Self { sender: Some(sender), dropped }, task)
    }

    /// A request begins.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Option<Begun> {
        self.sender.as_ref()?;
        let path = request.uri().path();
        let name = router::route(request.method(), path).map(|route| format!("{:?}", route.endpoint));
        let (trace, parent) = context(request.headers()).unwrap_or_else(|| (random(16), String::new()));
        Some(Begun(Box::new(Span {
            name: name.unwrap_or_else(|_| request.method().to_string()),
            method: request.method().to_string(),
            path: path.to_owned(),
            status: StatusCode::OK,
            trace,
            parent,
            began: SystemTime::now(),
            ended: UNIX_EPOCH,
        })))
    }

    /// It was answered.
    pub(crate) fn end(&self, begun: Option<Begun>, status: StatusCode) {
        let (Some(sender), Some(Begun(span))) = (&self.sender, begun) else { return };
        let span = Span { status, ended: SystemTime::now(), ..*span };
        if sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The trace a client is in, and its own span: `traceparent: 00-TRACE-SPAN-FLAGS`.
fn context(headers: &HeaderMap) -> Option<(String, String)> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(trace, 32) && hex(span, 16)).then(|| (trace.to_owned(), span.to_owned()))
}

fn random(bytes: usize) -> String {
    hako_sys::random::hex(bytes).unwrap_or_else(|_| "1".repeat(bytes * 2))
}

async fn pass_on(collector: Collector, mut spans: mpsc::Receiver<Span>, dropped: Arc<AtomicU64>) {
    let mut told = false;
    while let Some(first) = spans.recv().await {
        let mut batch = vec![first];
        let more = async {
            while batch.len() < BATCH {
                match spans.recv().await {
                    Some(span) => batch.push(span),
                    None => return,
                }
            }
        };
        // The pause ends with the batch full, or with nobody left to fill it.
        let _ = tokio::time::timeout(PAUSE, more).await;
        let count = batch.len() as u64;
        let sent = tokio::time::timeout(PATIENCE, send(&collector, encode(&collector.service, &batch))).await;
        let outcome = sent.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        if let Err(reason) = outcome {
            let all = dropped.fetch_add(count, Ordering::Relaxed) + count;
            if !told {
                tracing::warn!("spans not taken by {}: {reason}; {all} dropped so far", collector.host);
            }
            told = true;
        } else {
            told = false;
        }
    }
}

async fn send(collector: &Collector, body: Vec<u8>) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(collector.address).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&collector.path)
        .header(HOST, &collector.host)
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, body.len());
    for (name, value) in &collector.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    let answered = sender.send_request(request).await.map_err(|error| error.to_string());
    let status = match answered {
        Ok(answer) => {
            let status = answer.status();
            // What it says is nobody's; the status is what counts.
            let _ = http_body_util::Limited::new(answer.into_body(), 64 << 10).collect().await;
            Ok(status)
        }
        Err(reason) => Err(reason),
    };
    driving.abort();
    match status? {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answers {status}")),
    }
}

/// A batch in OpenTelemetry's JSON.
fn encode(service: &str, batch: &[Span]) -> Vec<u8> {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let spans: Vec<Value> = batch.iter().map(span).collect();
    let resource = [text("service.name", service), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = json!({"name": "hako.api", "version": env!("CARGO_PKG_VERSION")});
    let all = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]});
    all.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let status = json!({"key": "http.response.status_code", "value": {"intValue": span.status.as_u16().to_string()}});
    let failed = span.status.is_server_error();
    json!({
        "traceId": span.trace,
        "spanId": random(8),
        "parentSpanId": span.parent,
        "name": span.name,
        // A server's.
        "kind": 2,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": [text("http.request.method", &span.method), text("url.path", &span.path), status],
        "status": if failed { json!({"code": 2}) } else { json!({}) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Collector::from_environment(variable)
    }

    #[test]
    fn the_environment_names_a_collector() {
        assert_eq!(collector(&[]), Ok(None));
        let found = collector(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret, broken"),
            ("OTEL_SERVICE_NAME", "mine"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!((found.path.as_str(), found.service.as_str(), found.headers.len()), ("/v1/traces", "mine", 1));
        let own = collector(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1]:9/spans")]).unwrap().unwrap();
        assert_eq!((own.path.as_str(), own.address.port()), ("/spans", 9));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(collector(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(collector(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        for (variables, reason) in [
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://far:4318")][..], "only http:// is spoken"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://no.such.host.invalid:1")], "neither an address nor a name"),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "gRPC is not spoken"),
        ] {
            assert!(collector(variables).unwrap_err().contains(reason));
        }
    }

    #[test]
    fn a_clients_trace_goes_on() {
        let mut headers = HeaderMap::new();
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        headers.insert("traceparent", format!("00-{trace}-{parent}-01").parse().unwrap());
        assert_eq!(context(&headers), Some((trace.to_owned(), parent.to_owned())));
        for broken in ["", "00", "00-x-y-01", "00-0af7-b7ad-01"] {
            headers.insert("traceparent", broken.parse().unwrap());
            assert_eq!(context(&headers), None, "{broken}");
        }
    }
}
