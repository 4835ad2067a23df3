//! Single values: texts cast to what they stand for, in the canonical spelling.

use hako_model::duration::text as text_of;

use crate::error::Refusal;
use crate::expand::refuse;
use crate::shape::{Kind, Trail};
use crate::yaml::{Node, Value};

/// Casts a value to its kind.
pub(super) fn cast(node: Node, kind: Kind, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let mark = node.mark;
    let failed = |reason: String| refuse(mark, trail, reason);
    let value = match kind {
        Kind::Text => text(node.value),
        Kind::Loose => loose(&node),
        Kind::Choice(names) => choice(node.value, names),
        Kind::Switch | Kind::Choosable | Kind::OptOut => choosable(node.value),
        Kind::Flag => flag(node.value),
        Kind::Whole | Kind::Count => whole(node.value),
        Kind::Unsigned => within(node.value, 0, i64::MAX),
        Kind::Within(low, high) => within(node.value, low, high),
        Kind::Rounded | Kind::Tries => rounded(node.value),
        Kind::Number => number(node.value),
        Kind::Natural => number(node.value).and_then(|value| within(value, 0, i64::MAX)),
        Kind::Fraction => fraction(node.value),
        Kind::Bytes | Kind::Amount | Kind::Size => bytes(&node.value, kind),
        Kind::Span | Kind::Moment | Kind::Unshown => span(&node.value),
        Kind::Mode => mode(&node.value),
        Kind::Command => command(node.value),
        Kind::Probe => probe(node.value),
        Kind::Devices => devices(node.value),
        Kind::External => external(node.value),
        Kind::Stance => stance(node.value),
        Kind::Policy => policy(node.value),
        _ => Err("has a kind nobody casts".to_owned()),
    };
    Ok(Node::at(value.map_err(failed)?, mark))
}

type Cast = Result<Value, String>;

fn text(value: Value) -> Cast {
    if matches!(value, Value::Text(_)) { Ok(value) } else { Err("must be a string".to_owned()) }
}

fn loose(node: &Node) -> Cast {
    let fits = matches!(node.value, Value::Text(_) | Value::Int(_));
    let text = if fits { node.scalar() } else { None };
    text.map(Value::Text).ok_or_else(|| "must be a string or a whole number".to_owned())
}

fn stance(value: Value) -> Cast {
    let fits = matches!(value, Value::Text(_) | Value::Bool(_));
    let text = if fits { Node::made(value).scalar() } else { None };
    if let Some(text) = text { Ok(Value::Text(text)) } else { Err("must be a boolean or a string".to_owned()) }
}

/// `true`, `"yes"`, or `{name: …}` of older files.
fn external(value: Value) -> Cast {
    match &value {
        Value::Map(map) => {
            let other = map.keys().find(|key| *key != "name").cloned();
            let unnamed = map.get("name").is_some_and(|name| name.as_text().is_none());
            match other {
                Some(key) => Err(format!("additional properties '{key}' not allowed")),
                None if unnamed => Err("name must be a string".to_owned()),
                None => Ok(value),
            }
        }
        Value::Text(_) | Value::Bool(_) => choosable(value),
        _ => Err("must be a boolean, mapping or string".to_owned()),
    }
}

/// When an image is pulled.
fn policy(value: Value) -> Cast {
    const NAMES: [&str; 8] = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let Value::Text(text) = &value else { return Err("must be a string".to_owned()) };
    let every = crate::policy::age(text).is_some();
    if every || NAMES.contains(&text.as_str()) {
        return Ok(value);
    }
    Err(format!("value must be one of '{}' or 'every_' and a duration", NAMES.join("', '")))
}

fn choice(value: Value, names: &[&str]) -> Cast {
    match &value {
        Value::Text(text) if names.contains(&text.as_str()) => Ok(value),
        Value::Text(_) => {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            Err(format!("value must be one of {}", names.join(", ")))
        }
        _ => Err("must be a string".to_owned()),
    }
}

