//! The image that is pulled, loaded and saved: some 400 MB of this machine's own files in six layers, in a registry on
//! loopback by gzip and by zstd, and as a docker archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::sample::Plan;

/// How much goes into each of the six layers.
const LAYER_BYTES: u64 = 68_000_000;

/// A running registry that holds the image.
pub(crate) struct Registry {
    process: Child,
}

impl Registry {
    /// Makes the image and pushes it; `None` where the tools for it are missing.
    pub(crate) fn filled(plan: &Plan) -> Option<Registry> {
        let archive = archive(&plan.data);
        let config = plan.data.join("registry.yml");
        let data = plan.data.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:5000\"}}\n",
            data.display()
        );
        fs::write(&config, text).ok()?;
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none").stdin(Stdio::null()).stdout(Stdio::null());
        let registry = Registry { process: serve.stderr(Stdio::null()).spawn().ok()? };
        for _ in 0..200 {
            if std::net::TcpStream::connect("127.0.0.1:5000").is_ok() {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        for format in ["gzip", "zstd"] {
            let status = Command::new("skopeo")
                .args([
                    "--insecure-policy",
                    "copy",
                    "-q",
                    "--dest-tls-verify=false",
                    "--format",
                    "oci",
                    "--dest-compress-format",
                    format,
                ])
                .arg(format!("docker-archive:{}", archive.display()))
                .arg(format!("docker://127.0.0.1:5000/big:{format}"))
                .status()
                .ok()?;
            status.success().then_some(())?;
        }
        Some(registry)
    }

    pub(crate) fn stop(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes `big.tar`, a docker archive of six layers.
fn archive(data: &Path) -> PathBuf {
    let stage = data.join("stage");
    fs::create_dir_all(&stage).expect("a directory");
    let mut names = Vec::new();
    let mut diff_ids = Vec::new();
    for (number, files) in shares().into_iter().enumerate() {
        let name = format!("{number}.tar");
        let list = data.join("list");
        fs::write(&list, files.join("\0")).expect("a list");
        run(Command::new("tar")
            .args(["-C", "/", "--null", "--no-recursion", "-cf"])
            .arg(stage.join(&name))
            .arg("-T")
            .arg(&list));
        let sum = Command::new("sha256sum").arg(stage.join(&name)).output().expect("sha256sum").stdout;
        diff_ids.push(format!(
            "\"sha256:{}\"",
            String::from_utf8_lossy(&sum).split_whitespace().next().unwrap_or_default()
        ));
        names.push(format!("\"{name}\""));
    }
    let config = format!(
        "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{}},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
        diff_ids.join(",")
    );
    fs::write(stage.join("config.json"), config).expect("a file");
    let manifest = format!(
        "[{{\"Config\":\"config.json\",\"RepoTags\":[\"localhost/big:plain\"],\"Layers\":[{}]}}]",
        names.join(",")
    );
    fs::write(stage.join("manifest.json"), manifest).expect("a file");
    let archive = data.join("big.tar");
    run(Command::new("tar").arg("-C").arg(&stage).arg("-cf").arg(&archive).arg("."));
    fs::remove_dir_all(&stage).expect("a directory to remove");
    archive
}

/// Six lists of files below `/usr`, each of about one layer's size.
fn shares() -> Vec<Vec<String>> {
    let mut shares = vec![Vec::new()];
    let mut bytes = 0;
    let mut pending = vec![PathBuf::from("/usr")];
    while let Some(dir) = pending.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if metadata.len() < LAYER_BYTES / 4 {
                bytes += metadata.len();
                let path = entry.path();
                shares.last_mut().expect("a share").push(path.display().to_string().trim_start_matches('/').to_owned());
            }
            if bytes > LAYER_BYTES {
                if shares.len() == 6 {
                    return shares;
                }
                shares.push(Vec::new());
                bytes = 0;
            }
        }
    }
    shares
}

fn run(command: &mut Command) {
    let status = command.status().expect("a tool of the host");
    assert!(status.success(), "{command:?} failed");
}
