//! Text that JSON cannot say: bytes that are not UTF-8, and halves of surrogate pairs. Go reads both as U+FFFD.

use std::borrow::Cow;

/// The same body with U+FFFD for what is no text; nothing if nothing was to be mended.
pub(super) fn mended(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let whole = matches!(text, Cow::Borrowed(_));
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut halves) = (text.as_ref(), 0);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let pair = unit(escape).filter(|unit| is_high(*unit)).and_then(|_| unit(escape.get(6..)?)).is_some_and(is_low);
        let length = match unit(escape) {
            Some(_) if pair => 12,
            Some(_) => 6,
            None => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        let (escape, after) = escape.split_at(length);
        if !pair && unit(escape).is_some_and(|unit| is_high(unit) || is_low(unit)) {
            halves += 1;
            out.push_str("\\ufffd");
        } else {
            out.push_str(escape);
        }
        rest = after;
    }
    out.push_str(rest);
    (halves > 0 || !whole).then_some(out)
}

/// What a `\uXXXX` at the beginning stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}