fn choosable(value: Value) -> Cast {
    match &value {
        Value::Bool(_) => Ok(value),
        Value::Text(text) => switch(text),
        _ => Err("must be a boolean".to_owned()),
    }
}

/// A switch in words. Numbers are none.
pub(super) fn switch(text: &str) -> Cast {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Ok(Value::Bool(true)),
        "false" | "n" | "no" | "off" => Ok(Value::Bool(false)),
        _ => Err(format!("failed to cast to expected type: invalid boolean: {text}")),
    }
}

fn flag(value: Value) -> Cast {
    if matches!(value, Value::Bool(_)) { Ok(value) } else { Err("must be a boolean".to_owned()) }
}

fn whole(value: Value) -> Cast {
    match value {
        Value::Float(number) if number.fract() != 0.0 || !number.is_finite() => {
            Err("must be a whole number".to_owned())
        }
        value => rounded(value),
    }
}

fn within(value: Value, low: i64, high: i64) -> Cast {
    match whole(value)? {
        Value::Int(number) if !(i128::from(low)..=i128::from(high)).contains(&number) => match high {
            i64::MAX => Err(format!("must be {low} or more")),
            high => Err(format!("must be between {low} and {high}")),
        },
        value => Ok(value),
    }
}

/// A whole number; of a text it must be written plainly.
fn rounded(value: Value) -> Cast {
    let Value::Text(text) = &value else { return number(value) };
    let number: Option<i64> = text.parse().ok();
    let not = || format!("failed to cast to expected type: {text:?} is no whole number");
    number.map(|number| Value::Int(number.into())).ok_or_else(not)
}

fn number(value: Value) -> Cast {
    match value {
        Value::Int(number) if i64::try_from(number).is_ok() => Ok(value),
        // As Go converts what is too large, or no number, on most machines.
        Value::Float(number) if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) => {
            Ok(Value::Int(i64::MIN.into()))
        }
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(number) => Ok(Value::Int(number as i128)),
        _ => Err("must be a number".to_owned()),
    }
}

fn fraction(value: Value) -> Cast {
    let number = match &value {
        Value::Int(number) if number.abs() < 1_000_000 => return Ok(value),
        #[allow(clippy::cast_precision_loss)]
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Text(text) => {
            text.parse().map_err(|_| format!("failed to cast to expected type: {text:?} is no number"))?
        }
        _ => return Err("must be a number".to_owned()),
    };
    if !number.is_finite() {
        return Err("must be a finite number".to_owned());
    }
    // Go keeps it in single precision and prints it so.
    #[allow(clippy::cast_possible_truncation)]
    let single = (number as f32).to_string();
    Ok(match crate::yaml::plain(&single) {
        #[allow(clippy::cast_precision_loss)]
        Value::Int(whole) if whole.abs() >= 1_000_000 => Value::Float(whole as f64),
        value => value,
    })
}

fn bytes(value: &Value, kind: Kind) -> Cast {
    match value {
        Value::Text(text) => amount(text).map(|bytes| Value::Text(bytes.to_string().into())),
        _ if matches!(kind, Kind::Size) => Err("must be a string, as \"64m\"".to_owned()),
        Value::Int(number) => Ok(Value::Text(number.to_string().into())),
        // To Compose what is written with a point or an exponent is no amount at all.
        Value::Float(number) if number.fract() == 0.0 || matches!(kind, Kind::Amount) => Ok(Value::Text("0".into())),
        _ => Err("must be a string or a number".to_owned()),
    }
}

/// `64m`, `1.5g`, `10KB`.
pub(crate) fn amount(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |at| at + 1);
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let unit = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|name| *name == unit);
    let power = power.ok_or_else(|| format!("invalid suffix: '{suffix}'"))?;
    let bytes = number * 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    #[allow(clippy::cast_possible_truncation)]
    if bytes.is_finite() && (0.0..9e18).contains(&bytes) { Ok(bytes as i64) } else { Err(invalid()) }
}

fn span(value: &Value) -> Cast {
    let Value::Text(text) = value else { return Err("must be a string, as \"1m30s\"".to_owned()) };
    duration(text).map(|nanos| Value::Text(text_of(nanos).into()))
}

