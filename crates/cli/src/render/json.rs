//! JSON as Docker prints it: the server's own text, indented anew, keys in the server's order.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::Value;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Go's `json.Indent`: only white space changes.
pub(crate) fn indent(text: &str, unit: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut quoted, mut escaped, mut fresh) = (0usize, false, false, false);
    for letter in text.chars() {
        if quoted {
            out.push(letter);
            quoted = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        if letter.is_ascii_whitespace() {
            continue;
        }
        if fresh && !matches!(letter, '}' | ']') {
            new_line(&mut out, unit, depth);
        }
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !fresh {
                    new_line(&mut out, unit, depth);
                }
            }
            '"' => quoted = true,
            _ => {}
        }
        fresh = matches!(letter, '{' | '[');
        out.push(letter);
        match letter {
            ',' => new_line(&mut out, unit, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

fn new_line(out: &mut String, unit: &str, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(unit, depth));
}

/// Remembers in which order an object's keys came: template values sort them, Docker's JSON does not.
#[derive(Clone, Default)]
pub(crate) struct Order(Arc<Mutex<HashMap<usize, Vec<Arc<str>>>>>);

impl Order {
    /// Reads JSON into a template value.
    pub(crate) fn read(&self, text: &str) -> Result<Value, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Reader(self).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// Writes a template value as compact JSON, objects that came from [`Order::read`] in their first order.
    pub(crate) fn write(&self, value: &Value) -> String {
        let mut out = String::new();
        self.append(value, &mut out);
        out
    }

    /// The same as a template's `json` writes it, which leaves `<`, `>` and `&` alone.
    pub(crate) fn write_plain(&self, value: &Value) -> String {
        let escaped = self.write(value);
        let mut out = String::with_capacity(escaped.len());
        let mut rest = escaped.as_str();
        // A backslash in a text has another one before it, so pairs are skipped.
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let from = &rest[at..];
            let code = [("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")]
                .into_iter()
                .find(|(code, _)| from.starts_with(code));
            let (code, letter) = code.unwrap_or_else(|| (&from[..2], &from[..2]));
            out.push_str(letter);
            rest = &from[code.len()..];
        }
        out + rest
    }

    fn append(&self, value: &Value, out: &mut String) {
        match value {
            Value::Nil | Value::Function(_) => out.push_str("null"),
            Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Uint(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&serde_json::json!(number).to_string()),
            Value::String(text) => out.push_str(&quote(text)),
            Value::List(items) => self.append_all('[', items.iter().map(|item| (None, item)), ']', out),
            Value::Map(map) => {
                let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key_of(map)).cloned();
                // The place in memory may have belonged to another object before.
                let first =
                    first.filter(|keys| keys.len() == map.len() && keys.iter().all(|key| map.contains_key(key)));
                let keys = first.unwrap_or_else(|| map.keys().cloned().collect());
                let items = keys.iter().filter_map(|key| map.get(key).map(|item| (Some(&**key), item)));
                let pairs = items.filter(|(_, item)| !matches!(item, Value::Function(_)));
                self.append_all('{', pairs, '}', out);
            }
        }
    }

    fn append_all<'a>(
        &self,
        open: char,
        items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
        close: char,
        out: &mut String,
    ) {
        out.push(open);
        for (number, (key, item)) in items.enumerate() {
            if number > 0 {
                out.push(',');
            }
            if let Some(key) = key {
                out.push_str(&quote(key));
                out.push(':');
            }
            self.append(item, out);
        }
        out.push(close);
    }
}

fn key_of(map: &Arc<BTreeMap<Arc<str>, Value>>) -> usize {
    Arc::as_ptr(map) as usize
}

/// A JSON string as Go's encoder writes it: `<`, `>` and `&` are escaped.
pub(crate) fn quote(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

struct Reader<'a>(&'a Order);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Uint(number), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Reader(self.0))? {
            list.push(item);
        }
        Ok(Value::List(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut map, mut keys) = (BTreeMap::new(), Vec::new());
        while let Some(key) = entries.next_key::<String>()? {
            let key: Arc<str> = key.into();
            map.insert(key.clone(), entries.next_value_seed(Reader(self.0))?);
            keys.push(key);
        }
        let map = Arc::new(map);
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key_of(&map), keys);
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_leave_marks_alone() {
        let plain = |text: &str| Order::default().write_plain(&Value::String(text.into()));
        for (text, written) in
            [("a<b>&c", r#""a<b>&c""#), (r"\u003c", r#""\\u003c""#), ("\"<\\>\n", r#""\"<\\>\n""#), ("é<", "\"é<\"")]
        {
            assert_eq!(plain(text), written, "{text}");
        }
    }

    #[test]
    fn indenting_changes_white_space_only() {
        let text = r#"[{"a":1,"b":[],"c":{"d":"x: [y], \"z\""},"e":{}}]"#;
        let expect = "[\n    {\n        \"a\": 1,\n        \"b\": [],\n        \"c\": {\n            \"d\": \"x: [y], \\\"z\\\"\"\n        },\n        \"e\": {}\n    }\n]";
        assert_eq!(indent(text, "    "), expect);
        assert_eq!(indent("[]", "    "), "[]");
    }

    #[test]
    fn keys_keep_their_order() {
        let order = Order::default();
        let text = r#"{"Z":1,"A":{"y":null,"b":[true,1.5,"<x>"]}}"#;
        let value = order.read(text).unwrap();
        assert_eq!(order.write(&value), text.replace("<x>", "\\u003cx\\u003e"));
    }
}
