//! What a client lends on its session: credentials, secrets, agents.

use std::os::unix::net::UnixStream as StdStream;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hako_buildkit::caller::Caller;
use hako_buildkit::wire::client::BytesMessage;
use hako_engine::builds::desk::Desk;
use hako_engine::builds::request::Secret;
use hako_engine::images::Credential;
use hako_engine::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How many bytes travel at once.
const PIECE: usize = 32 << 10;

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
}
