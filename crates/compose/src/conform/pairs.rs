//! Lists and mappings of texts: environment, labels, hosts, options, limits.

use crate::error::Refusal;
use crate::expand::refuse;
use crate::shape::Trail;
use crate::yaml::{Map, Node, Text, Value};

/// What is done with a text that stands twice in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Kept,
    Dropped,
    Refused,
}

/// One text as a list of it.
pub(super) fn lone(node: Node) -> Node {
    match node.value {
        Value::Text(_) => {
            let Node { value, mark, directive } = node;
            Node { value: Value::List(vec![Node::at(value, mark)]), mark, directive }
        }
        _ => node,
    }
}

/// A list of texts.
pub(super) fn texts(node: Node, repeats: Repeats, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Node { value: Value::List(items), mark, directive } = node else {
        return Err(refuse(node.mark, trail, "must be a list"));
    };
    let mut seen = std::collections::HashSet::new();
    let mut texts = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let text = match &item.value {
            Value::Text(_) | Value::Int(_) | Value::Float(_) => item.scalar(),
            _ => None,
        };
        let text = text.ok_or_else(|| refuse(item.mark, &trail.item(place), "must be a string"))?;
        let again = !seen.insert(text.clone());
        if again && repeats == Repeats::Refused {
            return Err(refuse(item.mark, &trail.item(place), format!("{text:?} stands twice")));
        }
        if !again || repeats == Repeats::Kept {
            texts.push(Node::at(Value::Text(text), item.mark));
        }
    }
    Ok(Node { value: Value::List(texts), mark, directive })
}

/// `[KEY=value, KEY]` or `{KEY: value}`; a variable without a value is null, to be looked up later.
pub(super) fn variables(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    pairs(node, trail, true)
}

/// As [`variables`], but without a value means empty.
pub(super) fn labels(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    pairs(node, trail, false)
}

fn pairs(node: Node, trail: &Trail<'_>, keep: bool) -> Result<Node, Refusal> {
    let Node { value, mark, directive } = node;
    let empty = || if keep { Value::Null } else { Value::Text(Text::default()) };
    let mut found = Map::default();
    match value {
        Value::Map(map) => {
            for (key, item) in map {
                let value = match (&item.value, item.scalar()) {
                    _ if item.directive == crate::yaml::Directive::Reset => item.value.clone(),
                    (Value::Null, _) => empty(),
                    (Value::Date(_), _) => {
                        return Err(refuse(item.mark, &trail.step(&key), "is a date to YAML: put it in quotes"));
                    }
                    (_, Some(text)) => Value::Text(text),
                    _ => return Err(refuse(item.mark, &trail.step(&key), "must be a string, number, boolean or null")),
                };
                found.append(key, Node { value, ..item });
            }
        }
        Value::List(items) => {
            for (place, item) in items.into_iter().enumerate() {
                let Value::Text(text) = &item.value else {
                    return Err(refuse(item.mark, &trail.item(place), "must be a string"));
                };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Value::Text(value.into())),
                    None => (text.as_str(), empty()),
                };
                found.insert(key, Node::at(value, item.mark));
            }
        }
        _ => return Err(refuse(mark, trail, "must be a mapping or a list")),
    }
    Ok(Node { value: Value::Map(found), mark, directive })
}

/// `{name: text}`.
pub(super) fn options(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Some(map) = node.map() else { return Err(refuse(node.mark, trail, "must be a mapping")) };
    if let Some((key, value)) = map.iter().find(|(_, value)| matches!(value.value, Value::Bool(_))) {
        return Err(refuse(value.mark, &trail.step(key), "must be a string or a number: put it in quotes"));
    }
    labels(node, trail)
}

/// `["host:1.2.3.4", "host=::1"]` or `{host: 1.2.3.4, host: [..]}`, as a sorted list of `host=address`.
pub(super) fn hosts(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Node { value, mark, directive } = node;
    let mut found: Vec<(Text, Node)> = Vec::new();
    let mut add = |name: &str, address: &str, mark| {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        found.push((
            format!("{name}={address}").into(),
            Node::at(Value::Text(format!("{name}={address}").into()), mark),
        ));
    };
    match value {
        Value::Map(map) => {
            for (name, item) in map {
                let addresses = if item.as_text().is_some() { std::slice::from_ref(&item) } else { item.items() };
                for address in addresses.iter().filter_map(Node::as_text) {
                    add(&name, address, item.mark);
                }
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                let text = item.as_text().unwrap_or_default();
                let split = text.split_once('=').or_else(|| text.split_once(':'));
                let Some((name, address)) = split.filter(|(name, address)| !name.is_empty() && !address.is_empty())
                else {
                    let reason = format!("bad host name {text:?}: write it as \"name=address\"");
                    return Err(refuse(item.mark, &trail.item(place), reason));
                };
                add(name, address, item.mark);
            }
        }
        _ => return Err(refuse(mark, trail, "must be a mapping or a list")),
    }
    // Compose orders them by name, each name's addresses as written.
    found.sort_by(|left, right| left.0.split('=').next().cmp(&right.0.split('=').next()));
    let items = found.into_iter().map(|(_, node)| node).collect();
    Ok(Node { value: Value::List(items), mark, directive })
}

/// `{nofile: 10, nproc: {soft: 1, hard: 2}}`.
pub(super) fn ulimits(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Node { value: Value::Map(map), mark, directive } = node else {
        return Err(refuse(node.mark, trail, "must be a mapping"));
    };
    let whole = |node: Node, trail: &Trail<'_>| super::scalar::cast(node, crate::shape::Kind::Whole, trail);
    let mut found = Map::default();
    for (name, item) in map {
        let here = trail.step(&name);
        let limit = match item.value {
            Value::Map(pair) => {
                let mut limits = Map::default();
                for (key, value) in pair {
                    limits.insert(key.clone(), whole(value, &here.step(&key))?);
                }
                if !["soft", "hard"].iter().all(|key| limits.contains_key(key)) {
                    return Err(refuse(item.mark, &here, "must be a number, or have both soft and hard"));
                }
                Node::at(Value::Map(limits), item.mark)
            }
            value => whole(Node::at(value, item.mark), &here)?,
        };
        found.insert(name.clone(), limit);
    }
    Ok(Node { value: Value::Map(found), mark, directive })
}

/// A provider's options: each a list of texts.
pub(super) fn choices(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Node { value: Value::Map(map), mark, directive } = node else {
        return Err(refuse(node.mark, trail, "must be a mapping"));
    };
    let listed = |item: Node| {
        let texts = if item.scalar().is_some() { std::slice::from_ref(&item) } else { item.items() };
        let texts = texts.iter().filter_map(Node::scalar).map(|text| Node::at(Value::Text(text), item.mark)).collect();
        Node::at(Value::List(texts), item.mark)
    };
    let found = map.into_iter().map(|(key, item)| (key, listed(item))).collect();
    Ok(Node { value: Value::Map(found), mark, directive })
}
