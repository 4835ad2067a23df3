//! Requests to one endpoint under one identity: authorization, redirects, and what may be told to whom.
//! Credentials and tokens are for the endpoint's scheme, host and port, and for the token server it names; a redirect
//! to anywhere else carries none.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::{Mutex, mpsc};

use crate::challenge::{self, Challenge};
use crate::credentials::Credential;
use crate::settings::Endpoint;
use crate::token::{self, Token, Wish};
use crate::transport::{Body, Transports, shown};
use crate::{Error, Result, refusal};

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How much of a file is read at a time for sending.
const PIECE: usize = 512 << 10;
/// How long the head of an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Told how many bytes of an upload are on their way.
pub type Sent = Arc<dyn Fn(u64) + Send + Sync>;

/// A body that can be sent again.
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    /// A file from an offset to a length.
    File {
        file: Arc<std::fs::File>,
        offset: u64,
        end: u64,
        sent: Sent,
    },
}

/// A request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) payload: Payload,
    pub(crate) patience: Duration,
}

impl Ask {
    pub(crate) fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: Vec::new(), payload: Payload::Empty, patience: PATIENCE }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn request(&self, uri: &Uri, authorization: Option<&HeaderValue>) -> Result<Request<Body>> {
        let mut request = Request::builder().method(self.method.clone()).uri(uri.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(length) = self.payload.length(&self.method) {
            request = request.header(CONTENT_LENGTH, length);
        }
        let body = self.payload.body();
        request.body(body).map_err(|error| Error::Protocol { url: shown(uri), reason: error.to_string() })
    }
}

impl Payload {
    fn length(&self, method: &Method) -> Option<u64> {
        match self {
            Self::Empty => (method != Method::GET && method != Method::HEAD).then_some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File { offset, end, .. } => Some(end - offset),
        }
    }

    fn body(&self) -> Body {
        match self {
            Self::Empty => whole(Bytes::new()),
            Self::Bytes(bytes) => whole(bytes.clone()),
            Self::File { file, offset, end, sent } => file_body(file.clone(), *offset, *end, sent.clone()),
        }
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body read by a blocking thread, which ends when the request is dropped.
fn file_body(file: Arc<std::fs::File>, offset: u64, end: u64, sent: Sent) -> Body {
    let (send, mut pieces) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut at = offset;
        while at < end {
            let mut piece = vec![0; PIECE.min(usize::try_from(end - at).unwrap_or(PIECE))];
            let outcome = file.read_exact_at(&mut piece, at);
            at += piece.len() as u64;
            let failed = outcome.is_err();
            if send.blocking_send(outcome.map(|()| piece.into())).is_err() || failed {
                return;
            }
        }
    });
    let mut told = offset;
    let frames = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| {
            let piece = piece?;
            if let Ok(bytes) = &piece {
                told += bytes.len() as u64;
                sent(told);
            }
            Some(piece.map(Frame::data))
        })
    });
    StreamBody::new(frames).boxed_unsync()
}

/// One endpoint under one identity.
pub(crate) struct Session {
    transports: Arc<Transports>,
    pub(crate) endpoint: Endpoint,
    credential: Option<Credential>,
    scopes: Vec<String>,
    /// What is sent along; renewed under the lock, so that many requests refused at once ask for one token.
    grant: Mutex<Option<Grant>>,
}

#[derive(Clone)]
struct Grant {
    header: HeaderValue,
    until: Option<Instant>,
}

impl Session {
    pub(crate) fn new(
        transports: Arc<Transports>,
        endpoint: Endpoint,
        credential: Option<Credential>,
        scopes: Vec<String>,
    ) -> Self {
        let credential = credential.filter(|_| !endpoint.mirror);
        Self { transports, endpoint, credential, scopes, grant: Mutex::new(None) }
    }

    /// Remembers that the endpoint answered.
    pub(crate) fn learn(&self) {
        self.transports.learn(&self.endpoint);
    }

