//! Where files come from: contexts, stages, images.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::stage::Stage;
use super::state::State;
use crate::dockerfile::Referred;
use crate::files::ignore::Ignore;
use crate::files::tree::{Tree, TreeKind};
use crate::request::{Context, MAIN, Remote};
use crate::{Error, Result};

/// A source of files.
pub(super) enum Origin {
    /// The caller's files.
    Files(Arc<Tree>),
    /// The caller's files, not here yet, and the name of their context.
    Remote(Arc<dyn Remote>, String),
    /// A stage's or an image's.
    Layers(Arc<State>),
}

impl Stage<'_, '_, '_> {
    /// What a name means: a named context, a stage, or an image; no name is the build context.
    pub(super) fn origin(&self, name: Option<&str>, step: usize) -> Result<Origin> {
        let contexts = &self.build.request.contexts;
        let Some(name) = name else {
            return match contexts.get(MAIN) {
                Some(Context::Files(tree)) => Ok(Origin::Files(Arc::clone(tree))),
                Some(Context::Remote(remote)) => Ok(Origin::Remote(Arc::clone(remote), MAIN.to_owned())),
                _ => Err(Error::refused("this build has no context of files")),
            };
        };
        if name.contains('$') {
            let hint = "define a new stage with FROM using ARG from global scope as a workaround";
            return Err(Error::refused(format!("variable expansion is not supported for --from, {hint}")));
        }
        match contexts.get(name) {
            Some(Context::Files(tree)) => return Ok(Origin::Files(Arc::clone(tree))),
            Some(Context::Remote(remote)) => return Ok(Origin::Remote(Arc::clone(remote), name.to_owned())),
            Some(Context::Image(image)) => return Ok(Origin::Layers(self.image(image, step)?)),
            None => {}
        }
        match self.build.file.referred(name, self.index) {
            Some(Referred::Earlier(stage)) => return Ok(Origin::Layers(self.build.stage(self.threads, stage)?)),
            // What an image asks for of a stage that stands on it: as far as that one is made.
            Some(Referred::Own) => return Ok(Origin::Layers(Arc::new(self.state.clone()))),
            Some(Referred::Later) => return Err(Error::refused(self.build.too_early(name, self.index, None))),
            None => {}
        }
        if name == "scratch" {
            return Ok(Origin::Layers(Arc::new(State::scratch(&self.build.platform))));
        }
        if name.parse::<usize>().is_ok() {
            return Err(Error::refused(format!("invalid stage index {name}: there is no such stage before this one")));
        }
        self.image(name, step).map(Origin::Layers)
    }

    /// The files of an origin as a tree that has at least these paths.
    pub(super) fn tree(&self, origin: &Origin, paths: &[String]) -> Result<Arc<Tree>> {
        match origin {
            Origin::Files(tree) => Ok(Arc::clone(tree)),
            Origin::Remote(remote, name) => remote.tree(paths, &self.build.readings(name)),
            Origin::Layers(state) => {
                let store = self.build.tools.store;
                let view = store.rootfs(&state.lowers(store)?)?;
                let root: OwnedFd =
                    hako_sys::confined::Root::from_fd(duplicate(&view)?).open_dir(std::path::Path::new("."))?.into();
                Ok(Arc::new(Tree::new(root, Ignore::default(), TreeKind::Image)))
            }
        }
    }
}

fn duplicate(fd: &impl std::os::fd::AsFd) -> Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|cause| Error::io("open layers", cause))
}
