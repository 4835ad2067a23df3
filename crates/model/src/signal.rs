//! Signals of Linux by name and number, see signal(7).

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of `SIGTERM`, `term`, `15`, `SIGRTMIN+3`; none if there is no such signal.
#[must_use]
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().find(|(name, _)| *name == bare).map(|(_, number)| *number);
    named.or_else(|| realtime(bare))
}

fn realtime(bare: &str) -> Option<i32> {
    let (base, rest, sign) = match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
        (Some(rest), _) => (34, rest.strip_prefix('+').or(rest.is_empty().then_some("0"))?, 1),
        (_, Some(rest)) => (64, rest.strip_prefix('-').or(rest.is_empty().then_some("0"))?, -1),
        _ => return None,
    };
    let number = base + sign * rest.parse::<i32>().ok()?;
    (34..=64).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, expect) in [
            ("SIGKILL", Some(9)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("RTMIN", Some(34)),
            ("sigrtmax-1", Some(63)),
            ("0", None),
            ("65", None),
            ("FOO", None),
            ("", None),
        ] {
            assert_eq!(number(text), expect, "{text}");
        }
    }
}
