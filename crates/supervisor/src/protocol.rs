//! What engine and supervisor say to each other: JSON messages over `SOCK_SEQPACKET`, descriptors beside them.
//!
//! Supervisors outlive upgrades of the engine, so this is hako's one internal interface with a version. Fields are
//! only ever added, with defaults; a test speaks version 1 word by word.

use std::net::IpAddr;
use std::path::PathBuf;

use hako_model::evidence::Sender;
use hako_model::health::{Probe, Remedy};
use hako_model::id::{ContainerId, ExecId};
use hako_model::port::Publication;
use hako_model::restart::{Backoff, Policy};
use hako_model::state::{Notice, Refused, Status};
use hako_model::time::Timestamp;
use hako_net::dns::Trace;
use hako_net::endpoint::Plan;
use hako_net::publish::Binding;
use serde::{Deserialize, Serialize};

use hako_runtime::checkpoint::Image;
use hako_runtime::spec::{Mount, Process, Resources};

use crate::description::{Description, Naming};

/// The version spoken here.
pub const VERSION: u32 = 1;

/// Engine → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The version spoken.
    pub v: u32,
    /// Chosen by the engine; the reply repeats it.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What an engine may ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// First words of an engine: [`Answer::Welcome`], then every event after number `since` (none: only new ones).
    Hello {
        /// The last event known.
        since: Option<u64>,
    },
    /// Be this container and start it. [`Answer::Started`] or [`Failure::Launch`]; after a failure the supervisor leaves.
    Start(Box<Description>),
    /// A client for the container's streams; its socket is the message's descriptor. Allowed before Start.
    Attach(Attach),
    /// Make an exec instance. [`Answer::Done`].
    ExecCreate(Box<ExecCreate>),
    /// Start it; a failure is also written to the client, as Docker does. With `client` its socket is the message's descriptor. [`Answer::ExecStarted`] or [`Failure::Launch`].
    ExecStart {
        /// Which.
        exec: ExecId,
        /// Its client, none to run detached.
        client: Option<ExecClient>,
        /// The terminal's size, rows and columns.
        size: Option<(u16, u16)>,
    },
    /// [`Answer::Exec`].
    ExecInspect {
        /// Which.
        exec: ExecId,
    },
    /// Resize its terminal.
    ExecResize {
        /// Which.
        exec: ExecId,
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Send a signal. For SIGKILL the reply comes when the container has ended.
    Kill {
        /// The signal.
        signal: i32,
        /// On whose behalf.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Sender>,
    },
    /// End it: signal, grace, SIGKILL. The reply comes when it has ended; [`Kind::Left`] when it has also given back
    /// what it held.
    Stop {
        /// Instead of the configured signal.
        signal: Option<i32>,
        /// Seconds, instead of the configured timeout; negative waits for ever.
        timeout: Option<i64>,
        /// On whose behalf.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Sender>,
    },
    /// Freeze.
    Pause,
    /// Freeze until this engine says Resume, or is gone.
    Hold,
    /// Thaw.
    Resume,
    /// Save its processes. [`Answer::Done`] if they go on; [`Answer::Ended`] otherwise.
    Checkpoint {
        /// Where, and by what.
        image: Image,
        /// What its directory is called once it is whole.
        name: PathBuf,
        /// Whether they go on.
        goes_on: bool,
        /// On whose behalf.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Sender>,
    },
    /// Resize the terminal.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Change limits and policy of the live container.
    Update(Box<Update>),
    /// Follow other rules from now on. [`Answer::Status`].
    Adapt(Box<Adaptation>),
    /// Publish these ports and no others. [`Answer::Plugged`].
    Publish {
        /// All ports.
        ports: Vec<Publication>,
    },
    /// Take mounts out of the container and put others in, at once and in later lives.
    Graft {
        /// The destinations of those to be taken out.
        out: Vec<String>,
        /// Those to be put in: files and directories of the host.
        into: Vec<Mount>,
    },
    /// Have these endpoints and no others; a living container's are plugged in and out. [`Answer::Plugged`].
    Plug {
        /// All endpoints.
        endpoints: Vec<Plan>,
        /// What it and others are called there.
        #[serde(default)]
        naming: Option<Naming>,
    },
    /// Send the sockets of all published ports over the message's descriptor, and keep them for now. [`Answer::Done`].
    Cede,
    /// Take the place of the container at these addresses: what it ceded comes over the message's descriptor.
    /// [`Answer::Plugged`].
    Succeed {
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Another container has taken this one's place: neither ports nor names lead here any more. [`Answer::Done`].
    StepBack,
    /// Where a question of the container about a name goes. [`Answer::Traced`].
    Trace {
        /// The name.
        name: String,
    },
    /// It has a new name.
    Rename {
        /// The name, without a slash.
        name: String,
    },
    /// [`Answer::Status`].
    Status,
    /// [`Answer::Processes`]: every process in its cgroup.
    Processes,
    /// The engine has taken in every event up to `seq`: the journal may forget them, and a supervisor whose container
    /// has ended may leave.
    Acknowledge {
        /// The last event taken in.
        seq: u64,
    },
}

/// How bytes for a client are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// As they are: terminals.
    Raw,
    /// Docker's eight-byte header before each piece.
    Multiplexed,
}

