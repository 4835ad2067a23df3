//! Types of variables.

use std::fmt;

use hcl::expr::Expression;

use super::target::{Value, scalar};

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    Number,
    Bool,
    List(Box<Self>),
    Set(Box<Self>),
    Map(Box<Self>),
    Tuple(Vec<Self>),
    /// Fields, and whether they must be there.
    Object(Vec<(String, Self, bool)>),
}

impl Kind {
    /// As it is written.
    pub(super) fn read(expression: &Expression) -> Result<Self, String> {
        let invalid = |words: String| format!("Invalid type specification; {words}");
        match expression {
            Expression::Variable(name) => match name.as_str() {
                "any" => Ok(Self::Any),
                "string" => Ok(Self::Text),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "list" | "set" | "map" => Err(invalid(format!(
                    "The {} type constructor requires one argument specifying the element type.",
                    name.as_str()
                ))),
                other => Err(invalid(format!("The keyword {other:?} is not a valid type specification."))),
            },
            Expression::FuncCall(call) => {
                let name = call.name.name.as_str();
                let first = call.args.first();
                match (name, first) {
                    ("list" | "set" | "map", Some(inner)) => {
                        let inner = Box::new(Self::read(inner)?);
                        Ok(match name {
                            "list" => Self::List(inner),
                            "set" => Self::Set(inner),
                            _ => Self::Map(inner),
                        })
                    }
                    ("tuple", Some(Expression::Array(items))) => {
                        items.iter().map(Self::read).collect::<Result<_, _>>().map(Self::Tuple)
                    }
                    ("object", Some(Expression::Object(fields))) => {
                        let field = |(key, own): (&hcl::ObjectKey, &Expression)| {
                            let (own, optional) = match own {
                                Expression::FuncCall(call) if call.name.name.as_str() == "optional" => {
                                    (call.args.first().unwrap_or(own), true)
                                }
                                other => (other, false),
                            };
                            Ok((key.to_string(), Self::read(own)?, !optional))
                        };
                        fields.iter().map(field).collect::<Result<_, String>>().map(Self::Object)
                    }
                    _ => Err(invalid(format!("Keyword {name:?} is not a valid type constructor."))),
                }
            }
            other => Err(invalid(format!("{other} is not a valid type specification."))),
        }
    }

