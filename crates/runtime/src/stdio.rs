//! Standard streams: what a process is given, and the ends its supervisor keeps.

use std::os::fd::OwnedFd;

use crate::spec::ConsoleSize;

/// What a process's standard streams are.
#[derive(Debug)]
pub enum Stdio {
    /// `/dev/null` for all three.
    Null,
    /// Pipes for output; a pipe for input, or `/dev/null`.
    Pipes {
        /// Whether input is a pipe.
        stdin: bool,
    },
    /// A pseudo terminal of the container's own devpts.
    Terminal {
        /// Its first size.
        size: Option<ConsoleSize>,
    },
    /// The given descriptors.
    Fds {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
}

/// The supervisor's ends.
#[derive(Debug, Default)]
pub struct Streams {
    /// Writes to the process's standard input.
    pub stdin: Option<OwnedFd>,
    /// Reads its standard output.
    pub stdout: Option<OwnedFd>,
    /// Reads its standard error.
    pub stderr: Option<OwnedFd>,
    /// The terminal's other side, for reading, writing and resizing.
    pub terminal: Option<OwnedFd>,
}
