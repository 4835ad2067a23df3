//! Which daemon to talk to: addresses, and the order in which flags and environment decide.

use std::path::{Path, PathBuf};

use crate::secure::Tls;
use crate::ssh::Ssh;
use crate::{Error, Result, context};

/// The directories of one hako, and its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The private root, if it is not the system's hako.
    pub root: Option<PathBuf>,
}

impl Roots {
    /// Sockets and what else must not survive a boot.
    #[must_use]
    pub fn exec_root(&self) -> PathBuf {
        self.root.as_ref().map_or_else(|| PathBuf::from("/run/hako"), |root| root.join("run"))
    }

    /// The API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.exec_root().join("hako.sock")
    }
}

/// A daemon's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// hako's own socket: if nobody listens, a daemon is started.
    Own(Roots),
    /// Somebody's socket.
    Unix(PathBuf),
    /// A host and port.
    Tcp {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
        /// TLS, if it is spoken there.
        tls: Option<Tls>,
    },
    /// Another machine, by ssh.
    Ssh(Ssh),
}

/// The address makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid host \"{text}\": {reason}")]
pub struct InvalidEndpoint {
    /// The address.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What flags and environment say about the daemon, the strongest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `-H`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `HAKO_HOST`.
    pub hako_host: Option<String>,
    /// `HAKO_ROOT`.
    pub hako_root: Option<PathBuf>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// TLS for TCP hosts (`--tls…`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`); contexts have their own.
    pub tls: Option<Tls>,
    /// Docker's configuration directory (`--config`, `DOCKER_CONFIG`, `~/.docker`), for contexts.
    pub config: Option<PathBuf>,
}

impl Choice {
    /// What the environment says; flags are the caller's to fill in.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            hako_host: text("HAKO_HOST"),
            hako_root: path("HAKO_ROOT"),
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            config: path("DOCKER_CONFIG").or_else(|| path("HOME").map(|home| home.join(".docker"))),
            ..Self::default()
        }
    }
}

impl Endpoint {
    /// Decides: `-H`, `--context`, `--root`, `HAKO_HOST`, `HAKO_ROOT`, `DOCKER_HOST`, `DOCKER_CONTEXT`, hako's own socket.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] or [`Error::Context`] when what decides makes no sense.
    pub fn choose(choice: &Choice) -> Result<Self> {
        let own = Roots { root: choice.root.clone().or_else(|| choice.hako_root.clone()) };
        let tls = choice.tls.as_ref();
        let host = |text: &Option<String>| text.as_deref().map(|text| Self::parse(text, &own, tls)).transpose();
        let named = |name: &Option<String>| name.as_deref().map(|name| from_context(choice, name, &own)).transpose();
        if let Some(found) = host(&choice.host)?.or(named(&choice.context)?) {
            return Ok(found);
        }
        if choice.root.is_some() {
            return Ok(Self::Own(own));
        }
        if let Some(found) = host(&choice.hako_host)? {
            return Ok(found);
        }
        if choice.hako_root.is_some() {
            return Ok(Self::Own(own));
        }
        Ok(host(&choice.docker_host)?.or(named(&choice.docker_context)?).unwrap_or(Self::Own(own)))
    }

    /// Reads `unix:///path`, `tcp://host[:port]`, `ssh://[user@]host[:port]` or a plain path. The socket of `own` is [`Endpoint::Own`].
    ///
    /// # Errors
    /// [`InvalidEndpoint`] when it is none of these.
    pub fn parse(text: &str, own: &Roots, tls: Option<&Tls>) -> std::result::Result<Self, InvalidEndpoint> {
        let refuse = |reason| InvalidEndpoint { text: text.to_owned(), reason };
        match text.split_once("://") {
            Some(("unix", path)) => unix(path, own).ok_or(refuse("the socket's path must begin with a slash")),
            None if text.starts_with('/') => unix(text, own).ok_or(refuse("the socket's path is missing")),
            Some(("tcp" | "http", address)) => {
                tcp(address.trim_end_matches('/'), tls).ok_or(refuse("expected HOST:PORT"))
            }
            Some(("ssh", place)) => Ssh::parse(place).map(Self::Ssh).map_err(refuse),
            Some(("https", _)) => Err(refuse("use tcp://HOST:PORT with --tlsverify")),
            Some(_) => Err(refuse("expected unix://, tcp:// or ssh://")),
            None => Err(refuse("expected unix:///PATH, tcp://HOST:PORT or ssh://HOST")),
        }
    }
}

