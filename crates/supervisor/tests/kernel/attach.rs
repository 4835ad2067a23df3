//! Clients: before and after the start, with and without terminal, fast, slow and gone.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use hako_supervisor::protocol::{Ask, Framing};

use crate::Case;
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("a client attached before the start gets everything", before_start),
    ("input reaches the process, and its end with stdin_once", stdin_once),
    ("a client's end leaves other clients' input open", stdin_stays),
    ("a terminal echoes, resizes and detaches", terminal),
    ("a client gets the logs first", logs_first),
    ("a client that does not read blocks nobody for long", stalled_client),
    ("large output arrives whole", large_output),
];

fn all(mut client: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The payloads of a multiplexed stream, stdout's and stderr's.
fn payloads(mut bytes: &[u8]) -> [Vec<u8>; 2] {
    let mut streams = [Vec::new(), Vec::new()];
    while let Some((header, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
        streams[usize::from(header[0]) - 1].extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    streams
}

fn read_until(client: &mut UnixStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut room = [0; 1024];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = client.read(&mut room).unwrap();
        assert!(read > 0, "end before {text:?}: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&room[..read]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn before_start() {
    let stage = Stage::new("echo out; echo err >&2; exit 6");
    let mut engine = stage.engine();
    let client = engine.attach(Framing::Multiplexed, |_| {});
    engine.start(&stage).unwrap();
    assert_eq!(payloads(&all(client)), [b"out\n".to_vec(), b"err\n".to_vec()]);
    assert_eq!(engine.finish(), 6);
}

fn stdin_once() {
    let mut stage = Stage::new("cat; echo end");
    (stage.description.open_stdin, stage.description.stdin_once) = (true, true);
    let mut engine = stage.engine();
    let mut client = engine.attach(Framing::Multiplexed, |attach| attach.leftover = b"first ".to_vec());
    client.write_all(b"second\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    engine.start(&stage).unwrap();
    assert_eq!(payloads(&all(client))[0], b"first second\nend\n");
    assert_eq!(engine.finish(), 0);
}

fn stdin_stays() {
    let mut stage = Stage::new("head -n 1; head -n 1");
    stage.description.open_stdin = true;
    let mut engine = stage.start();
    let mut watcher = engine.attach(Framing::Raw, |attach| attach.stdin = false);
    let mut one = engine.attach(Framing::Raw, |_| {});
    one.write_all(b"one\n").unwrap();
    one.shutdown(Shutdown::Write).unwrap();
    read_until(&mut watcher, "one\n");
    let mut other = engine.attach(Framing::Raw, |_| {});
    other.write_all(b"two\n").unwrap();
    read_until(&mut watcher, "two\n");
    assert_eq!(engine.finish(), 0);
}

fn terminal() {
    let mut stage = Stage::new("read line; stty size; read line; stty size; sleep 1000");
    stage.process().terminal = true;
    stage.description.open_stdin = true;
    let mut engine = stage.engine();
    let mut client = engine.attach(Framing::Raw, |_| {});
    engine.start(&stage).unwrap();
    engine.ask(Ask::Resize { rows: 33, columns: 99 }).unwrap();
    client.write_all(b"x\n").unwrap();
    read_until(&mut client, "33 99\r\n");
    engine.ask(Ask::Resize { rows: 7, columns: 8 }).unwrap();
    client.write_all(b"y\n").unwrap();
    read_until(&mut client, "7 8\r\n");
    client.write_all(b"\x10\x11").unwrap();
    assert_eq!(all(client), b"");
    engine.until("detach");
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    assert_eq!(engine.finish(), 137);
    assert!(stage.log().contains(&"stdout: 33 99".to_owned()), "{:?}", stage.log());
}

fn logs_first() {
    let mut stage = Stage::new("echo one; echo two >&2; read line; echo three");
    stage.description.open_stdin = true;
    let mut engine = stage.start();
    crate::logs::wait_until(&stage, |lines| lines.len() == 2);
    let replay = engine.attach(Framing::Multiplexed, |attach| {
        (attach.logs, attach.stream, attach.stderr) = (true, false, false);
    });
    assert_eq!(all(replay), b"\x01\0\0\0\0\0\0\x04one\n");
    let mut client = engine.attach(Framing::Raw, |attach| attach.logs = true);
    client.write_all(b"\n").unwrap();
    let text = String::from_utf8(all(client)).unwrap();
    assert!(text.starts_with("one\ntwo\n") || text.starts_with("two\none\n"), "{text}");
    assert!(text.ends_with("three\n"));
    engine.finish();
}

fn stalled_client() {
    let stage = Stage::new("yes stalled | head -c 8m; echo; echo done");
    let mut engine = stage.engine();
    let idle = engine.attach(Framing::Multiplexed, |_| {});
    engine.start(&stage).unwrap();
    // Nobody reads `idle`: after a while it is given up, and the container ends.
    assert_eq!(engine.finish(), 0);
    assert_eq!(stage.log().last().map(String::as_str), Some("stdout: done"));
    drop(idle);
}

fn large_output() {
    let stage = Stage::new("seq 400000");
    let mut engine = stage.engine();
    let client = engine.attach(Framing::Multiplexed, |_| {});
    engine.start(&stage).unwrap();
    let want: String = (1..=400_000).map(|number| format!("{number}\n")).collect();
    assert!(payloads(&all(client))[0] == want.as_bytes());
    engine.finish();
    assert_eq!(stage.log().len(), 400_000);
}
