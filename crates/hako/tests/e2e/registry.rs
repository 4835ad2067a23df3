//! A real registry (`docker-registry` from Debian's packages) on the loopback of the test's network namespace.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::house::{await_that, run_tool};

/// A running registry. It ends with the value.
pub(crate) struct Registry {
    process: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Registry {
    /// Starts a registry without authentication on port 5000 (of the test's own namespace).
    pub(crate) fn start() -> Registry {
        Registry::start_with(5000, "")
    }

    /// Starts a registry with one user, by basic authentication.
    pub(crate) fn start_with_user(port: u16, user: &str, password: &str) -> Registry {
        let htpasswd =
            Command::new("htpasswd").args(["-Bbn", user, password]).output().expect("htpasswd (apache2-utils)");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), htpasswd.stdout).unwrap();
        let (_, path) = file.keep().unwrap();
        Registry::start_with(port, &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display()))
    }

    /// Starts a registry that speaks TLS and shows a certificate, whose path comes with it, for 127.0.0.1.
    pub(crate) fn start_with_tls(port: u16, dir: &Path) -> (Registry, PathBuf) {
        let [cert, key] = ["registry.crt", "registry.key"].map(|name| dir.join(name));
        let [cert_text, key_text] = [&cert, &key].map(|path| path.to_str().unwrap());
        run_tool(
            "openssl",
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
                .into_iter()
                .chain(["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"])
                .chain(["-keyout", key_text, "-out", cert_text]),
        );
        let tls = format!("  tls:\n    certificate: {cert_text}\n    key: {key_text}\n");
        (Registry::start_with(port, &tls), cert)
    }

    fn start_with(port: u16, extra: &str) -> Registry {
        let dir = tempfile::Builder::new().prefix("hako-registry-").tempdir().expect("a directory");
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{extra}",
            dir.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (Debian's package)");
        await_that("the registry to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Registry { process, dir, port }
    }

    /// `127.0.0.1:PORT`, the first part of a reference to an image in this registry.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the registry keeps its blobs.
    pub(crate) fn data(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
