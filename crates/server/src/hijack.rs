//! Handing a client's connection over to the supervisor: after the `101` the daemon is out of the data path.
//!
//! A connection that cannot be passed on (TCP), or a client that did not ask to switch protocols, is relayed through a
//! pair of sockets instead.

use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use hako_api::version::{RAW_STREAM, UPGRADE};
use hako_engine::containers::{Attachment, Relay};
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE as UPGRADE_HEADER, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::ext::ReasonPhrase;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::failure::Failure;
use crate::handlers::stream_type;
use crate::listen::Connection;
use crate::patience::Patient;
use crate::reply::{self, Broken, Outcome};
use crate::request::Asked;

/// How much a relay reads at a time.
const CHUNK: usize = 64 << 10;

/// How long a client may take to read the head of its answer before the stream begins, in milliseconds.
const HEAD_PATIENCE_MS: u32 = 100;

/// Answers, and connects the client with the container's streams.
pub(crate) async fn connect(asked: Asked, attachment: Attachment) -> Outcome {
    let kind = stream_type(attachment.tty(), asked.version);
    let Some(upgrade) = asked.upgrade else { return without_upgrade(attachment).await };
    let guard = asked.activity.begin();
    let careful = keeps_what_it_read_ahead(&asked.headers);
    tokio::spawn(async move {
        let _guard = guard;
        let outcome = match upgrade.await {
            Ok(upgraded) => hand_over(upgraded, attachment, careful).await,
            Err(cause) => Err(Broken::from(cause)),
        };
        if let Err(cause) = outcome {
            tracing::debug!("hand over connection: {cause}");
        }
    });
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    reply.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(UPGRADE_HEADER, HeaderValue::from_static(UPGRADE));
    Ok(reply)
}

/// Whether a client is known to go on with what it read behind the head of the `101`.
///
/// Others, docker-py for one, read the head through a buffer and the stream past it: what arrives with the head is
/// lost to them. They never saw it with Docker, which takes longer to start anything.
fn keeps_what_it_read_ahead(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["hako/", "Docker-Client/"].iter().any(|known| agent.starts_with(known))
}

/// Waits until the client has taken the head; one that does not gets the stream all the same.
async fn head_is_read(client: &UnixStream) {
    for _ in 0..HEAD_PATIENCE_MS {
        // A socket that cannot be asked is not waited for.
        if hako_sys::socket::is_read(client).unwrap_or(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn hand_over(upgraded: Upgraded, attachment: Attachment, careful: bool) -> Result<(), Broken> {
    let foreign = |_| Broken::from("the connection is not one of the daemon's");
    let parts: Parts<TokioIo<Patient>> = upgraded.downcast().map_err(foreign)?;
    match parts.io.into_inner().into_inner() {
        Connection::Unix(client) => {
            if !careful {
                head_is_read(&client).await;
            }
            attachment.hand_over(client.into_std()?, parts.read_buf).await?;
        }
        mut client => {
            let mut ours = connect_pair(attachment, parts.read_buf).await?;
            tokio::io::copy_bidirectional(&mut client, &mut ours).await?;
        }
    }
    Ok(())
}

/// Gives the attachment one end of a pair of sockets.
pub(crate) async fn connect_pair(attachment: Attachment, leftover: Bytes) -> Result<UnixStream, Broken> {
    let (ours, theirs) = pair()?;
    attachment.hand_over(theirs, leftover).await?;
    Ok(UnixStream::from_std(ours)?)
}

fn pair() -> Result<(StdStream, StdStream), Broken> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// The client only listens, and is told "raw" whatever comes, as by Docker: its output is the body of an ordinary answer, its input is at an end.
async fn without_upgrade(attachment: Attachment) -> Outcome {
    let failed = |cause: Broken| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("connect streams: {cause}"));
    let runs = attachment.is_exec();
    let relay = attachment.relay();
    let (ours, theirs) = pair().map_err(failed)?;
    match attachment.hand_over(theirs, Bytes::new()).await {
        // What keeps a program from running is told in its output, and by its exit code.
        Err(cause) if runs => tracing::debug!("exec: {cause}"),
        outcome => outcome.map_err(|cause| failed(cause.into()))?,
    }
    let mut ours = UnixStream::from_std(ours).map_err(|cause| failed(cause.into()))?;
    ours.shutdown().await.map_err(|cause| failed(cause.into()))?;
    Ok(reply::stream(RAW_STREAM, output(ours, relay)))
}

fn output(ours: UnixStream, relay: Relay) -> impl Stream<Item = Result<Bytes, Broken>> {
    stream::try_unfold((ours, relay), |(mut ours, relay)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        if ours.read_buf(&mut chunk).await? > 0 {
            return Ok(Some((chunk.freeze(), (ours, relay))));
        }
        // What was passed on is written to the client before the next turn, and only then is the end told to others.
        tokio::task::yield_now().await;
        drop(relay);
        Ok(None)
    })
}
