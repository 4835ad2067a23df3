//! The last steps of a stage: it becomes the container's user and executes the program.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::caps::Set;
use hako_sys::fdpass::Channel;
use hako_sys::{own, seccomp as kernel};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::identity::{self, Sets};
use crate::order::{self, Answer, Parcel};
use crate::seccomp::Filter;
use crate::spec::{Linux, Personality, Process, Seccomp};
use crate::{LaunchError, priority};

/// Input, output and error, or a terminal.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
}

/// A program about to be executed.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) process: &'a Process,
    pub(crate) seccomp: Option<&'a Seccomp>,
    /// The default filter as compiled ahead for a bounding set.
    pub(crate) ready: Option<(Set, Filter)>,
    pub(crate) procfs: OwnedFd,
    pub(crate) standard: Streams,
    /// The container's Linux section, for a first process.
    pub(crate) linux: Option<&'a Linux>,
    /// The execution domain.
    pub(crate) personality: Option<&'a Personality>,
    /// Whether the process dies with its parent.
    pub(crate) bound: bool,
    /// Descriptors behind the standard streams that the program inherits.
    pub(crate) inherited: u32,
}

/// A program and its environment, found and ready, and what is put in force right before execution.
#[derive(Debug)]
pub(crate) struct Found {
    path: String,
    environment: Vec<String>,
    sets: Sets,
    filter: Option<Filter>,
}

impl Start<'_> {
    /// Puts on all but filter and privileges: streams, limits, user, directory; and finds the program.
    pub(crate) fn take_on(&self) -> Result<Found, LaunchError> {
        let process = self.process;
        let sets = Sets::of(process.capabilities.as_ref())?;
        // Compiled before privileges go, while a bad profile can still be told.
        let filter = self.filter(&sets)?;
        self.take_streams()?;
        identity::limit(process, &self.procfs)?;
        priority::take_on(process, self.linux, self.personality)?;
        label(process, &self.procfs)?;
        // Whoever describes the process may put it where its user could not go by itself; what only the user can enter
        // (on a network's file system, say) is entered afterwards.
        let entered = enter_directory(&process.cwd).is_ok();
        identity::change_user(process, &sets)?;
        // The change made the process visible again to others of the same user.
        own::hide()?;
        rustix::process::umask(Mode::from_raw_mode(process.user.umask.unwrap_or(0o022)));
        if self.bound {
            own::die_with_parent()?;
        }
        if !entered {
            enter_directory(&process.cwd)?;
        }
        let environment = environment(process);
        let path = find(process, &environment)?;
        refuse_own_binary(&path, &self.procfs)?;
        Ok(Found { path, environment, sets, filter })
    }

    /// Puts filter and privileges in force. An agent's descriptor goes out over the channel.
    pub(crate) fn seal(&self, found: &Found, channel: &Channel) -> Result<(), LaunchError> {
        own::close_rest_on_exec(self.inherited)?;
        if self.process.no_new_privileges {
            own::renounce_new_privileges()?;
        }
        match &found.filter {
            Some(filter) if filter.notifies => {
                let notifications = kernel::install_notifying(&filter.program, filter.flags)?;
                let mut parcel = Parcel::default();
                parcel.add(notifications);
                order::send(channel, &Answer::Filtered, &parcel)?;
            }
            Some(filter) => kernel::install(&filter.program, filter.flags)?,
            None => {}
        }
        identity::drop_privileges(&found.sets)
    }

    /// Seals and executes. Returns only on failure.
    pub(crate) fn execute(&self, found: &Found, channel: &Channel) -> Result<i32, LaunchError> {
        self.seal(found, channel)?;
        Err(found.execute(&self.process.args))
    }

    fn filter(&self, sets: &Sets) -> Result<Option<Filter>, LaunchError> {
        match (self.seccomp, &self.ready) {
            (None, _) => Ok(None),
            (Some(wanted), Some((bounding, ready))) if wanted.builtin && *bounding == sets.bounding => {
                Ok(Some(ready.clone()))
            }
            (Some(wanted), _) => crate::seccomp::compile(wanted, sets.bounding).map(Some),
        }
    }

    fn take_streams(&self) -> Result<(), LaunchError> {
        let owner = rustix::fs::Uid::from_raw(self.process.user.uid);
        if let Some(terminal) = &self.standard.terminal {
            own::control_terminal(terminal.as_fd())?;
            for number in 0..=2 {
                own::set_standard_stream(terminal.as_fd(), number)?;
            }
            return give(terminal, owner);
        }
        for (number, fd) in self.standard.fds.iter().enumerate() {
            let number = i32::try_from(number).unwrap_or(0);
            match own_null(fd) {
                Some(null) => own::set_standard_stream(null.as_fd(), number)?,
                None => {
                    own::set_standard_stream(fd.as_fd(), number)?;
                    give(fd, owner)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a descriptor is the null device.
fn is_null(fd: &OwnedFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3)
    })
}

/// The container's own null device, for a stream that is the host's: nothing of the host's mounts stays open, and the
/// container can be checkpointed.
fn own_null(fd: &OwnedFd) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let open = || rustix::fs::open("/dev/null", flags, Mode::empty()).ok();
    is_null(fd).then(open).flatten().filter(is_null)
}

