//! One stage: its base, then instruction after instruction.

use std::sync::Arc;
use std::thread::Scope as Threads;

use hako_model::digest::Digest;
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::{ChainId, Hasher};

use super::key::{Inputs, moment};
use super::meta::{Scope, check_size};
use super::state::State;
use super::{Build, Kept, find};
use crate::cache::{Found, Record, now, now_text};
use crate::dockerfile::{Instruction, Kind, Lines};
use crate::files::place::model::Traits;
use crate::progress::{Event, Step};
use crate::request::Context;
use crate::{Error, Result};

/// A stage on its way.
pub(super) struct Stage<'b, 'scope, 'env> {
    pub(super) build: &'scope Build<'b>,
    pub(super) threads: &'scope Threads<'scope, 'env>,
    pub(super) index: usize,
    pub(super) state: State,
    pub(super) scope: Scope<'scope>,
    number: usize,
    total: usize,
    /// The platform as steps say it, if there are several.
    shown: String,
}

/// Runs a stage to its end.
pub(super) fn run<'b, 'scope>(
    build: &'scope Build<'b>,
    threads: &'scope Threads<'scope, '_>,
    index: usize,
) -> Result<State> {
    let scope = Scope { lexer: build.lexer(), globals: &build.globals, request: build.request };
    let state = State::default();
    let mut stage = Stage { build, threads, index, state, scope, number: 0, total: 0, shown: String::new() };
    if build.tools.series.several {
        // What is no platform is said by its FROM.
        stage.shown = stage.platform().map(|platform| platform.to_string()).unwrap_or_default();
    }
    let own = &build.file.stages[index];
    stage.total = usize::from(stage.has_own_base())
        + own.instructions.iter().filter(|instruction| makes_layers(&instruction.kind)).count();
    stage.begin(own.lines)?;
    let triggers = stage.state.config.on_build.take().unwrap_or_default();
    let triggers: Vec<Instruction> =
        triggers.iter().map(|text| Ok(Instruction::trigger(text, own.lines)?)).collect::<Result<_>>()?;
    stage.total += triggers.iter().filter(|instruction| makes_layers(&instruction.kind)).count();
    for instruction in triggers.iter().chain(&own.instructions) {
        build.tools.cancel.check()?;
        stage.perform(instruction)?;
    }
    Ok(stage.state)
}

fn makes_layers(kind: &Kind) -> bool {
    matches!(kind, Kind::Add(_) | Kind::Copy(_) | Kind::Run(_) | Kind::Workdir(_))
}

impl<'scope> Stage<'_, 'scope, '_> {
    /// FROM.
    fn begin(&mut self, lines: Lines) -> Result<()> {
        let own = &self.build.file.stages[self.index];
        let text = own.source.clone();
        let step = self.announce(text, self.has_own_base());
        let state = self.base(step);
        let outcome = state.map(|state| self.state = state);
        self.conclude(step, outcome.map_err(|error| error.at(lines)))
    }

    /// Whether it begins with an image, which counts as a step, and not with another stage or nothing.
    fn has_own_base(&self) -> bool {
        self.build.base_name(self.index).is_ok_and(|name| {
            let replaced = self.build.request.contexts.contains_key(&name);
            replaced || name != "scratch" && self.build.file.find_named(&name, self.index).is_none()
        })
    }

    fn base(&self, step: usize) -> Result<State> {
        let name = self.build.base_name(self.index)?;
        match self.build.request.contexts.get(&name) {
            Some(Context::Image(image)) => return Ok(State::clone(&*self.image(image, step)?)),
            Some(Context::Files(_) | Context::Remote(_)) => {
                let why =
                    "is a directory of files, and cannot be a base: use COPY --from, or a docker-image:// context";
                return Err(Error::refused(format!("build context {name:?} {why}")));
            }
            None => {}
        }
        if name == "scratch" {
            return Ok(State::scratch(&self.platform()?));
        }
        if let Some(stage) = self.build.file.find_named(&name, self.index) {
            let state = self.build.stage(self.threads, stage)?;
            return Ok(State { own_cmd: false, ..State::clone(&*state) });
        }
        Ok(State::clone(&*self.image(&name, step)?))
    }

