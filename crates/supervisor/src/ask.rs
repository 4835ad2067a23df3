//! Requests of engines.

use std::net::IpAddr;

use hako_model::state::{Input, Refused};
use hako_net::publish::{Heritage, Published};
use hako_sys::fdpass::{self, Channel};
use serde::Deserialize;

use crate::Result;
use crate::container::{Container, Waiting};
use crate::description::{self, Description};
use crate::door;
use crate::life::{network_failure, system};
use crate::protocol::{Answer, Ask, Attach, Failure, Kind, Message, Request, VERSION, Welcome};
use crate::supervise::Supervisor;
use crate::token::CONTAINER;

/// SIGKILL's number.
const KILL: i32 = 9;

/// What of a request is read when the rest is not understood.
#[derive(Deserialize)]
struct Head {
    id: u64,
}

/// An answer, or none yet.
type Outcome = Result<Option<Answer>, Failure>;

impl Supervisor {
    /// Does what engine `number` asks.
    pub(crate) fn answer(&mut self, number: u32, message: fdpass::Message) -> Result<()> {
        let request = match serde_json::from_slice::<Request>(&message.bytes) {
            Ok(request) => request,
            Err(error) => return self.misunderstand(number, &message.bytes, &error),
        };
        let id = request.id;
        if let Ask::Hello { since } = request.ask {
            return self.welcome(number, id, since);
        }
        let result = match self.perform(number, request, message.fds) {
            Ok(None) => return Ok(()),
            Ok(Some(answer)) => Ok(answer),
            Err(failure) => Err(failure),
        };
        let sent = self.engines.send(number, &Message::Reply { id, result }, &self.epoll);
        let witness = self.witness;
        self.container.iter_mut().for_each(|container| container.take_away(witness));
        sent
    }

    /// An engine newer than this supervisor learns that it asks too much.
    fn misunderstand(&mut self, number: u32, bytes: &[u8], error: &serde_json::Error) -> Result<()> {
        let Ok(Head { id }) = serde_json::from_slice(bytes) else { return Ok(()) };
        let error = format!("supervisor of protocol version {VERSION} does not understand: {error}");
        let result = Err(Failure::Invalid { error });
        self.engines.send(number, &Message::Reply { id, result }, &self.epoll)
    }

    fn welcome(&mut self, number: u32, id: u64, since: Option<u64>) -> Result<()> {
        let container = self.container.as_ref();
        let welcome = Welcome {
            version: VERSION,
            pid: std::process::id(),
            container: container.map(|container| container.description.id.clone()),
            status: container.map(|container| container.status.clone()).unwrap_or_default(),
            ports: container.map(Container::bindings).unwrap_or_default(),
            cgroup: container.map(Container::cgroup).unwrap_or_default(),
            seq: container.map_or(0, |container| container.journal.last()),
            execs: self.execs.statuses(),
            left: container.is_some_and(Container::has_left),
        };
        let missed = container.zip(since).map(|(container, since)| container.journal.since(since)).transpose()?;
        let result = Ok(Answer::Welcome(Box::new(welcome)));
        self.engines.send(number, &Message::Reply { id, result }, &self.epoll)?;
        for event in missed.unwrap_or_default() {
            self.engines.send(number, &Message::Event(event), &self.epoll)?;
        }
        self.engines.let_hear(number);
        Ok(())
    }

