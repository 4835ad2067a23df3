//! The door: opens repositories and checks credentials.

use std::sync::Arc;

use hako_model::reference::{DEFAULT_DOMAIN, Reference};

use crate::credentials::Credential;
use crate::file::File;
use crate::repository::{Access, Repository};
use crate::session::Session;
use crate::settings::{Endpoint, Settings};
use crate::transport::Transports;
use crate::{Error, Result};

/// Talks to registries. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    transports: Arc<Transports>,
}

impl Client {
    /// A client under these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] when they make no sense.
    pub fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        Ok(Self { transports: Arc::new(Transports::new(settings)) })
    }

    /// Opens a repository. Nothing is said to the registry yet.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn repository(
        &self,
        reference: &Reference,
        credential: Option<&Credential>,
        access: &Access,
    ) -> Result<Repository> {
        Repository::open(&self.transports, reference, credential, access)
    }

    /// Opens a file of the web.
    ///
    /// # Errors
    /// The address cannot be used, or its server does not give the file.
    pub async fn file(&self, url: &str) -> Result<File> {
        File::open(&self.transports, url).await
    }

    /// Shows a credential to the registry it is for (`serveraddress`); gives an identity token when the registry has one.
    ///
    /// # Errors
    /// The registry refuses it or cannot be reached.
    pub async fn login(&self, credential: &Credential) -> Result<String> {
        let domain = domain_of(&credential.serveraddress)?;
        let endpoints = self.transports.settings.endpoints(&domain, false)?;
        let mut last = None;
        for endpoint in endpoints {
            match self.login_at(endpoint, credential).await {
                Err(error) if error.is_unreachable() => last = Some(error),
                outcome => return outcome,
            }
        }
        Err(last.unwrap_or_else(|| Error::Setting { what: "log in".into(), reason: "no address to try".into() }))
    }

    async fn login_at(&self, endpoint: Endpoint, credential: &Credential) -> Result<String> {
        let session = Session::new(self.transports.clone(), endpoint, Some(credential.clone()), Vec::new());
        let identity = session.login().await?;
        session.learn();
        Ok(identity)
    }
}

/// The registry a server address means: scheme and path dropped, docker.io's many names made one.
fn domain_of(address: &str) -> Result<String> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = rest.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "docker.io" | "registry-1.docker.io" => Ok(DEFAULT_DOMAIN.to_owned()),
        host if Reference::parse(&format!("{host}/name")).is_ok() => Ok(host.to_owned()),
        host => Err(Error::Setting { what: format!("registry {host:?}"), reason: "want host[:port]".to_owned() }),
    }
}
