//! `system dial-stdio`: the daemon's socket on standard input and output, for clients who come by ssh.

use std::io;

use tokio::io::AsyncWriteExt;

use crate::failure::Failure;
use crate::flags::Matches;
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static DIAL: Command =
    Command { usage: &[""], ..Command::new("Proxy the stdio stream to the daemon connection", run!(dial)) };

async fn dial(session: &Session, _found: &Matches) -> Outcome {
    let client = session.client()?;
    // Starts the daemon where that is the way; the connection itself belongs to whoever is at the other end.
    client.system().ping().await?;
    let failed = |error: io::Error| Failure::local(format!("dial-stdio: {}", crate::failure::go_cause(&error)));
    let (mut from, mut to) = tokio::io::split(client.connect().await?);
    let typed = async {
        let copied = tokio::io::copy(&mut Input::open()?, &mut to).await;
        to.shutdown().await?;
        copied
    };
    let said = async {
        let mut output = tokio::fs::File::from_std(own(io::stdout())?);
        let copied = tokio::io::copy(&mut from, &mut output).await;
        output.flush().await?;
        copied
    };
    // The daemon's end is the end; the client's is only half of it.
    tokio::pin!(said);
    tokio::select! {
        outcome = &mut said => outcome.map(drop).map_err(failed),
        outcome = typed => match outcome {
            Ok(_) => said.await.map(drop).map_err(failed),
            Err(error) => Err(failed(error)),
        },
    }
}

fn own(stream: impl std::os::fd::AsFd) -> io::Result<std::fs::File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Standard input, read by a thread of its own that nobody waits for at the end.
struct Input;

impl Input {
    fn open() -> io::Result<tokio::net::UnixStream> {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
        let mut input = own(io::stdin())?;
        std::thread::spawn(move || {
            // The other half sees the end either way.
            let _ = io::copy(&mut input, &mut theirs);
        });
        ours.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(ours)
    }
}
