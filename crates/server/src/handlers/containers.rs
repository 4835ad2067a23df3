//! Container requests.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use hako_api::container::{CreateBody, Created, UpdateBody, Updated};
use hako_api::frame::{self, StreamKind};
use hako_api::own::Why;
use hako_api::query;
use hako_api::version::{ApiVersion, LOG_MARKS, MULTIPLEXED_STREAM, NAMES_MULTIPLEXED, RAW_STREAM};
use hako_engine::containers::{
    AttachOptions, CreateRequest, ListOptions, LogPiece, Logs, LogsOptions, Mark, RemoveOptions, Stats, StopOptions,
    UpdateRequest, WaitCondition,
};
use hako_model::container::{Config, RestartPolicy};
use hako_model::platform::Platform;
use hako_model::time::Timestamp;
use http::{HeaderValue, StatusCode};

use crate::failure::Failure;
use crate::reply::{self, Broken, Outcome};
use crate::request::Asked;
use crate::{former, hijack, websocket, wire};

pub(super) async fn list(asked: Asked) -> Outcome {
    let query = query::ListContainers::read(&asked.query)?;
    let options = ListOptions {
        all: query.all,
        limit: query.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
        size: query.size,
        filters: query.filters,
    };
    let found = asked.engine.containers().list(options).await?;
    let mut shown: Vec<_> = found.into_iter().map(wire::container::summary).collect();
    former::listed(&mut shown, asked.version);
    reply::json(&shown)
}

pub(super) async fn create(mut asked: Asked) -> Outcome {
    let query = query::CreateContainer::read(&asked.query)?;
    let mut body: CreateBody = asked.json().await?;
    if body.config == Config::default() {
        return Err(Failure::invalid("config cannot be empty in order to create a container"));
    }
    let mut warnings = former::creation(&mut body, asked.version)?;
    // Until 1.41 nobody could ask for a platform.
    let platform = if asked.version < ApiVersion::minor(41) { None } else { platform(&query.platform)? };
    let request = CreateRequest {
        name: Some(query.name).filter(|name| !name.is_empty()),
        platform,
        config: body.config,
        host_config: body.host_config.unwrap_or_default(),
        networking: body.networking_config.unwrap_or_default(),
    };
    let created = asked.engine.containers().create(request).await?;
    warnings.extend(created.warnings);
    reply::json_with(StatusCode::CREATED, &Created { id: created.id.to_string(), warnings })
}

fn platform(text: &str) -> Result<Option<Platform>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    Platform::parse(text).map(Some).map_err(|cause| Failure::invalid(cause.to_string()))
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let size = query::InspectContainer::read(&asked.query)?.size;
    let found = asked.engine.containers().inspect(&asked.name, size).await?;
    let mut shown = wire::container::inspected(found);
    former::inspected(&mut shown, asked.version);
    reply::json(&shown)
}

pub(super) async fn why(asked: Asked) -> Outcome {
    let found = asked.engine.containers().why(&asked.name).await?;
    let verdict = found.verdict;
    reply::json(&Why {
        name: found.name,
        state: found.state,
        exit_code: found.exit_code,
        finished_at: found.finished_at.to_string(),
        cause: verdict.cause.to_owned(),
        summary: verdict.summary,
        details: verdict.details,
        hint: verdict.hint,
        log: found.log,
    })
}

pub(super) async fn top(asked: Asked) -> Outcome {
    let query = query::Top::read(&asked.query)?;
    let arguments = query.ps_args.filter(|arguments| !arguments.is_empty());
    let found = asked.engine.containers().top(&asked.name, arguments.as_deref()).await?;
    reply::json(&wire::container::top(found))
}

pub(super) async fn changes(asked: Asked) -> Outcome {
    let found = asked.engine.containers().changes(&asked.name).await?;
    let changes: Vec<_> = found.into_iter().map(wire::container::change).collect();
    reply::json(&(!changes.is_empty()).then_some(changes))
}

pub(super) async fn start(asked: Asked) -> Outcome {
    let containers = asked.engine.containers();
    let query = query::Start::read(&asked.query)?;
    if !query.checkpoint.is_empty() {
        containers.start_from(&asked.name, &query.checkpoint, &query.checkpoint_dir).await?;
    } else if query.aside {
        containers.start_aside(&asked.name).await?;
    } else {
        containers.start(&asked.name).await?;
    }
    reply::no_content()
}

pub(super) async fn succeed(asked: Asked) -> Outcome {
    let query = query::Succeed::read(&asked.query)?;
    let patience = seconds(query.timeout).unwrap_or(LISTENING);
    asked.engine.containers().succeed(&asked.name, &query.old, patience).await?;
    reply::no_content()
}

