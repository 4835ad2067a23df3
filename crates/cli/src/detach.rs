//! The key sequence that leaves a container running. The supervisor watches for it; here it is only checked.

/// Docker's own sequence.
pub(crate) const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Refuses a sequence Docker would not take: letters, and `ctrl-` with a letter or one of `@[\]^_`.
pub(crate) fn check(keys: &str) -> Result<(), String> {
    for key in keys.split(',') {
        let single = key.chars().count() == 1;
        let control = key.strip_prefix("ctrl-").is_some_and(|letter| {
            letter.len() == 1 && letter.chars().all(|c| c.is_ascii_lowercase() || "@[\\]^_".contains(c))
        });
        if !single && !control && !keys.is_empty() {
            return Err(format!("invalid detach keys ({keys}): Unknown character: '{key}'"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        for good in ["", DEFAULT, "a", "ctrl-a", "ctrl-@", "ctrl-x,x", "ctrl-\\"] {
            check(good).unwrap();
        }
        for bad in ["ctrl-", "ctrl-A", "abc", "ctrl-p,,x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
