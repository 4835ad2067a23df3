//! What is asked of container verbs and what they answer, in the engine's words.
//! Leaves out the wire: the server turns these into Docker's JSON.

use std::collections::BTreeMap;

use hako_model::container::{
    Config, Edit, EndpointSettings, HostConfig, MountPoint, NetworkingConfig, PortMap, Resources, RestartPolicy,
};
use hako_model::filter::Filters;
use hako_model::id::{ContainerId, ExecId};
use hako_model::platform::Platform;
use hako_model::time::Timestamp;
use hako_model::verdict::Verdict;

/// What `create` is asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The name; made up when absent.
    pub name: Option<String>,
    /// The platform the image must be of.
    pub platform: Option<Platform>,
    /// The portable half.
    pub config: Config,
    /// The host's half.
    pub host_config: HostConfig,
    /// Networks to join.
    pub networking: NetworkingConfig,
}

/// What `create` made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The container.
    pub id: ContainerId,
    /// What was asked for and will not have an effect.
    pub warnings: Vec<String>,
}

/// How `stop` and `restart` end the process.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// The signal; the container's own when absent.
    pub signal: Option<String>,
    /// Seconds before SIGKILL; the container's own when absent; negative waits for ever.
    pub timeout: Option<i64>,
    /// How long its clients' connections may take to end before it is stopped; none stops it at once.
    pub drain: Option<std::time::Duration>,
}

/// How `rm` removes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
    /// Remove the legacy link of that name instead.
    pub link: bool,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitCondition {
    /// Not running (already so counts).
    #[default]
    NotRunning,
    /// The next exit.
    NextExit,
    /// The removal.
    Removed,
}

/// How a container ended.
#[derive(Debug, Clone, Default)]
pub struct Exit {
    /// The exit code.
    pub code: i64,
    /// What went wrong while waiting or removing, if something did.
    pub error: Option<String>,
}

/// What `update` changes.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    /// Limits; zero leaves the old one.
    pub resources: Resources,
    /// The restart policy; absent leaves the old one, as do a name that is unset and pauses of zero.
    pub restart_policy: Option<RestartPolicy>,
    /// Everything else.
    pub edit: Option<Edit>,
}

/// What `ls` lists.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Stopped ones too.
    pub all: bool,
    /// Only the last few created (implies `all`).
    pub limit: Option<usize>,
    /// Compute sizes.
    pub size: bool,
    /// Which.
    pub filters: Filters,
}

/// One published or exposed port, as `ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSummary {
    /// The host address; empty when not published.
    pub ip: String,
    /// The container's port.
    pub private_port: u16,
    /// The host's port.
    pub public_port: Option<u16>,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

/// One container, as `ls` shows it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The id.
    pub id: ContainerId,
    /// The name with its slash.
    pub names: Vec<String>,
    /// The image as it was named, or its id when that name has moved on.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Path and arguments.
    pub command: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its ports.
    pub ports: Vec<PortSummary>,
    /// Bytes of the writable layer, when asked for.
    pub size_rw: Option<u64>,
    /// Bytes of the whole root filesystem, when asked for.
    pub size_root_fs: Option<u64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `running`, `exited`, …
    pub state: String,
    /// `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`, …
    pub status: String,
    /// The network mode.
    pub network_mode: String,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its endpoints by network name.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// Its mounts.
    pub mounts: Vec<MountPoint>,
    /// Whether it runs beside another container, so that neither ports nor names lead to it.
    pub aside: bool,
}

/// One probe of a health check.
#[derive(Debug, Clone)]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Its exit code.
    pub exit_code: i32,
    /// What it printed.
    pub output: String,
}

/// A container's health.
#[derive(Debug, Clone)]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy`, `none`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last probes.
    pub log: Vec<Probe>,
}

/// A container's state, as `inspect` shows it.
#[derive(Debug, Clone, Default)]
pub struct StateView {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub status: String,
    /// Whether it runs (paused and restarting ones do).
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is about to be restarted.
    pub restarting: bool,
    /// Whether the kernel killed something in it for memory.
    pub oom_killed: bool,
    /// Whether its removal failed half-way, or its record is damaged.
    pub dead: bool,
    /// The init's pid on the host.
    pub pid: i64,
    /// The last exit code.
    pub exit_code: i64,
    /// Why it did not start.
    pub error: String,
    /// When it last started.
    pub started_at: Timestamp,
    /// When it last ended.
    pub finished_at: Timestamp,
    /// Health, when it has a check.
    pub health: Option<Health>,
}

