//! What the values of filters mean: patterns of names, which are regular expressions as with Docker, and moments.

use hako_model::duration;
use hako_model::filter::Filters;
use hako_model::time::Timestamp;
use regex_lite::Regex;

use crate::{Error, Result};

/// Whether `name` is `pattern`, or the regular expression finds something in it. What is no expression finds nothing.
pub(crate) fn finds(pattern: &str, name: &str) -> bool {
    // Plain names, which is what nearly everybody asks for, need no machine.
    let plain = pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/'));
    if plain {
        name.contains(pattern)
    } else {
        pattern == name || Regex::new(pattern).is_ok_and(|it| it.is_match(name))
    }
}

/// The `until` filter of whatever has an age.
pub(crate) fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    let mut values = filters.values("until");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::invalid("more than one until filter specified"));
    }
    let refused = || Error::invalid(format!("failed to parse value as time or duration: {value:?}"));
    Ok(Some(moment(value).ok_or_else(refused)?))
}

/// A moment as Docker's filters take it: so long ago, a date, a date and time, or seconds since the epoch.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(ago) = duration::parse(text) {
        let now = Timestamp::from(std::time::SystemTime::now()).nanos();
        return Some(Timestamp::from_nanos(now.saturating_sub(ago)));
    }
    let spellings = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    spellings.iter().find_map(|text| Timestamp::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_regular_expressions() {
        for (pattern, expect) in [
            ("", true),
            ("web", true),
            ("eb-1", true),
            ("^web-1$", true),
            ("^web$", false),
            ("w.b", true),
            ("[0-9]$", true),
            ("db|web", true),
            ("[", false),
        ] {
            assert_eq!(finds(pattern, "web-1"), expect, "{pattern}");
        }
        assert!(finds("a+b", "a+b"), "a name that is spelt out");
    }

    #[test]
    fn moments_are_told_in_many_ways() {
        let read = |text: &str| until(&[("until", text)].into_iter().collect());
        for text in ["2026-01-02", "2026-01-02T00:00", "2026-01-02T00:00:00", "2026-01-02T00:00:00Z", "1767312000"] {
            assert_eq!(read(text).unwrap(), Some(Timestamp::from_secs(1_767_312_000)), "{text}");
        }
        assert!(read("24h").unwrap().is_some());
        let refused = read("banana").unwrap_err().to_string();
        assert_eq!(refused, "failed to parse value as time or duration: \"banana\"");
    }

    #[test]
    fn moments_have_many_spellings() {
        let noon = Timestamp::parse("2026-03-04T12:00:00Z").unwrap();
        for text in ["2026-03-04T12:00:00Z", "2026-03-04T12:00:00", "2026-03-04T12:00", "1772625600"] {
            assert_eq!(moment(text), Some(noon), "{text}");
        }
        assert!(moment("2h").unwrap() < moment("1h").unwrap());
        assert_eq!(moment("2026-03-04"), Some(Timestamp::parse("2026-03-04T00:00:00Z").unwrap()));
        assert_eq!(moment("yesterday"), None);
    }
}
