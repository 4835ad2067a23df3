//! What is configured about registries, and the addresses at which one is tried.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::{Error, Result};

/// Where docker.io really answers.
const HUB_HOST: &str = "registry-1.docker.io";

/// What is configured about registries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Mirrors of docker.io, tried first: `https://mirror.example`.
    pub mirrors: Vec<String>,
    /// Registries that may be plain http or show unknown certificates: `host`, `host:port`, or a network of addresses.
    pub insecure: Vec<String>,
    /// Proxies: `http-proxy`, `https-proxy`, `no-proxy`; what is absent comes from the environment.
    pub proxies: std::collections::BTreeMap<String, String>,
    /// Where certificates of single registries are: `HOST/*.crt`, `HOST/*.cert`, `HOST/*.key`.
    pub certs: PathBuf,
    /// What is said about the client.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            proxies: std::collections::BTreeMap::new(),
            certs: PathBuf::from("/etc/docker/certs.d"),
            user_agent: format!("hako/{} (linux)", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// One address at which a registry is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// `host` or `host:port`.
    pub(crate) authority: String,
    /// Whether any certificate will do.
    pub(crate) any_certificate: bool,
    /// Whether it only mirrors the registry: then it is never given the registry's credentials.
    pub(crate) mirror: bool,
}

impl Endpoint {
    /// The start of its addresses: `https://host:port`.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

impl Settings {
    /// Checks what was configured, so that a mistake shows at the start and not at the first pull.
    ///
    /// # Errors
    /// [`Error::Setting`] with the offending text.
    pub fn check(&self) -> Result<()> {
        self.mirrors.iter().try_for_each(|mirror| self.mirror(mirror).map(drop))
    }

    /// The addresses of a registry, in the order they are tried. Mirrors serve reading only.
    pub(crate) fn endpoints(&self, domain: &str, reading: bool) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        if domain == hako_model::reference::DEFAULT_DOMAIN {
            if reading {
                for mirror in &self.mirrors {
                    all.push(self.mirror(mirror)?);
                }
            }
            all.push(endpoint("https", HUB_HOST, false));
            return Ok(all);
        }
        let insecure = self.is_insecure(domain);
        all.push(endpoint("https", domain, insecure));
        if insecure {
            all.push(endpoint("http", domain, true));
        }
        Ok(all)
    }

    fn mirror(&self, text: &str) -> Result<Endpoint> {
        let refused =
            |reason: &str| Error::Setting { what: format!("registry mirror {text:?}"), reason: reason.into() };
        let uri: http::Uri = text.parse().map_err(|_| refused("want https://host[:port]"))?;
        let authority = uri.authority().ok_or_else(|| refused("want https://host[:port]"))?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused("neither user, path nor query may be in it"));
        }
        let insecure = self.is_insecure(authority.as_str());
        let scheme = match uri.scheme_str() {
            Some("https") => "https",
            // Who writes http:// for a mirror of public content has said so plainly; Docker takes it as well.
            Some("http") => "http",
            _ => return Err(refused("want https://host[:port]")),
        };
        Ok(Endpoint { mirror: true, ..endpoint(scheme, authority.as_str(), insecure) })
    }

    /// Whether plain http and unknown certificates are allowed: on loopback, and where configured.
    pub(crate) fn is_insecure(&self, authority: &str) -> bool {
        let host = host_of(authority);
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.insecure.iter().any(|entry| {
            entry == authority
                || entry == host
                || address.zip(entry.parse::<ipnet::IpNet>().ok()).is_some_and(|(a, network)| network.contains(&a))
        })
    }
}

fn endpoint(scheme: &'static str, authority: &str, any_certificate: bool) -> Endpoint {
    Endpoint { scheme, authority: authority.to_owned(), any_certificate, mirror: false }
}

/// The host of `host[:port]`, IPv6 brackets dropped.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(settings: &Settings, domain: &str, reading: bool) -> Vec<String> {
        settings.endpoints(domain, reading).unwrap().iter().map(Endpoint::origin).collect()
    }

    #[test]
    fn registries_are_tried_where_they_may_answer() {
        let settings = Settings {
            mirrors: vec!["https://m.example".into(), "http://127.0.0.1:5001/".into()],
            insecure: vec!["reg.example:5000".into(), "10.0.0.0/8".into(), "bare.example".into()],
            ..Settings::default()
        };
        let hub = "https://registry-1.docker.io";
        assert_eq!(origins(&settings, "docker.io", true), ["https://m.example", "http://127.0.0.1:5001", hub]);
        assert_eq!(origins(&settings, "docker.io", false), [hub]);
        for (domain, insecure) in [
            ("localhost:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("reg.example:5000", true),
            ("reg.example:5001", false),
            ("bare.example:99", true),
            ("10.1.2.3:5000", true),
            ("11.1.2.3:5000", false),
            ("quay.io", false),
        ] {
            let expect = if insecure { 2 } else { 1 };
            assert_eq!(origins(&settings, domain, true).len(), expect, "{domain}");
        }
    }

    #[test]
    fn bad_mirrors_are_named() {
        for text in ["m.example", "ftp://m.example", "https://u:p@m.example", "https://m.example/path", ""] {
            let settings = Settings { mirrors: vec![text.into()], ..Settings::default() };
            assert!(settings.check().unwrap_err().to_string().contains("mirror"), "{text}");
        }
    }
}
