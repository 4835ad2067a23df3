//! Starting the daemon on demand. The client binds the socket itself and hands it over listening, so that its own
//! request, and everybody else's, waits in the kernel's queue until the daemon takes it: no request is lost, nothing polls.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use hako_sys::file::Lock;
use hako_sys::process::Program;

use crate::endpoint::Roots;
use crate::{Error, Result};

/// The first descriptor of the socket activation protocol.
const FIRST_FD: i32 = 3;

/// How much of the log is quoted when the daemon did not start.
const QUOTED: usize = 2048;

/// Environment the daemon inherits from whoever starts it; everything else is that person's affair.
const INHERITED: &[&str] =
    &["PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "HAKO_DAEMON_ARGS"];

/// Makes sure that somebody listens: whoever gets the lock first binds the socket and starts the daemon.
/// Says whether that was this process.
pub(crate) fn start(roots: &Roots) -> Result<bool> {
    let exec_root = roots.exec_root();
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&exec_root).map_err(failed("create", &exec_root))?;
    let _lock = Lock::exclusive(&exec_root.join("start.lock"))
        .map_err(|cause| Error::Start { action: "lock".to_owned(), cause: cause.to_string() })?;
    let socket = roots.socket();
    if UnixStream::connect(&socket).is_ok() {
        return Ok(false);
    }
    let listener = listen(&socket)?;
    spawn(roots, &listener).inspect_err(|_| {
        // Nobody will ever accept on it: the next client must not wait there.
        let _ = std::fs::remove_file(&socket);
    })?;
    Ok(true)
}

fn listen(socket: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed("remove", socket)(cause)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed("bind", socket))?;
    // The daemon gives it its group; until then it is its owner's alone.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(failed("restrict", socket))?;
    Ok(listener)
}

fn spawn(roots: &Roots, listener: &UnixListener) -> Result<()> {
    let log_path = roots.exec_root().join("daemon.log");
    let log = std::fs::File::create(&log_path).map_err(failed("create", &log_path))?;
    let nothing = std::fs::File::open("/dev/null").map_err(failed("open", Path::new("/dev/null")))?;
    let refused = |cause: hako_sys::Error| Error::Start { action: "run".to_owned(), cause: cause.to_string() };
    let mut program = Program::own("hako")
        .and_then(|program| program.args(arguments(roots)))
        .and_then(|program| program.env("LISTEN_FDS", OsStr::new("1")))
        .map_err(refused)?
        .fd(nothing.as_fd(), 0)
        .fd(log.as_fd(), 1)
        .fd(log.as_fd(), 2)
        .fd(listener.as_fd(), FIRST_FD)
        .session();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            program = program.env(name, &value).map_err(refused)?;
        }
    }
    program.spawn().map(drop).map_err(refused)
}

fn arguments(roots: &Roots) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["daemon".into()];
    if let Some(root) = &roots.root {
        arguments.push("--root".into());
        arguments.push(root.into());
    }
    arguments
}

/// The end of the log of a daemon that did not start, after a colon.
pub(crate) fn last_words(roots: &Roots) -> String {
    let log = std::fs::read(roots.exec_root().join("daemon.log")).unwrap_or_default();
    let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(QUOTED)..]).trim().to_owned();
    if tail.is_empty() { tail } else { format!(": {tail}") }
}

fn failed(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let action = format!("{action} {}", path.display());
    move |cause| Error::Start { action, cause: cause.to_string() }
}
