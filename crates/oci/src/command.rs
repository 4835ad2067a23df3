//! The commands: their flags, how many words they take, what runs them.

use std::fmt::Write as _;

use crate::Session;
use crate::arguments::{Flag, Parsed, switch, valued};
use crate::error::{Error, Result};
use crate::{checkpoint, creation, ending, events, execution, features, limits, listing, template};

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Its words as help shows them.
    pub(crate) words: &'static str,
    /// The least and the most words.
    pub(crate) count: (usize, usize),
    pub(crate) about: &'static str,
    pub(crate) flags: &'static [Flag],
    /// Whether what follows the first word is somebody else's, not to be looked at.
    pub(crate) verbatim: bool,
    /// What it exits with when it fails.
    pub(crate) failure: u8,
    pub(crate) run: fn(&Session, &Parsed) -> Result<u8>,
}

/// Flags before the command.
pub(crate) const GLOBAL: &[Flag] = &[
    switch("debug", "", "Write more to the log"),
    valued("log", "", "FILE", "Write complaints to a file as well"),
    valued("log-format", "", "FORMAT", "Format of the log: text or json"),
    valued("root", "", "DIR", "Where containers are remembered (default /run/hako-runtime)"),
    switch("systemd-cgroup", "", "Ask systemd for control groups; cgroupsPath is then SLICE:PREFIX:NAME"),
    valued("rootless", "", "WORD", "true, false or auto; only root can run containers"),
    switch("version", "v", "Show the version"),
];

const BUNDLE: Flag = valued("bundle", "b", "DIR", "The bundle, a directory with config.json (default .)");
const CONSOLE: Flag = valued("console-socket", "", "PATH", "A socket that the terminal's other side is sent to");
const PIDFD: Flag = valued("pidfd-socket", "", "PATH", "A socket that a pidfd of the process is sent to");
const PID_FILE: Flag = valued("pid-file", "", "FILE", "Write the process number to a file");
const NO_PIVOT: Flag = switch("no-pivot", "", "Do not exchange the root but only change to it (for ramdisks)");
const NO_KEYRING: Flag = switch("no-new-keyring", "", "Keep the caller's session keyring");
const PRESERVE: Flag = valued("preserve-fds", "", "N", "Pass N descriptors behind the standard streams on");
const DETACH: Flag = switch("detach", "d", "Do not wait for the end of the process");
const NO_REAPER: Flag = switch("no-subreaper", "", "Do not collect orphans of the container");
const FORMAT: Flag = valued("format", "f", "FORMAT", "table or json");

const fn command(
    name: &'static str,
    words: &'static str,
    count: (usize, usize),
    about: &'static str,
    flags: &'static [Flag],
    run: fn(&Session, &Parsed) -> Result<u8>,
) -> Command {
    Command { name, words, count, about, flags, verbatim: false, failure: 1, run }
}

const COMMANDS: &[Command] = &[
    command("checkpoint", "ID", (1, 1), "Save a running container to disk by CRIU", CHECKPOINT, checkpoint::checkpoint),
    command("create", "ID", (1, 1), "Make a container that waits to be started", CREATE, creation::create),
    command(
        "delete",
        "ID",
        (1, 1),
        "Remove a stopped container",
        &[switch("force", "f", "Kill it first, if it runs; a missing one is no error")],
        ending::delete,
    ),
    command(
        "events",
        "ID",
        (1, 1),
        "Show what a container uses, and when memory runs out",
        &[
            valued("interval", "", "TIME", "Time between two reports, e.g. 5s or 500ms (default 5s)"),
            switch("stats", "", "Report once"),
        ],
        events::events,
    ),
    Command {
        verbatim: true,
        failure: 255,
        ..command("exec", "ID [PROGRAM [ARG…]]", (1, usize::MAX), "Add a process to a container", EXEC, execution::exec)
    },
    command("features", "", (0, 0), "Show what this runtime knows, in JSON", &[], features::features),
    command(
        "kill",
        "ID [SIGNAL]",
        (1, 2),
        "Send a signal (default SIGTERM) to a container's first process",
        &[switch("all", "a", "Send it to all processes")],
        ending::kill,
    ),
    command("list", "", (0, 0), "List containers", &[FORMAT, switch("quiet", "q", "Only ids")], listing::list),
    command("pause", "ID", (1, 1), "Stop the processes of a container where they are", &[], limits::pause),
    Command {
        verbatim: true,
        ..command("ps", "ID [OPTION…]", (1, usize::MAX), "List the processes of a container", &[FORMAT], listing::ps)
    },
    command("restore", "ID", (1, 1), "Start a container that was saved by checkpoint", RESTORE, checkpoint::restore),
    command("resume", "ID", (1, 1), "Let paused processes go on", &[], limits::resume),
    command("run", "ID", (1, 1), "Make and start a container", RUN, creation::run),
    command(
        "spec",
        "",
        (0, 0),
        "Write a config.json to begin with",
        &[BUNDLE, switch("rootless", "", "Refused: only root can run containers")],
        template::spec,
    ),
    command("start", "ID", (1, 1), "Execute the program of a created container", &[], creation::start),
    command("state", "ID", (1, 1), "Show the state of a container in JSON", &[], listing::state),
    command("update", "ID", (1, 1), "Change the limits of a container", UPDATE, limits::update),
];

const CREATE: &[Flag] = &[BUNDLE, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE];

const RUN: &[Flag] = &[
    BUNDLE,
    CONSOLE,
    PIDFD,
    PID_FILE,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE,
    DETACH,
    NO_REAPER,
    switch("keep", "", "Do not delete the container when it has ended"),
];

