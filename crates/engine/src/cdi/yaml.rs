//! YAML as JSON's values, for the files of vendors. Leaves out tags and merge keys, which those do not use.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Number, Value};

/// Collections inside collections.
const DEPTH: usize = 32;
/// Values that aliases may add to those written out.
const ALIASED: usize = 100_000;

/// The first document of a text.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), aliased: 0 };
    loop {
        match reader.next()? {
            Event::DocumentStart(_) => {
                let first = reader.next()?;
                return Ok(reader.value(first, 0)?.0);
            }
            Event::StreamEnd => return Ok(Value::Null),
            _ => {}
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What anchors name, and how many values it holds.
    anchors: HashMap<usize, (Value, usize)>,
    aliased: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.info())),
            None => Ok(Event::StreamEnd),
        }
    }

    /// A value, and how many values it holds.
    fn value(&mut self, event: Event<'t>, depth: usize) -> Result<(Value, usize), String> {
        if depth > DEPTH {
            return Err(format!("nested more than {DEPTH} deep"));
        }
        let (found, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor),
            Event::Scalar(text, style, anchor, _) => ((scalar(&text, style), 1), anchor),
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => ((Value::Null, 1), 0),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, found.clone());
        }
        Ok(found)
    }

    fn alias(&mut self, anchor: usize) -> Result<(Value, usize), String> {
        let found = self.anchors.get(&anchor).cloned().ok_or("an anchor contains itself")?;
        self.aliased += found.1;
        if self.aliased > ALIASED {
            return Err("its aliases stand for too much".to_owned());
        }
        Ok(found)
    }

    fn list(&mut self, depth: usize) -> Result<(Value, usize), String> {
        let (mut items, mut total) = (Vec::new(), 1);
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok((Value::Array(items), total)),
                event => {
                    let (item, size) = self.value(event, depth + 1)?;
                    total += size;
                    items.push(item);
                }
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Value, usize), String> {
        let (mut map, mut total) = (Map::new(), 1);
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok((Value::Object(map), total)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err("a key is no text".to_owned()),
            };
            let event = self.next()?;
            let (value, size) = self.value(event, depth + 1)?;
            total += size;
            map.insert(key, value);
        }
    }
}

/// What a scalar is: text where it is quoted, otherwise what it looks like.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Some(number) = whole(text) {
        return Value::Number(number.into());
    }
    let number = text.parse::<f64>().ok().filter(|_| text.contains('.')).and_then(Number::from_f64);
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Whole numbers, in Go's and YAML 1.1's ways of writing octal: file modes.
fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    if !digits.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let magnitude = match (digits.strip_prefix("0x"), digits.strip_prefix("0o"), digits.strip_prefix('0')) {
        (Some(hex), ..) => i64::from_str_radix(hex, 16),
        (_, Some(octal), _) => i64::from_str_radix(octal, 8),
        (_, _, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    magnitude.ok().map(|magnitude| sign * magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_file() {
        let text = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - {path: /dev/nvidia0, fileMode: 0666}\ncontainerEdits:\n  env: [A=1, 'B=2']\n";
        let expect = serde_json::json!({
            "cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
            "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "fileMode": 438}]}}],
            "containerEdits": {"env": ["A=1", "B=2"]}
        });
        assert_eq!(read(text).unwrap(), expect);
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(read("a: [").is_err());
        assert!(read("? [a]\n: b").is_err());
        assert!(read(&"[".repeat(50)).is_err());
        let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
            let many = vec![format!("*a{}", n - 1); 10].join(",");
            format!("{text}a{n}: &a{n} [{many}]\n")
        });
        assert!(read(&bomb).unwrap_err().contains("aliases"));
        assert_eq!(read("").unwrap(), Value::Null);
    }
}
