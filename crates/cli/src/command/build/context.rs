//! Contexts: directories that are read in place where the daemon can, and sent otherwise.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_api::build::Place;
use hako_client::{Upload, upload, upload_bytes};

use super::sent;
use crate::archive::pack;
use crate::failure::{Failure, path_failure};
use crate::flags::Matches;

/// The name of the main context.
const MAIN: &str = "context";

/// How much of standard input tells whether it is an archive.
const TASTE: usize = 512;

/// What a command line names as sources.
pub(super) struct Plan {
    /// The Dockerfile's text, unless it is in a remote or sent context.
    pub(super) dockerfile: Option<String>,
    /// What it is called.
    pub(super) name: String,
    sources: BTreeMap<String, Source>,
}

enum Source {
    Directory {
        path: PathBuf,
        ignore: String,
    },
    Remote(String),
    Image(String),
    /// An archive on standard input; what was read of it already.
    Stdin(Vec<u8>),
    Nothing,
}

impl Plan {
    pub(super) fn read(found: &Matches) -> Result<Self, Failure> {
        let (word, file) = (found.word(0), found.text("file"));
        let mut plan = match word {
            "-" => Self::of_stdin(file)?,
            word if is_remote(word) => Self::of_remote(word, file)?,
            word => Self::of_directory(Path::new(word), file)?,
        };
        for flag in found.list("build-context") {
            let (name, value) = flag
                .split_once('=')
                .ok_or_else(|| Failure::local(format!("invalid context value: {flag}, expected key=value")))?;
            plan.sources.insert(name.to_owned(), named(name, value)?);
        }
        Ok(plan)
    }

    fn with(source: Source, dockerfile: Option<String>, name: &str) -> Self {
        let sources = BTreeMap::from([(MAIN.to_owned(), source)]);
        Self { dockerfile, name: name.to_owned(), sources }
    }

    fn of_stdin(file: &str) -> Result<Self, Failure> {
        if file == "-" {
            return Err(Failure::local("invalid argument: can't use stdin for both build context and dockerfile"));
        }
        if io::stdin().is_terminal() {
            return Err(Failure::local("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"));
        }
        // Not through the buffer of standard input: what is left belongs to whoever reads on.
        let mut raw = File::from(crate::command::image::load::stdin_fd()?);
        let mut taste = Vec::new();
        let read = (&mut raw).take(TASTE as u64).read_to_end(&mut taste);
        read.map_err(|error| path_failure("read", "stdin", &error))?;
        if is_archive(&taste) {
            let name = if file.is_empty() { "Dockerfile" } else { file };
            return Ok(Self::with(Source::Stdin(taste), None, name));
        }
        let mut text = taste;
        raw.read_to_end(&mut text).map_err(|error| path_failure("read", "stdin", &error))?;
        Ok(Self::with(Source::Nothing, Some(String::from_utf8_lossy(&text).into_owned()), "Dockerfile"))
    }

    fn of_remote(address: &str, file: &str) -> Result<Self, Failure> {
        if Path::new(file).is_absolute() {
            // The caller's own file, beside what is elsewhere.
            let (text, _) = read_dockerfile(Path::new(file))?;
            return Ok(Self::with(Source::Remote(address.to_owned()), Some(text), "Dockerfile"));
        }
        let name = if file.is_empty() { "Dockerfile" } else { file };
        let dockerfile = if file == "-" { Some(read_stdin()?) } else { None };
        Ok(Self::with(Source::Remote(address.to_owned()), dockerfile, if file == "-" { "Dockerfile" } else { name }))
    }

    fn of_directory(path: &Path, file: &str) -> Result<Self, Failure> {
        if !path.is_dir() {
            let shown = path.display();
            let why = if path.exists() { "not a directory" } else { "no such file or directory" };
            return Err(Failure::Status {
                message: format!("ERROR: failed to build: unable to prepare context: path {shown:?} not found: {why}"),
                code: 1,
            });
        }
        let (text, place) = match file {
            "-" => (read_stdin()?, path.join("Dockerfile")),
            "" => read_dockerfile(&default_dockerfile(path))?,
            named => read_dockerfile(Path::new(named))?,
        };
        let name =
            place.file_name().map_or_else(|| "Dockerfile".to_owned(), |name| name.to_string_lossy().into_owned());
        let ignore = ignore_file(path, &place)?;
        Ok(Self::with(Source::Directory { path: path.to_owned(), ignore }, Some(text), &name))
    }
}

/// Docker takes a lower-case one if there is no other.
fn default_dockerfile(path: &Path) -> PathBuf {
    let usual = path.join("Dockerfile");
    let lower = path.join("dockerfile");
    if !usual.exists() && lower.exists() { lower } else { usual }
}

