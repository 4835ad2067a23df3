//! What a container sees is what Docker's default container sees.

use crate::house::House;

#[test]
fn capabilities_are_dockers_fourteen() {
    let house = House::new();
    let caps = |flags: &[&str]| {
        let said = house.ok(["run", "--rm"].into_iter().chain(flags.iter().copied()).chain([
            "busybox",
            "grep",
            "^Cap",
            "/proc/self/status",
        ]));
        said.lines().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let none = "0000000000000000";
    let fourteen = "00000000a80425fb";
    assert_eq!(caps(&[]), [none, fourteen, fourteen, fourteen, none]);
    assert_eq!(caps(&["--cap-drop", "ALL", "--cap-add", "CHOWN"])[2], "0000000000000001");
    assert_eq!(caps(&["--cap-add", "SYS_ADMIN"])[2], "00000000a82425fb");
    assert_eq!(caps(&["-u", "1000"])[2], none);
    let said = house.fails(125, ["run", "--cap-add", "FLY", "busybox"]);
    assert!(said.contains("invalid CapAdd: unknown capability: \"CAP_FLY\""), "{said}");
}

#[test]
fn namespaces_are_its_own() {
    let house = House::new();
    let look = "for n in mnt pid net ipc uts cgroup user; do readlink /proc/self/ns/$n; done";
    let said = house.ok(["run", "--rm", "busybox", "sh", "-c", look]);
    for (name, theirs) in ["mnt", "pid", "net", "ipc", "uts", "cgroup"].iter().zip(said.lines()) {
        assert_ne!(std::fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap().to_str(), Some(theirs));
    }
    let host =
        house.ok(["run", "--rm", "--pid", "host", "--ipc", "host", "--uts", "host", "busybox", "sh", "-c", look]);
    for (name, line) in [("pid", 1), ("ipc", 3), ("uts", 4)] {
        assert_eq!(std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_str(), host.lines().nth(line));
    }
    house.ok(["run", "-d", "--name", "box", "--ipc", "shareable", "busybox", "sleep", "600"]);
    assert!(
        house
            .ok(["run", "--rm", "--pid", "container:box", "--ipc", "container:box", "busybox", "ps"])
            .contains("sleep 600")
    );
}

#[test]
fn seccomp_and_new_privileges() {
    let house = House::new();
    let status = |flags: &[&str]| {
        let look = ["busybox", "grep", "-E", "^(Seccomp|NoNewPrivs):", "/proc/self/status"];
        house.ok(["run", "--rm"].into_iter().chain(flags.iter().copied()).chain(look)).replace('\t', "")
    };
    assert_eq!(status(&[]), "NoNewPrivs:0\nSeccomp:2");
    assert_eq!(status(&["--security-opt", "no-new-privileges"]), "NoNewPrivs:1\nSeccomp:2");
    assert_eq!(status(&["--security-opt", "seccomp=unconfined"]), "NoNewPrivs:0\nSeccomp:0");
    assert_eq!(status(&["--privileged"]), "NoNewPrivs:0\nSeccomp:0");
    let said = house.fails(1, ["run", "--rm", "busybox", "unshare", "-m", "true"]);
    assert!(said.contains("Operation not permitted"), "{said}");
    let profile = house.path().join("profile.json");
    std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#).unwrap();
    let said = house.fails(
        1,
        ["run", "--rm", "--security-opt", &format!("seccomp={}", profile.display()), "busybox", "mkdir", "/x"],
    );
    assert!(said.contains("Operation not permitted"), "{said}");
}

#[test]
fn paths_are_masked_and_read_only() {
    let house = House::new();
    let look = "for p in /proc/kcore /proc/keys /proc/timer_list; do [ -e $p ] && head -c1 $p 2>/dev/null | wc -c; done; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | wc -w";
    let said = house.ok(["run", "--rm", "busybox", "sh", "-c", look]);
    assert!(said.split_whitespace().all(|count| count == "0"), "{said}");
    for path in ["/proc/sys/kernel/hostname", "/sys/kernel/mm/x", "/proc/sysrq-trigger"] {
        let said = house.run(["run", "--rm", "busybox", "sh", "-c", &format!("echo x > {path}")]);
        assert_ne!(said.code, 0, "{path} can be written");
    }
    let said = house.fails(1, ["run", "--rm", "--read-only", "busybox", "touch", "/x"]);
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn nothing_of_the_host_leaks_in() {
    let house = House::new();
    let said = house.ok([
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "ls -l /proc/self/fd | sed 's/.*-> //'; cat /proc/net/unix | grep @ ; cat /proc/1/environ | tr '\\0' '\\n'",
    ]);
    let root = house.path().to_str().unwrap();
    assert!(!said.contains(root) && !said.contains("HAKO"), "{said}");
    let mounts = house.ok(["run", "--rm", "busybox", "cat", "/proc/self/mountinfo"]);
    assert!(
        mounts.lines().filter(|line| line.contains(root)).all(|line| {
            line.contains(" overlay ")
                || ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].iter().any(|file| line.contains(file))
        }),
        "{mounts}"
    );
}

#[test]
fn a_working_directory_in_proc_self_fd_is_refused() {
    let house = House::new();
    for fd in 3..12 {
        let ended = house.run(["run", "--rm", "-w", &format!("/proc/self/fd/{fd}"), "busybox", "ls", "../../../../.."]);
        assert!(ended.code != 0 || !ended.stdout.contains("work"), "fd {fd}: {}", ended.stdout);
    }
}

#[test]
fn hostile_images_do_not_redirect_mounts() {
    let house = House::new();
    let canary = house.path().join("canary");
    std::fs::create_dir(&canary).unwrap();
    let target = canary.to_str().unwrap();
    let root = house.path().join("evil");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    for link in ["dev", "proc", "sys", "x"] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let tar = house.path().join("evil.tar");
    crate::house::run_tool("tar", ["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    house.ok(["import", tar.to_str().unwrap(), "evil"]);
    house.run(["run", "--rm", "--tmpfs", "/x/y", "-v", "data:/x/z", "evil", "/bin/sh", "-c", "true"]);
    assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 0, "nothing was made outside");
}
