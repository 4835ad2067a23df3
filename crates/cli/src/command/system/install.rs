//! `system install` and `system uninstall`: what a machine needs so that hako is there after every boot and is found where
//! clients look for docker. Every file that is written says so in its first lines; only such files are taken away again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use crate::failure::{Failure, path_failure};
use crate::flags::{Flag, Matches, switch, text};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};
use crate::{completion, manual, output};

const DESTINATION: Flag = text("destdir", "Install below this directory, for packages; nothing is enabled then");

pub(crate) static INSTALL: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        DESTINATION,
        switch("no-docker-socket", "Leave /run/docker.sock alone"),
        switch("no-enable", "Do not enable and start the socket"),
    ]],
    examples: &[
        ("hako system install", "Units, socket, completions and manual pages; docker's clients find hako"),
        ("hako system uninstall", "Take it all back"),
    ],
    ..Command::new("Install systemd units, docker's socket, completions and manual pages", run!(install))
};

pub(crate) static UNINSTALL: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[DESTINATION]],
    ..Command::new("Remove what \"hako system install\" installed", run!(uninstall))
};

/// By this a file is known to be ours.
const MARK: &str = "Installed by \"hako system install\"";

const SOCKET: &str = "hako.socket";
const SERVICE: &str = "hako.service";

/// Every file, with what it says.
fn files(program: &Path, docker_socket: bool) -> Vec<(PathBuf, String)> {
    let units = Path::new("/etc/systemd/system");
    let mut all = vec![
        (units.join(SOCKET), socket(docker_socket)),
        (units.join(SERVICE), service(program)),
        ("/usr/local/share/bash-completion/completions/hako".into(), marked("#", completion::BASH)),
        ("/usr/local/share/zsh/site-functions/_hako".into(), zsh(completion::ZSH)),
        ("/usr/local/share/fish/vendor_completions.d/hako.fish".into(), marked("#", completion::FISH)),
    ];
    let pages = manual::pages().into_iter();
    let place = |name: &str| Path::new("/usr/local/share/man/man1").join(name);
    all.extend(pages.map(|(name, text)| (place(&name), marked(".\\\"", &text))));
    all
}

fn marked(comment: &str, text: &str) -> String {
    format!("{comment} {MARK}; \"hako system uninstall\" removes it.\n{text}")
}

/// zsh wants its first line to be its own.
fn zsh(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    format!("{first}\n{}", marked("#", rest))
}

fn socket(docker_socket: bool) -> String {
    let docker = if docker_socket { "ListenStream=/run/docker.sock\n" } else { "" };
    marked(
        "#",
        &format!(
            "[Unit]\nDescription=hako's socket\n\n[Socket]\nListenStream=/run/hako/hako.sock\n{docker}SocketMode=0660\n\
             SocketUser=root\nSocketGroup=%G\nRemoveOnStop=yes\n\n[Install]\nWantedBy=sockets.target\n"
        ),
    )
}

fn service(program: &Path) -> String {
    marked(
        "#",
        &format!(
            "[Unit]\nDescription=hako, containers from one binary\nDocumentation=man:hako(1)\n\
             After=network-online.target {SOCKET}\nWants=network-online.target\nRequires={SOCKET}\n\n\
             [Service]\nType=exec\nExecStart={} daemon -H fd://\nRestart=on-failure\nRestartSec=1\n\
             # Containers are their supervisors', not the daemon's: they outlive its restarts.\nKillMode=process\n\
             Delegate=yes\nLimitNPROC=infinity\nLimitCORE=infinity\nTasksMax=infinity\nOOMScoreAdjust=-500\n\n\
             [Install]\nWantedBy=multi-user.target\n",
            program.display()
        ),
    )
}

async fn install(_session: &Session, found: &Matches) -> Outcome {
    let destination = found.text("destdir");
    let program =
        fs::read_link("/proc/self/exe").map_err(|error| path_failure("readlink", "/proc/self/exe", &error))?;
    let taken = destination.is_empty() && is_taken();
    let docker_socket = !(found.on("no-docker-socket") || taken);
    if taken && !found.on("no-docker-socket") {
        output::complain("Another engine answers at /run/docker.sock: it is left alone.\n")?;
    }
    let group = group();
    for (path, text) in files(&program, docker_socket) {
        let text = text.replace("SocketGroup=%G", &format!("SocketGroup={group}"));
        write(&below(destination, &path), &text)?;
    }
    if !destination.is_empty() || found.on("no-enable") || !booted_with_systemd() {
        return Ok(());
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", SOCKET])?;
    // After a boot, containers with a restart policy are to come without being called.
    systemctl(&["enable", SERVICE])
}

async fn uninstall(_session: &Session, found: &Matches) -> Outcome {
    let destination = found.text("destdir");
    let live = destination.is_empty() && booted_with_systemd();
    let socket = below(destination, &Path::new("/etc/systemd/system").join(SOCKET));
    if live && is_ours(&socket) {
        systemctl(&["disable", "--now", SOCKET])?;
        systemctl(&["disable", "--now", SERVICE])?;
    }
    for (path, _) in files(Path::new("/"), true) {
        let path = below(destination, &path);
        if is_ours(&path) {
            fs::remove_file(&path).map_err(|error| path_failure("remove", &path.display().to_string(), &error))?;
            output::line(format!("Removed {}", path.display()))?;
            if !destination.is_empty() {
                remove_empty(path.parent(), Path::new(destination));
            }
        }
    }
    if live { systemctl(&["daemon-reload"]) } else { Ok(()) }
}

/// Takes away the directories that `install` made for a package, as far as nobody put anything else there. Those of a whole
/// system are its own.
fn remove_empty(mut directory: Option<&Path>, last: &Path) {
    while let Some(empty) = directory.filter(|directory| *directory != last && directory.starts_with(last)) {
        if fs::remove_dir(empty).is_err() {
            return;
        }
        directory = empty.parent();
    }
}

/// Whether somebody who is not hako listens at docker's socket.
fn is_taken() -> bool {
    let units = Path::new("/etc/systemd/system").join(SOCKET);
    std::os::unix::net::UnixStream::connect("/run/docker.sock").is_ok() && !is_ours(&units)
}

/// The group that may use the socket: docker's where there is one, for its members expect that.
fn group() -> &'static str {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let known = |name: &str| groups.lines().any(|line| line.split(':').next() == Some(name));
    ["hako", "docker"].into_iter().find(|name| known(name)).unwrap_or("root")
}

fn booted_with_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn systemctl(words: &[&str]) -> Outcome {
    let failed = |why: String| Failure::local(format!("systemctl {}: {why}", words.join(" ")));
    let output = Program::new("systemctl").args(words).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn below(destination: &str, path: &Path) -> PathBuf {
    if destination.is_empty() {
        return path.to_owned();
    }
    Path::new(destination).join(path.strip_prefix("/").unwrap_or(path))
}

fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().take(2).any(|line| line.contains(MARK)))
}

/// Writes a file; one that is there and not ours stays.
fn write(path: &Path, text: &str) -> Outcome {
    let shown = path.display().to_string();
    match fs::symlink_metadata(path) {
        Ok(_) if !is_ours(path) => {
            return Err(Failure::local(format!("{shown} exists and is not hako's: move it away first")));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(path_failure("stat", &shown, &error)),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| path_failure("mkdir", &parent.display().to_string(), &error))?;
    }
    fs::write(path, text).map_err(|error| path_failure("write", &shown, &error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        .map_err(|error| path_failure("chmod", &shown, &error))?;
    output::line(format!("Installed {shown}"))
}