fn read_dockerfile(path: &Path) -> Result<(String, PathBuf), Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let cause = crate::failure::go_cause(&error);
        let message =
            format!("ERROR: failed to build: failed to solve: failed to read dockerfile: open {name}: {cause}");
        Failure::Status { message, code: 1 }
    })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), path.to_owned()))
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(|error| path_failure("read", "stdin", &error))?;
    Ok(text)
}

/// `NAME.dockerignore` beside the Dockerfile, or the context's own.
fn ignore_file(context: &Path, dockerfile: &Path) -> Result<String, Failure> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match std::fs::read(&path) {
            Ok(bytes) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(path_failure("open", &path.to_string_lossy(), &error)),
        }
    }
    Ok(String::new())
}

fn is_remote(word: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"].iter().any(|scheme| word.starts_with(scheme))
}

fn named(name: &str, value: &str) -> Result<Source, Failure> {
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Ok(Source::Image(image.to_owned()));
    }
    if is_remote(value) {
        return Ok(Source::Remote(value.to_owned()));
    }
    if let Some((scheme, _)) = value.split_once("://") {
        return Err(Failure::local(format!("build context {name}: {scheme}:// comes with a later version")));
    }
    let path = PathBuf::from(value);
    if !path.is_dir() {
        return Err(Failure::local(format!("failed to get build context {name}: {value} is not a directory")));
    }
    let ignore = ignore_file(&path, &path.join("Dockerfile"))?;
    Ok(Source::Directory { path, ignore })
}

pub(crate) fn is_archive(bytes: &[u8]) -> bool {
    let packed: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"];
    packed.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(257..262) == Some(b"ustar")
}

/// Sources, opened.
pub(super) struct Contexts {
    sources: BTreeMap<String, Source>,
    open: BTreeMap<String, OwnedFd>,
}

impl Contexts {
    /// Opens directories if the daemon may read them in place.
    pub(super) fn open(plan: Plan, in_place: bool) -> Result<Self, Failure> {
        let mut open = BTreeMap::new();
        for (name, source) in &plan.sources {
            if let (Source::Directory { path, .. }, true) = (source, in_place) {
                let file = File::open(path).map_err(|error| path_failure("open", &path.to_string_lossy(), &error))?;
                open.insert(name.clone(), OwnedFd::from(file));
            }
        }
        Ok(Self { sources: plan.sources, open })
    }

    /// Whether the daemon is to read something in place.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The same with everything sent.
    pub(super) fn closed(self) -> Self {
        Self { sources: self.sources, open: BTreeMap::new() }
    }

    /// Where the daemon finds each.
    pub(super) fn places(&self) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::new();
        for (number, (name, source)) in self.sources.iter().enumerate() {
            let place = match (source, self.open.get(name)) {
                (Source::Directory { ignore, .. }, Some(fd)) => {
                    Place::Open { fd: fd.as_raw_fd(), ignore: ignore.clone() }
                }
                (Source::Directory { ignore, .. }, None) => sent(&number.to_string(), Some(ignore.clone())),
                (Source::Remote(address), _) => Place::Remote { address: address.clone() },
                (Source::Image(image), _) => Place::Image { name: image.clone() },
                (Source::Stdin(_), _) => sent(".", None),
                (Source::Nothing, _) => continue,
            };
            places.insert(name.clone(), place);
        }
        places
    }

    /// The tar of what is sent.
    pub(super) fn files(&self) -> Result<Option<Upload>, Failure> {
        for source in self.sources.values() {
            if let Source::Stdin(taste) = source {
                return stdin_behind(taste).map(Some);
            }
        }
        let sent = |(number, (name, source)): (usize, (&String, &Source))| match source {
            Source::Directory { path, .. } if !self.open.contains_key(name) => Some((number.to_string(), path.clone())),
            _ => None,
        };
        let directories: Vec<(String, PathBuf)> = self.sources.iter().enumerate().filter_map(sent).collect();
        if directories.is_empty() { Ok(None) } else { packed(directories).map(Some) }
    }
}

fn stdin_behind(taste: &[u8]) -> Result<Upload, Failure> {
    let rest = crate::command::image::load::stdin()?;
    let first = upload_bytes(bytes::Bytes::copy_from_slice(taste));
    Ok(Box::pin(futures_util::StreamExt::chain(first, rest)))
}

/// Packs directories, each under its number, in a thread of its own.
fn packed(directories: Vec<(String, PathBuf)>) -> Result<Upload, Failure> {
    let (read, write) = io::pipe().map_err(|error| path_failure("open", "pipe", &error))?;
    std::thread::spawn(move || {
        let mut out = io::BufWriter::with_capacity(256 << 10, write);
        for (name, path) in &directories {
            // The daemon sees an archive that breaks off, and says so.
            if pack::pack_open(path, ".", name, &mut out).is_err() {
                return;
            }
        }
        let _ = pack::end(&mut out);
    });
    Ok(upload(tokio::fs::File::from_std(File::from(OwnedFd::from(read)))))
}
