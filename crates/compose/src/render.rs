//! The canonical form of a project, as `config` prints it and as the configuration hash sees it: fields in Compose's
//! order, what is empty left out by Go's rules.

use crate::halves::halves;
use crate::shape::{Kind, Shape};
use crate::yaml::{Map, Node, Text, Value, natural};

/// Which of Go's two encoders to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// go-yaml: extensions are shown, maps ordered by the numbers in their keys.
    Yaml,
    /// encoding/json: objects that cannot be absent are shown empty, commands as null, no extensions.
    Json,
}

/// An object in canonical form.
pub(crate) fn object(node: &Node, shape: &Shape, form: Form) -> Node {
    let mut out = Map::with_capacity(node.map().map_or(0, Map::len));
    let mut said = said(node, shape).into_iter().peekable();
    for (place, field) in shape.fields.iter().enumerate() {
        let value = said.next_if(|(at, _)| *at == place).map(|(_, value)| value);
        // In YAML nobody sees what is not said.
        if value.is_none() && form == Form::Yaml && !matches!(field.kind, Kind::Always(_)) {
            continue;
        }
        if let Some(shown) = member(value, field.kind, form) {
            let name = if form == Form::Json { field.json } else { field.name };
            out.append(Text::const_new(name), Node::at(shown, value.map(|value| value.mark).unwrap_or_default()));
        }
    }
    if form == Form::Yaml {
        let extensions = node.map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-"));
        for (key, value) in sorted(extensions, form) {
            out.append(key.clone(), free(value, form));
        }
    }
    Node::at(Value::Map(out), node.mark)
}

/// What an object says: places of fields in its shape, and their values.
fn said<'n>(node: &'n Node, shape: &Shape) -> Vec<(usize, &'n Node)> {
    let place = |key: &str| shape.fields.iter().position(|field| field.name == key);
    let members = node.map().into_iter().flatten();
    let mut said: Vec<(usize, &Node)> = members.filter_map(|(key, value)| Some((place(key)?, value))).collect();
    said.sort_unstable_by_key(|(place, _)| *place);
    said
}

/// A field's value, or nothing where Go would leave it out.
fn member(node: Option<&Node>, kind: Kind, form: Form) -> Option<Value> {
    let Some(node) = node else {
        return match (kind, form) {
            (Kind::Always(inner), _) => Some(nothing(*inner)),
            (Kind::Command, Form::Json) => Some(Value::Null),
            (Kind::Part(shape), Form::Json) => Some(object(&Node::made(Value::Map(Map::default())), shape, form).value),
            _ => None,
        };
    };
    let keep = |empty: bool| (!empty).then(|| node.value.clone());
    match kind {
        Kind::Short(_, inner) => member(Some(node), *inner, form),
        Kind::Always(inner) => Some(member(Some(node), *inner, form).unwrap_or_else(|| nothing(*inner))),
        Kind::Switch | Kind::Flag => keep(node.value == Value::Bool(false)),
        Kind::OptOut => keep(node.value == Value::Bool(true)),
        Kind::External => external(node),
        Kind::Whole
        | Kind::Within(..)
        | Kind::Rounded
        | Kind::Number
        | Kind::Natural
        | Kind::Fraction
        | Kind::Devices => keep(matches!(node.value, Value::Int(0)) || node.value == Value::Float(0.0)),
        Kind::Bytes | Kind::Amount | Kind::Size => keep(node.as_text() == Some("0")),
        Kind::Span => keep(node.as_text() == Some("0s")),
        Kind::Text | Kind::Loose | Kind::Stance | Kind::Policy | Kind::Choice(_) | Kind::Path | Kind::Location => {
            keep(node.as_text() == Some(""))
        }
        Kind::Choosable | Kind::Count | Kind::Unsigned | Kind::Tries | Kind::Moment | Kind::Mode => {
            keep(node.is_null())
        }
        Kind::Unshown => None,
        Kind::Command if node.is_null() && form == Form::Yaml => None,
        Kind::Command => keep(false),
        Kind::Probe
        | Kind::Texts
        | Kind::Set
        | Kind::Members
        | Kind::Numbers
        | Kind::Distinct
        | Kind::Patterns
        | Kind::Groups
        | Kind::Paths
        | Kind::Files
        | Kind::Hosts
        | Kind::Agents => keep(node.items().is_empty()),
        Kind::Variables
        | Kind::Labels
        | Kind::Contexts
        | Kind::Options
        | Kind::Settings
        | Kind::Strings
        | Kind::Choices => {
            let map = node.map().filter(|map| !map.is_empty())?;
            Some(Value::Map(Map::of_new(sorted(map.iter(), form).map(|(key, value)| (key.clone(), value.clone())))))
        }
        Kind::Ulimits => ulimits(node, form),
        Kind::Object(shape) => Some(object(node, shape, form).value),
        Kind::Part(shape) => {
            let value = object(node, shape, form).value;
            (form == Form::Json || value != Value::Map(Map::default())).then_some(value)
        }
        Kind::Objects(shape, _) => {
            let item = |item: &Node| {
                let object = object(item, shape, form);
                // A file of variables of which there is nothing to say but its path.
                let path =
                    object.map().filter(|map| form == Form::Json && map.len() == 1).and_then(|map| map.get("path"));
                path.cloned().unwrap_or(object)
            };
            let items: Vec<Node> = node.items().iter().map(item).collect();
            (!items.is_empty()).then_some(Value::List(items))
        }
        Kind::Named(shape) => named(node.map()?, shape, form),
    }
}

