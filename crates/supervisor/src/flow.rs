//! Bytes between processes, the log and clients.

use std::os::fd::OwnedFd;
use std::time::Duration;

use hako_sys::poll::{self, Interest};

use crate::Result;
use crate::client::Client;
use crate::deadline::Due;
use crate::log::Stream;
use crate::log::compress::Compression;
use crate::log::courier::Waits;
use crate::log::read::{Query, Reader};
use crate::protocol::{Attach, ExecClient, Kind};
use crate::session::Read;
use crate::supervise::{Supervisor, now};
use crate::token::{CONTAINER, Token};

/// Reads of one stream before others get their turn.
const TURNS: u32 = 8;
/// How often clients that hold a container back are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Full log files are compressed when none became full for this long.
const COMPRESS: Duration = Duration::from_secs(3);
/// A replay goes on when less than this waits for its client.
const REPLAY: usize = 64 * 1024;

impl Supervisor {
    /// Reads output of a process and passes it on.
    pub(crate) fn pump(&mut self, number: u32, stream: Stream) -> Result<()> {
        self.pump_turns(number, stream, TURNS)?;
        self.settle(number)
    }

    /// Reads all output an ended process has left.
    pub(crate) fn drain(&mut self, number: u32) -> Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.pump_turns(number, stream, u32::MAX)?;
        }
        self.flush_log();
        Ok(())
    }

    fn pump_turns(&mut self, number: u32, stream: Stream, turns: u32) -> Result<()> {
        let mut scratch = self.take_scratch();
        for _ in 0..turns {
            let Some(session) = self.session(number) else { break };
            match session.read(stream, &mut scratch) {
                Read::Bytes(count) => {
                    self.distribute(number, stream, &scratch[..count]);
                    // A short read has emptied the pipe: asking once more would say so at the price of a call.
                    if turns == TURNS && count < scratch.len() / 2 {
                        break;
                    }
                }
                Read::Nothing => break,
                Read::End => {
                    let epoll = &self.epoll;
                    let found = self.sessions.iter_mut().find(|(known, _)| *known == number);
                    found.into_iter().for_each(|(_, session)| session.end_output(stream, epoll));
                    break;
                }
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    fn distribute(&mut self, number: u32, stream: Stream, bytes: &[u8]) {
        if number == CONTAINER
            && let Some(container) = &mut self.container
        {
            let now = now();
            if let Some(courier) = &mut container.courier {
                courier.expect(bytes.len(), now);
            }
            container.log.log(stream, bytes, now);
        }
        if let Some(probing) = &mut self.probing {
            probing.capture(number, bytes);
        }
        let clients = self.clients.iter_mut();
        for client in clients.filter(|client| client.session == number && client.replay.is_none()) {
            client.deliver(stream, bytes);
        }
    }

    /// After a round of reading: the log is written, clients that are behind hold the process back, and a process that
    /// has ended is finished once its terminal has.
    fn settle(&mut self, number: u32) -> Result<()> {
        self.flush_log();
        self.watch_clients(number)?;
        if self.clients.iter().any(|client| client.session == number && client.is_behind()) {
            self.deadlines.set_once(Due::Stalled, LOOK);
            let epoll = &self.epoll;
            let session = self.sessions.iter_mut().find(|(known, session)| *known == number && session.exit.is_none());
            session.into_iter().for_each(|(_, session)| session.hold(epoll));
        }
        let ended = self.session(number).is_some_and(|session| session.exit.is_some() && session.is_drained());
        if ended { self.finish(number) } else { Ok(()) }
    }

    fn flush_log(&mut self) {
        if let Some(container) = &mut self.container {
            container.log.flush();
            if container.log.take_turned() {
                self.deadlines.set(Due::Compress, COMPRESS);
            }
            if container.courier.is_some() {
                self.carry_log();
            }
        }
    }

    /// Lets the courier do what it can, and waits for what it waits for.
    pub(crate) fn carry_log(&mut self) {
        let Some(courier) = self.container.as_mut().and_then(|container| container.courier.as_mut()) else { return };
        let waits = courier.work();
        if let Some(socket) = courier.socket() {
            let interest = match waits {
                Waits::Room => Interest::Write,
                Waits::Answer => Interest::Read,
                _ => Interest::Closed,
            };
            let token = Token::Courier.pack();
            // A socket that is new has not been added; one that is watched cannot be added again.
            let _ = self.epoll.modify(socket, token, interest).or_else(|_| self.epoll.add(socket, token, interest));
        }
        match waits {
            Waits::Later(rest) => self.deadlines.set(Due::Courier, rest),
            Waits::Turn => self.deadlines.set(Due::Courier, Duration::ZERO),
            Waits::News | Waits::Room | Waits::Answer => {}
        }
    }

    pub(crate) fn begin_compression(&mut self) -> Result<()> {
        let Some(container) = self.container.as_ref().filter(|_| self.compression.is_none()) else { return Ok(()) };
        // What cannot be compressed stays as it is.
        let Ok(Some(compression)) = Compression::begin(self.witness, container.log.config()) else { return Ok(()) };
        self.epoll.add(compression.process(), Token::Compression.pack(), Interest::Read)?;
        self.compression = Some(compression);
        Ok(())
    }

    pub(crate) fn end_compression(&mut self) {
        if let Some(compression) = self.compression.take() {
            let _ = self.epoll.remove(compression.process());
            if compression.finish().is_ok() {
                // There may be more than one.
                self.deadlines.set(Due::Compress, Duration::ZERO);
            }
        }
    }

    /// The process has room for input: it gets what waits, and its clients may type on.
    pub(crate) fn make_room(&mut self, number: u32) -> Result<()> {
        let epoll = &self.epoll;
        let found = self.sessions.iter_mut().find(|(known, _)| *known == number);
        found.into_iter().for_each(|(_, session)| session.flush_input(epoll));
        self.watch_clients(number)
    }

    /// A client of the container's streams.
    pub(crate) fn attach(&mut self, socket: OwnedFd, mut attach: Attach) -> Result<()> {
        attach.stdin &= self.container.as_ref().is_none_or(|container| container.description.open_stdin);
        let number = self.next_number();
        let mut client = Client::new(number, CONTAINER, socket, &attach);
        self.epoll.add(&client, Token::Client(number).pack(), Interest::Closed)?;
        if let Some(container) = self.container.as_ref().filter(|_| attach.logs) {
            let query = Query { stdout: attach.stdout, stderr: attach.stderr, follow: true, ..Query::ALL };
            client.replay = Reader::open(container.log.config(), query).ok();
        }
        client.leaving = !attach.stream;
        client.unread = attach.leftover;
        self.clients.push(client);
        self.replay(number)?;
        self.tell(Kind::Attach)?;
        self.greet_clients()
    }

    /// Clients that came before the container are events of its life as well.
    pub(crate) fn tell_early_clients(&mut self) -> Result<()> {
        (0..self.clients.len()).try_for_each(|_| self.tell(Kind::Attach))
    }

    /// A client of an exec's streams.
    pub(crate) fn attach_exec(&mut self, session: u32, socket: OwnedFd, attach: &Attach) -> Result<u32> {
        let number = self.next_number();
        let mut client = Client::new(number, session, socket, attach);
        self.epoll.add(&client, Token::Client(number).pack(), Interest::Closed)?;
        client.unread = attach.leftover.clone();
        self.clients.push(client);
        Ok(number)
    }

    /// Clients that came before their process: what they had typed reaches it, and they may type on.
    pub(crate) fn greet_clients(&mut self) -> Result<()> {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let (number, session) = (client.number, client.session);
            if !client.unread.is_empty() && self.sessions.iter().any(|(known, _)| *known == session) {
                let unread = std::mem::take(&mut client.unread);
                self.typed(number, &unread)?;
            }
            self.watch_client(number)?;
        }
        Ok(())
    }

    /// Something happened at a client's socket.
    pub(crate) fn serve(&mut self, number: u32, event: poll::Event) -> Result<()> {
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        if event.writable {
            client.flush();
            self.replay(number)?;
        }
        if event.readable || event.closed {
            self.read_client(number)?;
        }
        self.watch_client(number)
    }

    fn read_client(&mut self, number: u32) -> Result<()> {
        let mut scratch = self.take_scratch();
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        if !client.types {
            client.check();
        } else if self.sessions.iter().any(|(known, _)| *known == client.session) {
            match client.read(&mut scratch) {
                None => {}
                Some(0) => self.end_typing(number)?,
                Some(count) => self.typed(number, &scratch[..count])?,
            }
        } else {
            client.check();
        }
        self.scratch = scratch;
        Ok(())
    }

    /// What a client typed goes to its process, unless it is its detach keys.
    fn typed(&mut self, number: u32, bytes: &[u8]) -> Result<()> {
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        let known = client.session;
        let Some((_, session)) = self.sessions.iter_mut().find(|(number, _)| *number == known) else { return Ok(()) };
        let (passed, detached) = if session.terminal { client.detacher.pass(bytes) } else { (bytes.to_vec(), false) };
        session.type_in(&passed, &self.epoll);
        if detached {
            client.leave_now();
            let kind = self.execs.detached(known).unwrap_or(Kind::Detach);
            self.tell(kind)?;
        }
        Ok(())
    }

    /// A client types no more: the input of an exec, or of a container with `stdin_once`, ends with it. Otherwise it
    /// leaves, as in Docker.
    fn end_typing(&mut self, number: u32) -> Result<()> {
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        client.types = false;
        client.check();
        let once = self.container.as_ref().is_some_and(|container| container.description.stdin_once);
        let known = client.session;
        let Some((_, session)) = self.sessions.iter_mut().find(|(number, _)| *number == known) else { return Ok(()) };
        if !session.terminal && (known != CONTAINER || once) {
            session.close_input(&self.epoll);
        } else {
            client.leaving = true;
        }
        Ok(())
    }

    /// Gives a client what was logged before it came. At the end of that it hears what happens now; nothing is lost
    /// between, for everything read so far was logged and written.
    fn replay(&mut self, number: u32) -> Result<()> {
        if let Some(container) = &mut self.container {
            container.log.flush();
        }
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        while let Some(mut reader) = client.replay.take() {
            if client.pending() >= REPLAY {
                client.replay = Some(reader);
                break;
            }
            if let Some(entry) = reader.next()? {
                client.deliver_old(entry.stream, entry.line);
                client.replay = Some(reader);
            } else if let Some(container) = &self.container {
                // The unfinished lines are not in the log yet.
                for stream in [Stream::Stdout, Stream::Stderr] {
                    client.deliver_old(stream, container.log.unfinished(stream));
                }
            }
        }
        self.watch_client(number)
    }

    /// Watches all clients of a session for what can be done with them now.
    fn watch_clients(&mut self, session: u32) -> Result<()> {
        for index in 0..self.clients.len() {
            if self.clients[index].session == session {
                self.watch_client(self.clients[index].number)?;
            }
        }
        Ok(())
    }

    fn watch_client(&mut self, number: u32) -> Result<()> {
        let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        let session = self.sessions.iter().find(|(known, _)| *known == client.session);
        let reads = client.types && !client.leaving && session.is_some_and(|(_, session)| !session.is_full());
        let writes = client.pending() > 0 || client.replay.is_some();
        let interest = match (reads, writes) {
            (true, true) => Interest::Both,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::Closed,
        };
        if client.interest != interest {
            client.interest = interest;
            self.epoll.modify(&*client, Token::Client(number).pack(), interest)?;
        }
        Ok(())
    }

    /// The process of `session` has ended: its clients get what waits for them, and leave.
    pub(crate) fn release_clients(&mut self, session: u32) {
        for client in self.clients.iter_mut().filter(|client| client.session == session) {
            client.leaving = true;
            self.deadlines.set_once(Due::Stalled, LOOK);
        }
    }

    /// Forgets clients that have gone, and lets processes go on that waited for them.
    pub(crate) fn sweep_clients(&mut self) -> Result<()> {
        if self.clients.is_empty() && self.sessions.iter().all(|(_, session)| !session.held) {
            return Ok(());
        }
        let epoll = &self.epoll;
        self.clients.retain(|client| {
            let done = client.is_done();
            if done {
                // The engine may still hold the same socket, which would keep it watched.
                let _ = epoll.remove(client);
            }
            !done
        });
        for (number, session) in self.sessions.iter_mut().filter(|(_, session)| session.held) {
            if self.clients.iter().all(|client| client.session != *number || client.has_caught_up()) {
                session.release(epoll)?;
            }
        }
        Ok(())
    }

    pub(crate) fn give_up_stalled(&mut self) {
        self.clients.iter_mut().for_each(Client::give_up);
        if self.clients.iter().any(|client| client.pending() > 0) {
            self.deadlines.set(Due::Stalled, LOOK);
        }
    }
}

impl ExecClient {
    /// The same client as one of the container's streams would ask for it.
    pub(crate) fn attach(self, create: &crate::protocol::ExecCreate) -> Attach {
        Attach {
            stdin: create.stdin,
            stdout: create.stdout,
            stderr: create.stderr,
            logs: false,
            stream: true,
            framing: self.framing,
            detach_keys: create.detach_keys.clone(),
            leftover: self.leftover,
        }
    }
}
