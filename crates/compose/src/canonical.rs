//! `config`: the project as Compose writes it, and the hashes Compose compares.

use sha2::{Digest as _, Sha256};

use crate::project::Project;
use crate::render::{Form, free, named, object, sorted};
use crate::shape::{Kind, PROJECT, SERVICE, Shape};
use crate::yaml::{Map, Node, Value, json, natural, write};

impl Project {
    /// The project in YAML, dollars doubled so that reading it again expands nothing.
    #[must_use]
    pub fn to_yaml(&self, escape: bool) -> String {
        let text = write(&self.shown(Form::Yaml));
        if escape && text.contains('$') { text.replace('$', "$$") } else { text }
    }

    /// The project in JSON.
    #[must_use]
    pub fn to_json(&self, escape: bool) -> String {
        let text = json(&self.shown(Form::Json), true, true);
        if escape { text.replace('$', "$$") } else { text }
    }

    /// The model as written, but for short forms (`--no-interpolate`).
    #[must_use]
    pub fn to_raw_yaml(&self) -> String {
        write(&self.raw())
    }

    /// As [`Project::to_raw_yaml`], in JSON.
    #[must_use]
    pub fn to_raw_json(&self) -> String {
        let mut raw = self.raw();
        hollow(&mut raw, Some(Kind::Object(&PROJECT)));
        json(&raw, true, true)
    }

    fn raw(&self) -> Node {
        let mut out = self.members();
        out.insert("name", Node::made(Value::Text(self.name.clone().into())));
        out.sort_by(natural);
        free(&Node::made(Value::Map(out)), Form::Yaml)
    }

    fn sections(&self) -> [(&'static str, &Map); 6] {
        [
            ("services", &self.services),
            ("networks", &self.networks),
            ("volumes", &self.volumes),
            ("secrets", &self.secrets),
            ("configs", &self.configs),
            ("models", &self.models),
        ]
    }

    fn members(&self) -> Map {
        let mut out = Map::default();
        for (name, section) in self.sections().into_iter().filter(|(name, it)| *name == "services" || !it.is_empty()) {
            out.insert(name, Node::made(Value::Map(section.clone())));
        }
        out.extend(self.extensions.iter().map(|(key, value)| (key.clone(), value.clone())));
        out
    }

    fn shown(&self, form: Form) -> Node {
        let mut out = Map::default();
        out.insert("name", Node::made(Value::Text(self.name.clone().into())));
        for (name, section) in self.sections().into_iter().filter(|(name, _)| form == Form::Yaml || *name != "models") {
            if let Some(shown) = named(section, shape_of(name), form) {
                out.insert(name, Node::made(shown));
            }
        }
        out.extend(sorted(self.extensions.iter(), form).map(|(key, value)| (key.clone(), free(value, form))));
        if form == Form::Json {
            out.sort_by(str::cmp);
        }
        if self.services.is_empty() {
            out.insert("services", Node::made(Value::Map(Map::default())));
        }
        Node::made(Value::Map(out))
    }
}

/// Empty lists are null in Go's JSON, but for those that Compose rewrites.
fn hollow(node: &mut Node, kind: Option<Kind>) {
    match (&mut node.value, kind) {
        (_, Some(Kind::Always(inner))) => hollow(node, Some(*inner)),
        (Value::List(items), _) if items.is_empty() => {
            let rewritten = matches!(
                kind,
                Some(
                    Kind::Short(..)
                        | Kind::Set
                        | Kind::Members
                        | Kind::Numbers
                        | Kind::Variables
                        | Kind::Labels
                        | Kind::Contexts
                        | Kind::Hosts
                        | Kind::Paths
                )
            );
            if !rewritten {
                node.value = Value::Null;
            }
        }
        (_, Some(Kind::Short(_, inner))) => hollow(node, Some(*inner)),
        (Value::List(items), kind) => {
            let inner = if let Some(Kind::Objects(shape, _)) = kind { Some(Kind::Object(shape)) } else { None };
            items.iter_mut().for_each(|item| hollow(item, inner));
        }
        (Value::Map(map), kind) => {
            for (key, value) in map {
                let inner = match kind {
                    Some(Kind::Object(shape) | Kind::Part(shape)) => shape.field(key).map(|field| field.kind),
                    Some(Kind::Named(shape)) => Some(Kind::Object(shape)),
                    _ => None,
                };
                hollow(value, inner);
            }
        }
        _ => {}
    }
}

/// A service as Compose hashes it: without what does not change a container.
#[must_use]
pub fn hashed_service(service: &Node) -> Node {
    let mut service = service.clone();
    if let Some(map) = service.map_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            map.remove(key);
        }
        if let Some(deploy) = map.get_mut("deploy").and_then(Node::map_mut) {
            deploy.remove("replicas");
        }
    }
    object(&service, &SERVICE, Form::Json)
}

/// The keys by which a service shares what another one's container has.
const SHARED: [&str; 3] = ["network_mode", "ipc", "pid"];

/// The services whose containers a service's own one is made with: whose namespaces it is in, whose volumes it has.
#[must_use]
pub fn shares(service: &Node) -> Vec<String> {
    let modes = SHARED.iter().filter_map(|key| service.text(key).strip_prefix("service:")).map(str::to_owned);
    let volumes = service.texts("volumes_from").into_iter().filter(|from| !from.starts_with("container:"));
    modes.chain(volumes.map(|from| from.split(':').next().unwrap_or_default().to_owned())).collect()
}

/// A service with the containers in place of the services it shares with, as Compose hashes it; `of` gives a service's
/// first container.
pub(crate) fn resolved(service: &Node, of: &dyn Fn(&str) -> Option<String>) -> Node {
    let mut service = service.clone();
    let Some(map) = service.map_mut() else { return service };
    for key in SHARED {
        let id = map.get(key).and_then(Node::as_text).and_then(|mode| mode.strip_prefix("service:")).and_then(of);
        if let Some(id) = id {
            map.insert(key, Node::made(Value::Text(format!("container:{id}").into())));
        }
    }
    if let Some(Value::List(all)) = map.get_mut("volumes_from").map(|node| &mut node.value) {
        for from in all {
            // Compose's hash leaves out what may be done with them.
            let text = from.as_text().unwrap_or_default();
            let mut parts = text.split(':');
            let id = match (parts.next().unwrap_or_default(), parts.next()) {
                ("container", Some(id)) => Some(id.to_owned()),
                (service, _) => of(service),
            };
            if let Some(id) = id {
                from.value = Value::Text(id.into());
            }
        }
    }
    service
}

/// The hash of a service's configuration, as Compose writes it into `com.docker.compose.config-hash`.
#[must_use]
pub fn service_hash(service: &Node) -> String {
    digest(&hashed_service(service))
}

/// The hash of a network's configuration.
#[must_use]
pub fn network_hash(network: &Node) -> String {
    digest(&object(network, shape_of("networks"), Form::Json))
}

/// The hash of a volume's configuration.
#[must_use]
pub fn volume_hash(volume: &Node) -> String {
    let mut volume = volume.clone();
    if volume.text("driver").is_empty()
        && let Some(map) = volume.map_mut()
    {
        map.insert("driver", Node::made("local".into()));
    }
    digest(&object(&volume, shape_of("volumes"), Form::Json))
}

fn shape_of(section: &str) -> &'static Shape {
    match PROJECT.field(section).map(|field| field.kind) {
        Some(Kind::Named(shape)) => shape,
        _ => &PROJECT,
    }
}

fn digest(node: &Node) -> String {
    let hash = Sha256::digest(json(node, false, true).as_bytes());
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}
