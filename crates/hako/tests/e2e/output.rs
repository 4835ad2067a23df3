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

#[test]
fn formats_are_dockers_where_nobody_looks_twice() {
    let house = House::new();
    house.ok(["create", "--name", "box", "--restart", "always", "-v", "vol:/v", "-p", "8080:80", "busybox"]);
    let id = house.inspect("box", "{{.Id}}");
    // With -q a format is ignored, and Docker says so.
    let quiet = house.run(["ps", "-aq", "--format", "{{.Names}}"]);
    assert_eq!(quiet.stdout.trim(), &id[..12]);
    assert_eq!(quiet.stderr.trim(), "WARNING: Ignoring custom format, because both --format and --quiet are set.");
    let raw = house.ok(["ps", "-a", "--format", "raw"]);
    assert!(raw.contains("\nstate: created\nstatus: Created\nnames: box\nlabels:\nports:"), "{raw}");
    assert_eq!(house.ok(["volume", "ls", "--format", "raw"]), "name: vol\ndriver: local");
    assert!(house.ok(["system", "df", "--format", "raw"]).starts_with("type: Images\ntotal: 1\nactive: 1\nsize: "));
    let parts = house.ok(["system", "df", "-v", "--format", "{{range .Containers}}{{.Names}} {{end}}{{len .Volumes}}"]);
    assert_eq!(parts, "box 1");
    assert!(house.ok(["system", "df", "-v", "--format", "json"]).starts_with("{\"Images\":[{"));
    assert_eq!(house.ok(["version", "--format", "{{.Client.APIVersion}} {{.Server.MinAPIVersion}}"]), "1.51 1.24");
    for (template, shown) in [
        ("{{.HostConfig.RestartPolicy}} {{.HostConfig.PortBindings}}", "{always 0} map[80/tcp:[{ 8080}]]"),
        ("{{.Config.Entrypoint}} {{.HostConfig.CapAdd}} {{.Config.Volumes}}", "[] [] map[]"),
        ("{{range .Mounts}}{{.Type}} {{.Name}}{{end}} {{.Config.Healthcheck}}", "volume vol <nil>"),
    ] {
        assert_eq!(house.inspect("box", template), shown, "{template}");
    }
}
