//! `WWW-Authenticate` headers: what a registry wants to see before it answers.

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where tokens are to be had.
        realm: String,
        /// The registry's name for the token server.
        service: Option<String>,
        /// What the token must allow: `repository:library/nginx:pull`.
        scope: Option<String>,
    },
}

/// The challenges in a header that are understood, in order. Hostile text gives none.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let (scheme, after) = token(rest);
        if scheme.is_empty() {
            break;
        }
        let (parameters, after) = parameters(after);
        let value = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        match (scheme.to_ascii_lowercase().as_str(), value("realm")) {
            ("basic", _) => found.push(Challenge::Basic),
            ("bearer", Some(realm)) => {
                found.push(Challenge::Bearer { realm, service: value("service"), scope: value("scope") });
            }
            _ => {}
        }
        rest = after;
    }
    found
}

/// `key=value` pairs up to the next scheme.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut pairs = Vec::new();
    let mut rest = separated(text);
    loop {
        let (key, after) = token(rest);
        let Some(after) = after.trim_start().strip_prefix('=') else { return (pairs, rest) };
        if key.is_empty() {
            return (pairs, "");
        }
        let Some((value, after)) = value(after.trim_start()) else { return (pairs, "") };
        pairs.push((key.to_owned(), value));
        rest = separated(after);
    }
}

fn separated(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', ','])
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted text.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Not every registry quotes what the grammar wants quoted.
        let (word, after) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (!word.is_empty()).then(|| (word.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn challenges_are_told_apart() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let scope = Some("repository:a/b:pull,push");
        let expect = bearer("https://auth.docker.io/token", Some("registry.docker.io"), scope);
        assert_eq!(parse(hub), [expect]);
        assert_eq!(parse(r#"Basic realm="x, \"y\"", charset=UTF-8"#), [Challenge::Basic]);
        assert_eq!(parse("basic"), [Challenge::Basic]);
        assert_eq!(
            parse(r#"Negotiate, Bearer Realm=http://h , Basic realm="b""#),
            [bearer("http://h", None, None), Challenge::Basic]
        );
        assert_eq!(parse(r#"Basic realm="b", Bearer realm="r""#), [Challenge::Basic, bearer("r", None, None)]);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(text in "\\PC{0,60}|((Bearer|Basic|realm=|\"|\\\\|,| |x|=){0,12})") {
            let _ = parse(&text);
        }
    }
}
