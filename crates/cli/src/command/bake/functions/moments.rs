//! Functions about moments.

use hcl::eval::FuncArgs;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::{Answer, text};

/// A moment in RFC 3339, in the zone it is told in.
fn moment(text: &str) -> Result<Zoned, String> {
    let wrong = || format!("not a valid RFC3339 timestamp: cannot use {text:?}");
    let stamp: Timestamp = text.parse().map_err(|_| wrong())?;
    let offset = Pieces::parse(text).ok().and_then(|pieces| pieces.to_numeric_offset()).unwrap_or(Offset::UTC);
    Ok(stamp.to_zoned(TimeZone::fixed(offset)))
}

fn shown(moment: &Zoned) -> String {
    let zone = if moment.offset() == Offset::UTC { "Z".to_owned() } else { moment.strftime("%:z").to_string() };
    format!("{}{zone}", moment.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// What a run of a letter stands for.
fn verb(run: &str, moment: &Zoned) -> Option<String> {
    let format = match run {
        "YYYY" => "%Y",
        "YY" => "%y",
        "MMMM" => "%B",
        "MMM" => "%b",
        "MM" => "%m",
        "M" => "%-m",
        "DD" => "%d",
        "D" => "%-d",
        "EEEE" => "%A",
        "EEE" => "%a",
        "hh" => "%H",
        "h" => "%-H",
        "HH" => "%I",
        "H" => "%-I",
        "AA" => "%p",
        "aa" => "%P",
        "mm" => "%M",
        "m" => "%-M",
        "ss" => "%S",
        "s" => "%-S",
        "Z" | "ZZZ" if moment.offset() == Offset::UTC => return Some(if run == "Z" { "Z" } else { "UTC" }.to_owned()),
        "Z" | "ZZZZZ" => "%:z",
        "ZZZ" | "ZZZZ" => "%z",
        _ => return None,
    };
    Some(moment.strftime(format).to_string())
}

pub(super) fn formatdate(args: FuncArgs) -> Answer {
    let (pattern, moment) = (text(&args, 0)?, moment(&text(&args, 1)?)?);
    let (mut out, mut rest) = (String::new(), pattern.as_str());
    while let Some(letter) = rest.chars().next() {
        if letter == '\'' {
            let end = rest[1..].find('\'').ok_or("unterminated literal '")?;
            // Two of them are one.
            out += if end == 0 { "'" } else { &rest[1..=end] };
            rest = &rest[end + 2..];
            continue;
        }
        let run = &rest[..rest.len() - rest.trim_start_matches(letter).len()];
        match verb(run, &moment) {
            Some(text) => out += &text,
            None if letter.is_ascii_alphabetic() => return Err(format!("invalid date format verb {run:?}")),
            None => out += run,
        }
        rest = &rest[run.len()..];
    }
    Ok(out.into())
}

/// A length of time as Go writes it.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() && rest != "0" {
        let digits = rest.find(|one: char| !one.is_ascii_digit() && one != '.').ok_or_else(wrong)?;
        let amount: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].find(|one: char| one.is_ascii_digit()).map_or(rest.len(), |at| at + digits);
        seconds += amount
            * match &rest[digits..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[unit..];
    }
    SignedDuration::try_from_secs_f64(sign * seconds).map_err(|_| wrong())
}

pub(super) fn timeadd(args: FuncArgs) -> Answer {
    let (moment, length) = (moment(&text(&args, 0)?)?, duration(&text(&args, 1)?)?);
    let later = moment.checked_add(length).map_err(|error| error.to_string())?;
    Ok(shown(&later).into())
}