/// The address as users write it.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(roots) => write!(f, "unix://{}", roots.socket().display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(ssh) => ssh.fmt(f),
        }
    }
}

fn from_context(choice: &Choice, name: &str, own: &Roots) -> Result<Endpoint> {
    if name == "default" {
        return Ok(Endpoint::Own(own.clone()));
    }
    let unknown = || Error::Context { name: name.to_owned(), reason: "no configuration directory".to_owned() };
    let (host, tls) = context::host(choice.config.as_deref().ok_or_else(unknown)?, name)?;
    Ok(Endpoint::parse(&host, own, tls.as_ref())?)
}

fn unix(path: &str, own: &Roots) -> Option<Endpoint> {
    let socket = Path::new(path);
    if !socket.is_absolute() {
        return None;
    }
    Some(if socket == own.socket() { Endpoint::Own(own.clone()) } else { Endpoint::Unix(socket.to_owned()) })
}

fn tcp(address: &str, tls: Option<&Tls>) -> Option<Endpoint> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, if tls.is_some() { 2376 } else { 2375 }),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| Endpoint::Tcp { host: host.to_owned(), port, tls: tls.cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Endpoint, &'static str> {
        Endpoint::parse(text, &Roots { root: None }, None).map_err(|refused| refused.reason)
    }

    #[test]
    fn addresses() {
        assert_eq!(parse("unix:///run/docker.sock"), Ok(Endpoint::Unix("/run/docker.sock".into())));
        assert_eq!(parse("unix:///run/hako/hako.sock"), Ok(Endpoint::Own(Roots { root: None })));
        assert_eq!(parse("/x.sock"), Ok(Endpoint::Unix("/x.sock".into())));
        let tcp = |host: &str, port| Ok(Endpoint::Tcp { host: host.to_owned(), port, tls: None });
        assert_eq!(parse("tcp://10.0.0.1:99"), tcp("10.0.0.1", 99));
        assert_eq!(parse("tcp://[::1]:99"), tcp("::1", 99));
        assert_eq!(parse("tcp://[::1]"), tcp("::1", 2375));
        assert_eq!(parse("tcp://localhost"), tcp("localhost", 2375));
        let tls = Some(Tls::default());
        let secure = Endpoint::parse("tcp://far", &Roots { root: None }, tls.as_ref()).unwrap();
        assert_eq!(secure, Endpoint::Tcp { host: "far".to_owned(), port: 2376, tls });
        assert_eq!(parse("ssh://u@h").unwrap().to_string(), "ssh://u@h");
        for bad in ["", "nonsense", "unix://x", "tcp://", "tcp://:1", "tcp://h:99999", "ssh://", "npipe:////x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_strongest_word_decides() {
        let text = |word: &str| Some(format!("unix:///{word}"));
        let mut choice = Choice {
            host: text("flag"),
            root: Some("/root-flag".into()),
            hako_host: text("hako"),
            hako_root: Some("/root-variable".into()),
            docker_host: text("docker"),
            ..Choice::default()
        };
        let chosen = |choice: &Choice| Endpoint::choose(choice).unwrap().to_string();
        assert_eq!(chosen(&choice), "unix:///flag");
        choice.host = None;
        assert_eq!(chosen(&choice), "unix:///root-flag/run/hako.sock");
        choice.root = None;
        assert_eq!(chosen(&choice), "unix:///hako");
        choice.hako_host = None;
        assert_eq!(chosen(&choice), "unix:///root-variable/run/hako.sock");
        choice.hako_root = None;
        assert_eq!(chosen(&choice), "unix:///docker");
        assert_eq!(chosen(&Choice::default()), "unix:///run/hako/hako.sock");
    }
}
