//! Repositories of git in a compose file's place: `https://host/repo.git#ref:folder`. Addresses only; who calls lends the
//! way there.

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// What git is asked for.
    pub url: String,
    /// The branch, tag or commit; empty for the repository's own choice.
    pub reference: String,
    /// The folder or file in it; empty for its root.
    pub folder: String,
}

/// Whether a path is the address of a repository.
#[must_use]
pub fn is_repository(path: &str) -> bool {
    Repository::parse(path).is_some()
}

impl Repository {
    /// Reads `url[?key=value&…][#reference[:folder]]`; what Docker Compose would not take for a repository is none.
    #[must_use]
    pub fn parse(address: &str) -> Option<Self> {
        let (rest, fragment) = address.split_once('#').unwrap_or((address, ""));
        let (url, query) = if is_login(rest) { (rest, "") } else { rest.split_once('?').unwrap_or((rest, "")) };
        if url.contains(char::is_control) {
            return None;
        }
        let url = match url.split_once("://") {
            Some(("http" | "https", path)) if path.ends_with(".git") && path.contains('/') => url.to_owned(),
            Some(("git" | "ssh", path)) if !path.starts_with(['/', '-']) && !path.is_empty() => url.to_owned(),
            Some(_) => return None,
            None if url.starts_with("github.com/") => format!("https://{url}"),
            None if is_login(url) => url.to_owned(),
            None => return None,
        };
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut own = Self { url, reference: reference.to_owned(), folder: folder.to_owned() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            own.asked(pair)?;
        }
        Some(own)
    }

    /// What stands after the question mark. Nothing may be said twice in different words.
    fn asked(&mut self, pair: &str) -> Option<()> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (place, value) = match key {
            "ref" => (&mut self.reference, value.to_owned()),
            "branch" => (&mut self.reference, format!("refs/heads/{value}")),
            "tag" => (&mut self.reference, format!("refs/tags/{value}")),
            "subdir" => (&mut self.folder, value.to_owned()),
            _ => return None,
        };
        if !place.is_empty() && *place != value {
            return None;
        }
        *place = value;
        Some(())
    }
}

/// `user@host:path`, as ssh takes it.
fn is_login(url: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            && !text.starts_with('-')
    };
    let parts = url.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?)));
    parts.is_some_and(|(user, (host, path))| word(user, "-_") && word(host, "-.") && !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_compose_takes_for_repositories() {
        let check = |address: &str, wanted: &str| {
            let told = Repository::parse(address).map(|it| format!("{} {} {}", it.url, it.reference, it.folder));
            assert_eq!(told.as_deref().map(str::trim_end), Some(wanted), "{address}");
        };
        check("https://host/x.git", "https://host/x.git");
        check("https://host/x.git#main:a/b.yaml", "https://host/x.git main a/b.yaml");
        check("git://127.0.0.1:9418/x#:sub", "git://127.0.0.1:9418/x  sub");
        check("ssh://git@host/x.git#v1", "ssh://git@host/x.git v1");
        check("git@host:team/x.git#v1:sub", "git@host:team/x.git v1 sub");
        check("github.com/team/x", "https://github.com/team/x");
        check("git://host/x?branch=a&subdir=b", "git://host/x refs/heads/a b");
        check("git://host/x?ref=a#a", "git://host/x a");
    }

    #[test]
    fn what_is_no_address_of_a_repository_is_a_path() {
        let paths = [
            "compose.yaml",
            "./git@host:x",
            "/a/b.git",
            "x/y.git",
            "127.0.0.1/x.git",
            "host:x",
            "https://host/x",
            "https://x.git",
            "file:///x/y.git",
            "ext::sh -c x",
            "git://",
            "git:///x",
            "ssh://-oProxyCommand=x/y.git",
            "git@-oProxyCommand=x:y",
            "git://host/x?bad=1",
            "git://host/x?ref=a#b",
            "git://host/\nx",
            "oci://host/x",
        ];
        for path in paths {
            assert!(!is_repository(path), "{path}");
        }
    }
}