/// How long a container may take to listen, where nobody says.
const LISTENING: Duration = Duration::from_secs(60);

fn seconds(number: Option<i64>) -> Option<Duration> {
    number.and_then(|number| u64::try_from(number).ok()).map(Duration::from_secs)
}

pub(super) async fn stop(asked: Asked) -> Outcome {
    let options = stop_options(&asked)?;
    asked.engine.containers().stop(&asked.name, options).await?;
    reply::no_content()
}

pub(super) async fn restart(asked: Asked) -> Outcome {
    let options = stop_options(&asked)?;
    asked.engine.containers().restart(&asked.name, options).await?;
    reply::no_content()
}

fn stop_options(asked: &Asked) -> Result<StopOptions, Failure> {
    let query = query::Stop::read(&asked.query)?;
    // Until 1.42 nobody could choose the signal.
    let signal = Some(query.signal).filter(|signal| !signal.is_empty() && asked.version >= ApiVersion::minor(42));
    Ok(StopOptions { signal, timeout: query.timeout, drain: seconds(query.drain) })
}

pub(super) async fn kill(asked: Asked) -> Outcome {
    let query = query::Kill::read(&asked.query)?;
    asked.engine.containers().kill(&asked.name, &query.signal).await?;
    reply::no_content()
}

pub(super) async fn pause(asked: Asked) -> Outcome {
    asked.engine.containers().pause(&asked.name).await?;
    reply::no_content()
}

pub(super) async fn unpause(asked: Asked) -> Outcome {
    asked.engine.containers().unpause(&asked.name).await?;
    reply::no_content()
}

pub(super) async fn rename(asked: Asked) -> Outcome {
    let query = query::Rename::read(&asked.query)?;
    asked.engine.containers().rename(&asked.name, &query.name).await?;
    reply::no_content()
}

pub(super) async fn resize(asked: Asked) -> Outcome {
    let (rows, columns) = terminal_size(&asked)?;
    asked.engine.containers().resize(&asked.name, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// Rows and columns of a resize request; both must be there and fit a terminal.
pub(super) fn terminal_size(asked: &Asked) -> Result<(u16, u16), Failure> {
    let query = query::Resize::read(&asked.query)?;
    let side = |name: &str, text: &str| {
        let refused = |why: &str| Failure::invalid(format!("invalid resize {name} {text:?}: {why}"));
        let value: u32 = text.parse().map_err(|_| refused("invalid syntax"))?;
        u16::try_from(value).map_err(|_| refused("value out of range"))
    };
    Ok((side("height", &query.height)?, side("width", &query.width)?))
}

pub(super) async fn update(mut asked: Asked) -> Outcome {
    let mut body: UpdateBody = asked.json().await?;
    if asked.version < ApiVersion::minor(40) {
        body.resources.pids_limit = None;
    }
    let policy = Some(body.restart_policy).filter(|policy| *policy != RestartPolicy::default());
    let request = UpdateRequest { resources: body.resources, restart_policy: policy, edit: body.edit };
    let warnings = asked.engine.containers().update(&asked.name, request).await?;
    reply::json(&Updated { warnings: (!warnings.is_empty()).then_some(warnings) })
}

pub(super) async fn remove(asked: Asked) -> Outcome {
    let query = query::RemoveContainer::read(&asked.query)?;
    let options = RemoveOptions { force: query.force, volumes: query.volumes, link: query.link };
    asked.engine.containers().remove(&asked.name, options).await?;
    reply::no_content()
}

pub(super) async fn prune(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.containers().prune(filters).await?;
    reply::json(&wire::container::pruned(found))
}

/// Answers with the head at once, so that the client knows that no exit will be missed, and with the code at the exit.
pub(super) async fn wait(asked: Asked) -> Outcome {
    let query = query::Wait::read(&asked.query)?;
    let condition = match query.condition.as_str() {
        // Until 1.30 nobody could name one.
        _ if asked.version < ApiVersion::minor(30) => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Failure::invalid(format!("invalid condition: \"{other}\""))),
    };
    let mut waiting = asked.engine.containers().wait(&asked.name, condition).await?;
    let body = stream::once(async move {
        let exit = waiting.exit().await.map_err(Broken::from)?;
        reply::line(&wire::container::exit(exit)).map_err(Broken::from)
    });
    Ok(reply::stream("application/json", body))
}

pub(super) async fn attach(asked: Asked) -> Outcome {
    let options = attach_options(&asked)?;
    let attachment = asked.engine.containers().attach(&asked.name, options).await?;
    hijack::connect(asked, attachment).await
}

/// The same for browsers: there is no multiplexing, both outputs are one stream.
pub(super) async fn attach_socket(asked: Asked) -> Outcome {
    let options = AttachOptions { mixed: true, ..attach_options(&asked)? };
    let attachment = asked.engine.containers().attach(&asked.name, options).await?;
    websocket::connect(asked, attachment).await
}

fn attach_options(asked: &Asked) -> Result<AttachOptions, Failure> {
    let query = query::Attach::read(&asked.query)?;
    Ok(AttachOptions {
        stdin: query.stdin,
        stdout: query.stdout,
        stderr: query.stderr,
        stream: query.stream,
        logs: query.logs,
        detach_keys: query.detach_keys.filter(|keys| !keys.is_empty()),
        mixed: false,
    })
}

pub(super) async fn logs(asked: Asked) -> Outcome {
    let query = query::Logs::read(&asked.query)?;
    if !(query.stdout || query.stderr) {
        return Err(Failure::invalid("Bad parameters: you must choose at least one stream"));
    }
    let options = LogsOptions {
        stdout: query.stdout,
        stderr: query.stderr,
        follow: query.follow,
        since: moment("since", &query.since)?,
        until: moment("until", &query.until)?,
        timestamps: query.timestamps,
        details: query.details,
        // Docker takes anything that is not a number for "all".
        tail: query.tail.parse().ok(),
        resume: resumption(&query.resume)?,
    };
    let logs = asked.engine.containers().logs(&asked.name, options).await?;
    let raw = logs.tty() && !query.marks;
    let mut answer = reply::stream(stream_type(raw, asked.version), log_chunks(logs, raw, query.marks));
    if query.marks {
        answer.headers_mut().insert(LOG_MARKS, HeaderValue::from_static("1"));
    }
    Ok(answer)
}

/// The content type of a container's stream: old clients know only one.
pub(crate) fn stream_type(raw: bool, version: ApiVersion) -> &'static str {
    if raw || version < NAMES_MULTIPLEXED { RAW_STREAM } else { MULTIPLEXED_STREAM }
}

