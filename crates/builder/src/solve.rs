//! Builds: stages that are needed run side by side, each step after what it needs, nothing twice.

mod copying;
mod key;
mod layered;
mod material;
mod meta;
mod mounts;
mod reading;
mod run;
mod series;
mod slots;
mod source;
mod stage;
mod state;

pub(crate) use meta::PROXIES;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Scope;

use hako_model::digest::Digest;
use hako_model::image::{ImageConfig, RootFs};
use hako_model::platform::Platform;
use hako_model::word::Lexer;
use hako_store::{ChainId, LayerPin, Store};

pub use self::material::Material;
pub use self::series::Series;
pub use self::state::State;
use crate::cache::{Cache, now_text};
use crate::dockerfile::Referred;
use crate::dockerfile::mount::{self, Sharing};
use crate::dockerfile::{Dockerfile, Kind, Lines, SyntaxError, did_you_mean};
use crate::progress::{Event, Watcher};
use crate::request::Request;
use crate::workshop::{Cancel, Workshop};
use crate::{Error, Result};

/// The most stages: each that is needed has a thread.
const STAGES: usize = 1000;

/// Everything a build works with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Layers and images.
    pub store: &'a Store,
    /// What earlier builds made.
    pub cache: &'a Cache,
    /// What runs and fetches.
    pub workshop: &'a dyn Workshop,
    /// Who hears of it.
    pub watcher: &'a dyn Watcher,
    /// What stops it.
    pub cancel: &'a Cancel,
    /// What it shares with the builds for other platforms.
    pub series: &'a Series,
}

/// What a build made.
pub struct Product {
    /// The configuration of the image it is.
    pub config: ImageConfig,
    /// The state the last stage ended in; holds its layers.
    pub state: Arc<State>,
    /// The layers of all stages that were needed, in the order in which they were there; held, too.
    pub steps: Vec<Kept>,
    /// The cache mounts of all its steps, whether they were done or not.
    pub mounts: Vec<CacheMount>,
    /// What it took from elsewhere.
    pub materials: BTreeSet<Material>,
}

/// A step's layer, for caches outside.
#[derive(Clone)]
pub struct Kept {
    /// What it is known by.
    pub key: Digest,
    /// The layer.
    pub layer: ChainId,
    /// When it was made, as images write it.
    pub created: String,
    /// The instruction, with its variables expanded.
    pub text: String,
    /// Where it stands in the Dockerfile.
    pub lines: Lines,
    /// The step it stands on.
    pub below: Option<Digest>,
    /// Keeps the layer.
    pub(crate) _pin: Option<Arc<LayerPin>>,
}

/// A cache mount that a step has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// What its directory is called.
    pub name: Digest,
    /// What the Dockerfile calls it.
    pub id: String,
    /// Who may use it at once.
    pub sharing: Sharing,
}

/// One build on its way.
pub(crate) struct Build<'a> {
    tools: Tools<'a>,
    request: &'a Request,
    file: Dockerfile,
    /// Arguments from before the first stage, and those about platforms.
    globals: Vec<(String, String)>,
    platform: Platform,
    stages: Mutex<Vec<Slot>>,
    changed: Condvar,
    first_error: Mutex<Option<Error>>,
    images: Mutex<HashMap<String, Arc<State>>>,
    kept: Mutex<Vec<Kept>>,
    mounts: Mutex<BTreeMap<Digest, CacheMount>>,
    materials: Mutex<BTreeSet<Material>>,
}

/// How far a stage is.
#[derive(Clone)]
enum Slot {
    Idle,
    Busy,
    Done(Arc<State>),
    Failed,
}

/// Builds an image.
///
/// # Errors
/// The first thing that went wrong; what ran beside it is stopped.
pub fn build(request: &Request, tools: Tools<'_>) -> Result<Product> {
    let file = Dockerfile::parse(&request.dockerfile)?;
    if file.stages.len() > STAGES {
        return Err(Error::refused(format!("the Dockerfile has more than {STAGES} stages")));
    }
    let platform = request.platform.clone().unwrap_or_else(Platform::host).normalised();
    let globals = meta::globals(&file, request, &platform)?;
    let stages = Mutex::new(vec![Slot::Idle; file.stages.len()]);
    let build = Build {
        tools,
        request,
        file,
        globals,
        platform,
        stages,
        changed: Condvar::new(),
        first_error: Mutex::default(),
        images: Mutex::default(),
        kept: Mutex::default(),
        mounts: Mutex::default(),
        materials: Mutex::default(),
    };
    let target = build.target()?;
    build.check_references(target, &mut BTreeSet::new())?;
    let state = std::thread::scope(|scope| build.stage(scope, target));
    let saved = build.tools.cache.memory.save();
    let failed = build.first_error.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (failed, state) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(state)) => {
            saved?;
            let steps = std::mem::take(&mut *build.kept.lock().unwrap_or_else(PoisonError::into_inner));
            let materials = std::mem::take(&mut *build.materials.lock().unwrap_or_else(PoisonError::into_inner));
            let mounts = std::mem::take(&mut *build.mounts.lock().unwrap_or_else(PoisonError::into_inner));
            let mounts = mounts.into_values().collect();
            Ok(Product { config: build.image(&state), state, steps, mounts, materials })
        }
    }
}

