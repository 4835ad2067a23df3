//! `--chmod`: octal, or symbolic as chmod(1) takes it.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// These bits.
    Exactly(u32),
    /// Changes, in order.
    Symbolic(Vec<Clause>),
}

/// `go+rX` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    who: u32,
    sign: char,
    letters: Vec<char>,
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o1007;

impl Chmod {
    /// Reads either form.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid =
            || format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777");
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
            return bits.map(Self::Exactly).ok_or_else(invalid);
        }
        text.split(',').map(clause).collect::<Option<Vec<_>>>().map(Self::Symbolic).ok_or_else(invalid)
    }

    /// The bits that come of `mode`.
    #[must_use]
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Exactly(bits) => *bits,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let mut who = 0;
    for letter in text[..at].chars() {
        who |= match letter {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHERS,
            'a' => 0o7777,
            _ => return None,
        };
    }
    let letters: Vec<char> = text[at + 1..].chars().collect();
    let known = letters.iter().all(|letter| "rwxXstugo".contains(*letter));
    let sign = text[at..].chars().next()?;
    known.then_some(Clause { who: if who == 0 { 0o7777 } else { who }, sign, letters })
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits =
            self.letters.iter().fold(0, |bits, letter| bits | Self::bits(*letter, mode, is_directory)) & self.who;
        match self.sign {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !(self.who & 0o777)) & !(self.who & 0o7000 & !bits) | bits,
        }
    }

    fn bits(letter: char, mode: u32, is_directory: bool) -> u32 {
        let everywhere = |three: u32| three << 6 | three << 3 | three;
        match letter {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            'X' if is_directory || mode & 0o111 != 0 => 0o111,
            's' => 0o6000,
            't' => 0o1000,
            'u' => everywhere(mode >> 6 & 7),
            'g' => everywhere(mode >> 3 & 7),
            'o' => everywhere(mode & 7),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        for (text, mode, folder, expect) in [
            ("755", 0o600, false, 0o755),
            ("u=rwx,go=rx", 0o600, false, 0o755),
            ("g+w,o=", 0o644, false, 0o660),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o700, true, 0o711),
            ("+x", 0o644, false, 0o755),
            ("u+s,o+t", 0o755, false, 0o5755),
            ("g=u", 0o640, false, 0o660),
            ("u-w", 0o644, false, 0o444),
        ] {
            assert_eq!(Chmod::parse(text).unwrap().apply(mode, folder), expect, "{text}");
        }
        for text in ["", "8", "77777", "z+x", "u!x", "u+q"] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