    fn perform(&mut self, engine: u32, request: Request, fds: Vec<std::os::fd::OwnedFd>) -> Outcome {
        let id = request.id;
        match request.ask {
            Ask::Hello { .. } => Ok(None),
            Ask::Start(description) => self.start(description).map(Some),
            Ask::Attach(attach) => self.attach_client(attach, fds),
            Ask::ExecCreate(create) => self.create_exec(create).map(done),
            Ask::ExecStart { exec, client, size } => {
                let client = client.map(|client| socket(fds).map(|socket| (client, socket))).transpose()?;
                self.start_exec(&exec, client, size).map(|pid| Some(Answer::ExecStarted { pid }))
            }
            Ask::ExecInspect { exec } => self.execs.status(&exec).map(|status| Some(Answer::Exec(status))),
            Ask::ExecResize { exec, rows, columns } => {
                let session = self.execs.session(&exec)?;
                self.resize(session, rows, columns).map(done)
            }
            Ask::Kill { signal, sender } => {
                self.sender = sender;
                self.kill(engine, id, signal)
            }
            Ask::Stop { signal, timeout, sender } => {
                self.sender = sender;
                self.stop(engine, id, signal, timeout)
            }
            Ask::Pause => self.step(Input::Pause).map(done),
            Ask::Hold => self.hold(engine).map(done),
            Ask::Resume => self.resume().map(done),
            Ask::Checkpoint { image, name, goes_on, sender } => {
                self.checkpoint(&image, &name, goes_on)?;
                if goes_on {
                    return Ok(Some(Answer::Done));
                }
                self.sender = sender;
                self.kill(engine, id, KILL)
            }
            Ask::Resize { rows, columns } => self.resize(CONTAINER, rows, columns).map(done),
            Ask::Update(update) => self.update(*update).map(done),
            Ask::Adapt(wanted) => self.adapt(*wanted).map(Some),
            Ask::Publish { ports } => self.publish(ports).map(Some),
            Ask::Graft { out, into } => self.graft(&out, into).map(done),
            Ask::Plug { endpoints, naming } => self.plug(endpoints, naming).map(Some),
            Ask::Cede => self.cede(fds).map(done),
            Ask::Succeed { addresses } => self.succeed(&addresses, fds).map(Some),
            Ask::StepBack => self.assigned()?.step_back().map_err(system).map(done),
            Ask::Trace { name } => self.trace(&name).map(Some),
            Ask::Rename { name } => self.assigned()?.rename(name).map_err(system).map(done),
            Ask::Status => Ok(Some(Answer::Status(Box::new(self.assigned()?.status.clone())))),
            Ask::Processes => self.processes().map(Some),
            Ask::Acknowledge { seq } => self.acknowledge(seq).map(done),
        }
    }

    pub(crate) fn assigned(&mut self) -> Result<&mut Container, Failure> {
        self.container.as_mut().ok_or(Failure::Refused(Refused::NotRunning))
    }

    fn start(&mut self, description: Box<Description>) -> Result<Answer, Failure> {
        if self.container.is_some() {
            return Err(Failure::Invalid { error: "this supervisor has a container already".to_owned() });
        }
        // The lock first: a door opened without it would shut another supervisor's.
        let container = Container::assign(description).map_err(system)?;
        self.engines.open_door(&container.description.socket, &self.epoll).map_err(system)?;
        self.container = Some(container);
        self.tell_early_clients().map_err(system)?;
        self.step(Input::Start)?;
        let container = self.assigned()?;
        let status = Box::new(container.status.clone());
        Ok(Answer::Started { status, ports: container.bindings(), cgroup: container.cgroup() })
    }

    fn attach_client(&mut self, attach: Attach, fds: Vec<std::os::fd::OwnedFd>) -> Outcome {
        let socket = socket(fds)?;
        if self.container.as_ref().is_some_and(Container::has_left) {
            return Err(Failure::Refused(Refused::NotRunning));
        }
        self.attach(socket, attach).map_err(system).map(done)
    }

    fn kill(&mut self, engine: u32, id: u64, signal: i32) -> Outcome {
        self.assigned()?.waiting.extend((signal == KILL).then_some(Waiting { engine, id, stops: false }));
        let stepped = self.step(Input::Kill { signal });
        self.answer_later(engine, id, stepped, signal == KILL)
    }

