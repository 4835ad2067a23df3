//! Execs: several at a time, with and without terminal and client.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use hako_model::id::ExecId;
use hako_supervisor::protocol::{Answer, Ask, ExecClient, ExecCreate, ExecStatus, Failure, Framing};

use crate::Case;
use crate::stage::{ENOUGH, Engine, Stage, exec_id, process};

pub(crate) const CASES: &[Case] = &[
    ("execs run side by side and keep their exit codes", side_by_side),
    ("an exec's input ends with its client's", input),
    ("an exec without client runs to its end", detached),
    ("an exec with a terminal resizes and detaches", terminal),
    ("a missing program is told to the client, too", missing),
    ("execs end with the container", end_with_container),
];

fn create(engine: &mut Engine, number: u8, args: &[&str], terminal: bool) -> ExecId {
    let mut process = process(args);
    process.terminal = terminal;
    let create = ExecCreate {
        exec: exec_id(number),
        process,
        stdin: true,
        stdout: true,
        stderr: true,
        beside: None,
        detach_keys: b"\x10\x11".to_vec(),
    };
    engine.ask(Ask::ExecCreate(Box::new(create))).unwrap();
    exec_id(number)
}

fn start(engine: &mut Engine, exec: &ExecId, framing: Framing) -> (UnixStream, Result<Answer, Failure>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(ENOUGH)).unwrap();
    let client = Some(ExecClient { framing, leftover: vec![] });
    let id = engine.send(Ask::ExecStart { exec: exec.clone(), client, size: Some((24, 80)) }, &[theirs.as_fd()]);
    (ours, engine.reply(id))
}

fn inspect(engine: &mut Engine, exec: &ExecId) -> ExecStatus {
    let Ok(Answer::Exec(status)) = engine.ask(Ask::ExecInspect { exec: exec.clone() }) else { panic!() };
    status
}

fn end(mut engine: Engine) {
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn text(mut client: UnixStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn side_by_side() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let one = create(&mut engine, 1, &["sh", "-c", "echo one; exit 11"], false);
    let two = create(&mut engine, 2, &["sh", "-c", "echo two >&2; exit 12"], false);
    let fresh = inspect(&mut engine, &one);
    assert_eq!((&fresh.exec, fresh.running, fresh.exit_code, fresh.pid), (&one, false, None, 0));
    let (first, started) = start(&mut engine, &one, Framing::Multiplexed);
    started.unwrap();
    let (second, started) = start(&mut engine, &two, Framing::Raw);
    started.unwrap();
    assert_eq!((text(first).as_str(), text(second).as_str()), ("\x01\0\0\0\0\0\0\x04one\n", "two\n"));
    engine.until("exec_die 11");
    assert_eq!(inspect(&mut engine, &one).exit_code, Some(11));
    crate::logs::wait_until(&stage, |_| inspect(&mut engine, &two).exit_code == Some(12));
    assert!(matches!(start(&mut engine, &one, Framing::Raw).1, Err(Failure::ExecRan { .. })));
    assert!(matches!(engine.ask(Ask::ExecInspect { exec: exec_id(9) }), Err(Failure::NoSuchExec { .. })));
    assert!(stage.log().is_empty(), "an exec's output is not logged");
    let supervisor = engine.handle.process().unwrap().pid();
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
    // The container's process 1, and the one that starts further processes.
    let children: Vec<i32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(children.len() == 2 && i64::from(children[0]) == i64::from(stage.status().pid()), "{children:?}");
    let ended = children.into_iter().filter(|pid| hako_sys::proc::stat(*pid).unwrap().state == 'Z');
    assert_eq!(ended.count(), 0, "everything that ended was reaped");
    end(engine);
}

fn input() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let exec = create(&mut engine, 1, &["cat"], false);
    let (mut client, started) = start(&mut engine, &exec, Framing::Raw);
    started.unwrap();
    let bytes = vec![b'x'; 3_000_000];
    let mut writer = client.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == bytes, "{} bytes came back", got.len());
    engine.until("exec_die 0");
    end(engine);
}

fn detached() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let exec = create(&mut engine, 1, &["sh", "-c", "echo lost; exit 5"], false);
    engine.ask(Ask::ExecStart { exec: exec.clone(), client: None, size: None }).unwrap();
    engine.until("exec_die 5");
    assert_eq!(inspect(&mut engine, &exec).exit_code, Some(5));
    end(engine);
}

fn terminal() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let exec = create(&mut engine, 1, &["sh", "-c", "stty size; read x; stty size; read x"], true);
    let (mut client, started) = start(&mut engine, &exec, Framing::Raw);
    started.unwrap();
    let mut room = [0; 64];
    let read = client.read(&mut room).unwrap();
    assert_eq!(&room[..read], b"24 80\r\n");
    engine.ask(Ask::ExecResize { exec: exec.clone(), rows: 5, columns: 6 }).unwrap();
    client.write_all(b"\n").unwrap();
    let mut seen = String::new();
    while !seen.contains("5 6\r\n") {
        let read = client.read(&mut room).unwrap();
        seen.push_str(&String::from_utf8_lossy(&room[..read]));
    }
    client.write_all(b"\x10\x11").unwrap();
    text(client);
    engine.until("exec_detach");
    assert!(inspect(&mut engine, &exec).running);
    end(engine);
}

fn missing() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let exec = create(&mut engine, 1, &["nope"], false);
    let (client, started) = start(&mut engine, &exec, Framing::Raw);
    let Err(Failure::Launch { exit_code: 127, error }) = started else { panic!("{started:?}") };
    assert_eq!(text(client), format!("{error}\r\n"));
    assert!(error.starts_with("OCI runtime exec failed: exec failed: ") && error.contains("\"nope\""), "{error}");
    assert_eq!(inspect(&mut engine, &exec).exit_code, Some(127));
    end(engine);
}

fn end_with_container() {
    let stage = Stage::new("sleep 1000");
    let mut engine = stage.start();
    let exec = create(&mut engine, 1, &["sh", "-c", "echo up; sleep 1000"], false);
    let (mut client, started) = start(&mut engine, &exec, Framing::Raw);
    started.unwrap();
    let mut room = [0; 3];
    client.read_exact(&mut room).unwrap();
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    assert_eq!(engine.history[3..], ["kill 9", "exec_die 137", "die 137"]);
    assert_eq!(text(client), "");
    engine.finish();
}
