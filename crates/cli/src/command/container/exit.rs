//! Waiting for a container's end, also across a daemon that goes away meanwhile, and exit codes.

use hako_client::{Client, Waiting};

use crate::failure::Failure;
use crate::reconnect::Attempts;

/// A container's coming end. The wait has begun, so a container started now cannot end unseen.
pub(crate) struct Ending<'a> {
    client: &'a Client,
    id: &'a str,
    removed: bool,
    waiting: Waiting,
}

impl<'a> Ending<'a> {
    /// Begins to wait; with `removed`, until an `--rm` container is gone.
    pub(crate) async fn begin(client: &'a Client, id: &'a str, removed: bool) -> Result<Self, Failure> {
        let condition = if removed { "removed" } else { "next-exit" };
        Ok(Self { client, id, removed, waiting: client.containers().wait(id, condition).await? })
    }

    /// The exit code. A daemon that vanished is asked again: the container runs on without it.
    pub(crate) async fn code(self) -> Result<i64, Failure> {
        let condition = if self.removed { "removed" } else { "not-running" };
        let mut attempts = Attempts::default();
        let mut outcome = self.waiting.exit().await;
        let reply = loop {
            match outcome {
                Ok(reply) => break reply,
                Err(error) => attempts.pause(error).await?,
            }
            outcome = match self.client.containers().wait(self.id, condition).await {
                Ok(waiting) => {
                    attempts.succeeded();
                    waiting.exit().await
                }
                Err(error) => Err(error),
            };
        };
        match reply.error {
            Some(error) if !error.message.is_empty() => Err(Failure::Status { message: error.message, code: 125 }),
            _ => Ok(reply.status_code),
        }
    }
}

/// A container's exit code as this program's.
pub(crate) fn outcome(code: i64) -> Result<(), Failure> {
    match u8::try_from(code & 0xff).unwrap_or(125) {
        0 => Ok(()),
        code => Err(Failure::status(code)),
    }
}

/// The code for a container that could not be started: 127 not found, 126 not executable, else 125.
pub(crate) fn start_code(message: &str) -> u8 {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match () {
        () if says(&[
            "executable file not found",
            "no such file or directory",
            "system cannot find the file specified",
        ]) =>
        {
            127
        }
        () if says(&["permission denied", "is a directory", "exec format error"]) => 126,
        () => 125,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_daemons_words() {
        let cases = [
            ("exec: \"foo\": executable file not found in $PATH: unknown", 127),
            ("exec: \"/x\": stat /x: no such file or directory", 127),
            ("exec: \"/etc\": permission denied", 126),
            ("exec: \"/etc\": is a directory", 126),
            ("Conflict. The container name is in use", 125),
        ];
        for (message, code) in cases {
            assert_eq!(start_code(message), code, "{message}");
        }
        assert!(outcome(0).is_ok());
        assert_eq!(outcome(137).unwrap_err().code(), 137);
    }
}
