//! A later file over an earlier one: scalars replaced, mappings merged, lists appended, `!reset` and `!override` obeyed.
//! Both sides conform already.

use std::collections::HashMap;

use crate::shape::{By, Kind, Shape};
use crate::yaml::{Directive, Map, Node, Text, Value};

/// Puts `over` on top of `base`; nothing remains where `over` takes the value away.
pub(crate) fn merge(base: Option<Node>, over: Node, kind: Kind) -> Option<Node> {
    match (over.directive, base) {
        (Directive::Reset, _) => None,
        (Directive::Override, _) | (_, None) => Some(settled(over)),
        (Directive::Merge, Some(base)) => Some(both(base, over, kind)),
    }
}

/// A value without anything beneath it: what it takes away was never there.
fn settled(mut node: Node) -> Node {
    settle(&mut node);
    node
}

fn settle(node: &mut Node) {
    node.directive = Directive::Merge;
    match &mut node.value {
        Value::Map(map) => {
            if map.values().any(|value| value.directive == Directive::Reset) {
                map.retain(|_, value| value.directive != Directive::Reset);
            }
            map.values_mut().for_each(settle);
        }
        Value::List(items) => {
            items.retain(|item| item.directive != Directive::Reset);
            items.iter_mut().for_each(settle);
        }
        _ => {}
    }
}

fn both(base: Node, over: Node, kind: Kind) -> Node {
    let mark = over.mark;
    if over.value == Value::Null && mapping(kind) {
        return base;
    }
    match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => {
            if object(kind).is_some_and(|shape| differs(&base, &over, shape)) {
                return settled(Node::at(Value::Map(over), mark));
            }
            Node::at(Value::Map(merge_maps(base, over, kind)), mark)
        }
        // Only without interpolation are pairs still as written: one of the two forms is the other then.
        (base, over @ (Value::List(_) | Value::Map(_))) if matches!(kind, Kind::Variables | Kind::Labels) => {
            let pairs = pairs(base).into_iter().chain(pairs(over));
            let name = |pair: &Node| pair.as_text().map(|text| text.split('=').next().unwrap_or(text).into());
            Node::at(Value::List(unique(pairs, name)), mark)
        }
        (Value::List(base), Value::List(over)) => Node::at(Value::List(lists(base, over, kind)), mark),
        (_, over) => settled(Node::at(over, mark)),
    }
}

/// `KEY=value` each.
fn pairs(value: Value) -> Vec<Node> {
    let pair = |(name, value): (Text, Node)| {
        let text = value.scalar().map_or_else(|| name.clone(), |text| format!("{name}={text}").into());
        Node::at(Value::Text(text), value.mark)
    };
    match value {
        Value::Map(map) => map.into_iter().map(pair).collect(),
        Value::List(items) => items,
        _ => Vec::new(),
    }
}

fn object(kind: Kind) -> Option<&'static Shape> {
    match kind {
        Kind::Object(shape) | Kind::Part(shape) => Some(shape),
        Kind::Short(_, inner) => object(*inner),
        _ => None,
    }
}

fn mapping(kind: Kind) -> bool {
    match kind {
        Kind::Object(_) | Kind::Part(_) | Kind::Named(_) => true,
        Kind::Short(_, inner) => mapping(*inner),
        _ => false,
    }
}

/// Whether two objects cannot be merged because they are of different sorts (the options of another log driver).
fn differs(base: &Map, over: &Map, shape: &Shape) -> bool {
    match (base.get(shape.same), over.get(shape.same)) {
        (Some(base), Some(over)) => base.value != over.value,
        _ => false,
    }
}

fn merge_maps(mut base: Map, over: Map, kind: Kind) -> Map {
    for (key, value) in over {
        let kind = member(kind, &key);
        match merge(base.get_mut(&key).map(std::mem::take), value, kind) {
            Some(merged) => {
                base.insert(key, merged);
            }
            None => {
                base.remove(&key);
            }
        }
    }
    base
}

/// The kind of a mapping's member.
fn member(kind: Kind, key: &str) -> Kind {
    match kind {
        Kind::Object(shape) | Kind::Part(shape) => shape.field(key).map_or(Kind::Texts, |field| field.kind),
        Kind::Named(shape) => Kind::Object(shape),
        Kind::Short(_, inner) => member(*inner, key),
        _ => Kind::Texts,
    }
}

fn lists(base: Vec<Node>, over: Vec<Node>, kind: Kind) -> Vec<Node> {
    match kind {
        Kind::Command | Kind::Probe => over,
        Kind::Short(_, inner) => lists(base, over, *inner),
        Kind::Set | Kind::Members | Kind::Numbers => {
            unique(base.into_iter().chain(over), |item| item.as_text().map(|text| before_equals(text).into()))
        }
        Kind::Paths | Kind::Files | Kind::Hosts => unique(base.into_iter().chain(over), |item| item.scalar()),
        Kind::Objects(_, by) => unique(base.into_iter().chain(over), |item| identity(item, by)),
        _ => base.into_iter().chain(over).collect(),
    }
}

