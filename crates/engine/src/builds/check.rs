//! Looking at a Dockerfile without building it.

use hako_builder::dockerfile::{Dockerfile, SyntaxError};
use hako_builder::files::ignore::Ignore;
use hako_builder::lint::{self, Base, Findings, Subject};
use hako_model::platform::Platform;

use super::Builds;
use super::shop::wanted;
use crate::{Error, Result};

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct CheckRequest {
    /// The Dockerfile.
    pub dockerfile: Vec<u8>,
    /// The stages that this one needs count; all when there is none.
    pub target: Option<String>,
    /// What is left out of the context, as its file says it.
    pub ignore: Option<Vec<u8>>,
    /// The platform that is built for; the host's when there is none.
    pub platform: Option<Platform>,
    /// `BUILDKIT_DOCKERFILE_CHECK`, instead of what the file itself says.
    pub options: Option<String>,
}

impl Builds {
    /// What is probably not meant. The variables of base images are known of those that are here.
    pub async fn check(&self, request: CheckRequest) -> Result<std::result::Result<Findings, SyntaxError>> {
        let images = self.images.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let file = Dockerfile::parse(&request.dockerfile)?;
            let stages = match &request.target {
                Some(target) => lint::reachable(&file, target),
                None => (0..file.stages.len()).collect(),
            };
            let platform = request.platform.clone().unwrap_or_else(Platform::host);
            let base = |name: &str, platform: &Platform| {
                let image = images.find_here(name, &wanted(platform))?;
                let platform = image.config.platform();
                Some(Base { env: image.config.config.env.clone().unwrap_or_default(), platform })
            };
            let text = String::from_utf8_lossy(&request.dockerfile);
            let ignore = request.ignore.as_deref().map(String::from_utf8_lossy);
            let ignore = ignore.and_then(|text| Ignore::parse(&text).ok());
            let options = request.options.clone();
            let subject =
                Subject { file: &file, text: &text, stages, base: &base, ignore: ignore.as_ref(), platform, options };
            Ok(lint::check(&subject))
        });
        checked.await.map_err(|e| Error::io("check Dockerfile", e))
    }
}
