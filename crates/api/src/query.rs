//! Query parameters: how values are spelled in a URL, and one struct per request that has any.
//! The same struct writes the query in the client and reads it in the server.

use std::fmt;

use hako_model::filter::Filters;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

mod requests;

pub use requests::*;

/// What stays itself in a query, as in Go's `url.QueryEscape` and in a path segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Escapes one path segment or query value.
pub fn escape(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// A parameter's value is not what its name demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidParameter {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What was expected.
    pub reason: String,
}

impl fmt::Display for InvalidParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid value {:?} for parameter {}: {}", self.value, self.name, self.reason)
    }
}

impl std::error::Error for InvalidParameter {}

/// Names and values in the order they were given; a name may appear several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark of a URL.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescape(name), unescape(value))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// Adds a pair.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes the query without its question mark.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "&" };
            write!(f, "{separator}{}={}", escape(name), escape(value))?;
        }
        Ok(())
    }
}

fn unescape(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// A Rust value that can be a query parameter.
pub trait Parameter: Sized {
    /// Writes it, unless it is what absence means.
    fn write(&self, name: &'static str, query: &mut Query);

    /// Reads it.
    ///
    /// # Errors
    /// [`InvalidParameter`] when the text does not fit.
    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter>;
}

impl Parameter for String {
    fn write(&self, name: &'static str, query: &mut Query) {
        if !self.is_empty() {
            query.push(name, self.clone());
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        Ok(query.get(name).unwrap_or_default().to_owned())
    }
}

impl Parameter for Option<String> {
    fn write(&self, name: &'static str, query: &mut Query) {
        if let Some(value) = self {
            query.push(name, value.clone());
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        Ok(query.get(name).map(str::to_owned))
    }
}

impl Parameter for Vec<String> {
    fn write(&self, name: &'static str, query: &mut Query) {
        for value in self {
            query.push(name, value.clone());
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        Ok(query.all(name).map(str::to_owned).collect())
    }
}

/// Docker's rule: everything but the words for "no" is true.
fn truth(value: &str) -> bool {
    !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
}

impl Parameter for bool {
    fn write(&self, name: &'static str, query: &mut Query) {
        if *self {
            query.push(name, "1");
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        Ok(query.get(name).is_some_and(truth))
    }
}

impl Parameter for Option<bool> {
    fn write(&self, name: &'static str, query: &mut Query) {
        if let Some(value) = self {
            query.push(name, if *value { "1" } else { "0" });
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        Ok(query.get(name).filter(|value| !value.is_empty()).map(truth))
    }
}

impl Parameter for Option<i64> {
    fn write(&self, name: &'static str, query: &mut Query) {
        if let Some(value) = self {
            query.push(name, value.to_string());
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let invalid = |cause| InvalidParameter { name, value: text.to_owned(), reason: format!("{cause}") };
        text.parse().map(Some).map_err(|cause: std::num::ParseIntError| invalid(cause))
    }
}

impl Parameter for Filters {
    fn write(&self, name: &'static str, query: &mut Query) {
        if !self.is_empty() {
            query.push(name, self.to_json());
        }
    }

    fn read(name: &'static str, query: &Query) -> Result<Self, InvalidParameter> {
        let text = query.get(name).unwrap_or_default();
        Filters::from_json(text).map_err(|cause| InvalidParameter {
            name,
            value: text.to_owned(),
            reason: cause.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_wire() {
        let mut query = Query::default();
        query.push("names", "a/b:c&d=e f+ü");
        query.push("names", "");
        let text = query.to_string();
        assert_eq!(text, "names=a%2Fb%3Ac%26d%3De%20f%2B%C3%BC&names=");
        assert_eq!(Query::parse(&text), query);
        assert_eq!(Query::parse("a=b+c").get("a"), Some("b c"));
    }

    #[test]
    fn booleans_follow_docker() {
        let check = |text: &str| bool::read("all", &Query::parse(text));
        for yes in ["all=1", "all=true", "all=True", "all=yes", "all=anything"] {
            assert_eq!(check(yes), Ok(true), "{yes}");
        }
        for no in ["", "all=", "all=0", "all=False", "all=none", "all=no"] {
            assert_eq!(check(no), Ok(false), "{no}");
        }
    }

    #[test]
    fn a_number_must_be_one() {
        let refused = Option::<i64>::read("limit", &Query::parse("limit=ten")).unwrap_err();
        assert_eq!(refused.name, "limit");
        assert!(refused.to_string().contains("ten"));
    }

    #[test]
    fn requests_read_what_they_write() {
        let wait = Wait { condition: "next-exit".to_owned() };
        assert_eq!(Wait::read(&Query::parse(&wait.write().to_string())), Ok(wait));
        let logs = Logs { follow: true, stdout: true, tail: "10".to_owned(), ..Logs::default() };
        assert_eq!(logs.write().to_string(), "follow=1&stdout=1&tail=10");
        assert_eq!(Logs::read(&Query::parse("follow=1&stdout=1&tail=10")), Ok(logs));
    }
}
