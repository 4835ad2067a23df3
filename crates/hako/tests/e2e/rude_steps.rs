//! Steps that misbehave: what they fork, mount and fill is gone with them, caches that several want at once, and what images
//! ask of stages that stand on them.

use std::path::Path;

use crate::builds::{context, leftovers};
use crate::house::{Ended, House, finish, processes, run_tool};

fn build(house: &House, dockerfile: &str, flags: &[&str]) -> Ended {
    let dir = context(house, &[("Dockerfile", dockerfile)]);
    house.run(["build", "--progress", "plain"].into_iter().chain(flags.iter().copied()).chain([dir.to_str().unwrap()]))
}

#[test]
fn what_a_step_leaves_running_or_mounted_goes_with_it() {
    let house = House::new();
    let mark = format!("{}", 100_000 + std::process::id());
    let file = format!(
        "FROM busybox
RUN (setsid sleep {mark} >/dev/null 2>&1 &); (sleep {mark} & sleep {mark} &) ; echo begun
RUN unshare -Urm sh -c 'mount -t tmpfs t /mnt; sleep {mark}' >/dev/null 2>&1 & mount -t tmpfs t /mnt; echo > /mnt/f; true
RUN test ! -e /mnt/other; ls /proc | grep -c '^[0-9]' > /count
"
    );
    let ended = build(&house, &file, &["-t", "left"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(leftovers(&house), Vec::<String>::new());
    let ours: Vec<(i32, String)> = processes().into_iter().filter(|(_, line)| line.contains(&mark)).collect();
    assert_eq!(ours, Vec::new(), "a step's processes end with it");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let steps = house.data().join("build").display().to_string();
    assert!(!mounts.lines().any(|line| line.contains(&steps)), "{mounts}");
    // The next step saw only its own processes: its shell, ls, grep, and perhaps an init.
    let count: u32 = house.ok(["run", "--rm", "left", "cat", "/count"]).parse().unwrap();
    assert!(count <= 4, "{count} processes");
}

#[test]
fn a_step_that_fills_the_disk_fails_and_gives_it_back() {
    let house = House::empty();
    let data = house.data();
    std::fs::create_dir_all(&data).unwrap();
    run_tool("mount", ["-t", "tmpfs", "-o", "size=256m", "tmpfs", data.to_str().unwrap()]);
    let _mounted = Mounted(&house);
    house.import_busybox();
    let free = || rustix::fs::statvfs(&data).map(|disk| disk.f_bavail * disk.f_frsize).unwrap();
    let before = free();
    let ended = build(&house, "FROM busybox\nRUN cat /dev/zero > /big\n", &["-t", "full"]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert_eq!(leftovers(&house), Vec::<String>::new());
    assert!(before - free() < 1 << 20, "{} of {before} bytes came back", free());
    let ended = build(&house, "FROM busybox\nRUN echo fine > /f\n", &["-t", "after"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_step_that_exhausts_memory_is_named_and_leaves_nothing() {
    let house = House::new();
    // A line without end, which is kept in memory: first by the step's own process, then by one below it.
    for (command, code) in [("tail /dev/zero", 137), ("echo; tail /dev/zero || exit 3", 3)] {
        let file = format!("FROM busybox\nRUN echo before > /before\nRUN {command}\n");
        let ended = build(&house, &file, &["-m", "48m", "--memory-swap", "48m"]);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let told = format!(
            "process \"/bin/sh -c {command}\" did not complete successfully: exit code: {code}: out of memory: the kernel \
             ended a process of this step"
        );
        assert!(ended.stderr.contains(&told), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("3 | >>> RUN {command}")), "{}", ended.stderr);
        assert_eq!(leftovers(&house), Vec::<String>::new());
    }
    let ended = build(
        &house,
        "FROM busybox\nRUN echo before > /before\nRUN tail /before > /f\n",
        &["-m", "48m", "-t", "after"],
    );
    assert!(ended.code == 0 && ended.stderr.contains("CACHED"), "{}", ended.stderr);
    assert_eq!(house.ok(["run", "--rm", "after", "cat", "/f"]), "before");
}

#[test]
fn limits_reach_steps() {
    let house = House::new();
    let look = "FROM busybox
RUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true
RUN cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true
RUN ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1; cat /etc/hosts
";
    let flags = ["--no-cache", "-m", "64m", "--cpu-quota", "54321", "--ulimit", "nofile=100:200", "--shm-size", "3m"];
    let hosts = ["--add-host", "up=host-gateway", "--add-host", "a:1.2.3.4,b=::1"];
    let ended = build(&house, look, &[&flags[..], &hosts].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for wanted in ["67108864", "54321", " 100\n", " 200\n", " 3072 ", "1.2.3.4\ta", "::1\tb", "\tup\n"] {
        assert!(ended.stderr.contains(wanted), "{wanted}: {}", ended.stderr);
    }
    for (wrong, said) in [
        (["--ulimit", "bogus=1"], "invalid argument \"bogus=1\" for \"--ulimit\" flag: invalid ulimit type: bogus"),
        (["--shm-size", "x"], "invalid argument \"x\" for \"--shm-size\" flag: invalid size: 'x'"),
    ] {
        let ended = build(&house, look, &wrong);
        assert!(ended.code == 125 && ended.stderr.contains(said), "{}", ended.stderr);
    }
    // What Docker's client says of words that come to nothing.
    let ended = build(&house, "FROM busybox\n", &["--isolation", "default", "--rm", "--force-rm=false", "--squash"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("WARNING: isolation flag is deprecated with BuildKit."), "{}", ended.stderr);
    assert!(ended.stderr.contains("WARNING: experimental flag squash is removed with BuildKit."), "{}", ended.stderr);

    // The stock client asks for the address itself.
    let Some(mut docker) = house.clients() else { return };
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN grep -w up /etc/hosts\n")]);
    docker.args(["buildx", "build", "--progress", "plain", "--no-cache", "--add-host", "up:host-gateway"]);
    let ended = finish(docker.arg(&dir).output().expect("the docker CLI"));
    let gateway = house.ok(["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]);
    assert!(ended.code == 0 && ended.stderr.contains(&format!("{gateway}\tup")), "{gateway}: {}", ended.stderr);
}

/// A file system on the data of a house.
struct Mounted<'a>(&'a House);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        self.0.end_daemon();
        run_tool("umount", ["-l", self.0.data().to_str().unwrap()]);
    }
}

/// Two steps side by side that want one cache; each says whether it met the other in it.
fn meeting(house: &House, sharing: &str, salt: &str) -> String {
    let step = |name: &str, other: &str| {
        format!(
            "FROM busybox AS {name}
RUN --mount=type=cache,id={sharing}{salt},target=/c,sharing={sharing} : {salt}; echo > /c/{name}; for n in $(seq 40); do \
             test -e /c/{other} && echo met > /met; usleep 20000; done; rm /c/{name}; touch /met
"
        )
    };
    let file =
        format!("{}{}FROM busybox\nCOPY --from=a /met /a\nCOPY --from=b /met /b\n", step("a", "b"), step("b", "a"));
    let ended = build(house, &file, &["-q", "-t", "meeting"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    house.ok(["run", "--rm", "meeting", "cat", "/a", "/b"])
}

#[test]
fn steps_meet_in_a_cache_only_if_it_is_shared() {
    let house = House::new();
    assert_eq!(meeting(&house, "shared", "1"), "met\nmet");
    assert_eq!(meeting(&house, "private", "1"), "", "each has its own");
    assert_eq!(meeting(&house, "locked", "1"), "", "one after the other");
}

#[test]
fn nothing_is_taken_from_what_comes_later() {
    let house = House::new();
    let image = build(&house, "FROM busybox\nONBUILD COPY --from=b /etc/passwd /x\n", &["-t", "asks"]);
    assert_eq!(image.code, 0, "{}", image.stderr);
    for (file, said) in [
        (
            "FROM asks AS a\nFROM a AS b\n",
            "cannot copy from stage \"b\", it needs to be defined before current stage \"a\"",
        ),
        (
            "FROM busybox AS a\nCOPY --from=b /etc/passwd /y\nFROM busybox AS b\nFROM a\n",
            "cannot copy from stage \"b\", it needs to be defined before current stage \"a\"",
        ),
        (
            "FROM busybox AS a\nRUN --mount=from=b,target=/x true\nFROM busybox AS b\nFROM a\n",
            "cannot mount from stage \"b\" to \"/x\", stage needs to be defined before current command",
        ),
        ("FROM busybox AS a\nCOPY --from=a /etc/passwd /y\n", "circular dependency detected on stage: a"),
        (
            "ARG A=busybox\nFROM scratch\nCOPY --from=$A /etc/passwd /y\n",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a \
             workaround",
        ),
    ] {
        let ended = build(&house, file, &[]);
        assert_eq!(ended.code, 1, "{file}{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{file}{}", ended.stderr);
    }
    // From the very stage it takes what is there already.
    let own = build(&house, "FROM asks AS b\n", &["-t", "own"]);
    assert_eq!(own.code, 0, "{}", own.stderr);
    assert!(house.ok(["run", "--rm", "own", "cat", "/x"]).contains("root"));
}

#[test]
fn filters_say_what_of_the_cache_goes() {
    let house = House::new();
    let file = "FROM busybox\nRUN echo 1 > /a\nRUN --mount=type=cache,target=/c echo > /c/b\nRUN echo 3 > /d\n";
    assert_eq!(build(&house, file, &["-t", "kept"]).code, 0);
    house.ok(["rmi", "kept"]);
    let known = || -> Vec<serde_json::Value> {
        let socket = house.socket();
        let address = "http://d/v1.51/system/df?type=build-cache";
        let text = run_tool("curl", ["-s", "--unix-socket", socket.to_str().unwrap(), address]);
        let usage: serde_json::Value = serde_json::from_str(&text).unwrap();
        usage["BuildCache"].as_array().unwrap().clone()
    };
    let gone = |filter: &str| {
        let told = house.ok(["builder", "prune", "-f", "--filter", filter]);
        told.lines().filter(|line| line.len() == 64).count()
    };
    let all = known();
    let kinds = |kind: &str| all.iter().filter(|one| one["Type"] == kind).count();
    assert_eq!((kinds("regular"), kinds("exec.cachemount")), (3, 1), "{all:#?}");
    for none in ["id=nothing", "type=frontend", "inuse=true", "shared=true", "description=RUN", "until=1h"] {
        assert_eq!(gone(none), 0, "{none}");
    }
    assert_eq!(gone("type=exec.cachemount"), 1);
    let id = all.iter().find(|one| one["Type"] == "regular").unwrap()["ID"].as_str().unwrap().to_owned();
    assert_eq!(gone(&format!("id={id}")), 1);
    assert_eq!(known().len(), 2);
    assert_eq!(gone("private=true"), 2);
    for wrong in ["nope=1", "mutable=1"] {
        let said = house.fails(1, ["builder", "prune", "-f", "--filter", wrong]);
        assert!(said.contains("invalid filter"), "{wrong}: {said}");
    }
}

#[test]
fn platforms_may_share_a_directory() {
    let house = House::new();
    let file = "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /same/$TARGETARCH\n";
    let out = |name: &str| house.path().join(name);
    let output = |name: &str, more: &str| format!("type=local,dest={}{more}", out(name).display());
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let run = |file: &str, output: &str, flags: &[&str]| {
        build(&house, file, &["-o", output].iter().chain(flags).copied().collect::<Vec<_>>())
    };
    let is_there = |path: &str| Path::new(&out(path)).is_file();
    assert_eq!(run(file, &output("split", ""), &platforms).code, 0);
    assert!(is_there("split/linux_amd64/same/amd64") && is_there("split/linux_arm64/same/arm64"));
    assert_eq!(run(file, &output("mixed", ",platform-split=false"), &platforms).code, 0);
    assert!(is_there("mixed/same/amd64") && is_there("mixed/same/arm64"));
    assert_eq!(std::fs::read_dir(out("mixed")).unwrap().count(), 1, "nothing else is left");
    assert_eq!(run(file, &output("one", ",platform-split=true"), &[]).code, 0);
    let own = std::fs::read_dir(out("one")).unwrap().next().unwrap().unwrap().file_name();
    assert!(own.to_string_lossy().starts_with("linux_"), "{own:?}");
    let clash = run("FROM scratch\nCOPY Dockerfile /f\n", &output("clash", ",platform-split=false"), &platforms);
    let said = "cannot overwrite f from linux/amd64 with linux/arm64 when split option is disabled";
    assert!(clash.stderr.contains(said), "{}", clash.stderr);

    // The same by the stock client.
    let stock = |file: &str, output: &str| {
        let dir = context(&house, &[("Dockerfile", file)]);
        let mut docker = house.clients()?;
        docker.args(["buildx", "build", "-o", output]).args(platforms);
        Some(finish(docker.arg(&dir).output().expect("the docker CLI")))
    };
    let Some(ended) = stock(file, &output("stock", ",platform-split=false")) else { return };
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(is_there("stock/same/amd64") && is_there("stock/same/arm64"));
    let clash = stock("FROM scratch\nCOPY Dockerfile /f\n", &output("stocks", ",platform-split=false")).unwrap();
    assert!(clash.code == 1 && clash.stderr.contains(said), "{}", clash.stderr);
}
