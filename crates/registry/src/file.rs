//! A file from anywhere on the web (`import URL`). Nobody's credentials go with the request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LAST_MODIFIED};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;

use crate::session::location;
use crate::transport::{Transports, next_piece, read_all, shown};
use crate::{Error, Result};

/// How many redirects are followed.
const REDIRECTS: usize = 10;
/// How long the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a refusal is told.
const TOLD: u64 = 64 << 10;

/// A file on its way in.
pub struct File {
    body: Incoming,
    url: String,
    length: Option<u64>,
    modified: Option<String>,
}

impl File {
    pub(crate) async fn open(transports: &Transports, url: &str) -> Result<Self> {
        let refused = |reason: &str| Error::Setting { what: format!("address {url:?}"), reason: reason.to_owned() };
        let mut uri: Uri = url.parse().map_err(|_| refused("it cannot be understood"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refused("want http:// or https://"));
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(refused("want a host without a user's name"));
        }
        for _ in 0..=REDIRECTS {
            let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let request = Request::get(&uri).body(body).map_err(|error| refused(&error.to_string()))?;
            let response = transports.send(request, PATIENCE).await?;
            if response.status().is_redirection() {
                uri = location(&uri, &response)?;
                continue;
            }
            let status = response.status();
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            let modified =
                response.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let mut file = Self { body: response.into_body(), url: shown(&uri), length, modified };
            if status.is_success() {
                return Ok(file);
            }
            let message = read_all(&mut file.body, &file.url, TOLD).await.unwrap_or_default();
            return Err(Error::Fetch {
                url: file.url,
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default().to_owned(),
                message: String::from_utf8_lossy(&message).trim().to_owned(),
            });
        }
        Err(Error::Protocol { url: url.to_owned(), reason: format!("more than {REDIRECTS} redirects") })
    }

    /// How long it is, when that was said.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// When it was last changed, as the server wrote it.
    pub fn modified(&self) -> Option<&str> {
        self.modified.as_deref()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        next_piece(&mut self.body, &self.url).await
    }
}
