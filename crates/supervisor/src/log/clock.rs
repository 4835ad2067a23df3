//! Stamps of log entries: strictly increasing, so that a reader that lost its place finds it again by time, and
//! their texts, of which all but the fraction is the same for a second.

use hako_model::time::Timestamp;

const NANOS: i64 = 1_000_000_000;
/// "2026-11-21T11:22:26": what is the same for a second.
const SECOND: usize = 19;

/// Gives stamps.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: i64,
}

impl Clock {
    /// A clock that goes on after `last`.
    pub(crate) fn after(last: Timestamp) -> Self {
        Self { last: if last.is_zero() { 0 } else { last.nanos() } }
    }

    /// The stamp of the next entry read at `now`.
    pub(crate) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        self.last = now.nanos().max(self.last + 1);
        Timestamp::from_nanos(self.last)
    }
}

/// Writes stamps as RFC 3339 with as many digits as needed, as Go's `RFC3339Nano` does.
#[derive(Debug)]
pub(crate) struct StampText {
    second: i64,
    text: [u8; SECOND],
}

impl Default for StampText {
    fn default() -> Self {
        Self { second: i64::MIN, text: [0; SECOND] }
    }
}

impl StampText {
    /// Appends `time` to `out`.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let second = time.secs();
        if second != self.second {
            self.second = second;
            self.text.copy_from_slice(&Timestamp::from_secs(second).fixed().as_bytes()[..SECOND]);
        }
        out.extend_from_slice(&self.text);
        push_fraction(out, time.nanos().rem_euclid(NANOS));
        out.push(b'Z');
    }
}

fn push_fraction(out: &mut Vec<u8>, mut nanos: i64) {
    if nanos == 0 {
        return;
    }
    let mut digits = *b".000000000";
    for digit in digits[1..].iter_mut().rev() {
        // One decimal digit.
        *digit += (nanos % 10) as u8;
        nanos /= 10;
    }
    let kept = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0);
    out.extend_from_slice(&digits[..=kept]);
}

/// Reads such texts back.
#[derive(Debug, Default)]
pub(crate) struct StampReader {
    text: [u8; SECOND],
    second: i64,
}

impl StampReader {
    /// The moment `text` names.
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (second, rest) = text.split_at_checked(SECOND)?;
        let Some(nanos) = fraction(rest) else {
            return Timestamp::parse(std::str::from_utf8(text).ok()?).ok();
        };
        if second != self.text {
            let whole = format!("{}Z", std::str::from_utf8(second).ok()?);
            self.second = Timestamp::parse(&whole).ok()?.secs();
            self.text.copy_from_slice(second);
        }
        Some(Timestamp::from_nanos(self.second.checked_mul(NANOS)?.checked_add(nanos)?))
    }
}

/// The nanoseconds of `.123Z` or `Z`; none for any other text (an offset, say).
fn fraction(text: &[u8]) -> Option<i64> {
    let digits = match text.strip_suffix(b"Z")? {
        b"" => return Some(0),
        digits => digits.strip_prefix(b".").filter(|digits| (1..=9).contains(&digits.len()))?,
    };
    let mut nanos = 0;
    for place in 0..9 {
        let digit = digits.get(place).map_or(0, |digit| digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        nanos = nanos * 10 + i64::from(digit);
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(nanos: i64) -> String {
        let mut out = Vec::new();
        StampText::default().push(&mut out, Timestamp::from_nanos(nanos));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailing_zeros_go() {
        let second = 1_700_000_000 * NANOS;
        for (nanos, want) in [(0, ""), (1, ".000000001"), (120_000_000, ".12"), (100, ".0000001")] {
            assert_eq!(text(second + nanos), format!("2023-11-14T22:13:20{want}Z"));
        }
    }

    #[test]
    fn stamps_only_grow() {
        let mut clock = Clock::after(Timestamp::from_nanos(10));
        let stamps = [5, 5, 20, 20].map(|now| clock.stamp(Timestamp::from_nanos(now)).nanos());
        assert_eq!(stamps, [11, 12, 20, 21]);
    }

    #[test]
    fn foreign_texts() {
        let read = |text: &str| StampReader::default().read(text.as_bytes()).map(Timestamp::nanos);
        assert_eq!(read("2023-11-14T23:13:20.5+01:00"), Some(1_700_000_000_500_000_000));
        for text in ["", "2023-11-14", "2023-11-14T23:13:20.xZ", "2023-13-14T23:13:20Z"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_those_of_timestamp(nanos in 0..4_000_000_000_000_000_000_i64) {
            let time = Timestamp::from_nanos(nanos);
            prop_assert_eq!(text(nanos), time.to_string());
            prop_assert_eq!(StampReader::default().read(text(nanos).as_bytes()), Some(time));
        }
    }
}
