//! Docker, Podman and containerd with hako as their OCI runtime. Runs where `HAKO_PEERS_ROOT` names a root file system
//! they are installed in (`/` if that is this one's), and says that it is skipped elsewhere.

use std::process::{Command, Stdio};

use crate::house::{HAKO, busybox_tar, finish};

#[test]
fn other_engines_run_containers_with_it() {
    let Some(root) = std::env::var_os("HAKO_PEERS_ROOT") else {
        eprintln!("skipped: HAKO_PEERS_ROOT names no root file system with docker, podman or containerd");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/peers/engines.sh");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", script]);
    let ended = finish(command.arg(root).arg(HAKO).arg(busybox_tar()).stdin(Stdio::null()).output().unwrap());
    let told: Vec<&str> = ended.stdout.lines().collect();
    let good = told.iter().filter(|line| line.starts_with("ok ")).count();
    let bad: Vec<_> = told.iter().filter(|line| !line.starts_with("ok ") && **line != "over").collect();
    assert!(bad.is_empty() && told.last() == Some(&"over"), "{bad:#?}\n{}", ended.stderr);
    assert!(good > 0, "no engine was found in {}", std::env::var("HAKO_PEERS_ROOT").unwrap_or_default());
    eprintln!("{good} checks passed");
}
