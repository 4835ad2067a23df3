//! Looking at a Dockerfile without building it.

use hako_builder::dockerfile::{Dockerfile, SyntaxError};
use hako_builder::lint::{self, Findings, Subject};

use super::Builds;
use crate::{Error, Result};

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct CheckRequest {
    /// The Dockerfile.
    pub dockerfile: Vec<u8>,
    /// The stages that this one needs count; all when there is none.
    pub target: Option<String>,
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
            let env = |base: &str| Some(images.find_here(base)?.config.config.env.clone().unwrap_or_default());
            let text = String::from_utf8_lossy(&request.dockerfile);
            let options = request.options.clone();
            Ok(lint::check(&Subject { file: &file, text: &text, stages, env: &env, options }))
        });
        checked.await.map_err(|e| Error::io("check Dockerfile", e))
    }
}
