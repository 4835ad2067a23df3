//! `hako runtime`: the OCI command line other engines call. A private directory of containers, bundles made by hand.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::house::{Ended, HAKO, alive, await_that, finish, has_criu, path_with_criu, run_tool};

/// A bundle and the containers made of it, gone at the end of the test.
pub(crate) struct Bundle {
    dir: TempDir,
}

/// A description with everything usual and a place for more.
const CONFIG: &str = r#"{"ociVersion":"1.2.0","root":{"path":"rootfs"},"hostname":"bundle",PLUS
"process":{"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],"args":ARGS,
 "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"permitted":["CAP_KILL"]}PROCESS},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
 {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},
 {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["newinstance","ptmxmode=0666"]}MOUNTS],
"linux":{"cgroupsPath":"CGROUP","namespaces":[{"type":"mount"},{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"network"}NS],
 "maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"]LINUX}}"#;

impl Bundle {
    pub(crate) fn new(args: &[&str], more: &[(&str, &str)]) -> Bundle {
        let dir = tempfile::Builder::new().prefix("hako-oci-").tempdir().unwrap();
        let root = dir.path().join("rootfs");
        for name in ["bin", "proc", "dev", "tmp"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        // By a process of its own: a descriptor this one has open for writing may be inherited by another test's child
        // for a moment, and then the file cannot be executed.
        run_tool("cp", ["/bin/busybox", root.join("bin/busybox").to_str().unwrap()]);
        run_tool("chroot", [root.to_str().unwrap(), "/bin/busybox", "--install", "-s", "/bin"]);
        let bundle = Bundle { dir };
        bundle.describe(args, more);
        bundle
    }

    pub(crate) fn describe(&self, args: &[&str], more: &[(&str, &str)]) {
        let list = format!("[{}]", args.iter().map(|arg| format!("{arg:?}")).collect::<Vec<_>>().join(","));
        let mut text = CONFIG.replace("ARGS", &list).replace("CGROUP", &self.cgroup());
        for place in ["PLUS", "PROCESS", "MOUNTS", "NS", "LINUX"] {
            let wanted = more.iter().find(|(name, _)| *name == place).map_or("", |(_, value)| value);
            text = text.replace(place, wanted);
        }
        std::fs::write(self.path("config.json"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn cgroup(&self) -> String {
        format!("/hako-oci-test{}", self.dir.path().display().to_string().replace('/', "-"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HAKO);
        command.arg("runtime").arg("--root").arg(self.path("state")).args(args);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env_remove("LISTEN_FDS");
        command.env("PATH", path_with_criu());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        finish(self.command(args).output().unwrap())
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}\nstdout: {}\nstderr: {}", ended.stdout, ended.stderr);
        ended.stdout.trim_end().to_owned()
    }

    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_ne!(ended.code, 0, "{args:?}: {}", ended.stdout);
        ended.stderr
    }

    /// For containers that outlive the command: what they hold must be no pipe that somebody reads to its end.
    pub(crate) fn leave(&self, args: &[&str]) {
        let output = std::fs::File::create(self.path("output")).unwrap();
        let errors = output.try_clone().unwrap();
        let status = self.command(args).stdout(output).stderr(errors).status().unwrap();
        assert!(status.success(), "{args:?}: {}", self.output());
    }

    /// Starts a command whose end is not waited for.
    pub(crate) fn begin(&self, args: &[&str]) -> std::process::Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn create(&self, id: &str) {
        self.leave(&["create", id]);
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.path("output")).unwrap()
    }

    pub(crate) fn status(&self, id: &str) -> String {
        field(&self.ok(&["state", id]), "status")
    }

    pub(crate) fn await_status(&self, id: &str, wanted: &str) {
        await_that(&format!("{id} to be {wanted}"), || self.status(id) == wanted);
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for id in self.run(&["list", "-q"]).stdout.lines() {
            self.run(&["delete", "--force", id]);
        }
    }
}

/// A field of pretty JSON, without a parser.
pub(crate) fn field(json: &str, name: &str) -> String {
    let line = json.lines().find(|line| line.trim_start().starts_with(&format!("\"{name}\""))).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value).trim().trim_matches([',', '"']).to_owned()
}

#[test]
fn a_container_lives_from_create_to_delete() {
    let bundle = Bundle::new(&["sh", "-c", "echo started; exec sleep 600"], &[]);
    bundle.create("box");
    assert_eq!(bundle.status("box"), "created");
    assert_eq!(bundle.output(), "");
    assert!(bundle.fails(&["create", "box"]).contains("already exists"));
    bundle.ok(&["pause", "box"]);
    assert_eq!(bundle.status("box"), "paused");
    assert!(bundle.fails(&["start", "box"]).contains("cannot start container box that is paused"));
    bundle.ok(&["resume", "box"]);
    assert_eq!(bundle.status("box"), "created");
    bundle.ok(&["start", "box"]);
    assert_eq!(bundle.status("box"), "running");
    await_that("its words", || bundle.output() == "started\n");
    assert!(bundle.fails(&["start", "box"]).contains("cannot start container box that is running"));
    assert!(bundle.fails(&["delete", "box"]).contains("cannot delete container box that is running"));
    assert_eq!(bundle.ok(&["list", "-q"]), "box");
    bundle.ok(&["pause", "box"]);
    assert_eq!(bundle.status("box"), "paused");
    assert!(bundle.fails(&["exec", "box", "true"]).contains("paused"));
    bundle.ok(&["resume", "box"]);
    let pid: i32 = field(&bundle.ok(&["state", "box"]), "pid").parse().unwrap();
    assert_eq!(bundle.ok(&["ps", "--format", "json", "box"]), format!("[{pid}]"));
    assert!(bundle.ok(&["ps", "box"]).lines().count() == 2);
    assert!(bundle.ok(&["events", "--stats", "box"]).contains("\"pids\":{\"current\":1"));
    bundle.ok(&["kill", "box", "KILL"]);
    bundle.await_status("box", "stopped");
    assert!(bundle.fails(&["kill", "box", "TERM"]).contains("container not running"));
    bundle.ok(&["delete", "box"]);
    assert!(bundle.fails(&["state", "box"]).contains("container does not exist"));
    assert!(!alive(pid));
    let group = hako_sys::cgroup::Group::open(&bundle.cgroup()).unwrap();
    assert!(!group.exists(), "its control group is gone");
    bundle.ok(&["delete", "--force", "box"]);
}

#[test]
fn a_group_that_was_left_frozen_or_occupied_is_refused() {
    let bundle = Bundle::new(&["sleep", "600"], &[]);
    let group = hako_sys::cgroup::Group::create(&bundle.cgroup()).unwrap();
    group.freeze().unwrap();
    for command in ["create", "run"] {
        let said = bundle.fails(&[command, "box"]);
        assert!(said.contains("container's cgroup unexpectedly frozen") && said.contains(group.path()), "{said}");
    }
    group.thaw().unwrap();
    let mut stranger = Killed(Command::new("sleep").arg("600").spawn().unwrap());
    group.set("pids", "cgroup.procs", &stranger.0.id().to_string()).unwrap();
    let said = bundle.fails(&["create", "box"]);
    assert!(said.contains("container's cgroup is not empty: 1 process"), "{said}");
    assert_eq!(bundle.ok(&["list", "-q"]), "", "what was refused leaves nothing");
    stranger.0.kill().unwrap();
    stranger.0.wait().unwrap();
    bundle.leave(&["run", "-d", "box"]);
    // A group below the container's may be frozen while the container itself is not.
    let below = hako_sys::cgroup::Group::create(&format!("{}/below", bundle.cgroup())).unwrap();
    below.freeze().unwrap();
    assert_eq!(bundle.status("box"), "running");
    let said = bundle.fails(&["exec", "--cgroup", "below", "box", "true"]);
    assert!(said.contains("unexpectedly frozen"), "{said}");
    bundle.ok(&["exec", "box", "true"]);
    bundle.ok(&["delete", "--force", "box"]);
    assert!(!group.exists());
}

#[test]
fn run_and_exec_return_what_the_program_does() {
    let bundle = Bundle::new(&["sh", "-c", "hostname; exit 7"], &[]);
    let ended = bundle.run(&["run", "box"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (7, "bundle\n"), "{}", ended.stderr);
    assert_eq!(bundle.ok(&["list", "-q"]), "");
    bundle.describe(&["sleep", "600"], &[]);
    bundle.leave(&["run", "-d", "--pid-file", "pid", "box"]);
    let pid = std::fs::read_to_string(bundle.path("pid")).unwrap();
    assert_eq!(pid, field(&bundle.ok(&["state", "box"]), "pid"));
    let ended = bundle.run(&[
        "exec",
        "-e",
        "A=B",
        "--cwd",
        "/tmp",
        "--user",
        "5:6",
        "box",
        "sh",
        "-c",
        "echo $A; pwd; id -u; id -g; exit 3",
    ]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "B\n/tmp\n5\n6\n"), "{}", ended.stderr);
    let process =
        r#"{"user":{"uid":0,"gid":0},"cwd":"/","args":["grep","^CapEff","/proc/self/status"],"env":["PATH=/bin"]}"#;
    std::fs::write(bundle.path("process.json"), process).unwrap();
    assert!(bundle.ok(&["exec", "--process", "process.json", "box"]).ends_with("0000000000000000"));
    let ended = bundle.run(&["exec", "box", "missing"]);
    assert_eq!(ended.code, 255);
    assert!(ended.stderr.contains("exec: \"missing\": executable file not found in $PATH"), "{}", ended.stderr);
}

#[test]
fn complaints_go_to_the_log_as_json() {
    let bundle = Bundle::new(&["missing"], &[]);
    bundle.fails(&["--log", "log", "--log-format", "json", "create", "box"]);
    let log = std::fs::read_to_string(bundle.path("log")).unwrap();
    assert!(log.starts_with("{\"level\":\"error\",\"msg\":\"unable to start container process: exec: "), "{log}");
    assert!(log.contains("\"time\":\"20") && log.lines().count() == 1, "{log}");
    assert_eq!(bundle.ok(&["list", "-q"]), "", "what could not be made leaves nothing");
    assert!(bundle.fails(&["fly"]).contains("unknown command \"fly\""));
    assert!(bundle.fails(&["create", "--wings", "box"]).contains("--wings"));
    assert!(bundle.fails(&["state", "../box"]).contains("invalid container ID"));
    assert!(bundle.ok(&["features"]).contains("\"SCMP_ACT_NOTIFY\""));
    assert!(bundle.ok(&["--version"]).contains("spec: 1.2"));
}

#[test]
fn hooks_run_in_order_and_see_the_state() {
    let bundle = Bundle::new(&["sh", "-c", "echo program >>/hooks; exec sleep 600"], &[]);
    let root = bundle.path("rootfs");
    let record = root.join("hooks");
    let hook = |point: &str, inside: bool| {
        let file = if inside { "/hooks".to_owned() } else { record.display().to_string() };
        let script =
            format!("sed 's/.*\\\"status\\\":\\\"\\\\([a-z]*\\\\)\\\".*/{point} \\\\1/' >>{file}; echo >>{file}");
        format!(r#""{point}":[{{"path":"/bin/sh","args":["sh","-c","{script}"],"env":["PATH=/bin:/usr/bin"]}}]"#)
    };
    let points = [
        hook("prestart", false),
        hook("createRuntime", false),
        hook("createContainer", false),
        hook("startContainer", true),
        hook("poststart", false),
        hook("poststop", false),
    ];
    bundle.describe(
        &["sh", "-c", "echo program >>/hooks; exec sleep 600"],
        &[("PLUS", &format!("\"hooks\":{{{}}},", points.join(",")))],
    );
    bundle.create("box");
    bundle.ok(&["start", "box"]);
    let told = || {
        let text = std::fs::read_to_string(&record).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    await_that("program and hook", || told().contains("program") && told().contains("poststart"));
    bundle.ok(&["delete", "--force", "box"]);
    let told = told();
    let before = "prestart created createRuntime creating createContainer creating startContainer created ";
    assert!(told.starts_with(before), "{told}");
    assert!(told.contains("poststart running") && told.ends_with("poststop stopped"), "{told}");
}

#[test]
fn hooks_that_fail_end_the_creation_or_are_only_told() {
    let failing = |point: &str, script: &str| {
        format!(r#""hooks":{{"{point}":[{{"path":"/bin/sh","args":["sh","-c","{script}"],"timeout":1}}]}},"#)
    };
    let bundle = Bundle::new(&["true"], &[]);
    for point in ["prestart", "createRuntime", "createContainer"] {
        bundle.describe(&["true"], &[("PLUS", &failing(point, "echo no >&2; exit 3"))]);
        let said = bundle.fails(&["create", "box"]);
        assert!(said.contains(&format!("error running {point} hook #0")) && said.contains("exit status 3"), "{said}");
        assert!(said.contains("no"), "{said}");
        assert_eq!(bundle.ok(&["list", "-q"]), "");
    }
    bundle.describe(&["true"], &[("PLUS", &failing("prestart", "exec sleep 30"))]);
    assert!(bundle.fails(&["create", "box"]).contains("did not end within 1 s"));
    bundle.describe(&["true"], &[("PLUS", &failing("startContainer", "exit 3"))]);
    assert!(bundle.fails(&["run", "box"]).contains("startContainer"));
    for point in ["poststart", "poststop"] {
        bundle.describe(&["true"], &[("PLUS", &failing(point, "exit 3"))]);
        let ended = bundle.run(&["run", "box"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("warning: error running {point} hook")), "{}", ended.stderr);
    }
}

#[test]
fn hooks_in_the_container_are_as_confined_as_its_program() {
    let hooks = r#""hooks":{"startContainer":[{"path":"/bin/sh","args":["sh","-c","mkdir /tmp/made; echo $WORD >/tmp/word"]}]},"#;
    let filter = r#","seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let bundle = Bundle::new(&["sh", "-c", "cat /tmp/word; ls -d /tmp/made"], &[]);
    bundle.describe(&["sh", "-c", "cat /tmp/word; ls -d /tmp/made"], &[("PLUS", hooks), ("LINUX", filter)]);
    let config = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    let config = config.replace(r#""PATH=/bin""#, r#""PATH=/usr/bin","WORD=first","PATH=/bin","WORD=word""#);
    std::fs::write(bundle.path("config.json"), config).unwrap();
    let ended = bundle.run(&["run", "box"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "word\n"), "{}", ended.stderr);
}

#[test]
fn what_others_left_half_made_does() {
    let bundle = Bundle::new(&["cat", "/deep/er/hosts"], &[]);
    // A link in the image to what is not there yet.
    std::os::unix::fs::symlink("../deep/er/hosts", bundle.path("rootfs/tmp/hosts")).unwrap();
    std::fs::write(bundle.path("words"), "words\n").unwrap();
    let words = bundle.path("words").display().to_string();
    let mount = format!(r#",{{"destination":"/tmp/hosts","type":"bind","source":"{words}","options":["bind"]}}"#);
    bundle.describe(&["cat", "/deep/er/hosts"], &[("MOUNTS", &mount)]);
    assert_eq!(bundle.ok(&["run", "box"]), "words");
    // A parent group that somebody made and told no processors.
    let parent = hako_sys::cgroup::Group::open(&bundle.cgroup()).unwrap();
    if let Some(cpuset) = parent.directory("cpuset") {
        std::fs::create_dir(cpuset).unwrap();
    }
    let config = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    let below = format!("{}/below", bundle.cgroup());
    std::fs::write(bundle.path("config.json"), config.replace(&bundle.cgroup(), &below)).unwrap();
    let ended = bundle.run(&["run", "box"]);
    parent.delete().unwrap();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "words\n"), "{}", ended.stderr);
}

#[test]
fn a_root_that_is_only_changed_to_shows_no_other_procfs() {
    let bundle = Bundle::new(&["unshare", "-mrpf", "mount", "-t", "proc", "proc", "/proc"], &[]);
    // Without this one, root cannot be mapped to itself.
    let config = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    std::fs::write(bundle.path("config.json"), config.replace("\"CAP_KILL\"", "\"CAP_KILL\",\"CAP_SETFCAP\"")).unwrap();
    for more in [&["run", "box"][..], &["run", "--no-pivot", "box"]] {
        let ended = bundle.run(more);
        assert_ne!(ended.code, 0, "{more:?}: a procfs without masks was mounted");
        assert!(ended.stderr.contains("mount: permission denied"), "{more:?}: {}", ended.stderr);
    }
}

#[test]
fn a_container_is_saved_and_goes_on() {
    if !has_criu() {
        return;
    }
    let count = "i=0; while :; do i=$((i+1)); echo $i >/tmp/count.new; mv /tmp/count.new /tmp/count; sleep 0.02; done";
    let bundle = Bundle::new(&["sh", "-c", count], &[]);
    let counted = || -> u32 {
        let text = std::fs::read_to_string(bundle.path("rootfs/tmp/count")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    let status = bundle.command(&["run", "-d", "box"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    await_that("a count", || counted() > 3);
    bundle.ok(&["checkpoint", "--image-path", "image", "--work-path", "work", "box"]);
    assert_eq!(bundle.ok(&["list", "-q"]), "", "what was saved is gone");
    let before = counted();
    bundle.ok(&["restore", "-d", "--image-path", "image", "--work-path", "work", "box"]);
    assert_eq!(bundle.status("box"), "running");
    await_that("the count to go on", || counted() > before + 3);
    bundle.ok(&["exec", "box", "true"]);
    bundle.ok(&["delete", "--force", "box"]);
}

#[test]
fn a_terminal_goes_to_the_console_socket() {
    let bundle = Bundle::new(&["sh", "-c", "tty; stty size; read line; echo got $line"], &[]);
    let process = r#","terminal":true,"consoleSize":{"height":33,"width":99}"#;
    bundle.describe(&["sh", "-c", "tty; stty size; read line; echo got $line"], &[("PROCESS", process)]);
    assert!(bundle.fails(&["create", "box"]).contains("--console-socket"));
    let script = r#"
import socket,sys,os,subprocess
s=socket.socket(socket.AF_UNIX); s.bind('console'); s.listen(1)
subprocess.check_call(sys.argv[1:]+['create','--console-socket','console','box'])
c,_=s.accept(); data,fds,_,_=socket.recv_fds(c,100,1)
subprocess.check_call(sys.argv[1:]+['start','box'])
seen=b''
def until(word):
    global seen
    while word not in seen:
        seen+=os.read(fds[0],1000)
until(b'33 99'); os.write(fds[0],b'words\n'); until(b'got words')
sys.stdout.buffer.write(seen)"#;
    let mut python = Command::new("python3");
    python.args(["-c", script, HAKO, "runtime", "--root"]).arg(bundle.path("state")).current_dir(bundle.dir.path());
    let ended = finish(python.output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("/dev/pts/0"), "{}", ended.stdout);
}

#[test]
fn namespaces_of_every_kind() {
    let bundle = Bundle::new(&["true"], &[]);
    let userns = r#","uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":100000,"size":65536}]"#;
    run_tool("chmod", ["755", bundle.dir.path().to_str().unwrap()]);
    bundle.describe(
        &["sh", "-c", "cat /proc/self/uid_map /proc/uptime; echo x >/dev/null && id -u; ls -ln / | grep ' proc'"],
        &[
            ("NS", r#",{"type":"user"},{"type":"time"},{"type":"cgroup"}"#),
            ("LINUX", &format!(r#"{userns},"timeOffsets":{{"boottime":{{"secs":1000000000}}}}"#)),
        ],
    );
    let said = bundle.ok(&["run", "box"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"], "{said}");
    assert!(lines[1].split('.').next().unwrap().parse::<u64>().unwrap() > 1_000_000_000, "{said}");
    assert_eq!(lines[2], "0", "{said}");
    // A path to a namespace of another kind is refused, whatever it is called.
    bundle.describe(&["true"], &[("NS", r#",{"type":"time","path":"/proc/self/ns/mnt"}"#)]);
    assert!(bundle.fails(&["run", "box"]).contains("join time namespace"));
    // A user namespace is joined together with what it owns.
    let holder = Command::new("unshare").args(["-Urn", "sleep", "600"]).spawn().unwrap();
    let pid = holder.id();
    let ended = Killed(holder);
    let inner = || {
        std::fs::read_to_string(format!("/proc/{pid}/uid_map")).is_ok_and(|map| map.trim_start().starts_with("0"))
            && std::fs::read_link(format!("/proc/{pid}/ns/user")).ok() != std::fs::read_link("/proc/self/ns/user").ok()
    };
    await_that("the holder's namespaces", inner);
    let joined = format!(r#",{{"type":"user","path":"/proc/{pid}/ns/user"}}"#);
    let text = CONFIG.replace(r#"{"type":"network"}"#, &format!(r#"{{"type":"network","path":"/proc/{pid}/ns/net"}}"#));
    assert!(text.contains(&pid.to_string()));
    bundle.describe(&["readlink", "/proc/self/ns/user"], &[("NS", &joined)]);
    let said = bundle.ok(&["run", "box"]);
    assert_eq!(said, std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap().to_str().unwrap());
    drop(ended);
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mounts_with_mapped_ids_and_recursive_flags() {
    let bundle = Bundle::new(&["true"], &[]);
    let data = bundle.path("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "x").unwrap();
    let mount = |options: &str, more: &str| {
        format!(r#",{{"destination":"/data","type":"bind","source":"{}","options":[{options}]{more}}}"#, data.display())
    };
    let mappings = r#","uidMappings":[{"containerID":0,"hostID":777,"size":10}],"gidMappings":[{"containerID":0,"hostID":888,"size":10}]"#;
    bundle.describe(&["stat", "-c", "%u %g", "/data/file"], &[("MOUNTS", &mount(r#""bind""#, mappings))]);
    let ended = bundle.run(&["run", "box"]);
    // Some file systems cannot map ids; then that is said.
    assert!(
        ended.stdout == "777 888\n" || ended.stderr.contains("map ids of mount"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    bundle.describe(&["touch", "/data/new"], &[("MOUNTS", &mount(r#""rbind","rro""#, ""))]);
    assert!(bundle.fails(&["run", "box"]).contains("Read-only file system"));
    let tmpfs = r#",{"destination":"/data","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"]}"#;
    std::fs::create_dir_all(bundle.path("rootfs/data")).unwrap();
    std::fs::write(bundle.path("rootfs/data/seen"), "copied").unwrap();
    bundle.describe(&["sh", "-c", "cat /data/seen; rm /data/seen"], &[("MOUNTS", tmpfs)]);
    assert_eq!(bundle.ok(&["run", "box"]), "copied");
    assert!(bundle.path("rootfs/data/seen").exists());
}

#[test]
fn a_process_gets_its_priorities_limits_and_descriptors() {
    let bundle = Bundle::new(&["true"], &[]);
    let process = r#","rlimits":[{"type":"RLIMIT_NOFILE","soft":100,"hard":200}],"oomScoreAdj":321,"noNewPrivileges":true,
      "scheduler":{"policy":"SCHED_BATCH","nice":5},"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":0}"#;
    let look = "ulimit -n; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status; cut -d' ' -f19,41 /proc/self/stat; ionice; uname -m";
    bundle.describe(&["sh", "-c", look], &[("PROCESS", process), ("LINUX", r#","personality":{"domain":"LINUX32"}"#)]);
    let said = bundle.ok(&["run", "box"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..4], ["100", "321", "NoNewPrivs:\t1", "5 3"], "{said}");
    assert!(lines[4].starts_with("idle"), "{said}");
    assert!(!cfg!(target_arch = "x86_64") || lines[5] == "i686", "{said}");
    bundle.describe(&["sh", "-c", "cat <&3; ls /proc/self/fd"], &[]);
    let script = r#"exec 3<config.json 5<config.json; exec "$@""#;
    let mut shell = Command::new("bash");
    shell.args(["-c", script, "sh", HAKO, "runtime", "--root"]).arg(bundle.path("state"));
    let ended =
        finish(shell.args(["run", "--preserve-fds", "1", "box"]).current_dir(bundle.dir.path()).output().unwrap());
    assert!(ended.stdout.starts_with("{\"ociVersion\""), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("0\n1\n2\n3\n4\n"), "the fourth is ls's own: {}", ended.stdout);
    assert!(bundle.fails(&["run", "--preserve-fds", "9", "box"]).contains("is not open"));
}

#[test]
fn limits_are_changed_while_it_runs() {
    let bundle = Bundle::new(&["sleep", "600"], &[]);
    bundle.leave(&["run", "-d", "box"]);
    bundle.ok(&["update", "--pids-limit", "17", "--memory", "64m", "box"]);
    let group = hako_sys::cgroup::Group::open(&bundle.cgroup()).unwrap();
    assert_eq!(group.get("pids", "pids.max").unwrap(), "17");
    std::fs::write(bundle.path("limits.json"), r#"{"pids":{"limit":18}}"#).unwrap();
    bundle.ok(&["update", "-r", "limits.json", "box"]);
    assert_eq!(group.get("pids", "pids.max").unwrap(), "18");
    // What an engine sends beside the limits it changes must not take the devices away.
    let whole = r#"{"devices":[{"allow":false,"access":"rwm"}],"pids":{"limit":19}}"#;
    std::fs::write(bundle.path("limits.json"), whole).unwrap();
    bundle.ok(&["update", "-r", "limits.json", "box"]);
    bundle.ok(&["exec", "box", "sh", "-c", "echo >/dev/null"]);
    assert!(bundle.fails(&["update", "--memory", "moon", "box"]).contains("--memory moon"));
}

#[test]
fn what_this_host_lacks_is_refused_by_name() {
    let bundle = Bundle::new(&["true"], &[]);
    let cases = [
        (("LINUX", r#","intelRdt":{"closID":"x"}"#), "linux.intelRdt"),
        (("LINUX", r#","memoryPolicy":{"mode":"MPOL_MOON"}"#), "memory policy"),
        (("LINUX", r#","netDevices":{"eth9":{}}"#), "linux.netDevices"),
        (("LINUX", r#","seccomp":{"defaultAction":"SCMP_ACT_FLY"}"#), "SCMP_ACT_FLY"),
        (("NS", r#",{"type":"moon"}"#), "moon"),
        (("LINUX", r#","resources":{"rdma":{"moon0":{"hcaHandles":1}}}"#), "rdma"),
        (("PROCESS", r#","scheduler":{"policy":"SCHED_MOON"}"#), "SCHED_MOON"),
        (("PROCESS", r#","rlimits":[{"type":"RLIMIT_MOON","soft":1,"hard":1}]"#), "RLIMIT_MOON"),
    ];
    for (more, word) in cases {
        bundle.describe(&["true"], &[more]);
        let said = bundle.fails(&["create", "box"]);
        assert!(said.contains(word), "{word}: {said}");
        assert_eq!(bundle.ok(&["list", "-q"]), "");
    }
    assert!(bundle.fails(&["--systemd-cgroup", "create", "box"]).contains("--systemd-cgroup"));
}

#[test]
fn an_agent_answers_calls_for_the_container() {
    let filter = r#","seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"LISTENER","listenerMetadata":"words",
      "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    let bundle = Bundle::new(&["true"], &[]);
    let socket = bundle.path("agent");
    let filter = filter.replace("LISTENER", socket.to_str().unwrap());
    bundle.describe(&["mkdir", "/tmp/new"], &[("LINUX", &filter)]);
    let script = r#"
import socket,sys,struct,fcntl,subprocess,json
s=socket.socket(socket.AF_UNIX); s.bind('agent'); s.listen(1)
p=subprocess.Popen(sys.argv[1:]+['run','box'],stderr=subprocess.PIPE)
c,_=s.accept(); data,fds,_,_=socket.recv_fds(c,65536,1)
state=json.loads(data); assert state['fds']==['seccompFd'] and state['metadata']=='words' and state['state']['id']=='box', state
RECV,SEND=0xc0502100,0xc0182101
note=fcntl.ioctl(fds[0],RECV,bytes(80))
fcntl.ioctl(fds[0],SEND,struct.pack('<QqiI',struct.unpack('<Q',note[:8])[0],0,-95,0))
print(p.communicate()[1].decode(), p.returncode)"#;
    let mut python = Command::new("python3");
    python.args(["-c", script, HAKO, "runtime", "--root"]).arg(bundle.path("state")).current_dir(bundle.dir.path());
    let ended = finish(python.output().unwrap());
    assert!(
        ended.stdout.contains("not supported") && ended.stdout.trim_end().ends_with('1'),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}
