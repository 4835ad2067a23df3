//! What an unquoted scalar is, by go-yaml's rules: YAML 1.1's octals and underscores, but no yes/no booleans.

use super::Value;

/// What a text means where it is not quoted.
#[must_use]
pub fn plain(text: &str) -> Value {
    resolve(text)
}

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    other_than_text(text).unwrap_or_else(|| Value::Text(text.into()))
}

/// What a plain scalar is if it is no text.
fn other_than_text(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    if is_date(text) { Some(Value::Date(text.into())) } else { number(text) }
}

/// Whether a text begins as one that, written plainly, might be read as something else than that text.
pub(super) fn could_be_other(text: &str) -> bool {
    text.bytes().next().is_none_or(|first| !first.is_ascii_alphabetic() && first != b'/' && first != b'_')
        || (text.len() <= 5 && (other_than_text(text).is_some() || is_old_bool(text)))
}

/// Whether a text, written plainly, would be read as something else than that text.
pub(super) fn needs_quotes(text: &str) -> bool {
    other_than_text(text).is_some() || text == "<<" || is_old_bool(text) || is_base_sixty(text)
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    if let Some(whole) = whole_number(&plain) {
        return Some(Value::Int(whole));
    }
    is_float(&plain).then(|| plain.parse().ok().map(Value::Float)).flatten()
}

/// Go's `ParseInt` with base 0, for what fits 64 bits with or without a sign.
fn whole_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let amount = i128::from(u64::from_str_radix(digits, base).ok()?);
    let signed = if negative { -amount } else { amount };
    (signed >= i128::from(i64::MIN)).then_some(signed)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|part| {
        let part = part.strip_prefix(['-', '+']).unwrap_or(part);
        !part.is_empty() && digits(part)
    });
    mantissa_fits && exponent_fits
}

/// A date as go-yaml sees one: `2001-1-2`, with or without a time of day.
fn is_date(text: &str) -> bool {
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let parts: Vec<&str> = day.split('-').collect();
    let digits =
        |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let [year, month, date] = parts[..] else { return false };
    let clock = |text: &str| text.trim().split(':').count() >= 3 && text.starts_with(|c: char| c.is_ascii_digit());
    year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(date, 2) && time.is_none_or(clock)
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF"
    )
}

/// `22:22`, which YAML 1.1 reads as a number of base 60.
fn is_base_sixty(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !body.contains(':') || !body.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let (body, fraction) = body.split_once('.').unwrap_or((body, ""));
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or_default();
    let sixty = |part: &str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    };
    first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && parts.all(sixty)
        && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// A float as Go's `fmt.Sprint` writes it.
#[must_use]
pub fn float_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    exponential(number, -4, 6)
}

/// A float as go-yaml writes it.
#[must_use]
pub fn go_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    exponential(number, -4, 6)
}

/// Go's `%e` outside of `[low, high)` exponents, its `%f` within; both the shortest that reads back the same.
pub(super) fn exponential(number: f64, low: i32, high: i32) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (low..high).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_go_yaml_makes_of_them() {
        let check = |text: &str, wanted: Value| assert_eq!(resolve(text), wanted, "{text}");
        check("0644", Value::Int(420));
        check("0o17", Value::Int(15));
        check("0x1F", Value::Int(31));
        check("0b11", Value::Int(3));
        check("10_000", Value::Int(10_000));
        check("+5", Value::Int(5));
        check("08", Value::Float(8.0));
        check("1.50", Value::Float(1.5));
        check(".5", Value::Float(0.5));
        check("1e3", Value::Float(1000.0));
        check("12345678901234567890", Value::Int(12_345_678_901_234_567_890));
        check("yes", "yes".into());
        check("22:22", "22:22".into());
        check("1.2.3", "1.2.3".into());
        check("-", "-".into());
        check("~", Value::Null);
        check("2001-01-01", Value::Date("2001-01-01".into()));
        check("2001-01", "2001-01".into());
        check("True", Value::Bool(true));
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        assert_eq!(float_text(1e30), "1e+30");
        assert_eq!(float_text(1000.0), "1000");
        assert_eq!(float_text(1e6), "1e+06");
        assert_eq!(float_text(1_234_567.5), "1.2345675e+06");
        assert_eq!(float_text(f64::INFINITY), "+Inf");
        assert_eq!(go_float(123_456.5), "123456.5");
        assert_eq!(float_text(0.00001), "1e-05");
        assert_eq!(go_float(1e21), "1e+21");
        assert_eq!(go_float(1.5), "1.5");
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for text in ["", "on", "n", "1", "0x10", "2001-01-01", "null", "22:22", "1e3"] {
            assert!(needs_quotes(text), "{text}");
        }
        for text in ["one", "80:90x", "a:b", "1.2.3.4"] {
            assert!(!needs_quotes(text), "{text}");
        }
    }
}
