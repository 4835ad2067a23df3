//! Searching: docker.io's index, or another registry's that has one. It is not part of the distribution protocol.

use hako_model::filter::Filters;
use serde::{Deserialize, Serialize};

use super::{Images, failure};
use crate::{Error, Result};

/// How many results are asked for if nothing is said.
const USUAL: i64 = 25;
/// How many may be asked for.
const MOST: i64 = 100;
/// The most bytes of an answer.
const LIMIT: usize = 4 << 20;
/// The index of docker.io.
const INDEX: &str = "index.docker.io";

/// One image that was found, as the index and the API both spell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// How many people like it.
    pub star_count: i64,
    /// Whether docker.io itself stands for it.
    pub is_official: bool,
    /// Its name.
    pub name: String,
    /// Whether it is built by itself; nothing is any more.
    pub is_automated: bool,
    /// What it is.
    pub description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    results: Vec<SearchResult>,
}

impl Images {
    /// Images whose names or descriptions have the term, as the index orders them.
    pub async fn search(&self, term: &str, limit: Option<i64>, filters: &Filters) -> Result<Vec<SearchResult>> {
        let limit = limit.filter(|limit| *limit != 0).unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Error::invalid(format!("limit {limit} is outside the range of [1, {MOST}]")));
        }
        filters.only(&["is-automated", "is-official", "stars"])?;
        if term.trim().is_empty() {
            return Err(Error::invalid("search term cannot be empty"));
        }
        let (official, automated) = (filters.flag("is-official")?, filters.flag("is-automated")?);
        let stars = stars(filters)?;
        let (host, _) = part(term);
        if !is_host(host) {
            return Err(Error::invalid(format!("invalid registry host in the search term: {host}")));
        }
        let address = address(term, limit);
        let mut file = self.room.client.file(&address).await.map_err(|error| failure::of_registry(&error))?;
        let mut text = Vec::new();
        while let Some(piece) = file.next().await.map_err(|error| failure::of_registry(&error))? {
            if text.len() + piece.len() > LIMIT {
                return Err(Error::system(format!("search at {address}: the answer is longer than {LIMIT} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        let answer: Answer =
            serde_json::from_slice(&text).map_err(|error| Error::io(format!("search at {address}"), error))?;
        let wanted = |result: &SearchResult| {
            official.is_none_or(|wanted| wanted == result.is_official)
                && automated.is_none_or(|wanted| wanted == result.is_automated)
                && result.star_count >= stars
        };
        let most = usize::try_from(limit).unwrap_or_default();
        Ok(answer.results.into_iter().filter(wanted).take(most).collect())
    }
}

fn stars(filters: &Filters) -> Result<i64> {
    let mut most = 0;
    for text in filters.values("stars") {
        let stars: i64 = text.parse().map_err(|_| Error::invalid(format!("invalid filter 'stars={text}'")))?;
        most = most.max(stars);
    }
    Ok(most)
}

/// `host.example/term` is searched at that host.
fn address(term: &str, limit: i64) -> String {
    let (host, term) = part(term);
    let scheme = if host.starts_with("127.") || host.starts_with("localhost") { "http" } else { "https" };
    let host = if host == "docker.io" { INDEX } else { host };
    format!("{scheme}://{host}/v1/search?q={}&n={limit}", escaped(term))
}

/// The host that a term names, or the usual one, and what is searched there.
fn part(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (INDEX, term.strip_prefix("library/").unwrap_or(term)),
    }
}

/// Whether the words before a term's first slash can be a host's name, with or without a port.
fn is_host(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let label =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    name.split('.').all(label) || name.starts_with('[')
}

fn escaped(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (term, expect) in [
            ("nginx", "https://index.docker.io/v1/search?q=nginx&n=25"),
            ("library/nginx", "https://index.docker.io/v1/search?q=nginx&n=25"),
            ("bit nami/x&n=9", "https://index.docker.io/v1/search?q=bit%20nami%2Fx%26n%3D9&n=25"),
            ("docker.io/nginx", "https://index.docker.io/v1/search?q=nginx&n=25"),
            ("quay.io/nginx", "https://quay.io/v1/search?q=nginx&n=25"),
            ("127.0.0.1:5000/nginx", "http://127.0.0.1:5000/v1/search?q=nginx&n=25"),
        ] {
            assert_eq!(address(term, 25), expect);
        }
    }
}
