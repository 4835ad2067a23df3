//! Signals by name and number.

use hako_model::signal::number;

use crate::{Error, Result};

/// Reads `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
pub(crate) fn parse(text: &str) -> Result<i32> {
    match (number(text), text.parse::<i32>()) {
        (Some(number), _) => Ok(number),
        (None, Ok(number @ 65..)) => Err(Error::invalid(format!("the linux daemon does not support signal {number}"))),
        (None, _) => Err(Error::invalid(format!("invalid signal: {text}"))),
    }
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
