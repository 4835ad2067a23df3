//! Builds that rude clients ask for: wrong types, archives that lie or never end, Dockerfiles that grow beyond all measure, and
//! sessions that take another's name. It is their fault, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::builds::context;
use crate::house::{House, PATIENCE};

/// Posts a body; gives the answer's status and text.
fn post(house: &House, path: &str, body: &[u8]) -> (u16, String) {
    let head = "Host: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\n";
    let mut request = format!("POST {path} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend(body);
    let mut stream = UnixStream::connect(house.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has seen enough may close while something is still being said.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    (text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0), text)
}

/// A context as an archive.
fn archive(house: &House, files: &[(&str, &str)], flags: &str) -> Vec<u8> {
    let dir = context(house, files);
    let packed = Command::new("tar").args(["-C", dir.to_str().unwrap(), flags, "-", "."]).output().expect("tar");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    packed.stdout
}

fn dockerfile(house: &House, text: &str) -> Vec<u8> {
    archive(house, &[("Dockerfile", text)], "-cf")
}

fn peak_memory(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.daemon_pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn wrong_queries_and_archives_are_the_clients_fault() {
    let house = House::new();
    let good = dockerfile(&house, "FROM scratch\nCOPY Dockerfile /\n");
    house.ok(["ps"]);
    for query in [
        "memory=x",
        "shmsize=x",
        "cpuperiod=99999999999999999999",
        "buildargs=x",
        "buildargs=%7b%22a%22:1%7d",
        "labels=7",
        "ulimits=%5b1%5d",
        "cachefrom=%7b%7d",
        "platform=a/b/c/d/e",
        "t=../../x",
        "t=%00",
        "dockerfile=../../etc/passwd",
        "dockerfile=/etc/passwd",
        "dockerfile=.",
        "remote=file:///etc/passwd",
        "remote=http://127.0.0.1:1/x",
        "remote=--upload-pack=x",
        "remote=ssh://-oProxyCommand=x/y.git",
    ] {
        let (status, said) = post(&house, &format!("/build?{query}"), &good);
        assert_eq!(status, 400, "{query}: {said}");
    }
    let mut broken = good.clone();
    broken[100] ^= 0x55;
    let mut huge_name = good[..512].to_vec();
    huge_name[156] = b'L';
    huge_name[124..136].copy_from_slice(b"77777777777\0");
    huge_name[148..156].copy_from_slice(b"        ");
    let sum: u32 = huge_name.iter().map(|byte| u32::from(*byte)).sum();
    huge_name[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    huge_name.resize(4 << 20, b'a');
    for (name, body) in [
        ("nothing", Vec::new()),
        ("rubbish", b"rubbish".repeat(1000)),
        ("half", good[..700].to_vec()),
        ("a wrong checksum", broken),
        ("a name without end", huge_name),
        ("no gzip", b"\x1f\x8brubbish".repeat(100)),
        ("a folder", archive(&house, &[("Dockerfile/x", "")], "-cf")),
        ("a long file", dockerfile(&house, &"#".repeat(5 << 20))),
        ("bad patterns", archive(&house, &[("Dockerfile", "FROM scratch"), (".dockerignore", "[\n")], "-cf")),
    ] {
        let (status, said) = post(&house, "/build", &body);
        assert_eq!(status, 400, "{name}: {said}");
    }
    for order in [&b""[..], b"\0\0", b"\xff\xff\xff\xff", b"\0\0\x01\0{", b"\0\0\0\x04null", b"\0\0\0\x02{}"] {
        let (status, said) = post(&house, "/hako/build", order);
        assert_eq!(status, 400, "{order:?}: {said}");
    }
}

#[test]
fn dockerfiles_that_grow_are_stopped() {
    let house = House::new();
    house.ok(["ps"]);
    let daemon = house.daemon_pid();
    let long = "x".repeat(500_000);
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let ways = lines(40, &|i| format!("FROM a{} AS a{}\nCOPY --from=a{i} / /\n", i + 1, i + 2));
    for (text, expect) in [
        (
            format!("ARG A={}x{}\nFROM scratch\n", "${A:-".repeat(20_000), "}".repeat(20_000)),
            "nested more than 64 deep",
        ),
        (format!("FROM scratch\nENV A=xxxxxxxxxxxxxxxx\n{}", "ENV A=$A$A\n".repeat(40)), "more than 1048576 bytes"),
        (format!("FROM scratch\nENV A={long}\n{}", lines(50, &|i| format!("LABEL l{i}=$A\n"))), "larger than 4194304"),
        (format!("ARG A={long}\n{}FROM scratch\n", lines(50, &|i| format!("ARG l{i}=$A\n"))), "larger than 4194304"),
        (format!("FROM scratch AS a0\n{}", lines(2000, &|i| format!("FROM a{i} AS a{}\n", i + 1))), "1000 stages"),
        // Each stage needs two others: the ways to the first one are without number.
        (format!("FROM scratch AS a0\nFROM a0 AS a1\n{ways}FROM a41\nCOPY nothing /\n"), "nothing"),
    ] {
        let (status, said) = post(&house, "/build", &dockerfile(&house, &text));
        let end = said.get(said.len().saturating_sub(400)..).unwrap_or_default();
        assert!(status == 200 && said.contains(expect) && said.contains("\"error\""), "{expect}: {status} {end}");
    }
    let platforms = vec!["\"linux/amd64\""; 1000].join(",");
    let order = format!("{{\"dockerfile\":\"FROM scratch\",\"platforms\":[{platforms}]}}").into_bytes();
    let body = [&u32::try_from(order.len()).unwrap().to_be_bytes()[..], &order].concat();
    let (_, said) = post(&house, "/hako/build", &body);
    assert!(said.contains("more than 32 platforms"), "{said}");
    assert_eq!(house.daemon_pid(), daemon, "it is still the same daemon");
}

#[test]
fn a_packed_bomb_is_unpacked_without_memory() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM scratch\n")]);
    let file = std::fs::File::create(dir.join("zeros")).unwrap();
    file.set_len(128 << 20).unwrap();
    let packed = Command::new("tar").args(["-C", dir.to_str().unwrap(), "-czf", "-", "."]).output().unwrap().stdout;
    assert!(packed.len() < 1 << 20);
    house.ok(["ps"]);
    let before = peak_memory(&house);
    let (status, said) = post(&house, "/build", &packed);
    assert!(status == 200 && said.contains("Successfully built"), "{status} {said}");
    let grown = peak_memory(&house) - before;
    assert!(grown < 64 << 10, "{grown} kB for 128 MiB of zeros");
}

#[test]
fn nobody_takes_a_sessions_name() {
    let house = House::new();
    house.ok(["ps"]);
    let open = |id: &str| {
        let mut stream = UnixStream::connect(house.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = "Host: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n";
        let request = format!("POST /session HTTP/1.1\r\n{head}X-Docker-Expose-Session-Uuid: {id}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 2048];
        let count = stream.read(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer[..count]).into_owned();
        (stream, text)
    };
    let id = "../../../../tmp/escaped";
    let (first, said) = open(id);
    assert!(said.starts_with("HTTP/1.1 101"), "{said}");
    let (_, said) = open(id);
    assert!(said.starts_with("HTTP/1.1 409"), "{said}");
    assert!(open("another").1.starts_with("HTTP/1.1 101"));
    drop(first);
    crate::house::await_that("the name is free again", || open(id).1.starts_with("HTTP/1.1 101"));
}

/// Opens a connection that was upgraded, or gives what was said instead.
fn upgraded(house: &House, path: &str, protocol: &str, more: &str) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(house.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("Host: d\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{more}");
    stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        answer.push(byte[0]);
    }
    (stream, String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn only_its_own_protocol_is_switched_to() {
    let house = House::new();
    house.ok(["ps"]);
    for path in ["/grpc", "/session"] {
        let id = "X-Docker-Expose-Session-Uuid: one\r\n";
        assert!(upgraded(&house, path, "websocket", id).1.starts_with("HTTP/1.1 400"), "{path}");
        assert!(upgraded(&house, path, "h2c", id).1.starts_with("HTTP/1.1 101"), "{path}");
    }
}

/// Numbers that look like chance, the same every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.next(most);
        (0..count).map(|_| self.next(256) as u8).collect()
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut frame = (content.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

/// The headers of a call, as literals that are not remembered.
fn headers(method: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "d"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.extend([0, name.len() as u8]);
        block.extend(name.bytes());
        block.push(value.len() as u8);
        block.extend(value.bytes());
    }
    block
}

/// Fields of protobuf, some of them in each other, with lengths that may lie.
fn message(chance: &mut Chance, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..chance.next(6) {
        let (field, wire) = (1 + chance.next(14), [0, 1, 2, 2, 2, 3, 5, 7][chance.next(8)]);
        out.push((field << 3 | wire) as u8);
        match wire {
            0 => out.extend((0..chance.next(11)).map(|_| 0x80 | chance.next(128) as u8).chain([1])),
            2 => {
                let inner = if depth == 0 { chance.bytes(40) } else { message(chance, depth - 1) };
                let lie = chance.next(12) == 0;
                out.push(if lie { 0x7f } else { inner.len().min(0x7f) as u8 });
                out.extend(inner);
            }
            _ => out.extend(chance.bytes(9)),
        }
    }
    out
}

const METHODS: [&str; 9] = [
    "/moby.buildkit.v1.Control/Solve",
    "/moby.buildkit.v1.Control/Status",
    "/moby.buildkit.v1.Control/Info",
    "/moby.buildkit.v1.Control/Session",
    "/moby.buildkit.v1.Control/ListWorkers",
    "/moby.buildkit.v1.frontend.LLBBridge/Solve",
    "/moby.buildkit.v1.frontend.LLBBridge/Return",
    "/moby.buildkit.v1.frontend.LLBBridge/Ping",
    "/moby.nothing/Nothing",
];

/// What a rude client says after the protocol was switched.
fn rude(chance: &mut Chance) -> Vec<u8> {
    if chance.next(8) == 0 {
        return chance.bytes(4000);
    }
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(4, 0, 0, &[]));
    for number in 0..1 + chance.next(4) {
        let stream = 1 + 2 * number as u32;
        said.extend(frame(1, 4, stream, &headers(METHODS[chance.next(METHODS.len())])));
        let content = message(chance, 4);
        let mut body = vec![u8::from(chance.next(10) == 0)];
        // Sometimes it claims to be four gigabytes long.
        let length = if chance.next(6) == 0 { u32::MAX } else { content.len() as u32 };
        body.extend(length.to_be_bytes());
        body.extend(content);
        said.extend(frame(0, chance.next(2) as u8, stream, &body));
        if chance.next(3) == 0 {
            let content = chance.bytes(600);
            said.extend(frame(chance.next(12) as u8, chance.next(256) as u8, chance.next(9) as u32, &content));
        }
    }
    if chance.next(4) == 0 {
        // A header block without end.
        said.extend(frame(1, 0, 99, &headers("/x")));
        (0..200).for_each(|_| said.extend(frame(9, 0, 99, &[0x40; 4000])));
    }
    if chance.next(5) == 0 {
        let place = chance.next(said.len());
        said[place] ^= 1 << chance.next(8);
    }
    said
}

#[test]
fn broken_calls_of_buildkits_protocol_harm_nobody() {
    let house = House::new();
    house.ok(["ps"]);
    let (daemon, before) = (house.daemon_pid(), peak_memory(&house));
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for round in 0..300 {
        let said = rude(&mut chance);
        let path = if round % 3 == 0 { "/session" } else { "/grpc" };
        let (mut stream, answer) =
            upgraded(&house, path, "h2c", &format!("X-Docker-Expose-Session-Uuid: rude{round}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 101"), "{round}: {answer}");
        // It may have seen enough at any point.
        let _ = stream.write_all(&said);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut heard = Vec::new();
        if let Err(error) = stream.read_to_end(&mut heard) {
            let reset = std::io::ErrorKind::ConnectionReset;
            assert_eq!(error.kind(), reset, "round {round}: the connection stays open: {error}");
        }
    }
    assert_eq!(house.daemon_pid(), daemon, "it is the same daemon");
    let grown = peak_memory(&house) - before;
    assert!(grown < 64 << 10, "{grown} kB");
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    house.ok(["build", "-q", dir.to_str().unwrap()]);
}
