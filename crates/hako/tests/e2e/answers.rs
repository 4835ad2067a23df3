//! The API's answers, status and text, where clients depend on Docker's very ones.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::house::House;

/// One request without a body; the status and the body of the answer.
fn ask(house: &House, method: &str, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(house.socket()).expect("the daemon's socket");
    let head = format!("{method} /v1.51{path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

#[test]
fn refusals_have_dockers_status_and_text() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "up", "busybox", "sleep", "600"]);
    house.ok(["create", "--name", "down", "busybox"]);
    house.ok(["run", "-d", "--name", "held", "busybox", "sleep", "600"]);
    house.ok(["pause", "held"]);
    let down = house.inspect("down", "{{.Id}}");
    let up = house.inspect("up", "{{.Id}}");
    let conflict = format!(
        "Error when allocating new name: Conflict. The container name \\\"/up\\\" is already in use by container \
         \\\"{up}\\\"."
    );
    let down_text = |text: &str| text.replace("ID", &down);
    let running = "container is running: stop the container before removing or force remove";
    for (method, path, status, text) in [
        ("POST", "/containers/up/resize?h=20&w=30", 200, String::new()),
        ("POST", "/containers/up/resize?h=x&w=30", 400, "invalid resize height \\\"x\\\": invalid syntax".to_owned()),
        ("POST", "/containers/down/resize?h=20&w=30", 409, down_text("container ID is not running")),
        ("POST", "/containers/down/pause", 409, down_text("container ID is not running")),
        ("POST", "/containers/down/unpause", 409, down_text("Container ID is not paused")),
        ("POST", "/containers/held/pause", 409, "is already paused".to_owned()),
        ("POST", "/containers/down/kill", 409, down_text("cannot kill container: down: container ID is not running")),
        ("POST", "/containers/gone/kill", 404, "cannot kill container: gone: No such container: gone".to_owned()),
        ("DELETE", "/containers/up", 409, format!("cannot remove container \\\"up\\\": {running}")),
        ("POST", "/containers/down/rename?name=up", 409, conflict),
        ("POST", "/containers/up/kill?signal=99", 400, "the linux daemon does not support signal 99".to_owned()),
        ("GET", "/containers/up/top?ps_args=nonsense", 400, "\"ps: ".to_owned()),
        ("DELETE", "/networks/none", 403, "none is a pre-defined network and cannot be removed".to_owned()),
        ("DELETE", "/networks/gone", 404, "network gone not found".to_owned()),
        (
            "GET",
            "/containers/json?filters=%7B%22status%22%3A%5B%22odd%22%5D%7D",
            400,
            "value for state (odd)".to_owned(),
        ),
        ("GET", "/plugins/any/json", 404, "plugin \\\"any\\\" not found".to_owned()),
        ("GET", "/images/get?names=nope", 404, "No such image: nope\"".to_owned()),
        ("POST", "/images/nope/push?tag=x", 200, "An image does not exist locally with the tag: nope\"".to_owned()),
    ] {
        let (answered, body) = ask(&house, method, path);
        assert!(answered == status && body.contains(&text), "{method} {path}: {answered} {body}");
    }
}

#[test]
fn lists_and_inspections_tell_what_docker_tells() {
    let house = House::new();
    house.ok(["create", "--name", "c1", "-v", "/made", "-v", "named:/named", "-v", "/tmp:/bound", "busybox", "true"]);
    assert_eq!(house.inspect("c1", "{{json .Config.Env}}"), "null");
    let modes = "{{range .Mounts}}{{.Destination}}={{.Mode}} {{end}}";
    assert_eq!(house.inspect("c1", modes), "/bound= /made= /named=z ");
    let anonymous = house.ok(["volume", "ls", "-q", "--filter", "label=com.docker.volume.anonymous"]);
    assert_eq!(anonymous.len(), 64, "one volume is anonymous: {anonymous}");
    assert!(ask(&house, "GET", "/images/json").1.contains("\"Containers\":1"));
}

