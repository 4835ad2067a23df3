//! Verbs on containers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hako_api::container::{
    Change, Checkpoint, CheckpointBody, CreateBody, Created, IdReply, PathStat, Pruned, Summary, TopReply, UpdateBody,
    Updated, WaitReply,
};
use hako_api::inspect::Container;
use hako_api::own::Why;
use hako_api::query::{self, Query};
use hako_api::stats::Sample;
use hako_api::version::PATH_STAT;
use hako_model::container::Config;
use hako_model::filter::Filters;
use http::{HeaderMap, Method};

use crate::request::segment;
use crate::stream::{ByteStream, Hijacked, JsonStream, Upload};
use crate::{Client, Error, Result};

/// Verbs on containers.
#[derive(Clone, Copy, Debug)]
pub struct Containers<'a> {
    pub(crate) client: &'a Client,
}

fn path(id: &str, verb: &str) -> String {
    format!("/containers/{}{verb}", segment(id))
}

impl Containers<'_> {
    /// Makes a container.
    pub async fn create(&self, options: &query::CreateContainer, body: &CreateBody) -> Result<Created> {
        self.client.post("/containers/create").query(&options.write()).json(body)?.read().await
    }

    /// Lists containers.
    pub async fn list(&self, options: &query::ListContainers) -> Result<Vec<Summary>> {
        self.client.get("/containers/json").query(&options.write()).read().await
    }

    /// Describes a container.
    pub async fn inspect(&self, id: &str, size: bool) -> Result<Container> {
        self.client.get(&path(id, "/json")).query(&query::InspectContainer { size }.write()).read().await
    }

    /// Describes a container in the daemon's own words.
    pub async fn inspect_raw(&self, id: &str, size: bool) -> Result<Bytes> {
        self.client.get(&path(id, "/json")).query(&query::InspectContainer { size }.write()).bytes().await
    }

    /// Starts a container; one that runs already is left alone.
    pub async fn start(&self, id: &str, options: &query::Start) -> Result<()> {
        self.verb(id, "/start", &options.write()).await
    }

    /// Saves a running container's processes.
    pub async fn checkpoint(&self, id: &str, body: &CheckpointBody) -> Result<()> {
        self.client.post(&path(id, "/checkpoints")).json(body)?.done().await
    }

    /// Lists a container's checkpoints.
    pub async fn checkpoints(&self, id: &str, options: &query::Checkpoints) -> Result<Vec<Checkpoint>> {
        self.client.get(&path(id, "/checkpoints")).query(&options.write()).read().await
    }

    /// Removes a checkpoint.
    pub async fn remove_checkpoint(&self, id: &str, name: &str, options: &query::Checkpoints) -> Result<()> {
        let path = format!("{}/{}", path(id, "/checkpoints"), segment(name));
        self.client.delete(&path).query(&options.write()).done().await
    }

    /// Stops a container; one that does not run is left alone.
    pub async fn stop(&self, id: &str, options: &query::Stop) -> Result<()> {
        self.verb(id, "/stop", &options.write()).await
    }

    /// Lets a container that was started aside take another's place.
    pub async fn succeed(&self, id: &str, options: &query::Succeed) -> Result<()> {
        self.client.post(&format!("/hako/succeed/{}", segment(id))).query(&options.write()).done().await
    }

    /// Stops a container and starts it.
    pub async fn restart(&self, id: &str, options: &query::Stop) -> Result<()> {
        self.verb(id, "/restart", &options.write()).await
    }

    /// Sends a signal to a container's process.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        self.verb(id, "/kill", &query::Kill { signal: signal.to_owned() }.write()).await
    }

    /// Freezes a container.
    pub async fn pause(&self, id: &str) -> Result<()> {
        self.verb(id, "/pause", &Query::default()).await
    }

    /// Thaws a container.
    pub async fn unpause(&self, id: &str) -> Result<()> {
        self.verb(id, "/unpause", &Query::default()).await
    }

    /// Renames a container.
    pub async fn rename(&self, id: &str, name: &str) -> Result<()> {
        self.verb(id, "/rename", &query::Rename { name: name.to_owned() }.write()).await
    }

    /// Tells a container's terminal its size.
    pub async fn resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let size = query::Resize { height: height.to_string(), width: width.to_string() };
        self.verb(id, "/resize", &size.write()).await
    }

    /// Changes limits and restart policy.
    pub async fn update(&self, id: &str, body: &UpdateBody) -> Result<Updated> {
        self.client.post(&path(id, "/update")).json(body)?.read().await
    }

    /// Removes a container.
    pub async fn remove(&self, id: &str, options: &query::RemoveContainer) -> Result<()> {
        self.client.delete(&path(id, "")).query(&options.write()).done().await
    }

    /// Begins to wait; when this returns, no later exit will be missed.
    pub async fn wait(&self, id: &str, condition: &str) -> Result<Waiting> {
        let options = query::Wait { condition: condition.to_owned() };
        let messages = self.client.post(&path(id, "/wait")).query(&options.write()).messages().await?;
        Ok(Waiting { messages })
    }

    /// Why it ended or does not run.
    pub async fn why(&self, id: &str) -> Result<Why> {
        self.client.get(&format!("/hako/why/{}", segment(id))).read().await
    }

    /// Lists a container's processes.
    pub async fn top(&self, id: &str, ps_args: Option<&str>) -> Result<TopReply> {
        let options = query::Top { ps_args: ps_args.map(str::to_owned) };
        self.client.get(&path(id, "/top")).query(&options.write()).read().await
    }

    /// Measures a container's consumption.
    pub async fn stats(&self, id: &str, options: &query::Stats) -> Result<JsonStream<Sample>> {
        self.client.get(&path(id, "/stats")).query(&options.write()).messages().await
    }

    /// Reads a container's log; [`ByteStream::is_multiplexed`] tells its form.
    pub async fn logs(&self, id: &str, options: &query::Logs) -> Result<ByteStream> {
        self.client.get(&path(id, "/logs")).query(&options.write()).stream().await
    }

    /// Connects to a container's streams.
    pub async fn attach(&self, id: &str, options: &query::Attach) -> Result<Hijacked> {
        self.client.post(&path(id, "/attach")).query(&options.write()).hijack().await
    }

    /// Lists what a container changed in its root filesystem; `None` when nothing did.
    pub async fn changes(&self, id: &str) -> Result<Option<Vec<Change>>> {
        self.client.get(&path(id, "/changes")).read().await
    }

    /// A container's root filesystem as a tar archive.
    pub async fn export(&self, id: &str) -> Result<ByteStream> {
        self.client.get(&path(id, "/export")).stream().await
    }

    /// Describes a path in a container.
    pub async fn stat(&self, id: &str, inside: &str) -> Result<PathStat> {
        let options = query::Archive { path: inside.to_owned() };
        let call = self.client.call(Method::HEAD, &path(id, "/archive")).query(&options.write());
        path_stat(&call.headers().await?)
    }

    /// A path in a container as a tar archive.
    pub async fn archive(&self, id: &str, inside: &str) -> Result<(PathStat, ByteStream)> {
        let options = query::Archive { path: inside.to_owned() };
        let stream = self.client.get(&path(id, "/archive")).query(&options.write()).stream().await?;
        Ok((path_stat(stream.headers())?, stream))
    }

    /// Unpacks a tar archive in a container.
    pub async fn put_archive(&self, id: &str, options: &query::PutArchive, tar: Upload) -> Result<()> {
        let call = self.client.call(Method::PUT, &path(id, "/archive"));
        call.query(&options.write()).upload(tar).done().await
    }

    /// Makes an image of a container.
    pub async fn commit(&self, options: &query::Commit, config: Option<&Config>) -> Result<IdReply> {
        self.client.post("/commit").query(&options.write()).json(&config.unwrap_or(&Config::default()))?.read().await
    }

    /// Removes containers that do not run.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.post("/containers/prune").query(&options.write()).read().await
    }

    async fn verb(&self, id: &str, verb: &str, query: &Query) -> Result<()> {
        self.client.post(&path(id, verb)).query(query).done().await
    }
}

/// A wait that has begun.
#[derive(Debug)]
pub struct Waiting {
    messages: JsonStream<WaitReply>,
}

impl Waiting {
    /// Waits for the end.
    ///
    /// # Errors
    /// [`Error::Lost`] when the daemon goes away; waiting again then gives the same answer.
    pub async fn exit(mut self) -> Result<WaitReply> {
        let lost = || Error::Lost { request: "wait".to_owned(), cause: "the daemon went away".to_owned() };
        self.messages.next().await?.ok_or_else(lost)
    }
}

fn path_stat(headers: &HeaderMap) -> Result<PathStat> {
    let malformed = |cause: String| Error::Malformed { request: "archive".to_owned(), cause };
    let header = headers.get(PATH_STAT).ok_or_else(|| malformed(format!("it has no header {PATH_STAT}")))?;
    let json = STANDARD.decode(header).map_err(|cause| malformed(cause.to_string()))?;
    serde_json::from_slice(&json).map_err(|cause| malformed(cause.to_string()))
}
