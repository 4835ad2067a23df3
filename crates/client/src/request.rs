//! One request: its URL, its body, and the answer in the form the caller wants.

use std::time::Instant;

use bytes::Bytes;
use hako_api::query::{Query, escape};
use hako_api::version::ApiVersion;
use hako_api::{ErrorMessage, version};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::{Body, explain};
use crate::stream::{ByteStream, Hijacked, JsonStream, Upload};
use crate::{Client, Error, Result, stream};

/// The most bytes an answer that is read as a whole may have.
const ANSWER_LIMIT: usize = 256 << 20;

/// What the client calls itself.
const AGENT: &str = concat!("hako/", env!("CARGO_PKG_VERSION"));

/// A request being put together.
pub(crate) struct Call<'a> {
    client: &'a Client,
    name: String,
    target: String,
    request: http::request::Builder,
    body: Body,
    /// The body again, unless it is a stream.
    said: Option<Bytes>,
}

/// A request's body, kept beside it so that it can be said again.
#[derive(Clone, Debug)]
pub(crate) struct Said(pub(crate) Bytes);

/// One segment of a path, escaped; image names keep their slashes, as Docker's own client sends them.
pub(crate) fn segment(text: &str) -> String {
    text.split('/').map(|part| escape(part).to_string()).collect::<Vec<_>>().join("/")
}

impl Client {
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(&method).header(HOST, "hako").header(USER_AGENT, AGENT);
        let target = format!("/v{}{path}", ApiVersion::CURRENT);
        Call {
            client: self,
            name: format!("{method} {path}"),
            target,
            request,
            body: full(Bytes::new()),
            said: Some(Bytes::new()),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call<'_> {
        self.call(Method::DELETE, path)
    }
}

impl Call<'_> {
    pub(crate) fn query(mut self, query: &Query) -> Self {
        if !query.is_empty() {
            self.target = format!("{}?{query}", self.target);
        }
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends credentials, if there are any.
    pub(crate) fn credentials(self, header: Option<&str>) -> Self {
        match header {
            Some(value) => self.header(version::REGISTRY_AUTH, value),
            None => self,
        }
    }

    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Result<Self> {
        let text = serde_json::to_vec(body)
            .map_err(|cause| Error::Malformed { request: self.name.clone(), cause: cause.to_string() })?;
        let text = Bytes::from(text);
        self.body = full(text.clone());
        self.said = Some(text);
        Ok(self.header(CONTENT_TYPE.as_str(), "application/json"))
    }

    pub(crate) fn upload(self, body: Upload) -> Self {
        self.send_upload(body).kind("application/x-tar")
    }

    /// Sets what kind of body it is.
    pub(crate) fn kind(self, kind: &str) -> Self {
        self.header(CONTENT_TYPE.as_str(), kind)
    }

    pub(crate) fn send_upload(mut self, body: Upload) -> Self {
        self.body = stream::body(body);
        self.said = None;
        self
    }

    /// Any good answer will do.
    pub(crate) async fn done(self) -> Result<()> {
        let (name, response) = self.send().await?;
        collect(&name, response).await.map(drop)
    }

    pub(crate) async fn headers(self) -> Result<HeaderMap> {
        let (_, response) = self.send().await?;
        Ok(response.headers().clone())
    }

    pub(crate) async fn bytes(self) -> Result<Bytes> {
        let (name, response) = self.send().await?;
        collect(&name, response).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T> {
        let (name, response) = self.send().await?;
        let bytes = collect(&name, response).await?;
        serde_json::from_slice(&bytes).map_err(|cause| Error::Malformed { request: name, cause: cause.to_string() })
    }

    pub(crate) async fn stream(self) -> Result<ByteStream> {
        let (name, response) = self.send().await?;
        Ok(ByteStream::new(name, response))
    }

    pub(crate) async fn messages<T: DeserializeOwned>(self) -> Result<JsonStream<T>> {
        Ok(JsonStream::new(self.stream().await?))
    }

    /// Turns the connection into a stream of bytes in both directions.
    pub(crate) async fn hijack(mut self) -> Result<Hijacked> {
        self.request = self.request.header(CONNECTION, "Upgrade").header(UPGRADE, version::UPGRADE);
        let (name, response) = self.send().await?;
        Hijacked::take(name, response).await
    }

    async fn send(self) -> Result<(String, Response<Incoming>)> {
        let malformed = |cause: http::Error| Error::Malformed { request: self.name.clone(), cause: cause.to_string() };
        let mut request = self.request.uri(self.target).body(self.body).map_err(malformed)?;
        if let Some(said) = self.said {
            request.extensions_mut().insert(Said(said));
        }
        let asked = Instant::now();
        let response = self.client.pool.send(request).await?;
        tracing::debug!(status = response.status().as_u16(), took = ?asked.elapsed(), "{}", self.name);
        match response.status() {
            status if status.is_success() => Ok((self.name, response)),
            StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS => Ok((self.name, response)),
            status => Err(refusal(status, collect(&self.name, response).await?)),
        }
    }
}

fn refusal(status: StatusCode, body: Bytes) -> Error {
    let message = match serde_json::from_slice::<ErrorMessage>(&body) {
        Ok(error) => error.message,
        Err(_) => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    let message = if message.is_empty() { status.to_string() } else { message };
    Error::Refused { status: status.as_u16(), message }
}

async fn collect(name: &str, response: Response<Incoming>) -> Result<Bytes> {
    let body = Limited::new(response.into_body(), ANSWER_LIMIT);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(cause) => {
            let cause = cause.downcast::<hyper::Error>().map_or_else(|other| other.to_string(), |own| explain(&own));
            Err(Error::Lost { request: name.to_owned(), cause })
        }
    }
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
