//! A tree becomes text again, byte for byte as go-yaml (indented by two) and Go's `encoding/json` write it.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::scalar::{could_be_other, exponential, go_float, needs_quotes};
use super::{Map, Node, Text, Value};
use crate::halves::{MANY, halves};

/// Writes a mapping as a YAML document.
#[must_use]
pub fn write(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(map) if !map.is_empty() => write_map(&mut out, map, 0),
        Value::List(items) if !items.is_empty() => write_list(&mut out, items, 0),
        _ => {
            write_leaf(&mut out, &node.value, 0);
            out.push('\n');
        }
    }
    out
}

fn write_map(out: &mut String, map: &Map, indent: usize) {
    if map.len() >= MANY {
        let members: Vec<(usize, (&Text, &Node))> = map.iter().enumerate().collect();
        let written = halves(members, |(place, member)| {
            let mut out = String::new();
            write_member(&mut out, place, member, indent);
            out
        });
        out.extend(written);
        return;
    }
    for (place, member) in map.iter().enumerate() {
        write_member(out, place, member, indent);
    }
}

fn write_member(out: &mut String, place: usize, (key, node): (&Text, &Node), indent: usize) {
    if place > 0 {
        push_indent(out, indent);
    }
    write_text(out, key, indent, true);
    out.push(':');
    write_under(out, node, indent);
}

/// A value after its key.
fn write_under(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            out.push('\n');
            push_indent(out, indent + 2);
            write_map(out, map, indent + 2);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            push_indent(out, indent + 2);
            write_list(out, items, indent + 2);
        }
        leaf => {
            out.push(' ');
            write_leaf(out, leaf, indent + 2);
            out.push('\n');
        }
    }
}