    fn stop(&mut self, engine: u32, id: u64, signal: Option<i32>, timeout: Option<i64>) -> Outcome {
        let container = self.assigned()?;
        let signal = signal.unwrap_or(container.description.stop_signal);
        let seconds = timeout.unwrap_or(container.description.stop_timeout);
        let grace = description::grace(seconds);
        container.waiting.push(Waiting { engine, id, stops: true });
        let stepped = self.step(Input::Stop { signal, grace });
        self.answer_later(engine, id, stepped, true)
    }

    fn hold(&mut self, engine: u32) -> Result<(), Failure> {
        self.step(Input::Pause)?;
        self.assigned()?.held_by = Some(engine);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Failure> {
        self.assigned()?.held_by = None;
        self.step(Input::Resume)
    }

    /// An engine that dies in the middle of what it froze a container for must not leave it frozen.
    pub(crate) fn release_hold(&mut self) {
        let Some(container) = &mut self.container else { return };
        if container.held_by.is_some_and(|engine| !self.engines.has(engine)) {
            container.held_by = None;
            self.advance(Input::Resume);
        }
    }

    /// The reply comes with the end; but a refusal at once, for nothing will end.
    fn answer_later(&mut self, engine: u32, id: u64, stepped: Result<(), Failure>, waits: bool) -> Outcome {
        if stepped.is_err() {
            self.assigned()?.waiting.retain(|waiting| (waiting.engine, waiting.id) != (engine, id));
        }
        stepped.map(|()| (!waits).then_some(Answer::Done))
    }

    fn resize(&mut self, session: u32, rows: u16, columns: u16) -> Result<(), Failure> {
        let resized = self.session(session).is_some_and(|session| session.resize(rows, columns));
        if !resized {
            return Err(Failure::Refused(Refused::NotRunning));
        }
        if session == CONTAINER { self.tell(Kind::Resize { rows, columns }).map_err(system) } else { Ok(()) }
    }

    fn cede(&mut self, fds: Vec<std::os::fd::OwnedFd>) -> Result<(), Failure> {
        let channel = Channel::from(socket(fds)?);
        match self.assigned()?.published.as_mut_slice() {
            [] => Heritage::deny(&channel),
            all => Published::cede(all, &channel),
        }
        .map_err(|error| network_failure(error.into()))
    }

    fn succeed(&mut self, addresses: &[IpAddr], fds: Vec<std::os::fd::OwnedFd>) -> Result<Answer, Failure> {
        let channel = Channel::from(socket(fds)?);
        let witness = self.witness;
        let container = self.assigned()?;
        container.succeed(witness, &channel, addresses).map_err(network_failure)?;
        let ports = container.bindings();
        self.watch_network();
        Ok(Answer::Plugged { ports })
    }

    fn trace(&mut self, name: &str) -> Result<Answer, Failure> {
        let container = self.assigned()?;
        let answerer = container.answerer.as_mut().filter(|_| container.description.network.naming.is_some());
        Ok(Answer::Traced(answerer.map(|answerer| answerer.trace(name))))
    }

    fn processes(&mut self) -> Result<Answer, Failure> {
        let group = self.assigned()?.group.as_ref().ok_or(Failure::Refused(Refused::NotRunning))?;
        let mut pids = group.pids().map_err(system)?;
        let stage = self.assigned()?.stage.as_ref().map(hako_runtime::exec::Stage::pid);
        pids.retain(|pid| Some(*pid) != stage);
        Ok(Answer::Processes(pids.into_iter().map(i32::unsigned_abs).collect()))
    }

    fn acknowledge(&mut self, seq: u64) -> Result<(), Failure> {
        let container = self.assigned()?;
        container.journal.forget(seq).map_err(system)?;
        self.dismissed = container.has_left() && seq >= container.journal.last();
        Ok(())
    }
}

fn done(_: ()) -> Option<Answer> {
    Some(Answer::Done)
}

fn socket(fds: Vec<std::os::fd::OwnedFd>) -> Result<std::os::fd::OwnedFd, Failure> {
    door::only(fds).ok_or_else(|| Failure::Invalid { error: "the message must carry one socket".to_owned() })
}
