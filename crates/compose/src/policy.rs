//! `pull_policy`s that let an image grow old: how old it may be before it is pulled again.

use std::time::Duration;

const DAY: u64 = 86_400;

/// How old the image of a service may be; none for policies that do not look at its age.
pub(crate) fn age(policy: &str) -> Option<Duration> {
    let seconds = match policy {
        "refresh" => 0,
        "daily" => DAY,
        "weekly" => 7 * DAY,
        other => span(other.strip_prefix("every_")?)?,
    };
    Some(Duration::from_secs(seconds))
}

/// `1w2d`, `5h30m`, in seconds.
fn span(text: &str) -> Option<u64> {
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b'w' => 7 * DAY,
            b'd' => DAY,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read() {
        for (policy, expect) in [
            ("always", None),
            ("missing", None),
            ("refresh", Some(0)),
            ("daily", Some(86_400)),
            ("weekly", Some(604_800)),
            ("every_5h30m", Some(19_800)),
            ("every_1w2d", Some(777_600)),
            ("every_90s", Some(90)),
            ("every_", None),
            ("every_12", None),
            ("every_h", None),
            ("every_1.5h", None),
            ("every_-1h", None),
            ("every_1é", None),
            ("every_99999999999999999999w", None),
            ("every_18446744073709551615w", None),
        ] {
            assert_eq!(age(policy), expect.map(Duration::from_secs), "{policy}");
        }
    }
}
