//! The engines under test: how each is started, stopped and spoken to.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sample::Plan;

/// One engine: a name, the words before every command, and words some commands need.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// The program and its global flags.
    prefix: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Flags added to `run` and `create`.
    run_flags: Vec<&'static str>,
    /// The engine's long-running process, if the benchmark started one.
    process: Option<i32>,
    /// How many commands failed.
    failures: AtomicU32,
}

impl Engine {
    /// A command of this engine, its output thrown away.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.prefix[0]);
        command.args(&self.prefix[1..]);
        let mut args = args.iter();
        if let Some(first) = args.next() {
            command.arg(first);
            if matches!(*first, "run" | "create") {
                command.args(&self.run_flags);
            }
        }
        command.args(args).envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a command to its end; a failure is printed and counted, not hidden.
    pub(crate) fn run(&self, args: &[&str]) {
        let mut command = self.command(args);
        let output = command.stderr(Stdio::piped()).output();
        match output {
            Ok(output) if output.status.success() => return,
            Ok(output) => eprintln!("{} {args:?}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => eprintln!("{} {args:?}: {error}", self.name),
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// What was measured, unless a command failed meanwhile: how fast something fails is nobody's measure.
    pub(crate) fn sound(&self, measure: impl FnOnce() -> f64) -> Option<f64> {
        let before = self.failures.load(Ordering::Relaxed);
        let sample = measure();
        (self.failures.load(Ordering::Relaxed) == before).then_some(sample)
    }

    /// Runs a command and returns what it printed.
    pub(crate) fn read(&self, args: &[&str]) -> String {
        let output = self.command(args).stdout(Stdio::piped()).output().map(|Output { stdout, .. }| stdout);
        String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
    }

    /// The resident memory of the engine's long-running process, in MiB.
    pub(crate) fn daemon_rss(&self) -> Option<f64> {
        self.of_daemon("VmRSS:")
    }

    /// The most it had since [`Engine::forget_peak`], in MiB.
    pub(crate) fn daemon_peak(&self) -> Option<f64> {
        self.of_daemon("VmHWM:")
    }

    /// Lets the kernel watch for the peak anew.
    pub(crate) fn forget_peak(&self) {
        if let Some(pid) = self.daemon_pid() {
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a kernel that forgets peaks");
        }
    }

    fn of_daemon(&self, label: &str) -> Option<f64> {
        field(&format!("/proc/{}/status", self.daemon_pid()?), label).map(|kib| kib / 1024.0)
    }

    /// The engine's long-running process.
    pub(crate) fn daemon_pid(&self) -> Option<i32> {
        match self.name {
            "hako" => std::fs::read_to_string(self.hako_root()?.join("run/daemon.pid")).ok()?.trim().parse().ok(),
            _ => self.process,
        }
    }

    pub(crate) fn hako_root(&self) -> Option<std::path::PathBuf> {
        self.environment.iter().find(|(name, _)| *name == "HAKO_ROOT").map(|(_, value)| value.into())
    }
}

/// The number behind a label in a file of `/proc`.
pub(crate) fn field(path: &str, label: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(label))?.split_whitespace().next()?.parse().ok()
}

/// All engines of a run, hako first.
pub(crate) struct Engines {
    pub(crate) all: Vec<Engine>,
    children: Vec<Child>,
}

impl Engines {
    /// Starts whatever peers are installed, and gives each the busybox image.
    pub(crate) fn start(plan: &Plan) -> Engines {
        let mut engines = Engines { all: vec![hako(plan)], children: Vec::new() };
        if installed("dockerd") && plan.meets("docker") {
            engines.start_docker(plan);
        }
        if installed("podman") && plan.meets("podman") {
            engines.all.push(podman(plan));
        }
        let image = busybox_image(plan);
        for engine in engines.all.iter().filter(|engine| engine.name != "docker+crun") {
            engine.run(&["import", "--change", "CMD [\"sh\"]", &image, "busybox:latest"]);
        }
        engines
    }

    fn start_docker(&mut self, plan: &Plan) {
        let crun: &[&str] = if installed("crun") { &["--add-runtime", "crun=/usr/bin/crun"] } else { &[] };
        let child = dockerd(plan, "docker", &[], crun);
        let pid = i32::try_from(child.id()).ok();
        self.children.push(child);
        for (name, run_flags) in [("docker", vec![]), ("docker+crun", vec!["--runtime", "crun"])] {
            if name == "docker" || installed("crun") {
                self.all.push(docker(name, &[], run_flags, pid));
            }
        }
    }

    pub(crate) fn hako(&self) -> &Engine {
        &self.all[0]
    }

    /// The machine and the versions, for the head of the table.
    pub(crate) fn versions(&self) -> String {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cgroups = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" };
        let mut text = format!("Linux {}, {cores} cores, cgroup {cgroups}", kernel.trim());
        for program in ["hako", "docker", "podman", "crun", "runc"] {
            let path = if program == "hako" { self.hako().prefix[0].as_str() } else { program };
            if let Ok(output) = Command::new(path).arg("--version").stderr(Stdio::null()).output() {
                let said = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
                text.push_str(&format!("; {said}"));
            }
        }
        text
    }

    /// Removes what the run left and ends the daemons.
    pub(crate) fn stop(mut self) {
        for engine in &self.all {
            let ids = engine.read(&["ps", "-aq"]);
            for id in ids.split_whitespace() {
                engine.run(&["rm", "-f", id]);
            }
        }
        for child in &mut self.children {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

/// A second Docker that keeps its images in containerd's store, which is how new installations begin. It takes part
/// where images are measured.
pub(crate) struct ContainerdStore {
    child: Child,
    pub(crate) engine: Engine,
}

impl ContainerdStore {
    /// Starts it beside the other; `None` without Docker.
    pub(crate) fn start(plan: &Plan) -> Option<Self> {
        if !installed("dockerd") || !plan.meets("docker") {
            return None;
        }
        let host = "unix:///run/containerd-store.sock";
        let own =
            ["--exec-root", "/run/containerd-store", "--pidfile", "/run/containerd-store.pid", "--bridge", "none"];
        let flags = ["--feature", "containerd-snapshotter=true", "--iptables=false", "--ip6tables=false"];
        let child = dockerd(plan, "docker-containerd", &["-H", host], &[own.as_slice(), flags.as_slice()].concat());
        let engine = docker("docker, containerd store", &["-H", host], Vec::new(), None);
        Some(Self { child, engine })
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Podman's side of Docker's API, which is what compose on podman speaks to. It takes part where systems are composed.
pub(crate) struct PodmanService {
    child: Child,
    pub(crate) engine: Engine,
}

impl PodmanService {
    /// Starts it on the data of the engine in the list; `None` without podman or docker's compose.
    pub(crate) fn start(plan: &Plan) -> Option<Self> {
        if !installed("podman") || !installed("docker") || !plan.meets("podman") {
            return None;
        }
        let host = "unix:///run/podman-bench.sock";
        let child = podman(plan).command(&["system", "service", "--time", "0", host]).spawn().expect("podman");
        let engine = docker("podman", &["-H", host], Vec::new(), None);
        let service = Self { child, engine };
        for _ in 0..600 {
            if service.engine.command(&["version"]).status().is_ok_and(|status| status.success()) {
                return Some(service);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        service.stop();
        panic!("podman's service did not come up");
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Starts a dockerd whose data lies in `name` below the plan's directory, and waits until it answers.
fn dockerd(plan: &Plan, name: &str, host: &[&str], flags: &[&str]) -> Child {
    let path = plan.data.join(format!("{name}.log"));
    let log = File::create(&path).expect("a log file");
    let mut command = Command::new("dockerd");
    command.arg("--data-root").arg(plan.data.join(name)).args(["--insecure-registry", "127.0.0.0/8"]);
    command.args(host).args(flags).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a log file")).stderr(log);
    let mut child = command.spawn().expect("dockerd");
    let answers = || {
        let mut version = Command::new("docker");
        version.args(host).arg("version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let mut attempts = 0;
    while !answers() {
        attempts += 1;
        if attempts == 600 {
            let _ = child.kill();
            let _ = child.wait();
            panic!("dockerd did not come up; see {}", path.display());
        }
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    child
}

fn docker(name: &'static str, host: &[&str], run_flags: Vec<&'static str>, process: Option<i32>) -> Engine {
    let prefix = std::iter::once("docker").chain(host.iter().copied()).map(str::to_owned).collect();
    Engine { name, prefix, environment: vec![], run_flags, process, failures: AtomicU32::new(0) }
}

fn hako(plan: &Plan) -> Engine {
    let root = plan.data.join("hako");
    Engine {
        name: "hako",
        prefix: vec![plan.hako.display().to_string()],
        environment: vec![("HAKO_ROOT", root.display().to_string())],
        run_flags: vec![],
        process: None,
        failures: AtomicU32::new(0),
    }
}

fn podman(plan: &Plan) -> Engine {
    let root = plan.data.join("podman").display().to_string();
    let prefix = [
        "podman",
        "--root",
        &root,
        "--runroot",
        "/run/podman-bench",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "file",
    ];
    Engine {
        name: "podman",
        prefix: prefix.map(str::to_owned).to_vec(),
        environment: vec![],
        run_flags: vec![],
        process: None,
        failures: AtomicU32::new(0),
    }
}

fn installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

/// A tar of a root file system with the static busybox.
fn busybox_image(plan: &Plan) -> String {
    let root = plan.data.join("busybox-root");
    for dir in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        std::fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static");
    let links = "for name in $(/bin/busybox --list); do ln -sf busybox $0/bin/$name; done; rm -f $0/bin/busybox; cp /bin/busybox $0/bin/; tar -C $0 -cf $0.tar .";
    let _ = Command::new("sh").args(["-c", links]).arg(&root).status();
    format!("{}.tar", root.display())
}
