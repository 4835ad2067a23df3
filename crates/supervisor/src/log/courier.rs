//! Sending the log elsewhere: a reader of the container's own log that passes entries on as fast as the other side takes
//! them. The container never waits for it; what the other side has not taken waits in the log's files.

mod letter;
mod link;
mod tunnel;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use hako_model::time::Timestamp;

use super::Stream;
use super::config::LogConfig;
use super::read::{Entry, Query, Reader};
use super::remote::Remote;
use link::{Link, Sent};

/// How long until a server that is away is tried again, at first and at most.
const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(15);
/// Entries that are sent before others get their turn.
const TURN: usize = 512;

/// What the courier waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// More to send.
    News,
    /// Room on the way.
    Room,
    /// An answer from the server.
    Answer,
    /// A time, to try again.
    Later(Duration),
    /// Its next turn.
    Turn,
}

/// Carries one container's log elsewhere.
#[derive(Debug)]
pub(crate) struct Courier {
    remote: Remote,
    config: LogConfig,
    /// Opened when there is something to send.
    reader: Option<Reader>,
    link: Option<Link>,
    /// Packets of the entry that is on its way, and how much of the first one has gone.
    packets: VecDeque<Vec<u8>>,
    /// Bytes of lines that were logged and neither sent nor dropped.
    waiting: u64,
    /// Entries dropped since the last note about it.
    dropped: u64,
    pause: Duration,
    resting: Option<Instant>,
}

impl Courier {
    /// A courier for what is logged from now on; none if the log stays here.
    pub(crate) fn of(config: &LogConfig) -> Option<Self> {
        let remote = config.remote.clone()?;
        Some(Self {
            remote,
            config: config.clone(),
            reader: None,
            link: None,
            packets: VecDeque::new(),
            waiting: 0,
            dropped: 0,
            pause: FIRST,
            resting: None,
        })
    }

    /// So many bytes are about to be logged, the first of them at `now`.
    pub(crate) fn expect(&mut self, bytes: usize, now: Timestamp) {
        if self.reader.is_none() {
            let query = Query { since: Some(now), follow: true, ..Query::ALL };
            self.reader = Reader::open(&self.config, query).ok();
        }
        self.waiting += bytes as u64;
    }

    /// Sends what can be sent now.
    pub(crate) fn work(&mut self) -> Waits {
        if let Some(rest) = self.resting.map(|until| until.saturating_duration_since(Instant::now())) {
            if !rest.is_zero() {
                self.drop_surplus();
                return Waits::Later(rest);
            }
            self.resting = None;
        }
        for _ in 0..TURN {
            if self.packets.is_empty() && !self.next() {
                return Waits::News;
            }
            match self.send() {
                Ok(Sent::All) => self.pause = FIRST,
                Ok(Sent::Part) => {
                    self.drop_surplus();
                    return Waits::Room;
                }
                Ok(Sent::Silent) => {
                    self.drop_surplus();
                    return Waits::Answer;
                }
                Err(_) => return self.rest(),
            }
        }
        Waits::Turn
    }

