//! How long a container waits for another's address.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::place::Place;
use crate::engine::Engines;
use crate::measures::own;
use crate::sample::{Plan, Row, milliseconds};

/// Questions of one round.
const QUESTIONS: usize = 2000;

pub(super) fn take(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut rows = ["median", "99th percentile"].map(|which| Row::new(format!("a container's name, {which}"), "ms"));
    let one_each: Vec<_> = engines.all.iter().filter(|engine| engine.name != "docker+crun").collect();
    for engine in &one_each {
        let network = own("names", engine);
        engine.run(&["network", "create", &network]);
        for name in ["asks", "answers"] {
            engine.run(&["run", "-d", "--name", &own(name, engine), "--network", &network, "busybox", "sleep", "3600"]);
        }
    }
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    for round in 0..plan.rounds.min(5) {
        for turn in 0..one_each.len() {
            let engine = one_each[(turn + round) % one_each.len()];
            let resolver = engine.read(&["exec", &own("asks", engine), "cat", "/etc/resolv.conf"]);
            let Some(server) = resolver.lines().find_map(|line| line.strip_prefix("nameserver ")) else { continue };
            let asking = Place::container(engine, &own("asks", engine));
            let told = asking.read(&program, &["--resolve", server.trim(), &own("answers", engine)]);
            let figures: Vec<f64> = told.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            if let [median, late] = figures[..] {
                rows[0].add(engine.name, median);
                rows[1].add(engine.name, late);
            }
        }
    }
    for engine in &one_each {
        engine.run(&["rm", "-f", &own("asks", engine), &own("answers", engine)]);
        engine.run(&["network", "rm", &own("names", engine)]);
    }
    rows.into()
}

/// Asks a server for a name again and again, each question over a socket of its own as programs do, and prints median and
/// 99th percentile in milliseconds.
pub(crate) fn resolve(server: &str, name: &str) -> Result<(), String> {
    let server: SocketAddr = format!("{server}:53").parse().map_err(|error| format!("{server}: {error}"))?;
    let mut took = Vec::with_capacity(QUESTIONS);
    for id in 0..QUESTIONS {
        took.push(asked(server, name, id as u16).map_err(|error| format!("ask {server} for {name}: {error}"))?);
    }
    took.sort_unstable();
    println!("{} {}", milliseconds(took[QUESTIONS / 2]), milliseconds(took[QUESTIONS * 99 / 100]));
    Ok(())
}

fn asked(server: SocketAddr, name: &str, id: u16) -> std::io::Result<Duration> {
    let mut question = vec![(id >> 8) as u8, id as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
    question.extend(name.bytes());
    question.extend([0, 0, 1, 0, 1]);
    let start = Instant::now();
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let took = start.elapsed();
    let answered = length > question.len() && answer[3] & 15 == 0 && answer[..2] == question[..2];
    answered.then_some(took).ok_or_else(|| std::io::Error::other("no such name"))
}
