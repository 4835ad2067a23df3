//! The process `hako supervise`: one loop over everything that can happen to one container.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hako_model::evidence::Sender;
use hako_model::state::Input;
use hako_model::time::Timestamp;
use hako_runtime::seed::Seed;
use hako_sys::fdpass::Channel;
use hako_sys::poll::{self, Epoll, Signals};
use hako_sys::process::SingleThreaded;

use crate::client::Client;
use crate::container::Container;
use crate::deadline::{Deadlines, Due};
use crate::door::Engines;
use crate::exec::Execs;
use crate::log::compress::Compression;
use crate::log::courier::Courier;
use crate::probe::Probing;
use crate::session::Session;
use crate::token::Token;
use crate::{Error, Result};

/// Buffers stay so long after a burst.
const REST: Duration = Duration::from_millis(200);
/// What ends other programs does not end this one: its container would die with it.
const IGNORED: [i32; 7] = [1, 2, 3, 10, 12, 13, 15];

/// Runs a supervisor with the arguments after `supervise`: `--fd N`, the engine's socket, `--cgroup PATH`, where the seed
/// waits, and `--open-files N`, the soft limit that containers inherit, if the engine's own is another. Returns when its container has ended for good, or its engine has gone before there was one.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match prepare(arguments).and_then(|mut supervisor| supervisor.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hako supervise: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(arguments: impl IntoIterator<Item = OsString>) -> Result<Supervisor> {
    let arguments = Arguments::parse(arguments)?;
    arguments.open_files.map_or(Ok(()), hako_sys::own::limit_open_files)?;
    let usage = || Error::Usage { problem: format!("descriptor {} is not open", arguments.fd) };
    let channel = Channel::from(hako_sys::process::take_inherited(arguments.fd).ok_or_else(usage)?);
    Supervisor::new(channel, &arguments.cgroup)
}

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    fd: i32,
    cgroup: String,
    open_files: Option<u64>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let usage = |problem: &str| Error::Usage { problem: problem.to_owned() };
        let (mut fd, mut cgroup, mut open_files) = (None, None, None);
        let mut arguments = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = arguments.next() {
            let value = arguments.next().ok_or_else(|| usage(&format!("{word} needs a value")))?;
            match word.as_str() {
                "--fd" => fd = value.parse().ok(),
                "--cgroup" => cgroup = Some(value),
                "--open-files" => {
                    open_files = Some(value.parse().map_err(|_| usage("--open-files needs a number"))?);
                }
                _ => return Err(usage(&format!("unknown argument {word}"))),
            }
        }
        let fd = fd.ok_or_else(|| usage("--fd needs a number"))?;
        Ok(Self { fd, cgroup: cgroup.ok_or_else(|| usage("--cgroup is missing"))?, open_files })
    }
}

/// Everything one supervisor holds.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub witness: SingleThreaded,
    pub epoll: Epoll,
    pub engines: Engines,
    pub deadlines: Deadlines,
    /// The future init, until it is used.
    pub seed: Option<Seed>,
    /// The container, once Start has said which.
    pub container: Option<Container>,
    /// Live processes: the container's first, execs, a probe.
    pub sessions: Vec<(u32, Session)>,
    pub clients: Vec<Client>,
    pub execs: Execs,
    pub probing: Option<Probing>,
    pub compression: Option<Compression>,
    /// On whose behalf the next signal is sent.
    pub sender: Option<Sender>,
    /// What output and input are read into; empty while nothing happens.
    pub scratch: Vec<u8>,
    /// The last number given to a session or client.
    pub count: u32,
    /// Whether the engine has taken in the last event.
    pub dismissed: bool,
    /// Whether the log's server has had all the time it gets after the container's end.
    pub is_forsaken: bool,
    _signals: Signals,
}

impl Supervisor {
    fn new(channel: Channel, cgroup: &str) -> Result<Self> {
        hako_sys::own::keep_memory_small();
        // The binary is executed by descriptor, whose number would be the name. A wrong name harms nobody.
        let _ = rustix::thread::set_name(c"hako-supervise");
        let witness = SingleThreaded::check()?;
        let epoll = Epoll::new()?;
        let mut engines = Engines::default();
        engines.admit(channel, true, &epoll)?;
        let signals = Signals::new(&IGNORED)?;
        // A host where no seed can be made says so when a container is started.
        let seed = Seed::prepare(witness, cgroup).ok();
        Ok(Self {
            witness,
            epoll,
            engines,
            deadlines: Deadlines::default(),
            seed,
            container: None,
            sessions: Vec::new(),
            clients: Vec::new(),
            execs: Execs::default(),
            probing: None,
            compression: None,
            sender: None,
            scratch: Vec::new(),
            count: 0,
            dismissed: false,
            is_forsaken: false,
            _signals: signals,
        })
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Vec::new();
        while !self.may_go() {
            events.clear();
            self.epoll.wait(&mut events, self.deadlines.wait())?;
            for event in &events {
                complain(self.handle(*event));
            }
            while let Some(due) = self.deadlines.take() {
                complain(self.handle_due(due));
            }
            complain(self.sweep_clients());
            self.release_hold();
        }
        if let Some(compression) = self.compression.take() {
            compression.abandon();
        }
        if let Some(container) = &self.container {
            container.shut_door();
        }
        Ok(())
    }

