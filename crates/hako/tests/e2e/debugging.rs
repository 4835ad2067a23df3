//! `hako debug`: tools beside the files of any container.

use crate::house::{House, finish, run_tool};

/// An image with nothing in it but one static program.
fn distroless(house: &House) {
    let dir = house.path().join("distroless");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy("/bin/busybox", dir.join("sleep")).unwrap();
    std::fs::write(dir.join("config"), "secret sauce\n").unwrap();
    let tar = house.path().join("distroless.tar");
    run_tool("tar", ["-C", dir.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    house.ok(["import", "--change", "CMD [\"/sleep\",\"600\"]", tar.to_str().unwrap(), "distroless"]);
}

#[test]
fn a_running_container_without_a_shell_is_entered() {
    let house = House::new();
    distroless(&house);
    house.ok(["run", "-d", "--name", "bare", "distroless"]);
    assert_eq!(house.run(["exec", "bare", "sh"]).code, 127);
    assert_eq!(house.ok(["debug", "bare", "cat", "/config"]), "secret sauce");
    assert_eq!(house.ok(["debug", "bare", "sh", "-c", "ps | grep -c '[s]leep 600'"]), "1");
    // Its files are its own: what is written is written there.
    house.ok(["debug", "bare", "sh", "-c", "echo new >/made; ls /dev/.hako/bin | grep -c busybox"]);
    assert_eq!(house.ok(["debug", "bare", "cat", "/made"]), "new");
    // Nobody else sees the tools, and the image gets nothing of them.
    let pid = house.inspect("bare", "{{.State.Pid}}");
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/root/dev/.hako")).unwrap().count(), 0);
    let changed = house.ok(["diff", "bare"]);
    assert!(!changed.contains("hako") && changed.contains("/made"), "{changed}");
    assert!(house.fails(1, ["debug", "bare", "sh", "-c", "echo x >/dev/.hako/bin/sh"]).contains("Read-only"));
}

#[test]
fn a_shell_reads_what_is_typed() {
    let house = House::new();
    distroless(&house);
    house.ok(["run", "-d", "--name", "bare", "distroless"]);
    let ended = house.run_with_input(["debug", "-i", "bare"], b"cat /config\nexit 4\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (4, "secret sauce\n"), "{}", ended.stderr);
    house.ok(["stop", "-t", "0", "bare"]);
    let ended = house.run_with_input(["debug", "-i", "bare"], b"cat /config\nexit 5\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (5, "secret sauce\n"), "{}", ended.stderr);
}

#[test]
fn a_stopped_container_is_examined_and_mended() {
    let house = House::new();
    distroless(&house);
    house.ok(["run", "-d", "--name", "broken", "-v", "kept:/kept", "distroless"]);
    house.ok(["debug", "broken", "sh", "-c", "echo wrong >/settings; echo kept >/kept/file"]);
    house.ok(["stop", "-t", "0", "broken"]);
    assert_eq!(
        house.ok(["debug", "broken", "sh", "-c", "cat /settings /kept/file; echo right >/settings"]),
        "wrong\nkept"
    );
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "broken exited", "nothing stays behind");
    house.ok(["start", "broken"]);
    assert_eq!(house.ok(["debug", "broken", "cat", "/settings"]), "right");
    // One that is being examined does not start, nor go.
    house.ok(["stop", "-t", "0", "broken"]);
    let examiner = house.spawn(["debug", "-i", "broken", "sh", "-c", "echo ready; read line"]);
    crate::house::await_that("the examiner", || house.ok(["ps", "-q"]).lines().count() == 1);
    assert!(house.fails(1, ["start", "broken"]).contains("is being examined by"));
    assert!(house.fails(1, ["rm", "broken"]).contains("is being examined by"));
    // Its end of the pipe closes, the shell reads that, and all is as before.
    let ended = finish(examiner.wait_with_output().unwrap());
    assert_eq!(ended.stdout, "ready\n", "{}", ended.stderr);
    house.ok(["start", "broken"]);
    house.ok(["rm", "-f", "broken"]);
    house.ok(["volume", "rm", "kept"]);
}

#[test]
fn tools_of_an_image() {
    let house = House::new();
    distroless(&house);
    house.ok(["run", "-d", "--name", "bare", "distroless"]);
    assert_eq!(house.ok(["debug", "--image", "busybox", "bare", "busybox", "cat", "/config"]), "secret sauce");
    house.ok(["stop", "-t", "0", "bare"]);
    assert_eq!(house.ok(["debug", "--image", "busybox", "bare", "busybox", "cat", "/config"]), "secret sauce");
    assert!(house.fails(125, ["debug", "--image", "nowhere/nothing", "bare"]).contains("No such image"));
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}}"]), "bare", "who was to examine it went again");
}
