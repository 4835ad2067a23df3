//! The caller's signals while a container is attached: they go to the container, or end the command with the terminal
//! put right first.

use hako_client::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::terminal;

/// What is passed on to a container: everything a person or a script sends on purpose.
const PASSED: [(i32, &str); 9] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (10, "USR1"),
    (12, "USR2"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (20, "TSTP"),
];

/// Signals that have arrived, by name.
pub(crate) struct Signals {
    arrived: mpsc::UnboundedReceiver<(i32, &'static str)>,
}

impl Signals {
    /// From now on signals are caught.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let (tell, arrived) = mpsc::unbounded_channel();
        for (number, name) in PASSED {
            let mut stream = listen(SignalKind::from_raw(number))?;
            let tell = tell.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && tell.send((number, name)).is_ok() {} });
        }
        Ok(Self { arrived })
    }

    /// Passes every signal on to the container; never returns.
    pub(crate) async fn forward(mut self, client: &Client, id: &str) -> Failure {
        while let Some((_, name)) = self.arrived.recv().await {
            // A container that has just ended needs no signal any more.
            let _ = client.containers().kill(id, name).await;
        }
        std::future::pending().await
    }
}

/// Without `--sig-proxy` a signal ends the command; waiting for it here lets the terminal be put right on the way out.
pub(crate) async fn deadly() -> Failure {
    let streams = (listen(SignalKind::hangup()), listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = streams else { return std::future::pending().await };
    tokio::select! {
        _ = hangup.recv() => Failure::status(128 + 1),
        _ = interrupt.recv() => Failure::status(128 + 2),
        _ = terminate.recv() => Failure::status(128 + 15),
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::local(format!("catch signals: {error}")))
}

/// What has a terminal whose size follows the caller's.
#[derive(Clone, Copy)]
pub(crate) enum Resized<'a> {
    /// A container.
    Container(&'a str),
    /// An exec.
    Exec(&'a str),
}

/// Tells the other side the terminal's size, now and whenever it changes; never returns.
pub(crate) async fn follow_size(client: &Client, what: Resized<'_>) -> Failure {
    let Ok(mut changes) = listen(SignalKind::window_change()) else { return std::future::pending().await };
    loop {
        if let Some(size) = terminal::size() {
            // The process may be gone or not quite there yet; a wrong size is no reason to stop.
            let _ = match what {
                Resized::Container(id) => client.containers().resize(id, size.rows, size.columns).await,
                Resized::Exec(id) => client.execs().resize(id, size.rows, size.columns).await,
            };
        }
        if changes.recv().await.is_none() {
            return std::future::pending().await;
        }
    }
}
