//! Values of flags in Go's spelling: booleans, numbers, durations, sizes. Error texts are Go's, because scripts and
//! people have met them before.

use hako_model::quote::quote;

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`: prefixes and underscores included.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    let failure = |why: &str| format!("strconv.ParseInt: parsing {}: {why}", quote(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = parse_magnitude(digits).map_err(failure)?;
    let signed = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(signed).map_err(|_| failure("value out of range"))
}

/// Go's `strconv.ParseUint(text, 0, 16)`.
pub(crate) fn parse_uint16(text: &str) -> Result<u16, String> {
    let failure = |why: &str| format!("strconv.ParseUint: parsing {}: {why}", quote(text));
    let magnitude = parse_magnitude(text).map_err(failure)?;
    u16::try_from(magnitude).map_err(|_| failure("value out of range"))
}

fn parse_magnitude(digits: &str) -> Result<u64, &'static str> {
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let body = if radix == 10 { body.to_owned() } else { body.replace('_', "") };
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Err("invalid syntax");
    }
    u64::from_str_radix(&body, radix).map_err(|_| "value out of range")
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let amount: f64 = rest[..number].parse().map_err(|_| invalid())?;
        let tail = &rest[number..];
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        if unit == 0 {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let scale = unit_nanoseconds(&tail[..unit])
            .ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(&tail[..unit]), quote(text)))?;
        total += amount * scale;
        rest = &tail[unit..];
    }
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    let nanoseconds = total.round() as i64;
    Ok(if negative { -nanoseconds } else { nanoseconds })
}

fn unit_nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

/// go-units' `RAMInBytes`: binary multiples, `1.5g`, `512`, `64KiB`.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(end + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let amount: f64 = number.parse().map_err(|_| invalid())?;
    if amount < 0.0 || number.starts_with('+') {
        return Err(invalid());
    }
    let scale = size_scale(suffix).ok_or_else(|| format!("invalid suffix: '{suffix}'"))?;
    Ok((amount * scale) as i64)
}

fn size_scale(suffix: &str) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let mut letters = lower.chars();
    let power = match letters.next() {
        None => return Some(1.0),
        Some('b') => return letters.next().is_none().then_some(1.0),
        Some(letter) => "kmgtp".find(letter)? as i32 + 1,
    };
    matches!(letters.as_str(), "" | "b" | "ib").then(|| 1024f64.powi(power))
}

/// `--cpus`: a decimal number (or fraction) of processors, in billionths.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, String> {
    let failure = || format!("failed to parse {text} as a rational number");
    let amount = match text.split_once('/') {
        Some((over, under)) => {
            let under: f64 = under.parse().map_err(|_| failure())?;
            over.parse::<f64>().map_err(|_| failure())? / under
        }
        None => text.parse::<f64>().map_err(|_| failure())?,
    };
    if !amount.is_finite() {
        return Err(failure());
    }
    let billionths = amount * 1e9;
    if (billionths - billionths.round()).abs() > 1e-3 {
        return Err("value is too precise".to_owned());
    }
    Ok(billionths.round() as i64)
}

/// A filter is `name=value`.
pub(super) fn check_filter(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(yes), Ok(true), "{yes}");
        }
        assert_eq!(parse_bool("0"), Ok(false));
        assert_eq!(parse_bool("yes").unwrap_err(), "strconv.ParseBool: parsing \"yes\": invalid syntax");
    }

    #[test]
    fn integers_are_gos() {
        let cases = [("10", 10), ("-5", -5), ("0x10", 16), ("010", 8), ("+7", 7), ("0", 0), ("0b11", 3)];
        for (text, number) in cases {
            assert_eq!(parse_int(text), Ok(number), "{text}");
        }
        assert_eq!(parse_int("a").unwrap_err(), "strconv.ParseInt: parsing \"a\": invalid syntax");
        assert_eq!(
            parse_int("99999999999999999999").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert!(parse_uint16("70000").is_err());
    }

    #[test]
    fn durations_are_gos() {
        let cases = [("1s", 1_000_000_000), ("1m30s", 90_000_000_000), ("1.5h", 5_400_000_000_000), ("0", 0)];
        for (text, nanoseconds) in cases {
            assert_eq!(parse_duration(text), Ok(nanoseconds), "{text}");
        }
        assert_eq!(parse_duration("-2ms"), Ok(-2_000_000));
        assert_eq!(parse_duration("a").unwrap_err(), "time: invalid duration \"a\"");
        assert_eq!(parse_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(parse_duration("5d").unwrap_err(), "time: unknown unit \"d\" in duration \"5d\"");
    }

    #[test]
    fn sizes_are_go_units() {
        let cases = [
            ("512", 512),
            ("1k", 1024),
            ("1KB", 1024),
            ("1.5g", 1_610_612_736),
            ("32m", 33_554_432),
            ("2 KiB", 2048),
            ("7b", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_bytes("x").unwrap_err(), "invalid size: 'x'");
        assert_eq!(parse_bytes("1x").unwrap_err(), "invalid suffix: 'x'");
        assert!(parse_bytes("-1").is_err());
    }

    #[test]
    fn processors_are_exact_to_a_billionth() {
        assert_eq!(parse_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(parse_cpus("1/4"), Ok(250_000_000));
        assert_eq!(parse_cpus("a").unwrap_err(), "failed to parse a as a rational number");
        assert_eq!(parse_cpus("0.0000000001").unwrap_err(), "value is too precise");
    }
}