const EXEC: &[Flag] = &[
    CONSOLE,
    PIDFD,
    PID_FILE,
    PRESERVE,
    DETACH,
    valued("cwd", "", "DIR", "The working directory"),
    valued("env", "e", "NAME=VALUE", "Set an environment variable"),
    switch("tty", "t", "Give it a terminal"),
    valued("user", "u", "UID[:GID]", "Whom it runs as"),
    valued("additional-gids", "g", "GID", "Add a group"),
    valued("process", "p", "FILE", "Read the process from a file of the specification's JSON"),
    valued("process-label", "", "LABEL", "The SELinux label it runs under"),
    valued("apparmor", "", "PROFILE", "The AppArmor profile it runs under"),
    switch("no-new-privs", "", "It and its children gain no privileges"),
    valued("cap", "c", "CAPABILITY", "Add a capability"),
    valued("cgroup", "", "[CONTROLLER,…:]PATH", "A group below the container's that it is put into; on v1 several"),
    switch("ignore-paused", "", "Also if the container is paused"),
];

const CHECKPOINT: &[Flag] = &[
    valued("image-path", "", "DIR", "Where the image is saved (default ./checkpoint)"),
    valued("work-path", "", "DIR", "Where CRIU works and logs"),
    valued("parent-path", "", "DIR", "An earlier image that this one builds on, from the image's directory"),
    switch("leave-running", "", "Let the container run on"),
    switch("pre-dump", "", "Only save memory, for a later checkpoint"),
    switch("tcp-established", "", "Also with established TCP connections"),
    switch("ext-unix-sk", "", "Also with unix sockets of others"),
    switch("shell-job", "", "Also with a terminal of others"),
    switch("file-locks", "", "Also with file locks"),
    valued("manage-cgroups-mode", "", "MODE", "How CRIU treats control groups: soft, full, strict or ignore"),
];

const RESTORE: &[Flag] = &[
    BUNDLE,
    PID_FILE,
    DETACH,
    NO_REAPER,
    valued("image-path", "", "DIR", "Where the image was saved (default ./checkpoint)"),
    valued("work-path", "", "DIR", "Where CRIU works and logs"),
    switch("tcp-established", "", "Also with established TCP connections"),
    switch("ext-unix-sk", "", "Also with unix sockets of others"),
    switch("shell-job", "", "Also with a terminal of others"),
    switch("file-locks", "", "Also with file locks"),
    valued("manage-cgroups-mode", "", "MODE", "How CRIU treats control groups: soft, full, strict or ignore"),
];

const UPDATE: &[Flag] = &[
    valued("resources", "r", "FILE", "Read the specification's resources from a file, or from - (standard input)"),
    valued("blkio-weight", "", "N", "Block device weight, 10 to 1000"),
    valued("cpu-period", "", "US", "Length of a period in microseconds"),
    valued("cpu-quota", "", "US", "Microseconds of processor time in a period"),
    valued("cpu-burst", "", "US", "Microseconds that may be saved up"),
    valued("cpu-share", "", "N", "Relative weight of processor time"),
    valued("cpu-rt-period", "", "US", "Length of a real-time period in microseconds"),
    valued("cpu-rt-runtime", "", "US", "Microseconds of real-time scheduling in a period"),
    valued("cpu-idle", "", "N", "1: only time nobody else wants"),
    valued("cpuset-cpus", "", "LIST", "Processors, as 0-2,4"),
    valued("cpuset-mems", "", "LIST", "Memory nodes, as 0-2,4"),
    valued("memory", "", "BYTES", "Memory limit"),
    valued("memory-reservation", "", "BYTES", "Memory kept under pressure"),
    valued("memory-swap", "", "BYTES", "Limit of memory and swap together; -1 is none"),
    valued("kernel-memory", "", "BYTES", "Refused: kernels no longer have this limit"),
    valued("kernel-memory-tcp", "", "BYTES", "Limit of TCP buffers"),
    valued("pids-limit", "", "N", "The most processes; -1 is no limit"),
    valued("l3-cache-schema", "", "TEXT", "Intel RDT: the line for the cache"),
    valued("mem-bw-schema", "", "TEXT", "Intel RDT: the line for memory bandwidth"),
];

/// The command of a name.
pub(crate) fn find(name: &str) -> Result<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| Error::Command { name: name.to_owned() })
}

impl Command {
    /// Whether there are as many words as the command takes.
    pub(crate) fn expect_count(&self, parsed: &Parsed) -> Result<()> {
        let (least, most) = self.count;
        if (least..=most).contains(&parsed.words.len()) {
            return Ok(());
        }
        let what =
            format!("expected {}, got {:?}", if self.words.is_empty() { "no words" } else { self.words }, parsed.words);
        Err(Error::Usage { command: self.name, what })
    }

    /// The command's help.
    pub(crate) fn help(&self) -> String {
        let mut text = format!("{}\n\nUsage: hako runtime {} [FLAG…] {}\n", self.about, self.name, self.words);
        list_flags(&mut text, self.flags);
        text
    }
}

fn list_flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        let short = if flag.short.is_empty() { "    ".into() } else { format!("-{}, ", flag.short) };
        let name = flag.value.map_or_else(|| flag.name.to_owned(), |value| format!("{} {value}", flag.name));
        let _ = write!(text, "\n  {short}--{name:<28} {}", flag.help);
    }
    text.push('\n');
}

/// The help of the whole.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "An OCI runtime: hako's containers for other engines\n\nUsage: hako runtime [FLAG…] COMMAND [ARG…]\n\nCommands:\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<12} {}", command.name, command.about);
    }
    list_flags(&mut text, GLOBAL);
    text
}

/// The version, in the form engines parse.
pub(crate) fn version() -> String {
    format!("hako-runtime version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), template::VERSION)
}
