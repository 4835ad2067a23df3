//! `GET /containers/{id}/attach/ws`: the streams of a container as messages of a websocket, for clients in browsers.
//!
//! Messages are passed on as they come, in pieces: nothing is collected, however long they say they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hako_engine::containers::Attachment;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::failure::Failure;
use crate::hijack::connect_pair;
use crate::reply::{self, Broken, Outcome};
use crate::request::Asked;

/// What the protocol appends to the client's key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How much is passed on at a time.
const PIECE: usize = 32 << 10;

/// The most bytes of a control frame.
const CONTROL_LIMIT: u64 = 125;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Answers, and connects the client with the container's streams.
pub(crate) async fn connect(asked: Asked, attachment: Attachment) -> Outcome {
    let invalid = |what: &str| Failure::invalid(format!("websocket handshake: {what}"));
    let key = asked.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| invalid("no Sec-WebSocket-Key"))?;
    let key = key.to_str().map_err(|_| invalid("Sec-WebSocket-Key is no text"))?;
    if asked.headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
        return Err(invalid("only version 13 is known"));
    }
    let accept = HeaderValue::try_from(accepted(key)).map_err(|_| invalid("Sec-WebSocket-Key is no text"))?;
    let Some(upgrade) = asked.upgrade else { return Err(invalid("no Upgrade: websocket")) };
    let guard = asked.activity.begin();
    tokio::spawn(async move {
        let _guard = guard;
        let outcome = match upgrade.await {
            Ok(upgraded) => relay(upgraded, attachment).await,
            Err(cause) => Err(Broken::from(cause)),
        };
        if let Err(cause) = outcome {
            tracing::debug!("relay websocket: {cause}");
        }
    });
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(reply)
}

fn accepted(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    STANDARD.encode(digest)
}

async fn relay(upgraded: Upgraded, attachment: Attachment) -> Result<(), Broken> {
    let streams = connect_pair(attachment, Bytes::new()).await?;
    let (output, input) = streams.into_split();
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    let writer = Mutex::new(writer);
    tokio::select! {
        // A client that goes takes the relay along; one that only stops typing stays for the output.
        outcome = typed(reader, input, &writer) => outcome?,
        outcome = said(output, &writer) => outcome?,
    }
    Ok(frame(&writer, CLOSE, &1000_u16.to_be_bytes()).await?)
}

/// What the container says, as messages.
async fn said<R, W>(mut output: R, writer: &Mutex<W>) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut room = vec![0; PIECE];
    loop {
        let read = output.read(&mut room).await?;
        if read == 0 {
            return Ok(());
        }
        frame(writer, BINARY, &room[..read]).await?;
    }
}

async fn frame<W: AsyncWrite + Unpin>(writer: &Mutex<W>, kind: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut head = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => head.push(length as u8),
        length @ 126..0x1_0000 => {
            head.push(126);
            head.extend((length as u16).to_be_bytes());
        }
        length => {
            head.push(127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    let mut writer = writer.lock().await;
    writer.write_all(&head).await?;
    writer.write_all(payload).await?;
    writer.flush().await
}

/// What the client sends, until it says goodbye.
async fn typed<R, I, W>(mut reader: R, mut input: I, writer: &Mutex<W>) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    I: AsyncWrite + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let head = reader.read_u16().await?.to_be_bytes();
        let (kind, masked) = (head[0] & 0x0f, head[1] & 0x80 != 0);
        let length = match head[1] & 0x7f {
            126 => u64::from(reader.read_u16().await?),
            127 => reader.read_u64().await?,
            short => u64::from(short),
        };
        if !masked || head[0] & 0x70 != 0 {
            return Err("a client's frames are masked and know no extensions".into());
        }
        let mut mask = [0; 4];
        reader.read_exact(&mut mask).await?;
        match kind {
            CONTINUATION | TEXT | BINARY => pass(&mut reader, &mut input, length, mask).await?,
            CLOSE => return Ok(()),
            PING | PONG if length <= CONTROL_LIMIT => {
                let mut payload = Vec::new();
                pass(&mut reader, &mut payload, length, mask).await?;
                if kind == PING {
                    frame(writer, PONG, &payload).await?;
                }
            }
            _ => return Err(format!("frame of kind {kind} with {length} bytes").into()),
        }
    }
}

/// A frame's payload without its mask.
async fn pass<R, I>(reader: &mut R, input: &mut I, length: u64, mask: [u8; 4]) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    I: AsyncWrite + Unpin,
{
    let (mut left, mut turn) = (length, mask.into_iter().cycle());
    let mut room = vec![0; PIECE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = reader.read(&mut room[..most]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        for (byte, mask) in room[..read].iter_mut().zip(&mut turn) {
            *byte ^= mask;
        }
        input.write_all(&room[..read]).await?;
        left -= read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_is_accepted() {
        assert_eq!(accepted("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    async fn sent(frames: &[u8]) -> (Result<(), Broken>, Vec<u8>, Vec<u8>) {
        let (mut input, writer) = (Vec::new(), Mutex::new(Vec::new()));
        let outcome = typed(frames, &mut input, &writer).await;
        (outcome, input, writer.into_inner())
    }

    #[tokio::test]
    async fn frames_are_unmasked_pings_answered_and_a_close_is_the_end() {
        // "Hello" in two fragments, with a ping in between (RFC 6455, 5.7), then a close.
        let frames = [
            &[0x01, 0x83, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d][..],
            &[0x89, 0x81, 1, 2, 3, 4, b'x' ^ 1],
            &[0x80, 0x82, 0, 0, 0, 0, b'l', b'o'],
            &[0x88, 0x80, 0, 0, 0, 0],
        ];
        let (outcome, input, answers) = sent(&frames.concat()).await;
        outcome.unwrap();
        assert_eq!(input, b"Hello");
        assert_eq!(answers, [0x8a, 1, b'x']);
    }

    #[tokio::test]
    async fn what_breaks_the_rules_ends_the_connection() {
        let table: [&[u8]; 5] = [
            &[0x81, 0x01, b'x'],
            &[0xc1, 0x80, 0, 0, 0, 0],
            &[0x83, 0x80, 0, 0, 0, 0],
            &[0x89, 0xfe, 0xff, 0xff, 0, 0, 0, 0],
            &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, b'x'],
        ];
        for frames in table {
            assert!(sent(frames).await.0.is_err(), "{frames:?}");
        }
    }

    #[tokio::test]
    async fn frames_have_the_three_lengths() {
        for (length, head) in [(125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
            let writer = Mutex::new(Vec::new());
            frame(&writer, BINARY, &vec![7; length]).await.unwrap();
            assert_eq!(writer.into_inner().len(), length + head);
        }
    }
}
