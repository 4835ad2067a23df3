//! A throw-away root file system with busybox, and containers in it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hako_runtime::hook::Identity;
use hako_runtime::launch::{self, LaunchOptions, RootfsPlan, Running};
use hako_runtime::seed::Seed;
use hako_runtime::spec::{Capabilities, Linux, Mount, Namespace, NamespaceKind, Process, Root, Seccomp, Spec};
use hako_runtime::stdio::Stdio;
use hako_runtime::{LaunchError, exec};
use hako_sys::process::{Exit, SingleThreaded};

/// Docker's default capabilities.
pub(crate) const USUAL_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The masked paths of an ordinary container.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

pub(crate) const ENOUGH: std::time::Duration = std::time::Duration::from_secs(20);

/// Everything of one test; nothing of it is left when it is dropped.
pub(crate) struct Vessel {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) witness: SingleThreaded,
    pub(crate) cgroup: String,
}

/// What a finished program left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) exit: Exit,
    pub(crate) output: String,
    pub(crate) error: String,
}

impl Vessel {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("hako-runtime-").tempdir().unwrap();
        let vessel = Self {
            directory,
            witness: SingleThreaded::check().unwrap(),
            cgroup: format!("/hako-test-{}/box", std::process::id()),
        };
        for name in ["lower/bin", "lower/etc", "lower/tmp", "upper", "work", "plain"] {
            std::fs::create_dir_all(vessel.path(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", vessel.path("lower/bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "ls", "id", "sleep", "mount", "grep", "stat", "true", "false", "echo", "ps", "tty", "hostname",
        ] {
            std::os::unix::fs::symlink("busybox", vessel.path("lower/bin").join(applet)).unwrap();
        }
        std::fs::write(
            vessel.path("lower/etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        )
        .unwrap();
        vessel
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn overlay(&self) -> RootfsPlan {
        RootfsPlan::Overlay {
            lowers: vec![self.path("lower")],
            upper: self.path("upper"),
            work: self.path("work"),
            volatile: true,
        }
    }

    /// Docker's default container, running `args`.
    pub(crate) fn spec(&self, args: &[&str]) -> Spec {
        let caps: Vec<String> = USUAL_CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
        Spec {
            oci_version: "1.2.0".into(),
            process: Some(Process {
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()],
                cwd: "/".into(),
                capabilities: Some(Capabilities {
                    bounding: caps.clone(),
                    effective: caps.clone(),
                    permitted: caps,
                    ..Capabilities::default()
                }),
                ..Process::default()
            }),
            root: Some(Root::default()),
            hostname: "vessel".into(),
            mounts: usual_mounts(),
            linux: Some(Linux {
                cgroups_path: self.cgroup.clone(),
                namespaces: usual_namespaces(),
                seccomp: Some(Seccomp::builtin()),
                masked_paths: MASKED.map(String::from).to_vec(),
                readonly_paths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
                    .map(String::from)
                    .to_vec(),
                ..Linux::default()
            }),
            ..Spec::default()
        }
    }

    pub(crate) fn options(&self, stdio: Stdio) -> LaunchOptions {
        LaunchOptions { stdio, rootfs: self.overlay(), init: false, identity: Identity::default(), apart: None }
    }

    pub(crate) fn launch(&self, spec: &Spec) -> Result<Running, LaunchError> {
        self.launch_with(None, spec, self.options(Stdio::Pipes { stdin: true }))
    }

    pub(crate) fn launch_with(
        &self,
        seed: Option<Seed>,
        spec: &Spec,
        options: LaunchOptions,
    ) -> Result<Running, LaunchError> {
        launch::prepare(self.witness, seed, spec, options)?.start()
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, spec: &Spec) -> Finished {
        self.finish(self.launch(spec).unwrap_or_else(|error| panic!("launch: {error}")))
    }

    /// Runs a shell script in a default container to its end.
    pub(crate) fn sh(&self, script: &str) -> Finished {
        self.run(&self.spec(&["sh", "-c", script]))
    }

    pub(crate) fn finish(&self, mut running: Running) -> Finished {
        drop(running.streams.stdin.take());
        let output = read(running.streams.stdout.take());
        let error = read(running.streams.stderr.take());
        let exit = running.process.wait().unwrap();
        running.group.delete().unwrap();
        Finished { exit, output, error }
    }

    pub(crate) fn exec(&self, running: &Running, args: &[&str]) -> Finished {
        let process = self.spec(args).process.unwrap();
        self.exec_process(running, &process)
    }

    pub(crate) fn exec_process(&self, running: &Running, process: &Process) -> Finished {
        let builtin = Seccomp::builtin();
        let target = exec::Target::new(&running.process, &running.group, Some(&builtin));
        let mut done = exec::spawn(self.witness, &target, process, Stdio::Pipes { stdin: false }).unwrap();
        let output = read(done.streams.stdout.take());
        let error = read(done.streams.stderr.take());
        Finished { exit: done.process.wait().unwrap(), output, error }
    }
}

impl Drop for Vessel {
    fn drop(&mut self) {
        if let Ok(group) = hako_sys::cgroup::Group::open(&self.cgroup) {
            let _ = group.kill_all();
            let _ = group.delete();
        }
        if let Some((parent, _)) = self.cgroup.rsplit_once('/') {
            let _ = hako_sys::cgroup::Group::open(parent).and_then(|group| group.delete());
        }
    }
}

pub(crate) fn read(stream: Option<OwnedFd>) -> String {
    let mut text = String::new();
    if let Some(fd) = stream {
        // A terminal whose last process is gone answers EIO, which is its end of file.
        let _ = File::from(fd).read_to_string(&mut text);
    }
    text
}

/// Reads until a text has come.
pub(crate) fn await_text(fd: &OwnedFd, text: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert!(hako_sys::poll::wait_one(fd, hako_sys::poll::Interest::Read, Some(ENOUGH)).unwrap(), "no {text:?}");
        let count = rustix::io::read(fd, &mut buffer).unwrap();
        assert!(count > 0, "end of file before {text:?}: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(seen).unwrap()
}

fn usual_namespaces() -> Vec<Namespace> {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    [Mount, Network, Uts, Pid, Ipc, Cgroup].map(|kind| Namespace { kind, path: String::new() }).to_vec()
}

pub(crate) fn mount(destination: &str, kind: &str, source: &str, options: &str) -> Mount {
    Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.into(),
        options: options.split(',').map(String::from).collect(),
        ..Mount::default()
    }
}

pub(crate) fn bind(source: &Path, destination: &str, options: &str) -> Mount {
    mount(destination, "bind", source.to_str().unwrap(), options)
}

fn usual_mounts() -> Vec<Mount> {
    vec![
        mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=67108864"),
    ]
}
