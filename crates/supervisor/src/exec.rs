//! Exec instances: made, started once, and remembered with their exit codes until the container is gone.

use std::os::fd::OwnedFd;

use hako_model::id::ExecId;
use hako_model::state::{Refused, State};
use hako_runtime::exec::{Stage, Target};
use hako_runtime::spec::{ConsoleSize, Mount};
use hako_runtime::stdio::Stdio;

use crate::Result;
use crate::life::{launch_failure, system};
use crate::log::Stream;
use crate::protocol::{ExecClient, ExecCreate, ExecStatus, Failure, Kind};
use crate::session::Session;
use crate::supervise::Supervisor;
use crate::token::CONTAINER;

/// Ended execs that are remembered.
const REMEMBERED: usize = 128;

/// One exec.
#[derive(Debug)]
struct Exec {
    id: ExecId,
    command: String,
    args: Vec<String>,
    terminal: bool,
    stdin: bool,
    /// What to run; none once it was started.
    create: Option<Box<ExecCreate>>,
    session: u32,
    pid: u32,
    exit_code: Option<i32>,
}

/// All execs of a container, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Execs(Vec<Exec>);

impl Execs {
    fn find(&mut self, id: &ExecId) -> Result<&mut Exec, Failure> {
        self.0.iter_mut().find(|exec| exec.id == *id).ok_or_else(|| Failure::NoSuchExec { exec: id.clone() })
    }

    fn of_session(&mut self, session: u32) -> Option<&mut Exec> {
        self.0.iter_mut().find(|exec| exec.session == session && session != CONTAINER)
    }

    /// What became of each.
    pub(crate) fn statuses(&self) -> Vec<ExecStatus> {
        self.0.iter().map(Exec::status).collect()
    }

    /// What became of one.
    pub(crate) fn status(&mut self, id: &ExecId) -> Result<ExecStatus, Failure> {
        self.find(id).map(|exec| exec.status())
    }

    /// The session of a started one.
    pub(crate) fn session(&mut self, id: &ExecId) -> Result<u32, Failure> {
        self.find(id).map(|exec| exec.session)
    }

    /// The event of a client of `session` typing its detach keys, if that is an exec's.
    pub(crate) fn detached(&mut self, session: u32) -> Option<Kind> {
        let exec = self.of_session(session)?;
        Some(Kind::ExecDetach { exec: exec.id.clone(), command: exec.command.clone() })
    }

    fn remember(&mut self, exec: Exec) {
        let ended = |exec: &Exec| exec.exit_code.is_some();
        if self.0.iter().filter(|exec| ended(exec)).count() >= REMEMBERED
            && let Some(oldest) = self.0.iter().position(ended)
        {
            self.0.remove(oldest);
        }
        self.0.push(exec);
    }
}

impl Exec {
    fn status(&self) -> ExecStatus {
        let running = self.pid != 0 && self.exit_code.is_none();
        ExecStatus {
            exec: self.id.clone(),
            running,
            exit_code: self.exit_code,
            pid: self.pid,
            args: self.args.clone(),
            terminal: self.terminal,
            stdin: self.stdin,
        }
    }
}

impl Supervisor {
    /// Makes an exec.
    pub(crate) fn create_exec(&mut self, create: Box<ExecCreate>) -> Result<(), Failure> {
        self.check_live()?;
        // Docker parts the program from its arguments even if there are none.
        let (program, arguments) = create.process.args.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let command = format!("{program} {}", arguments.join(" "));
        let id = create.exec.clone();
        self.execs.remember(Exec {
            id: id.clone(),
            command: command.clone(),
            args: create.process.args.clone(),
            terminal: create.process.terminal,
            stdin: create.stdin,
            create: Some(create),
            session: CONTAINER,
            pid: 0,
            exit_code: None,
        });
        self.tell(Kind::ExecCreate { exec: id, command }).map_err(system)
    }

    fn check_live(&self) -> Result<(), Failure> {
        let refused = match self.container.as_ref().map(|container| &container.status.state) {
            Some(State::Running(_)) => return Ok(()),
            Some(State::Paused(_)) => Refused::Paused,
            Some(State::Restarting { .. }) => Refused::Restarting,
            _ => Refused::NotRunning,
        };
        Err(Failure::Refused(refused))
    }