/// A client of the container's streams.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attach {
    /// Its bytes go to stdin.
    #[serde(default)]
    pub stdin: bool,
    /// It gets stdout.
    #[serde(default)]
    pub stdout: bool,
    /// It gets stderr.
    #[serde(default)]
    pub stderr: bool,
    /// It first gets what was logged before.
    #[serde(default)]
    pub logs: bool,
    /// It gets what comes from now on; false with `logs` only replays.
    #[serde(default = "yes")]
    pub stream: bool,
    /// How to write to it.
    pub framing: Framing,
    /// The keys that detach it, empty for none.
    #[serde(default)]
    pub detach_keys: Vec<u8>,
    /// What it had sent before it was handed over.
    #[serde(default)]
    pub leftover: Vec<u8>,
}

fn yes() -> bool {
    true
}

/// An exec instance to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecCreate {
    /// Its id.
    pub exec: ExecId,
    /// What to run and how confined; its `terminal` says whether it has one.
    pub process: Process,
    /// Whether a client's bytes go to its stdin.
    pub stdin: bool,
    /// Whether a client gets its stdout.
    pub stdout: bool,
    /// Whether a client gets its stderr.
    pub stderr: bool,
    /// The keys that detach its client, empty for none.
    #[serde(default)]
    pub detach_keys: Vec<u8>,
    /// Something of the host that is mounted for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Mount>,
}

/// A client of an exec instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecClient {
    /// How to write to it.
    pub framing: Framing,
    /// What it had sent before it was handed over.
    #[serde(default)]
    pub leftover: Vec<u8>,
}

/// Changes to a live container; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Update {
    /// New limits, as the OCI specification writes them.
    pub resources: Option<Resources>,
    /// A new restart policy.
    pub restart: Option<Policy>,
}

/// The rules a container follows, all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adaptation {
    /// Its health check.
    pub probe: Option<Probe>,
    /// What is done when it is unhealthy.
    pub remedy: Option<Remedy>,
    /// The pauses before restarts.
    pub backoff: Backoff,
    /// The signal that ends it in good order.
    pub stop_signal: i32,
    /// Seconds between that signal and SIGKILL; negative waits for ever.
    pub stop_timeout: i64,
}

/// Supervisor → engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// To the request with this id.
    Reply {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: std::result::Result<Answer, Failure>,
    },
    /// Something happened.
    Event(Event),
}

