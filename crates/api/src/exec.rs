//! Bodies about execs: further processes in running containers.

use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

use crate::is_default;

/// The body of `POST /containers/{id}/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecBody {
    /// As whom.
    pub user: String,
    /// With all capabilities.
    pub privileged: bool,
    /// With a terminal.
    pub tty: bool,
    /// Rows and columns of the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
    /// Attach standard input.
    pub attach_stdin: bool,
    /// Attach standard error.
    pub attach_stderr: bool,
    /// Attach standard output.
    pub attach_stdout: bool,
    /// The keys that detach.
    pub detach_keys: String,
    /// More environment.
    pub env: Option<Vec<String>>,
    /// The working directory.
    pub working_dir: String,
    /// The program and its arguments.
    #[serde(deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Tools beside the container's files: those of an image, or with an empty name the host's. (hako's own.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
}

/// The body of `POST /exec/{id}/start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecStart {
    /// Do not attach.
    pub detach: bool,
    /// With a terminal; must be what create said.
    pub tty: bool,
    /// Rows and columns of the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
}

/// The answer to `GET /exec/{id}/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exec {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Whether it runs.
    #[serde(rename = "Running")]
    pub running: bool,
    /// Its exit code; `null` while it has none.
    #[serde(rename = "ExitCode")]
    pub exit_code: Option<i64>,
    /// What runs.
    #[serde(rename = "ProcessConfig")]
    pub process: ExecProcess,
    /// Standard input is open.
    #[serde(rename = "OpenStdin")]
    pub open_stdin: bool,
    /// Standard error is attached.
    #[serde(rename = "OpenStderr")]
    pub open_stderr: bool,
    /// Standard output is attached.
    #[serde(rename = "OpenStdout")]
    pub open_stdout: bool,
    /// Whether it may be removed.
    #[serde(rename = "CanRemove")]
    pub can_remove: bool,
    /// The container.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// The keys that detach, as bytes in base64; empty for the default.
    #[serde(rename = "DetachKeys")]
    pub detach_keys: String,
    /// Its process, zero when there is none.
    #[serde(rename = "Pid")]
    pub pid: i64,
}

/// What an exec runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecProcess {
    /// With a terminal.
    pub tty: bool,
    /// The program.
    pub entrypoint: String,
    /// Its arguments.
    #[serde(deserialize_with = "nullable")]
    pub arguments: Vec<String>,
    /// With all capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// As whom.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
}
