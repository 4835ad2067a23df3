//! HTTP to anywhere: one pooled client per kind of trust. Leaves out who one is; that is the session's affair.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::dial::Dial;
use crate::error::{Stage, in_words};
use crate::settings::{Endpoint, Settings};
use crate::{Error, Result, trust};

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

type Http = Client<HttpsConnector<Dial>, Body>;

/// How large hyper's buffer may grow: large reads keep a fast network from being bound by wake-ups.
const READ_BUFFER: usize = 1 << 20;
/// How long a connection nobody uses is kept.
const IDLE: Duration = Duration::from_secs(20);
/// How long one may wait for the next piece of a body.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Which HTTP client serves: those of one kind share connections and certificates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Verified,
    Unverified,
    Configured(String),
}

/// The HTTP clients, and what was learned about hosts.
pub(crate) struct Transports {
    pub(crate) settings: Settings,
    dial: Dial,
    clients: Mutex<HashMap<Kind, Http>>,
    /// Hosts that may be plain http and turned out to be.
    plain: Mutex<HashSet<String>>,
}

impl Transports {
    pub(crate) fn new(settings: Settings) -> Self {
        let dial = Dial::new(Arc::new(proxies(&settings)));
        Self { settings, dial, clients: Mutex::default(), plain: Mutex::default() }
    }

    /// Whether this host is known not to speak TLS.
    pub(crate) fn is_plain(&self, authority: &str) -> bool {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).contains(authority)
    }

    /// Remembers which scheme a host answered to.
    pub(crate) fn learn(&self, endpoint: &Endpoint) {
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if endpoint.scheme == "http" {
            plain.insert(endpoint.authority.clone());
        } else {
            plain.remove(&endpoint.authority);
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&self, mut request: Request<Body>, patience: Duration) -> Result<Response<Incoming>> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let client = self.client(&uri)?;
        self.introduce(&mut request)?;
        let answer = tokio::time::timeout(patience, client.request(request)).await;
        let reach = |stage, cause| Error::Reach { method: name_of(&method), url: shown(&uri), stage, cause };
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let stage = if error.is_connect() { Stage::Connect } else { Stage::Talk };
                Err(reach(stage, causes(&error)))
            }
            Err(_) => Err(reach(Stage::Talk, format!("no answer within {} seconds", patience.as_secs()))),
        }
    }

    /// Adds what every request carries, and what the proxy on its way wants.
    fn introduce(&self, request: &mut Request<Body>) -> Result<()> {
        let agent = HeaderValue::from_str(&self.settings.user_agent)
            .map_err(|error| Error::Setting { what: "user agent".to_owned(), reason: error.to_string() })?;
        request.headers_mut().insert(USER_AGENT, agent);
        // Of a tunnelled request the proxy sees nothing; CONNECT carries its credentials.
        if request.uri().scheme_str() == Some("http")
            && let Some(proxy) = self.dial.intercept(request.uri())
            && let Some(auth) = proxy.basic_auth()
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
        }
        Ok(())
    }

    fn client(&self, uri: &Uri) -> Result<Http> {
        let endpoint = self.endpoint(uri);
        let kind = self.kind(&endpoint);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = http_client(trust::configuration(&endpoint, &self.settings.certs)?, self.dial.clone());
        clients.insert(kind, client.clone());
        Ok(client)
    }

    fn endpoint(&self, uri: &Uri) -> Endpoint {
        let authority = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let https = uri.scheme_str() == Some("https");
        // Plain http needs no roots; reading them costs milliseconds and megabytes.
        let any_certificate = !https || self.settings.is_insecure(&authority);
        Endpoint { scheme: if https { "https" } else { "http" }, authority, any_certificate, mirror: false }
    }

    fn kind(&self, endpoint: &Endpoint) -> Kind {
        if endpoint.scheme == "https" && self.settings.certs.join(&endpoint.authority).is_dir() {
            return Kind::Configured(endpoint.authority.clone());
        }
        if endpoint.any_certificate { Kind::Unverified } else { Kind::Verified }
    }
}

fn http_client(tls: rustls::ClientConfig, dial: Dial) -> Http {
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(dial);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(READ_BUFFER)
        .build(connector)
}

fn proxies(settings: &Settings) -> Matcher {
    let configured = |key: &str, names: [&str; 2]| {
        let own = settings.proxies.get(key).cloned();
        own.or_else(|| names.iter().find_map(|name| std::env::var(name).ok())).unwrap_or_default()
    };
    let all = configured("all-proxy", ["all_proxy", "ALL_PROXY"]);
    Matcher::builder()
        .all(all)
        .http(configured("http-proxy", ["http_proxy", "HTTP_PROXY"]))
        .https(configured("https-proxy", ["https_proxy", "HTTPS_PROXY"]))
        .no(configured("no-proxy", ["no_proxy", "NO_PROXY"]))
        .build()
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_all(body: &mut Incoming, url: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(body, url).await? {
        if bytes.len() as u64 + piece.len() as u64 > limit {
            return Err(Error::TooLarge { url: url.to_owned(), limit });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_piece(body: &mut Incoming, url: &str) -> Result<Option<Bytes>> {
    let broken = |cause| Error::Reach { method: "Get", url: url.to_owned(), stage: Stage::Talk, cause };
    loop {
        match tokio::time::timeout(BODY_PATIENCE, body.frame()).await {
            Err(_) => return Err(broken(format!("nothing came for {} seconds", BODY_PATIENCE.as_secs()))),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(broken(causes(&error))),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// An address without what may be secret in it: the query of a signed redirect is as good as a password.
pub(crate) fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or_default(), uri.path())
}

/// Go's way to write the method in such messages.
fn name_of(method: &http::Method) -> &'static str {
    match method.as_str() {
        "HEAD" => "Head",
        "POST" => "Post",
        "PUT" => "Put",
        "PATCH" => "Patch",
        _ => "Get",
    }
}

/// An error's innermost reasons; hyper's own words say only "client error (Connect)".
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = in_words(&cause.to_string());
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
