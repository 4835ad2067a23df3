//! Signals by name and number.

use crate::{Error, Result};

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

/// Reads `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            1..=64 => Ok(number),
            65.. => Err(Error::invalid(format!("the linux daemon does not support signal {number}"))),
            _ => Err(invalid()),
        };
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(name, _)| *name == bare) {
        return Ok(*number);
    }
    realtime(bare).ok_or_else(invalid)
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
    fn signals() {
        for (text, expect) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("", None),
            ("0", None),
            ("65", None),
            ("SIGFOO", None),
            ("RTMIN+40", None),
        ] {
            assert_eq!(parse(text).ok(), expect, "{text}");
        }
        assert_eq!(parse("99").unwrap_err().to_string(), "the linux daemon does not support signal 99");
    }
}