    /// A spare goes with its engine; a supervisor when its container has left, its clients have everything and the
    /// engine has heard of it, or there is none.
    fn may_go(&self) -> bool {
        match &self.container {
            None => self.engines.is_empty(),
            Some(container) => {
                let delivered = self.is_forsaken || container.courier.as_ref().is_none_or(Courier::is_done);
                container.has_left()
                    && delivered
                    && self.clients.is_empty()
                    && (self.dismissed || self.engines.is_empty())
            }
        }
    }

    fn handle(&mut self, event: poll::Event) -> Result<()> {
        match Token::unpack(event.token) {
            Some(Token::Door) => self.engines.answer_door(&self.epoll)?,
            Some(Token::Engine(number)) => self.hear(number, event)?,
            Some(Token::Exit(number)) => self.see_exit(number)?,
            Some(Token::Output(number, stream)) => {
                if event.writable {
                    self.make_room(number)?;
                }
                if event.readable || event.closed {
                    self.pump(number, stream)?;
                }
            }
            Some(Token::Input(number)) => self.make_room(number)?,
            Some(Token::Client(number)) => self.serve(number, event)?,
            Some(Token::Memory) => self.see_memory(),
            Some(Token::Ports) => self.relay_ports(),
            Some(Token::Compression) => self.end_compression(),
            Some(Token::Names) => self.answer_names(),
            Some(Token::Host) => self.see_host(),
            Some(Token::Courier) => self.carry_log(),
            None => {}
        }
        Ok(())
    }

    fn hear(&mut self, number: u32, event: poll::Event) -> Result<()> {
        if event.writable {
            self.engines.flush(number, &self.epoll);
        }
        if event.readable || event.closed {
            while let Some(message) = self.engines.receive(number, &self.epoll) {
                self.answer(number, message)?;
            }
        }
        Ok(())
    }

    fn handle_due(&mut self, due: Due) -> Result<()> {
        match due {
            Due::Grace => self.advance(Input::GraceOver),
            Due::Restart => self.advance(Input::RestartDue),
            Due::Probe => self.begin_probe()?,
            Due::ProbeTimeout => self.time_out_probe(),
            Due::Drained(number) => self.finish(number)?,
            Due::Stalled => self.give_up_stalled(),
            Due::Compress => self.begin_compression()?,
            Due::Rest => self.rest(),
            Due::Mend => self.mend()?,
            Due::Courier => self.carry_log(),
            Due::Farewell => self.is_forsaken = true,
        }
        Ok(())
    }

    /// Gives back what a burst needed.
    fn rest(&mut self) {
        self.scratch = Vec::new();
        if let Some(container) = &mut self.container {
            container.log.rest();
        }
    }

    /// A buffer for one round of reading; put it back into `scratch`.
    pub(crate) fn take_scratch(&mut self) -> Vec<u8> {
        const SIZE: usize = 256 * 1024;
        self.deadlines.set_once(Due::Rest, REST);
        let mut scratch = std::mem::take(&mut self.scratch);
        if scratch.is_empty() {
            // Zeroed by the kernel, page by page as they are used; resizing would touch them all.
            scratch = vec![0; SIZE];
        }
        scratch
    }

    /// A number for a new session or client.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// The live session `number`.
    pub(crate) fn session(&mut self, number: u32) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|(known, _)| *known == number).map(|(_, session)| session)
    }
}

/// One thing that failed is no reason to end a container with its supervisor.
fn complain(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("hako supervise: {error}");
    }
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Option<(i32, String, Option<u64>)> {
        let parsed = Arguments::parse(words.iter().map(OsString::from)).ok()?;
        Some((parsed.fd, parsed.cgroup, parsed.open_files))
    }

    #[test]
    fn arguments() {
        assert_eq!(parse(&["--fd", "3", "--cgroup", "/hako/a"]), Some((3, "/hako/a".into(), None)));
        let all = ["--fd", "3", "--cgroup", "/a", "--open-files", "1024"];
        assert_eq!(parse(&all), Some((3, "/a".into(), Some(1024))));
        for words in [
            &["--fd", "3"][..],
            &["--cgroup", "/a"],
            &["--fd", "x", "--cgroup", "/a"],
            &["--fd"],
            &["x", "y"],
            &all[..5],
        ] {
            assert_eq!(parse(words), None, "{words:?}");
        }
    }
}
