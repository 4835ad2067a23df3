//! The connection to systemd: the system bus, or its own socket where no bus runs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::message::{self, Address, Body, HEAD, Kind, Message};
use super::{Fault, Result};

const USUAL_BUS: &str = "/run/dbus/system_bus_socket";
const OWN_SOCKET: &str = "/run/systemd/private";

/// How long systemd may take to answer, and a job to be done.
const PATIENCE: Duration = Duration::from_secs(30);

const BROKER: Address =
    Address { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

const MANAGER: Address = Address {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

const WHEN_JOBS_END: &str = "type='signal',sender='org.freedesktop.systemd1',\
    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// An open connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    deadline: Instant,
    /// Jobs that ended before anybody asked, and how.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to whoever leads to systemd.
    pub(super) fn connect() -> Result<Self> {
        let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
        if let Some(address) = named.as_deref() {
            let path = socket_of(address).ok_or_else(|| Fault::Address(address.to_owned()))?;
            return Self::of_broker(path);
        }
        match Self::of_broker(USUAL_BUS) {
            Err(Fault::Connect { .. }) => Self::greet(OWN_SOCKET),
            connected => connected,
        }
    }

    fn of_broker(path: &str) -> Result<Self> {
        let mut bus = Self::greet(path)?;
        bus.ask(BROKER, "Hello", &Body::default())?;
        bus.ask(BROKER, "AddMatch", &Body::default().text(WHEN_JOBS_END))?;
        bus.ask(MANAGER, "Subscribe", &Body::default())?;
        Ok(bus)
    }

    /// Connects and says who we are; the kernel tells the other side whether that is true.
    fn greet(path: &str) -> Result<Self> {
        let failed = |cause| Fault::Connect { path: path.to_owned(), cause };
        let stream = UnixStream::connect(path).map_err(failed)?;
        let mut bus = Self { stream, serial: 0, deadline: Instant::now() + PATIENCE, ended: Vec::new() };
        let uid = rustix::process::geteuid().as_raw().to_string();
        let digits: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        bus.write(format!("\0AUTH EXTERNAL {digits}\r\n").as_bytes())?;
        let answer = bus.line()?;
        if !answer.starts_with("OK ") {
            return Err(Fault::Unwelcome(answer));
        }
        bus.write(b"BEGIN\r\n")?;
        Ok(bus)
    }

    /// Calls systemd and waits for its answer.
    pub(super) fn call(&mut self, member: &str, body: &Body) -> Result<Message> {
        self.ask(MANAGER, member, body)
    }

    /// Calls for a job and waits until that is done.
    pub(super) fn carry_out(&mut self, member: &str, body: &Body) -> Result<()> {
        let job = self.call(member, body)?.first_text()?;
        let result = loop {
            if let Some(at) = self.ended.iter().position(|(ended, _)| *ended == job) {
                break self.ended.swap_remove(at).1;
            }
            self.receive()?;
        };
        if result == "done" { Ok(()) } else { Err(Fault::Job { member: member.to_owned(), result }) }
    }

    fn ask(&mut self, to: Address, member: &str, body: &Body) -> Result<Message> {
        self.deadline = Instant::now() + PATIENCE;
        self.serial += 1;
        self.write(&message::call(to, member, self.serial, body))?;
        loop {
            let Some(message) = self.receive()? else { continue };
            match message.kind {
                Kind::Return if message.answers == self.serial => return Ok(message),
                Kind::Error if message.answers == self.serial => {
                    let words = message.first_text()?;
                    return Err(Fault::Refused { member: member.to_owned(), name: message.error, words });
                }
                _ => {}
            }
        }
    }

    /// One message, unless it tells of a job: that is noted.
    fn receive(&mut self) -> Result<Option<Message>> {
        let mut head = [0; HEAD];
        self.fill(&mut head)?;
        let mut rest = vec![0; message::rest(&head)?];
        self.fill(&mut rest)?;
        let message = message::read(&head, &rest)?;
        Ok(match message.ended_job()? {
            Some(job) => {
                self.ended.push(job);
                None
            }
            None => Some(message),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE)).map_err(Fault::Broken)?;
        self.stream.write_all(bytes).map_err(Fault::Broken)
    }

    fn fill(&mut self, mut place: &mut [u8]) -> Result<()> {
        while !place.is_empty() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Silent);
            }
            self.stream.set_read_timeout(Some(left)).map_err(Fault::Broken)?;
            match self.stream.read(place) {
                Ok(0) => return Err(Fault::Broken(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => place = &mut place[count..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(Fault::Silent),
                Err(error) => return Err(Fault::Broken(error)),
            }
        }
        Ok(())
    }

    /// A line of the greeting.
    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 512 {
                return Err(Fault::Protocol("a greeting without end"));
            }
            let mut byte = [0];
            self.fill(&mut byte)?;
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }
}

