//! Engines: the one that started this supervisor, and those that came to the door later. None may block the loop.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use hako_sys::fdpass::{self, Channel, Listener};
use hako_sys::poll::{Epoll, Interest};

use crate::protocol::{Event, Message};
use crate::token::Token;
use crate::{Error, Result};

/// Messages that may wait for an engine; one that lets more wait is not reading.
const QUEUE: usize = 4096;

/// One engine's connection.
#[derive(Debug)]
struct Engine {
    number: u32,
    channel: Channel,
    /// Whether it hears events.
    hears: bool,
    queue: VecDeque<Vec<u8>>,
}

/// All engines' connections, and the door.
#[derive(Debug, Default)]
pub(crate) struct Engines {
    list: Vec<Engine>,
    listener: Option<Listener>,
    count: u32,
}

impl Engines {
    /// Takes in a connection; `hears` says whether it hears events from now on.
    pub(crate) fn admit(&mut self, channel: Channel, hears: bool, epoll: &Epoll) -> Result<()> {
        channel.set_nonblocking(true)?;
        self.count += 1;
        epoll.add(&channel, Token::Engine(self.count).pack(), Interest::Read)?;
        self.list.push(Engine { number: self.count, channel, hears, queue: VecDeque::new() });
        Ok(())
    }

    /// Opens the door at `socket`.
    pub(crate) fn open_door(&mut self, socket: &std::path::Path, epoll: &Epoll) -> Result<()> {
        let listener = Listener::bind(socket, 0o600)?;
        listener.set_nonblocking(true)?;
        epoll.add(&listener, Token::Door.pack(), Interest::Read)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Lets in whoever waits at the door, if it is the same user.
    pub(crate) fn answer_door(&mut self, epoll: &Epoll) -> Result<()> {
        let Some(Ok(channel)) = self.listener.as_ref().map(Listener::accept) else { return Ok(()) };
        if channel.peer_uid()? == rustix::process::geteuid().as_raw() {
            self.admit(channel, false, epoll)?;
        }
        Ok(())
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether engine `number` is connected.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.list.iter().any(|engine| engine.number == number)
    }

    /// The next message of engine `number`. One that has hung up, or talks nonsense, is forgotten.
    pub(crate) fn receive(&mut self, number: u32, epoll: &Epoll) -> Option<fdpass::Message> {
        let engine = self.list.iter().find(|engine| engine.number == number)?;
        match engine.channel.recv() {
            Ok(Some(message)) => return Some(message),
            Err(error) if error.is_would_block() => {}
            Ok(None) | Err(_) => self.forget(number, epoll),
        }
        None
    }

    /// Engine `number` hears events from now on.
    pub(crate) fn let_hear(&mut self, number: u32) {
        self.list.iter_mut().filter(|engine| engine.number == number).for_each(|engine| engine.hears = true);
    }

    /// Sends to engine `number`.
    pub(crate) fn send(&mut self, number: u32, message: &Message, epoll: &Epoll) -> Result<()> {
        let bytes = serde_json::to_vec(message).map_err(|source| Error::Message { source })?;
        let sent = self.list.iter_mut().find(|engine| engine.number == number).is_none_or(|e| e.send(bytes, epoll));
        if !sent {
            self.forget(number, epoll);
        }
        Ok(())
    }

    /// Tells all that hear.
    pub(crate) fn tell(&mut self, event: Event, epoll: &Epoll) -> Result<()> {
        if self.list.iter().all(|engine| !engine.hears) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&Message::Event(event)).map_err(|source| Error::Message { source })?;
        let hearing = self.list.iter_mut().filter(|engine| engine.hears);
        let deaf: Vec<u32> =
            hearing.filter_map(|engine| (!engine.send(bytes.clone(), epoll)).then_some(engine.number)).collect();
        deaf.into_iter().for_each(|number| self.forget(number, epoll));
        Ok(())
    }

    /// Sends what waits for engine `number`.
    pub(crate) fn flush(&mut self, number: u32, epoll: &Epoll) {
        let done = self.list.iter_mut().find(|engine| engine.number == number).is_none_or(|e| e.flush(epoll));
        if !done {
            self.forget(number, epoll);
        }
    }

    fn forget(&mut self, number: u32, epoll: &Epoll) {
        if let Some(index) = self.list.iter().position(|engine| engine.number == number) {
            let engine = self.list.swap_remove(index);
            // The engine may have duplicates of our end no more than we of its; closing is enough, this is order.
            let _ = epoll.remove(&engine.channel);
        }
    }
}

impl Engine {
    /// Sends or queues; false if the engine is gone or does not read.
    fn send(&mut self, bytes: Vec<u8>, epoll: &Epoll) -> bool {
        self.queue.push_back(bytes);
        self.queue.len() <= QUEUE && (self.queue.len() > 1 || self.flush(epoll))
    }

    fn flush(&mut self, epoll: &Epoll) -> bool {
        while let Some(bytes) = self.queue.pop_front() {
            match self.channel.send(&bytes, &[]) {
                Ok(()) => {}
                Err(error) if error.is_would_block() => {
                    self.queue.push_front(bytes);
                    return epoll.modify(&self.channel, Token::Engine(self.number).pack(), Interest::Both).is_ok();
                }
                Err(_) => return false,
            }
        }
        epoll.modify(&self.channel, Token::Engine(self.number).pack(), Interest::Read).is_ok()
    }
}

/// The one descriptor of a message that must carry exactly one.
pub(crate) fn only(fds: Vec<OwnedFd>) -> Option<OwnedFd> {
    let mut fds = fds.into_iter();
    fds.next().filter(|_| fds.next().is_none())
}