    /// Starts an exec; with a client, its failure is also written there.
    pub(crate) fn start_exec(
        &mut self,
        id: &ExecId,
        client: Option<(ExecClient, OwnedFd)>,
        size: Option<(u16, u16)>,
    ) -> Result<u32, Failure> {
        self.check_live()?;
        let exec = self.execs.find(id)?;
        let create = exec.create.take().ok_or_else(|| Failure::ExecRan { exec: id.clone() })?;
        let (command, session) = (exec.command.clone(), self.next_number());
        let attach = client.map(|(client, socket)| (client.attach(&create), socket));
        let typed = attach.as_ref().is_some_and(|(attach, _)| attach.stdin);
        let started = self.spawn_exec(session, &create, attach.is_some(), typed, size);
        if let Some((attach, socket)) = attach {
            let number = self.attach_exec(session, socket, &attach).map_err(system)?;
            if let Err(failure) = &started {
                self.refuse_client(number, failure);
            }
        }
        let exec = self.execs.find(id)?;
        match started {
            Ok(pid) => {
                (exec.session, exec.pid) = (session, pid);
                self.tell(Kind::ExecStart { exec: id.clone(), command }).map_err(system)?;
                self.greet_clients().map_err(system)?;
                Ok(pid)
            }
            Err(failure) => {
                exec.exit_code = Some(if let Failure::Launch { exit_code, .. } = failure { exit_code } else { 126 });
                Err(failure)
            }
        }
    }

    fn spawn_exec(
        &mut self,
        session: u32,
        create: &ExecCreate,
        attached: bool,
        typed: bool,
        size: Option<(u16, u16)>,
    ) -> Result<u32, Failure> {
        let size = size.map(|(height, width)| ConsoleSize { height, width });
        let stdio = match (create.process.terminal, attached) {
            (true, _) => Stdio::Terminal { size: size.or(create.process.console_size) },
            (false, true) => Stdio::Pipes { stdin: typed },
            (false, false) => Stdio::Null,
        };
        self.spawn(session, &create.process, stdio, create.beside.as_ref()).map_err(in_dockers_words)
    }

    /// Adds a process to the container.
    pub(crate) fn spawn(
        &mut self,
        session: u32,
        process: &hako_runtime::spec::Process,
        stdio: Stdio,
        beside: Option<&Mount>,
    ) -> Result<u32, Failure> {
        let not_running = || Failure::Refused(Refused::NotRunning);
        let container = self.container.as_mut().ok_or_else(not_running)?;
        let first = self.sessions.iter().find(|(number, _)| *number == CONTAINER).ok_or_else(not_running)?;
        let group = container.group.as_ref().ok_or_else(not_running)?;
        let linux = container.description.spec.linux.as_ref();
        let target = Target::new(&first.1.process, group, linux.and_then(|linux| linux.seccomp.as_ref()));
        let stage = match container.stage.take().filter(Stage::is_alive) {
            Some(stage) => stage,
            None => Stage::open(self.witness, &target).map_err(launch_failure)?,
        };
        let executed = container.stage.insert(stage).spawn_with(process, stdio, beside).map_err(launch_failure)?;
        let pid = executed.process.pid().unsigned_abs();
        let new = Session::new(session, executed.process, executed.streams, &self.epoll).map_err(system)?;
        self.sessions.push((session, new));
        Ok(pid)
    }

    fn refuse_client(&mut self, number: u32, failure: &Failure) {
        for client in self.clients.iter_mut().filter(|client| client.number == number) {
            client.deliver(Stream::Stdout, format!("{failure}\r\n").as_bytes());
            client.leaving = true;
        }
    }

    /// An exec's process has ended.
    pub(crate) fn end_exec(&mut self, session: u32, exit_code: i32) -> Result<()> {
        let Some(exec) = self.execs.of_session(session) else { return Ok(()) };
        exec.exit_code = Some(exit_code);
        let exec = exec.id.clone();
        self.tell(Kind::ExecDie { exec, exit_code })
    }
}

fn in_dockers_words(failure: Failure) -> Failure {
    match failure {
        Failure::Launch { exit_code, error } => Failure::Launch {
            exit_code,
            error: format!("OCI runtime exec failed: exec failed: unable to start container process: {error}"),
        },
        other => other,
    }
}
