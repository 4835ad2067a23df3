//! A private hako: root directory, daemon and network namespace, gone without a trace at the end of the test.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::Digest as _;
use tempfile::TempDir;

/// How long anything in a test may take before it counts as hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const HAKO: &str = env!("CARGO_BIN_EXE_hako");

/// A private hako.
pub(crate) struct House {
    dir: TempDir,
}

/// What a command printed and how it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl House {
    /// A fresh root in a fresh network namespace, with the `busybox` image in it.
    pub(crate) fn new() -> House {
        let house = House::empty();
        house.import_busybox();
        house
    }

    /// A fresh root in a fresh network namespace, without images.
    pub(crate) fn empty() -> House {
        hako_sys::netns::unshare_network().expect("a network namespace of the test's own (are we root?)");
        run_tool("ip", ["link", "set", "lo", "up"]);
        House::in_this_network()
    }

    /// A fresh root in the network namespace the test is already in.
    pub(crate) fn in_this_network() -> House {
        House { dir: tempfile::Builder::new().prefix("hako-e2e-").tempdir().expect("a private root") }
    }

    /// Writes `daemon.json`, which the next daemon of this house reads.
    pub(crate) fn configure(&self, json: &str) {
        std::fs::create_dir_all(self.path()).unwrap();
        std::fs::write(self.path().join("daemon.json"), json).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("run/hako.sock")
    }

    /// A command of this house, ready to be started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(HAKO);
        command.args(args);
        self.at_home(&mut command);
        command
    }

    /// The stock docker CLI, pointed at this house's socket.
    pub(crate) fn docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        self.at_home(&mut command);
        finish(command.output().expect("the docker CLI"))
    }

    /// The docker CLI of docker 28.5 with its buildx and compose plugins, pointed at this house's socket. None where
    /// `./test` could not fetch them; then the test is skipped, and says so.
    pub(crate) fn clients(&self) -> Option<Command> {
        let Some(clients) = std::env::var_os("HAKO_TEST_CLIENTS").map(PathBuf::from) else {
            println!("skipped: HAKO_TEST_CLIENTS names no docker CLI with buildx");
            return None;
        };
        self.ok(["version"]);
        let mut command = Command::new(clients.join("docker"));
        self.at_home(&mut command);
        let config = self.path().join("home/.docker");
        std::fs::create_dir_all(&config).unwrap();
        if !config.join("cli-plugins").exists() {
            std::os::unix::fs::symlink(clients.join("cli-plugins"), config.join("cli-plugins")).unwrap();
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        Some(command)
    }

    /// Whether the docker CLI has its plugins here.
    pub(crate) fn has_plugins(&self) -> bool {
        self.path().join("home/.docker/cli-plugins").exists()
    }

    /// Gives a command this house's surroundings and nothing of the person's who runs the tests.
    pub(crate) fn at_home(&self, command: &mut Command) {
        let home = self.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        for name in ["DOCKER_CONTEXT", "DOCKER_CONFIG", "HAKO_HOST", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        command.env("PATH", path_with_criu());
        command.env("HAKO_ROOT", self.path()).env("HOME", home).env("TZ", "UTC").stdin(Stdio::null());
    }

    /// Runs to the end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        finish(self.command(args).output().expect("the hako binary"))
    }

    /// Runs to the end with something on stdin.
    pub(crate) fn run_with_input<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Ended {
        let mut command = self.command(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the hako binary");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let ended = finish(child.wait_with_output().expect("the end of hako"));
        feeder.join().unwrap();
        ended
    }

    /// Runs, asserts success, returns what was printed without the last line end.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let ended = self.run(&args);
        assert_eq!(ended.code, 0, "hako {args:?}\nstdout: {}\nstderr: {}", ended.stdout, ended.stderr);
        ended.stdout.trim_end_matches('\n').to_owned()
    }

    /// Makes a file that a container waits for. If it then ends, so may the command that made the file.
    pub(crate) fn prod(&self, container: &str, file: &str) {
        let ended = self.run(["exec", container, "touch", file]);
        assert!([0, 137].contains(&ended.code), "touch {file} in {container}: {} {}", ended.code, ended.stderr);
    }

    /// Runs, asserts that it fails with `code`, returns what it said on stderr.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, code: i32, args: impl IntoIterator<Item = S>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let ended = self.run(&args);
        assert_eq!(ended.code, code, "hako {args:?}\nstdout: {}\nstderr: {}", ended.stdout, ended.stderr);
        ended.stderr
    }

    /// Starts a command whose streams are pipes.
    pub(crate) fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the hako binary")
    }

    /// One field of `inspect`, by Go template.
    pub(crate) fn inspect(&self, name: &str, template: &str) -> String {
        self.ok(["inspect", "--format", template, name])
    }

    /// The same, or nothing if there is no such object.
    pub(crate) fn inspect_or_empty(&self, name: &str, template: &str) -> String {
        self.run(["inspect", "--format", template, name]).stdout.trim_end_matches('\n').to_owned()
    }

    /// Waits until a field of `inspect` has a value. Bounded; asks again only when the container's state can have moved.
    pub(crate) fn await_field(&self, name: &str, template: &str, wanted: &str) {
        await_that(&format!("{template} of {name} to be {wanted}"), || self.inspect(name, template) == wanted);
    }

    /// The daemon's process id, if one runs.
    pub(crate) fn daemon_pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.path().join("run/daemon.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        alive(pid).then_some(pid)
    }

    /// Kills the daemon without warning and waits until it is gone.
    pub(crate) fn kill_daemon(&self) {
        let pid = self.daemon_pid().expect("a running daemon");
        signal(pid, "KILL");
        // Its first thread may be gone before its others, and only with the last one goes the socket.
        let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        await_that("the daemon to be gone", || !alive(pid) && threads() <= 1);
    }

    /// Has the daemon leave, if one runs, and waits until it is gone.
    pub(crate) fn end_daemon(&self) {
        let Some(pid) = self.daemon_pid() else { return };
        signal(pid, "TERM");
        let deadline = Instant::now() + PATIENCE;
        while alive(pid) && Instant::now() < deadline {
            pause();
        }
    }

    /// Puts the busybox image into the store.
    pub(crate) fn import_busybox(&self) {
        self.ok(["import", "--change", "CMD [\"sh\"]", busybox_tar().to_str().unwrap(), "busybox"]);
    }

    /// What is still on the machine because of this house: processes, mounts, groups, interfaces.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let root = self.path().to_str().unwrap();
        let mut left = Vec::new();
        for line in std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
            if line.contains(root) {
                left.push(format!("mount {line}"));
            }
        }
        for (pid, command) in processes() {
            if command.contains(root) {
                left.push(format!("process {pid} {command}"));
            }
        }
        let links = Command::new("ip").args(["-o", "link"]).output().map(|output| output.stdout).unwrap_or_default();
        for link in String::from_utf8_lossy(&links).lines().filter(|link| link.contains("veth")) {
            left.push(format!("interface {link}"));
        }
        left.extend(self.groups().into_iter().map(|group| format!("group {group}")));
        left
    }

    /// This house's groups in all hierarchies. Their name is made of the data's place.
    fn groups(&self) -> Vec<String> {
        let digest = sha2::Sha256::digest(self.data().as_os_str().as_encoded_bytes());
        let word: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let places = hierarchies.map(|hierarchy| hierarchy.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        let groups = places.map(|place| place.join(format!("hako-{word}"))).filter(|group| group.is_dir());
        groups.map(|group| group.display().to_string()).collect()
    }

    /// Removes every container and ends the daemon; what is left afterwards is a defect.
    fn tear_down(&self) -> Vec<String> {
        if self.daemon_pid().is_some() || self.data().join("containers").exists() {
            let ids = self.run(["ps", "-aq"]).stdout;
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                self.run(["rm", "-fv"].into_iter().chain(ids));
            }
        }
        self.end_daemon();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.leftovers().is_empty() && Instant::now() < deadline {
            pause();
        }
        self.leftovers()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let left = self.tear_down();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path().join("run/daemon.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            for line in tail.into_iter().rev() {
                eprintln!("daemon: {line}");
            }
        } else {
            assert!(left.is_empty(), "left behind: {left:#?}");
        }
    }
}

