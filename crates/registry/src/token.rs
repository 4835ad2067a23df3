//! Bearer tokens: asking a token server, by name and password, by an identity token, or as nobody.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::credentials::Credential;
use crate::refusal;
use crate::transport::{Body, Transports, read_all, shown};
use crate::{Error, Result};

/// Who asks, as the token server knows it.
const CLIENT_ID: &str = "docker";
/// The most bytes a token server's answer may have.
const ANSWER_LIMIT: u64 = 1 << 20;
/// How long a token lives that does not say.
const DEFAULT_LIFE: u64 = 60;
/// How long before its end a token is no longer used.
const MARGIN: u64 = 10;
/// How long a token server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a token server is asked for.
pub(crate) struct Wish<'a> {
    /// The token server.
    pub(crate) realm: &'a str,
    /// The registry, as the token server knows it.
    pub(crate) service: Option<&'a str>,
    /// What the token must allow.
    pub(crate) scopes: &'a [String],
    /// Who asks.
    pub(crate) credential: Option<&'a Credential>,
    /// Whether an identity token is wanted too.
    pub(crate) offline: bool,
    /// Whether the token server may be plain http.
    pub(crate) insecure: bool,
}

/// What a token server gives.
pub(crate) struct Token {
    /// The header to send.
    pub(crate) header: HeaderValue,
    /// Until when.
    pub(crate) until: Option<Instant>,
    /// A token to use instead of the password from now on.
    pub(crate) identity: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    expires_in: Option<u64>,
}

/// A header that cannot be printed by accident.
pub(crate) fn secret_header(scheme: &str, secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}"))
        .map_err(|_| Error::Setting { what: "credentials".to_owned(), reason: "not fit for a header".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header of basic authentication.
pub(crate) fn basic(credential: &Credential) -> Result<HeaderValue> {
    secret_header("Basic", &STANDARD.encode(format!("{}:{}", credential.username, credential.password)))
}

/// Asks for a token.
pub(crate) async fn fetch(transports: &Transports, wish: &Wish<'_>) -> Result<Token> {
    let realm = realm(wish)?;
    let request = match wish.credential {
        Some(credential) if !credential.identitytoken.is_empty() => by_identity(&realm, wish, credential)?,
        _ => by_password(&realm, wish)?,
    };
    let mut response = transports.send(request, PATIENCE).await?;
    if !response.status().is_success() {
        return Err(refusal::read(response, &realm).await);
    }
    let text = read_all(response.body_mut(), &shown(&realm), ANSWER_LIMIT).await?;
    read(&text, &realm)
}

/// The token server's address. It is named by a registry, so it must be as private as that one.
fn realm(wish: &Wish<'_>) -> Result<Uri> {
    let refused = |reason: &str| Error::Protocol {
        url: wish.realm.chars().take(200).filter(|c| !c.is_control()).collect(),
        reason: reason.to_owned(),
    };
    let uri: Uri = wish.realm.parse().map_err(|_| refused("the token server's address is none"))?;
    let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match uri.scheme_str() {
        Some("https") if named => Ok(uri),
        Some("http") if named && wish.insecure => Ok(uri),
        _ => Err(refused("the token server's address is not https")),
    }
}

fn by_password(realm: &Uri, wish: &Wish<'_>) -> Result<Request<Body>> {
    let mut query = form(wish);
    if wish.offline {
        query.push(("offline_token", "true"));
    }
    let credential = wish.credential.filter(|credential| !credential.username.is_empty());
    if let Some(credential) = credential {
        query.push(("account", &credential.username));
    }
    let separator = if realm.query().is_some() { '&' } else { '?' };
    let mut request = Request::get(format!("{realm}{separator}{}", encode(&query)));
    if let Some(credential) = credential {
        request = request.header(AUTHORIZATION, basic(credential)?);
    }
    build(request, Bytes::new(), realm)
}

fn by_identity(realm: &Uri, wish: &Wish<'_>, credential: &Credential) -> Result<Request<Body>> {
    let scope = wish.scopes.join(" ");
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", credential.identitytoken.as_str()),
        ("service", wish.service.unwrap_or_default()),
        ("client_id", CLIENT_ID),
    ];
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    let body = Bytes::from(encode(&fields));
    let request = Request::builder().method(Method::POST).uri(realm.clone());
    build(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), body, realm)
}

fn form<'a>(wish: &'a Wish<'_>) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![("client_id", CLIENT_ID)];
    fields.extend(wish.service.map(|service| ("service", service)));
    fields.extend(wish.scopes.iter().map(|scope| ("scope", scope.as_str())));
    fields
}

fn encode(fields: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn build(request: http::request::Builder, body: Bytes, realm: &Uri) -> Result<Request<Body>> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    request.body(body).map_err(|error| Error::Protocol { url: shown(realm), reason: error.to_string() })
}

fn read(text: &[u8], realm: &Uri) -> Result<Token> {
    let refused = |reason: &str| Error::Protocol { url: shown(realm), reason: reason.to_owned() };
    let answer: Answer = serde_json::from_slice(text).map_err(|_| refused("not the JSON of a token"))?;
    let secret = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
    if secret.is_empty() {
        return Err(refused("there is no token in it"));
    }
    let life = answer.expires_in.unwrap_or(DEFAULT_LIFE).clamp(DEFAULT_LIFE, 24 * 3600) - MARGIN;
    Ok(Token {
        header: secret_header("Bearer", secret)?,
        until: Instant::now().checked_add(Duration::from_secs(life)),
        identity: answer.refresh_token,
    })
}
