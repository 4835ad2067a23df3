//! One repository of one registry: manifests, blobs, tags.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hako_model::digest::{Algorithm, Digest};
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, ManifestOrIndex, media};
use hako_model::reference::Reference;
use http::header::{ACCEPT, CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};

use crate::credentials::Credential;
use crate::download::Download;
use crate::session::{Ask, Session};
use crate::transport::{Transports, read_all, shown};
use crate::{Error, Result};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The most bytes one page of tags may have.
const PAGE_LIMIT: u64 = 8 << 20;
/// The most tags a repository may have.
const TAG_LIMIT: usize = 200_000;
/// How often a document is asked for when the registry falters.
const ATTEMPTS: u32 = 4;

/// What is going to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Reading only; mirrors serve too.
    Pull,
    /// Writing. Holds further repositories of the same registry whose blobs may be mounted.
    Push {
        /// Their paths.
        sources: Vec<String>,
    },
}

/// One repository of one registry. Cheap to clone; clones share tokens and connections.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    path: String,
    sessions: Vec<Session>,
    /// The endpoint that answered last.
    chosen: AtomicUsize,
}

/// A manifest or index as it was received; its digest is verified.
#[derive(Debug, Clone)]
pub struct Document {
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The type the registry gave it.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
}

impl Document {
    /// Takes it apart.
    ///
    /// # Errors
    /// [`Error::Protocol`] for documents that are no manifests, or two things at once.
    pub fn parse(&self) -> Result<ManifestOrIndex> {
        ManifestOrIndex::parse(&self.bytes, &self.media_type)
            .map_err(|error| Error::Protocol { url: self.digest.to_string(), reason: error.to_string() })
    }

    /// The pointer to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.bytes.len() as u64)
    }
}

/// Walks over the endpoints of a repository until one serves.
pub(crate) struct Attempts<'a> {
    inner: &'a Inner,
    at: usize,
}

impl<'a> Attempts<'a> {
    pub(crate) fn session(&self) -> &'a Session {
        &self.inner.sessions[self.at]
    }

    /// This endpoint served: it comes first from now on.
    pub(crate) fn won(&self) {
        self.inner.chosen.store(self.at, Ordering::Relaxed);
        self.session().learn();
    }

    /// This endpoint failed: on to the next one, or the error is final. A registry's own refusal is final; a mirror's
    /// is not, nor is a host that cannot be reached in one way and perhaps in another.
    pub(crate) fn lost(&mut self, error: Error) -> Result<()> {
        let last = self.at + 1 >= self.inner.sessions.len();
        if last || !(self.session().endpoint.mirror || error.is_unreachable()) {
            return Err(error);
        }
        if self.session().endpoint.mirror {
            tracing::warn!(mirror = self.session().endpoint.authority, %error, "mirror does not serve");
        }
        self.at += 1;
        Ok(())
    }
}

impl Repository {
    pub(crate) fn open(
        transports: &Arc<Transports>,
        reference: &Reference,
        credential: Option<&Credential>,
        access: &Access,
    ) -> Result<Self> {
        let mut endpoints = transports.settings.endpoints(reference.domain(), *access == Access::Pull)?;
        if endpoints.len() > 1 && transports.is_plain(reference.domain()) {
            endpoints.retain(|endpoint| endpoint.mirror || endpoint.scheme == "http");
        }
        let scopes = scopes(reference.path(), access);
        let session = |endpoint| Session::new(transports.clone(), endpoint, credential.cloned(), scopes.clone());
        let sessions = endpoints.into_iter().map(session).collect();
        let inner = Inner { path: reference.path().to_owned(), sessions, chosen: AtomicUsize::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts { inner: &self.inner, at: self.inner.chosen.load(Ordering::Relaxed) }
    }

    /// The path of something in the repository: `/v2/library/nginx/…`.
    pub(crate) fn below(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.inner.path)
    }

    /// The manifest or index under a tag. Its digest is worked out, and compared to what the registry says.
    ///
    /// # Errors
    /// The registry does not have it, cannot be reached, or answers with something else.
    pub async fn tagged(&self, tag: &str) -> Result<Document> {
        self.document(&format!("manifests/{tag}"), None).await
    }

    /// The manifest or index with a digest.
    ///
    /// # Errors
    /// As [`Repository::tagged`]; also when the content is not what the digest says.
    pub async fn manifest(&self, digest: &Digest) -> Result<Document> {
        self.document(&format!("manifests/{digest}"), Some(digest)).await
    }

    async fn document(&self, path: &str, wanted: Option<&Digest>) -> Result<Document> {
        let path = self.below(path);
        let mut attempts = self.attempts();
        loop {
            match patiently_document(attempts.session(), &path, wanted).await {
                Ok(document) => {
                    attempts.won();
                    return Ok(document);
                }
                Err(error) => attempts.lost(error)?,
            }
        }
    }