/// Compose's durations: Go's, and days and weeks.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration {text:?}: write it as \"1m30s\", \"500ms\" or \"2h\"");
    let (mut total, mut plain) = (0_i64, String::new());
    let mut digits = String::new();
    for letter in text.trim().chars() {
        let unit = match letter {
            'd' => 24,
            'w' => 7 * 24,
            _ => {
                if !letter.is_ascii_digit() && letter != '.' && letter != '-' && letter != '+' {
                    plain.push_str(&std::mem::take(&mut digits));
                    plain.push(letter);
                } else {
                    digits.push(letter);
                }
                continue;
            }
        };
        let count: i64 = std::mem::take(&mut digits).parse().map_err(|_| invalid())?;
        total = count
            .checked_mul(unit * 3600 * 1_000_000_000)
            .and_then(|add| total.checked_add(add))
            .ok_or_else(invalid)?;
    }
    plain.push_str(&digits);
    match plain.as_str() {
        "" if total > 0 => Ok(total),
        rest => hako_model::duration::parse(rest).ok().and_then(|nanos| nanos.checked_add(total)).ok_or_else(invalid),
    }
}

fn mode(value: &Value) -> Cast {
    let bits = match value {
        Value::Int(number) => Some(*number),
        Value::Text(text) => i128::from_str_radix(text, 8).ok(),
        _ => None,
    };
    let bits = bits.filter(|bits| (0..=0o7777).contains(bits));
    bits.map(|bits| Value::Text(format!("0{bits:o}").into()))
        .ok_or_else(|| "must be a file mode, as \"0440\"".to_owned())
}

fn command(value: Value) -> Cast {
    match value {
        Value::Text(text) => crate::words::split(&text).map(texts),
        Value::List(items) => match items.iter().position(|item| item.as_text().is_none()) {
            Some(place) => Err(format!("{place} must be a string")),
            None => Ok(Value::List(items)),
        },
        Value::Null => Ok(Value::Null),
        _ => Err("must be a string or a list of strings".to_owned()),
    }
}

fn probe(value: Value) -> Cast {
    match value {
        Value::Text(text) => Ok(texts(vec!["CMD-SHELL".to_owned(), text.to_string()])),
        list => match command(list)? {
            Value::List(words) => match words.first().map(|word| word.as_text().unwrap_or_default()) {
                None | Some("CMD" | "CMD-SHELL" | "NONE") => Ok(Value::List(words)),
                Some(_) => Err("must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"".to_owned()),
            },
            other => Ok(other),
        },
    }
}

fn texts(words: Vec<String>) -> Value {
    Value::List(words.into_iter().map(|word| Node::made(Value::Text(word.into()))).collect())
}

fn devices(value: Value) -> Cast {
    match &value {
        Value::Text(text) if text == "all" => Ok(Value::Int(-1)),
        Value::Text(_) | Value::Int(_) => whole(value),
        _ => Err("must be a number or \"all\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos_and_days_and_weeks() {
        let check = |text: &str, wanted: &str| assert_eq!(duration(text).map(text_of).as_deref(), Ok(wanted));
        check("1m30s", "1m30s");
        check("90s", "1m30s");
        check("1500ms", "1.5s");
        check("1h", "1h0m0s");
        check("0s", "0s");
        check("500us", "500µs");
        check("2d", "48h0m0s");
        check("1w1d2h", "194h0m0s");
        check("60s", "1m0s");
        for text in ["soon", "5", "", "1x", "d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_of_bytes() {
        let check = |text: &str, wanted: i64| assert_eq!(amount(text), Ok(wanted), "{text}");
        check("1.5g", 1_610_612_736);
        check("64MB", 67_108_864);
        check("300KB", 307_200);
        check("017", 17);
        check("2gb", 2_147_483_648);
        check("10 MiB", 10_485_760);
        for text in ["5x", "", "m", "-1", "-5m", "1e99g", " 1 "] {
            assert!(amount(text).is_err(), "{text}");
        }
    }
}
