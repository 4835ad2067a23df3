//! What a client lends on its session: credentials, secrets, agents.

use std::fs::File;
use std::os::unix::net::UnixStream as StdStream;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hako_buildkit::caller::Caller;
use hako_buildkit::wire::client::BytesMessage;
use hako_buildkit::wire::content::{Action, WriteRequest};
use hako_engine::builds::desk::Desk;
use hako_engine::builds::request::Secret;
use hako_engine::images::Credential;
use hako_engine::{Error, Result};
use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How many bytes travel at once.
const PIECE: usize = 32 << 10;

/// The same of blobs.
const BLOB_PIECE: usize = 512 << 10;

/// A client behind its session.
pub(super) struct Lent(pub(super) Caller);

impl Desk for Lent {
    fn credential(&self, registry: &str) -> BoxFuture<'_, Result<Option<Credential>>> {
        // The name that docker.io's credentials are asked for by.
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry }.to_owned();
        Box::pin(async move {
            // A client without credentials can still fetch what everybody may.
            let Ok(found) = self.0.credentials(&host).await else { return Ok(None) };
            if found.secret.is_empty() {
                return Ok(None);
            }
            let mut credential = Credential { serveraddress: host, ..Credential::default() };
            match found.username.is_empty() {
                true => credential.identitytoken = found.secret,
                false => (credential.username, credential.password) = (found.username, found.secret),
            }
            Ok(Some(credential))
        })
    }

    fn secret(&self, id: &str) -> BoxFuture<'_, Result<Option<Secret>>> {
        let id = id.to_owned();
        Box::pin(async move {
            match self.0.secret(&id).await {
                Ok(bytes) => Ok(Some(Secret(bytes))),
                Err(error) if error.is_not_found() || error.is_unserved() => Ok(None),
                Err(error) => Err(Error::invalid(error.to_string())),
            }
        })
    }

    fn lends(&self, id: &str) -> BoxFuture<'_, Result<bool>> {
        let id = id.to_owned();
        Box::pin(async move { Ok(self.0.check_agent(&id).await.is_ok()) })
    }

    fn connect(&self, id: &str, stream: StdStream) -> BoxFuture<'_, Result<()>> {
        let id = id.to_owned();
        Box::pin(async move {
            let failed = |cause| Error::io("reach the ssh agent", cause);
            stream.set_nonblocking(true).map_err(failed)?;
            let (reader, mut writer) = UnixStream::from_std(stream).map_err(failed)?.into_split();
            let sent = futures_util::stream::unfold(reader, |mut reader| async move {
                let mut data = vec![0; PIECE];
                let count = reader.read(&mut data).await.ok().filter(|count| *count > 0)?;
                data.truncate(count);
                Some((BytesMessage { data }, reader))
            });
            let mut answers = self.0.agent(&id, sent).await.map_err(|error| Error::invalid(error.to_string()))?;
            while let Some(Ok(answer)) = answers.next().await {
                writer.write_all(&answer.data).await.map_err(failed)?;
            }
            Ok(())
        })
    }

    fn take(&self, place: &str, digest: &Digest, limit: u64, mut into: File) -> BoxFuture<'_, Result<()>> {
        use std::io::Write;
        let (place, digest) = (place.to_owned(), digest.clone());
        Box::pin(async move {
            let refused = |error: &dyn std::fmt::Display| Error::invalid(error.to_string());
            let mut pieces = self.0.blob(&place, digest.as_str()).await.map_err(|error| refused(&error))?;
            let mut size = 0;
            while let Some(piece) = pieces.message().await.map_err(|error| refused(&error))? {
                size += piece.data.len() as u64;
                if size > limit {
                    return Err(Error::invalid(format!("blob {digest} of the cache is longer than {limit} bytes")));
                }
                into.write_all(&piece.data).map_err(|error| Error::io("keep layer", error))?;
            }
            Ok(())
        })
    }

    fn give(&self, place: &str, blob: &Descriptor, from: File) -> BoxFuture<'_, Result<()>> {
        let (place, blob) = (place.to_owned(), blob.clone());
        Box::pin(async move {
            let total = i64::try_from(blob.size).unwrap_or(i64::MAX);
            let (digest, from) = (blob.digest.to_string(), tokio::fs::File::from_std(from));
            let piece = move |action: Action, offset: i64, data: Vec<u8>| WriteRequest {
                action: action as i32,
                reference: digest.clone(),
                total,
                expected: digest.clone(),
                offset,
                data,
            };
            let pieces = futures_util::stream::unfold(Some((from, 0)), move |going| {
                let piece = piece.clone();
                async move {
                    let (mut from, offset) = going?;
                    let mut data = vec![0; BLOB_PIECE];
                    let count = from.read(&mut data).await.ok()?;
                    data.truncate(count);
                    let next = offset + i64::try_from(count).unwrap_or(0);
                    Some(match count {
                        0 => (piece(Action::Commit, offset, Vec::new()), None),
                        _ => (piece(Action::Write, offset, data), Some((from, next))),
                    })
                }
            });
            self.0.put_blob(&place, pieces).await.map_err(|error| Error::invalid(error.to_string()))
        })
    }
}