/// The socket's path of an address such as `unix:path=/run/dbus/system_bus_socket,guid=…`.
fn socket_of(address: &str) -> Option<&str> {
    address.split(';').find_map(|one| one.strip_prefix("unix:")?.split(',').find_map(|part| part.strip_prefix("path=")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    /// A bus that answers each call as it is told, after the usual greeting.
    fn with_bus(answer: fn(u32, &Message) -> Vec<Vec<u8>>, test: fn(&Path)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let bus = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut greeting = Vec::new();
            while !greeting.ends_with(b"BEGIN\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                greeting.extend(byte);
                let lines = greeting.iter().filter(|byte| **byte == b'\n').count();
                if byte == [b'\n'] && lines == 1 && greeting.starts_with(b"\0AUTH EXTERNAL 3") {
                    stream.write_all(b"OK 1234\r\n").unwrap();
                }
            }
            let mut head = [0; HEAD];
            while stream.read_exact(&mut head).is_ok() {
                let mut rest = vec![0; message::rest(&head).unwrap()];
                stream.read_exact(&mut rest).unwrap();
                let serial = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
                for told in answer(serial, &message::read(&head, &rest).unwrap()) {
                    stream.write_all(&told).unwrap();
                }
            }
        });
        test(&path);
        bus.join().unwrap();
    }

    const RETURN: u8 = 2;
    const ERROR: u8 = 3;
    const SIGNAL: u8 = 4;

    fn removed(job: &str, result: &str) -> Vec<u8> {
        message::told(SIGNAL, 0, "JobRemoved", Some(7), &[('o', job), ('s', "a.scope"), ('s', result)])
    }

    #[test]
    fn a_job_is_waited_for_even_if_it_ends_before_its_answer() {
        let answer = |serial, asked: &Message| match asked.member.as_str() {
            "StartTransientUnit" => {
                let job = message::told(RETURN, serial, "", None, &[('o', "/job/7")]);
                vec![removed("/job/6", "failed"), removed("/job/7", "done"), job]
            }
            "StopUnit" => {
                let job = message::told(RETURN, serial, "", None, &[('o', "/job/8")]);
                vec![job, removed("/job/8", "canceled")]
            }
            _ => vec![message::told(RETURN, serial, "", None, &[('s', ":1.5")])],
        };
        with_bus(answer, |path| {
            let mut bus = Bus::of_broker(path.to_str().unwrap()).unwrap();
            bus.carry_out("StartTransientUnit", &Body::default()).unwrap();
            let error = bus.carry_out("StopUnit", &Body::default()).unwrap_err();
            assert!(error.to_string().contains("canceled"), "{error}");
        });
    }

    #[test]
    fn what_is_refused_is_told_in_its_words() {
        let answer = |serial, asked: &Message| match asked.member.as_str() {
            "Reload" => vec![message::told(ERROR, serial, "org.example.No", None, &[('s', "not now")])],
            _ => vec![message::told(RETURN, serial, "", None, &[])],
        };
        with_bus(answer, |path| {
            let mut bus = Bus::of_broker(path.to_str().unwrap()).unwrap();
            let error = bus.call("Reload", &Body::default()).unwrap_err();
            assert!(error.to_string().contains("not now (org.example.No)"), "{error}");
        });
    }

    #[test]
    fn nobody_there_and_a_connection_that_breaks_are_told() {
        let gone = Bus::of_broker("/nowhere/bus").unwrap_err();
        assert!(matches!(gone, Fault::Connect { .. }), "{gone}");
        with_bus(
            |_, _| vec![b"x".repeat(16)],
            |path| {
                let error = Bus::of_broker(path.to_str().unwrap()).unwrap_err();
                assert!(matches!(error, Fault::Protocol(_)), "{error}");
            },
        );
    }

    #[test]
    fn addresses_name_sockets() {
        assert_eq!(socket_of("unix:path=/run/bus"), Some("/run/bus"));
        assert_eq!(socket_of("tcp:host=a;unix:guid=1,path=/b"), Some("/b"));
        assert_eq!(socket_of("unix:abstract=x"), None);
    }
}
