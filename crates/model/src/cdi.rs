//! Names of devices that vendors describe for containers (the Container Device Interface): `vendor.com/class=name`.

/// A qualified name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualifiedName<'a> {
    /// `vendor.com/class`
    pub kind: &'a str,
    /// The device among those of its kind.
    pub name: &'a str,
}

impl<'a> QualifiedName<'a> {
    /// Takes a text apart; none if it is no qualified name, but for example a path.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, name) = text.split_once('=')?;
        (is_kind(kind) && is_name(name)).then_some(Self { kind, name })
    }
}

/// Whether it is `vendor/class`.
pub fn is_kind(text: &str) -> bool {
    text.split_once('/').is_some_and(|(vendor, class)| is_word(vendor, "_-.") && is_word(class, "_-"))
}

/// Whether a device may be called so.
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    text.bytes().all(inner) && ends(text, |byte| byte.is_ascii_alphanumeric())
}

/// A letter, then letters, digits and some marks, but no mark at the end.
fn is_word(text: &str, marks: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || marks.bytes().any(|mark| mark == byte);
    text.bytes().all(inner)
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && ends(text, |byte| byte.is_ascii_alphanumeric())
}

fn ends(text: &str, fine: impl Fn(u8) -> bool) -> bool {
    let (first, last) = (text.bytes().next(), text.bytes().next_back());
    first.is_some_and(&fine) && last.is_some_and(&fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("vendor.com/device=foo", true),
            ("nvidia.com/gpu=all", true),
            ("nvidia.com/gpu=0:1", true),
            ("v/c=0", true),
            ("/dev/null", false),
            ("/dev/a=b", false),
            ("vendor.com/device", false),
            ("vendor.com/device=", false),
            ("vendor.com/=x", false),
            ("1vendor.com/device=x", false),
            ("vendor.com/de.vice=x", false),
            ("vendor.com/device=-x", false),
            ("vendor.com-/device=x", false),
        ];
        for (text, fine) in table {
            assert_eq!(QualifiedName::parse(text).is_some(), fine, "{text}");
        }
        let found = QualifiedName::parse("nvidia.com/gpu=all").unwrap();
        assert_eq!((found.kind, found.name), ("nvidia.com/gpu", "all"));
    }
}
