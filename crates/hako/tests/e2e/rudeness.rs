//! The API's rude clients: wrong types, huge bodies, requests that never end, thousands of headers, tricks with paths, and
//! many who want one name. Never an error of the server's, never memory without bounds, and everybody else is served.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::house::{House, PATIENCE};

/// Says something to the socket, verbatim, and gives the answer's status and text; 0 if there is none.
fn say(house: &House, request: &[u8]) -> (u16, String) {
    let mut stream = UnixStream::connect(house.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has seen enough may close while something is still being said.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    (status, text)
}

fn post(house: &House, path: &str, body: &str) -> (u16, String) {
    let head = "Host: d\r\nConnection: close\r\nContent-Type: application/json\r\n";
    say(house, format!("POST {path} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

fn ask(house: &House, method: &str, path: &str) -> (u16, String) {
    say(house, format!("{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").as_bytes())
}

fn peak_memory(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.daemon_pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn wrong_types_are_the_clients_fault() {
    let house = House::new();
    house.ok(["create", "--name", "box", "busybox"]);
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"Image\": 7}",
        "{\"Image\": [\"busybox\"]}",
        "{\"Cmd\": {\"a\": 1}}",
        "{\"Image\": \"busybox\", \"HostConfig\": []}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"Memory\": \"much\"}}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"Memory\": 1e400}}",
        "{\"Image\": \"busybox\", \"Env\": [1]}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"PortBindings\": {\"x\": 1}}}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"PortBindings\": {\"99999/tcp\": [{\"HostPort\": \"-1\"}]}}}",
        "{\"Image\": \"busybox\", \"NetworkingConfig\": {\"EndpointsConfig\": {\"a\": {\"IPAMConfig\": {\"IPv4Address\": \"x\"}}}}}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"Binds\": [\"::::\"]}}",
        "{\"Image\": \"busybox\", \"Labels\": {\"a\": 1}}",
        "{\"Image\": \"../../etc/passwd\"}",
        "{\"Image\": \"busybox\\u0000\"}",
        "{\"Image\": \"busybox\", \"User\": \"\\u0000\"}",
        "{\"Name\": 1}",
        "{\"Image\": \"busybox\", \"Healthcheck\": {\"Interval\": -5}}",
        "{\"Image\": \"busybox\", \"HostConfig\": {\"Ulimits\": [{\"Name\": \"nonsense\", \"Soft\": -9}]}}",
    ];
    let paths = [
        "/containers/create",
        "/containers/box/update",
        "/containers/box/exec",
        "/exec/none/start",
        "/networks/create",
        "/networks/bridge/connect",
        "/networks/bridge/disconnect",
        "/volumes/create",
        "/commit?container=none",
    ];
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in paths {
        for body in bodies.iter().copied().chain([nested.as_str()]) {
            let (status, answer) = post(&house, path, body);
            assert!((200..500).contains(&status), "{path} {:.80}: {:.300}", body, answer);
        }
    }
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}

#[test]
fn queries_and_paths_are_tried_in_vain() {
    let house = House::new();
    house.ok(["create", "--name", "box", "busybox"]);
    let queries = [
        "all=maybe",
        "limit=x",
        "limit=-1",
        "size=%ff",
        "filters=x",
        "filters=[]",
        "filters={%22label%22:7}",
        "filters={%22nonsense%22:[%22a%22]}",
        "since=never",
        "until=1e99",
        "tail=-5",
        "h=x&w=y",
        "signal=NOPE",
        "t=x",
        "condition=never",
        "platform=%7B",
        "fromImage=%00",
        "name=../../x",
        "name=%00",
        "path=%00",
        "path=../../../etc",
        "dockerfile=../../etc/passwd",
        "buildargs=x",
        "names=%2e%2e",
        "type=nonsense",
        "v=2",
        "digests=",
    ];
    let places = [
        ("GET", "/containers/json"),
        ("GET", "/containers/box/logs"),
        ("GET", "/containers/box/stats?stream=false"),
        ("POST", "/containers/box/resize"),
        ("POST", "/containers/box/kill"),
        ("POST", "/containers/box/stop"),
        ("POST", "/containers/box/wait"),
        ("GET", "/containers/box/archive"),
        ("GET", "/images/json"),
        ("GET", "/images/get"),
        ("POST", "/images/busybox/tag"),
        ("GET", "/images/busybox/json"),
        ("GET", "/system/df"),
        ("GET", "/events?until=1"),
        ("GET", "/networks"),
        ("GET", "/volumes"),
        ("POST", "/containers/prune"),
        ("POST", "/containers/create"),
        ("DELETE", "/images/none"),
        ("POST", "/build"),
        ("GET", "/containers/box/top"),
    ];
    for (method, place) in places {
        for query in queries {
            // A container that never runs is never waited for, nor are events of tomorrow.
            if place.ends_with("/wait") && query != "condition=never"
                || place.contains("events") && query.contains("until")
            {
                continue;
            }
            let mark = if place.contains('?') { '&' } else { '?' };
            let (status, answer) = ask(&house, method, &format!("{place}{mark}{query}"));
            assert!((200..500).contains(&status) || status == 501, "{method} {place}?{query}: {:.300}", answer);
        }
    }
    for name in
        ["..", "%2e%2e", "..%2f..%2fetc", "%00", "a%00b", "%ff%fe", "box%2f..%2fbox", ".", "%2f", "%20", "-x", "~"]
    {
        for place in ["/containers/*/json", "/volumes/*", "/networks/*", "/images/*/json", "/exec/*/json"] {
            let (status, answer) = ask(&house, "GET", &place.replace('*', name));
            assert!((300..500).contains(&status), "{place} {name}: {:.300}", answer);
        }
        let (status, answer) = post(&house, "/volumes/create", &format!("{{\"Name\": \"{name}/../x\"}}"));
        assert_eq!(status, 400, "{answer}");
    }
    assert!(!house.data().join("x").exists());
}

#[test]
fn bodies_and_heads_have_bounds() {
    let house = House::new();
    house.ok(["ps"]);
    let before = peak_memory(&house);
    let huge = format!("{{\"Image\": \"{}\"}}", "x".repeat(64 << 20));
    assert!([413, 400, 0].contains(&post(&house, "/containers/create", &huge).0));
    let headers: String = (0..10_000).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let (status, _) = say(&house, format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{headers}\r\n").as_bytes());
    assert!((400..500).contains(&status), "{status}");
    let (status, _) = ask(&house, "GET", &format!("/{}", "x".repeat(1 << 20)));
    assert!((400..500).contains(&status) || status == 0, "{status}");
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[0; 4096]]
    {
        let (status, _) = say(&house, nonsense);
        assert!(status < 500, "{nonsense:?}: {status}");
    }
    // Chunks whose length is a lie.
    let chunked = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{";
    assert!(say(&house, chunked).0 < 500);
    let grown = peak_memory(&house).saturating_sub(before);
    assert!(grown < 24 << 10, "the daemon grew by {grown} KiB");
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}

#[test]
fn those_who_never_finish_hold_nobody_up() {
    let house = House::new();
    house.ok(["ps"]);
    let half = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"Im";
    let mut idle: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(house.socket()).unwrap()).collect();
    for (number, stream) in idle.iter_mut().enumerate() {
        stream.write_all(if number % 2 == 0 { &half[..] } else { &half[..20] }).unwrap();
    }
    let began = Instant::now();
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // One that sends byte by byte is understood.
    let mut slow = UnixStream::connect(house.socket()).unwrap();
    for byte in b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("OK"), "{answer}");
    // One that never reads what it asked for ties up nothing but itself.
    house.ok(["run", "-d", "--name", "loud", "busybox", "yes"]);
    let mut deaf = UnixStream::connect(house.socket()).unwrap();
    deaf.write_all(b"GET /containers/loud/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    assert_eq!(house.ok(["exec", "loud", "echo", "fine"]), "fine");
    house.ok(["rm", "-f", "loud"]);
}

#[test]
fn one_of_many_gets_the_name() {
    let house = House::new();
    house.ok(["ps"]);
    let all = |path: &str, body: &str| -> Vec<u16> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| post(&house, path, body).0)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    for (path, body) in
        [("/containers/create?name=one", "{\"Image\": \"busybox\"}"), ("/networks/create", "{\"Name\": \"one\"}")]
    {
        let statuses = all(path, body);
        let (won, lost) =
            (statuses.iter().filter(|s| **s == 201).count(), statuses.iter().filter(|s| **s == 409).count());
        assert_eq!((won, lost), (1, 15), "{path}: {statuses:?}");
    }
    // A volume that is there already is what was wanted.
    assert!(all("/volumes/create", "{\"Name\": \"one\"}").iter().all(|status| *status == 201));
    assert_eq!(house.ok(["volume", "ls", "-q"]), "one");
}

/// Requests whose fault is the client's, and what docker 28.5 answers: the status, and of its message what is stable. Where
/// docker takes the blame itself (500), hako says 400.
const FAULTS: &[(&str, &str, u16, &str)] = &[
    // What is an object is no array, wherever it stands.
    ("POST /containers/create", r#"{"Image":"busybox","Healthcheck":[]}"#, 400, "invalid JSON"),
    ("POST /containers/create", r#"{"Image":"busybox","ExposedPorts":{"80/tcp":[]}}"#, 400, "invalid JSON"),
    ("POST /containers/create", r#"{"Image":"busybox","HostConfig":{"RestartPolicy":[]}}"#, 400, "invalid JSON"),
    ("POST /containers/create", r#"{"Image":"busybox","HostConfig":{"Mounts":[[]]}}"#, 400, "invalid JSON"),
    ("POST /containers/create", r#"{"Image":"busybox","HostConfig":{"Memory":1e400}}"#, 400, "invalid JSON"),
    ("POST /containers/box/update", r#"{"BlkioWeightDevice":[[]]}"#, 400, "invalid JSON"),
    ("POST /networks/create", r#"{"Name":"n","IPAM":["a"]}"#, 400, "invalid JSON"),
    ("POST /networks/create", r#"{"Name":"n","ConfigFrom":["a"]}"#, 400, "invalid JSON"),
    ("POST /networks/none/connect", r#"{"Container":"box","EndpointConfig":[]}"#, 400, "invalid JSON"),
    ("POST /volumes/create", r#"{"Name":"v","ClusterVolumeSpec":7}"#, 400, "invalid JSON"),
    ("POST /volumes/create", r#"{"Name":"v","ClusterVolumeSpec":{}}"#, 503, "not a swarm manager"),
    // Null is the empty value, among items too; halves of surrogate pairs are a text; what nobody knows is let be.
    ("POST /containers/box/update", "null", 200, ""),
    ("POST /containers/create?name=c1", r#"{"Image":"busybox","Cmd":[null]}"#, 201, ""),
    ("POST /containers/create?name=c2", r#"{"Image":"busybox","Domainname":"\ud800"}"#, 201, ""),
    (
        "POST /containers/create?name=c3",
        r#"{"Image":"busybox","Nobody":[[1,null]],"HostConfig":{"New":[[]]}}"#,
        201,
        "",
    ),
    ("POST /containers/create?name=c4", r#"{"Image":"busybox","HostConfig":{"ConsoleSize":[7]}}"#, 201, ""),
    // What makes no sense is refused before anything is made.
    (
        "POST /containers/create",
        r#"{"Image":"busybox","MacAddress":"x"}"#,
        400,
        "invalid config for network bridge: invalid MAC address",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"PortBindings":{"a":null}}}"#,
        400,
        "invalid port specification: \\\"a\\\"",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}"#,
        400,
        "invalid port specification: \\\"x\\\"",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"IOMaximumIOps":7}}"#,
        400,
        "QoS maximum IOPs configuration is not supported",
    ),
    ("POST /containers/box/update", r#"{"IOMaximumBandwidth":7}"#, 400, "not supported on linux"),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"Links":["nobody"]}}"#,
        400,
        "could not get container for nobody: No such container: nobody",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"VolumesFrom":["nobody"]}}"#,
        400,
        "No such container: nobody",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"LogConfig":{"Config":{"a":null}}}}"#,
        400,
        "unknown log opt 'a' for json-file log driver",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"Tmpfs":{"a":null}}}"#,
        400,
        "mount path must be absolute",
    ),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"none-yet":{"IPAMConfig":{"IPv4Address":"x"}}}}}"#,
        400,
        "invalid IPv4 address: x",
    ),
    ("POST /containers/create?platform=../../x", r#"{"Image":"busybox"}"#, 400, ""),
    ("POST /networks/bridge/connect", r#"{"Container":""}"#, 400, "invalid name or ID supplied: \\\"\\\""),
    ("POST /networks/none/disconnect", r#"{"Container":"box"}"#, 400, "is not connected to"),
    ("POST /commit?container=", "{}", 400, "invalid name or ID supplied"),
    ("POST /commit?container=box&changes=%20", "{}", 400, "file with no instructions"),
    ("DELETE /containers/nobody?link=1", "", 404, "No such container: nobody"),
    ("GET /networks/none?verbose=maybe", "", 400, "invalid value for verbose: maybe"),
    ("GET /networks/none?scope=swarm", "", 404, "network none not found"),
    ("GET /images/get?names=busybox&platform=%5B%5D", "", 400, "platform"),
    ("GET /images/busybox/json?platform=%7B%7D", "", 400, "both OS and Architecture must be provided"),
    ("DELETE /images/nothing?platforms=x", "", 400, "platform"),
    ("DELETE /images/busybox?platforms=linux%2Fnope", "", 400, "failed to parse platform"),
    (
        "DELETE /images/busybox?platforms=%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D",
        "",
        404,
        "was found but its platform",
    ),
    ("POST /images/127.0.0.1:9/x/push?platform=7", "", 400, "platform"),
    ("POST /images/load?platform=%7B", "", 400, "failed to parse platform"),
    ("POST /images/create?fromSrc=-&changes=", "", 400, "file with no instructions"),
    (
        "POST /build/prune?filters=%7B%22no%22:%5B%22x%22%5D%7D",
        "",
        400,
        "failed to prune build cache: invalid filter 'no'",
    ),
    ("POST /commit?container=box&repo=a%3Ab%3Ac", "{}", 400, "invalid reference format"),
    (
        "POST /containers/create",
        r#"{"Image":"busybox","HostConfig":{"Annotations":{"":""}}}"#,
        400,
        "the empty string is not permitted as an annotation key",
    ),
    ("POST /containers/nobody/kill?signal=x", "", 400, "invalid signal: x"),
    ("POST /containers/nobody/attach?detachKeys=maybe", "", 400, "Invalid detach keys (maybe) provided"),
    ("POST /containers/nobody/rename?name=", "", 400, "Neither old nor new names may be empty"),
    ("GET /images/search?term=..%2F..%2Fx", "", 400, "invalid registry host"),
    ("POST /build?squash=1", "", 400, "squash is only supported with experimental mode"),
    ("POST /build?outputs=x", "", 400, "invalid outputs specified"),
    ("GET /events?since=2&until=1", "", 400, "`since` time (2) cannot be after `until` time (1)"),
];

#[test]
fn faults_of_clients_have_dockers_status() {
    let house = House::new();
    house.ok(["create", "--name", "box", "--network", "bridge", "busybox"]);
    for (request, body, wanted, part) in FAULTS {
        let (method, path) = request.split_once(' ').unwrap();
        let (status, answer) = if body.is_empty() { ask(&house, method, path) } else { post(&house, path, body) };
        assert!(status == *wanted && answer.contains(part), "{request} {body}: wanted {wanted} {part}: {answer}");
    }
    // Names longer than any file's.
    for method in ["HEAD", "GET", "PUT"] {
        let path = format!("/containers/box/archive?path=/{}", "x".repeat(5000));
        assert_eq!(ask(&house, method, &path).0, 400, "{method}");
    }
    // Bytes that are no text.
    let body = b"{\"Name\":\"v\xff\"}";
    let head = "POST /volumes/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let request = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let (status, answer) = say(&house, &request);
    assert!(status == 400 && answer.contains("v\u{fffd}"), "{answer}");
}

#[test]
fn whoever_is_refused_hears_why() {
    let house = House::empty();
    house.ok(["ps"]);
    // The daemon knows from the head that this makes no sense, but the client has not said everything yet.
    for head in ["PUT /containers/nobody/archive?path=", "POST /build?squash=1", "POST /images/load?platform=x"] {
        let mut stream = UnixStream::connect(house.socket()).unwrap();
        let head =
            format!("{head} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 300000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..300 {
            stream.write_all(&[0; 1000]).unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400", "{head}");
    }
}

#[test]
fn many_large_bodies_that_never_end_fill_no_memory() {
    let house = House::new();
    house.ok(["ps"]);
    let before = peak_memory(&house);
    let head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n";
    let mut rude: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(house.socket()).unwrap()).collect();
    for stream in &mut rude {
        stream.write_all(head).unwrap();
        stream.set_nonblocking(true).unwrap();
    }
    // Everybody says as much as is listened to, but for the last bytes.
    let mut left = vec![3_900_000_usize; rude.len()];
    for _ in 0..200 {
        for (stream, left) in rude.iter_mut().zip(&mut left) {
            let piece = [b' '; 1 << 16];
            *left -= stream.write(&piece[..piece.len().min(*left)]).unwrap_or(0);
        }
        assert_eq!(ask(&house, "GET", "/_ping").0, 200);
    }
    assert!(left.contains(&0), "nobody was listened to: {left:?}");
    let grown = peak_memory(&house).saturating_sub(before);
    assert!(grown < 80 << 10, "the daemon grew by {grown} KiB");
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}
