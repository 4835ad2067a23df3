//! Verbs on running containers: stop, kill, restart, pause, unpause, resize.

use std::sync::Arc;
use std::time::Duration;

use hako_model::state::{Refused, State};
use hako_supervisor::protocol::{Answer, Ask, Failure};

use super::start::wait_until;
use super::{Containers, StopOptions};
use crate::container::{Container, Phase};
use crate::{Error, Result, caller, signal};

const KILL: i32 = 9;

impl Containers {
    /// Stops it. `NotModified` when it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        let container = self.house.index.find(name)?;
        if !container.status().state.is_running() {
            return Err(Error::not_modified(format!("Container {} is already stopped", container.id)));
        }
        if let Some(patience) = options.drain {
            super::succession::drain(&container, patience).await;
        }
        stop(&container, &options, "stop").await
    }

    /// Sends a signal, `SIGKILL` when empty.
    pub async fn kill(&self, name: &str, text: &str) -> Result<()> {
        let sent = self.send_signal(name, text).await;
        sent.map_err(|error| error.during(format!("cannot kill container: {name}")))
    }

    async fn send_signal(&self, name: &str, text: &str) -> Result<()> {
        let signal = if text.is_empty() { KILL } else { signal::parse(text)? };
        let container = self.house.index.find(name)?;
        match container.live_link()?.ask(Ask::Kill { signal, sender: caller::sender("kill") }, Vec::new()).await? {
            Ok(Answer::Ended { status }) => {
                wait_until(&container, |phase| phase.status.finished_at >= status.finished_at).await;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(Failure::Refused(_)) => Err(container.not_running()),
            Err(other) => Err(failure(&container, other)),
        }
    }

    /// Stops and starts it.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        if container.status().state.is_running() {
            stop(&container, &options, "restart").await?;
        }
        self.start_alone(&container, false).await?;
        self.house.tell(&container, "restart");
        Ok(())
    }

    /// Freezes it.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.freeze(name, Ask::Pause).await
    }

    /// Freezes it until it is thawed or this engine is gone.
    pub(super) async fn hold(&self, name: &str) -> Result<()> {
        self.freeze(name, Ask::Hold).await
    }

    async fn freeze(&self, name: &str, how: Ask) -> Result<()> {
        let container = self.house.index.find(name)?;
        let id = container.id.clone();
        match container.status().state {
            State::Paused(_) => return Err(Error::conflict(format!("Container {id} is already paused"))),
            State::Restarting { .. } => {
                return Err(Error::conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            State::Running(_) => {}
            _ => return Err(container.not_running()),
        }
        done(&container, how).await?;
        wait_until(&container, |phase| !matches!(phase.status.state, State::Running(_))).await;
        Ok(())
    }

    /// Thaws it.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        if !container.status().state.is_paused() {
            return Err(Error::conflict(format!("Container {} is not paused", container.id)));
        }
        done(&container, Ask::Resume).await?;
        wait_until(&container, |phase| !phase.status.state.is_paused()).await;
        Ok(())
    }

    /// Resizes its terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        let container = self.house.index.find(name)?;
        if container.status().state == State::Created && container.link().is_some() {
            // A client that attached before the start sends its size; the start itself carries one.
            return Ok(());
        }
        done(&container, Ask::Resize { rows, columns }).await
    }

    /// Kills what runs and waits until nothing is held any more.
    pub(super) async fn kill_and_settle(&self, container: &Arc<Container>) -> Result<()> {
        let waited = tokio::time::timeout(Duration::from_secs(10), settle(container)).await;
        waited.unwrap_or_else(|_| {
            let text = format!("Could not kill running container {}, cannot remove - tried to kill container, but did not receive an exit event", container.id);
            Err(Error::conflict(text))
        })
    }
}

/// Kills a container, also one that is just being started, until nothing is held.
async fn settle(container: &Container) -> Result<()> {
    let mut phase = container.phase.subscribe();
    loop {
        let state = container.status().state.clone();
        let lives = state.is_running() || state == State::Starting;
        if lives {
            match container.link() {
                // Refused: it ended by itself meanwhile.
                Some(link) => {
                    let ask = Ask::Kill { signal: KILL, sender: caller::sender("remove") };
                    drop(link.ask(ask, Vec::new()).await);
                }
                None => return Err(container.not_running()),
            }
        }
        let over = |phase: &Phase| !phase.held || phase.removed;
        let begun = |phase: &Phase| !lives && phase.status.state.is_running();
        match phase.wait_for(|phase| over(phase) || begun(phase)).await {
            Ok(phase) if !over(&phase) => {}
            _ => return Ok(()),
        }
    }
}

/// Ends it in good order, by the verb that says why.
pub(super) async fn stop(container: &Arc<Container>, options: &StopOptions, verb: &str) -> Result<()> {
    let signal = options.signal.as_deref().filter(|text| !text.is_empty()).map(signal::parse).transpose()?;
    let link = container.live_link()?;
    let ask = Ask::Stop { signal, timeout: options.timeout, sender: caller::sender(verb) };
    match link.ask(ask, Vec::new()).await? {
        Ok(Answer::Ended { status }) => {
            wait_until(container, |phase| phase.status.finished_at >= status.finished_at).await;
            Ok(())
        }
        Ok(_) | Err(Failure::Refused(Refused::Already | Refused::NotRunning)) => Ok(()),
        Err(other) => Err(failure(container, other)),
    }
}

/// Asks for something that is simply done.
async fn done(container: &Arc<Container>, ask: Ask) -> Result<()> {
    let link = container.live_link()?;
    link.ask(ask, Vec::new()).await?.map(|_| ()).map_err(|other| failure(container, other))
}

/// A supervisor's refusal in Docker's words.
pub(super) fn failure(container: &Container, failure: Failure) -> Error {
    match failure {
        Failure::Refused(Refused::NotRunning) => container.not_running(),
        Failure::Refused(refused) => Error::conflict(format!("Container {} {refused}", container.id)),
        Failure::NoSuchExec { exec } => Error::not_found(format!("No such exec instance: {exec}")),
        Failure::ExecRan { exec } => Error::conflict(format!("exec command {exec} has already run")),
        Failure::Invalid { error } => Error::invalid(error),
        Failure::Launch { exit_code: 125, error } => Error::system(error),
        // The supervisor says so in Docker's words.
        Failure::Launch { error, .. } => Error::invalid(error),
        other => Error::system(other.to_string()),
    }
}
