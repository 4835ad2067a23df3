//! How much disk images, build cache and stopped containers may take together: a high mark, above which what was unused
//! longest goes, until they are below a low mark.
//! Leaves out measuring and removing.

/// A budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    high: Amount,
    low: Option<Amount>,
}

/// An amount of disk.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    Bytes(u64),
    /// Of the whole file system, in percent.
    Share(f64),
}

/// A text was no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want HIGH or HIGH:LOW, each an amount such as 50GB or a share of the file system such as 60%, LOW below HIGH")]
pub struct InvalidBudget;

impl Budget {
    /// Reads `50GB`, `50GB:40GB`, `80%:70%`.
    pub fn parse(text: &str) -> Result<Self, InvalidBudget> {
        let (high, low) = text.split_once(':').map_or((text, None), |(high, low)| (high, Some(low)));
        let budget = Self { high: amount(high)?, low: low.map(amount).transpose()? };
        // Amounts of one kind can be compared without knowing the disk.
        let sane = match (budget.high, budget.low) {
            (Amount::Bytes(high), Some(Amount::Bytes(low))) => low < high,
            (Amount::Share(high), Some(Amount::Share(low))) => low < high,
            _ => true,
        };
        if sane { Ok(budget) } else { Err(InvalidBudget) }
    }

    /// The high and the low mark in bytes, on a file system of `total` bytes. Without a low mark of its own it is four
    /// fifths of the high one.
    pub fn marks(&self, total: u64) -> (u64, u64) {
        let bytes = |amount| match amount {
            Amount::Bytes(bytes) => bytes,
            Amount::Share(share) => (total as f64 * share / 100.0) as u64,
        };
        let high = bytes(self.high);
        (high, self.low.map_or(high / 5 * 4, bytes).min(high))
    }
}

fn amount(text: &str) -> Result<Amount, InvalidBudget> {
    let lower = text.trim().to_ascii_lowercase();
    if let Some(share) = lower.strip_suffix('%') {
        let share: f64 = share.trim().parse().map_err(|_| InvalidBudget)?;
        return if share > 0.0 && share <= 100.0 { Ok(Amount::Share(share)) } else { Err(InvalidBudget) };
    }
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = lower[digits.len()..].trim_end_matches('b').trim_end_matches('i');
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit).ok_or(InvalidBudget)?;
    let value: f64 = digits.trim().parse().map_err(|_| InvalidBudget)?;
    let bytes = value * 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    if bytes.is_finite() && bytes >= 1.0 { Ok(Amount::Bytes(bytes as u64)) } else { Err(InvalidBudget) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, marks) in [
            ("50GB", (50 << 30, (50 << 30) / 5 * 4)),
            ("50g:10g", (50 << 30, 10 << 30)),
            ("1.5KiB:1k", (1536, 1024)),
            ("60%", (600, 480)),
            ("60%:50%", (600, 500)),
            ("60%:1b", (600, 1)),
            // A low mark above the high one, on this disk.
            ("10%:500b", (100, 100)),
        ] {
            assert_eq!(Budget::parse(text).map(|budget| budget.marks(1000)), Ok(marks), "{text}");
        }
        for text in ["", "x", "0", "-1g", "10g:20g", "50%:60%", "120%", "1g:", "1zb", "nan"] {
            assert!(Budget::parse(text).is_err(), "{text}");
        }
    }
}
