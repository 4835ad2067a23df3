//! Standard streams: what a process is given, and the ends its supervisor keeps.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::pipe::PipeFlags;

/// Bytes a container's standard output holds until they are read; the kernel allocates what is used.
const ROOM: usize = 256 << 10;

use crate::LaunchError;
use crate::order::{Parcel, Standard};
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

/// Opens the streams: the process's ends go into the parcel, the supervisor's are returned.
pub(crate) fn open(stdio: Stdio, parcel: &mut Parcel) -> Result<(Standard, Streams), LaunchError> {
    let mut streams = Streams::default();
    let ends = match stdio {
        Stdio::Terminal { size } => return Ok((Standard::Terminal(size), streams)),
        Stdio::Null => [null()?, null()?, null()?],
        Stdio::Fds { stdin, stdout, stderr } => [stdin, stdout, stderr],
        Stdio::Pipes { stdin } => {
            let input = if stdin {
                let (reader, writer) = pipe()?;
                streams.stdin = Some(writer);
                reader
            } else {
                null()?
            };
            let (stdout, output) = roomy_pipe()?;
            let (stderr, error) = pipe()?;
            streams.stdout = Some(stdout);
            streams.stderr = Some(stderr);
            [input, output, error]
        }
    };
    Ok((Standard::Fds(ends.map(|fd| parcel.add(fd))), streams))
}

/// A pipe for much output: the fewer turns writer and reader take, the less both wait.
fn roomy_pipe() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let (reader, writer) = pipe()?;
    // The user's share of pipe memory may be used up; then the usual size has to do.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, ROOM);
    Ok((reader, writer))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| LaunchError::setup("make pipe", error))
}

fn null() -> Result<OwnedFd, LaunchError> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| LaunchError::setup("open /dev/null", error))
}
