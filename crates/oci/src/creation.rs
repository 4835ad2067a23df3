//! `create`, `start` and `run`: from a bundle to a running program.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use hako_runtime::agent::Agent;
use hako_runtime::hook::{self, Identity, State};
use hako_runtime::launch::{self, Apart, Created, Keeper, LaunchOptions, RootfsPlan};
use hako_runtime::spec::{Hooks, NamespaceKind, Process, Spec};
use hako_runtime::stdio::Stdio;
use hako_sys::fdpass::{Channel, Listener};
use hako_sys::process::SingleThreaded;

use crate::arguments::Parsed;
use crate::bundle::{self, Bundle};
use crate::console::{self, Console};
use crate::error::{Error, Result};
use crate::record::{Container, Record, Status};
use crate::systemd::{self, Scope};
use crate::{Session, calendar, ending, host, place, record, relay};

/// `create`.
pub(crate) fn create(session: &Session, parsed: &Parsed) -> Result<u8> {
    let bundle = bundle::read(parsed.value("bundle"))?;
    let console = Console::of_detached("create", parsed, wants_terminal(&bundle.spec))?;
    Making { session, parsed, command: "create" }.make(bundle, &console)?;
    Ok(0)
}

/// `start`.
pub(crate) fn start(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    if container.is_frozen() {
        // It could not answer.
        return Err(Error::Status { verb: "start", id: container.id().to_owned(), status: Status::Paused.name() });
    }
    start_waiting(session, &container)?;
    Ok(0)
}

/// `run`.
pub(crate) fn run(session: &Session, parsed: &Parsed) -> Result<u8> {
    let bundle = bundle::read(parsed.value("bundle"))?;
    let terminal = wants_terminal(&bundle.spec);
    if parsed.on("detach") {
        let console = Console::of_detached("run", parsed, terminal)?;
        let (container, _) = Making { session, parsed, command: "run" }.make(bundle, &console)?;
        return start_waiting(session, &container).map(|()| 0).inspect_err(|_| abandon(session, &container));
    }
    let console = Console::of_attached("run", parsed, terminal)?;
    let (container, created) = Making { session, parsed, command: "run" }.make(bundle, &console)?;
    let attendance = relay::Attendance::begin(created.streams.terminal, !parsed.on("no-subreaper"))?;
    let ended = start_waiting(session, &container)
        .and_then(|()| attendance.attend(&created.process))
        .inspect_err(|_| abandon(session, &container));
    let code = ended?;
    if !parsed.on("keep") {
        ending::bury(session, &container)?;
    }
    Ok(code)
}

/// A container that could not be started is gone, like one that could not be made.
fn abandon(session: &Session, container: &Container) {
    if let Some(process) = container.process() {
        // What cannot be ended or removed is told below.
        let _ = process.kill(9);
        let _ = process.wait();
    }
    if let Err(error) = ending::bury(session, container) {
        session.report.warning(&format!("clean up container {}: {error}", container.id()));
    }
}

fn wants_terminal(spec: &Spec) -> bool {
    spec.process.as_ref().is_some_and(|process| process.terminal)
}

/// Executes the program of a container that waits for it.
fn start_waiting(session: &Session, container: &Container) -> Result<()> {
    let record = &container.record;
    let Ok(door) = Channel::connect(&container.door()) else {
        let status = match container.status() {
            // It went away right now.
            Status::Created => Status::Stopped,
            status => status,
        };
        return Err(Error::Status { verb: "start", id: container.id().to_owned(), status: status.name() });
    };
    let agent =
        if record.has_agent { Agent::of(&record.identity, &container.spec()?, "created", record.pid)? } else { None };
    launch::start(&door, record.pid, agent.as_ref())?;
    // Left behind, it would only make the next look take longer.
    let _ = std::fs::remove_file(container.door());
    session.report.debug(&format!("container {}: process {} executes its program", container.id(), record.pid));
    for error in hook::run_each("poststart", &record.hooks.poststart, &state(record, "running")) {
        if poststart_may_fail(&record.oci_version) {
            session.report.warning(&error.to_string());
            continue;
        }
        if let Some(process) = container.process() {
            // It may have ended by itself.
            let _ = process.kill(9);
        }
        return Err(error.into());
    }
    Ok(())
}

/// Whether a container goes on when such a hook has failed: since version 1.2.1 of the specification it is stopped.
fn poststart_may_fail(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let mut number = || numbers.next().unwrap_or(0);
    (number(), number(), number()) < (1, 2, 1)
}

