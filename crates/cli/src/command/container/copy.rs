//! `cp`: the archive endpoints, a tar of our own, and Docker's rules between them.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use hako_api::container::PathStat;
use hako_api::query;
use hako_client::{ByteStream, Client, Upload};
use tokio::sync::mpsc;

use crate::archive::pack::pack;
use crate::archive::rules::{End, Side, check_output, local, local_destination, local_source, prepare, side};
use crate::archive::unpack::{Rebase, unpack};
use crate::command::image::load::stdin;
use crate::failure::Failure;
use crate::flags::{Matches, switch};
use crate::output;
use crate::paths::{base, join, split};
use crate::render::units::human_size_with;
use crate::session::Session;
use crate::stream::copy_bytes;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static COPY: Command = Command {
    usage: &["[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"],
    aliases: &["hako container cp", "hako cp"],
    long: "Copy files/folders between a container and the local filesystem\n\n\
           Use '-' as the source to read a tar archive from stdin\n\
           and extract it to a directory destination in a container.\n\
           Use '-' as the destination to stream a tar archive of a\n\
           container source to stdout.",
    arity: Arity::Exactly(2),
    flags: &[&[
        switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
        switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
        switch(
            "quiet",
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        )
        .short('q'),
    ]],
    examples: &[
        ("hako cp web:/etc/nginx/nginx.conf .", "A file out of a container"),
        ("hako cp site/. web:/usr/share/nginx/html", "The content of a directory into one"),
        ("hako cp web:/var/log - | tar tv", "A directory as a tar archive"),
    ],
    offer: Offer::ContainerThenFiles,
    ..Command::new("Copy files/folders between a container and the local filesystem", run!(copy))
};

/// Type bits of Go's `os.FileMode`, in which the daemon tells a path's mode.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;

async fn copy(session: &Session, found: &Matches) -> Outcome {
    let (source, destination) = (found.word(0), found.word(1));
    if source.is_empty() {
        return Err(Failure::local("source can not be empty"));
    }
    if destination.is_empty() {
        return Err(Failure::local("destination can not be empty"));
    }
    match (side(source), side(destination)) {
        (Side::Container(container, path), Side::Local(local)) => {
            from_container(session, found, &container, &path, &local).await
        }
        (Side::Local(local), Side::Container(container, path)) => {
            to_container(session, found, &local, &container, &path).await
        }
        (Side::Container(..), Side::Container(..)) => {
            Err(Failure::local("copying between containers is not supported"))
        }
        (Side::Local(_), Side::Local(_)) => Err(Failure::local("must specify at least one container source")),
    }
}

/// Says what was copied, unless asked not to, or nobody watches.
fn tell(found: &Matches, bytes: u64, place: &str) -> Outcome {
    let quiet = found.switch_given("quiet").unwrap_or(!io::IsTerminal::is_terminal(&io::stderr()));
    if quiet {
        return Ok(());
    }
    output::complain(format!("Successfully copied {} to {place}\n", human_size_with(bytes as f64, 3)))
}

async fn from_container(session: &Session, found: &Matches, container: &str, path: &str, to: &str) -> Outcome {
    let client = session.client()?;
    let to = if to == "-" { to.to_owned() } else { local(to) };
    if to != "-" {
        check_output(&to)?;
    }
    let (path, shown) = if found.on("follow-link") {
        followed(client, container, path).await
    } else {
        (path.to_owned(), String::new())
    };
    let (stat, stream) = client.containers().archive(container, &path).await?;
    if to == "-" {
        if output::to_terminal() {
            return Err(Failure::local("refusing to copy to a terminal; use output redirection or a pipe"));
        }
        return copy_bytes(stream, &mut io::stdout().lock()).await.map(drop);
    }
    let source = End { path, exists: true, directory: stat.mode & DIRECTORY != 0, shown };
    let destination = local_destination(&to)?;
    let (directory, rebase) = prepare(&source, &destination)?;
    let rebase = through_link(&source, rebase);
    let bytes = receive(stream, directory, rebase).await?;
    tell(found, bytes, &to)
}

/// With `-L` the archive is that of the link's target; its content keeps the link's name.
fn through_link(source: &End, rebase: Option<Rebase>) -> Option<Rebase> {
    if source.shown.is_empty() {
        return rebase;
    }
    let from = split(&source.path).1;
    let to = rebase.map_or_else(|| source.shown.clone(), |rebase| rebase.to);
    Some(Rebase { from, to })
}

/// The target of a link in a container, and the name its content is to keep.
async fn followed(client: &Client, container: &str, path: &str) -> (String, String) {
    match client.containers().stat(container, path).await {
        Ok(stat) if stat.mode & SYMLINK != 0 => (resolved(path, &stat), base(path)),
        _ => (path.to_owned(), String::new()),
    }
}

