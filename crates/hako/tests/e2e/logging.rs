//! `logs`, the on-disk format, rotation, drivers; and that the daemon is not in the way of the lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::house::{House, PATIENCE};

#[test]
fn logs_select_streams_times_and_tails() {
    let house = House::new();
    house
        .fails(0, ["run", "--name", "box", "busybox", "sh", "-c", "for i in 1 2 3; do echo out$i; done; echo err >&2"]);
    let ended = house.run(["logs", "box"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out1\nout2\nout3\n", "err\n"));
    assert_eq!(house.ok(["logs", "--tail", "2", "box"]), "out3");
    assert_eq!(house.ok(["logs", "-n", "0", "box"]), "");
    let stamped = house.ok(["logs", "-t", "--tail", "4", "box"]);
    let (time, text) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert!(time.len() == 30 && time.ends_with('Z') && text == "out1", "{stamped}");
    assert_eq!(house.ok(["logs", "--since", "1h", "--until", "2000-01-01T00:00:00Z", "box"]), "");
    assert_eq!(house.ok(["logs", "--since", "2099-01-01", "box"]), "");
}

#[test]
fn the_log_file_is_dockers_own_format() {
    let house = House::new();
    let id = house.ok(["run", "-d", "--name", "box", "busybox", "printf", "a\"b\\t<&>\\n\\001\\377x\\nno end"]);
    house.ok(["wait", "box"]);
    let path = house.inspect("box", "{{.LogPath}}");
    assert!(path.ends_with(&format!("{id}-json.log")), "{path}");
    let text = std::fs::read_to_string(path).unwrap();
    let logs: Vec<String> =
        text.lines().map(|line| line.split(r#","stream":"stdout","time":""#).next().unwrap().to_owned()).collect();
    assert_eq!(
        logs,
        [r#"{"log":"a\"b\u0009\u003c\u0026\u003e\n""#, r#"{"log":"\u0001\ufffdx\n""#, r#"{"log":"no end""#],
        "{text}"
    );
}

#[test]
fn following_ends_with_the_container() {
    let house = House::new();
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two",
    ]);
    let mut follower = house.spawn(["logs", "-f", "box"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    house.prod("box", "/go");
    assert_eq!(lines.next().unwrap().unwrap(), "two");
    assert!(lines.next().is_none());
    assert!(follower.wait().unwrap().success());
}

#[test]
fn rotation_bounds_the_disk_and_loses_no_line_to_a_follower() {
    let house = House::new();
    // As much as three files hold, then, when the follower has it all, far more.
    let script = "write() { while [ $i -lt $1 ]; do echo line $i; i=$((i+1)); done; }; i=0; write 3000; \
        while [ ! -e /go ]; do sleep 0.02; done; write 20000";
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "--log-opt",
        "max-size=100k",
        "--log-opt",
        "max-file=3",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    let mut follower = house.spawn(["logs", "-f", "box"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    for number in 0..3000 {
        assert_eq!(lines.next(), Some(format!("line {number}")));
    }
    house.prod("box", "/go");
    assert!(lines.last().is_some_and(|line| line == "line 19999"), "a follower sees the end");
    follower.wait().unwrap();
    let dir = std::path::PathBuf::from(house.inspect("box", "{{.LogPath}}")).parent().unwrap().to_owned();
    let kept = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"));
    let bytes: u64 = kept.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(bytes <= 3 * 110_000, "{bytes} bytes kept");
    let last = house.ok(["logs", "--tail", "1", "box"]);
    assert_eq!(last, "line 19999");
}

#[test]
fn other_drivers() {
    let house = House::new();
    house.ok(["run", "--name", "none", "--log-driver", "none", "busybox", "echo", "x"]);
    let said = house.fails(1, ["logs", "none"]);
    assert!(said.contains("configured logging driver does not support reading"), "{said}");
    house.ok(["run", "--name", "local", "--log-driver", "local", "busybox", "sh", "-c", "echo a; echo b"]);
    assert_eq!(house.ok(["logs", "local"]), "a\nb");
    let said = house.fails(125, ["run", "--log-driver", "carrier-pigeon", "busybox"]);
    assert!(said.contains("carrier-pigeon"), "{said}");
    let said = house.fails(1, ["create", "--log-opt", "max-sighs=3", "busybox"]);
    assert!(said.contains("unknown log opt 'max-sighs' for json-file log driver"), "{said}");
}

#[test]
fn details_show_labels_and_environment() {
    let house = House::new();
    house.ok(["run", "--name", "box", "-l", "tier=web", "--log-opt", "labels=tier", "busybox", "echo", "x"]);
    assert_eq!(house.ok(["logs", "--details", "box"]), "tier=web x");
}

#[test]
fn logs_go_to_servers_and_stay_readable() {
    let house = House::new();
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = format!("syslog-address=udp://{}", syslog.local_addr().unwrap());
    let options = [
        "--log-driver",
        "syslog",
        "--log-opt",
        &address,
        "--log-opt",
        "tag={{.Name}}",
        "--log-opt",
        "syslog-facility=local3",
    ];
    house.ok(["run", "--name", "loud"].iter().chain(&options).chain(&[
        "busybox",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ]));
    let mut heard: Vec<String> = (0..2).map(|_| packet(&syslog)).collect();
    heard.sort();
    // local3 is 19: 19 * 8 + 3 for errors, + 6 for the rest.
    assert!(heard[0].starts_with("<155>") && heard[0].ends_with(": err\n"), "{heard:?}");
    assert!(heard[1].starts_with("<158>") && heard[1].contains(" loud["), "{heard:?}");
    assert_eq!(house.ok(["logs", "loud"]).lines().filter(|line| *line == "out").count(), 1);

    let gelf = UdpSocket::bind("127.0.0.1:0").unwrap();
    gelf.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = format!("gelf-address=udp://{}", gelf.local_addr().unwrap());
    let options = [
        "--log-driver",
        "gelf",
        "--log-opt",
        &address,
        "--log-opt",
        "gelf-compression-type=none",
        "--log-opt",
        "env=A",
    ];
    house.ok(["run", "--name", "grey", "-e", "A=x"].iter().chain(&options).chain(&["busybox", "echo", "hi"]));
    let message = packet(&gelf);
    for member in [r#""short_message":"hi""#, r#""_container_name":"grey""#, r#""_A":"x""#] {
        assert!(message.contains(member), "{message}");
    }
}

#[test]
fn a_log_server_that_comes_late_misses_nothing() {
    let house = House::new();
    let fluentd = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = fluentd.local_addr().unwrap();
    drop(fluentd);
    let option = format!("fluentd-address={address}");
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "--log-driver",
        "fluentd",
        "--log-opt",
        &option,
        "busybox",
        "sh",
        "-c",
        "echo early; sleep 600",
    ]);
    crate::house::await_that("the line here", || house.ok(["logs", "box"]) == "early");
    let fluentd = TcpListener::bind(address).unwrap();
    let (mut connection, _) = fluentd.accept().unwrap();
    let mut heard = vec![0; 1024];
    let length = connection.read(&mut heard).unwrap();
    assert!(String::from_utf8_lossy(&heard[..length]).contains("early"));
    house.ok(["rm", "-f", "box"]);
}

fn packet(socket: &UdpSocket) -> String {
    let mut room = [0; 2048];
    let length = socket.recv(&mut room).unwrap();
    String::from_utf8_lossy(&room[..length]).into_owned()
}

#[test]
fn a_server_that_does_not_read_holds_no_container_up() {
    let house = House::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let option = format!("syslog-address=tcp://{}", server.local_addr().unwrap());
    let begun = Instant::now();
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; i=$((i+1)); done";
    house.ok([
        "run",
        "--log-driver",
        "syslog",
        "--log-opt",
        &option,
        "--log-opt",
        "mode=non-blocking",
        "--log-opt",
        "max-buffer-size=64k",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    let (mut connection, _) = server.accept().unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    let dropped: usize =
        text.lines().filter_map(|line| line.split_once("hako: ")?.1.split(' ').next()?.parse::<usize>().ok()).sum();
    // What had not left when the last patience ended is not counted any more.
    assert!(dropped > 0 && text.lines().count() + dropped <= 20_000 + 100, "{dropped} of {}", text.lines().count());
}

/// The kernel lets a user have 128 inotify instances; who follows logs must not need one each.
#[test]
fn hundreds_may_follow() {
    let house = House::new();
    let waits = "while [ ! -e /go ]; do sleep 0.1; done; echo gone";
    house.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", waits]);
    house.ok(["run", "-d", "--name", "other", "busybox", "sh", "-c", "echo here; sleep 600"]);
    let follow = |number: usize| {
        let name = if number.is_multiple_of(2) { "box" } else { "other" };
        let mut stream = UnixStream::connect(house.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /v1.51/containers/{name}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: hako\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        assert!(status.contains("200"), "follower {number}: {status}");
        reader
    };
    let mut followers: Vec<_> = (0..150).map(follow).collect();
    // One that goes takes nothing from those who stay.
    drop(followers.split_off(140));
    house.prod("box", "/go");
    for (number, follower) in followers.iter_mut().enumerate() {
        let wanted = if number.is_multiple_of(2) { "gone\n" } else { "here\n" };
        let mut line = Vec::new();
        while !line.ends_with(wanted.as_bytes()) {
            assert!(follower.read_until(b'\n', &mut line).unwrap() > 0, "follower {number} was left");
        }
    }
}
