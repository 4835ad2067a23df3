//! A throw-away container with busybox, its supervisor, and an engine that talks to it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hako_model::id::{ContainerId, ExecId};
use hako_model::restart::Policy;
use hako_model::state::{Notice, Status};
use hako_supervisor::Handle;
use hako_supervisor::description::{Description, Network, RootfsPlan};
use hako_supervisor::handle::Received;
use hako_supervisor::log::config::LogConfig;
use hako_supervisor::log::read::{Query, Reader};
use hako_supervisor::protocol::{Answer, Ask, Attach, Event, Failure, Framing, Kind, Message};
use hako_supervisor::spec::{Linux, Mount, Namespace, NamespaceKind, Process, Root, Seccomp, Spec};
use hako_sys::poll::{Interest, wait_one};

/// Longer than anything here takes.
pub(crate) const ENOUGH: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Everything of one test; nothing of it is left when it is dropped.
pub(crate) struct Stage {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) description: Description,
    cgroup: String,
}

impl Stage {
    /// A container that runs `script` in a shell.
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("hako-supervisor-").tempdir().unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/hako-test-{}-{number}", std::process::id());
        make_rootfs(&directory.path().join("lower"));
        for name in ["upper", "work", "container"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let description = describe(directory.path(), &cgroup, script);
        Self { directory, description, cgroup }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("container").join(name)
    }