fn resolved(path: &str, stat: &PathStat) -> String {
    if stat.link_target.starts_with('/') { stat.link_target.clone() } else { join(&split(path).0, &stat.link_target) }
}

/// Unpacks what arrives on a thread of its own: reading and writing files would hold up the connection.
async fn receive(mut stream: ByteStream, directory: String, rebase: Option<Rebase>) -> Result<u64, Failure> {
    let (send, chunks) = mpsc::channel(16);
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut input = Chunks { chunks, rest: Bytes::new() };
        let unpacked = unpack(&mut input, Path::new(&directory), rebase.as_ref())?;
        io::copy(&mut input, &mut io::sink())?;
        Ok::<u64, io::Error>(unpacked)
    });
    let mut lost = None;
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                lost = Some(error);
                break;
            }
        };
        if send.send(chunk).await.is_err() {
            break;
        }
    }
    drop(send);
    let unpacked = unpacking.await.map_err(|error| Failure::local(format!("unpack: {error}")))?;
    match lost {
        Some(error) => Err(error.into()),
        None => unpacked.map_err(|error| Failure::local(error.to_string())),
    }
}

/// Chunks that arrive, read like a file.
struct Chunks {
    chunks: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

async fn to_container(session: &Session, found: &Matches, from: &str, container: &str, path: &str) -> Outcome {
    let client = session.client()?;
    let destination = destination(client, container, path).await?;
    let shown = format!("{container}:{}", destination.path);
    let options = |path: String| query::PutArchive { path, no_overwrite: true, copy_ownership: found.on("archive") };
    if from == "-" {
        if !destination.directory {
            return Err(Failure::local(format!("destination \"{container}:{path}\" must be a directory")));
        }
        let input = stdin()?;
        return Ok(client.containers().put_archive(container, &options(destination.path.clone()), input).await?);
    }
    let from = local(from);
    let source = local_source(&from, found.on("follow-link"))?;
    let (directory, rebase) = prepare(&source, &destination)?;
    let (upload, bytes) = send(source, rebase);
    client.containers().put_archive(container, &options(directory), upload).await?;
    let bytes = bytes.await.map_err(|error| Failure::local(format!("pack: {error}")))?;
    tell(found, bytes.map_err(|error| Failure::local(error.to_string()))?, &shown)
}

/// Looks at the destination in the container; a link there is followed. What cannot be seen does not exist.
async fn destination(client: &Client, container: &str, path: &str) -> Result<End, Failure> {
    let mut end = End { path: path.to_owned(), ..End::default() };
    let Ok(mut stat) = client.containers().stat(container, path).await else { return Ok(end) };
    if stat.mode & SYMLINK != 0 {
        end.path = resolved(path, &stat);
        // A link that leads nowhere: what it names is made, if its directory is there.
        let Ok(target) = client.containers().stat(container, &end.path).await else { return Ok(end) };
        stat = target;
    }
    if stat.mode & (DEVICE | PIPE | SOCKET) != 0 {
        let what = if stat.mode & DEVICE != 0 { "got a device" } else { "got an irregular file" };
        return Err(Failure::local(format!(
            "destination \"{container}:{path}\" must be a directory or a regular file: {what}"
        )));
    }
    (end.exists, end.directory) = (true, stat.mode & DIRECTORY != 0);
    Ok(end)
}

/// Packs on a thread of its own into an upload; also gives the bytes packed, when it is through.
fn send(source: End, rebase: Option<Rebase>) -> (Upload, tokio::task::JoinHandle<io::Result<u64>>) {
    let (send, chunks) = mpsc::channel::<io::Result<Bytes>>(16);
    let packing = tokio::task::spawn_blocking(move || {
        let (directory, name) = split(&source.path);
        let own = if source.shown.is_empty() { name.clone() } else { source.shown };
        let shown = rebase.map_or(own, |rebase| rebase.to);
        let mut out = Sender { send, buffer: Vec::with_capacity(CHUNK) };
        let packed = pack(Path::new(&directory), &name, &shown, &mut out).and_then(|bytes| out.flush().map(|()| bytes));
        if let Err(error) = &packed {
            // The daemon must not take half an archive for a whole one.
            let _ = out.send.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        packed
    });
    let upload =
        futures_util::stream::unfold(
            chunks,
            |mut chunks| async move { chunks.recv().await.map(|chunk| (chunk, chunks)) },
        );
    (Box::pin(upload), packing)
}

const CHUNK: usize = 256 << 10;

/// Gathers small writes into chunks.
struct Sender {
    send: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        self.send.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
