//! A value as somebody wrote it becomes the value the specification means: short forms long, texts cast, keys checked.

mod pairs;
mod scalar;

pub(crate) use scalar::duration;

use crate::error::{Fault, Refusal};
use crate::expand::refuse;
use crate::path::Base;
use crate::shape::{Kind, Shape, Trail};
use crate::yaml::{Directive, Keyed, Map, Node, Value};

/// How files are made to conform.
#[derive(Clone, Debug)]
pub(crate) struct Conform {
    /// Where the file's paths lead; none leaves them as written.
    pub(crate) base: Option<Base>,
    /// Only short forms become long; values stay as written (`--no-interpolate`).
    pub(crate) raw: bool,
}

impl Conform {
    /// Makes one value conform.
    pub(crate) fn node(&self, node: Node, kind: Kind, trail: &Trail<'_>) -> Result<Node, Refusal> {
        if node.directive == Directive::Reset {
            return Ok(Node { value: Value::Null, ..node });
        }
        let Node { value, mark, directive } = node;
        let node = Node { value, mark, directive: Directive::Merge };
        Ok(Node { directive, ..self.value(node, kind, trail)? })
    }

    fn value(&self, node: Node, kind: Kind, trail: &Trail<'_>) -> Result<Node, Refusal> {
        match kind {
            Kind::Short(expand, inner) => self.value(expand(node, trail)?, *inner, trail),
            Kind::Object(shape) | Kind::Part(shape) => self.object(node, shape, trail),
            Kind::Objects(shape, _) => self.objects(node, shape, trail),
            Kind::Named(shape) => self.named(node, shape, trail),
            Kind::Path => Ok(self.paths(node, Base::resolve)),
            Kind::Location => Ok(self.paths(node, Base::resolve_context)),
            Kind::Agents if self.raw => Ok(self.agents_by_name(node)),
            Kind::Loose if !(self.raw && trail.key() == "published") => scalar::cast(node, kind, trail),
            _ if self.raw => Ok(node),
            Kind::Paths => {
                let list = pairs::texts(node, true, trail)?;
                Ok(self.paths(list, Base::resolve))
            }
            Kind::Texts => pairs::texts(node, false, trail),
            Kind::Set => pairs::texts(node, true, trail),
            Kind::Variables => pairs::variables(node, trail),
            Kind::Labels => pairs::labels(node, trail),
            Kind::Options => pairs::options(node, trail),
            Kind::Hosts => pairs::hosts(node, trail),
            Kind::Agents => self.agents(node, trail),
            Kind::Ulimits => pairs::ulimits(node, trail),
            Kind::Choices => pairs::choices(node, trail),
            kind => scalar::cast(node, kind, trail),
        }
    }

    fn paths(&self, mut node: Node, resolve: fn(&Base, &str) -> String) -> Node {
        let Some(base) = &self.base else { return node };
        match &mut node.value {
            Value::Text(text) => *text = resolve(base, text),
            Value::List(items) => {
                for item in items {
                    if let Value::Text(text) = &mut item.value {
                        *text = resolve(base, text);
                    }
                }
            }
            _ => {}
        }
        node
    }

    /// Agents and keys as a mapping, their paths resolved.
    fn agents_by_name(&self, node: Node) -> Node {
        let Node { value, mark, directive } = node;
        let by_name = |item: Node| {
            let text = item.as_text().unwrap_or_default();
            let (name, path) = text.split_once('=').map_or((text, Value::Null), |(name, path)| (name, path.into()));
            (name.to_owned(), Node::at(path, item.mark))
        };
        let map: Map = match value {
            Value::List(items) => items.into_iter().map(by_name).collect(),
            Value::Map(map) => map,
            value => return Node { value, mark, directive },
        };
        let map = map.into_iter().map(|(name, path)| (name, self.paths(path, Base::resolve))).collect();
        Node { value: Value::Map(map), mark, directive }
    }

    /// `[default]` and `{id: path}`.
    fn agents(&self, node: Node, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let node = pairs::labels(node, trail)?;
        let Value::Map(map) = node.value else { return Ok(node) };
        let text = |(key, value): (String, Node)| {
            let path = value.as_text().unwrap_or_default();
            let resolved = self.base.as_ref().map_or_else(|| path.to_owned(), |base| base.resolve(path));
            let text = if path.is_empty() { key } else { format!("{key}: {resolved}") };
            Node::at(Value::Text(text), value.mark)
        };
        Ok(Node { value: Value::List(map.into_iter().map(text).collect()), ..node })
    }

