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
