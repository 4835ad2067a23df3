//! `exec`: a further process in a container.

use std::io::Read;
use std::path::Path;

use hako_runtime::agent::Agent;
use hako_runtime::exec::{self, Executed, Target};
use hako_runtime::spec::{Capabilities, Process, Spec, User};
use hako_sys::cgroup::{Group, Version};
use hako_sys::process::SingleThreaded;

use crate::arguments::Parsed;
use crate::console::{self, Console};
use crate::creation::{announce_sockets, inherited, seal_against, stdio};
use crate::error::{Error, Result};
use crate::record::{Container, Status};
use crate::{Session, bundle, place, relay};

/// More than any description of a process.
const LIMIT: u64 = 4 << 20;

/// `exec`.
pub(crate) fn exec(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    let spec = container.spec()?;
    let process = process(parsed, &spec)?;
    let console = if parsed.on("detach") {
        Console::of_detached("exec", parsed, process.terminal)?
    } else {
        Console::of_attached_or_sent(parsed)
    };
    seal_against(Some(&process))?;
    let executed = launch(parsed, &container, &spec, &process)?;
    let told = tell(parsed, &console, &executed);
    if let Err(error) = told {
        // Nobody would know of it.
        let _ = executed.process.kill(9);
        let _ = executed.process.wait();
        return Err(error);
    }
    if parsed.on("detach") {
        return Ok(0);
    }
    let terminal = executed.streams.terminal.filter(|_| !console.is_sent());
    relay::Attendance::begin(terminal, true)?.attend(&executed.process)
}

fn tell(parsed: &Parsed, console: &Console, executed: &Executed) -> Result<()> {
    console.send(executed.streams.terminal.as_ref())?;
    console::send_pidfd(parsed, executed.process.pidfd())?;
    console::write_pid_file(parsed, executed.process.pid())
}

fn launch(parsed: &Parsed, container: &Container, spec: &Spec, process: &Process) -> Result<Executed> {
    let status = container.status();
    let first = match status {
        Status::Stopped => return Err(Error::NotRunning { id: container.id().to_owned() }),
        Status::Paused if !parsed.on("ignore-paused") => {
            return Err(Error::Paused { id: container.id().to_owned() });
        }
        _ => container.process().ok_or_else(|| Error::NotRunning { id: container.id().to_owned() })?,
    };
    let Place { group, elsewhere } = place(parsed, container)?;
    if !parsed.on("ignore-paused") {
        place::expect_thawed(&group)?;
    }
    let linux = spec.linux.as_ref();
    let agent = Agent::of(&container.record.identity, spec, status.name(), container.record.pid)?;
    let target = Target {
        process: &first,
        group: &group,
        elsewhere: &elsewhere,
        seccomp: linux.and_then(|linux| linux.seccomp.as_ref()),
        personality: linux.and_then(|linux| linux.personality.as_ref()),
        agent: agent.as_ref(),
        apart: true,
        inherited: inherited("exec", parsed)?,
    };
    let witness = SingleThreaded::check()?;
    if let Some(affinity) = process.exec_cpu_affinity.as_ref().filter(|affinity| !affinity.initial.is_empty()) {
        hako_runtime::exec::bind_before_placing(&affinity.initial)?;
    }
    Ok(exec::spawn(witness, &target, process, stdio(Some(process))?)?)
}

/// Where a process is put.
struct Place {
    group: Group,
    /// By controller.
    elsewhere: Vec<(String, Group)>,
}

/// The container's group, or groups below it that are named: one, or on v1 one for each of some controllers.
fn place(parsed: &Parsed, container: &Container) -> Result<Place> {
    let mut place = Place { group: container.group()?, elsewhere: Vec::new() };
    for named in parsed.all("cgroup") {
        match named.split_once(':') {
            None => place.group = group_below(container, named, None)?,
            Some((controllers, below)) => {
                for controller in controllers.split(',') {
                    let group = group_below(container, below, Some(controller))?;
                    place.elsewhere.push((controller.to_owned(), group));
                }
            }
        }
    }
    Ok(place)
}

