//! Answers and bodies that arrive bit by bit: bytes, JSON messages, and hijacked connections.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hako_api::version::MULTIPLEXED_STREAM;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::connection::{Body, explain};
use crate::socket::Socket;
use crate::{Error, Result};

/// How much of an upload is read at a time.
const CHUNK: usize = 256 << 10;

/// The longest JSON message that is accepted.
const MESSAGE_LIMIT: usize = 16 << 20;

/// The body of a request that is sent bit by bit.
pub type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An upload of all that a reader gives.
pub fn upload(reader: impl AsyncRead + Send + Unpin + 'static) -> Upload {
    Box::pin(stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = reader.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), reader)))
    }))
}

/// An upload of bytes at hand.
#[must_use]
pub fn upload_bytes(bytes: Bytes) -> Upload {
    Box::pin(stream::once(async move { Ok(bytes) }))
}

/// An upload that begins with bytes at hand.
pub(crate) fn behind(head: Vec<u8>, rest: Option<Upload>) -> Upload {
    let head = upload_bytes(Bytes::from(head));
    match rest {
        Some(rest) => Box::pin(head.chain(rest)),
        None => head,
    }
}

pub(crate) fn body(upload: Upload) -> Body {
    StreamBody::new(upload.map_ok(Frame::data)).boxed_unsync()
}

/// The bytes of an answer as they arrive.
#[derive(Debug)]
pub struct ByteStream {
    request: String,
    headers: HeaderMap,
    body: BodyDataStream<Incoming>,
}

impl ByteStream {
    pub(crate) fn new(request: String, response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { request, headers: head.headers, body: body.into_data_stream() }
    }

    /// The answer's headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the bytes are framed by stream (as the content type says).
    #[must_use]
    pub fn is_multiplexed(&self) -> bool {
        is_multiplexed(&self.headers)
    }

    /// All that is left of it.
    ///
    /// # Errors
    /// [`Error::Lost`] when the connection breaks.
    pub async fn collect(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let chunk = std::task::ready!(self.body.poll_next_unpin(cx));
        let lost = |cause| Error::Lost { request: self.request.clone(), cause: explain(&cause) };
        Poll::Ready(chunk.map(|outcome| outcome.map_err(lost)))
    }
}

fn is_multiplexed(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind == MULTIPLEXED_STREAM)
}

/// JSON messages, one after the other, as they arrive.
#[derive(Debug)]
pub struct JsonStream<T> {
    bytes: ByteStream,
    buffer: BytesMut,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonStream<T> {
    pub(crate) fn new(bytes: ByteStream) -> Self {
        Self { bytes, buffer: BytesMut::new(), kind: PhantomData }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Lost`] when the connection breaks, [`Error::Malformed`] when it is no message.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            match take_message(&mut self.buffer) {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(cause) => return Err(self.malformed(cause.to_string())),
            }
            match self.bytes.next().await.transpose()? {
                Some(_) if self.buffer.len() > MESSAGE_LIMIT => return Err(self.malformed("message too long".into())),
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(self.malformed("it ends within a message".into())),
            }
        }
    }

    fn malformed(&self, cause: String) -> Error {
        Error::Malformed { request: self.bytes.request.clone(), cause }
    }
}

/// Takes one whole message off the front; `None` when there is none yet.
fn take_message<T: DeserializeOwned>(buffer: &mut BytesMut) -> serde_json::Result<Option<T>> {
    let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    buffer.advance(blank);
    let mut messages = serde_json::Deserializer::from_slice(buffer).into_iter::<T>();
    match messages.next() {
        Some(Ok(message)) => {
            let used = messages.byte_offset();
            buffer.advance(used);
            Ok(Some(message))
        }
        Some(Err(cause)) if cause.is_eof() => Ok(None),
        Some(Err(cause)) => Err(cause),
        None => Ok(None),
    }
}

/// A connection that carries a container's streams after the answer's head.
#[derive(Debug)]
pub struct Hijacked {
    /// The connection.
    pub socket: Socket,
    /// What arrived with the head and comes before what the socket gives.
    pub leftover: Bytes,
    /// Whether what arrives is framed by stream.
    pub multiplexed: bool,
}

impl Hijacked {
    pub(crate) async fn take(request: String, response: Response<Incoming>) -> Result<Self> {
        let lost = |cause: String| Error::Lost { request: request.clone(), cause };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(lost(format!("the daemon did not switch protocols: {}", response.status())));
        }
        let multiplexed = is_multiplexed(response.headers());
        let upgraded = hyper::upgrade::on(response).await.map_err(|cause| lost(explain(&cause)))?;
        let foreign = |_| lost("the connection is not a socket".to_owned());
        let parts = upgraded.downcast::<TokioIo<Socket>>().map_err(foreign)?;
        let socket = plain(parts.io.into_inner()).map_err(|cause| lost(cause.to_string()))?;
        Ok(Self { socket, leftover: parts.read_buf, multiplexed })
    }
}

/// A socket that both ends of a relay can hold: what is spoken through TLS or ssh is carried on to one.
fn plain(socket: Socket) -> io::Result<Socket> {
    let mut far = match socket {
        Socket::Unix(_) | Socket::Tcp(_) => return Ok(socket),
        far => far,
    };
    let (mut theirs, ours) = tokio::net::UnixStream::pair()?;
    tokio::spawn(async move {
        // An end is an end: whoever reads sees it.
        let _ = tokio::io::copy_bidirectional(&mut far, &mut theirs).await;
    });
    Ok(Socket::Unix(ours))
}

/// Reads what was left over, then the socket.
impl AsyncRead for Hijacked {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.leftover.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        let piece = this.leftover.split_to(this.leftover.len().min(buffer.remaining()));
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hijacked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use hako_api::progress::Progress;

    use super::*;

    #[test]
    fn messages_may_come_in_any_pieces() {
        let text = b"{\"status\":\"a\"}\r\n{\"status\":\"b\"}{\"status\":\"c\"}\n";
        for size in 1..=text.len() {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in text.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(message) = take_message::<Progress>(&mut buffer).unwrap() {
                    found.push(message.status);
                }
            }
            assert_eq!(found, ["a", "b", "c"], "pieces of {size}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(take_message::<Progress>(&mut BytesMut::from("<html>")).is_err());
    }
}
