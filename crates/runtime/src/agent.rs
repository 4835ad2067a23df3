//! The agent of a system call filter: a program on the host that answers calls the filter notifies of.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::fdpass::Channel;
use serde::Serialize;

use crate::LaunchError;
use crate::hook::{Identity, State};
use crate::spec::Spec;

/// Where a filter's agent listens, and what it is told.
#[derive(Clone, Debug)]
pub struct Agent {
    path: String,
    message: serde_json::Value,
}

/// What the specification calls the container process state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    metadata: &'a str,
    state: State<'a>,
}

impl Agent {
    /// The agent a container's filter names.
    pub fn of(identity: &Identity, spec: &Spec, status: &str, init: i32) -> Result<Option<Self>, LaunchError> {
        let Some(filter) = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref()) else { return Ok(None) };
        if filter.listener_path.is_empty() {
            return Ok(None);
        }
        let state = ProcessState {
            oci_version: &spec.oci_version,
            fds: ["seccompFd"],
            metadata: &filter.listener_metadata,
            state: State::of(identity, spec, status, init),
        };
        let message = serde_json::to_value(&state).map_err(|error| LaunchError::setup("describe process", error))?;
        Ok(Some(Self { path: filter.listener_path.clone(), message }))
    }

    /// Gives the agent the descriptor it reads notifications of process `pid` from.
    pub(crate) fn hand_over(&self, pid: i32, notifications: &OwnedFd) -> Result<(), LaunchError> {
        let failed = |error| LaunchError::setup(format!("reach seccomp agent at {}", self.path), error);
        let agent = Channel::connect_stream(Path::new(&self.path)).map_err(failed)?;
        let mut message = self.message.clone();
        message["pid"] = pid.into();
        agent.send(message.to_string().as_bytes(), &[notifications.as_fd()]).map_err(failed)
    }
}
