//! The output of several containers as one: each line with its container's name, in its colour.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hako_api::container::WaitReply;
use hako_api::frame::{Demultiplexer, StreamKind};
use hako_api::query;
use hako_client::{ByteStream, Client};
use hako_compose::{Member, Project, World, verb};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::progress::Progress;
use super::project::{credentials, stopped};
use crate::failure::Failure;
use crate::output;
use crate::reconnect::{self, Attempts};
use crate::session::Session;
use crate::tree::Outcome;

/// Compose's colours, in its order.
const COLOURS: &[u8] = &[36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/// How long the last lines of a container that has ended may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What a process ended by Ctrl-C leaves behind.
const INTERRUPTED: u8 = 130;

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    pub(super) prefix: bool,
    pub(super) colour: bool,
    pub(super) timestamps: bool,
}

/// When an attached `up` ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// When all containers have ended.
    All,
    /// When one has; the others are stopped.
    Any,
    /// When one has with a failure; the others are stopped.
    Failure,
    /// When one has; the code is that service's.
    From(String),
}

/// Prints lines of several containers.
pub(super) struct Printer {
    show: Show,
    width: usize,
    /// Lines that are to be written, all to one stream.
    gathered: RefCell<(StreamKind, Vec<u8>)>,
}

/// When gathered lines are written, even if there are more.
const GATHERED: usize = 64 << 10;

impl Printer {
    /// For containers of these names.
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>, show: &Show) -> Self {
        let width = names.map(str::len).max().unwrap_or(0);
        Self { show: Show { ..*show }, width, gathered: RefCell::new((StreamKind::Stdout, Vec::new())) }
    }

    fn line(&self, place: usize, name: &str, kind: StreamKind, text: &[u8]) -> Outcome {
        if self.gathered.borrow().0 != kind || self.gathered.borrow().1.len() > GATHERED {
            self.flush()?;
        }
        let mut gathered = self.gathered.borrow_mut();
        gathered.0 = kind;
        let line = &mut gathered.1;
        if self.show.prefix {
            let width = self.width;
            let prefix = match self.show.colour {
                true => format!("\x1b[{}m{name:<width$}  | \x1b[0m", COLOURS[place % COLOURS.len()]),
                false => format!("{name:<width$}  | "),
            };
            line.extend_from_slice(prefix.as_bytes());
        }
        line.extend_from_slice(text);
        line.push(b'\n');
        Ok(())
    }

    /// Writes what was gathered.
    fn flush(&self) -> Outcome {
        let (kind, lines) = {
            let mut gathered = self.gathered.borrow_mut();
            (gathered.0, std::mem::take(&mut gathered.1))
        };
        match kind {
            _ if lines.is_empty() => Ok(()),
            StreamKind::Stderr => output::complain(lines),
            _ => output::print(lines),
        }
    }

    /// Shows a container's log to its end; one that is followed goes on when the daemon goes away and comes back.
    pub(super) async fn log(
        &self,
        client: &Client,
        place: usize,
        (id, name): (&str, &str),
        options: &query::Logs,
    ) -> Outcome {
        let mut rests: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
        let place_of = |kind| usize::from(kind == StreamKind::Stderr);
        let unmarked = if options.follow {
            let show = |kind, piece: &[u8]| {
                self.take(place, name, kind, piece, &mut rests[place_of(kind)])?;
                self.flush()
            };
            reconnect::follow(client, id, options.clone(), show).await?
        } else {
            Some(client.containers().logs(id, options).await?)
        };
        if let Some(stream) = unmarked {
            self.unmarked(place, name, stream, &mut rests).await?;
        }
        for (kind, rest) in [StreamKind::Stdout, StreamKind::Stderr].into_iter().zip(&rests) {
            if !rest.is_empty() {
                self.line(place, name, kind, rest)?;
            }
        }
        self.flush()
    }

    /// Shows a stream as any Docker sends it.
    async fn unmarked(&self, place: usize, name: &str, mut stream: ByteStream, rests: &mut [Vec<u8>; 2]) -> Outcome {
        let mut frames = stream.is_multiplexed().then(Demultiplexer::default);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes?;
            let mut rest: &[u8] = &bytes;
            match &mut frames {
                None => self.take(place, name, StreamKind::Stdout, rest, &mut rests[0])?,
                Some(frames) => {
                    let broken = |_| Failure::local("unrecognized stream: what the daemon sent is not a frame");
                    while let Some((kind, piece)) = frames.next(&mut rest).map_err(broken)? {
                        self.take(place, name, kind, piece, &mut rests[usize::from(kind == StreamKind::Stderr)])?;
                    }
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    fn take(&self, place: usize, name: &str, kind: StreamKind, mut bytes: &[u8], rest: &mut Vec<u8>) -> Outcome {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            rest.extend_from_slice(&bytes[..end]);
            let text = std::mem::take(rest);
            self.line(place, name, kind, text.strip_suffix(b"\r").unwrap_or(&text))?;
            bytes = &bytes[end + 1..];
        }
        rest.extend_from_slice(bytes);
        Ok(())
    }
}

/// A container's name without the project's, as prefixes show it.
pub(super) fn short_name<'n>(project: &str, name: &'n str) -> &'n str {
    name.strip_prefix(project).and_then(|rest| rest.strip_prefix(['-', '_'])).unwrap_or(name)
}

