//! What people see: tables, help, versions, formats.

use crate::house::House;

#[test]
fn tables_line_up_as_dockers() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600"]);
    let said = house.ok(["ps"]);
    let mut lines = said.lines();
    let head = lines.next().unwrap();
    assert_eq!(
        head.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>(),
        ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    );
    let row = lines.next().unwrap();
    assert_eq!(head.find("NAMES"), row.rfind("box"));
    assert!(row.contains("\"sleep 600\"") && row.contains("Up "), "{row}");
    let images = house.ok(["images"]);
    assert!(images.starts_with("REPOSITORY   TAG       IMAGE ID       CREATED"), "{images}");
    assert_eq!(house.ok(["ps", "--format", "table {{.Names}}\t{{.Image}}"]), "NAMES     IMAGE\nbox       busybox");
    assert_eq!(house.ok(["ps", "--format", "json"]).matches("\"Names\":\"box\"").count(), 1);
    let said = house.fails(1, ["ps", "--format", "{{.Nonsense}}"]);
    assert!(said.contains("Nonsense"), "{said}");
}

#[test]
fn help_fits_eighty_columns_and_teaches() {
    let house = House::empty();
    for args in [&["--help"][..], &["run", "--help"], &["ps", "--help"], &["image", "--help"]] {
        let said = house.ok(args);
        assert!(said.contains("Usage:"), "{said}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 80),
            "{args:?}: {:?}",
            said.lines().find(|line| line.chars().count() > 80)
        );
    }
    assert!(house.ok(["run", "--help"]).contains("Examples:"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(house.ok(["completion", shell]).contains("hako"));
    }
    assert_eq!(house.daemon_pid(), None, "help needs no daemon");
}

#[test]
fn version_and_info_are_complete() {
    let house = House::empty();
    let said = house.ok(["version"]);
    for word in ["Client:", "Server:", "API version:", "OS/Arch:"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert!(house.ok(["--version"]).starts_with("hako version "));
    let info = house.ok(["info"]);
    for word in [
        "Containers: 0",
        "Storage Driver: overlay2",
        "Cgroup Version:",
        "Docker Root Dir:",
        "Logging Driver: json-file",
    ] {
        assert!(info.contains(word), "{word} in {info}");
    }
}

#[test]
fn inspect_knows_every_kind() {
    let house = House::new();
    house.ok(["create", "--name", "box", "-v", "vol:/v", "busybox"]);
    assert!(house.ok(["inspect", "box"]).starts_with("[\n    {\n        \"Id\": "));
    assert!(house.ok(["inspect", "busybox"]).contains("\"RepoTags\""));
    assert!(house.ok(["inspect", "vol"]).contains("\"Mountpoint\""));
    assert!(house.ok(["inspect", "bridge"]).contains("\"IPAM\""));
    assert_eq!(house.ok(["inspect", "--type", "container", "-f", "{{.Config.Image}}", "box"]), "busybox");
}
