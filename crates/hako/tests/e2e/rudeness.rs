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