    /// What FROM or the caller says it is for.
    fn platform(&self) -> Result<Platform> {
        let Some(text) = &self.build.file.stages[self.index].from.platform else {
            return Ok(self.build.platform.clone());
        };
        let text = self.scope.lexer.expand(text, &|name| find(&self.build.globals, name));
        let text = text.map_err(|error| Error::refused(error.to_string()))?;
        if text.is_empty() {
            return Err(Error::refused("empty platform value from expression"));
        }
        Platform::parse(&text).map_err(|error| Error::refused(format!("failed to parse platform {text}: {error}")))
    }

    /// An image, asked for once in a build.
    pub(super) fn image(&self, name: &str, step: usize) -> Result<Arc<State>> {
        Reference::parse(name)
            .map_err(|error| Error::refused(format!("failed to parse stage name {name:?}: {error}")))?;
        self.build.tell(Event::Base {
            step,
            image: Reference::parse_tagged(name).map_or_else(|_| name.to_owned(), |r| r.to_string()),
        });
        let platform = self.platform()?;
        let key = format!("{name} {platform}");
        let known = self.build.images.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned();
        if let Some(state) = known {
            return Ok(state);
        }
        let tools = &self.build.tools;
        let tell = |text: &str| self.build.tell(Event::Note { step, text: text.to_owned() });
        let image = tools.workshop.image(name, &platform, self.build.request.pull, &tell)?;
        self.build.took_image(name, &image, &platform);
        let state = Arc::new(State::of(&image, tools.store)?);
        let mut images = self.build.images.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Arc::clone(images.entry(key).or_insert(state)))
    }

    fn perform(&mut self, instruction: &Instruction) -> Result<()> {
        let step = self.announce(instruction.source.clone(), makes_layers(&instruction.kind));
        let outcome = match &instruction.kind {
            Kind::Add(copying) => self.copy(copying, true, instruction, step),
            Kind::Copy(copying) => self.copy(copying, false, instruction, step),
            Kind::Run(run) => self.run(run, instruction, step),
            Kind::Workdir(path) => self.workdir(path, instruction, step),
            kind => self.scope.apply(&mut self.state, kind),
        };
        let outcome = outcome.and_then(|()| check_size(self.state.size()));
        self.conclude(step, outcome.map_err(|error| error.at(instruction.lines)))
    }

    fn announce(&mut self, text: String, counts: bool) -> usize {
        let step = self.build.next_step();
        self.number += usize::from(counts);
        let own = &self.build.file.stages[self.index];
        let name = own.from.name.clone().unwrap_or_else(|| format!("stage-{}", self.index));
        let stage = if self.build.has_stages() { name } else { String::new() };
        let stage = [self.shown.as_str(), stage.as_str()].join(" ").trim().to_owned();
        let number = if counts { self.number } else { 0 };
        self.build.tell(Event::Begun(Step { step, stage, number, total: self.total, whole: self.build.whole(), text }));
        step
    }

    fn conclude(&self, step: usize, outcome: Result<()>) -> Result<()> {
        match &outcome {
            Ok(()) => self.build.tell(Event::Done { step, layer: self.state.top().map(|top| top.to_string()) }),
            Err(error) => self.build.tell(Event::Failed { step, message: error.to_string() }),
        }
        outcome
    }

    /// Finds a step's layer among what earlier builds made, or makes it.
    pub(super) fn layer(
        &mut self,
        step: usize,
        inputs: &Inputs,
        instruction: &Instruction,
        text: String,
        make: impl FnOnce(&Self) -> Result<Made>,
    ) -> Result<()> {
        let build = self.build;
        let place = self.place(instruction);
        let key = inputs.key();
        let is_fresh = || self.is_fresh() && !build.tools.series.has(&key);
        let fresh = is_fresh();
        let mut found = build.tools.cache.find(&key, fresh, build.tools.cancel)?;
        if fresh && !is_fresh() {
            // The build for another platform made it meanwhile.
            drop(found);
            found = build.tools.cache.find(&key, false, build.tools.cancel)?;
        }
        let making = match found {
            Found::Here(record) => {
                build.tell(Event::Cached { step });
                return self.stand_on(key, &record.layer, record.created, text, instruction);
            }
            Found::Missing(making) => making,
        };
        let record = |layer: &ChainId, created: &str, size| Record {
            layer: layer.clone(),
            text: instruction.source.clone(),
            created: created.to_owned(),
            used: now(),
            place: place.clone(),
            inputs: inputs.account(),
            size,
        };
        let tell = |text: &str| build.tell(Event::Note { step, text: text.to_owned() });
        if !fresh && let Some(found) = build.tools.workshop.recall(&key, &self.state.diff_ids, &tell)? {
            let (layer, created) = (found.layer, found.created);
            build.tools.cache.keep(making, record(&layer.chain_id, &created, layer.size), &[])?;
            build.tell(Event::Cached { step });
            return self.stand_on(key, &layer.chain_id, created, text, instruction);
        }
        self.explain(step, inputs, &place, fresh);
        let slot = build.tools.series.slots.take();
        let made = make(self)?;
        drop(slot);
        let created = build.request.epoch.map_or_else(now_text, moment);
        // Before it can be found: who waited for it must see whose it is.
        build.tools.series.note(&key);
        build.tools.cache.keep(making, record(&made.layer, &created, made.size), &made.placed)?;
        self.stand_on(key, &made.layer, created, text, instruction)
    }

    /// Puts a step's layer on top.
    fn stand_on(
        &mut self,
        key: Digest,
        layer: &ChainId,
        created: String,
        text: String,
        instruction: &Instruction,
    ) -> Result<()> {
        self.state.push(layer, created.clone(), text.clone(), self.build.tools.store)?;
        let below = self.state.last.replace(key.clone());
        let (layer, lines, _pin) = (layer.clone(), instruction.lines, self.state.pin.clone());
        let kept = Kept { key, layer, created, text, lines, below, _pin };
        self.build.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(kept);
        Ok(())
    }

    /// Whether what earlier builds made is not to be used.
    pub(super) fn is_fresh(&self) -> bool {
        self.build.is_fresh(self.index)
    }

    /// Where a step stands, whatever goes into it.
    pub(super) fn place(&self, instruction: &Instruction) -> Digest {
        let own = &self.build.file.stages[self.index];
        let stage = own.from.name.clone().unwrap_or_else(|| self.index.to_string());
        Hasher::digest(format!("{}\n{stage}\n{}", self.build.request.name, instruction.source).as_bytes())
    }

    fn explain(&self, step: usize, inputs: &Inputs, place: &Digest, fresh: bool) {
        let text = match self.build.tools.cache.last_at(place) {
            _ if fresh => "earlier results are not to be used".to_owned(),
            None => "no earlier build had this instruction here".to_owned(),
            Some(record) => inputs.difference(&record.inputs),
        };
        self.build.tell(Event::Why { step, text });
    }

    /// The layer below, as an input.
    pub(super) fn below(&self, inputs: &mut Inputs) {
        inputs.add("the layer below", self.state.top().map_or_else(String::new, |top| top.to_string()));
        if let Some(epoch) = self.build.request.epoch {
            inputs.add("SOURCE_DATE_EPOCH", epoch.to_string());
        }
    }
}

/// A layer that was made.
pub(super) struct Made {
    pub(super) layer: ChainId,
    pub(super) size: u64,
    /// What it was made of, for a later layer to be made after; only of COPY and ADD.
    pub(super) placed: Vec<(String, Traits)>,
}
