//! What the words of a bundle's description do: attributes of mounts, modes, versions, groups.

use std::process::{Command, Stdio};

use crate::house::{HAKO, finish};
use crate::runtime::Bundle;

/// What `/proc/self/mounts` says of `/data` in a container with a bind mount of something mounted with `outside` on the host.
fn attributes(bundle: &Bundle, outside: &str, inside: &str, user: bool) -> Result<Vec<String>, String> {
    let source = bundle.path("source");
    std::fs::create_dir_all(&source).unwrap();
    let words = inside.split(',').map(|word| format!("{word:?}")).collect::<Vec<_>>().join(",");
    let mount =
        format!(r#",{{"destination":"/data","type":"bind","source":"{}","options":[{words}]}}"#, source.display());
    let mappings = r#","uidMappings":[{"containerID":0,"hostID":0,"size":65536}],"gidMappings":[{"containerID":0,"hostID":0,"size":65536}]"#;
    let more: &[(&str, &str)] = if user {
        &[("MOUNTS", &mount), ("NS", r#",{"type":"user"}"#), ("LINUX", mappings)]
    } else {
        &[("MOUNTS", &mount)]
    };
    bundle.describe(&["cat", "/proc/self/mounts"], more);
    let script = r#"mount -t tmpfs -o strictatime tmpfs "$1"; mount --bind -o "remount,$2" "$1"; shift 2; exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script, "sh"]).arg(&source).args([outside, HAKO, "runtime", "--root"]);
    command.arg(bundle.path("state")).args(["run", "box"]).current_dir(bundle.path("")).stdin(Stdio::null());
    let ended = finish(command.output().unwrap());
    if ended.code != 0 {
        return Err(ended.stderr);
    }
    let line = ended.stdout.lines().find(|line| line.split(' ').nth(1) == Some("/data")).unwrap().to_owned();
    Ok(line.split(' ').nth(3).unwrap().split(',').map(str::to_owned).collect())
}

#[test]
fn bind_mounts_have_the_attributes_of_their_source_or_those_they_are_given() {
    let bundle = Bundle::new(&["true"], &[]);
    for (outside, inside, user, present, absent) in [
        ("ro,noexec,nosymfollow", "bind", false, "ro noexec nosymfollow", "rw"),
        ("ro,noexec,nosymfollow", "bind", true, "ro noexec nosymfollow", "rw"),
        ("ro,noexec,nosymfollow", "bind,dev", false, "rw", "ro noexec nosymfollow"),
        ("ro,noexec,nosymfollow", "bind,dev", true, "ro noexec", "rw nosymfollow"),
        ("ro", "bind,nosuid,nodev", false, "rw nosuid nodev", "ro"),
        ("ro", "bind,rw", false, "rw", "ro"),
        ("nosuid,nodev,noexec,noatime", "bind,ro,exec", false, "ro noatime", "nosuid nodev noexec"),
        ("nosuid,nodev,noatime", "bind,ro,exec", true, "ro nosuid nodev noatime", "noexec"),
        ("noatime", "bind,atime", false, "noatime", "relatime"),
        ("noatime", "bind,relatime", false, "relatime", "noatime"),
        ("noatime", "bind,nodiratime", false, "nodiratime relatime", "noatime"),
        ("nodiratime", "bind,strictatime", false, "rw", "noatime relatime nodiratime"),
    ] {
        let case = format!("{outside} seen as {inside}, user namespace: {user}");
        let found = attributes(&bundle, outside, inside, user).unwrap_or_else(|said| panic!("{case}: {said}"));
        let has = |word: &str| found.iter().any(|known| known == word);
        assert!(present.split(' ').all(has), "{case}: {found:?}");
        assert!(!absent.split(' ').any(has), "{case}: {found:?}");
    }
    for (outside, inside) in [("ro", "bind,rw"), ("nosuid", "bind,suid"), ("noatime", "bind,strictatime")] {
        let said = attributes(&bundle, outside, inside, true).unwrap_err();
        assert!(said.contains("rootfs at \"/data\"") && said.contains("operation not permitted"), "{said}");
    }
}

#[test]
fn a_tmpfs_looks_like_what_it_covers_and_may_be_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let tmpfs = |at: &str, options: &str| {
        format!(r#",{{"destination":"{at}","type":"tmpfs","source":"tmpfs","options":[{options}]}}"#)
    };
    let bundle = Bundle::new(&["true"], &[]);
    let covered = bundle.path("rootfs/covered");
    std::fs::create_dir(&covered).unwrap();
    std::fs::set_permissions(&covered, std::fs::Permissions::from_mode(0o2710)).unwrap();
    let mounts = [tmpfs("/covered", ""), tmpfs("/made/for/it", ""), tmpfs("/told", r#""mode=1500""#)].concat();
    bundle.describe(&["stat", "-c", "%a", "/covered", "/made/for/it", "/told"], &[("MOUNTS", &mounts)]);
    assert_eq!(bundle.ok(&["run", "box"]), "2710\n1777\n1500");
    // What is mounted below something read-only finds its place all the same.
    let mounts = [tmpfs("/outer", r#""ro""#), tmpfs("/outer/inner", "")].concat();
    let look = "touch /outer/inner/new && ! touch /outer/new 2>/dev/null && echo right";
    bundle.describe(&["sh", "-c", look], &[("MOUNTS", &mounts)]);
    assert_eq!(bundle.ok(&["run", "box"]), "right");
    let config = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    let config = config.replace(r#"["nosuid","mode=755"]"#, r#"["nosuid","mode=755","ro"]"#);
    let config = config.replace(look, "echo >/dev/null; ! touch /dev/new 2>/dev/null && echo right");
    std::fs::write(bundle.path("config.json"), config).unwrap();
    assert_eq!(bundle.ok(&["run", "box"]), "right");
}

#[test]
fn a_created_container_ends_when_it_is_asked_to() {
    let bundle = Bundle::new(&["true"], &[]);
    for signal in ["TERM", "INT"] {
        bundle.leave(&["create", "box"]);
        bundle.ok(&["kill", "box", signal]);
        bundle.await_status("box", "stopped");
        bundle.ok(&["delete", "box"]);
    }
}

#[test]
fn since_1_2_1_a_poststart_hook_that_fails_ends_the_container() {
    let hooks = r#""hooks":{"poststart":[{"path":"/bin/true"},{"path":"/bin/false"}]},"#;
    let bundle = Bundle::new(&["sleep", "600"], &[("PLUS", hooks)]);
    bundle.leave(&["run", "-d", "box"]);
    assert!(bundle.output().contains("warning: error running poststart hook #1"), "{}", bundle.output());
    assert_eq!(bundle.status("box"), "running");
    bundle.ok(&["delete", "--force", "box"]);
    let config = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    std::fs::write(bundle.path("config.json"), config.replace("\"1.2.0\"", "\"1.2.1\"")).unwrap();
    let said = bundle.fails(&["run", "-d", "box"]);
    assert!(said.contains("error running poststart hook #1"), "{said}");
    assert_eq!(bundle.ok(&["list", "-q"]), "");
}

#[test]
fn further_processes_share_the_execution_domain_and_may_be_put_into_groups_below() {
    let bundle = Bundle::new(&["sleep", "600"], &[("LINUX", r#","personality":{"domain":"LINUX32"}"#)]);
    bundle.leave(&["run", "-d", "box"]);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(bundle.ok(&["exec", "box", "uname", "-m"]), "i686");
    }
    let group = |below: &str| hako_sys::cgroup::Group::create(&format!("{}/{below}", bundle.cgroup())).unwrap();
    let told = |flags: &[&str]| {
        let args: Vec<&str> =
            ["exec"].iter().chain(flags).chain(&["box", "cat", "/proc/self/cgroup"]).copied().collect();
        bundle.ok(&args)
    };
    let below = group("below");
    let everywhere = format!(":{}/below", bundle.cgroup());
    assert!(told(&["--cgroup", "below"]).contains(&everywhere));
    let said = bundle.fails(&["exec", "--cgroup", "nowhere", "box", "true"]);
    assert!(said.contains("/nowhere/cgroup.procs: no such file or directory"), "{said}");
    if below.version() == hako_sys::cgroup::Version::V2 {
        assert!(bundle.fails(&["exec", "--cgroup", "pids:below", "box", "true"]).contains("on cgroup v2"));
        return;
    }
    let said = told(&["--cgroup", "pids:below"]);
    assert_eq!(said.lines().filter(|line| line.ends_with(&everywhere)).count(), 1, "{said}");
    assert!(said.contains(&format!(":pids{everywhere}")), "{said}");
    assert!(bundle.fails(&["exec", "--cgroup", "moon:below", "box", "true"]).contains("unknown controller \"moon\""));
    assert!(bundle.fails(&["exec", "--cgroup", "pids:../..", "box", "true"]).contains("not a sub cgroup path"));
}

#[test]
fn what_is_done_is_told_on_request() {
    let bundle = Bundle::new(&["true"], &[]);
    let ended = bundle.run(&["run", "box"]);
    assert_eq!(ended.stderr, "");
    let mut command = Command::new(HAKO);
    command.args(["runtime", "--debug", "--root"]).arg(bundle.path("state")).args(["run", "box"]);
    let ended = finish(command.current_dir(bundle.path("")).output().unwrap());
    assert!(ended.stderr.contains("level=debug msg=\"container box: process "), "{}", ended.stderr);
}
