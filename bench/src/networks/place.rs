//! Where a command runs: in the host's network, or in that of a process, e.g. a container's.
//!
//! Programs of the host enter a container's network, so that every engine's is measured with the same ones.

use std::process::{Child, Command, Stdio};

use crate::engine::Engine;

/// A network to run commands in.
pub(super) enum Place {
    /// The host's.
    Host,
    /// That of a process.
    Of(String),
}

impl Place {
    /// A container's.
    pub(super) fn container(engine: &Engine, name: &str) -> Self {
        Self::Of(engine.read(&["inspect", "-f", "{{.State.Pid}}", name]))
    }

    /// A command there, which prints nothing unless asked.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = match self {
            Self::Host => Command::new(program),
            Self::Of(pid) => {
                let mut command = Command::new("nsenter");
                command.args(["-t", pid, "-n", program]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What a command prints.
    pub(super) fn read(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).stdout(Stdio::piped()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Runs a line of shell.
    pub(super) fn sh(&self, line: &str) {
        let ended = self.command("sh").args(["-c", line]).stderr(Stdio::piped()).output();
        match ended {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => eprintln!("{line}: {error}"),
        }
    }

    /// Starts a server there, and waits until it listens.
    pub(super) fn serve(&self, program: &str, args: &[&str], port: u16) -> Server {
        let child = self.command(program).args(args).spawn().expect("a server");
        let listens = format!(":{port}");
        let asked = ["-Hltn", "sport", "=", &listens];
        let mut left = 500;
        while self.read("ss", &asked).is_empty() && left > 0 {
            left -= 1;
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        Server(child)
    }
}

/// An empty network, as long as it is kept.
pub(super) struct Empty(Server);

impl Empty {
    pub(super) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "ip link set lo up; echo; exec sleep 3600"]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("unshare");
        // It says a line once the network is there.
        let mut line = [0];
        let _ = child.stdout.take().map(|mut stream| std::io::Read::read(&mut stream, &mut line));
        Self(Server(child))
    }

    pub(super) fn place(&self) -> Place {
        Place::Of(self.0.0.id().to_string())
    }
}

/// A process that ends when this is dropped.
pub(super) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: nginx ends its workers only then.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