impl<'a> Build<'a> {
    fn target(&self) -> Result<usize> {
        let wanted = &self.request.target;
        if wanted.is_empty() {
            return Ok(self.file.stages.len() - 1);
        }
        self.file.find(wanted, usize::MAX).ok_or_else(|| {
            let names = self.file.stages.iter().filter_map(|stage| stage.from.name.as_deref());
            Error::refused(format!("target stage {wanted:?} could not be found{}", did_you_mean(wanted, names)))
        })
    }

    /// Whether messages need say which stage is meant.
    fn has_stages(&self) -> bool {
        self.file.stages.len() > 1
    }

    /// How many instructions the file has.
    fn whole(&self) -> usize {
        self.file.stages.iter().map(|stage| 1 + stage.instructions.len()).sum()
    }

    fn lexer(&self) -> Lexer {
        Lexer { escape: self.file.directives.escape, ..Lexer::default() }
    }

    /// The stages a stage takes something from.
    fn needs(&self, index: usize) -> Vec<usize> {
        let stage = &self.file.stages[index];
        let known = |name: &String| !self.request.contexts.contains_key(name);
        let mut needed: Vec<usize> = self
            .base_name(index)
            .ok()
            .filter(known)
            .and_then(|base| self.file.find_named(&base, index))
            .into_iter()
            .collect();
        for instruction in &stage.instructions {
            match &instruction.kind {
                Kind::Copy(copying) => {
                    needed.extend(
                        copying.from.iter().filter(|name| known(name)).filter_map(|name| self.file.find(name, index)),
                    );
                }
                Kind::Run(run) => {
                    let mounts = run.mounts.iter().filter_map(|text| mount::parse(text).ok());
                    let named = mounts.filter_map(|mount| mount.from().cloned());
                    needed.extend(named.filter(|name| known(name)).filter_map(|name| self.file.find(&name, index)));
                }
                _ => {}
            }
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    fn base_name(&self, index: usize) -> Result<String> {
        let stage = &self.file.stages[index];
        let value = |name: &str| find(&self.globals, name);
        let base = self.lexer().expand(&stage.from.base, &value);
        let base = base.map_err(|error| Error::refused(error.to_string()).at(stage.lines))?;
        if base.is_empty() {
            let message = format!("base name ({}) should not be blank", stage.from.base);
            return Err(Error::refused(message).at(stage.lines));
        }
        Ok(base)
    }

    /// Refuses stages that take something from themselves, or from what comes after them, before anything is done. `fine`
    /// are those that were looked at: otherwise a few stages have ways without number.
    fn check_references(&self, index: usize, fine: &mut BTreeSet<usize>) -> Result<()> {
        if !fine.insert(index) {
            return Ok(());
        }
        for needed in self.needs(index) {
            self.check_references(needed, fine)?;
        }
        let known = |name: &str| !self.request.contexts.contains_key(name);
        for instruction in &self.file.stages[index].instructions {
            let checked = |name: &str, target: Option<&str>| match self.file.referred(name, index) {
                Some(Referred::Own) if known(name) => Err(self.circular(index)),
                Some(Referred::Later) if known(name) => Err(self.too_early(name, index, target)),
                _ => Ok(()),
            };
            let outcome = match &instruction.kind {
                Kind::Copy(copying) => copying.from.iter().try_for_each(|name| checked(name, None)),
                Kind::Run(run) => {
                    let mut mounts = run.mounts.iter().filter_map(|text| mount::parse(text).ok());
                    mounts.try_for_each(|mount| match mount.from() {
                        Some(name) => checked(name, Some(mount.target.as_deref().unwrap_or_default())),
                        None => Ok(()),
                    })
                }
                _ => Ok(()),
            };
            outcome.map_err(|message| SyntaxError { message, lines: Some(instruction.lines) })?;
        }
        Ok(())
    }

    fn stage_name(&self, index: usize) -> String {
        self.file.stages[index].from.name.clone().unwrap_or_else(|| format!("stage-{index}"))
    }

    fn circular(&self, index: usize) -> String {
        format!("circular dependency detected on stage: {}", self.stage_name(index))
    }

    /// `target` is a mount's.
    fn too_early(&self, name: &str, index: usize, target: Option<&str>) -> String {
        match target {
            None => {
                let own = self.stage_name(index);
                format!("cannot copy from stage {name:?}, it needs to be defined before current stage {own:?}")
            }
            Some(target) => {
                format!(
                    "cannot mount from stage {name:?} to {target:?}, stage needs to be defined before current command"
                )
            }
        }
    }

    /// What a stage ends in; it is begun if it was not.
    fn stage<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, index: usize) -> Result<Arc<State>> {
        if self.tools.series.slots.is_single() {
            // One thing after the other: what a stage needs, then the stage. There is nobody else who could claim it.
            if self.claim(index) {
                for needed in self.needs(index) {
                    self.stage(scope, needed)?;
                }
                self.run_stage(scope, index);
            }
        } else {
            self.begin(scope, index);
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &stages[index] {
                Slot::Done(state) => return Ok(Arc::clone(state)),
                Slot::Failed => return Err(Error::Cancelled),
                Slot::Idle | Slot::Busy => {}
            }
            stages = self.changed.wait(stages).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn claim(&self, index: usize) -> bool {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = matches!(stages[index], Slot::Idle);
        if idle {
            stages[index] = Slot::Busy;
        }
        idle
    }

    /// Begins a stage and all it needs.
    fn begin<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, index: usize) {
        if self.claim(index) {
            for needed in self.needs(index) {
                self.begin(scope, needed);
            }
            scope.spawn(move || self.run_stage(scope, index));
        }
    }

    fn run_stage<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, index: usize) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage::run(self, scope, index)));
        let slot = match outcome {
            Ok(Ok(state)) => Slot::Done(Arc::new(state)),
            Ok(Err(error)) => {
                self.fail(error);
                Slot::Failed
            }
            Err(_) => {
                self.fail(Error::refused("a step ended in a panic: this is a mistake in hako"));
                Slot::Failed
            }
        };
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)[index] = slot;
        self.changed.notify_all();
    }

    /// Keeps the first error and stops the rest.
    fn fail(&self, error: Error) {
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        let replaces = match (&*first, error.cause()) {
            (None, _) => true,
            (Some(known), cause) => matches!(known.cause(), Error::Cancelled) && !matches!(cause, Error::Cancelled),
        };
        if replaces {
            *first = Some(error);
        }
        drop(first);
        self.tools.cancel.set();
    }

    fn tell(&self, event: Event) {
        self.tools.watcher.tell(event);
    }

    /// Notes a cache mount; of several steps' the strictest way of sharing counts.
    fn has_cache(&self, mount: Option<CacheMount>) {
        let Some(mount) = mount else { return };
        let mut mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = mounts.entry(mount.name.clone()).or_insert_with(|| mount.clone());
        if known.sharing == Sharing::Shared {
            known.sharing = mount.sharing;
        }
    }

    fn next_step(&self) -> usize {
        self.tools.series.next_step()
    }

    /// Whether what earlier builds made is not to be used for a stage.
    fn is_fresh(&self, index: usize) -> bool {
        use crate::request::Reuse;
        match &self.request.reuse {
            Reuse::All => false,
            Reuse::Nothing => true,
            Reuse::Except(names) => {
                let own = self.file.stages[index].from.name.clone().unwrap_or_else(|| index.to_string());
                names.iter().any(|name| name.eq_ignore_ascii_case(&own))
            }
        }
    }

    /// The image a state is.
    fn image(&self, state: &State) -> ImageConfig {
        let mut config = state.config.clone();
        if !self.request.labels.is_empty() {
            let labels = config.labels.get_or_insert_default();
            labels.extend(self.request.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let created = match self.request.epoch {
            Some(epoch) => Some(key::moment(epoch)),
            None => state.created.clone().or_else(|| Some(now_text())),
        };
        let mut history = state.history.clone();
        for entry in &mut history {
            if entry.created.is_none() {
                entry.created.clone_from(&created);
            }
        }
        ImageConfig {
            architecture: state.platform.architecture.clone(),
            variant: state.platform.variant.clone(),
            os: state.platform.os.clone(),
            created,
            author: state.author.clone(),
            config,
            rootfs: RootFs { diff_ids: state.diff_ids.clone(), ..RootFs::default() },
            history,
            ..ImageConfig::default()
        }
    }
}

/// The value of a name in a list of pairs; the last one counts.
pub(crate) fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}