fn write_list(out: &mut String, items: &[Node], indent: usize) {
    for (place, node) in items.iter().enumerate() {
        if place > 0 {
            push_indent(out, indent);
        }
        out.push_str("- ");
        match &node.value {
            Value::Map(map) if !map.is_empty() => write_map(out, map, indent + 2),
            Value::List(inner) if !inner.is_empty() => write_list(out, inner, indent + 2),
            leaf => {
                write_leaf(out, leaf, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn push_indent(out: &mut String, indent: usize) {
    const SPACES: &str = "                                ";
    let mut left = indent;
    while left > 0 {
        let now = left.min(SPACES.len());
        out.push_str(&SPACES[..now]);
        left -= now;
    }
}

fn write_leaf(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(on) => {
            let _ = write!(out, "{on}");
        }
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => out.push_str(&go_float(*number)),
        Value::Date(text) if text.len() <= 10 => {
            let _ = write!(out, "{text}T00:00:00Z");
        }
        Value::Date(text) => out.push_str(text),
        Value::Text(text) => write_text(out, text, indent, false),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

/// How a text may be written.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

/// Whether a text is of the kind that most are: nothing in it means anything in YAML.
fn is_simple(text: &str) -> bool {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'-' | b'=');
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/'))
        && text.bytes().all(simple)
}

/// libyaml's analysis of a scalar in block context.
fn analyse(text: &str) -> Allowed {
    if is_simple(text) {
        return Allowed { plain: true, single: true, block: true };
    }
    let letters: Vec<char> = text.chars().collect();
    let blank = |at: usize| letters.get(at).is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{85}'));
    let (mut indicators, mut breaks, mut special, mut tabs) = (text.starts_with("---"), false, false, false);
    indicators |= text.starts_with("...");
    let (mut break_space, mut space_break) = (false, false);
    for (at, &letter) in letters.iter().enumerate() {
        let first = at == 0;
        let last_was = |wanted: fn(char) -> bool| at > 0 && wanted(letters[at - 1]);
        indicators |= match letter {
            '#' => first || blank(at - 1),
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => first,
            ':' => blank(at + 1),
            '?' | '-' => first && blank(at + 1),
            _ => false,
        };
        tabs |= letter == '\t';
        special |= letter != '\t' && !printable(letter);
        breaks |= is_break(letter);
        break_space |= letter == ' ' && last_was(is_break);
        space_break |= is_break(letter) && last_was(|c| c == ' ');
    }
    let edge = |letter: Option<&char>| letter.is_some_and(|&c| c == ' ' || is_break(c));
    let edges = edge(letters.first()) || edge(letters.last());
    let spoiled = space_break || tabs || special;
    Allowed {
        plain: !(edges || break_space || spoiled || breaks || indicators || text.is_empty()),
        single: !(break_space || spoiled),
        block: !(letters.last() == Some(&' ') || space_break || special),
    }
}

fn is_break(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && letter != '\u{feff}'
}

fn write_text(out: &mut String, text: &str, indent: usize, key: bool) {
    // Most texts are words.
    if is_simple(text) && !could_be_other(text) {
        return out.push_str(text);
    }
    let allowed = analyse(text);
    if text.contains('\n') && !key {
        return if allowed.block { write_block(out, text, indent) } else { write_double(out, text) };
    }
    if needs_quotes(text) || (key && text.contains(is_break)) {
        return write_double(out, text);
    }
    match allowed {
        Allowed { plain: true, .. } => out.push_str(text),
        Allowed { single: true, .. } => {
            out.push('\'');
            let mut parts = text.split('\'');
            out.push_str(parts.next().unwrap_or_default());
            parts.for_each(|part| {
                out.push_str("''");
                out.push_str(part);
            });
            out.push('\'');
        }
        _ => write_double(out, text),
    }
}

fn write_block(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 if !body.is_empty() => {}
        _ => out.push('+'),
    }
    let lines = text.strip_suffix('\n').unwrap_or(text);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            push_indent(out, indent.max(2));
            out.push_str(line);
        }
    }
}

fn write_double(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        let _ = match letter {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\0' => out.write_str("\\0"),
            '\u{7}' => out.write_str("\\a"),
            '\u{8}' => out.write_str("\\b"),
            '\t' => out.write_str("\\t"),
            '\n' => out.write_str("\\n"),
            '\u{b}' => out.write_str("\\v"),
            '\u{c}' => out.write_str("\\f"),
            '\r' => out.write_str("\\r"),
            '\u{1b}' => out.write_str("\\e"),
            '\u{85}' => out.write_str("\\N"),
            '\u{2028}' => out.write_str("\\L"),
            '\u{2029}' => out.write_str("\\P"),
            letter if printable(letter) => out.write_char(letter),
            letter if u32::from(letter) <= 0xff => write!(out, "\\x{:02X}", u32::from(letter)),
            letter if u32::from(letter) <= 0xffff => write!(out, "\\u{:04X}", u32::from(letter)),
            letter => write!(out, "\\U{:08X}", u32::from(letter)),
        };
    }
    out.push('"');
}

/// go-yaml's order of keys: numbers inside of names by their value.
#[must_use]
pub fn natural(left: &str, right: &str) -> Ordering {
    let same = left.chars().zip(right.chars()).take_while(|(a, b)| a == b);
    let (at, digits) = same.fold((0, false), |(at, _), (letter, _)| (at + 1, letter.is_ascii_digit()));
    let beginning = left.chars().take(at).map(char::len_utf8).sum();
    let (rest, other): (&str, &str) = (&left[beginning..], &right[beginning..]);
    if let (Some(a), Some(b)) = (rest.chars().next(), other.chars().next()) {
        return match (a.is_alphabetic(), b.is_alphabetic()) {
            (true, true) => a.cmp(&b),
            (true, false) => {
                if digits {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if digits {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => numbers(&left[..beginning], rest, other).then(a.cmp(&b)),
        };
    }
    // One is the beginning of the other.
    rest.len().cmp(&other.len())
}

/// Compares the numbers that two texts go on with behind what they have in common.
fn numbers(before: &str, left: &str, right: &str) -> Ordering {
    let mut lead = 0_u128;
    if left.starts_with('0') || right.starts_with('0') {
        let mut digits = before.chars().rev().take_while(char::is_ascii_digit);
        lead = u128::from(digits.any(|digit| digit != '0'));
    }
    let run = |text: &str| {
        let digits = text.chars().map_while(|letter| letter.to_digit(10));
        let add =
            |(sum, count): (u128, usize), digit| (sum.saturating_mul(10).saturating_add(u128::from(digit)), count + 1);
        digits.fold((lead, 0), add)
    };
    run(left).cmp(&run(right))
}

/// Writes JSON as Go does: indented by two or on one line, `<`, `>` and `&` escaped if asked for.
#[must_use]
pub fn json(node: &Node, indented: bool, html: bool) -> String {
    let mut out = String::new();
    Json { indented, html }.value(&mut out, &node.value, 0);
    out
}

struct Json {
    indented: bool,
    html: bool,
}

impl Json {
    fn value(&self, out: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(on) => {
                let _ = write!(out, "{on}");
            }
            Value::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Float(number) => out.push_str(&json_float(*number)),
            Value::Text(text) | Value::Date(text) => self.text(out, text),
            Value::List(items) => {
                let each = |out: &mut String, item: &Node| self.value(out, &item.value, depth + 1);
                self.collection(out, depth, ['[', ']'], items.iter(), each);
            }
            Value::Map(map) => {
                let each = |out: &mut String, (key, item): (&Text, &Node)| {
                    self.text(out, key);
                    out.push_str(if self.indented { ": " } else { ":" });
                    self.value(out, &item.value, depth + 1);
                };
                self.collection(out, depth, ['{', '}'], map.iter(), each);
            }
        }
    }

    fn collection<T>(
        &self,
        out: &mut String,
        depth: usize,
        [open, close]: [char; 2],
        items: impl ExactSizeIterator<Item = T>,
        each: impl Fn(&mut String, T),
    ) {
        let empty = items.len() == 0;
        out.push(open);
        for (place, item) in items.enumerate() {
            if place > 0 {
                out.push(',');
            }
            self.line(out, depth + 1);
            each(out, item);
        }
        if !empty {
            self.line(out, depth);
        }
        out.push(close);
    }

    fn line(&self, out: &mut String, depth: usize) {
        if self.indented {
            out.push('\n');
            push_indent(out, depth * 2);
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for letter in text.chars() {
            let _ = match letter {
                '"' => out.write_str("\\\""),
                '\\' => out.write_str("\\\\"),
                '\n' => out.write_str("\\n"),
                '\r' => out.write_str("\\r"),
                '\t' => out.write_str("\\t"),
                '\u{8}' => out.write_str("\\b"),
                '\u{c}' => out.write_str("\\f"),
                '<' | '>' | '&' if self.html => write!(out, "\\u{:04x}", u32::from(letter)),
                '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", u32::from(letter)),
                letter if letter < ' ' => write!(out, "\\u{:04x}", u32::from(letter)),
                letter => out.write_char(letter),
            };
        }
        out.push('"');
    }
}

fn json_float(number: f64) -> String {
    let text = exponential(number, -6, 21);
    // Go writes e-9, not e-09.
    text.replace("e-0", "e-")
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, read};
    use super::*;

    fn again(text: &str) -> String {
        write(&read(text, 0, Limits::default()).unwrap()[0])
    }

    #[test]
    fn scalars_are_quoted_as_go_yaml_quotes_them() {
        let text = "a: ''''\nb: \"tab\\t\"\nc: é\nd: \"true\"\ne: 'a: b'\nf: \"\"\ng: ' lead'\nh: '#c'\ni: '- b'\n\"n\": \"0x10\"\n\
                    o: |-\n  multi\n  line\np: |\n  one\n  two\nq: a#b\nr: '@x'\ns: a:b\nt: null\nu: []\nv: {}\n";
        assert_eq!(again(text), text);
    }

    #[test]
    fn collections_nest_by_two() {
        let text = "a:\n  - b: 1\n    c:\n      - d\n  - - e\n    - f\ng:\n  h:\n    i: |-\n      x\n      y\n";
        assert_eq!(again(text), text);
    }

    #[test]
    fn keys_are_ordered_by_their_numbers() {
        let mut keys = ["a10", "a2", "b", "A", "a_1", "a-1", "a1b", "a01", "ab"];
        keys.sort_by(|left, right| natural(left, right));
        assert_eq!(keys, ["A", "a-1", "a_1", "a1b", "a01", "a2", "a10", "ab", "b"]);
    }

    #[test]
    fn json_is_gos() {
        let node = read("a: [1, x<y, null]\nb: {}\nc: 0.5\n", 0, Limits::default()).unwrap().remove(0);
        assert_eq!(json(&node, false, true), r#"{"a":[1,"x\u003cy",null],"b":{},"c":0.5}"#);
        assert_eq!(
            json(&node, true, false),
            "{\n  \"a\": [\n    1,\n    \"x<y\",\n    null\n  ],\n  \"b\": {},\n  \"c\": 0.5\n}"
        );
    }
}
