//! Driving the state machine: what is asked for or happens goes in, the status is saved, the effects are carried out.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hako_model::evidence::{Sender, Sent, Shortage};
use hako_model::state::{Effect, Input, Notice, Refused, State, transition};
use hako_net::publish::Published;
use hako_runtime::LaunchError;
use hako_runtime::hook::Identity;
use hako_runtime::launch::{self, LaunchOptions, Running};
use hako_runtime::stdio::Stdio;
use hako_sys::poll::Interest;
use rustix::fs::{Mode, OFlags};

use crate::deadline::Due;
use crate::protocol::{Answer, Event, Failure, Kind, Message};
use crate::session::Session;
use crate::supervise::{Supervisor, now};
use crate::token::{CONTAINER, Token};
use crate::{Error, Result};

/// How long changes of the host's rules and devices may follow each other before they are mended.
const SETTLED: Duration = Duration::from_millis(100);
/// How long a server may take for the last of a log after the container's end.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the other side of a terminal may take to hand over the last output.
const DRAIN: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Puts `input` into the machine when nobody asked: what came too late is dropped, and a restart that failed has
    /// been told by the machine.
    pub(crate) fn advance(&mut self, input: Input) {
        let _ = self.step(input);
    }

    /// Puts `input` into the machine, saves the status and carries out the effects.
    pub(crate) fn step(&mut self, input: Input) -> Result<(), Failure> {
        let sender = match &input {
            Input::GraceOver => Some(Sender::Grace),
            Input::Probed { .. } => Some(Sender::Health),
            _ => self.sender.take(),
        };
        let container = self.container.as_mut().ok_or(Failure::Refused(Refused::NotRunning))?;
        let (status, effects) =
            transition(&container.status, input, &container.rules, now()).map_err(Failure::Refused)?;
        if let Some(group) = container.group.as_ref().filter(|_| effects.contains(&Effect::Freeze)) {
            // Tried before it is promised: the kernel may not be able to.
            group.freeze().map_err(system)?;
        }
        container.status = status;
        // "Starting" is not worth writing: if it ends there, the container never started.
        if container.status.state != State::Starting {
            // A full disk must not keep a container from being stopped.
            let _ = container.save();
        }
        for effect in effects {
            if let (Effect::Signal(signal), Some(container)) = (&effect, &mut self.container) {
                let sender = sender.clone().unwrap_or_else(unnamed);
                container.status.evidence.note(Sent { at: now(), signal: *signal, sender });
            }
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Failure> {
        match effect {
            Effect::Launch => return self.launch(),
            Effect::Signal(signal) => self.signal(signal),
            Effect::ArmGrace(grace) => self.deadlines.set(Due::Grace, grace),
            Effect::ArmRestart(pause) => self.deadlines.set(Due::Restart, pause),
            Effect::Freeze => {}
            Effect::Thaw => self.thaw(),
            Effect::Probe => self.arm_probe(),
            Effect::StopProbing => self.stop_probing(),
            Effect::Tell(notice) => self.tell(Kind::Life(notice)).map_err(system)?,
            Effect::Close => self.close_life(),
            Effect::Leave => self.leave().map_err(system)?,
        }
        Ok(())
    }

    /// Journals what happened and tells every engine that listens.
    pub(crate) fn tell(&mut self, kind: Kind) -> Result<()> {
        let Some(container) = &mut self.container else { return Ok(()) };
        let changes = matches!(kind, Kind::Life(_) | Kind::Left);
        let event = container.journal.write(now(), kind);
        let status = changes.then(|| Box::new(container.status.clone()));
        self.engines.tell(Event { status, ..event }, &self.epoll)
    }

    fn signal(&mut self, signal: i32) {
        if let Some(session) = self.session(CONTAINER) {
            // It may have ended a moment ago; that will be seen.
            let _ = session.process.kill(signal);
        }
    }

    fn thaw(&mut self) {
        if let Some(group) = self.container.as_ref().and_then(|container| container.group.as_ref()) {
            let _ = group.thaw();
        }
    }

    fn launch(&mut self) -> Result<(), Failure> {
        let launched = self.try_launch();
        match launched {
            Ok(pid) => {
                self.container.iter_mut().for_each(|container| container.launched = Instant::now());
                self.step(Input::Launched { pid })
            }
            Err(failure) => {
                if let Some(container) = &mut self.container {
                    container.end_life();
                }
                let (exit_code, error) = match &failure {
                    Failure::Launch { exit_code, error } => (*exit_code, error.clone()),
                    other => (128, other.to_string()),
                };
                self.step(Input::LaunchFailed { exit_code, error })?;
                Err(failure)
            }
        }
    }

    fn try_launch(&mut self) -> Result<u32, Failure> {
        let Some(container) = &mut self.container else { return Err(Failure::Refused(Refused::NotRunning)) };
        container.root = None;
        if let Some(image) = container.description.checkpoint.take() {
            let running = self.bring_back(&image)?;
            return self.adopt(running);
        }
        let description = &container.description;
        let laid = crate::secret::lay(&description.secrets).map_err(system)?;
        let options = LaunchOptions {
            stdio: stdio(description),
            rootfs: description.rootfs.clone(),
            init: description.init,
            identity: Identity {
                id: description.id.to_string(),
                bundle: description.directory.to_string_lossy().into_owned(),
            },
            apart: None,
        };
        let prepared = launch::prepare(self.witness, self.seed.take(), &container.spec(&laid.mounts), options)
            .map_err(launch_failure)?;
        container.connect(prepared.netns()).map_err(network_failure)?;
        container.root = root_of(prepared.pid());
        let running = prepared.start().map_err(launch_failure)?;
        // Everything is mounted by now; before, a file without a name could not be.
        drop(laid);
        self.adopt(running)
    }

    /// Takes on a process that runs: the container's first.
    fn adopt(&mut self, running: Running) -> Result<u32, Failure> {
        let Some(container) = &mut self.container else { return Err(Failure::Refused(Refused::NotRunning)) };
        container.memory = running.group.watch_oom().ok();
        container.group = Some(running.group);
        if let Some(memory) = &container.memory {
            self.epoll.add(memory, Token::Memory.pack(), memory.interest()).map_err(system)?;
        }
        self.watch_network();
        let pid = running.process.pid().unsigned_abs();
        let session = Session::new(CONTAINER, running.process, running.streams, &self.epoll).map_err(system)?;
        self.sessions.push((CONTAINER, session));
        self.greet_clients().map_err(system)?;
        Ok(pid)
    }

    /// A process has ended: reads what it left, then deals with its end.
    pub(crate) fn see_exit(&mut self, number: u32) -> Result<()> {
        let epoll = &self.epoll;
        let Some((_, session)) = self.sessions.iter_mut().find(|(known, _)| *known == number) else { return Ok(()) };
        if !session.reap(epoll) {
            return Ok(());
        }
        let _ = session.release(epoll);
        if number == CONTAINER {
            self.see_memory();
            self.end_others();
        }
        self.drain(number)?;
        match self.session(number) {
            // Bytes written to a terminal reach its other side a little later.
            Some(session) if session.terminal && !session.is_drained() => {
                self.deadlines.set(Due::Drained(number), DRAIN);
                Ok(())
            }
            Some(_) => self.finish(number),
            None => Ok(()),
        }
    }

    /// Without a pid namespace of its own, a container's other processes do not end with the first.
    fn end_others(&mut self) {
        if let Some(group) = self.container.as_ref().and_then(|container| container.group.as_ref()) {
            let _ = group.kill_all();
        }
    }

    /// A process has ended and its output was read.
    pub(crate) fn finish(&mut self, number: u32) -> Result<()> {
        self.deadlines.clear(Due::Drained(number));
        let ended = |(known, session): &(u32, Session)| *known == number && session.exit.is_some();
        let Some(index) = self.sessions.iter().position(ended) else { return Ok(()) };
        let exit_code = self.sessions[index].1.exit.unwrap_or(0);
        if number == CONTAINER {
            // A probe cut short by the end says nothing about health.
            self.stop_probing();
            self.finish_others()?;
            let signal = self.sessions[index].1.signal;
            self.sessions.retain(|(known, _)| *known != CONTAINER);
            self.container.iter_mut().for_each(|container| container.status.evidence.signal = signal);
            self.advance(Input::Exited { exit_code });
            return Ok(());
        }
        self.sessions.swap_remove(index);
        self.release_clients(number);
        if self.probing.as_ref().is_some_and(|probing| probing.is_session(number)) {
            return self.end_probe(exit_code);
        }
        self.end_exec(number, exit_code)
    }

    /// Execs end with the container: their ends are told before its own.
    fn finish_others(&mut self) -> Result<()> {
        let others: Vec<u32> = self.sessions.iter().map(|(number, _)| *number).filter(|n| *n != CONTAINER).collect();
        for number in others {
            if let Some(session) = self.session(number) {
                let _ = session.process.kill(9);
                let _ = hako_sys::poll::wait_one(&session.process, Interest::Read, Some(DRAIN));
            }
            self.see_exit(number)?;
            self.finish(number)?;
        }
        Ok(())
    }

    /// The kernel may have killed for want of memory.
    pub(crate) fn see_memory(&mut self) {
        let Some(container) = &mut self.container else { return };
        let killed = container.memory.as_mut().map_or(0, |memory| memory.take());
        container.memory.take_if(|memory| memory.is_over());
        if killed > 0 {
            self.testify(killed);
            self.advance(Input::OutOfMemory);
        }
    }

    /// Keeps what is known of a want of memory: the group and the kernel's log will forget.
    fn testify(&mut self, kills: u64) {
        let first = self.session(CONTAINER).map(|session| session.process.pid().unsigned_abs());
        let Some(container) = &mut self.container else { return };
        let Some(group) = &container.group else { return };
        let usage = group.usage().memory;
        let (pid, victim) = hako_sys::proc::memory_victim(group.path()).unwrap_or_default();
        let before = container.status.evidence.memory.take().unwrap_or_default();
        container.status.evidence.memory = Some(Shortage {
            peak: usage.max_usage,
            limit: usage.limit,
            first: before.first || (pid != 0 && first == Some(pid)),
            victim,
            pid,
            kills: before.kills + kills,
        });
    }

    /// Watches for what published ports have to relay, and for questions about names. In a later life both are watched
    /// already.
    pub(crate) fn watch_network(&self) {
        let Some(container) = &self.container else { return };
        for watch in container.published.iter().filter_map(Published::watch) {
            let _ = self.epoll.add(watch, Token::Ports.pack(), Interest::Read);
        }
        if let Some(answerer) = &container.answerer {
            let _ = self.epoll.add(answerer.watch(), Token::Names.pack(), Interest::Read);
        }
        for socket in container.watch.iter().flat_map(|watch| watch.sockets()) {
            let _ = self.epoll.add(socket, Token::Host.pack(), Interest::Read);
        }
    }

    /// Something was taken away on the host. A firewall that reloads takes away much at a time: it is mended when that
    /// is over.
    pub(crate) fn see_host(&mut self) {
        if let Some(watch) = self.container.as_ref().and_then(|container| container.watch.as_ref()) {
            watch.hear();
            self.deadlines.set_once(Due::Mend, SETTLED);
        }
    }

    /// Restores the host's part of the network.
    pub(crate) fn mend(&mut self) -> Result<()> {
        let mended = self.container.as_mut().map_or(Ok(true), |container| container.mend());
        if !mended.as_ref().is_ok_and(|done| *done) {
            // Another process is at it, or somebody is still changing things.
            self.deadlines.set(Due::Mend, SETTLED);
        }
        mended.map(drop)
    }

    /// The container asks for names, or servers have answered.
    pub(crate) fn answer_names(&mut self) {
        if let Some(answerer) = self.container.as_mut().and_then(|container| container.answerer.as_mut()) {
            answerer.turn();
        }
    }

    /// Published ports have something to relay.
    pub(crate) fn relay_ports(&mut self) {
        for published in self.container.iter_mut().flat_map(|container| &mut container.published) {
            published.turn();
        }
    }

    /// A life is over: its log is complete, its clients get what waits for them and leave.
    fn close_life(&mut self) {
        self.deadlines.clear(Due::Grace);
        if let Some(container) = &mut self.container {
            container.log.end(crate::log::Stream::Stdout, now());
            container.log.end(crate::log::Stream::Stderr, now());
            container.log.flush();
            container.end_life();
        }
        self.carry_log();
        self.release_clients(CONTAINER);
    }

    /// No restart is due. Whoever waits for the end is answered first; then everything is given back.
    fn leave(&mut self) -> Result<()> {
        self.deadlines.clear(Due::Restart);
        let Some(container) = &mut self.container else { return Ok(()) };
        let waiting = std::mem::take(&mut container.waiting);
        if waiting.iter().any(|waiting| waiting.stops) {
            self.tell(Kind::Life(Notice::Stop))?;
        }
        for waiting in waiting {
            self.reply_ended(waiting.engine, waiting.id)?;
        }
        self.deadlines.set(Due::Farewell, FAREWELL);
        if let Some(container) = &mut self.container {
            container.leave();
        }
        self.tell(Kind::Left)
    }

    fn reply_ended(&mut self, engine: u32, id: u64) -> Result<()> {
        let Some(container) = &self.container else { return Ok(()) };
        let answer = Answer::Ended { status: Box::new(container.status.clone()) };
        self.engines.send(engine, &Message::Reply { id, result: Ok(answer) }, &self.epoll)
    }
}

/// An engine that does not say on whose behalf.
fn unnamed() -> Sender {
    Sender::Request { verb: "signal".to_owned(), client: String::new() }
}

/// Holds on to the root file system of process `pid`.
///
/// The last to let go of an overlay writes its whole upper file system to the disk. That must not be the container's
/// process: its end could be seen only afterwards. Without it, the end is merely seen later.
pub(crate) fn root_of(pid: i32) -> Option<OwnedFd> {
    rustix::fs::open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

pub(crate) fn stdio(description: &crate::description::Description) -> Stdio {
    match &description.spec.process {
        Some(process) if process.terminal => Stdio::Terminal { size: process.console_size },
        _ => Stdio::Pipes { stdin: description.open_stdin },
    }
}

/// Anything the kernel refused.
pub(crate) fn system(error: impl std::fmt::Display) -> Failure {
    Failure::System { error: error.to_string() }
}

/// What the runtime refused.
pub(crate) fn launch_failure(error: LaunchError) -> Failure {
    Failure::Launch { exit_code: error.exit_code(), error: error.to_string() }
}

/// What the network refused.
pub(crate) fn network_failure(error: Error) -> Failure {
    match error {
        Error::Net(error) => Failure::Port { error: error.to_string() },
        error => system(error),
    }
}
