//! A real firewalld beside hako, in a network and a system of files of its own: what it forbids to others it forbids on.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::house::{House, await_that, run_tool};
use crate::networking::{OUTSIDE, outside, serving};

/// A bus of nobody's but this test's, and firewalld on it, in this machine's files with firewalld's own laid over them.
const SYSTEM: &str = r#"
set -e
cd "$1"
mkdir -p over root
mount -t tmpfs over over
mkdir over/work
cp -a "$2" over/upper
mount -t overlay firewalld -o "lowerdir=/,upperdir=$PWD/over/upper,workdir=$PWD/over/work" root
mount -t proc proc root/proc
mount -t tmpfs run root/run
mount --rbind /dev root/dev
cat >root/run/bus.conf <<'BUS'
<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
</policy></busconfig>
BUS
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
chroot root dbus-daemon --config-file=/run/bus.conf --fork --nopidfile
exec chroot root firewalld --nofork --nopid
"#;

/// A firewalld that runs, in the network of whoever starts it; gone with this.
struct Firewalld {
    /// `unshare`: its only child is the first process of its process namespace, and goes with it.
    child: Child,
}

impl Firewalld {
    fn start(house: &House, files: &str) -> Self {
        let place = house.path().join("firewalld");
        std::fs::create_dir_all(&place).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SYSTEM, "firewalld"]);
        unshare.arg(&place).arg(files).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let firewalld = Self { child: unshare.spawn().unwrap() };
        await_that("firewalld", || firewalld.tell(&["--state"]).is_some_and(|said| said == "running"));
        firewalld
    }

    /// `firewall-cmd`; nothing if it fails.
    fn tell(&self, words: &[&str]) -> Option<String> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let inside = children.split_whitespace().next()?;
        let mut told = Command::new("nsenter");
        told.args(["-t", inside, "-m", "-p", "-r", "firewall-cmd"]).args(words);
        told.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/bus");
        let output = told.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Firewalld {
    fn drop(&mut self) {
        // Both fail only if it is over already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What firewalld needs beside what is installed here, if `./test` could fetch it.
fn files() -> Option<String> {
    let place = std::env::var_os("HAKO_TEST_FIREWALLD").map(PathBuf::from);
    let found = place.filter(|place| place.join("usr/sbin/firewalld").exists());
    if found.is_none() {
        println!("skipped: HAKO_TEST_FIREWALLD names no directory with firewalld in it");
    }
    found.map(|place| place.to_str().unwrap().to_owned())
}

/// Whether a command on the other host succeeds.
fn from_outside(words: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &outside()]).args(words);
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn firewalld_may_reload_as_often_as_it_likes() {
    let Some(files) = files() else { return };
    let house = House::new();
    run_tool("sh", ["-c", OUTSIDE]);
    let firewalld = Firewalld::start(&house, &files);
    house.ok(["network", "create", "front"]);
    serving(&house, "web", &["8888:80"]);
    house.ok(["network", "connect", "front", "web"]);
    house.ok(["run", "-d", "--name", "bob", "--network", "front", "busybox", "sleep", "600"]);
    let pid = house.inspect("bob", "{{.State.Pid}}");
    let gets = |url: &str| ["curl", "-sf", "-m", "1", url].map(str::to_owned);
    let works = || {
        let [here, there] = ["http://127.0.0.1:8888", "http://198.51.100.1:8888"].map(gets);
        let here = Command::new(&here[0]).args(&here[1..]).output().is_ok_and(|output| output.stdout == b"page");
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        // A container reaches the other host; names go on being answered by its own supervisor.
        let out = ["-t", &pid, "-n", "busybox", "ping", "-c1", "-W1", "198.51.100.2"];
        let out = Command::new("nsenter").args(out).output().is_ok_and(|output| output.status.success());
        here && out && from_outside(&there)
    };
    await_that("everything to work beside firewalld", works);
    // The host's own services are firewalld's business: hako opens nothing but what is published.
    let mut service = Command::new("busybox").args(["nc", "-l", "-p", "9999"]).spawn().unwrap();
    assert!(!from_outside(&["busybox", "nc", "-w", "1", "198.51.100.1", "9999"]), "firewalld still refuses");
    drop((service.kill(), service.wait()));
    for words in [&["--reload"][..], &["--complete-reload"], &["--set-default-zone=drop"], &["--panic-on"]] {
        firewalld.tell(words).unwrap_or_else(|| panic!("firewall-cmd {words:?}"));
        if words == ["--panic-on"] {
            firewalld.tell(&["--panic-off"]).unwrap();
        }
        let began = Instant::now();
        await_that(&format!("everything to work after firewall-cmd {words:?}"), works);
        println!("firewall-cmd {words:?}: everything worked after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(20), "{words:?}");
    }
    house.kill_daemon();
    firewalld.tell(&["--reload"]).unwrap();
    await_that("everything to work after a reload without a daemon", works);
    drop(firewalld);
    house.ok(["rm", "-f", "web", "bob"]);
    house.ok(["network", "rm", "front"]);
    run_tool("ip", ["netns", "del", &outside()]);
}