/// The streams belong to the user, so that `/dev/stdout` can be opened. The null device stays everybody's, and what
/// cannot be given (a client's socket, a read-only file system) is left.
fn give(fd: &OwnedFd, owner: rustix::fs::Uid) -> Result<(), LaunchError> {
    let stat = rustix::fs::fstat(fd).map_err(|error| LaunchError::setup("look at standard stream", error))?;
    if is_null(fd) || stat.st_uid == owner.as_raw() {
        return Ok(());
    }
    match rustix::fs::fchown(fd, Some(owner), None) {
        Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => Ok(()),
        Err(error) => Err(LaunchError::setup("give standard stream to user", error)),
    }
}

/// Tells the security modules what the program is to run under.
fn label(process: &Process, procfs: &OwnedFd) -> Result<(), LaunchError> {
    if !process.apparmor_profile.is_empty() {
        let value = format!("exec {}", process.apparmor_profile);
        // The module's own file where there is one; the shared file belongs to whichever module is first.
        let own_file =
            rustix::fs::accessat(procfs, "self/attr/apparmor/exec", Access::EXISTS, AtFlags::empty()).is_ok();
        let path = if own_file { "self/attr/apparmor/exec" } else { "self/attr/exec" };
        identity::write(procfs, path, &value).map_err(|error| {
            LaunchError::setup(format!("apply apparmor profile {}", process.apparmor_profile), error)
        })?;
    }
    if !process.selinux_label.is_empty() {
        identity::write(procfs, "self/attr/exec", &process.selinux_label)?;
    }
    Ok(())
}

/// Changes directory and makes sure that the kernel sees it inside the root: a descriptor left open by mistake must
/// not become a way out.
fn enter_directory(path: &str) -> Result<(), LaunchError> {
    let path = if path.is_empty() { "/" } else { path };
    let step = || format!("chdir to cwd (\"{path}\") set in config.json failed");
    rustix::process::chdir(path).map_err(|error| LaunchError::setup(step(), cause_of(error)))?;
    match own::working_directory() {
        Ok(Some(_)) => Ok(()),
        _ => Err(LaunchError::setup(
            step(),
            "current working directory is outside of container mount namespace root -- possible container breakout detected",
        )),
    }
}

/// The environment, with HOME from the container's user list if it is not set.
fn environment(process: &Process) -> Vec<String> {
    let mut environment = each_name_once(&process.env);
    if !environment.iter().any(|pair| pair.starts_with("HOME=") && pair.len() > 5) {
        environment.retain(|pair| !pair.starts_with("HOME="));
        let home = home_of(process.user.uid).unwrap_or_else(|| "/".to_owned());
        environment.push(format!("HOME={home}"));
    }
    environment
}

/// Variables as they were set last: programs differ in which of two they take.
fn each_name_once(pairs: &[String]) -> Vec<String> {
    let name = |pair: &String| pair.split_once('=').map_or(pair.clone(), |(name, _)| name.to_owned());
    let last: std::collections::HashMap<String, usize> =
        pairs.iter().enumerate().map(|(place, pair)| (name(pair), place)).collect();
    let kept = pairs.iter().enumerate().filter(|(place, pair)| last[&name(pair)] == *place);
    kept.map(|(_, pair)| pair.clone()).collect()
}

