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
use crate::socket::Socket;
use crate::{Error, Result, daemon};

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

type Sender = SendRequest<Body>;

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
        let (mut sender, fresh) = match self.idle() {
            Some(sender) => (sender, false),
            None => (self.open().await?, true),
        };
        let outcome = match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut refused) => match refused.take_message() {
                // The daemon left between two requests, before it saw this one: say it again to the next daemon.
                Some(unsent) => {
                    sender = self.reopen(fresh).await?;
                    sender.send_request(unsent).await
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

    async fn open(&self) -> Result<Sender> {
        let socket = match Socket::connect(&self.endpoint).await {
            Ok(socket) => socket,
            Err(cause) => self.knock(cause).await?,
        };
        self.shake_hands(socket).await
    }

    /// A second try after a lost connection. A daemon that ended while it was being started has said why in its log.
    async fn reopen(&self, fresh: bool) -> Result<Sender> {
        match &self.endpoint {
            Endpoint::Own(roots) if fresh => match Socket::connect(&self.endpoint).await {
                Ok(socket) => self.shake_hands(socket).await,
                Err(_) => Err(Error::Died { said: daemon::last_words(roots) }),
            },
            _ => self.open().await,
        }
    }

    /// Nobody listens: starts a daemon if the socket is hako's own.
    async fn knock(&self, cause: io::Error) -> Result<Socket> {
        let absent = matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        let unreachable = |cause| Error::Unreachable { endpoint: self.endpoint.to_string(), cause };
        match &self.endpoint {
            Endpoint::Own(roots) if absent => {
                daemon::start(roots)?;
                Socket::connect(&self.endpoint).await.map_err(unreachable)
            }
            _ => Err(unreachable(cause)),
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

/// hyper's error with its cause, which it keeps to itself.
pub(crate) fn explain(cause: &hyper::Error) -> String {
    match std::error::Error::source(cause) {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    }
}
