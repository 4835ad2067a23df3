//! A value as somebody wrote it becomes the value the specification means: short forms long, texts cast, keys checked.

mod pairs;
mod scalar;
mod written;

pub(crate) use scalar::duration;

use std::sync::{Arc, Mutex, PoisonError};

use compact_str::format_compact;

use crate::error::{Fault, Refusal};
use crate::expand::refuse;
use crate::path::Base;
use crate::shape::{Kind, Shape, Trail};
use crate::yaml::{Directive, Map, Node, Text, Value};

/// How files are made to conform.
#[derive(Clone, Debug)]
pub(crate) struct Conform {
    /// Where the file's paths lead; none leaves them as written.
    pub(crate) base: Option<Base>,
    /// Only short forms become long; values stay as written (`--no-interpolate`).
    pub(crate) raw: bool,
    /// What is still understood, but should be written otherwise.
    pub(crate) remarks: Remarks,
}

/// Warnings about values, from whoever comes upon them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    fn add(&self, remark: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(remark);
    }

    /// Takes them.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
            Kind::Path if node.as_text() == Some("") => Ok(node),
            Kind::Path => Ok(self.paths(scalar::cast(node, Kind::Text, trail)?, Base::resolve)),
            Kind::Location => Ok(self.paths(scalar::cast(node, Kind::Text, trail)?, Base::resolve_context)),
            Kind::Files => {
                let list = pairs::texts(pairs::lone(node), pairs::Repeats::Kept, trail)?;
                Ok(self.paths(list, Base::resolve_file))
            }
            Kind::Paths if self.raw => Ok(self.paths(pairs::lone(node), Base::resolve)),
            Kind::Agents if self.raw => Ok(self.agents_by_name(node)),
            Kind::Loose | Kind::Stance if !(self.raw && trail.key() == Some("published")) => {
                scalar::cast(node, kind, trail)
            }
            Kind::Always(inner) => self.value(node, *inner, trail),
            _ if self.raw => written::check(node, kind, trail),
            Kind::Paths => {
                let list = pairs::texts(pairs::lone(node), pairs::Repeats::Kept, trail)?;
                Ok(self.paths(list, Base::resolve))
            }
            Kind::Texts => pairs::texts(node, pairs::Repeats::Kept, trail),
            Kind::Set => {
                let mut list = pairs::texts(pairs::lone(node), pairs::Repeats::Dropped, trail)?;
                // What a variable that is not set leaves is no name server.
                if let (Some("dns"), Value::List(items)) = (trail.key(), &mut list.value) {
                    items.retain(|item| item.as_text() != Some(""));
                }
                Ok(list)
            }
            Kind::Members => pairs::texts(node, pairs::Repeats::Dropped, trail),
            Kind::Numbers => pairs::texts(pairs::numbers(node), pairs::Repeats::Same, trail),
            Kind::Distinct => pairs::texts(node, pairs::Repeats::Refused, trail),
            Kind::Patterns => pairs::texts(pairs::lone(node), pairs::Repeats::Refused, trail),
            Kind::Groups => pairs::texts(pairs::numbers(node), pairs::Repeats::Refused, trail),
            Kind::Variables => pairs::variables(node, trail),
            Kind::Labels => pairs::labels(node, trail),
            Kind::Contexts => pairs::contexts(node, trail),
            Kind::Options => pairs::options(node, pairs::Values::Numbers, trail),
            Kind::Settings => pairs::options(node, pairs::Values::Optional, trail),
            Kind::Strings => pairs::options(node, pairs::Values::Texts, trail),
            Kind::Hosts => pairs::hosts(node, trail),
            Kind::Agents => self.agents(node, trail),
            Kind::Ulimits => pairs::ulimits(node, trail),
            Kind::Choices => pairs::choices(node, trail),
            Kind::Switch | Kind::Choosable | Kind::OptOut | Kind::External => {
                self.remark(&node);
                scalar::cast(node, kind, trail)
            }
            kind => scalar::cast(node, kind, trail),
        }
    }

    /// Switches of YAML 1.1 are texts to YAML 1.2.
    fn remark(&self, node: &Node) {
        let Some(text) = node.as_text() else { return };
        let Ok(Value::Bool(on)) = scalar::switch(text) else { return };
        if !text.eq_ignore_ascii_case(if on { "true" } else { "false" }) {
            self.remarks.add(format!("{text:?} for boolean is not supported by YAML 1.2, please use `{on}`"));
        }
    }

    fn paths(&self, mut node: Node, resolve: fn(&Base, &str) -> String) -> Node {
        let Some(base) = &self.base else { return node };
        match &mut node.value {
            Value::Text(text) => *text = resolve(base, text).into(),
            Value::List(items) => {
                for item in items {
                    if let Value::Text(text) = &mut item.value {
                        *text = resolve(base, text).into();
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
        let unfit = |item: &&Node| item.as_text().is_some_and(|text| text != "default" && !text.contains('='));
        if let Some(item) = node.items().iter().find(unfit) {
            let reason =
                format!("invalid ssh key {:?}: must be default, or NAME=PATH", item.as_text().unwrap_or_default());
            return Err(refuse(item.mark, trail, reason));
        }
        let node = pairs::labels(node, trail)?;
        let Value::Map(map) = node.value else { return Ok(node) };
        let text = |(key, value): (Text, Node)| {
            let path = value.as_text().unwrap_or_default();
            let resolved = self.base.as_ref().map_or_else(|| path.to_owned(), |base| base.resolve(path));
            let text = if path.is_empty() { key } else { format_compact!("{key}: {resolved}") };
            Node::at(Value::Text(text), value.mark)
        };
        Ok(Node { value: Value::List(map.into_iter().map(text).collect()), ..node })
    }

    fn object(&self, node: Node, shape: &Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::Map(map), mark, directive } = node else {
            if node.is_null() && trail.key() == Some("") {
                return Ok(node);
            }
            return Err(refuse(node.mark, trail, "must be a mapping"));
        };
        let mut members = Map::with_capacity(map.len());
        for (key, value) in map {
            if key.starts_with("x-") {
                members.append(key, value);
                continue;
            }
            let Some(field) = shape.field(&key) else { return Err(unknown(&key, &value, shape, trail)) };
            // Another file may have given the value, or will: whether it is missing is seen when all are merged.
            let missing = value.is_null() && value.directive == Directive::Merge;
            let value = if missing { value } else { self.node(value, field.kind, &trail.step(&key))? };
            members.append(key, value);
        }
        for required in shape.required {
            if !members.contains_key(required) {
                let reason = format!("missing property '{required}'");
                return Err(refuse(mark, trail, reason));
            }
        }
        Ok(Node { value: Value::Map(self.with_sources(members)), mark, directive })
    }

    /// A bind mount's source and a local volume's device are paths only because of their neighbours.
    fn with_sources(&self, mut members: Map) -> Map {
        let Some(base) = &self.base else { return members };
        let says = |map: &Map, key: &str, word: &str| map.get(key).and_then(Node::as_text) == Some(word);
        if says(&members, "type", "bind")
            && members.contains_key("target")
            && let Some(Node { value: Value::Text(source), .. }) = members.get_mut("source")
        {
            *source = base.resolve(source).into();
        }
        let local = says(&members, "driver", "local");
        if let Some(Value::Map(options)) = members.get_mut("driver_opts").map(|node| &mut node.value) {
            let given = options.get("o").and_then(Node::as_text).unwrap_or_default();
            let binds = given.split(',').any(|option| option == "bind") && local;
            if let Some(Node { value: Value::Text(device), .. }) = options.get_mut("device").filter(|_| binds) {
                *device = base.resolve(device).into();
            }
        }
        if let Some(Value::Map(contexts)) = members.get_mut("additional_contexts").map(|node| &mut node.value) {
            for context in contexts.values_mut() {
                if let Value::Text(path) = &mut context.value {
                    *path = base.resolve_context(path).into();
                }
            }
        }
        members
    }

    fn objects(&self, node: Node, shape: &Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::List(items), mark, directive } = node else {
            return Err(refuse(node.mark, trail, "must be a list"));
        };
        let conform = |(place, item): (usize, Node)| match &item.value {
            // A short form that becomes long only with its variables.
            Value::Text(text) if self.raw && text.contains('$') => Ok(item),
            _ => self.object(item, shape, &trail.item(place)),
        };
        let items: Result<_, _> = items.into_iter().enumerate().map(conform).collect();
        Ok(Node { value: Value::List(items?), mark, directive })
    }

    fn named(&self, node: Node, shape: &'static Shape, trail: &Trail<'_>) -> Result<Node, Refusal> {
        let Node { value: Value::Map(map), mark, directive } = node else {
            return Err(refuse(node.mark, trail, "must be a mapping"));
        };
        let mut members = Map::with_capacity(map.len());
        for (name, value) in map {
            let here = trail.step(&name);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.starts_with("x-") && trail.key() != Some("services") {
                members.append(name, value);
                continue;
            }
            let anything = matches!(trail.key(), Some("networks" | "models"));
            if !anything && !name.chars().all(fits) {
                return Err(value.mark.refuse(Fault::Unknown {
                    path: trail.to_string(),
                    key: name.to_string(),
                    near: None,
                }));
            }
            let empty = value.is_null() && value.directive == Directive::Merge;
            // A service's use of a model may say nothing more; a model may not.
            let full = match trail.key() {
                Some("services" | "depends_on") => true,
                Some("models") => trail.is_section(),
                _ => false,
            };
            if empty && full {
                return Err(refuse(value.mark, &here, "must be a mapping"));
            }
            let value = if value.is_null() { value } else { self.node(value, Kind::Object(shape), &here)? };
            members.append(name, value);
        }
        Ok(Node { value: Value::Map(members), mark, directive })
    }
}

/// Refuses keys without a value in a merged model; where the specification lets a value be missing, the key goes.
pub(crate) fn expect_values(node: &mut Node, kind: Kind, trail: &Trail<'_>) -> Result<(), Refusal> {
    match (kind, &mut node.value) {
        (Kind::Short(_, inner), _) => expect_values(node, *inner, trail),
        (Kind::Object(shape) | Kind::Part(shape), Value::Map(map)) => {
            let kind_of = |key: &str| shape.field(key).map(|field| field.kind);
            if map.iter().any(|(key, value)| value.is_null() && may_be_missing(key)) {
                map.retain(|key, value| !(value.is_null() && may_be_missing(key)));
            }
            for (key, value) in map.iter_mut().filter(|(key, _)| !key.starts_with("x-")) {
                let Some(kind) = kind_of(key) else { continue };
                let here = trail.step(key);
                if value.is_null() && !matches!(kind, Kind::Command) {
                    return Err(refuse(value.mark, &here, format!("must be {}", wanted(kind))));
                }
                expect_values(value, kind, &here)?;
            }
            Ok(())
        }
        (Kind::Named(shape), Value::Map(map)) => {
            let mut named = map.iter_mut().filter(|(name, value)| !value.is_null() && !name.starts_with("x-"));
            named.try_for_each(|(name, value)| expect_values(value, Kind::Object(shape), &trail.step(name)))
        }
        (Kind::Distinct | Kind::Patterns | Kind::Groups, Value::List(items)) => {
            let text = |place: usize| items[place].scalar();
            let again = (1..items.len()).find(|place| (0..*place).any(|other| text(other) == text(*place)));
            let what = |place: usize| format!("{:?} stands twice", text(place).unwrap_or_default());
            again.map_or(Ok(()), |place| Err(refuse(items[place].mark, &trail.item(place), what(place))))
        }
        (Kind::Objects(shape, _), Value::List(items)) => {
            let mut each = items.iter_mut().enumerate();
            each.try_for_each(|(place, item)| expect_values(item, Kind::Object(shape), &trail.item(place)))
        }
        _ => Ok(()),
    }
}

/// The keys whose value the specification's schema lets be null, beside commands.
fn may_be_missing(key: &str) -> bool {
    matches!(key, "deploy" | "develop" | "pid" | "include" | "extends")
}

/// What a value of a kind is to whoever writes it.
fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Short(_, inner) | Kind::Always(inner) => wanted(*inner),
        Kind::Texts | Kind::Members | Kind::Numbers | Kind::Distinct | Kind::Groups | Kind::Objects(..) => "a list",
        Kind::Set | Kind::Patterns | Kind::Paths | Kind::Files | Kind::Probe => "a string or a list",
        Kind::Variables | Kind::Labels | Kind::Contexts | Kind::Hosts | Kind::Agents => "a mapping or a list",
        Kind::Options
        | Kind::Settings
        | Kind::Strings
        | Kind::Ulimits
        | Kind::Choices
        | Kind::Object(_)
        | Kind::Part(_)
        | Kind::Named(_) => "a mapping",
        Kind::Switch | Kind::Choosable | Kind::OptOut | Kind::Stance => "a boolean or a string",
        Kind::External => "a boolean or a mapping",
        Kind::Flag => "a boolean",
        Kind::Number | Kind::Natural => "a number",
        Kind::Whole
        | Kind::Within(..)
        | Kind::Rounded
        | Kind::Count
        | Kind::Unsigned
        | Kind::Tries
        | Kind::Fraction
        | Kind::Bytes
        | Kind::Amount
        | Kind::Mode
        | Kind::Devices => "a number or a string",
        _ => "a string",
    }
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
