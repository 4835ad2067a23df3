//! Daemons behind ssh: the person's own `ssh` runs `system dial-stdio` there, and its streams are the connection.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Seconds until a machine that does not answer counts as away, as with docker.
const CONNECT_TIMEOUT: &str = "ConnectTimeout=30";

/// A machine to be reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The account there, if it is not the usual one.
    pub user: Option<String>,
    /// Its name, as ssh knows it.
    pub host: String,
    /// Where its ssh server listens, if it is not the usual port.
    pub port: Option<u16>,
    /// The daemon's socket there, if it is not the usual one.
    pub socket: Option<String>,
}

impl Ssh {
    /// Reads `[USER@]HOST[:PORT][/SOCKET]`; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (place, path) = text.find('/').map_or((text, ""), |slash| text.split_at(slash));
        let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
        if user.is_some_and(|user| user.contains(':')) {
            return Err("ssh has no use for a password in the address");
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| "the port is not a number")?))
            }
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // What begins with a dash would be an option to ssh.
        if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.is_empty() || user.starts_with('-'))
        {
            return Err("expected ssh://[USER@]HOST[:PORT]");
        }
        let socket = Some(path.to_owned()).filter(|path| !path.trim_matches('/').is_empty());
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port, socket })
    }

    /// Begins a connection. Whether there is anybody shows with the first answer; ssh says itself what is wrong.
    pub(crate) fn connect(&self) -> io::Result<Tunnel> {
        let mut command = Command::new("ssh");
        command.args(["-o", CONNECT_TIMEOUT, "-T"]);
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.host, &self.there()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|cause| io::Error::new(cause.kind(), format!("run ssh: {cause}")))?;
        let missing = || io::Error::other("ssh has no streams");
        let (input, output) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        Ok(Tunnel { input: Some(input), output, _child: child })
    }

    /// What is run there: whichever of the two engines' programs there is.
    fn there(&self) -> String {
        let socket = self
            .socket
            .as_ref()
            .map_or_else(String::new, |socket| format!(" -H {}", quoted(&format!("unix://{socket}"))));
        format!(
            "if command -v hako >/dev/null; then exec hako{socket} system dial-stdio; fi; exec docker{socket} system dial-stdio"
        )
    }
}

/// The address as users write it.
impl std::fmt::Display for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A connection through ssh, which ends with it.
#[derive(Debug)]
pub struct Tunnel {
    input: Option<ChildStdin>,
    output: ChildStdout,
    _child: Child,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    /// The other side sees the end only when the pipe is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["far", "me@far", "me@far:2222", "far/run/x.sock", "me@[::1]:22/run/x.sock"] {
            assert_eq!(Ssh::parse(text).unwrap().to_string(), format!("ssh://{text}"));
        }
        for bad in ["", "me@", "-oProxyCommand=x", "-l@far", "@far", "me:secret@far", "far:port", "/run/x.sock"] {
            assert!(Ssh::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_socket_is_quoted_for_the_shell() {
        let there = Ssh::parse("far/run/it's.sock").unwrap().there();
        assert!(there.ends_with(r"exec docker -H 'unix:///run/it'\''s.sock' system dial-stdio"), "{there}");
    }
}
