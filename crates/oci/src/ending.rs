//! `kill` and `delete`: the end of a container.

use std::time::Duration;

use hako_runtime::hook;
use hako_sys::poll::Interest;

use crate::Session;
use crate::arguments::Parsed;
use crate::creation::state;
use crate::error::{Error, Result};
use crate::record::{self, Container, Status};
use crate::signal;

const SIGKILL: i32 = 9;
/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// `kill`.
pub(crate) fn kill(session: &Session, parsed: &Parsed) -> Result<u8> {
    let word = parsed.words.get(1).map_or("SIGTERM", String::as_str);
    let number = signal::number(word)
        .ok_or_else(|| Error::Usage { command: "kill", what: format!("unknown signal {word:?}") })?;
    let container = session.store.open(parsed.id())?;
    let process = container.process();
    // Without a pid namespace of their own, the others do not end with the first.
    if parsed.on("all") || (number == SIGKILL && !container.record.own_pids) {
        return signal_all(&container, number).map(|()| 0);
    }
    let Some(process) = process else { return Err(Error::NotRunning { id: container.id().to_owned() }) };
    process.kill(number)?;
    Ok(0)
}

fn signal_all(container: &Container, number: i32) -> Result<()> {
    let group = container.group()?;
    if number == SIGKILL {
        return Ok(group.kill_all()?);
    }
    for pid in group.pids()? {
        // It may have ended since the list was read.
        let _ = hako_sys::own::signal(pid, number);
    }
    Ok(())
}

/// `delete`.
pub(crate) fn delete(session: &Session, parsed: &Parsed) -> Result<u8> {
    let force = parsed.on("force");
    let container = match session.store.open(parsed.id()) {
        Err(Error::Missing { .. }) if force => {
            return record::forget_half_made(&session.store.directory(parsed.id())?).map(|()| 0);
        }
        opened => opened?,
    };
    if let Some(process) = container.process() {
        if !force {
            let (id, status) = (container.id().to_owned(), container.status().name());
            return Err(Error::Status {
                verb: "delete",
                id,
                status: if status == "stopped" { "ending" } else { status },
            });
        }
        if container.status() == Status::Paused {
            container.group()?.thaw()?;
        }
        // It may have ended by itself.
        let _ = process.kill(SIGKILL);
        hako_sys::poll::wait_one(&process, Interest::Read, Some(PATIENCE))?;
    }
    bury(session, &container)?;
    Ok(0)
}

/// Gives back what a stopped container has, and tells those who asked to be told.
pub(crate) fn bury(session: &Session, container: &Container) -> Result<()> {
    container.forget()?;
    let record = &container.record;
    for error in hook::run_each("poststop", &record.hooks.poststop, &state(record, "stopped")) {
        session.report.warning(&error.to_string());
    }
    Ok(())
}