/// Brings members up and shows their output until they end, or until the person has had enough.
pub(super) async fn follow(
    session: &Session,
    project: &Project,
    (members, progress): (impl Future<Output = Result<Vec<Member>, Failure>>, &Progress),
    shown: &[String],
    show: &Show,
    ending: &Ending,
    timeout: Option<i64>,
) -> Outcome {
    let mut interrupts = interrupts()?;
    let since = crate::render::clock::now().to_string();
    let mut members = pin!(members);
    let made = tokio::select! {
        members = &mut members => Some(members?),
        _ = interrupts.0.recv() => None,
        _ = interrupts.1.recv() => None,
    };
    let Some(members) = made else {
        leave(members, progress, &mut interrupts).await;
        halt(session, project, timeout, &mut interrupts).await?;
        return Err(Failure::status(INTERRUPTED));
    };
    let client = session.client()?;
    let watched: Vec<&Member> = members.iter().filter(|member| shown.contains(&member.service)).collect();
    let names: Vec<&str> = watched.iter().map(|member| short_name(&project.name, &member.name)).collect();
    if !names.is_empty() {
        output::line(format!("Attaching to {}", names.join(", ")))?;
    }
    let printer = Printer::new(names.iter().copied(), show);
    let options = from_now(since, show.timestamps);
    let ended: BTreeMap<&str, watch::Sender<bool>> =
        watched.iter().map(|member| (member.id.as_str(), watch::Sender::new(false))).collect();
    let log = async |(place, member): (usize, &&Member)| {
        // A log that breaks off is a log that ends.
        let _ = printer.log(client, place, (&member.id, names[place]), &options).await;
        if let Some(ended) = ended.get(member.id.as_str()) {
            ended.send_replace(true);
        }
    };
    let mut logs: FuturesUnordered<_> = watched.iter().enumerate().map(log).collect();
    let code = Cell::new(None);
    let mut shown = pin!(async { while logs.next().await.is_some() {} });
    let mut waits: FuturesUnordered<_> = members.iter().map(|member| end_of(client, member, &ended)).collect();
    let mut silent = false;
    let by_person = loop {
        tokio::select! {
            end = waits.next() => match end {
                Some(end) => {
                    if tell_end(project, end?, ending, &code)? {
                        break false;
                    }
                }
                None => break false,
            },
            () = &mut shown, if !silent => silent = true,
            _ = interrupts.0.recv() => break true,
            _ = interrupts.1.recv() => break true,
        }
    };
    if by_person {
        output::complain("Gracefully Stopping... press Ctrl+C again to force\n")?;
    }
    // What containers still have to say is shown while they are stopped; their logs end with them.
    let rest = async {
        if !silent {
            shown.await
        }
    };
    if by_person || *ending != Ending::All {
        if !by_person {
            output::line("Aborting on container exit...")?;
        }
        let halting = async { tokio::join!(halt(session, project, timeout, &mut interrupts), rest).0 };
        hear_the_rest(project, &mut waits, (ending, &code), halting).await?;
    } else {
        rest.await;
    }
    verdict(by_person, code.get())
}

/// All that is said from a moment on.
fn from_now(since: String, timestamps: bool) -> query::Logs {
    query::Logs {
        follow: true,
        stdout: true,
        stderr: true,
        since,
        timestamps,
        tail: "all".to_owned(),
        ..query::Logs::default()
    }
}