    fn object(&self, node: Node, shape: &Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::Map(map), mark, directive } = node else {
            if node.is_null() && trail.key().is_empty() {
                return Ok(node);
            }
            return Err(refuse(node.mark, trail, "must be a mapping"));
        };
        let mut members = Map::with_capacity_and_hasher(map.len(), Keyed);
        for (key, value) in map {
            if key.starts_with("x-") {
                members.insert(key, value);
                continue;
            }
            let Some(field) = shape.field(&key) else { return Err(unknown(&key, &value, shape, trail)) };
            if value.is_null() && value.directive == Directive::Merge && !keeps_null(field.kind) {
                if strict(field.kind) {
                    return Err(refuse(value.mark, &trail.step(&key), format!("must be {}", wanted(field.kind))));
                }
                continue;
            }
            let value = self.node(value, field.kind, &trail.step(&key))?;
            members.insert(key, value);
        }
        for required in shape.required {
            if !members.contains_key(*required) {
                let reason = format!("missing property '{required}'");
                return Err(refuse(mark, trail, reason));
            }
        }
        Ok(Node { value: Value::Map(self.with_sources(members)), mark, directive })
    }

    /// A bind mount's source and a local volume's device are paths only because of their neighbours.
    fn with_sources(&self, mut members: Map) -> Map {
        let Some(base) = &self.base else { return members };
        let text = |map: &Map, key: &str| map.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        if text(&members, "type") == "bind"
            && members.contains_key("target")
            && let Some(Node { value: Value::Text(source), .. }) = members.get_mut("source")
        {
            *source = base.resolve(source);
        }
        let local = text(&members, "driver") == "local";
        if let Some(Value::Map(options)) = members.get_mut("driver_opts").map(|node| &mut node.value) {
            let binds = text(options, "o").split(',').any(|option| option == "bind") && local;
            if let Some(Node { value: Value::Text(device), .. }) = options.get_mut("device").filter(|_| binds) {
                *device = base.resolve(device);
            }
        }
        if let Some(Value::Map(contexts)) = members.get_mut("additional_contexts").map(|node| &mut node.value) {
            for context in contexts.values_mut() {
                if let Value::Text(path) = &mut context.value {
                    *path = base.resolve_context(path);
                }
            }
        }
        members
    }

    fn objects(&self, node: Node, shape: &Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::List(items), mark, directive } = node else {
            return Err(refuse(node.mark, trail, "must be a list"));
        };
        let conform = |(place, item): (usize, Node)| self.object(item, shape, &trail.step(&place.to_string()));
        let items: Result<_, _> = items.into_iter().enumerate().map(conform).collect();
        Ok(Node { value: Value::List(items?), mark, directive })
    }

    fn named(&self, node: Node, shape: &'static Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::Map(map), mark, directive } = node else {
            return Err(refuse(node.mark, trail, "must be a mapping"));
        };
        let mut members = Map::with_capacity_and_hasher(map.len(), Keyed);
        for (name, value) in map {
            let here = trail.step(&name);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.starts_with("x-") && trail.key() != "services" {
                members.insert(name, value);
                continue;
            }
            if !name.chars().all(fits) {
                return Err(value.mark.refuse(Fault::Unknown { path: trail.to_string(), key: name, near: None }));
            }
            let empty = value.is_null() && value.directive == Directive::Merge;
            if empty && trail.key() == "services" {
                return Err(refuse(value.mark, &here, "must be a mapping"));
            }
            let value = if value.is_null() { value } else { self.node(value, Kind::Object(shape), &here)? };
            members.insert(name.clone(), value);
        }
        Ok(Node { value: Value::Map(members), mark, directive })
    }
}

/// Whether `key:` without a value means something else than the key's absence.
fn keeps_null(kind: Kind) -> bool {
    matches!(kind, Kind::Command)
}

/// Whether `key:` without a value is a mistake: something that must be text.
fn strict(kind: Kind) -> bool {
    matches!(kind, Kind::Choice(_) | Kind::Object(_))
}

fn wanted(kind: Kind) -> &'static str {
    if matches!(kind, Kind::Choice(_)) { "a string" } else { "a mapping" }
}

fn unknown(key: &str, value: &Node, shape: &Shape, trail: &Trail<'_>) -> Refusal {
    let near = nearest(key, shape.fields.iter().map(|field| field.name));
    value.mark.refuse(Fault::Unknown { path: trail.to_string(), key: key.to_owned(), near })
}

/// The name that is a few slips of the finger away, if one is.
pub(crate) fn nearest<'n>(key: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let slips = 1 + key.len() / 4;
    let found = names.map(|name| (distance(key, name), name)).min_by_key(|(distance, _)| *distance)?;
    (found.0 <= slips).then(|| found.1.to_owned())
}

/// How many letters must be changed, added, taken or swapped.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().take(64).collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (y, a) in left.iter().enumerate() {
        let mut row = vec![y + 1];
        for (x, b) in right.iter().enumerate() {
            let change = rows[y][x] + usize::from(a != b);
            let mut least = change.min(rows[y][x + 1] + 1).min(row[x] + 1);
            if y > 0 && x > 0 && *a == right[x - 1] && left[y - 1] == *b {
                least = least.min(rows[y - 1][x - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::SERVICE;

    #[test]
    fn the_nearest_key_is_found() {
        let near = |key: &str| nearest(key, SERVICE.fields.iter().map(|field| field.name));
        assert_eq!(near("imagee").as_deref(), Some("image"));
        assert_eq!(near("enviroment").as_deref(), Some("environment"));
        assert_eq!(near("depend_on").as_deref(), Some("depends_on"));
        assert_eq!(near("prots").as_deref(), Some("ports"));
        assert_eq!(near("colour"), None);
    }
}
