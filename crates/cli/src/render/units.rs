//! Sizes and spans of time in go-units' words, which Docker's tables are made of.

/// `1.09GB`: decimal, four significant digits.
pub(crate) fn human_size(bytes: f64) -> String {
    human_size_with(bytes, 4)
}

/// `1.09GB`: decimal, `digits` significant digits.
pub(crate) fn human_size_with(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, digits, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// `1.5GiB`: binary, four significant digits.
pub(crate) fn bytes_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

fn scaled(mut amount: f64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut unit = 0;
    while amount >= base && unit + 1 < units.len() {
        amount /= base;
        unit += 1;
    }
    format!("{}{}", significant(amount, digits), units[unit])
}

/// C's `%.{digits}g`.
pub(crate) fn significant(amount: f64, digits: usize) -> String {
    if amount == 0.0 {
        return "0".to_owned();
    }
    let shown = format!("{:.*e}", digits.saturating_sub(1), amount);
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    without_zeros(&format!("{amount:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// `About a minute`, `3 weeks`: a span in the words people use.
pub(crate) fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A text of at most `room` columns, with an ellipsis where it was cut.
pub(crate) fn ellipsis(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    match room {
        0 => String::new(),
        1 => text.chars().take(1).collect(),
        _ => text.chars().take(room - 1).chain(['…']).collect(),
    }
}

/// An id or digest without its algorithm, twelve digits.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1_090_000_000.0, "1.09GB"),
            (77_812_345.0, "77.81MB"),
            (123_456.0, "123.5kB"),
            (9_999_999.0, "10MB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(human_size(bytes), shown);
        }
        assert_eq!(human_size_with(77_812_345.0, 3), "77.8MB");
        assert_eq!(bytes_size(1024.0), "1KiB");
        assert_eq!(bytes_size(1_610_612_736.0), "1.5GiB");
        assert_eq!(bytes_size(1023.0 * 1024.0), "1023KiB");
    }

    #[test]
    fn spans() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (3600 * 5 + 1800, "6 hours"),
            (3600 * 24 * 3, "3 days"),
            (3600 * 24 * 21, "3 weeks"),
            (3600 * 24 * 90, "3 months"),
            (3600 * 24 * 365 * 3, "3 years"),
        ];
        for (seconds, shown) in cases {
            assert_eq!(human_duration(seconds), shown);
        }
    }

    #[test]
    fn texts_are_cut_with_an_ellipsis() {
        assert_eq!(ellipsis("\"nginx -g 'daemon off;'\"", 20), "\"nginx -g 'daemon o…");
        assert_eq!(ellipsis("short", 20), "short");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
    }
}
