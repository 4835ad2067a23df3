//! Writing: blobs (mounted, or sent and resumed) and manifests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hako_model::digest::{Algorithm, Digest};
use hako_model::image::Descriptor;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::repository::{Repository, digest_of, pause};
use crate::session::{Ask, Payload, Sent, Session, location};
use crate::transport::shown;
use crate::{Error, Result};

/// How often an upload is taken up again.
const ATTEMPTS: u32 = 5;
/// A registry hashes a blob before it answers.
const COMMIT_PATIENCE: Duration = Duration::from_secs(600);

/// What came of beginning an upload.
#[derive(Debug)]
pub enum Begun {
    /// The registry took the blob from another of its repositories.
    Mounted,
    /// The blob is to be sent.
    Open(Upload),
}

/// An upload the registry waits for.
#[derive(Debug)]
pub struct Upload {
    at: Uri,
}

impl Repository {
    /// Whether the registry has a blob in this repository.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let path = self.below(&format!("blobs/{digest}"));
        let mut attempts = self.attempts();
        loop {
            let ask = Ask::new(Method::HEAD, attempts.session().uri(&path)?);
            match attempts.session().ask(&ask).await {
                Ok(_) => {
                    attempts.won();
                    return Ok(true);
                }
                Err(error) if error.is_not_found() => {
                    attempts.won();
                    return Ok(false);
                }
                Err(error) => attempts.lost(error)?,
            }
        }
    }

    /// Begins to upload a blob; with `from`, the registry is first asked to take it from that repository.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub async fn begin(&self, digest: &Digest, from: Option<&str>) -> Result<Begun> {
        let mut path = self.below("blobs/uploads/");
        if let Some(from) = from {
            path = format!("{path}?mount={digest}&from={}", utf8_percent_encode(from, NON_ALPHANUMERIC));
        }
        let mut attempts = self.attempts();
        loop {
            let ask = Ask::new(Method::POST, attempts.session().uri(&path)?);
            match attempts.session().ask(&ask).await {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    attempts.won();
                    return Ok(Begun::Mounted);
                }
                Ok(response) => {
                    attempts.won();
                    return Ok(Begun::Open(Upload { at: location(&ask.uri, &response)? }));
                }
                Err(error) => attempts.lost(error)?,
            }
        }
    }

    /// Sends a blob, going on where a broken connection left it.
    ///
    /// # Errors
    /// The registry refuses, or does not answer again and again.
    pub async fn send(&self, upload: Upload, blob: &Descriptor, file: Arc<std::fs::File>, sent: Sent) -> Result<()> {
        let mut upload = upload;
        let mut offset = 0;
        let mut attempt = 1;
        loop {
            let error = match self.send_from(&mut upload, blob, &file, offset, &sent).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let lost = error.is_not_found() || error.status() == Some(416);
            if attempt == ATTEMPTS || !(error.is_passing() || lost) {
                return Err(error);
            }
            tokio::time::sleep(pause(attempt, &error)).await;
            attempt += 1;
            if self.has_blob(&blob.digest).await.unwrap_or(false) {
                return Ok(());
            }
            offset = match self.offset(&mut upload).await {
                Ok(offset) if !lost && offset <= blob.size => offset,
                _ => match self.begin(&blob.digest, None).await? {
                    Begun::Mounted => return Ok(()),
                    Begun::Open(fresh) => {
                        upload = fresh;
                        0
                    }
                },
            };
        }
    }

    /// Sends what is missing and closes the upload.
    async fn send_from(
        &self,
        upload: &mut Upload,
        blob: &Descriptor,
        file: &Arc<std::fs::File>,
        offset: u64,
        sent: &Sent,
    ) -> Result<()> {
        let session = self.attempts().session();
        if offset < blob.size {
            let mut ask = Ask::new(Method::PATCH, upload.at.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            if offset > 0 {
                ask = ask.header(CONTENT_RANGE, text(&format!("{offset}-{}", blob.size - 1), &upload.at)?);
            }
            ask.patience = COMMIT_PATIENCE.max(Duration::from_secs(blob.size >> 15));
            ask.payload = Payload::File { file: file.clone(), offset, end: blob.size, sent: sent.clone() };
            let response = session.ask(&ask).await?;
            upload.at = location(&ask.uri, &response)?;
        }
        self.close(session, upload, &blob.digest).await
    }

    async fn close(&self, session: &Session, upload: &Upload, digest: &Digest) -> Result<()> {
        let separator = if upload.at.query().is_some() { '&' } else { '?' };
        let address =
            format!("{}{separator}digest={}", upload.at, utf8_percent_encode(digest.as_str(), NON_ALPHANUMERIC));
        let uri = address.parse().map_err(|_| broken(&upload.at, "its Location is not an address"))?;
        let mut ask = Ask::new(Method::PUT, uri);
        ask.patience = COMMIT_PATIENCE;
        let response = session.ask(&ask).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            status => Err(broken(&upload.at, &format!("{status} does not end an upload"))),
        }
    }

    /// How much of an upload the registry has.
    async fn offset(&self, upload: &mut Upload) -> Result<u64> {
        let ask = Ask::new(Method::GET, upload.at.clone());
        let response = self.attempts().session().ask(&ask).await?;
        if let Ok(at) = location(&ask.uri, &response) {
            upload.at = at;
        }
        received(&response).ok_or_else(|| broken(&upload.at, "it does not say what was received"))
    }

    /// Puts a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// The registry refuses, for example because a blob is missing.
    pub async fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let mut attempts = self.attempts();
        loop {
            match self.put_at(attempts.session(), name, media_type, bytes).await {
                Ok(()) => {
                    attempts.won();
                    return Ok(digest_of(Algorithm::Sha256, bytes));
                }
                Err(error) => attempts.lost(error)?,
            }
        }
    }

    async fn put_at(&self, session: &Session, name: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let uri = session.uri(&self.below(&format!("manifests/{name}")))?;
        let mut ask = Ask::new(Method::PUT, uri.clone()).header(CONTENT_TYPE, text(media_type, &uri)?);
        ask.payload = Payload::Bytes(Bytes::copy_from_slice(bytes));
        let mut attempt = 1;
        loop {
            match session.ask(&ask).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_passing() && !error.is_unreachable() && attempt < ATTEMPTS => {
                    tokio::time::sleep(pause(attempt, &error)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The number of bytes in `Range: 0-N`; an upload with nothing in it says `0-0` or nothing.
fn received(response: &Response<Incoming>) -> Option<u64> {
    let Some(range) = response.headers().get(RANGE) else { return Some(0) };
    let (_, last) = range.to_str().ok()?.rsplit_once('-')?;
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

fn text(value: &str, uri: &Uri) -> Result<HeaderValue> {
    HeaderValue::from_str(value).map_err(|error| broken(uri, &error.to_string()))
}

fn broken(uri: &Uri, reason: &str) -> Error {
    Error::Protocol { url: shown(uri), reason: reason.to_owned() }
}
