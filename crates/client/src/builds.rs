//! Verbs on builds: hako's own build request, its results, and the cache.

use hako_api::build::{Message, ORDER, Order};
use hako_api::query;
use hako_api::usage::BuildsPruned;

use crate::stream::{ByteStream, JsonStream, Upload};
use crate::{Client, Error, Result, stream};

/// The header with credentials for all registries.
const REGISTRY_CONFIG: &str = "X-Registry-Config";

/// Verbs on builds.
#[derive(Clone, Copy, Debug)]
pub struct Builds<'a> {
    pub(crate) client: &'a Client,
}

impl Builds<'_> {
    /// Builds what the order says; `files` is the tar of the folders it names.
    pub async fn build(
        &self,
        order: &Order,
        files: Option<Upload>,
        credentials: Option<&str>,
    ) -> Result<JsonStream<Message>> {
        let malformed = |cause: String| Error::Malformed { request: "POST /hako/build".to_owned(), cause };
        let text = serde_json::to_vec(order).map_err(|cause| malformed(cause.to_string()))?;
        let length = u32::try_from(text.len()).map_err(|_| malformed("the order is too long".to_owned()))?;
        let head = [&length.to_be_bytes()[..], &text].concat();
        let call = self.client.post("/hako/build").kind(ORDER);
        let call = match credentials {
            Some(credentials) => call.header(REGISTRY_CONFIG, credentials),
            None => call,
        };
        call.send_upload(stream::behind(head, files)).messages().await
    }

    /// The files of a result that is no image.
    pub async fn files(&self, layer: Option<&str>) -> Result<ByteStream> {
        let options = query::BuildFiles { layer: layer.unwrap_or_default().to_owned(), folders: Vec::new() };
        self.client.get("/hako/build/files").query(&options.write()).stream().await
    }

    /// The files of several results as one tar: folders, and the topmost layer of each.
    pub async fn files_of_all(&self, folders: &[(String, Option<String>)]) -> Result<ByteStream> {
        let folder = |(name, layer): &(String, Option<String>)| format!("{name}={}", layer.as_deref().unwrap_or(""));
        let options = query::BuildFiles { layer: String::new(), folders: folders.iter().map(folder).collect() };
        self.client.get("/hako/build/files").query(&options.write()).stream().await
    }

    /// Forgets what builds keep.
    pub async fn prune(&self, options: &query::PruneBuilds) -> Result<BuildsPruned> {
        self.client.post("/build/prune").query(&options.write()).read().await
    }
}