/// What tells the texts of a list apart: to Compose each might be `name=value`.
pub(crate) fn before_equals(text: &str) -> &str {
    text.split('=').next().unwrap_or(text)
}

/// Later ones take the place of earlier ones that are the same.
pub(crate) fn unique(items: impl Iterator<Item = Node>, name: impl Fn(&Node) -> Option<Text>) -> Vec<Node> {
    let (mut found, mut places): (Vec<Node>, HashMap<Text, usize>) = (Vec::new(), HashMap::new());
    for item in items {
        match name(&item).map(|name| places.entry(name)) {
            Some(std::collections::hash_map::Entry::Occupied(place)) => found[*place.get()] = item,
            Some(std::collections::hash_map::Entry::Vacant(place)) => {
                place.insert(found.len());
                found.push(item);
            }
            None => found.push(item),
        }
    }
    found
}

fn identity(item: &Node, by: By) -> Option<Text> {
    let text = |key: &&str| item.get(key).and_then(Node::scalar);
    match by {
        By::Nothing => None,
        By::Keys(keys) => {
            Some(keys.iter().map(|key| text(key).unwrap_or_default()).collect::<Vec<_>>().join("\n").into())
        }
        By::First(keys) => keys.iter().find_map(text),
    }
}

/// Within one file, too, later ones take the place of earlier ones.
pub(crate) fn without_repeats(service: &mut Node, shape: &Shape) {
    for (key, value) in service.map_mut().into_iter().flatten() {
        let (Value::List(items), Some(field)) = (&mut value.value, shape.field(key)) else { continue };
        let kind = if let Kind::Short(_, inner) = field.kind { *inner } else { field.kind };
        if let Kind::Objects(_, by) = kind {
            let taken = std::mem::take(items);
            *items = unique(taken.into_iter(), |item| identity(item, by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conform::Conform;
    use crate::shape::{SERVICE, Trail};
    use crate::yaml::{Limits, json, read};

    fn service(text: &str) -> Node {
        let node = read(text, 0, Limits::default()).unwrap().remove(0);
        let conform = Conform { base: None, raw: false, remarks: Default::default() };
        conform.node(node, Kind::Object(&SERVICE), &Trail::TOP.step("services").step("s")).unwrap()
    }

    fn check(base: &str, over: &str, wanted: &str) {
        let merged = merge(Some(service(base)), service(over), Kind::Object(&SERVICE)).unwrap();
        assert_eq!(json(&merged, false, false), wanted, "{base} + {over}");
    }

    #[test]
    fn every_kind_merges_its_own_way() {
        check("{image: a, tty: true}", "{image: b}", r#"{"image":"b","tty":true}"#);
        check("{command: a b}", "{command: c}", r#"{"command":["c"]}"#);
        check("{dns: 1.1.1.1}", "{dns: [8.8.8.8, 1.1.1.1]}", r#"{"dns":["1.1.1.1","8.8.8.8"]}"#);
        check("{environment: [A=1, B=1]}", "{environment: {B: 2}}", r#"{"environment":{"A":"1","B":"2"}}"#);
        check("{security_opt: [a]}", "{security_opt: [a]}", r#"{"security_opt":["a","a"]}"#);
        check("{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: b}}", r#"{"logging":{"driver":"b"}}"#);
        check(
            "{logging: {driver: a, options: {x: 1}}}",
            "{logging: {options: {y: 2}}}",
            r#"{"logging":{"driver":"a","options":{"x":"1","y":"2"}}}"#,
        );
        check("{networks: {n: {aliases: [a]}}}", "{networks: [n]}", r#"{"networks":{"n":{"aliases":["a"]}}}"#);
    }

    #[test]
    fn mounts_and_ports_are_told_apart_by_what_they_are() {
        check(
            "{volumes: [\"./one:/data\", \"cache:/cache\"]}",
            "{volumes: [\"./two:/data\"]}",
            r#"{"volumes":[{"type":"bind","source":"./two","target":"/data","bind":{"create_host_path":true}},{"type":"volume","source":"cache","target":"/cache","volume":{}}]}"#,
        );
        check(
            "{ports: [\"80:80\"]}",
            "{ports: [\"80:80\", \"81:80\"]}",
            r#"{"ports":[{"mode":"ingress","target":80,"published":"80","protocol":"tcp"},{"mode":"ingress","target":80,"published":"81","protocol":"tcp"}]}"#,
        );
    }

    #[test]
    fn tags_take_away_and_put_in_place() {
        check(
            "{image: a, ports: [\"1:1\"]}",
            "{ports: !override [\"2:2\"]}",
            r#"{"image":"a","ports":[{"mode":"ingress","target":2,"published":"2","protocol":"tcp"}]}"#,
        );
        check("{image: a, command: x}", "{command: !reset null}", r#"{"image":"a"}"#);
        check("{environment: {A: 1, B: 2}}", "{environment: {A: !reset null}}", r#"{"environment":{"B":"2"}}"#);
    }
}