    /// That of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::Array(items) => Self::Tuple(items.iter().map(Self::of).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(key, value)| (key.clone(), Self::of(value), true)).collect())
            }
            Value::Null | Value::String(_) => Self::Text,
        }
    }

    /// A value as one of this type.
    pub(super) fn convert(&self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (_, Value::Null) | (Self::Any, _) => Ok(value.clone()),
            (Self::Text, Value::Array(_) | Value::Object(_)) => Err("string required".to_owned()),
            (Self::Text, other) => Ok(scalar(other).unwrap_or_default().into()),
            (Self::Number, Value::Number(_)) | (Self::Bool, Value::Bool(_)) => Ok(value.clone()),
            (Self::Number, Value::String(text)) => {
                let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
                number.ok_or_else(|| "a number is required".to_owned())
            }
            (Self::Number, _) => Err("a number is required".to_owned()),
            (Self::Bool, Value::String(text)) => match text.as_str() {
                "true" | "1" => Ok(true.into()),
                "false" | "0" => Ok(false.into()),
                _ => Err("a bool is required".to_owned()),
            },
            (Self::Bool, _) => Err("a bool is required".to_owned()),
            (Self::List(inner), Value::Array(items)) => items.iter().map(|item| inner.convert(item)).collect(),
            (Self::Set(inner), Value::Array(items)) => {
                let mut all = items.iter().map(|item| inner.convert(item)).collect::<Result<Vec<_>, _>>()?;
                all.sort_by_key(scalar);
                all.dedup();
                Ok(all.into())
            }
            (Self::Tuple(kinds), Value::Array(items)) if kinds.len() == items.len() => {
                kinds.iter().zip(items).map(|(kind, item)| kind.convert(item)).collect()
            }
            (Self::Map(inner), Value::Object(map)) => {
                let pairs = map.iter().map(|(key, value)| Ok((key.clone(), inner.convert(value)?)));
                pairs.collect::<Result<_, String>>().map(Value::Object)
            }
            (Self::Object(fields), Value::Object(map)) => {
                let field = |(name, kind, needed): &(String, Self, bool)| match map.get(name) {
                    Some(value) => Ok((name.clone(), kind.convert(value)?)),
                    None if *needed => Err(format!("attribute {name:?} is required")),
                    None => Ok((name.clone(), Value::Null)),
                };
                fields.iter().map(field).collect::<Result<_, _>>().map(Value::Object)
            }
            (other, _) => Err(format!("{other} required")),
        }
    }

    /// The text that the environment has for a variable: lists as words with commas between, maps as pairs with colons.
    pub(super) fn parse(&self, name: &str, text: &str) -> Result<Value, String> {
        let from_csv = |why: String| format!("failed to convert variable {name} from CSV: {why}");
        let item = |kind: &Self, word: &str| {
            kind.parse(name, word).map_err(|why| format!("failed to parse element of type {self}: {why}"))
        };
        match self {
            Self::Text | Self::Any => Ok(text.into()),
            Self::Bool | Self::Number => self.convert(&text.into()).map_err(|_| {
                let parser = if *self == Self::Bool { "Bool" } else { "Float" };
                format!("failed to parse {name} as {self}: strconv.Parse{parser}: parsing {text:?}: invalid syntax")
            }),
            Self::List(inner) | Self::Set(inner) => {
                let words = fields(text).map_err(from_csv)?;
                let items = words.iter().map(|word| item(inner, word)).collect::<Result<Vec<_>, _>>();
                self.convert(&items.map_err(from_csv)?.into())
            }
            Self::Map(inner) => {
                let mut map = hcl::Map::new();
                for word in fields(text).map_err(from_csv)? {
                    let pieces: Vec<&str> = word.split(':').collect();
                    let [key, value] = pieces[..] else {
                        let count = pieces.len();
                        return Err(from_csv(format!("expected one k/v pair but got {count} pieces from {word}")));
                    };
                    map.insert(key.to_owned(), item(inner, value).map_err(from_csv)?);
                }
                Ok(Value::Object(map))
            }
            Self::Tuple(_) | Self::Object(_) => Err(format!("unsupported type {self} for variable {name}")),
        }
    }

    /// The same, as JSON.
    pub(super) fn parse_json(&self, name: &str, text: &str) -> Result<Value, String> {
        let wrong = |why: String| format!("failed to convert variable {name} from JSON: {why}");
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        self.convert(&value).map_err(wrong)
    }
}

/// The words of a line with commas between.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) =
                quoted.split_once('"').ok_or_else(|| format!("failed to parse {text} as CSV: a quote does not end"))?;
            words.push(word.to_owned());
            rest = after.strip_prefix(',').unwrap_or(after);
            continue;
        }
        let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
        if let Some(at) = word.find('"') {
            let column = text.len() - rest.len() + at + 1;
            return Err(format!(
                "failed to parse {text} as CSV: parse error on line 1, column {column}: bare \" in non-quoted-field"
            ));
        }
        words.push(word.to_owned());
        rest = after;
    }
    Ok(words)
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("dynamic"),
            Self::Text => out.write_str("string"),
            Self::Number => out.write_str("number"),
            Self::Bool => out.write_str("bool"),
            Self::List(inner) => write!(out, "list of {inner}"),
            Self::Set(inner) => write!(out, "set of {inner}"),
            Self::Map(inner) => write!(out, "map of {inner}"),
            Self::Tuple(_) => out.write_str("tuple"),
            Self::Object(_) => out.write_str("object"),
        }
    }
}