/// Hears how the others end while they are stopped.
async fn hear_the_rest<F: Future<Output = Result<End, Failure>>>(
    project: &Project,
    waits: &mut FuturesUnordered<F>,
    (ending, code): (&Ending, &Cell<Option<i64>>),
    halting: impl Future<Output = Outcome>,
) -> Outcome {
    let mut halting = pin!(halting);
    let halted = loop {
        tokio::select! {
            halted = &mut halting => break halted,
            Some(end) = waits.next() => drop(tell_end(project, end?, ending, code)?),
        }
    };
    halted?;
    // All have ended; of some it was not heard yet.
    while let Ok(Some(end)) = tokio::time::timeout(LAST_LINES, waits.next()).await {
        tell_end(project, end?, ending, code)?;
    }
    Ok(())
}

fn verdict(by_person: bool, code: Option<i64>) -> Outcome {
    match code {
        _ if by_person => Err(Failure::status(INTERRUPTED)),
        None | Some(0) => Ok(()),
        Some(code) => Err(Failure::status(u8::try_from(code & 0xff).unwrap_or(1))),
    }
}

/// What was begun is not gone on with: begins nothing new, and comes back when no start is on its way any more, or at the next Ctrl-C.
async fn leave<T>(members: Pin<&mut impl Future<Output = T>>, progress: &Progress, interrupts: &mut Interrupts) {
    progress.halt();
    tokio::select! {
        _ = members => {}
        () = progress.settled() => {}
        _ = interrupts.0.recv() => {}
        _ = interrupts.1.recv() => {}
    }
}

type Interrupts = (Signal, Signal);

fn interrupts() -> Result<Interrupts, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::local(format!("catch signals: {error}")));
    Ok((listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
}

/// A service, a container's name, and the code it ended with.
type End = (String, String, i64);

/// Waits for a container's end.
async fn end_of(client: &Client, member: &Member, logs: &BTreeMap<&str, watch::Sender<bool>>) -> Result<End, Failure> {
    let reply = exit_of(client, &member.id).await?;
    // Its last lines come before the word of its end. The log of one that is restarted goes on.
    if let Some(log) = logs.get(member.id.as_str()) {
        let _ = tokio::time::timeout(LAST_LINES, log.subscribe().wait_for(|ended| *ended)).await;
    }
    Ok((member.service.clone(), member.name.clone(), reply.status_code))
}

/// Tells of a container's end, and whether it is the end of all; `code` is kept as the ending wants it: the first's, or
/// that of the service that was named.
fn tell_end(
    project: &Project,
    (service, name, ended): End,
    ending: &Ending,
    code: &Cell<Option<i64>>,
) -> Result<bool, Failure> {
    output::line(format!("{} exited with code {ended}", short_name(&project.name, &name)))?;
    let (counts, last) = match ending {
        Ending::All => (false, false),
        Ending::Any => (true, true),
        Ending::Failure => (ended != 0, ended != 0),
        Ending::From(wanted) => (*wanted == service, true),
    };
    if counts && code.get().is_none() {
        code.set(Some(ended));
    }
    Ok(last)
}

/// Waits for a container's end, whatever becomes of the daemon meanwhile.
async fn exit_of(client: &Client, id: &str) -> Result<WaitReply, Failure> {
    let mut attempts = Attempts::default();
    loop {
        let exit = async { client.containers().wait(id, "not-running").await?.exit().await };
        match exit.await {
            Ok(reply) => return Ok(reply),
            Err(error) => attempts.pause(error).await?,
        }
    }
}

/// Stops everything; a second Ctrl-C kills.
async fn halt(session: &Session, project: &Project, timeout: Option<i64>, interrupts: &mut Interrupts) -> Outcome {
    let client = session.client()?;
    let progress = Progress::wanted(session, false)?;
    let credentials = credentials(session);
    let world = World { client, report: &progress, credentials: &credentials, dry: false, limit: None };
    let containers = world.containers(&project.name, false).await.map_err(stopped)?;
    let forced = tokio::select! {
        outcome = verb::stop(&world, project, &containers, timeout) => { outcome.map_err(stopped)?; false }
        _ = interrupts.0.recv() => true,
        _ = interrupts.1.recv() => true,
    };
    if forced {
        let all: Vec<_> = containers.iter().collect();
        verb::each(&world, &all, verb::Verb::Kill("SIGKILL")).await.map_err(stopped)?;
    }
    Ok(())
}
