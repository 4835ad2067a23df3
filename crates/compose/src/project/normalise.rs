//! What Compose implies without its being written: the default network, names, a build's Dockerfile, dependencies by
//! link and by shared namespace.

use super::Project;
use crate::environment::Environment;
use crate::yaml::{Map, Node, Text, Value};

impl Project {
    /// Fills in what is implied.
    pub(super) fn normalise(&mut self, raw: bool) {
        for service in self.services.values_mut() {
            pass_on_build_args(service, &self.environment);
            default_network(service);
            complete_build(service);
            imply_dependencies(service);
            complete_steps(service);
            if !raw {
                agree_on_scale(service);
            }
            if service.text("pull_policy") == "if_not_present" {
                set(service, "pull_policy", "missing".into());
            }
        }
        let uses_default = self.services.values().any(|service| service.at_path(&["networks", "default"]).is_some());
        if uses_default && !self.networks.contains_key("default") {
            self.networks.insert("default", Node::made(Value::Map(Map::default())));
        }
        for network in self.networks.values_mut() {
            // Compose reads the options of address management and forgets them.
            if let Some(ipam) = network.map_mut().and_then(|map| map.get_mut("ipam")?.map_mut()) {
                ipam.remove("options");
            }
        }
        let sections = [&mut self.networks, &mut self.volumes, &mut self.secrets, &mut self.configs];
        for section in sections {
            name_members(section, &self.name);
        }
    }
}

/// Arguments without a value take the surroundings', or go.
fn pass_on_build_args(service: &mut Node, environment: &Environment) {
    let Some(args) = service.map_mut().and_then(|map| map.get_mut("build")?.map_mut()?.get_mut("args")) else { return };
    match &mut args.value {
        Value::Map(map) => {
            for (name, value) in map.iter_mut().filter(|(_, value)| value.is_null()) {
                value.value = environment.get(name).map_or(Value::Null, Value::from);
            }
            map.retain(|_, value| !value.is_null());
        }
        Value::List(items) => {
            for item in items.iter_mut() {
                let name = item.as_text().filter(|text| !text.contains('=')).map(str::to_owned);
                if let Some(name) = name {
                    let value = environment.get(&name).map(|value| Value::Text(format!("{name}={value}").into()));
                    item.value = value.unwrap_or_default();
                }
            }
            items.retain(|item| !item.is_null());
        }
        _ => {}
    }
}

fn set(node: &mut Node, key: &str, value: Value) {
    let mark = node.mark;
    if let Some(map) = node.map_mut() {
        map.insert(key, Node::at(value, mark));
    }
}

fn default_network(service: &mut Node) {
    // An empty mode is one too.
    let elsewhere = service.get("network_mode").is_some() || service.get("provider").is_some();
    let empty = service.get("networks").and_then(Node::map).is_none_or(Map::is_empty);
    if elsewhere || !empty {
        return;
    }
    let mark = service.mark;
    let networks = Map::from_iter([("default".to_owned(), Node::at(Value::Null, mark))]);
    set(service, "networks", Value::Map(networks));
}

fn complete_build(service: &mut Node) {
    let Some(build) = service.map_mut().and_then(|map| map.get_mut("build")) else { return };
    if build.get("dockerfile").is_none() && build.get("dockerfile_inline").is_none() {
        set(build, "dockerfile", "Dockerfile".into());
    }
}

/// Steps before the start have the service's image unless they name one.
fn complete_steps(service: &mut Node) {
    let image = service.text("image").to_owned();
    let steps = service.map_mut().and_then(|map| map.get_mut("pre_start"));
    if let Some(Node { value: Value::List(steps), .. }) = steps
        && !image.is_empty()
    {
        for step in steps.iter_mut().filter(|step| step.text("image").is_empty()) {
            set(step, "image", image.as_str().into());
        }
    }
}

/// Links, shared namespaces and `volumes_from` mean that the other service is there first.
fn imply_dependencies(service: &mut Node) {
    let mut implied: Vec<(String, bool)> = Vec::new();
    implied.extend(service.texts("links").iter().map(|link| (link.split(':').next().unwrap_or(link).to_owned(), true)));
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        implied.extend(service.text(key).strip_prefix("service:").map(|name| (name.to_owned(), true)));
    }
    let from = service.texts("volumes_from");
    let from = from.iter().filter(|from| !from.starts_with("container:"));
    implied.extend(from.map(|from| (from.split(':').next().unwrap_or(from).to_owned(), false)));
    if implied.is_empty() {
        return;
    }
    let mark = service.mark;
    let Some(map) = service.map_mut() else { return };
    let depends_on = map.or_insert("depends_on", || Node::at(Value::Map(Map::default()), mark));
    for (name, restart) in implied {
        let member = |key: &str, value: Value| (Text::new(key), Node::at(value, mark));
        let dependency = Map::from_iter([
            member("condition", "service_started".into()),
            member("restart", Value::Bool(restart)),
            member("required", Value::Bool(true)),
        ]);
        if let Some(map) = depends_on.map_mut() {
            map.or_insert(name, || Node::at(Value::Map(dependency), mark));
        }
    }
}

/// `scale` and `deploy.replicas` say the same thing.
fn agree_on_scale(service: &mut Node) {
    let (scale, replicas) = (service.int("scale"), service.get("deploy").and_then(|deploy| deploy.int("replicas")));
    if let (Some(scale), None) = (scale, replicas)
        && let Some(deploy) = service.map_mut().and_then(|map| map.get_mut("deploy"))
    {
        set(deploy, "replicas", Value::Int(scale.into()));
    }
}

/// What has no name is called after the project, unless it is made elsewhere.
fn name_members(section: &mut Map, project: &str) {
    for (key, member) in section {
        if member.is_null() {
            member.value = Value::Map(Map::default());
        }
        let own = member.at_path(&["external", "name"]).and_then(Node::as_text).map(str::to_owned);
        if !member.text("name").is_empty() {
            continue;
        }
        let external = member.on("external") || member.get("external").is_some_and(|node| node.map().is_some());
        let name = own.unwrap_or_else(|| if external { key.to_string() } else { format!("{project}_{key}") });
        set(member, "name", Value::Text(name.into()));
    }
}
