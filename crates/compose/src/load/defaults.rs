//! What a group of files means without saying it, whatever else is asked for: where a build's context is, that
//! dependencies and files of variables are required.

use crate::path::Base;
use crate::yaml::{Map, Node, Value};

/// Fills a merged model in.
pub(super) fn fill(model: &mut Node, base: Option<&Base>, raw: bool) {
    let Some(model) = model.map_mut() else { return };
    for section in ["networks", "volumes"] {
        for member in members(model, section).filter(|member| member.is_null()) {
            member.value = Value::Map(Map::default());
        }
    }
    let here = base.map_or_else(|| ".".to_owned(), |base| base.resolve("."));
    for service in members(model, "services").filter_map(Node::map_mut) {
        if let Some(build) = service.get_mut("build").filter(|build| build.text("context").is_empty()) {
            set(build, "context", here.as_str().into());
        }
        let files = service.get_mut("env_file").and_then(|files| match &mut files.value {
            Value::List(items) => Some(items.iter_mut()),
            _ => None,
        });
        files.into_iter().flatten().for_each(require);
        members(service, "depends_on").for_each(require);
        let all = || if raw { "all".into() } else { Value::Int(-1) };
        let reserved = ["deploy", "resources", "reservations", "devices"];
        let path: [&[&str]; 2] = [&["gpus"], &reserved];
        for path in path {
            let Some(Value::List(requests)) = at_path(service, path).map(|node| &mut node.value) else { continue };
            let open = |request: &&mut Node| request.get("count").is_none() && request.get("device_ids").is_none();
            requests.iter_mut().filter(open).for_each(|request| set(request, "count", all()));
        }
    }
}

fn members<'m>(map: &'m mut Map, key: &str) -> impl Iterator<Item = &'m mut Node> + use<'m> {
    map.get_mut(key).and_then(Node::map_mut).into_iter().flat_map(Map::values_mut)
}

fn at_path<'m>(map: &'m mut Map, path: &[&str]) -> Option<&'m mut Node> {
    let (key, rest) = path.split_first()?;
    let node = map.get_mut(key)?;
    if rest.is_empty() { Some(node) } else { at_path(node.map_mut()?, rest) }
}

fn require(node: &mut Node) {
    if node.get("required").is_none() {
        set(node, "required", Value::Bool(true));
    }
}

fn set(node: &mut Node, key: &str, value: Value) {
    let mark = node.mark;
    if let Some(map) = node.map_mut() {
        map.insert(key, Node::at(value, mark));
    }
}
