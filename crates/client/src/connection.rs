//! Connections: kept for the next request while idle, opened anew while all are busy.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use crate::endpoint::Endpoint;
use crate::request::full;
use crate::socket::Socket;
use crate::{Error, Result, daemon};

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

type Sender = SendRequest<Body>;

/// Where a connection came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Somebody listened.
    Found,
    /// Nobody did, and this process started the daemon. One that does not answer has not come up.
    Started,
}

/// The connections to one daemon.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoint: Endpoint,
    senders: Mutex<Vec<Sender>>,
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, senders: Mutex::new(Vec::new()) }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let (mut sender, origin) = match self.idle() {
            Some(sender) => (sender, Origin::Found),
            None => self.open().await?,
        };
        let again = repeatable(&request);
        let outcome = match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(_) if origin == Origin::Started => return Err(Error::Died { said: self.last_words() }),
            Err(mut refused) => match refused.take_message().or(again) {
                // The daemon left just now, and this request can be said once more: to the next daemon.
                Some(request) => {
                    sender = self.open().await?.0;
                    sender.send_request(request).await
                }
                None => Err(refused.into_error()),
            },
        };
        let response = outcome.map_err(|cause| Error::Lost { request: name, cause: explain(&cause) })?;
        self.keep(sender);
        Ok(response)
    }

    fn idle(&self) -> Option<Sender> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_closed());
        let ready = senders.iter().position(SendRequest::is_ready)?;
        Some(senders.swap_remove(ready))
    }

    fn keep(&self, sender: Sender) {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    }

    async fn open(&self) -> Result<(Sender, Origin)> {
        let (socket, origin) = match Socket::connect(&self.endpoint).await {
            Ok(socket) => (socket, Origin::Found),
            Err(cause) => self.knock(cause).await?,
        };
        Ok((self.shake_hands(socket).await?, origin))
    }

    /// Nobody listens: starts a daemon if the socket is hako's own.
    async fn knock(&self, cause: io::Error) -> Result<(Socket, Origin)> {
        let absent = matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        let unreachable = |cause| Error::Unreachable { endpoint: self.endpoint.to_string(), cause };
        match &self.endpoint {
            Endpoint::Own(roots) if absent => {
                let started = daemon::start(roots)?;
                let socket = Socket::connect(&self.endpoint).await.map_err(unreachable)?;
                Ok((socket, if started { Origin::Started } else { Origin::Found }))
            }
            _ => Err(unreachable(cause)),
        }
    }

    fn last_words(&self) -> String {
        match &self.endpoint {
            Endpoint::Own(roots) => daemon::last_words(roots),
            _ => String::new(),
        }
    }

    async fn shake_hands(&self, socket: Socket) -> Result<Sender> {
        let (sender, connection) = handshake(TokioIo::new(socket)).await.map_err(|cause| Error::Unreachable {
            endpoint: self.endpoint.to_string(),
            cause: io::Error::other(cause),
        })?;
        tokio::spawn(async move {
            // Its end is seen by whoever waits for an answer; there is nobody else to tell.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }
}

/// A copy of a request that changes nothing and has no body, so that it may be said twice.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    if !request.method().is_safe() {
        return None;
    }
    let mut copy = Request::new(full(Bytes::new()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// hyper's error with its cause, which it keeps to itself.
pub(crate) fn explain(cause: &hyper::Error) -> String {
    match std::error::Error::source(cause) {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    }
}
