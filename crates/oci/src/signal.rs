//! Signals by name and number.

/// Names by number.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// Real-time signals: the first one programs may use, and the last.
const REAL_TIME: (i32, i32) = (34, 64);

/// The number of `9`, `KILL`, `SIGKILL`, `RTMIN+3`, in any case.
pub(crate) fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(index + 1).ok();
    }
    let number = match name {
        "CLD" => 17,
        "IOT" => 6,
        "POLL" => 29,
        "UNUSED" => 31,
        "RTMIN" => REAL_TIME.0,
        "RTMAX" => REAL_TIME.1,
        _ => {
            let above = name.strip_prefix("RTMIN+").and_then(|text| text.parse::<u8>().ok());
            let below = name.strip_prefix("RTMAX-").and_then(|text| text.parse::<u8>().ok());
            above.map(|n| REAL_TIME.0 + i32::from(n)).or_else(|| below.map(|n| REAL_TIME.1 - i32::from(n)))?
        }
    };
    (number >= REAL_TIME.0 || number < 32).then_some(number).filter(|number| *number <= REAL_TIME.1)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn names_and_numbers() {
        for (text, expected) in [
            ("9", Some(9)),
            ("KILL", Some(9)),
            ("sigterm", Some(15)),
            ("SIGSYS", Some(31)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("0", Some(0)),
            ("65", None),
            ("RTMIN+99", None),
            ("MOON", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
