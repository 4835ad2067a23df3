//! Short forms become long ones: `"8080:80/udp"`, `./data:/data:ro`, `[db, cache]`. What the long form's values may be
//! is checked afterwards, by the tables.

mod mount;
mod port;

use crate::error::{Fault, Refusal};
use crate::shape::Trail;
use crate::yaml::{Directive, Map, Mark, Node, Text, Value};

/// A refusal of a value at a place.
pub(crate) fn refuse(mark: Mark, trail: &Trail<'_>, reason: impl Into<String>) -> Refusal {
    mark.refuse(Fault::Value { path: trail.to_string(), reason: reason.into() })
}

/// A mapping of the given members, all at one place.
fn object(mark: Mark, members: impl IntoIterator<Item = (&'static str, Value)>) -> Node {
    let map: Map = members.into_iter().map(|(key, value)| (Text::const_new(key), Node::at(value, mark))).collect();
    Node::at(Value::Map(map), mark)
}

/// Turns each text of a list into an object; what is none is left as it is.
fn each_text(
    node: Node,
    trail: &Trail<'_>,
    expand: impl Fn(&str, Mark, &Trail<'_>) -> Result<Vec<Node>, Refusal>,
) -> Result<Node, Refusal> {
    let Node { value, mark, directive } = node;
    let Value::List(items) = value else { return Ok(Node { value, mark, directive }) };
    let mut long = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        match item.value {
            Value::Text(text) if item.directive != Directive::Reset => {
                long.extend(expand(&text, item.mark, &trail.item(place))?);
            }
            value => long.push(Node { value, ..item }),
        }
    }
    Ok(Node { value: Value::List(long), mark, directive })
}

/// `build: DIR`.
pub(crate) fn build(node: Node, _: &Trail<'_>) -> Result<Node, Refusal> {
    Ok(text_as(node, "context"))
}

/// `extends: SERVICE`.
pub(crate) fn extends(node: Node, _: &Trail<'_>) -> Result<Node, Refusal> {
    Ok(text_as(node, "service"))
}

fn text_as(node: Node, key: &'static str) -> Node {
    match node.value {
        Value::Text(text) => Node { directive: node.directive, ..object(node.mark, [(key, Value::Text(text))]) },
        value => Node { value, ..node },
    }
}

/// `[a, b]` as `{a: null, b: null}`.
pub(crate) fn names(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    named(node, trail, |_| Value::Null)
}

/// `depends_on: [a, b]`.
pub(crate) fn depends_on(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    named(node, trail, |mark| {
        object(mark, [("condition", "service_started".into()), ("required", Value::Bool(true))]).value
    })
}

fn named(node: Node, trail: &Trail<'_>, empty: impl Fn(Mark) -> Value) -> Result<Node, Refusal> {
    let Value::List(items) = node.value else { return Ok(node) };
    let mut map = Map::default();
    for (place, item) in items.into_iter().enumerate() {
        let Value::Text(name) = item.value else {
            return Err(refuse(item.mark, &trail.item(place), "must be a string"));
        };
        if map.contains_key(&name) {
            return Err(refuse(item.mark, &trail.item(place), format!("{name:?} stands twice")));
        }
        map.append(name, Node::at(empty(item.mark), item.mark));
    }
    Ok(Node { value: Value::Map(map), ..node })
}

/// `env_file: a.env` and `env_file: [a.env, …]`.
pub(crate) fn env_files(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    each_text(listed(node), trail, |text, mark, _| {
        Ok(vec![object(mark, [("path", text.into()), ("required", Value::Bool(true))])])
    })
}

/// `include: [file, …]`.
pub(crate) fn includes(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    each_text(node, trail, |text, mark, _| {
        let path = Value::List(vec![Node::at(text.into(), mark)]);
        Ok(vec![object(mark, [("path", path)])])
    })
}

/// One text as a list of it.
fn listed(node: Node) -> Node {
    match &node.value {
        Value::Text(_) => {
            let Node { value, mark, directive } = node;
            Node { value: Value::List(vec![Node::at(value, mark)]), mark, directive }
        }
        _ => node,
    }
}

/// `configs: [name]`.
pub(crate) fn grants(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    each_text(node, trail, |text, mark, _| Ok(vec![object(mark, [("source", text.into())])]))
}

/// `secrets: [name]`, which lie in `/run/secrets` unless said otherwise.
pub(crate) fn secret_grants(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let mut node = grants(node, trail)?;
    if let Value::List(items) = &mut node.value {
        for item in items {
            let (source, mark) = (item.text("source").to_owned(), item.mark);
            if let Some(map) = item.map_mut() {
                let target = || Node::at(Value::Text(format!("/run/secrets/{source}").into()), mark);
                map.or_insert("target", target);
            }
        }
    }
    Ok(node)
}

/// `devices: [/dev/a:/dev/b:rwm]`.
pub(crate) fn devices(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    each_text(node, trail, |text, mark, trail| {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, permissions) = match parts[..] {
            [source] => (source, source, "rwm"),
            [source, target] => (source, target, "rwm"),
            [source, target, permissions] => (source, target, permissions),
            _ => return Err(refuse(mark, trail, format!("confusing device mapping, please use long syntax: {text}"))),
        };
        let members = [("source", source), ("target", target), ("permissions", permissions)];
        Ok(vec![object(mark, members.map(|(key, text)| (key, text.into())))])
    })
}

/// `gpus: all`.
pub(crate) fn gpus(node: Node, _: &Trail<'_>) -> Result<Node, Refusal> {
    if node.as_text() != Some("all") {
        return Ok(node);
    }
    let one = object(node.mark, [("count", "all".into())]);
    Ok(Node { value: Value::List(vec![one]), ..node })
}

/// `ports: ["8080:80"]`; a range becomes a port each.
pub(crate) fn ports(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let node = numbers_as_text(node);
    let unsettled = |item: &Node| item.as_text().is_some_and(|text| text.contains('$'));
    if node.items().iter().any(unsettled) {
        // Variables are in it still: nobody can tell what their values will be.
        return Ok(node);
    }
    let mut node = each_text(node, trail, port::parse)?;
    if let Value::List(items) = &mut node.value {
        for item in items {
            let mark = item.mark;
            if let Some(map) = item.map_mut().filter(|map| map.contains_key("target")) {
                map.or_insert("protocol", || Node::at("tcp".into(), mark));
                map.or_insert("mode", || Node::at("ingress".into(), mark));
            }
        }
    }
    Ok(node)
}

fn numbers_as_text(mut node: Node) -> Node {
    if let Value::List(items) = &mut node.value {
        for item in items.iter_mut().filter(|item| matches!(item.value, Value::Int(_))) {
            item.value = Value::Text(item.scalar().unwrap_or_default());
        }
    }
    node
}

/// `volumes: ["./data:/data:ro"]`.
pub(crate) fn mounts(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let mut node = each_text(node, trail, |text, mark, trail| Ok(vec![mount::parse(text, mark, trail)?]))?;
    if let Value::List(items) = &mut node.value {
        for target in items.iter_mut().filter_map(|item| item.map_mut()?.get_mut("target")) {
            if let Value::Text(path) = &mut target.value {
                *path = crate::path::clean(path).into();
            }
        }
    }
    Ok(node)
}