/// The state of a container as hooks are told it.
pub(crate) fn state<'a>(record: &'a Record, status: &'a str) -> State<'a> {
    State {
        oci_version: &record.oci_version,
        id: &record.identity.id,
        status,
        pid: if status == "stopped" { 0 } else { record.pid },
        bundle: &record.identity.bundle,
        annotations: &record.annotations,
    }
}

/// The number of descriptors behind the standard streams that the program gets.
pub(crate) fn inherited(command: &'static str, parsed: &Parsed) -> Result<u32> {
    let asked: u32 = parsed.number(command, "preserve-fds")?.unwrap_or(0);
    let activation: u32 = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = asked.saturating_add(activation);
    for number in (3..).take(count as usize) {
        if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
            let what = format!("--preserve-fds {asked}: descriptor {number} is not open");
            return Err(Error::Usage { command, what });
        }
    }
    Ok(count)
}

/// Tells a program about the sockets it inherits.
pub(crate) fn announce_sockets(process: &mut Process) {
    if let Ok(count) = std::env::var("LISTEN_FDS") {
        process.env.push(format!("LISTEN_FDS={count}"));
        process.env.push("LISTEN_PID=1".into());
        if let Ok(names) = std::env::var("LISTEN_FDNAMES") {
            process.env.push(format!("LISTEN_FDNAMES={names}"));
        }
    }
}

/// One creation.
struct Making<'a> {
    session: &'a Session,
    parsed: &'a Parsed,
    command: &'static str,
}

impl Making<'_> {
    fn make(&self, bundle: Bundle, console: &Console) -> Result<(Container, Created)> {
        let (spec, scope) = self.complete(bundle.spec)?;
        seal_against(spec.process.as_ref())?;
        let inherited = inherited(self.command, self.parsed)?;
        let directory = self.session.store.reserve(self.parsed.id())?;
        let identity = Identity { id: self.parsed.id().to_owned(), bundle: bundle.path.display().to_string() };
        let made = self.launch(&directory, &identity, &spec, inherited, scope.as_ref()).and_then(|created| {
            let unit = scope.as_ref().map(|scope| scope.unit.clone()).unwrap_or_default();
            let record = Record { unit, ..record(identity, &spec, &created) };
            let container = Container { directory: directory.clone(), record };
            match self.hand_over(&container, &created, &bundle.text, console) {
                Ok(()) => Ok((container, created)),
                Err(error) => {
                    // Told is the first failure; the process that nobody knows of must not stay.
                    let _ = created.process.kill(9);
                    let _ = created.process.wait();
                    let _ = place::clear(&container.record.cgroup);
                    Err(error)
                }
            }
        });
        // What cannot be given back stays for `delete --force`.
        made.inspect_err(|_| drop(record::forget_half_made(&directory)))
    }

    /// The description with what is told elsewhere, and the scope its group is made by.
    fn complete(&self, mut spec: Spec) -> Result<(Spec, Option<Scope>)> {
        let linux = spec.linux.get_or_insert_default();
        let (path, scope) = place::find(self.session, self.parsed.id(), &linux.cgroups_path)?;
        linux.cgroups_path = path;
        if linux.intel_rdt.is_some() {
            let what = "linux.intelRdt".to_owned();
            return Err(Error::Unsupported { what, hint: "put the container into a resctrl group from a hook" });
        }
        if let Some(name) = linux.net_devices.keys().next() {
            let what = format!("linux.netDevices ({name})");
            return Err(Error::Unsupported { what, hint: "move the interface from a createRuntime hook" });
        }
        self.drop_what_the_kernel_lacks(&mut spec)?;
        spec.process.iter_mut().for_each(announce_sockets);
        Ok((spec, scope))
    }

    /// Labels, profiles and capabilities that cannot be given are left out, with a warning: a security module that the
    /// kernel does not have guards nothing, and a capability that is not had is one less.
    fn drop_what_the_kernel_lacks(&self, spec: &mut Spec) -> Result<()> {
        let report = &self.session.report;
        let mount_label = spec.linux.iter_mut().map(|linux| &mut linux.mount_label);
        let process_label = spec.process.iter_mut().map(|process| &mut process.selinux_label);
        for label in mount_label.chain(process_label).filter(|label| !label.is_empty() && !host::has_selinux()) {
            report.warning(&format!("this kernel has no SELinux: label {label} is ignored"));
            label.clear();
        }
        let Some(process) = &mut spec.process else { return Ok(()) };
        if !process.apparmor_profile.is_empty() && !host::has_apparmor() {
            report.warning(&format!("this kernel has no AppArmor: profile {} is ignored", process.apparmor_profile));
            process.apparmor_profile.clear();
        }
        for words in host::drop_unavailable(process)? {
            report.warning(&words);
        }
        Ok(())
    }

    fn launch(
        &self,
        directory: &std::path::Path,
        identity: &Identity,
        spec: &Spec,
        inherited: u32,
        scope: Option<&Scope>,
    ) -> Result<Created> {
        if let Some(linux) = &spec.linux {
            place::expect_free(&linux.cgroups_path)?;
        }
        record::note_group(directory, spec)?;
        let door = Listener::bind(&directory.join("door"), 0o600)?;
        let root = spec.root.as_ref().map(|root| PathBuf::from(&root.path)).unwrap_or_default();
        let keeper = match scope {
            Some(scope) => {
                let note = directory.join(record::UNIT);
                Some(Box::new(systemd::Order::of(scope, &identity.id, spec, note)?) as Box<dyn Keeper>)
            }
            None => None,
        };
        let options = LaunchOptions {
            stdio: stdio(spec.process.as_ref())?,
            rootfs: RootfsPlan::Directory { path: root },
            init: false,
            identity: identity.clone(),
            apart: Some(Apart {
                door,
                inherited,
                no_pivot: self.parsed.on("no-pivot"),
                keep_keyring: self.parsed.on("no-new-keyring"),
                keeper,
            }),
        };
        let witness = SingleThreaded::check()?;
        Ok(launch::prepare(witness, None, spec, options)?.settle(identity, spec)?)
    }

    /// Remembers the container and tells those who asked for it.
    fn hand_over(&self, container: &Container, created: &Created, text: &[u8], console: &Console) -> Result<()> {
        container.write(text)?;
        console.send(created.streams.terminal.as_ref())?;
        console::send_pidfd(self.parsed, created.process.pidfd())?;
        console::write_pid_file(self.parsed, created.process.pid())
    }
}