fn home_of(uid: u32) -> Option<String> {
    let users = hako_sys::file::read_limited(Path::new("/etc/passwd"), 1 << 20).ok()?;
    let users = String::from_utf8_lossy(&users).into_owned();
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let found = fields.len() >= 6 && fields[2].parse() == Ok(uid) && !fields[5].is_empty();
        found.then(|| fields[5].to_owned())
    })
}

/// Finds the program as a shell would, in the words of Docker's runtime.
fn find(process: &Process, environment: &[String]) -> Result<String, LaunchError> {
    let Some(program) = process.args.first().filter(|program| !program.is_empty()) else {
        let program = process.args.first().cloned().unwrap_or_default();
        return Err(LaunchError::NotFound { program, cause: "executable file not found in $PATH".into() });
    };
    if program.contains('/') {
        return match examine(program) {
            Ok(()) => Ok(program.clone()),
            Err(Errno::NOENT) => Err(not_found(program, &format!("stat {program}: no such file or directory"))),
            Err(Errno::NOTDIR) => {
                let cause = crate::error::explained(&format!("stat {program}: not a directory"));
                Err(not_executable(program, &cause))
            }
            Err(errno) => Err(not_executable(program, &cause_of(errno))),
        };
    }
    let path = environment.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("");
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{}/{program}", directory.trim_end_matches('/'));
        if examine(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    Err(not_found(program, "executable file not found in $PATH"))
}

/// A link to `/proc/self/exe` leads, until execution, to the engine's own binary. (A copy of it that was mounted into
/// the container on purpose is on another mount, and may be executed.)
fn refuse_own_binary(path: &str, procfs: &OwnedFd) -> Result<(), LaunchError> {
    let identity = |directory: std::os::fd::BorrowedFd<'_>, path: &str| {
        let flags = StatxFlags::INO | StatxFlags::MNT_ID;
        rustix::fs::statx(directory, path, AtFlags::empty(), flags).map(|found| (found.stx_mnt_id, found.stx_ino)).ok()
    };
    let own = identity(procfs.as_fd(), "self/exe");
    if own.is_some() && own == identity(CWD, path) {
        return Err(not_executable(path, "permission denied"));
    }
    Ok(())
}

/// Whether a path is something this user may execute.
fn examine(path: &str) -> rustix::io::Result<()> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(Errno::ISDIR);
    }
    if stat.st_mode & 0o111 == 0 {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn not_found(program: &str, cause: &str) -> LaunchError {
    LaunchError::NotFound { program: program.to_owned(), cause: cause.to_owned() }
}

fn not_executable(program: &str, cause: &str) -> LaunchError {
    LaunchError::NotExecutable { program: program.to_owned(), cause: cause.to_owned() }
}

/// The kernel's reasons in the words people know.
fn cause_of(errno: Errno) -> String {
    match errno {
        Errno::ACCESS => "permission denied".into(),
        Errno::PERM => "operation not permitted".into(),
        Errno::NOENT => "no such file or directory".into(),
        Errno::NOTDIR => "not a directory".into(),
        Errno::ISDIR => "is a directory".into(),
        Errno::NOEXEC => "exec format error".into(),
        Errno::LOOP => "too many levels of symbolic links".into(),
        Errno::TOOBIG => "argument list too long".into(),
        Errno::NOMEM => "cannot allocate memory".into(),
        errno => std::io::Error::from(errno).to_string(),
    }
}

impl Found {
    /// The program's environment.
    pub(crate) fn environment(&self) -> &[String] {
        &self.environment
    }

    /// Executes. Returns only on failure.
    pub(crate) fn execute(&self, arguments: &[String]) -> LaunchError {
        let error = own::execute(OsStr::new(&self.path), arguments, &self.environment);
        let program = arguments.first().map_or("", String::as_str);
        match error.errno() {
            Some(errno @ Errno::NOENT) => not_found(program, &format!("exec {program}: {}", cause_of(errno))),
            Some(errno) => not_executable(program, &cause_of(errno)),
            None => not_executable(program, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_variables_counts() {
        let given = ["HOME=/x", "ONE=two", "odd", "ONE=", "HOME="].map(str::to_owned);
        assert_eq!(each_name_once(&given), ["odd", "ONE=", "HOME="]);
    }
}