    /// An address below the endpoint; `path` begins with a slash.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri> {
        let text = format!("{}{path}", self.endpoint.origin());
        text.parse().map_err(|error: http::uri::InvalidUri| Error::Protocol { url: text, reason: error.to_string() })
    }

    /// Sends a request, doing what the registry wants to see first. Answers of 400 and more are errors.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Response<Incoming>> {
        let grant = self.granted().await?;
        let response = self.follow(ask, grant.as_ref()).await?;
        if !self.is_own_challenge(&response) {
            return accepted(response, &ask.uri).await;
        }
        let Some(renewed) = self.renew(&response, grant.as_ref(), false).await?.0 else {
            return Err(refusal::read(response, &ask.uri).await);
        };
        let response = self.follow(ask, Some(&renewed)).await?;
        accepted(response, &ask.uri).await
    }

    /// Shows credentials to the registry; gives the identity token when there is one.
    pub(crate) async fn login(&self) -> Result<String> {
        let ask = Ask::new(Method::GET, self.uri("/v2/")?);
        let response = self.follow(&ask, None).await?;
        if !self.is_own_challenge(&response) {
            return accepted(response, &ask.uri).await.map(|_| String::new());
        }
        let (renewed, identity) = self.renew(&response, None, true).await?;
        let Some(renewed) = renewed else { return Err(refusal::read(response, &ask.uri).await) };
        let response = self.follow(&ask, Some(&renewed)).await?;
        accepted(response, &ask.uri).await.map(|_| identity)
    }

    /// What may be sent along without being asked: what worked before, or a token the caller brought.
    async fn granted(&self) -> Result<Option<HeaderValue>> {
        let mut grant = self.grant.lock().await;
        if grant.as_ref().is_some_and(|grant| grant.until.is_some_and(|until| until <= Instant::now())) {
            *grant = None;
        }
        if grant.is_none()
            && let Some(credential) = &self.credential
            && !credential.registrytoken.is_empty()
        {
            let header = token::secret_header("Bearer", &credential.registrytoken)?;
            *grant = Some(Grant { header, until: None });
        }
        Ok(grant.as_ref().map(|grant| grant.header.clone()))
    }

    /// Gets what a 401 asks for. `None`: there is nothing (else) to show. The second part is an identity token.
    async fn renew(
        &self,
        response: &Response<Incoming>,
        refused: Option<&HeaderValue>,
        offline: bool,
    ) -> Result<(Option<HeaderValue>, String)> {
        let mut grant = self.grant.lock().await;
        if let Some(newer) = grant.as_ref().filter(|grant| Some(&grant.header) != refused) {
            return Ok((Some(newer.header.clone()), String::new()));
        }
        *grant = None;
        let Some((fresh, identity)) = self.answer(&challenges(response), offline).await? else {
            return Ok((None, String::new()));
        };
        if Some(&fresh.header) == refused {
            return Ok((None, String::new()));
        }
        *grant = Some(fresh.clone());
        Ok((Some(fresh.header), identity))
    }

    async fn answer(&self, challenges: &[Challenge], offline: bool) -> Result<Option<(Grant, String)>> {
        for challenge in challenges {
            match (challenge, &self.credential) {
                (Challenge::Bearer { realm, service, scope }, _) => {
                    let scopes = self.scopes_with(scope.as_deref());
                    let wish = Wish {
                        realm,
                        service: service.as_deref(),
                        scopes: &scopes,
                        credential: self.credential.as_ref(),
                        offline,
                        insecure: self.endpoint.any_certificate || self.endpoint.scheme == "http",
                    };
                    let Token { header, until, identity } = token::fetch(&self.transports, &wish).await?;
                    return Ok(Some((Grant { header, until }, identity)));
                }
                (Challenge::Basic, Some(credential)) if !credential.username.is_empty() => {
                    return Ok(Some((Grant { header: token::basic(credential)?, until: None }, String::new())));
                }
                (Challenge::Basic, _) => {}
            }
        }
        Ok(None)
    }

    fn scopes_with(&self, asked: Option<&str>) -> Vec<String> {
        let mut scopes = self.scopes.clone();
        if let Some(asked) = asked
            && !scopes.iter().any(|scope| scope == asked)
        {
            scopes.push(asked.to_owned());
        }
        scopes
    }

    /// Whether the endpoint itself wants credentials. What somebody it redirected to wants is not answered: whoever
    /// can place a redirect could ask for the credentials of the registry that way.
    fn is_own_challenge(&self, response: &Response<Incoming>) -> bool {
        let from = response.extensions().get::<CameFrom>();
        response.status() == StatusCode::UNAUTHORIZED && from.is_some_and(|from| from.0 == self.endpoint.origin())
    }

    /// Sends a request and follows redirects of reading ones.
    async fn follow(&self, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Response<Incoming>> {
        let home = origin(&ask.uri);
        let mut uri = ask.uri.clone();
        // An upload may have been sent elsewhere: then it goes without credentials.
        let at_home = |uri: &Uri| origin(uri) == home && home == self.endpoint.origin();
        for _ in 0..=REDIRECTS {
            let authorization = authorization.filter(|_| at_home(&uri));
            let mut response = self.transports.send(ask.request(&uri, authorization)?, ask.patience).await?;
            response.extensions_mut().insert(CameFrom(origin(&uri)));
            let reading = ask.method == Method::GET || ask.method == Method::HEAD;
            if !reading || !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            uri = location(&uri, &response)?;
        }
        Err(Error::Protocol { url: shown(&ask.uri), reason: format!("more than {REDIRECTS} redirects") })
    }
}

/// The origin an answer came from, redirects followed.
#[derive(Clone)]
struct CameFrom(String);

async fn accepted(response: Response<Incoming>, uri: &Uri) -> Result<Response<Incoming>> {
    if response.status().is_client_error() || response.status().is_server_error() {
        return Err(refusal::read(response, uri).await);
    }
    Ok(response)
}

fn challenges(response: &Response<Incoming>) -> Vec<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    headers.iter().filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect()
}

/// `scheme://host[:port]`.
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    format!("{scheme}://{authority}")
}

/// Where an answer points to, seen from where it came from.
pub(crate) fn location(from: &Uri, response: &Response<Incoming>) -> Result<Uri> {
    let refused = |reason: &str| Error::Protocol { url: shown(from), reason: reason.to_owned() };
    let header = response.headers().get(LOCATION).ok_or_else(|| refused("there is no Location in it"))?;
    let text = header.to_str().map_err(|_| refused("its Location is not an address"))?;
    let whole =
        if text.starts_with('/') && !text.starts_with("//") { format!("{}{text}", origin(from)) } else { text.into() };
    let uri: Uri = whole.parse().map_err(|_| refused("its Location is not an address"))?;
    let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match (from.scheme_str(), uri.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) if named => Ok(uri),
        _ => Err(refused("its Location leads to a less private address")),
    }
}
