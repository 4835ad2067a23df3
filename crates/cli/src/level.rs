//! How much the program says besides its answer: with `-D` or `-l debug` every request to the daemon, from `-l warn` on
//! not even a hint. All of it goes to standard error.

use std::io;

use tracing::level_filters::LevelFilter;

use crate::flags::Matches;

/// How much is said; what is greater says more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    /// What went wrong, and nothing else.
    Warn,
    /// Hints, too.
    Info,
    /// Requests, too.
    Debug,
}

impl Level {
    /// What the global flags want.
    pub(crate) fn wanted(globals: &Matches) -> Self {
        if globals.on("debug") { Self::Debug } else { parse(globals.text("log-level")).unwrap_or(Self::Info) }
    }

    /// From now on requests are told, if they are to be. Without that nothing is prepared.
    pub(crate) fn begin(self) {
        if self == Self::Debug {
            let log = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_writer(io::stderr);
            // Only a second run in one process would find one there: the tests'.
            let _ = log.with_ansi(false).with_target(false).try_init();
        }
    }
}

fn parse(text: &str) -> Option<Level> {
    match text {
        "trace" | "debug" => Some(Level::Debug),
        "info" => Some(Level::Info),
        "warn" | "warning" | "error" | "fatal" | "panic" => Some(Level::Warn),
        _ => None,
    }
}

/// Whether a value of `--log-level` is one.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop).ok_or_else(|| format!("unable to parse logging level: {text}"))
}
