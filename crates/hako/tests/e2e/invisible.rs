//! An invisible engine: the daemon is killed or replaced again and again under load, and nobody notices. Ten rounds;
//! `HAKO_TEST_ROUNDS` asks for more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::house::{House, alive, await_that, finish, signal};

/// Asks a published port again and again.
struct Visitors {
    over: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Visitors {
    fn come(port: u16) -> Self {
        let (over, served, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut visitors = Self { over, served, failed, threads: Vec::new() };
        for _ in 0..2 {
            let (over, served, failed) =
                (Arc::clone(&visitors.over), Arc::clone(&visitors.served), Arc::clone(&visitors.failed));
            visitors.threads.push(std::thread::spawn(move || {
                // Bounded, should nobody ever say that it is over.
                for _ in 0..1_000_000 {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let count = if get(port).as_deref() == Some("page") { &served } else { &failed };
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            }));
        }
        visitors
    }

    fn leave(self) -> (u64, u64) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        (self.served.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(crate::house::PATIENCE)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
}

/// A session that echoes what is typed.
struct Echo {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Echo {
    fn begin(house: &House, args: &[&str]) -> Self {
        let mut child = house.spawn(args);
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn says_back(&mut self, word: &str) {
        if let Err(error) = writeln!(self.input, "{word}") {
            let mut said = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{error}: {said}");
        }
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word);
    }

    fn end(self) {
        let Self { mut child, input, output } = self;
        drop(input);
        let mut errors = child.stderr.take().unwrap();
        let ended = child.wait().unwrap();
        drop(output);
        let mut said = String::new();
        errors.read_to_string(&mut said).unwrap();
        assert!(ended.success(), "{said}");
    }
}

/// The daemon goes: without warning, or in good order as when it is replaced.
fn replace_daemon(house: &House, round: usize) {
    if round.is_multiple_of(3) {
        let Some(pid) = house.daemon_pid() else { return };
        signal(pid, "TERM");
        await_that("the daemon to leave", || !alive(pid));
    } else if house.daemon_pid().is_some() {
        house.kill_daemon();
    }
}

fn rounds() -> usize {
    std::env::var("HAKO_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

#[test]
fn nobody_notices_that_the_daemon_is_killed_and_replaced() {
    let house = House::new();
    let serve = "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www";
    house.ok(["run", "-d", "--name", "web", "-p", "8081:80", "busybox", "sh", "-c", serve]);
    await_that("the page", || get(8081).is_some());
    let count = "i=0; while [ ! -e /enough ]; do echo line $i; i=$((i+1)); usleep 1000; done";
    house.ok(["run", "-d", "--name", "talk", "busybox", "sh", "-c", count]);
    let followed = house.spawn(["logs", "-f", "talk"]);
    let followed = std::thread::spawn(move || finish(followed.wait_with_output().unwrap()));
    let mut watcher = house.spawn([
        "events",
        "--since",
        "1h",
        "--filter",
        "type=container",
        "--format",
        "{{.Action}} {{.Actor.Attributes.name}}",
    ]);
    let mut heard = BufReader::new(watcher.stdout.take().unwrap());
    // An event that was heard says that it listens. It may have begun to before or after that.
    house.ok(["rename", "web", "site"]);
    let mut last = String::new();
    while last != "rename site\n" {
        last.clear();
        assert!(heard.read_line(&mut last).unwrap() > 0, "it listens on");
    }
    let mut attached = Echo::begin(&house, &["run", "-i", "--name", "echo", "busybox", "cat"]);
    let mut entered = Echo::begin(&house, &["exec", "-i", "site", "cat"]);
    for session in [&mut attached, &mut entered] {
        session.says_back("here");
    }
    let visitors = Visitors::come(8081);
    for round in 0..rounds() {
        replace_daemon(&house, round);
        for session in [&mut attached, &mut entered] {
            session.says_back(&format!("round {round}"));
        }
        // A daemon is there again when a command needs one.
        assert_eq!(house.ok(["run", "--name", &format!("r{round}"), "busybox", "echo", "hi"]), "hi");
        attached.says_back("and on");
    }
    let (served, failed) = visitors.leave();
    assert_eq!(failed, 0, "of {served} requests");
    assert!(served > 100, "{served}");
    house.prod("talk", "/enough");
    let followed = followed.join().unwrap();
    assert_eq!(followed.code, 0, "{}", followed.stderr);
    let lines: Vec<&str> = followed.stdout.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {number}"), "no gap, nothing twice");
    }
    assert_eq!(house.ok(["logs", "talk"]).lines().count(), lines.len());
    entered.end();
    attached.end();
    house.ok(["rename", "site", "last"]);
    let mut told = Vec::new();
    for line in heard.lines() {
        let line = line.unwrap();
        let over = line == "rename last";
        told.push(line);
        if over {
            break;
        }
    }
    for round in 0..rounds() {
        for action in ["create", "start", "die"] {
            let event = format!("{action} r{round}");
            assert_eq!(told.iter().filter(|line| **line == event).count(), 1, "{event} of {told:#?}");
        }
    }
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[test]
fn followed_logs_of_a_terminal_and_of_both_streams_go_on() {
    let house = House::new();
    let say = "i=0; while [ ! -e /enough ]; do echo out $i; echo err $i >&2; i=$((i+1)); usleep 3000; done";
    house.ok(["run", "-d", "--name", "both", "busybox", "sh", "-c", say]);
    house.ok(["run", "-d", "-t", "--name", "tty", "busybox", "sh", "-c", say]);
    let begin = |args: &[&str]| {
        let child = house.spawn(args);
        std::thread::spawn(move || finish(child.wait_with_output().unwrap()))
    };
    let (both, tty) = (begin(&["logs", "-f", "both"]), begin(&["logs", "-f", "-t", "tty"]));
    for _ in 0..3 {
        await_that("some lines", || house.ok(["logs", "--tail", "1", "both"]).contains("out"));
        house.kill_daemon();
    }
    for name in ["both", "tty"] {
        // The container ends as soon as the file is there, and may take the one who made it along: no code to ask for.
        house.prod(name, "/enough");
    }
    let (both, tty) = (both.join().unwrap(), tty.join().unwrap());
    for (text, word) in [(&both.stdout, "out"), (&both.stderr, "err")] {
        for (number, line) in text.lines().enumerate() {
            assert_eq!(line, format!("{word} {number}"));
        }
    }
    let numbers: Vec<usize> = tty
        .stdout
        .lines()
        .filter(|line| line.contains(" out "))
        .map(|line| line.trim().rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
}
