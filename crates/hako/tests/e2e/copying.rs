//! `cp`, `diff`, `commit`, `export`.

use crate::house::{House, run_tool};

#[test]
fn copies_go_both_ways_running_or_not() {
    let house = House::new();
    let dir = house.path().join("site");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join("sub/f"), "text").unwrap();
    let source = dir.to_str().unwrap();
    house.ok(["create", "--name", "idle", "busybox"]);
    house.ok(["run", "-d", "--name", "busy", "busybox", "sleep", "600"]);
    for name in ["idle", "busy"] {
        house.ok(["cp", source, &format!("{name}:/")]);
        let back = house.path().join(format!("back-{name}"));
        house.ok(["cp", &format!("{name}:/site/sub/f"), back.to_str().unwrap()]);
        assert_eq!(std::fs::read_to_string(back).unwrap(), "text");
    }
    assert_eq!(house.ok(["exec", "busy", "cat", "/site/sub/f"]), "text");
    let said = house.fails(1, ["cp", "busy:/no/such", "/tmp/x"]);
    assert!(said.contains("Could not find the file /no/such in container busy"), "{said}");
    let said = house.fails(1, ["cp", source, "busy:/no/such/place/"]);
    assert!(said.contains("Could not find the file /no/such in container busy"), "{said}");
}

#[test]
fn a_tar_stream_goes_through_a_dash() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", "mkdir /d; echo x > /d/f; sleep 600"]);
    crate::house::await_that("the file", || house.run(["exec", "box", "test", "-s", "/d/f"]).code == 0);
    let mut command = house.command(["cp", "box:/d", "-"]);
    let tar = command.output().unwrap().stdout;
    let ended = house.run_with_input(["cp", "-", "box:/tmp"], &tar);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(house.ok(["exec", "box", "cat", "/tmp/d/f"]), "x");
}

#[test]
fn links_inside_a_container_never_lead_out() {
    let house = House::new();
    let canary = house.path().join("canary");
    std::fs::create_dir(&canary).unwrap();
    std::fs::write(canary.join("secret"), "secret").unwrap();
    let target = canary.to_str().unwrap();
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        &format!("ln -s {target} /way; ln -s ../../../../../..{target} /up; sleep 600"),
    ]);
    crate::house::await_that("the links", || house.run(["exec", "box", "test", "-L", "/up"]).code == 0);
    for link in ["/way/secret", "/up/secret"] {
        assert_ne!(house.run(["cp", &format!("box:{link}"), "-"]).code, 0);
    }
    let file = house.path().join("evil");
    std::fs::write(&file, "evil").unwrap();
    house.run(["cp", file.to_str().unwrap(), "box:/way/evil"]);
    assert!(!canary.join("evil").exists());
}

#[test]
fn diff_tells_what_changed() {
    let house = House::new();
    house.ok(["run", "--name", "box", "busybox", "sh", "-c", "echo x > /new; echo y >> /etc/passwd; rm /etc/group"]);
    let said = house.ok(["diff", "box"]);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A /new", "C /etc", "C /etc/passwd", "D /etc/group"]);
}

#[test]
fn a_commit_is_an_image() {
    let house = House::new();
    house.ok(["run", "--name", "box", "busybox", "sh", "-c", "echo mine > /f"]);
    let id = house.ok([
        "commit",
        "-a",
        "me",
        "-m",
        "words",
        "-c",
        "CMD [\"cat\", \"/f\"]",
        "-c",
        "ENV A=1",
        "box",
        "mine:1",
    ]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(house.ok(["run", "--rm", "mine:1"]), "mine");
    assert_eq!(house.ok(["image", "inspect", "-f", "{{.Author}} {{.Comment}}", "mine:1"]), "me words");
    assert!(house.ok(["history", "--no-trunc", "mine:1"]).contains("words"));
}

#[test]
fn export_is_the_whole_tree() {
    let house = House::new();
    house.ok(["run", "--name", "box", "busybox", "sh", "-c", "echo mine > /f"]);
    let file = house.path().join("c.tar");
    house.ok(["export", "-o", file.to_str().unwrap(), "box"]);
    let names = run_tool("tar", ["-tf", file.to_str().unwrap()]);
    assert!(names.lines().any(|name| name == "f") && names.lines().any(|name| name == "bin/busybox"), "{names}");
    house.ok(["import", file.to_str().unwrap(), "again"]);
    assert_eq!(house.ok(["run", "--rm", "again", "/bin/cat", "/f"]), "mine");
}
