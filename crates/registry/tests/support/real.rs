//! The reference implementation of a registry (`docker-registry` from Debian's packages) on a free port of loopback.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running registry. It ends with the value.
pub(crate) struct Registry {
    process: Child,
    dir: tempfile::TempDir,
    /// Where its password file or certificate is.
    _secrets: Option<tempfile::TempDir>,
    port: u16,
}

impl Registry {
    /// Starts a registry that lets everybody in.
    pub(crate) fn start() -> Self {
        Self::start_with("", None)
    }

    /// Starts a registry that wants a name and a password.
    pub(crate) fn start_with_user(user: &str, password: &str) -> Self {
        let made = Command::new("htpasswd").args(["-Bbn", user, password]).output().expect("htpasswd (apache2-utils)");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, made.stdout).unwrap();
        Self::start_with(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display()), Some(dir))
    }

    /// Starts a registry that speaks TLS only, with a certificate nobody knows.
    pub(crate) fn start_with_tls() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, cert) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=registry.example", "-addext", "subjectAltName=IP:127.0.0.1"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", cert.display(), key.display());
        Self::start_with(&tls, Some(dir))
    }

    fn start_with(extra: &str, secrets: Option<tempfile::TempDir>) -> Self {
        let dir = tempfile::Builder::new().prefix("hako-registry-").tempdir().unwrap();
        // The port is free now and taken a little later: somebody may come between, then another one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut process = serve(dir.path(), port, extra);
            if answers(&mut process, port) {
                return Self { process, dir, _secrets: secrets, port };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("docker-registry does not start");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file a blob lies in.
    pub(crate) fn blob(&self, hex: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

fn serve(dir: &Path, port: u16, extra: &str) -> Child {
    let config = dir.join("config.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{extra}",
        dir.display()
    );
    std::fs::write(&config, text).unwrap();
    Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry (Debian's package)")
}

fn answers(process: &mut Child, port: u16) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end && process.try_wait().unwrap().is_none() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