/// What is asked in the words of another version of the API.
fn ask_in(house: &House, version: &str, path: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(house.socket()).expect("the daemon's socket");
    let head = format!("GET /v{version}{path} HTTP/1.0\r\nHost: d\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

#[test]
fn older_versions_hear_what_they_heard() {
    let house = House::new();
    house.ok(["create", "--name", "c1", "--label", "a=b", "busybox", "true"]);
    house.ok(["commit", "c1", "made"]);
    let image = |version: &str| ask_in(&house, version, "/images/made/json");
    assert_eq!(image("1.44")["ContainerConfig"]["Image"], "busybox", "what it was made of");
    assert_eq!(image("1.44")["Container"], house.inspect("c1", "{{.Id}}"));
    assert!(image("1.45").get("ContainerConfig").is_none());
    assert_eq!(ask_in(&house, "1.41", "/system/df")["BuilderSize"], 0);
    assert!(ask_in(&house, "1.42", "/system/df").get("BuilderSize").is_none());
    let stats = ask_in(&house, "1.51", "/containers/c1/stats?stream=false");
    assert!(stats["blkio_stats"]["io_service_bytes_recursive"].is_null(), "it does not run: {stats}");
}

#[test]
fn formats_show_what_dockers_client_shows() {
    let house = House::new();
    house.ok(["create", "--name", "c1", "--label", "a=b", "busybox", "sh", "-c", "echo >/f"]);
    let id = house.inspect("c1", "{{.Id}}");
    for (template, shown) in [
        ("{{.ID}}", id.as_str()),
        ("{{index .Config.Labels \"a\"}}-{{index .Config.Labels \"c\"}}", "b-"),
        ("{{json .Config.Cmd}}", "[\"sh\",\"-c\",\"echo >/f\"]"),
    ] {
        assert_eq!(house.inspect("c1", template), shown, "{template}");
    }
    assert!(house.ok(["ps", "-a", "--format", "{{json .}}"]).contains("(virtual "), "everything is the size, too");
    for (line, code, told) in [
        (
            &["ps", "--format", "{{.Nope}}"][..],
            1,
            "failed to execute template: template: :1:2: executing \"\" at <.Nope>",
        ),
        (&["ps", "--format", "{{"], 1, "failed to parse template: template: :1: unclosed action"),
        (&["events", "--format", "{{.Nope}}"], 64, "Error parsing format: template: :1:2"),
        (&["info", "--format", "{{.Nope}}"], 1, "can't evaluate field Nope in type system.dockerInfo"),
        (&["inspect", "-f", "{{json .Nope}}", "c1"], 1, "template: :1:7: executing \"\" at <.Nope>: map has no entry"),
        (&["images", "--tree", "-q"], 1, "--quiet is not yet supported with --tree"),
        (&["inspect", "--type", "plugin", "x"], 1, "plugin \"x\" not found"),
        (&["inspect", "--type", "node", "x"], 1, "This node is not a swarm manager"),
        (&["inspect", "--type", "nope", "x"], 1, "must be one of \"config\", \"container\""),
        (&["inspect", "--size", "busybox"], 0, "WARNING: --size ignored for image"),
    ] {
        let ended = house.docker(line);
        assert!(ended.code == code && ended.stderr.contains(told), "{line:?}: {} {}", ended.code, ended.stderr);
    }
    assert!(house.ok(["info", "--format", "{{.HTTPProxy}}{{.Warnings}}{{.DiscoveredDevices}}"]).starts_with('['));
    assert_eq!(house.ok(["builder", "du", "--format", "{{.ID}}"]), "");
    assert!(house.ok(["buildx", "du"]).contains("Reclaimable:\t0B\nTotal:\t\t0B"));
    assert_eq!(house.ok(["system", "df", "-v", "--format", "{{json .BuildCache}}"]), "[]");
}

#[test]
fn disk_usage_counts_what_is_in_use() {
    let house = House::new();
    house.ok(["volume", "create", "idle"]);
    house.ok(["create", "--name", "c1", "-v", "named:/d", "busybox", "sh", "-c", "true"]);
    let rows = || house.ok(["system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Reclaimable}}"]);
    assert!(rows().contains("Images: 1 1 0B (0%)\nContainers: 1 0 "), "{}", rows());
    assert!(rows().contains("Local Volumes: 2 1 "), "{}", rows());
    assert!(house.ok(["system", "df", "-v"]).contains("\"sh -c true\""));
    assert!(
        house
            .docker(["system", "df", "-v"])
            .stdout
            .lines()
            .any(|line| line.starts_with("busybox") && line.ends_with('1'))
    );
    house.ok(["rm", "-f", "c1"]);
    assert!(rows().contains("Images: 1 0 ") && rows().contains("(100%)"), "{}", rows());
}

#[test]
fn an_update_says_what_is_wrong_with_it() {
    let house = House::new();
    house.ok(["create", "--name", "c1", "busybox", "true"]);
    let update = |args: &[&str]| house.docker(["update"].iter().chain(args).chain(&["c1"])).stderr;
    assert!(update(&["--restart", "odd"]).contains("daemon: invalid restart policy: unknown policy 'odd'; use one of"));
    assert!(update(&["-m", "1k"]).contains("daemon: Minimum memory limit allowed is 6MB"));
}

#[test]
fn a_refused_upload_is_answered_while_the_client_still_sends() {
    let house = House::new();
    let large = house.path().join("large.tar");
    std::fs::write(&large, vec![b'x'; 8 << 20]).unwrap();
    let large = large.to_str().unwrap();
    let ended = house.docker(["import", "--change", "FROM x", large, "x:1"]);
    assert!(ended.stderr.contains("FROM is not a valid change command"), "{}", ended.stderr);
    let ended = house.docker(["load", "-i", large]);
    // Docker has begun its answer by then: the failure is a message in it, and the client prints it as it is.
    assert_eq!((ended.code, ended.stderr.trim()), (1, "read tar header: its checksum is no number"));
}

#[test]
fn exec_in_a_directory_that_is_not_there_is_code_127() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "c1", "busybox", "sleep", "600"]);
    let ended = house.run(["exec", "-w", "/nope", "c1", "true"]);
    let text = "chdir to cwd (\"/nope\") set in config.json failed: no such file or directory";
    let said = ended.stdout + &ended.stderr;
    assert!(ended.code == 127 && said.contains(text) && !said.contains("unknown"), "{} {said}", ended.code);
}

#[test]
fn making_images_is_told_as_docker_tells_it() {
    let house = House::new();
    house.ok(["create", "--name", "c1", "-l", "a=b", "busybox", "true"]);
    let id = house.ok(["commit", "-m", "why", "c1", "made:1"]);
    let told =
        house.ok(["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}} {{json .Actor.Attributes}}"]);
    for line in [
        "tag {\"name\":\"busybox:latest\"}".to_owned(),
        format!("create {{\"a\":\"b\",\"name\":\"{id}\"}}"),
        "tag {\"a\":\"b\",\"name\":\"made:1\"}".to_owned(),
        format!(
            "commit {{\"a\":\"b\",\"comment\":\"why\",\"image\":\"busybox\",\"imageID\":\"{id}\",\
             \"imageRef\":\"made:1\",\"name\":\"c1\"}}"
        ),
    ] {
        assert!(told.lines().any(|said| said == line), "{line}\nis not in\n{told}");
    }
}
