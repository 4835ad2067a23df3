//! Docker's contexts: named endpoints under `~/.docker/contexts/meta`, read, never written.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use crate::secure::Tls;
use crate::{Error, Result};

/// The most bytes of a context's description that are read.
const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The host of the context `name` below Docker's configuration directory, and its certificates if it has any.
pub(crate) fn host(config: &Path, name: &str) -> Result<(String, Option<Tls>)> {
    let refuse = |reason: String| Error::Context { name: name.to_owned(), reason };
    let file = config.join("contexts/meta").join(directory(name)).join("meta.json");
    let bytes = hako_sys::file::read_limited(&file, LIMIT).map_err(|cause| refuse(format!("not found: {cause}")))?;
    let found: Description = serde_json::from_slice(&bytes).map_err(|cause| refuse(cause.to_string()))?;
    if found.name != name {
        return Err(refuse(format!("{} describes \"{}\"", file.display(), found.name)));
    }
    let docker = found.endpoints.docker.ok_or_else(|| refuse("it has no docker endpoint".to_owned()))?;
    let files = config.join("contexts/tls").join(directory(name)).join("docker");
    // A context has certificates of its own or none: those of flags and environment are for other addresses.
    let secure = docker.skip_tls_verify || files.exists();
    Ok((docker.host, secure.then(|| Tls::in_directory(&files, !docker.skip_tls_verify))))
}

/// Docker names a context's directory by the SHA-256 of its name.
fn directory(name: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(name.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_names_its_host() {
        let config = tempfile::tempdir().unwrap();
        let below = config.path().join("contexts/meta").join(directory("far"));
        std::fs::create_dir_all(&below).unwrap();
        let text =
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://10.0.0.9:1","SkipTLSVerify":false}}}"#;
        std::fs::write(below.join("meta.json"), text).unwrap();
        assert_eq!(host(config.path(), "far").unwrap(), ("tcp://10.0.0.9:1".to_owned(), None));
        let files = config.path().join("contexts/tls").join(directory("far")).join("docker");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("ca.pem"), "").unwrap();
        let tls = Tls { verify: true, authority: Some(files.join("ca.pem")), identity: None };
        assert_eq!(host(config.path(), "far").unwrap().1, Some(tls));
        assert!(host(config.path(), "near").unwrap_err().to_string().starts_with("context \"near\": not found"));
    }

    #[test]
    fn directories_are_digests() {
        assert_eq!(directory("desktop-linux"), "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e");
    }
}