/// What an engine may hear.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// To Hello.
    Welcome(Box<Welcome>),
    /// It runs.
    Started {
        /// Its status.
        status: Box<Status>,
        /// Its published ports, random ones decided.
        ports: Vec<Binding>,
        /// Its control group, below each hierarchy's root; on cgroup v2 a spare's keeps its name.
        cgroup: String,
    },
    /// Its endpoints are as asked.
    Plugged {
        /// Its published ports.
        ports: Vec<Binding>,
    },
    /// Where the question goes; none if the container has no answerer of names.
    Traced(Option<Trace>),
    /// It has ended (to Stop, and to Kill with SIGKILL).
    Ended {
        /// Its status.
        status: Box<Status>,
    },
    /// Its status.
    Status(Box<Status>),
    /// Its processes.
    Processes(Vec<u32>),
    /// The exec runs.
    ExecStarted {
        /// Its pid.
        pid: u32,
    },
    /// An exec's status.
    Exec(ExecStatus),
}

/// Who a supervisor is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The version it speaks.
    pub version: u32,
    /// Its pid.
    pub pid: u32,
    /// Its container, none for a spare.
    pub container: Option<ContainerId>,
    /// Its container's status.
    pub status: Status,
    /// Its published ports.
    pub ports: Vec<Binding>,
    /// Its control group; empty if it has none now.
    #[serde(default)]
    pub cgroup: String,
    /// The last event's number, 0 for none.
    pub seq: u64,
    /// The execs it knows.
    pub execs: Vec<ExecStatus>,
    /// Whether its container has ended and it waits to be allowed to leave.
    pub left: bool,
}

/// An exec instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecStatus {
    /// Its id.
    pub exec: ExecId,
    /// Whether it runs.
    pub running: bool,
    /// How it ended; none before.
    pub exit_code: Option<i32>,
    /// Its pid on the host, 0 if it never ran.
    pub pid: u32,
    /// Its program and arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether it has a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
    /// Whether a client's bytes go to its stdin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The state forbids it.
    #[error("container {0}")]
    Refused(Refused),
    /// The process could not be started.
    #[error("{error}")]
    Launch {
        /// Docker's exit code: 125, 126 or 127.
        exit_code: i32,
        /// Why, in Docker's words.
        error: String,
    },
    /// A published host port is taken.
    #[error("{error}")]
    Port {
        /// Why, in Docker's words.
        error: String,
    },
    /// There is no such exec.
    #[error("no such exec instance: {exec}")]
    NoSuchExec {
        /// The id.
        exec: ExecId,
    },
    /// The exec has been started before.
    #[error("exec {exec} has already run")]
    ExecRan {
        /// The id.
        exec: ExecId,
    },
    /// A value makes no sense.
    #[error("{error}")]
    Invalid {
        /// Which and why.
        error: String,
    },
    /// The kernel or the disk refused.
    #[error("{error}")]
    System {
        /// Why.
        error: String,
    },
}

/// Something that happened, in the order it happened. Numbers begin with 1 and have no gaps in one run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; later supervisors of the same container go on counting.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: Kind,
    /// The status it led to, if it changed; not kept in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The state machine tells: start, die, oom, kill, stop, pause, unpause, health_status.
    Life(Notice),
    /// A client came.
    Attach,
    /// A client left by its detach keys.
    Detach,
    /// The terminal was resized.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// An exec was made.
    ExecCreate {
        /// Which.
        exec: ExecId,
        /// Its program and arguments.
        command: String,
    },
    /// An exec was started.
    ExecStart {
        /// Which.
        exec: ExecId,
        /// Its program and arguments.
        command: String,
    },
    /// An exec's client left by its detach keys.
    ExecDetach {
        /// Which.
        exec: ExecId,
        /// Its program and arguments.
        command: String,
    },
    /// An exec ended.
    ExecDie {
        /// Which.
        exec: ExecId,
        /// Its exit code.
        exit_code: i32,
    },
    /// No restart is due and everything is given back. The last event: acknowledge it.
    Left,
}
