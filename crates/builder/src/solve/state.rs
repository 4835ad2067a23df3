//! Where a stage stands after each of its instructions.

use std::path::PathBuf;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::image::{History, ImageConfig, RunConfig};
use hako_model::platform::Platform;
use hako_store::{ChainId, Image, LayerPin, Store, chain_ids};

use super::find;
use crate::{Error, Result};

/// What every PATH is unless something says otherwise.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The mark BuildKit puts on its steps, which clients look for.
pub(super) const COMMENT: &str = "buildkit.dockerfile.v0";

/// Where a stage stands.
#[derive(Clone, Default)]
pub struct State {
    /// Defaults for containers.
    pub config: RunConfig,
    /// The layers' diff ids, lowest first.
    pub diff_ids: Vec<Digest>,
    /// One entry per instruction.
    pub history: Vec<History>,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub platform: Platform,
    /// When the last layer was made.
    pub created: Option<String>,
    /// The image it began with.
    pub parent: Option<Digest>,
    /// Variables: the image's, and arguments, in order.
    pub(super) env: Vec<(String, String)>,
    /// Arguments in scope, for the history.
    pub(super) arguments: Vec<(String, String)>,
    /// Whether CMD was given in this stage.
    pub(super) own_cmd: bool,
    /// The last step that made a layer.
    pub(super) last: Option<Digest>,
    /// Keeps the layers.
    pub(super) pin: Option<Arc<LayerPin>>,
}

impl State {
    /// How many bytes of text it holds.
    pub(super) fn size(&self) -> usize {
        let pairs = self.env.iter().chain(&self.arguments).map(|(name, value)| name.len() + value.len());
        let labels = self.config.labels.iter().flatten().map(|(name, value)| name.len() + value.len());
        let history = self.history.iter().map(|entry| entry.created_by.len());
        pairs.chain(labels).chain(history).sum()
    }

    /// Nothing at all.
    pub(super) fn scratch(platform: &Platform) -> Self {
        let mut state = Self { platform: platform.clone(), ..Self::default() };
        state.config.working_dir = "/".to_owned();
        state.set_path();
        state
    }

    /// An image.
    pub(super) fn of(image: &Image, store: &Store) -> Result<Self> {
        let config: &ImageConfig = &image.config;
        let pin = image.layers.last().map(|top| store.layers().pin(top)).transpose()?;
        let mut state = Self {
            config: config.config.clone(),
            diff_ids: config.rootfs.diff_ids.clone(),
            history: config.history.clone(),
            author: config.author.clone(),
            platform: config.platform(),
            created: config.created.clone(),
            parent: Some(image.id.clone()),
            pin: pin.map(Arc::new),
            ..Self::default()
        };
        state.set_path();
        Ok(state)
    }

    fn set_path(&mut self) {
        let env = self.config.env.get_or_insert_default();
        if !env.iter().any(|pair| pair.starts_with("PATH=")) {
            env.insert(0, format!("PATH={PATH}"));
        }
        let pairs = env.iter().filter_map(|pair| pair.split_once('='));
        self.env = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// The layer everything stands on.
    #[must_use]
    pub fn top(&self) -> Option<ChainId> {
        chain_ids(&self.diff_ids).pop()
    }

    /// The directories to mount, topmost first.
    pub fn lowers(&self, store: &Store) -> Result<Vec<PathBuf>> {
        self.top().map_or(Ok(Vec::new()), |top| Ok(store.layers().lowers(&top)?))
    }

    /// Puts a layer on top.
    pub(super) fn push(&mut self, layer: &ChainId, created: String, text: String, store: &Store) -> Result<()> {
        let found = store.layers().get(layer).ok_or_else(|| Error::refused(format!("layer {layer} is gone")))?;
        self.pin = Some(Arc::new(store.layers().pin(layer)?));
        self.diff_ids.push(found.diff_id);
        self.created = Some(created.clone());
        let comment = COMMENT.to_owned();
        self.history.push(History { created: Some(created), created_by: text, comment, ..History::default() });
        Ok(())
    }

    /// Notes an instruction that made no layer.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.history.push(History {
            created: self.created.clone(),
            created_by: text.into(),
            comment: COMMENT.to_owned(),
            empty_layer: true,
            ..History::default()
        });
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        find(&self.env, name)
    }

    /// Sets a variable for the instructions that follow.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(own, _)| own != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The shell for command lines.
    pub(super) fn shell(&self) -> Vec<String> {
        let own = self.config.shell.clone().filter(|shell| !shell.is_empty());
        own.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
    }

    /// The working directory.
    pub(super) fn directory(&self) -> &str {
        if self.config.working_dir.is_empty() { "/" } else { &self.config.working_dir }
    }

    /// A path from the working directory on, keeping a slash at its end.
    pub(super) fn path(&self, path: &str) -> String {
        let clean = match path.starts_with('/') {
            true => crate::files::ignore::cleaned(path),
            false => crate::files::ignore::cleaned(&format!("{}/{path}", self.directory())),
        };
        let is_folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
        if is_folder && clean != "/" { format!("{clean}/") } else { clean }
    }
}