    /// The server is away: what is half sent is sent anew.
    fn rest(&mut self) -> Waits {
        self.link = None;
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST);
        self.resting = Some(Instant::now() + pause);
        self.drop_surplus();
        Waits::Later(pause)
    }

    /// The socket, to be watched.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(Link::socket)
    }

    /// Whether everything has gone.
    pub(crate) fn is_done(&self) -> bool {
        self.packets.is_empty() && self.waiting == 0
    }

    fn send(&mut self) -> std::io::Result<Sent> {
        if self.link.is_none() {
            self.link = Some(Link::open(&self.remote.address)?);
        }
        let Some(link) = &mut self.link else { return Ok(Sent::Part) };
        while let Some(packet) = self.packets.front() {
            match link.send(packet)? {
                Sent::All => drop(self.packets.pop_front()),
                wait => return Ok(wait),
            }
        }
        Ok(Sent::All)
    }

    /// Takes the next entry; before it, a note about those that were dropped.
    fn next(&mut self) -> bool {
        self.drop_surplus();
        let streams = self.remote.address.streams();
        if self.dropped > 0 {
            let note = format!("hako: {} log messages were dropped: the server does not keep up\n", self.dropped);
            self.dropped = 0;
            let time = Timestamp::from(std::time::SystemTime::now());
            let entry = Entry { time, stream: Stream::Stderr, line: note.as_bytes() };
            self.packets = letter::write(&self.remote, &self.config.attributes, &entry, streams).into();
            return true;
        }
        let Some(reader) = &mut self.reader else { return false };
        match reader.next() {
            Ok(Some(entry)) => {
                self.waiting = self.waiting.saturating_sub(entry.line.len() as u64);
                self.packets = letter::write(&self.remote, &self.config.attributes, &entry, streams).into();
                true
            }
            _ => {
                // What is still expected went with a file that is gone, or has no newline yet.
                self.waiting = 0;
                false
            }
        }
    }

    /// In non-blocking mode no more than the buffer waits: the oldest go, and are counted.
    fn drop_surplus(&mut self) {
        let Some(most) = self.remote.buffer else { return };
        let Some(reader) = &mut self.reader else { return };
        while self.waiting > most {
            let Ok(Some(entry)) = reader.next() else { break };
            self.waiting = self.waiting.saturating_sub(entry.line.len() as u64);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use super::*;
    use crate::log::config::Driver;
    use crate::log::remote::{Address, Format, Subject, SyslogHead};
    use crate::log::write::Writer;

    fn logged(directory: &Path, address: Address, buffer: Option<u64>) -> (Writer, Courier) {
        let format = Format::Syslog { facility: 8, head: SyslogHead::Local };
        let remote = Remote { address, format, subject: Subject::default(), buffer };
        let config = LogConfig {
            driver: Driver::Syslog,
            remote: Some(remote),
            ..LogConfig::json_file(directory.join("local-logs/container.log"))
        };
        let writer = Writer::open(config.clone(), Timestamp::ZERO).unwrap();
        (writer, Courier::of(&config).unwrap())
    }

    fn log(writer: &mut Writer, courier: &mut Courier, line: &str) {
        let now = Timestamp::from(std::time::SystemTime::now());
        courier.expect(line.len(), now);
        writer.log(Stream::Stdout, line.as_bytes(), now);
        writer.flush();
    }

    #[test]
    fn what_was_said_while_the_server_was_away_is_sent_when_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (mut writer, mut courier) = logged(directory.path(), Address::Packets(path.clone()), None);
        log(&mut writer, &mut courier, "one\n");
        assert!(matches!(courier.work(), Waits::Later(_)));
        let server = UnixDatagram::bind(path).unwrap();
        log(&mut writer, &mut courier, "two\n");
        courier.resting = None;
        assert_eq!(courier.work(), Waits::News);
        assert!(courier.is_done());
        for line in ["one\n", "two\n"] {
            let mut room = [0; 200];
            let length = server.recv(&mut room).unwrap();
            assert!(room[..length].ends_with(line.as_bytes()), "{:?}", String::from_utf8_lossy(&room[..length]));
        }
    }

    #[test]
    fn a_server_that_does_not_read_costs_messages_that_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let (mut writer, mut courier) = logged(directory.path(), address, Some(10_000));
        let (line, count) = (format!("{}\n", "x".repeat(999)), 20_000);
        let mut stalled = false;
        for _ in 0..count {
            log(&mut writer, &mut courier, &line);
            stalled |= courier.work() == Waits::Room;
        }
        assert!(stalled && courier.dropped > 0 && courier.waiting <= 10_000);
        let (mut server, _) = listener.accept().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            server.read_to_string(&mut text).unwrap();
            text
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        while !courier.is_done() && Instant::now() < deadline {
            courier.work();
        }
        drop(courier);
        let text = reader.join().unwrap();
        let notes =
            text.lines().filter_map(|line| line.split_once("hako: ")?.1.split(' ').next()?.parse::<usize>().ok());
        let dropped: usize = notes.sum();
        assert_eq!(text.matches("xxx\n").count() + dropped, count, "every message arrived or was counted");
        assert!(dropped > 0);
    }
}
