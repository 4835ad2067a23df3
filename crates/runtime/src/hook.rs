//! Hooks: programs of the description's author, run at points of a container's life with its state on their input.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hako_sys::poll::Interest;
use hako_sys::process::{Exit, Program};
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::spec::{Hook, Spec};

/// What a container is called, for those that are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub id: String,
    /// The absolute path of its bundle.
    pub bundle: String,
}

/// The state of a container as the specification defines it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    /// The version of the specification.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: &'a str,
    /// Process 1 as the host numbers it; 0 when there is none.
    pub pid: i32,
    /// Its bundle.
    pub bundle: &'a str,
    /// The annotations of its description.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> State<'a> {
    /// The state of a container.
    pub fn of(identity: &'a Identity, spec: &'a Spec, status: &'a str, pid: i32) -> Self {
        Self {
            oci_version: &spec.oci_version,
            id: &identity.id,
            status,
            pid,
            bundle: &identity.bundle,
            annotations: &spec.annotations,
        }
    }

    fn json(&self) -> Result<Vec<u8>, LaunchError> {
        serde_json::to_vec(self).map_err(|error| LaunchError::setup("describe container to hook", error))
    }
}

/// The most of a failed hook's words that are repeated.
const WORDS: u64 = 4096;

/// Runs the hooks of one point in order, up to the first that fails. `point` is its name, e.g. `prestart`.
pub fn run_all(point: &str, hooks: &[Hook], state: &State<'_>) -> Result<(), LaunchError> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = state.json()?;
    hooks.iter().enumerate().try_for_each(|numbered| run_one(point, numbered, &state))
}

/// Runs the hooks of a point at which failures do not matter to the container. Returns them, to be told.
pub fn run_each(point: &str, hooks: &[Hook], state: &State<'_>) -> Vec<LaunchError> {
    if hooks.is_empty() {
        return Vec::new();
    }
    match state.json() {
        Ok(state) => hooks.iter().enumerate().filter_map(|numbered| run_one(point, numbered, &state).err()).collect(),
        Err(error) => vec![error],
    }
}

fn run_one(point: &str, (index, hook): (usize, &Hook), state: &[u8]) -> Result<(), LaunchError> {
    run(hook, state).map_err(|cause| {
        LaunchError::setup(format!("error running {point} hook #{index}"), format!("{}: {cause}", hook.path))
    })
}

fn run(hook: &Hook, state: &[u8]) -> Result<(), String> {
    if !hook.path.starts_with('/') {
        return Err("its path is not absolute".into());
    }
    let text = |error: hako_sys::Error| error.to_string();
    let input = memory(state).map_err(|error| error.to_string())?;
    let output = memory(&[]).map_err(|error| error.to_string())?;
    let mut program = Program::new(hook.path.as_ref()).map_err(text)?;
    if !hook.args.is_empty() {
        program = program.argv(&hook.args).map_err(text)?;
    }
    for pair in &hook.env {
        program = program.env_pair(pair).map_err(text)?;
    }
    let program = program.fd(input.as_fd(), 0).fd(output.as_fd(), 1).fd(output.as_fd(), 2);
    let process = program.spawn().map_err(text)?;
    let patience = hook.timeout.map(Duration::from_secs);
    let ended = hako_sys::poll::wait_one(&process, Interest::Read, patience).map_err(text)?;
    if !ended {
        // It may have ended at this very moment; it failed to do so in time.
        let _ = process.kill(9);
    }
    let exit = process.wait().map_err(text)?;
    let how = match exit {
        _ if !ended => format!("it did not end within {} s", hook.timeout.unwrap_or_default()),
        Exit::Code(0) => return Ok(()),
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal} ({})", hako_sys::process::signal_meaning(signal)),
    };
    Err(format!("{how}, stdout and stderr: {:?}", words(output)))
}

fn memory(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("hako-hook", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn words(output: OwnedFd) -> String {
    let mut said = Vec::new();
    let mut file = File::from(output);
    // A hook whose words cannot be read is still told of.
    let _ = file.rewind().and_then(|()| file.take(WORDS).read_to_end(&mut said));
    String::from_utf8_lossy(&said).trim_end().to_owned()
}
