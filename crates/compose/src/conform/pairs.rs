//! Lists and mappings of texts: environment, labels, hosts, options, limits.

use std::collections::HashMap;

use crate::error::Refusal;
use crate::expand::refuse;
use crate::merge::before_equals;
use crate::shape::Trail;
use crate::yaml::{Map, Node, Text, Value};

/// What is done with a text that stands twice in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Kept,
    /// Dropped; what stands before an equals sign tells them apart.
    Dropped,
    /// Dropped, if they are the same.
    Same,
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

/// A list whose whole numbers are texts, too.
pub(super) fn numbers(mut node: Node) -> Node {
    if let Value::List(items) = &mut node.value {
        for item in items.iter_mut().filter(|item| matches!(item.value, Value::Int(_))) {
            item.value = Value::Text(item.scalar().unwrap_or_default());
        }
    }
    node
}

/// A list of texts.
pub(super) fn texts(node: Node, repeats: Repeats, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Node { value: Value::List(items), mark, directive } = node else {
        return Err(refuse(node.mark, trail, "must be a list"));
    };
    let mut places: HashMap<Text, usize> = HashMap::new();
    let mut texts: Vec<Node> = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let Some(text) = item.as_text() else {
            return Err(refuse(item.mark, &trail.item(place), "must be a string"));
        };
        let name = if repeats == Repeats::Dropped { before_equals(text) } else { text };
        match places.get(name) {
            Some(_) if repeats == Repeats::Refused => {
                return Err(refuse(item.mark, &trail.item(place), format!("{text:?} stands twice")));
            }
            Some(place) if repeats != Repeats::Kept => texts[*place] = item,
            _ => {
                places.insert(name.into(), texts.len());
                texts.push(item);
            }
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

/// As [`labels`], but every value is there and a text.
pub(super) fn contexts(node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let unfit = |item: &&Node| item.as_text().is_some_and(|text| !text.contains('='));
    if let Some(item) = node.items().iter().find(unfit) {
        let text = item.as_text().unwrap_or_default();
        return Err(refuse(item.mark, trail, format!("invalid value {text}, expected key=value")));
    }
    let unfit = |item: &Node| item.as_text().is_none() && item.directive == crate::yaml::Directive::Merge;
    if let Some((key, item)) = node.map().into_iter().flatten().find(|(_, item)| unfit(item)) {
        return Err(refuse(item.mark, &trail.step(key), "must be a string"));
    }
    labels(node, trail)
}

/// What the values of a mapping may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Texts.
    Texts,
    /// Texts and numbers.
    Numbers,
    /// Texts, numbers, and nothing, which is an empty text.
    Optional,
}

/// `{name: text}`.
pub(super) fn options(node: Node, values: Values, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let Some(map) = node.map() else { return Err(refuse(node.mark, trail, "must be a mapping")) };
    let unfit = |value: &Node| match value.value {
        _ if value.directive == crate::yaml::Directive::Reset => false,
        Value::Text(_) => false,
        Value::Int(_) | Value::Float(_) => values == Values::Texts,
        Value::Null => values != Values::Optional,
        _ => true,
    };
    if let Some((key, value)) = map.iter().find(|(_, value)| unfit(value)) {
        let reason = match values {
            Values::Texts => "must be a string: put it in quotes",
            Values::Numbers | Values::Optional => "must be a string or a number: put it in quotes",
        };
        return Err(refuse(value.mark, &trail.step(key), reason));
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
                let fits = item.as_text().is_some() || matches!(item.value, Value::List(_));
                let addresses = if item.as_text().is_some() { std::slice::from_ref(&item) } else { item.items() };
                if !fits || addresses.iter().any(|address| address.as_text().is_none()) {
                    return Err(refuse(item.mark, &trail.step(&name), "must be a string or a list of strings"));
                }
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
    let whole = |node: Node, trail: &Trail<'_>| match node.value {
        Value::Float(_) => Err(refuse(node.mark, trail, "must be a whole number, without an exponent")),
        _ => super::scalar::cast(node, crate::shape::Kind::Whole, trail),
    };
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
    let odd = |item: &&Node| matches!(item.value, Value::Null | Value::Map(_) | Value::List(_) | Value::Date(_));
    let unfit = |item: &Node| match &item.value {
        Value::List(items) => items.iter().any(|item| odd(&item)),
        _ => odd(&item),
    };
    if let Some((key, item)) = map.iter().find(|(_, item)| unfit(item)) {
        return Err(refuse(item.mark, &trail.step(key), "must be a boolean, number or string, or a list of them"));
    }
    let listed = |item: Node| {
        let texts = if item.scalar().is_some() { std::slice::from_ref(&item) } else { item.items() };
        let texts = texts.iter().filter_map(Node::scalar).map(|text| Node::at(Value::Text(text), item.mark)).collect();
        Node::at(Value::List(texts), item.mark)
    };
    let found = map.into_iter().map(|(key, item)| (key, listed(item))).collect();
    Ok(Node { value: Value::Map(found), mark, directive })
}
