//! `pull_policy`s that let an image grow old: how old it may be before it is pulled again.

use std::time::Duration;

use crate::creation::span as span_of;
use crate::yaml::Node;

const DAY: u64 = 86_400;

/// How old the image of a service may be; `refresh` may say so in `pull_refresh_after`.
pub(crate) fn age_of(service: &Node) -> Option<Duration> {
    let policy = service.text("pull_policy");
    let after = span_of(service, "pull_refresh_after").filter(|_| policy == "refresh");
    after.and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos).or_else(|| age(policy))
}

/// How old an image may be by a policy; none for policies that do not look at its age.
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
    fn refresh_may_say_after_what_time() {
        let of = |text: &str| {
            let mut read = crate::yaml::read(text, 0, crate::yaml::Limits::default()).unwrap();
            age_of(&read.remove(0)).map(|age| age.as_secs())
        };
        assert_eq!(of("{pull_policy: refresh, pull_refresh_after: 1d2h}"), Some(93_600));
        assert_eq!(of("{pull_policy: refresh}"), Some(0));
        assert_eq!(of("{pull_policy: daily, pull_refresh_after: 1h}"), Some(86_400));
        assert_eq!(of("{pull_policy: missing, pull_refresh_after: 1h}"), None);
    }

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