/// What Go prints of a value that is not there, where it prints one.
fn nothing(kind: Kind) -> Value {
    match kind {
        Kind::Rounded | Kind::Natural => Value::Int(0),
        Kind::Bytes => Value::Text(Text::const_new("0")),
        _ => Value::Text(Text::default()),
    }
}

/// Named objects, if there are any.
pub(crate) fn named(map: &Map, shape: &Shape, form: Form) -> Option<Value> {
    let each = |(key, value): (&Text, &Node)| {
        let shown = if value.is_null() { Node::clone(value) } else { object(value, shape, form) };
        (key.clone(), shown)
    };
    let members: Vec<(&Text, &Node)> = sorted(map.iter(), form).collect();
    (!map.is_empty()).then(|| Value::Map(Map::of_new(halves(members, each))))
}

fn external(node: &Node) -> Option<Value> {
    match &node.value {
        Value::Bool(false) | Value::Null => None,
        _ => Some(Value::Bool(true)),
    }
}

fn ulimits(node: &Node, form: Form) -> Option<Value> {
    let map = node.map().filter(|map| !map.is_empty())?;
    let each = |(key, limit): (&Text, &Node)| {
        let value = match limit.map() {
            Some(_) => {
                let of = |key: &str| Node::made(Value::Int(limit.int(key).unwrap_or(0).into()));
                let shown = ["soft", "hard"].into_iter().map(|key| (key.to_owned(), of(key)));
                let shown = shown.filter(|(_, value)| form == Form::Yaml || value.value != Value::Int(0));
                Value::Map(shown.collect())
            }
            // To Go it is the mapping that is empty.
            None if limit.value == Value::Int(0) => {
                let zero = |key: &str| (key.to_owned(), Node::made(Value::Int(0)));
                let shown = ["soft", "hard"].into_iter().filter(|_| form == Form::Yaml);
                Value::Map(shown.map(zero).collect())
            }
            None => limit.value.clone(),
        };
        (key.clone(), Node::at(value, limit.mark))
    };
    Some(Value::Map(sorted(map.iter(), form).map(each).collect()))
}

/// A mapping's members in the order the encoder gives them.
pub(crate) fn sorted<'n>(
    members: impl Iterator<Item = (&'n Text, &'n Node)>,
    form: Form,
) -> impl Iterator<Item = (&'n Text, &'n Node)> {
    let mut members: Vec<_> = members.collect();
    match form {
        Form::Yaml => members.sort_by(|left, right| natural(left.0, right.0)),
        Form::Json => members.sort_by_key(|(key, _)| key.as_str()),
    }
    members.into_iter()
}

/// A value the specification says nothing about: only its mappings are ordered.
pub(crate) fn free(node: &Node, form: Form) -> Node {
    let value = match &node.value {
        Value::Map(map) => {
            Value::Map(Map::of_new(sorted(map.iter(), form).map(|(key, value)| (key.clone(), free(value, form)))))
        }
        Value::List(items) => Value::List(items.iter().map(|item| free(item, form)).collect()),
        scalar => scalar.clone(),
    };
    Node { value, mark: node.mark, directive: node.directive }
}