/// Everything about one container.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The id.
    pub id: ContainerId,
    /// When it was created.
    pub created: Timestamp,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its state.
    pub state: StateView,
    /// The image's id.
    pub image: String,
    /// The host's path of its resolv.conf.
    pub resolv_conf_path: String,
    /// The host's path of its hostname file.
    pub hostname_path: String,
    /// The host's path of its hosts file.
    pub hosts_path: String,
    /// The host's path of its log.
    pub log_path: String,
    /// The name with its slash.
    pub name: String,
    /// Restarts by policy.
    pub restart_count: u32,
    /// The storage driver's name.
    pub driver: String,
    /// The platform's OS.
    pub platform: String,
    /// The SELinux label of its mounts.
    pub mount_label: String,
    /// The SELinux label of its process.
    pub process_label: String,
    /// The AppArmor profile.
    pub app_armor_profile: String,
    /// Its live exec instances.
    pub exec_ids: Option<Vec<String>>,
    /// The host's half.
    pub host_config: HostConfig,
    /// The storage driver's facts.
    pub graph_driver: BTreeMap<String, String>,
    /// Bytes of the writable layer, when asked for.
    pub size_rw: Option<u64>,
    /// Bytes of the whole root filesystem, when asked for.
    pub size_root_fs: Option<u64>,
    /// Its mounts.
    pub mounts: Vec<MountPoint>,
    /// The portable half.
    pub config: Config,
    /// The network namespace's id and path on the host; empty when not running.
    pub sandbox_id: String,
    /// See `sandbox_id`.
    pub sandbox_key: String,
    /// Ports in force.
    pub ports: PortMap,
    /// Its endpoints by network name.
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// Why a container ended or does not run.
#[derive(Debug, Clone)]
pub struct Why {
    /// The name.
    pub name: String,
    /// Docker's word for its state.
    pub state: String,
    /// The last exit code.
    pub exit_code: i64,
    /// When it last ended.
    pub finished_at: Timestamp,
    /// The conclusion.
    pub verdict: Verdict,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// What `top` shows.
#[derive(Debug, Clone, Default)]
pub struct Top {
    /// Column titles.
    pub titles: Vec<String>,
    /// A row per process.
    pub processes: Vec<Vec<String>>,
}

/// What `logs` reads.
#[derive(Debug, Clone, Default)]
pub struct LogsOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on as lines come.
    pub follow: bool,
    /// Not earlier than.
    pub since: Option<Timestamp>,
    /// Not later than.
    pub until: Option<Timestamp>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Put labels and environment of the log options before each line.
    pub details: bool,
    /// Only the last lines.
    pub tail: Option<u64>,
    /// Go on behind what was read before, instead of `since` and `tail`.
    pub resume: Option<super::logs::Mark>,
}

/// What `attach` connects.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Live output.
    pub stream: bool,
    /// What was already said, first.
    pub logs: bool,
    /// Keys that detach, `ctrl-p,ctrl-q` when absent.
    pub detach_keys: Option<String>,
    /// Both outputs as one, without frames.
    pub mixed: bool,
}

/// What `exec create` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Attach standard input.
    pub attach_stdin: bool,
    /// Attach standard output.
    pub attach_stdout: bool,
    /// Attach standard error.
    pub attach_stderr: bool,
    /// Give it a terminal.
    pub tty: bool,
    /// Keys that detach.
    pub detach_keys: Option<String>,
    /// Rows and columns.
    pub console_size: Option<[u32; 2]>,
    /// More environment.
    pub env: Vec<String>,
    /// The command.
    pub cmd: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// `user[:group]`; the container's when empty.
    pub user: String,
    /// The working directory; the container's when empty.
    pub working_dir: String,
    /// Tools beside the container's files: those of an image, or without a name the host's.
    pub tools: Option<String>,
}

/// What `exec start` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExecStart {
    /// Do not attach.
    pub detach: bool,
    /// Whether the client expects a terminal's raw stream.
    pub tty: bool,
    /// Rows and columns.
    pub console_size: Option<[u32; 2]>,
}

/// Everything about one exec instance.
#[derive(Debug, Clone)]
pub struct ExecInspected {
    /// Its id.
    pub id: ExecId,
    /// Its container.
    pub container: ContainerId,
    /// Whether it runs.
    pub running: bool,
    /// How it ended; absent until then.
    pub exit_code: Option<i64>,
    /// Its pid on the host; zero when not running.
    pub pid: i64,
    /// What it was asked to be.
    pub request: ExecRequest,
    /// Whether standard input is open.
    pub open_stdin: bool,
}

/// How a path of the writable layer differs from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Changed.
    Modified,
    /// New.
    Added,
    /// Gone.
    Deleted,
}

/// One difference to the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path in the container.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// A path in a container, as `cp` wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last component.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// Modification time.
    pub modified: Timestamp,
    /// Where a link points.
    pub link_target: String,
}

/// How `cp` unpacks into a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchivePut {
    /// Refuse to replace a directory by a file, or the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to the container's user.
    pub copy_uid_gid: bool,
}

/// What `commit` makes.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// The container.
    pub container: String,
    /// The new image's name, with its tag.
    pub reference: Option<String>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// Dockerfile instructions applied on top (`CMD`, `ENV`, …).
    pub changes: Vec<String>,
    /// A configuration instead of the container's.
    pub config: Option<Config>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Ids or names.
    pub deleted: Vec<String>,
    /// Bytes given back.
    pub space_reclaimed: u64,
}
