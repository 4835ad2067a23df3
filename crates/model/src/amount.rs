//! Amounts of bytes as people write them.

/// Docker's `RAMInBytes`: a number and a binary unit, as in `64m`, `1.5GiB`.
pub fn bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = lower[digits.len()..].trim_end_matches('b').trim_end_matches('i');
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    let value: f64 = digits.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
    Some((value * 1024_f64.powi(i32::try_from(power).ok()?)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, expect) in
            [("64m", Some(64 << 20)), ("1.5GiB", Some(3 << 29)), ("12", Some(12)), ("x", None), ("-1", None)]
        {
            assert_eq!(bytes(text), expect, "{text}");
        }
    }
}