/// The tar of a root file system with busybox and its links, made once for all tests of this process.
pub(crate) fn busybox_tar() -> &'static Path {
    static TAR: OnceLock<PathBuf> = OnceLock::new();
    TAR.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("busybox-{}", std::process::id()));
        let root = dir.join("root");
        for folder in ["bin", "etc", "tmp", "root", "dev", "proc", "sys", "var/www"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        // By a process of its own: a descriptor this one has open for writing may be inherited by another test's child
        // for a moment, and then the file cannot be executed.
        run_tool("cp", ["/bin/busybox", root.join("bin/busybox").to_str().unwrap()]);
        run_tool("chroot", [root.to_str().unwrap(), "/bin/busybox", "--install", "-s", "/bin"]);
        std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n")
            .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nwww:x:33:\naudio:x:29:www\n").unwrap();
        run_tool("chmod", ["1777", root.join("tmp").to_str().unwrap()]);
        let tar = dir.join("busybox.tar");
        run_tool("tar", ["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
        tar
    })
}

/// Where programs are found, CRIU among them if `./test` fetched one.
pub(crate) fn path_with_criu() -> std::ffi::OsString {
    let fetched = std::env::var_os("HAKO_TEST_CRIU").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(fetched.into_iter().chain(std::env::split_paths(&path))).unwrap()
}

/// Whether there is a CRIU that knows this kernel; where not, a test is skipped, and says so.
pub(crate) fn has_criu() -> bool {
    let check = Command::new("criu").arg("check").env("PATH", path_with_criu()).output();
    let has = check.is_ok_and(|output| output.status.success());
    if !has {
        println!("skipped: there is no criu here, or it does not know this kernel (criu check)");
    }
    has
}

/// Runs a tool of the host, asserting that it succeeds; returns its stdout.
pub(crate) fn run_tool<S: AsRef<OsStr>>(tool: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(tool).args(args).output().unwrap_or_else(|error| panic!("run {tool}: {error}"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks again until the answer is yes; a minute of no is a failure.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause();
    }
}

/// The pause between two looks at something that has no descriptor to wait on.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

/// Whether a process exists and is not a zombie.
pub(crate) fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Sends a signal by name to one process.
pub(crate) fn signal(pid: i32, name: &str) {
    run_tool("kill", [format!("-{name}"), pid.to_string()]);
}

/// Every process with its command line.
pub(crate) fn processes() -> Vec<(i32, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| alive(*pid))
        .filter_map(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
        })
        .collect()
}

/// Turns a finished process into what the tests look at.
pub(crate) fn finish(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A Python that has docker-py: `./test` makes one and names it here.
pub(crate) fn python() -> String {
    std::env::var("HAKO_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