/// A process that may trace others could take hold of this binary while it enters the container: it then runs from a
/// mount that nobody can write to.
pub(crate) fn seal_against(process: Option<&Process>) -> Result<()> {
    let sets = process.and_then(|process| process.capabilities.as_ref());
    if sets.is_some_and(|sets| sets.bounding.iter().any(|name| name == "CAP_SYS_PTRACE")) {
        hako_sys::process::seal_own_binary()?;
    }
    Ok(())
}

fn record(identity: Identity, spec: &Spec, created: &Created) -> Record {
    let pid = created.process.pid();
    let linux = spec.linux.clone().unwrap_or_default();
    let hooks = spec.hooks.clone().unwrap_or_default();
    Record {
        oci_version: spec.oci_version.clone(),
        identity,
        pid,
        started: hako_sys::proc::start_time(pid).unwrap_or(0),
        created: calendar::now(),
        rootfs: spec.root.as_ref().map(|root| root.path.clone()).unwrap_or_default(),
        cgroup: created.group.path().to_owned(),
        unit: String::new(),
        own_pids: linux.namespaces.iter().any(|one| one.kind == NamespaceKind::Pid && one.path.is_empty()),
        has_agent: linux.seccomp.is_some_and(|filter| !filter.listener_path.is_empty()),
        hooks: Hooks { poststart: hooks.poststart, poststop: hooks.poststop, ..Hooks::default() },
        shares_mounts: !linux.namespaces.iter().any(|one| one.kind == NamespaceKind::Mount),
        annotations: spec.annotations.clone(),
    }
}

/// The standard streams of a process: a terminal of the container's, or this process's own.
pub(crate) fn stdio(process: Option<&Process>) -> Result<Stdio> {
    if let Some(process) = process.filter(|process| process.terminal) {
        return Ok(Stdio::Terminal { size: process.console_size });
    }
    let own = |fd: std::os::fd::BorrowedFd<'_>| -> Result<OwnedFd> {
        fd.try_clone_to_owned().map_err(Error::file("duplicate", "standard stream"))
    };
    Ok(Stdio::Fds {
        stdin: own(std::io::stdin().as_fd())?,
        stdout: own(std::io::stdout().as_fd())?,
        stderr: own(std::io::stderr().as_fd())?,
    })
}