/// A time in a query: absent, zero and empty all mean "no bound".
pub(super) fn moment(name: &str, text: &str) -> Result<Option<Timestamp>, Failure> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    Timestamp::parse(text).map(Some).map_err(|cause| Failure::invalid(format!("invalid value for \"{name}\": {cause}")))
}

/// A mark, as a frame of [`StreamKind::Stdin`] told it.
fn resumption(text: &str) -> Result<Option<Mark>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts = text.split_once(':').and_then(|(time, count)| Some((time.parse().ok()?, count.parse().ok()?)));
    let (nanos, count) = parts.ok_or_else(|| Failure::invalid(format!("invalid value for \"resume\": {text}")))?;
    Ok(Some(Mark { time: Timestamp::from_nanos(nanos), count }))
}

fn log_chunks(logs: Logs, raw: bool, marks: bool) -> impl Stream<Item = Result<Bytes, Broken>> {
    stream::unfold(logs, move |mut logs| async move {
        let item = logs.next().await?;
        let chunk = item.map(|piece| if raw { piece.bytes } else { framed(&piece, marks) }).map_err(Broken::from);
        Some((chunk, logs))
    })
}

/// A piece as frames, with its mark behind them if marks are wanted.
fn framed(piece: &LogPiece, marked: bool) -> Bytes {
    let frames = piece.framed();
    if !marked {
        return frames;
    }
    let mark = format!("{}:{}", piece.mark.time.nanos(), piece.mark.count);
    let length = u32::try_from(mark.len()).unwrap_or(u32::MAX);
    Bytes::from([&frames[..], &frame::header(StreamKind::Stdin, length), mark.as_bytes()].concat())
}

pub(super) async fn stats(asked: Asked) -> Outcome {
    let mut query = query::Stats::read(&asked.query)?;
    query.one_shot &= asked.version >= ApiVersion::minor(41);
    let stream = query.stream.unwrap_or(true);
    if stream && query.one_shot {
        return Err(Failure::invalid("cannot have stream=true and one-shot=true"));
    }
    let mut stats = asked.engine.containers().stats(&asked.name, query.one_shot).await?;
    if stream {
        return Ok(reply::stream("application/json", samples(stats)));
    }
    match stats.next().await {
        Some(sample) => reply::json(&wire::sample::sample(sample?)),
        None => Err(Failure::new(StatusCode::NOT_FOUND, format!("No such container: {}", asked.name))),
    }
}

fn samples(stats: Stats) -> impl Stream<Item = Result<Bytes, Broken>> {
    stream::unfold(stats, |mut stats| async move {
        let item = stats.next().await?;
        let chunk = item.map_err(Broken::from).and_then(|found| Ok(reply::line(&wire::sample::sample(found))?));
        Some((chunk, stats))
    })
}
