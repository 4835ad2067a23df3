//! YAML as a tree that remembers where each value stood: what is read, merged, explained and written again.
//! Scalars are resolved as go-yaml resolves them, because Compose files have been written against that for ten years.

mod keyed;
mod map;
mod read;
mod scalar;
mod write;

use compact_str::ToCompactString as _;

pub use map::Map;
pub use read::{Limits, read};
pub use scalar::{float_text, go_float, plain};
pub use write::{json, natural, write};

/// A place in a file: which one, line and column, both from 1. Line 0 means that nobody wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Index of the file among those that were read.
    pub file: u16,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// What a tag asks for when files are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directive {
    /// Merge as usual.
    #[default]
    Merge,
    /// `!reset`: take the value away.
    Reset,
    /// `!override`: put this in place of the value.
    Override,
}

/// A value and where it stood. In a mapping the mark is the key's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stood.
    pub mark: Mark,
    /// What its tag asks for.
    pub directive: Directive,
}

/// Keys and texts: most are short, and lie in the tree itself.
pub type Text = compact_str::CompactString;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(Text),
    /// An unquoted date, which Compose takes nowhere.
    Date(Text),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

impl Node {
    /// A value nobody wrote.
    #[must_use]
    pub fn made(value: Value) -> Self {
        Self { value, ..Self::default() }
    }

    /// A value with the place of another.
    #[must_use]
    pub fn at(value: Value, mark: Mark) -> Self {
        Self { value, mark, directive: Directive::Merge }
    }

    /// The member of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map().and_then(|map| map.get(key))
    }

    /// What lies at a path of keys.
    #[must_use]
    pub fn at_path(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The mapping, to change it.
    pub fn map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The list's items; none if it is no list.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The text of a member; empty if there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Node::as_text).unwrap_or("")
    }

    /// The number of a member.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i64> {
        match &self.get(key)?.value {
            Value::Int(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The number of a member, whole or not.
    #[must_use]
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)?.value {
            #[allow(clippy::cast_precision_loss)]
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    /// Whether a member is true.
    #[must_use]
    pub fn on(&self, key: &str) -> bool {
        self.switch(key) == Some(true)
    }

    /// A member that is true or false.
    #[must_use]
    pub fn switch(&self, key: &str) -> Option<bool> {
        match self.get(key)?.value {
            Value::Bool(on) => Some(on),
            _ => None,
        }
    }

    /// The texts of a member that is a list of them.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<String> {
        let items = self.get(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(Node::as_text).map(str::to_owned).collect()
    }

    /// A member's list of objects; empty if there is none.
    #[must_use]
    pub fn list(&self, key: &str) -> &[Node] {
        self.get(key).map(Node::items).unwrap_or_default()
    }

    /// The entries of a member that is a mapping.
    pub fn entries(&self, key: &str) -> impl Iterator<Item = (&Text, &Node)> {
        self.get(key).and_then(Node::map).into_iter().flatten()
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// A scalar as text, as Go's `fmt.Sprint` writes it; `None` for null and collections.
    #[must_use]
    pub fn scalar(&self) -> Option<Text> {
        match &self.value {
            Value::Text(text) | Value::Date(text) => Some(text.clone()),
            Value::Bool(on) => Some(on.to_compact_string()),
            Value::Int(number) => Some(number.to_compact_string()),
            Value::Float(number) => Some(float_text(*number).into()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
