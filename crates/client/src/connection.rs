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
use crate::request::{Said, full};
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
        let again = copy_of(&request);
        let safe = request.method().is_safe();
        let outcome = match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(_) if origin == Origin::Started => return Err(Error::Died { said: self.last_words() }),
            Err(mut refused) => match refused.take_message().or_else(|| {
                let unread = self.is_local() && was_unread(refused.error());
                again.filter(|_| safe || unread)
            }) {
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

    fn is_local(&self) -> bool {
        !matches!(self.endpoint, Endpoint::Tcp { .. })
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

/// Whether the daemon closed the connection without having read all that was sent: that, and only that, resets a
/// connection of a unix socket; or before all was sent. Then it did nothing of what was asked, even if that would have
/// changed something.
fn was_unread(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let unread = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        if error.downcast_ref::<io::Error>().is_some_and(|error| unread.contains(&error.kind())) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A copy of a request, so that it may be said twice; none if its body is a stream.
fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    let said = request.extensions().get::<Said>()?.0.clone();
    let mut copy = Request::new(full(said));
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// A daemon that leaves closes its door without reading what came last.
    #[tokio::test]
    async fn what_nobody_read_is_said_again_even_if_it_changes_something() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let daemons = tokio::spawn(async move {
            let (leaving, _) = listener.accept().await.unwrap();
            leaving.readable().await.unwrap();
            drop(leaving);
            let (mut next, _) = listener.accept().await.unwrap();
            let mut said = vec![0; 4096];
            let length = next.read(&mut said).await.unwrap();
            next.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&said[..length]).into_owned()
        });
        let pool = Pool::new(Endpoint::Unix(path));
        let body = Bytes::from_static(b"{\"a\":1}");
        let mut request = Request::post("/containers/create").body(full(body.clone())).unwrap();
        request.extensions_mut().insert(Said(body));
        assert_eq!(pool.send(request).await.unwrap().status(), 204);
        let heard = daemons.await.unwrap();
        assert!(heard.starts_with("POST /containers/create") && heard.ends_with("{\"a\":1}"), "{heard}");
    }
}
