//! The parts of a reference, one predicate each, after distribution's regular expressions.

/// Whether the text is an image id in full: 64 lower-case hex digits.
pub(super) fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `host[:port]` where host is a DNS name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn is_domain(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let inside = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        return inside && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits and inner dashes.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Components separated by slashes.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_component)
}

/// Runs of lower-case letters and digits, separated by `.`, `_`, `__` or any number of dashes.
fn is_component(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let Some(separator) = separator(rest) else { return false };
        rest = &rest[separator..];
    }
}

/// The length of the separator a text begins with.
fn separator(text: &[u8]) -> Option<usize> {
    match text {
        [b'_', b'_', ..] => Some(2),
        [b'.' | b'_', ..] => Some(1),
        [b'-', ..] => Some(text.iter().take_while(|byte| **byte == b'-').count()),
        _ => None,
    }
}

/// A word character, then up to 127 word characters, dots and dashes.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128 && bytes.next().is_some_and(word) && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// `algorithm:hex` with at least 32 digits; whether the algorithm is known is another question.
pub(super) fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let parts = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    parts && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}