fn group_below(container: &Container, below: &str, controller: Option<&str>) -> Result<Group> {
    let refused = |what: String| Error::Usage { command: "exec", what: format!("--cgroup: {what}") };
    let below = below.trim_matches('/');
    if below.split('/').any(|part| part == "..") {
        return Err(refused(format!("{below} is not a sub cgroup path: it must lie below the container's group")));
    }
    let group = Group::open(&format!("{}/{below}", container.record.cgroup))?;
    if let Some(controller) = controller {
        if group.version() == Version::V2 {
            let what = format!("{controller}:{below}: on cgroup v2 a process is in one group for all controllers");
            return Err(refused(what));
        }
        if !group.has_hierarchy_of(controller) {
            return Err(refused(format!("unknown controller {controller:?}")));
        }
    }
    let missing = match controller {
        Some(controller) => group.directory(controller).filter(|directory| !directory.is_dir()),
        None => group.lacking(),
    };
    missing.map_or(Ok(group), |directory| {
        let door = directory.join("cgroup.procs");
        Err(refused(format!("adding pid to {}: no such file or directory", door.display())))
    })
}

/// The process: from a file, or the container's own with what the flags and words say.
fn process(parsed: &Parsed, spec: &Spec) -> Result<Process> {
    let mut process = match parsed.value("process") {
        Some(path) => bundle::parse(&read(Path::new(path))?, Path::new(path))?,
        None => of_flags(parsed, spec)?,
    };
    if !process.cwd.starts_with('/') {
        let what = format!("the working directory {:?} is not an absolute path", process.cwd);
        return Err(Error::Usage { command: "exec", what });
    }
    announce_sockets(&mut process);
    Ok(process)
}

/// Reads the caller's own file, which may be a pipe.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::file("open", path))?;
    file.take(LIMIT).read_to_end(&mut text).map_err(Error::file("read", path))?;
    Ok(text)
}

fn of_flags(parsed: &Parsed, spec: &Spec) -> Result<Process> {
    let args = parsed.words[1..].to_vec();
    if args.is_empty() {
        return Err(Error::Usage { command: "exec", what: "there is no program to execute, and no --process".into() });
    }
    let mut process = spec.process.clone().unwrap_or_default();
    process = Process { args, terminal: parsed.on("tty"), console_size: None, ..process };
    process.env.extend(parsed.all("env").map(str::to_owned));
    if let Some(cwd) = parsed.value("cwd") {
        process.cwd = cwd.to_owned();
    }
    if let Some(user) = parsed.value("user") {
        process.user = user_of(user, &process.user)?;
    }
    for gid in parsed.all("additional-gids") {
        let wrong = || Error::Usage { command: "exec", what: format!("--additional-gids {gid}: not a number") };
        process.user.additional_gids.push(gid.parse().map_err(|_| wrong())?);
    }
    if let Some(label) = parsed.value("process-label") {
        process.selinux_label = label.to_owned();
    }
    if let Some(profile) = parsed.value("apparmor") {
        process.apparmor_profile = profile.to_owned();
    }
    process.no_new_privileges |= parsed.on("no-new-privs");
    add_capabilities(&mut process, parsed);
    Ok(process)
}

fn user_of(text: &str, usual: &User) -> Result<User> {
    let wrong = || Error::Usage { command: "exec", what: format!("--user {text}: it must be UID or UID:GID") };
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let gid = gid.map(str::parse).transpose().map_err(|_| wrong())?.unwrap_or(usual.gid);
    Ok(User { uid: uid.parse().map_err(|_| wrong())?, gid, ..usual.clone() })
}

/// Added capabilities are in every set but those a program inherits from an unprivileged one, unless it may inherit them.
fn add_capabilities(process: &mut Process, parsed: &Parsed) {
    for name in parsed.all("cap") {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        // It can be ambient only if the description says that it may be inherited.
        let inherited = sets.inheritable.iter().any(|known| known == name);
        let ambient = inherited.then_some(&mut sets.ambient);
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted].into_iter().chain(ambient) {
            if !set.iter().any(|known| known == name) {
                set.push(name.to_owned());
            }
        }
    }
}
