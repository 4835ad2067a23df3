//! A project: services and what they share, in canonical form, with the place each value was written.

mod api_socket;
mod consistency;
mod environment;
mod normalise;
mod order;
mod selection;

use std::path::PathBuf;

use crate::conform::{Conform, Remarks};
use crate::environment::Environment;
use crate::error::{Error, Place};
use crate::load::{Group, Options, Trouble, VariableUse, place};
use crate::merge::merge;
use crate::path::Base;
use crate::shape::{Kind, SERVICE, Trail};
use crate::yaml::{Map, Mark, Node, Text, Value};

pub(crate) use consistency::is_external;
pub use order::{Direction, dependencies, order};

/// A project. Services, networks and so on are nodes in canonical form; [`crate::yaml::Node`] reads their members.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The directory relative paths start from.
    pub directory: PathBuf,
    /// The files it was made of.
    pub files: Vec<PathBuf>,
    /// The variables it was expanded with.
    pub environment: Environment,
    /// The services that take part.
    pub services: Map,
    /// The services whose profiles are not active.
    pub disabled: Map,
    /// Networks.
    pub networks: Map,
    /// Volumes.
    pub volumes: Map,
    /// Secrets.
    pub secrets: Map,
    /// Configs.
    pub configs: Map,
    /// Models.
    pub models: Map,
    /// `x-` sections.
    pub extensions: Map,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// Every file that was read; marks point into it.
    pub sources: Vec<PathBuf>,
    /// What was odd, but no reason to refuse.
    pub warnings: Vec<String>,
    /// Where variables are used.
    pub uses: Vec<VariableUse>,
    /// What stands between the parts of a name.
    pub(crate) separator: char,
    /// The daemon's socket, for services that use it.
    pub(crate) socket: String,
    /// The working directory, for messages.
    pub(crate) here: PathBuf,
}

impl Project {
    /// Makes a project of a merged model.
    pub(crate) fn assemble(name: String, group: Group, mut model: Node, options: &Options) -> Result<Self, Trouble> {
        let mut section = |key: &str| match model.map_mut().and_then(|map| map.remove(key)).map(|node| node.value) {
            Some(Value::Map(map)) => map,
            _ => Map::default(),
        };
        let mut project = Self {
            name,
            directory: group.directory,
            files: group.files,
            services: section("services"),
            disabled: Map::default(),
            networks: section("networks"),
            volumes: section("volumes"),
            secrets: section("secrets"),
            configs: section("configs"),
            models: section("models"),
            extensions: model.map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-")).map(owned).collect(),
            profiles: active_profiles(options, &group.environment),
            environment: group.environment,
            sources: Vec::new(),
            warnings: Vec::new(),
            uses: Vec::new(),
            separator: if options.compatible { '_' } else { '-' },
            socket: String::new(),
            here: options.directory.clone(),
        };
        if options.normalise {
            project.normalise(!options.interpolate);
        }
        if options.interpolate {
            project.disable_unwanted();
        }
        if options.interpolate {
            project.resolve_environment(options.resolve_environment)?;
        }
        if options.consistent {
            project.check()?;
        }
        Ok(project)
    }

    /// A project without services: what flags and surroundings alone tell.
    #[must_use]
    pub fn empty(options: &Options) -> Self {
        let environment = Environment::of_process(options.environment.iter().cloned());
        Self {
            name: options.project_name.clone().unwrap_or_default(),
            directory: options.directory.clone(),
            files: Vec::new(),
            services: Map::default(),
            disabled: Map::default(),
            networks: Map::default(),
            volumes: Map::default(),
            secrets: Map::default(),
            configs: Map::default(),
            models: Map::default(),
            extensions: Map::default(),
            profiles: Vec::new(),
            environment,
            sources: Vec::new(),
            warnings: Vec::new(),
            uses: Vec::new(),
            separator: if options.compatible { '_' } else { '-' },
            socket: String::new(),
            here: options.directory.clone(),
        }
    }

    /// Adds an entry in its short form to one of a service's lists: a port, a volume.
    ///
    /// # Errors
    /// The entry is malformed.
    pub fn extend_service(&mut self, service: &str, key: &str, entry: &str) -> Result<(), Error> {
        let list = Node::made(Value::List(vec![Node::made(entry.into())]));
        let only = Map::from_iter([(key.to_owned(), list)]);
        let home = self.environment.get("HOME").map(str::to_owned);
        let conform = Conform {
            base: Some(Base { directory: self.here.clone(), home }),
            raw: false,
            remarks: Remarks::default(),
        };
        let over = conform
            .node(Node::made(Value::Map(only)), Kind::Object(&SERVICE), &Trail::TOP.step(service))
            .map_err(|refusal| Error::Invalid { place: None, fault: refusal.fault })?;
        let base = self.services.remove(service);
        if let Some(merged) = merge(base, over, Kind::Object(&SERVICE)) {
            self.services.insert(service.to_owned(), merged);
        }
        Ok(())
    }

    /// A service that takes part.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Node> {
        self.services.get(name)
    }

    /// Where a value was written, if anybody wrote it.
    #[must_use]
    pub fn place(&self, mark: Mark) -> Option<Place> {
        place(mark, &self.sources, &self.here)
    }

    /// How many containers a service has.
    #[must_use]
    pub fn scale(service: &Node) -> usize {
        let replicas = || service.get("deploy").and_then(|deploy| deploy.int("replicas"));
        let scale = service.int("scale").or_else(replicas).unwrap_or(1);
        usize::try_from(scale).unwrap_or(0)
    }

    /// Sets how many containers a service has.
    pub fn set_scale(&mut self, service: &str, scale: usize) {
        let number = || Node::made(Value::Int(i128::try_from(scale).unwrap_or(i128::MAX)));
        let Some(map) = self.services.get_mut(service).and_then(Node::map_mut) else { return };
        map.insert("scale", number());
        if let Some(deploy) = map.get_mut("deploy").and_then(Node::map_mut) {
            deploy.insert("replicas", number());
        }
    }

    /// A name of several parts, the project's first.
    #[must_use]
    pub fn named(&self, parts: &[&str]) -> String {
        let parts: Vec<&str> = std::iter::once(self.name.as_str()).chain(parts.iter().copied()).collect();
        parts.join(self.separator.encode_utf8(&mut [0; 4]))
    }

    /// The image of a service: its own, or the name its build gets.
    #[must_use]
    pub fn image(&self, name: &str, service: &Node) -> String {
        match service.text("image") {
            "" => format!("{}{}{name}", self.name, self.separator),
            image => image.to_owned(),
        }
    }
}

/// The images that a service's first steps name.
pub(crate) fn step_images(service: &Node) -> impl Iterator<Item = &str> {
    service.list("pre_start").iter().map(|step| step.text("image")).filter(|image| !image.is_empty())
}

fn owned((key, node): (&Text, &Node)) -> (Text, Node) {
    (key.clone(), node.clone())
}

fn active_profiles(options: &Options, environment: &Environment) -> Vec<String> {
    let mut profiles = options.profiles.clone();
    if profiles.is_empty() {
        let named = environment.given("COMPOSE_PROFILES").unwrap_or_default();
        profiles = named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    profiles
}