    /// A small blob, such as a configuration, whole and verified.
    ///
    /// # Errors
    /// As [`Repository::manifest`]; also when it is longer than documents may be.
    pub async fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(Error::TooLarge { url: descriptor.digest.to_string(), limit: DOCUMENT_LIMIT });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or_default());
        let mut download = self.blob(descriptor, 0);
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
        }
        verify(&descriptor.digest.to_string(), &descriptor.digest, &bytes)?;
        Ok(bytes)
    }

    /// A blob from an offset on. The caller verifies it.
    pub fn blob(&self, descriptor: &Descriptor, offset: u64) -> Download {
        Download::new(self.clone(), descriptor.clone(), offset)
    }

    /// All tags, sorted as the registry sorts them.
    ///
    /// # Errors
    /// The registry does not have the repository, cannot be reached, or answers with something else.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let mut attempts = self.attempts();
        loop {
            match all_tags(attempts.session(), &self.below("tags/list?n=1000")).await {
                Ok(tags) => {
                    attempts.won();
                    return Ok(tags);
                }
                Err(error) => attempts.lost(error)?,
            }
        }
    }
}

fn scopes(path: &str, access: &Access) -> Vec<String> {
    match access {
        Access::Pull => vec![format!("repository:{path}:pull")],
        Access::Push { sources } => {
            let own = format!("repository:{path}:pull,push");
            let other =
                sources.iter().filter(|source| *source != path).map(|source| format!("repository:{source}:pull"));
            std::iter::once(own).chain(other).collect()
        }
    }
}

/// Asks again a little later while the registry falters. One that cannot be reached at all is reported at once.
async fn patiently_document(session: &Session, path: &str, wanted: Option<&Digest>) -> Result<Document> {
    let mut attempt = 1;
    loop {
        match read_document(session, path, wanted).await {
            Err(error) if error.is_passing() && !error.is_unreachable() && attempt < ATTEMPTS => {
                tokio::time::sleep(pause(attempt, &error)).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// How long to wait before the next attempt: what the registry says, or longer each time.
pub(crate) fn pause(attempt: u32, error: &Error) -> Duration {
    if let Error::Refused { retry_after: Some(seconds), .. } = error {
        return Duration::from_secs((*seconds).min(30));
    }
    Duration::from_millis(200 << (2 * attempt.min(4) - 2).min(6))
}

async fn read_document(session: &Session, path: &str, wanted: Option<&Digest>) -> Result<Document> {
    let uri = session.uri(path)?;
    let url = shown(&uri);
    let accept = HeaderValue::from_str(&media::ACCEPTED.join(", "))
        .map_err(|error| Error::Protocol { url: url.clone(), reason: error.to_string() })?;
    let mut response = session.ask(&Ask::new(Method::GET, uri).header(ACCEPT, accept)).await?;
    let bytes = read_all(response.body_mut(), &url, DOCUMENT_LIMIT).await?;
    let told = header(&response, &CONTENT_DIGEST).and_then(|text| Digest::parse(text).ok());
    let digest = match wanted.or(told.as_ref()) {
        Some(expected) => verify(&url, expected, &bytes)?,
        None => digest_of(Algorithm::Sha256, &bytes),
    };
    let media_type = header(&response, &CONTENT_TYPE).and_then(|text| text.split(';').next()).unwrap_or_default();
    Ok(Document { media_type: own_type(media_type, &bytes), bytes, digest })
}

/// The document's type: the registry's word for it, or its own where the registry says only "JSON".
fn own_type(told: &str, bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        #[serde(default)]
        media_type: String,
    }
    let told = told.trim();
    if media::is_index(told) || media::is_manifest(told) {
        return told.to_owned();
    }
    let typed = serde_json::from_slice::<Typed>(bytes).map(|typed| typed.media_type).unwrap_or_default();
    if typed.is_empty() { media::OCI_MANIFEST.to_owned() } else { typed }
}

fn header<'a>(response: &'a Response<Incoming>, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The digest of some bytes.
pub(crate) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    match algorithm {
        Algorithm::Sha256 => Digest::from_sha256(Sha256::digest(bytes).into()),
        Algorithm::Sha512 => Digest::from_sha512(Sha512::digest(bytes).into()),
    }
}

fn verify(what: &str, expected: &Digest, bytes: &[u8]) -> Result<Digest> {
    let actual = digest_of(expected.algorithm(), bytes);
    if actual == *expected {
        return Ok(actual);
    }
    Err(Error::Digest { what: what.to_owned(), expected: expected.clone(), actual })
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

async fn all_tags(session: &Session, first: &str) -> Result<Vec<String>> {
    let mut tags = Vec::new();
    let mut next = Some(session.uri(first)?);
    while let Some(uri) = next {
        let url = shown(&uri);
        let mut response = session.ask(&Ask::new(Method::GET, uri.clone())).await?;
        let text = read_all(response.body_mut(), &url, PAGE_LIMIT).await?;
        let page: Page = serde_json::from_slice(&text)
            .map_err(|error| Error::Protocol { url: url.clone(), reason: error.to_string() })?;
        let fresh = page.tags.unwrap_or_default();
        next = header(&response, &LINK)
            .filter(|_| !fresh.is_empty())
            .and_then(next_link)
            .map(|p| session.uri(p))
            .transpose()?;
        tags.extend(fresh);
        if tags.len() > TAG_LIMIT || next.as_ref() == Some(&uri) {
            return Err(Error::Protocol { url, reason: "the list of tags does not end".to_owned() });
        }
    }
    Ok(tags)
}

/// The path in `</v2/…?last=x>; rel="next"`. Other hosts are not visited for it.
fn next_link(header: &str) -> Option<&str> {
    let link = header.strip_prefix('<')?;
    let (address, rest) = link.split_once('>')?;
    if !rest.contains("next") {
        return None;
    }
    let path = match address.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => address,
    };
    path.starts_with('/').then_some(path)
}