    /// A spare supervisor with an engine connected.
    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Handle::spawn(&format!("{}/spare", self.cgroup)).unwrap())
    }

    /// A started container.
    pub(crate) fn start(&self) -> Engine {
        let mut engine = self.engine();
        engine.start(self).unwrap();
        engine
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.description.spec.process.as_mut().unwrap()
    }

    pub(crate) fn status(&self) -> Status {
        serde_json::from_slice(&std::fs::read(self.path("status.json")).unwrap()).unwrap()
    }

    /// All that was logged, a stream's name before each line.
    pub(crate) fn log(&self) -> Vec<String> {
        let mut reader = Reader::open(&self.description.log, Query::ALL).unwrap();
        let mut lines = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            lines.push(format!("{}: {}", entry.stream.name(), String::from_utf8_lossy(entry.line).trim_end()));
        }
        lines
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a failure a supervisor may still be giving things back.
        for _ in 0..200 {
            let removed = ["/box", "/spare", ""].map(|name| remove_group(&format!("{}{name}", self.cgroup)));
            if removed == [true; 3] {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn remove_group(path: &str) -> bool {
    let Ok(group) = hako_sys::cgroup::Group::open(path) else { return true };
    !group.exists() || group.kill_all().and_then(|()| group.delete()).is_ok()
}

fn make_rootfs(root: &Path) {
    for name in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in [
        "sh", "cat", "sleep", "true", "false", "echo", "stty", "tty", "head", "yes", "dd", "ps", "kill", "seq", "tail",
        "nc",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
}

fn describe(directory: &Path, cgroup: &str, script: &str) -> Description {
    let container = directory.join("container");
    Description {
        id: ContainerId::from_bytes(&[7; 32]),
        name: "stage".into(),
        instance: String::new(),
        spec: spec(&format!("{cgroup}/box"), &["sh", "-c", script]),
        rootfs: RootfsPlan::Overlay {
            lowers: vec![directory.join("lower")],
            upper: directory.join("upper"),
            work: directory.join("work"),
            volatile: true,
        },
        network: Network::default(),
        log: LogConfig::json_file(container.join("c-json.log")),
        restart: Policy::No,
        probe: None,
        remedy: None,
        backoff: Default::default(),
        checkpoint: None,
        secrets: Vec::new(),
        stop_signal: 15,
        stop_timeout: 10,
        open_stdin: false,
        stdin_once: false,
        init: false,
        socket: directory.join("supervisor.sock"),
        directory: container,
    }
}

pub(crate) fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        ..Process::default()
    }
}

fn spec(cgroup: &str, args: &[&str]) -> Spec {
    use NamespaceKind::{Cgroup, Ipc, Mount as MountNamespace, Network as NetworkNamespace, Pid, Uts};
    let mount = |destination: &str, kind: &str, options: &str| Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: kind.into(),
        options: options.split(',').map(String::from).collect(),
        ..Mount::default()
    };
    Spec {
        oci_version: "1.2.0".into(),
        process: Some(process(args)),
        root: Some(Root::default()),
        hostname: "stage".into(),
        mounts: vec![
            mount("/proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ],
        linux: Some(Linux {
            cgroups_path: cgroup.into(),
            namespaces: [MountNamespace, NetworkNamespace, Uts, Pid, Ipc, Cgroup]
                .map(|kind| Namespace { kind, path: String::new() })
                .to_vec(),
            seccomp: Some(Seccomp::builtin()),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// The engine's side.
pub(crate) struct Engine {
    pub(crate) handle: Handle,
    asked: u64,
    events: VecDeque<Event>,
    /// Events seen so far, in short.
    pub(crate) history: Vec<String>,
}

impl Engine {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, asked: 0, events: VecDeque::new(), history: Vec::new() }
    }

    fn message(&mut self) -> Option<Message> {
        loop {
            match self.handle.receive().unwrap() {
                Received::Message(message) => return Some(*message),
                Received::Closed => return None,
                Received::Nothing => {
                    assert!(wait_one(&self.handle, Interest::Read, Some(ENOUGH)).unwrap(), "no message");
                }
            }
        }
    }

    pub(crate) fn send(&mut self, ask: Ask, fds: &[BorrowedFd<'_>]) -> u64 {
        self.asked += 1;
        assert!(self.handle.send(self.asked, ask, fds).unwrap(), "no room");
        self.asked
    }

    pub(crate) fn reply(&mut self, wanted: u64) -> Result<Answer, Failure> {
        loop {
            match self.message().expect("supervisor is gone") {
                Message::Event(event) => self.take_in(event),
                Message::Reply { id, result } => {
                    assert_eq!(id, wanted);
                    return result;
                }
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let id = self.send(ask, &[]);
        self.reply(id)
    }

    fn take_in(&mut self, event: Event) {
        self.history.push(short(&event.kind));
        self.events.push_back(event);
    }

    /// The next event that was not looked at yet.
    pub(crate) fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match self.message().expect("supervisor is gone") {
                Message::Event(event) => self.take_in(event),
                Message::Reply { .. } => panic!("unexpected reply"),
            }
        }
    }

    /// Waits for an event that is called `name`.
    pub(crate) fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.event();
            if short(&event.kind) == name {
                return event;
            }
        }
    }

    pub(crate) fn start(&mut self, stage: &Stage) -> Result<Status, Failure> {
        match self.ask(Ask::Start(Box::new(stage.description.clone())))? {
            Answer::Started { status, .. } => Ok(*status),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the end, lets the supervisor go, and says what the exit code was.
    pub(crate) fn finish(mut self) -> i32 {
        let left = self.until("left");
        let status = left.status.unwrap();
        let id = self.send(Ask::Acknowledge { seq: left.seq }, &[]);
        self.reply(id).unwrap();
        assert!(self.message().is_none(), "the supervisor leaves");
        self.handle.process().unwrap().wait().unwrap();
        status.exit_code
    }

    /// Attaches a client.
    pub(crate) fn attach(&mut self, framing: Framing, change: impl FnOnce(&mut Attach)) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(ENOUGH)).unwrap();
        let mut attach = Attach {
            stdin: true,
            stdout: true,
            stderr: true,
            logs: false,
            stream: true,
            framing,
            detach_keys: b"\x10\x11".to_vec(),
            leftover: vec![],
        };
        change(&mut attach);
        let id = self.send(Ask::Attach(attach), &[theirs.as_fd()]);
        self.reply(id).unwrap();
        ours
    }
}

pub(crate) fn exec_id(number: u8) -> ExecId {
    ExecId::from_bytes(&[number; 32])
}

/// An event in a word or two.
pub(crate) fn short(kind: &Kind) -> String {
    match kind {
        Kind::Life(Notice::Start) => "start".into(),
        Kind::Life(Notice::Die { exit_code, .. }) => format!("die {exit_code}"),
        Kind::Life(Notice::Oom) => "oom".into(),
        Kind::Life(Notice::Kill { signal }) => format!("kill {signal}"),
        Kind::Life(Notice::Stop) => "stop".into(),
        Kind::Life(Notice::Pause) => "pause".into(),
        Kind::Life(Notice::Unpause) => "unpause".into(),
        Kind::Life(Notice::HealthStatus { status }) => status.as_str().into(),
        Kind::Attach => "attach".into(),
        Kind::Detach => "detach".into(),
        Kind::Resize { .. } => "resize".into(),
        Kind::ExecCreate { .. } => "exec_create".into(),
        Kind::ExecStart { .. } => "exec_start".into(),
        Kind::ExecDetach { .. } => "exec_detach".into(),
        Kind::ExecDie { exit_code, .. } => format!("exec_die {exit_code}"),
        Kind::Left => "left".into(),
    }
}
