//! Further processes in running containers.

use std::sync::Arc;

use hako_model::id::ExecId;
use hako_model::state::State;
use hako_supervisor::protocol::{Answer, Ask, ExecCreate};
use hako_supervisor::spec::Mount;

use super::attach::{Attachment, Kind, detach_keys};
use super::lifecycle::failure;
use super::{Containers, ExecInspected, ExecRequest, ExecStart};
use crate::container::{Container, Exec};
use crate::{Error, Result, accounts, oci, tools};

impl Containers {
    /// Makes an exec instance.
    pub async fn exec_create(&self, name: &str, mut request: ExecRequest) -> Result<ExecId> {
        let container = self.house.index.find(name)?;
        let beside = self.bring_tools(&container, &mut request).await?;
        if request.cmd.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        check_running(name, &container)?;
        let link = container.live_link()?;
        let accounts = accounts::of_running(container.status().pid())?;
        let process = oci::exec_process(&self.house, &container.record(), &request, &accounts)?;
        let exec = new_exec_id()?;
        let ask = ExecCreate {
            exec: exec.clone(),
            process,
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
            beside,
            detach_keys: detach_keys(request.detach_keys.as_deref())?,
        };
        let reply = link.ask(Ask::ExecCreate(Box::new(ask)), Vec::new()).await?;
        reply.map_err(|other| failure(&container, other))?;
        let instance = Exec { request, ended: None, started: false, exit_code: None, pid: 0 };
        container.inside().execs.insert(exec.clone(), instance);
        self.house.index.insert_exec(exec.clone(), container.id.clone());
        Ok(exec)
    }

    /// The mount of the tools asked for; the request then finds them, and begins with their shell if it names no command.
    async fn bring_tools(&self, container: &Container, request: &mut ExecRequest) -> Result<Option<Mount>> {
        let Some(image) = &request.tools else { return Ok(None) };
        let mount = tools::mount(&self.house, image).await?;
        let record = container.record();
        if record.mounts.iter().any(|plan| plan.target == "/dev") {
            let text = format!("container {} has a /dev of the host: nothing can be laid beside it there", record.name);
            return Err(Error::invalid(text));
        }
        let mut env = tools::environment(record.config.env.as_deref().unwrap_or_default(), &record.name);
        env.append(&mut request.env);
        request.env = env;
        if request.cmd.is_empty() {
            request.cmd = vec![tools::shell()];
        }
        Ok(Some(mount))
    }

    /// Starts an exec instance. An attached one starts when the attachment is handed over; a detached one has started
    /// when this returns `None`.
    pub async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        let (exec, container) = self.house.index.find_exec(exec)?;
        let instance = begin(&container, &exec)?;
        check_running(container.id.as_str(), &container)?;
        let size = start.console_size.or(instance.request.console_size).map(|size| {
            let [rows, columns] = size.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
            (rows, columns)
        });
        if !start.detach {
            // As with Docker, the word of the start decides how the stream is packed, whatever the exec has.
            let terminal = start.tty;
            let kind = Kind::Exec { exec, size };
            return Ok(Some(Attachment { house: Arc::clone(&self.house), container, terminal, kind }));
        }
        let link = container.live_link()?;
        let ask = Ask::ExecStart { exec: exec.clone(), client: None, size };
        match link.ask(ask, Vec::new()).await? {
            Ok(Answer::ExecStarted { pid }) => {
                if let Some(instance) = container.inside().execs.get_mut(&exec) {
                    instance.pid = pid.into();
                }
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(other) => Err(failure(&container, other)),
        }
    }

    /// Resizes an exec instance's terminal.
    pub async fn exec_resize(&self, exec: &str, rows: u16, columns: u16) -> Result<()> {
        let (exec, container) = self.house.index.find_exec(exec)?;
        let link = container.live_link()?;
        let reply = link.ask(Ask::ExecResize { exec, rows, columns }, Vec::new()).await?;
        reply.map(|_| ()).map_err(|other| failure(&container, other))
    }

    /// Everything about an exec instance.
    pub async fn exec_inspect(&self, exec: &str) -> Result<ExecInspected> {
        let (id, container) = self.house.index.find_exec(exec)?;
        let missing = || Error::not_found(format!("No such exec instance: {id}"));
        let mut instance = container.inside().execs.get(&id).cloned().ok_or_else(missing)?;
        let mut running = false;
        if let Some(link) = container.link()
            && let Ok(Ok(Answer::Exec(status))) = link.ask(Ask::ExecInspect { exec: id.clone() }, Vec::new()).await
        {
            running = status.running;
            instance.pid = status.pid.into();
            instance.exit_code = status.exit_code.map(i64::from);
        }
        Ok(ExecInspected {
            id,
            container: container.id.clone(),
            running,
            exit_code: instance.exit_code,
            pid: instance.pid,
            open_stdin: instance.request.attach_stdin,
            request: instance.request,
        })
    }
}

fn check_running(name: &str, container: &Container) -> Result<()> {
    let id = &container.id;
    match container.status().state {
        State::Running(_) => Ok(()),
        State::Paused(_) => {
            Err(Error::conflict(format!("Container {name} is paused, unpause the container before exec")))
        }
        State::Restarting { .. } => {
            Err(Error::conflict(format!("Container {id} is restarting, wait until the container is running")))
        }
        _ => Err(container.not_running()),
    }
}

/// An instance runs once.
fn begin(container: &Container, exec: &ExecId) -> Result<Exec> {
    let mut inside = container.inside();
    let instance = inside.execs.get_mut(exec);
    let instance = instance.ok_or_else(|| Error::not_found(format!("No such exec instance: {exec}")))?;
    if instance.exit_code.is_some() {
        return Err(Error::conflict(format!("exec command {exec} has already run")));
    }
    if std::mem::replace(&mut instance.started, true) {
        return Err(Error::conflict(format!("Error: Exec command {exec} is already running")));
    }
    Ok(instance.clone())
}

fn new_exec_id() -> Result<ExecId> {
    let mut bytes = [0; 32];
    hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make id", e))?;
    Ok(ExecId::from_bytes(&bytes))
}
