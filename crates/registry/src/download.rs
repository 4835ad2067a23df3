//! A blob on its way in, in pieces, across broken connections. Leaves out where it goes and whether it is right.

use bytes::Bytes;
use hako_model::image::Descriptor;
use http::header::{CONTENT_LENGTH, RANGE};
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Incoming;

use crate::error::Stage;
use crate::repository::{Repository, pause};
use crate::session::{Ask, Session};
use crate::transport::{next_piece, shown};
use crate::{Error, Result};

/// How often in a row nothing may come.
const ATTEMPTS: u32 = 6;

/// A blob on its way in. Connections that break are made again from where they broke.
pub struct Download {
    repository: Repository,
    descriptor: Descriptor,
    offset: u64,
    stream: Option<Stream>,
    failures: u32,
    retries: u32,
}

struct Stream {
    body: Incoming,
    url: String,
    /// Bytes to pass over, when the server began at 0 although it was asked not to.
    skip: u64,
}

impl Download {
    pub(crate) fn new(repository: Repository, descriptor: Descriptor, offset: u64) -> Self {
        Self { repository, descriptor, offset, stream: None, failures: 0, retries: 0 }
    }

    /// How many bytes of the blob are here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How often a connection had to be made again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// The next piece; `None` when all bytes are here.
    ///
    /// # Errors
    /// The registry refuses, or does not answer again and again.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.offset < self.descriptor.size {
            match self.step().await {
                Ok(Some(piece)) => {
                    self.failures = 0;
                    return Ok(Some(piece));
                }
                Ok(None) => {}
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(None)
    }

    /// One piece, or one that was to be passed over.
    async fn step(&mut self) -> Result<Option<Bytes>> {
        if self.stream.is_none() {
            self.stream = Some(self.begin().await?);
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some(mut piece) = next_piece(&mut stream.body, &stream.url).await? else {
            let cause = format!("it ended after {} of {} bytes", self.offset, self.descriptor.size);
            return Err(Error::Reach { method: "Get", url: stream.url.clone(), stage: Stage::Talk, cause });
        };
        let pass = stream.skip.min(piece.len() as u64);
        stream.skip -= pass;
        piece = piece.slice(usize::try_from(pass).unwrap_or(piece.len())..);
        self.offset += piece.len() as u64;
        if self.offset > self.descriptor.size {
            let reason = format!("the blob is longer than the {} bytes promised", self.descriptor.size);
            return Err(Error::Protocol { url: stream.url.clone(), reason });
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    async fn recover(&mut self, error: Error) -> Result<()> {
        self.stream = None;
        self.failures += 1;
        // Somebody who never answered once will not do so in a second either.
        let hopeless = self.offset == 0 && self.retries == 0 && error.is_unreachable();
        if !error.is_passing() || hopeless || self.failures >= ATTEMPTS {
            return Err(error);
        }
        self.retries += 1;
        tracing::debug!(digest = %self.descriptor.digest, offset = self.offset, %error, "download goes on");
        tokio::time::sleep(pause(self.failures, &error)).await;
        Ok(())
    }

    async fn begin(&self) -> Result<Stream> {
        let path = self.repository.below(&format!("blobs/{}", self.descriptor.digest));
        let mut attempts = self.repository.attempts();
        loop {
            match self.request(attempts.session(), &path).await {
                Ok(stream) => {
                    attempts.won();
                    return Ok(stream);
                }
                Err(error) => attempts.lost(error).map_err(|error| self.foreign(error))?,
            }
        }
    }

    async fn request(&self, session: &Session, path: &str) -> Result<Stream> {
        let uri = session.uri(path)?;
        let url = shown(&uri);
        let mut ask = Ask::new(Method::GET, uri);
        if self.offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.offset))
                .map_err(|error| Error::Protocol { url: url.clone(), reason: error.to_string() })?;
            ask = ask.header(RANGE, range);
        }
        let response = session.ask(&ask).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let skip = if partial { 0 } else { self.offset };
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length != self.descriptor.size - self.offset + skip) {
            let reason = format!("the blob is not the {} bytes long that were promised", self.descriptor.size);
            return Err(Error::Protocol { url, reason });
        }
        Ok(Stream { body: response.into_body(), url, skip })
    }

    /// Layers that only their owner may distribute are elsewhere, and elsewhere hako does not go: the address comes
    /// from the manifest's author, not from the person who pulls.
    fn foreign(&self, error: Error) -> Error {
        if !error.is_not_found() || self.descriptor.urls.is_empty() {
            return error;
        }
        let reason =
            "the registry does not have this layer; its manifest points to foreign addresses, which are not followed";
        Error::Protocol { url: self.descriptor.digest.to_string(), reason: reason.to_owned() }
    }
}
