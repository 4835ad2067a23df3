//! The program CRIU, which saves processes to disk and brings them back: where it is, and what it says.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// More of a log than is read.
const LIMIT: u64 = 16 << 20;

/// The program of this host; none where it is not installed.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|place| place.join("criu")).find(|program| program.is_file())
}

/// The first version that can leave the network alone while it works.
const LEAVES_NETWORK: (u32, u32) = (3, 19);

/// Whether a program can be told to leave the network alone.
pub(crate) fn leaves_network(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)) >= Some(LEAVES_NETWORK))
}

/// The version in what a program says of itself.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.lines().find_map(|line| line.strip_prefix("Version:"))?.trim().split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// CRIU about to be run.
#[derive(Debug)]
pub struct Criu {
    command: Command,
    /// Where it writes what it does.
    log: PathBuf,
}

impl Criu {
    /// Will do `verb` with the image in `images`, working and logging in `work`.
    pub fn new(program: &Path, verb: &str, images: &Path, work: &Path) -> Self {
        let log = work.join(format!("{verb}.log"));
        let mut command = Command::new(program);
        command.arg(verb).arg("--images-dir").arg(images).arg("--work-dir").arg(work).arg("--log-file").arg(&log);
        command.stdin(Stdio::null());
        Self { command, log }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// The command, to be run in another way.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it; the error is what it says.
    pub fn run(mut self) -> Result<(), String> {
        let output = self.command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.complaint(&String::from_utf8_lossy(&output.stderr)))
    }

    /// Why it failed: it says little but to its log.
    pub(crate) fn complaint(&self, said: &str) -> String {
        let logged = hako_sys::file::read_limited(&self.log, LIMIT).unwrap_or_default();
        let errors = errors(&String::from_utf8_lossy(&logged));
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("failed without a word");
        let what = if errors.is_empty() { last.trim().to_owned() } else { errors.join("; ") };
        format!("{what} (its log is {})", self.log.display())
    }
}

/// What a log says went wrong.
fn errors(logged: &str) -> Vec<String> {
    let error = |line: &str| Some(line.split_once("Error ")?.1.split_once("): ")?.1.trim().to_owned());
    // That a limit of its own cannot be raised is of no consequence.
    let matters = |what: &String| !what.ends_with("FAILED.") && !what.starts_with("rlimit: ");
    logged.lines().filter_map(error).filter(matters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("Version: 4.2.1\n"), Some((4, 2)));
        assert_eq!(version("Version: 3.17.1\nGitID: v3\n"), Some((3, 17)));
        assert_eq!(version("criu"), None);
        assert!(None < Some(LEAVES_NETWORK));
    }

    #[test]
    fn a_log_says_what_went_wrong() {
        let log = "(00.05) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n\
                   (00.06) Warn  (criu/x.c:1): something\n\
                   (00.07)      1: Error (criu/mount-v2.c:634): mnt-v2: Can't stat mountpoint /x: No such file\n\
                   (00.08) Error (criu/cr-restore.c:2331): Restoring FAILED.\n";
        assert_eq!(errors(log), ["mnt-v2: Can't stat mountpoint /x: No such file"]);
        assert!(errors("fine\n").is_empty());
    }
}
