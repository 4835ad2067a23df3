//! Verbs on images. Credentials travel as the ready-made value of the header `X-Registry-Auth`.

use bytes::Bytes;
use hako_api::image::{Distribution, Found, History, Image, Pruned, Removed, Summary};
use hako_api::progress::Progress;
use hako_api::query;
use hako_model::filter::Filters;

use crate::request::segment;
use crate::stream::{ByteStream, JsonStream, Upload};
use crate::{Client, Result};

/// Verbs on images.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    pub(crate) client: &'a Client,
}

fn path(name: &str, verb: &str) -> String {
    format!("/images/{}{verb}", segment(name))
}

impl Images<'_> {
    /// Lists images.
    pub async fn list(&self, options: &query::ListImages) -> Result<Vec<Summary>> {
        self.client.get("/images/json").query(&options.write()).read().await
    }

    /// Describes an image.
    pub async fn inspect(&self, name: &str, options: &query::InspectImage) -> Result<Image> {
        self.client.get(&path(name, "/json")).query(&options.write()).read().await
    }

    /// Describes an image in the daemon's own words.
    pub async fn inspect_raw(&self, name: &str, options: &query::InspectImage) -> Result<Bytes> {
        self.client.get(&path(name, "/json")).query(&options.write()).bytes().await
    }

    /// Tells how an image was made.
    pub async fn history(&self, name: &str, options: &query::InspectImage) -> Result<Vec<History>> {
        self.client.get(&path(name, "/history")).query(&options.write()).read().await
    }

    /// Pulls an image (`fromImage`).
    pub async fn pull(&self, options: &query::CreateImage, credentials: Option<&str>) -> Result<JsonStream<Progress>> {
        self.client.post("/images/create").query(&options.write()).credentials(credentials).messages().await
    }

    /// Makes an image of a tar archive (`fromSrc`).
    pub async fn import(&self, options: &query::CreateImage, tar: Upload) -> Result<JsonStream<Progress>> {
        self.client.post("/images/create").query(&options.write()).upload(tar).messages().await
    }

    /// Pushes an image.
    pub async fn push(&self, name: &str, options: &query::Push, credentials: &str) -> Result<JsonStream<Progress>> {
        let call = self.client.post(&path(name, "/push")).query(&options.write());
        call.credentials(Some(credentials)).messages().await
    }

    /// Gives an image another name.
    pub async fn tag(&self, name: &str, options: &query::Tag) -> Result<()> {
        self.client.post(&path(name, "/tag")).query(&options.write()).done().await
    }

    /// Removes a name, and the image with its last one.
    pub async fn remove(&self, name: &str, options: &query::RemoveImage) -> Result<Vec<Removed>> {
        self.client.delete(&path(name, "")).query(&options.write()).read().await
    }

    /// Removes images nobody needs.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.post("/images/prune").query(&options.write()).read().await
    }

    /// Images as an archive.
    pub async fn save(&self, options: &query::Save) -> Result<ByteStream> {
        self.client.get("/images/get").query(&options.write()).stream().await
    }

    /// Images from an archive.
    pub async fn load(&self, options: &query::Load, tar: Upload) -> Result<JsonStream<Progress>> {
        self.client.post("/images/load").query(&options.write()).upload(tar).messages().await
    }

    /// Images as an archive, written by the daemon to a file this process holds open. Refused with 403 where it cannot.
    pub async fn save_to(&self, options: &query::SaveTo) -> Result<()> {
        self.client.post("/hako/save").query(&options.write()).done().await
    }

    /// Images from an archive this process holds open. Refused with 403 where the daemon cannot read it.
    pub async fn load_from(&self, options: &query::LoadFrom) -> Result<JsonStream<Progress>> {
        self.client.post("/hako/load").query(&options.write()).messages().await
    }

    /// Asks an index for images.
    pub async fn search(&self, options: &query::Search) -> Result<Vec<Found>> {
        self.client.get("/images/search").query(&options.write()).read().await
    }

    /// Asks a registry about an image.
    pub async fn distribution(&self, name: &str, credentials: Option<&str>) -> Result<Distribution> {
        self.client.get(&format!("/distribution/{}/json", segment(name))).credentials(credentials).read().await
    }
}
