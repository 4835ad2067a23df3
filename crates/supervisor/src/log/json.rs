//! Docker's json-file format: `{"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}` and a newline, byte for byte.

use std::collections::BTreeMap;

use hako_model::time::Timestamp;
use memchr::{memchr, memchr2, memmem};

use super::clock::{StampReader, StampText};
use super::pieces::Piece;
use super::{Decoded, Found, Stream};

const HEAD: &[u8] = b"{\"log\":\"";
const STREAM: &[u8] = b",\"stream\":\"";
const TIME: &[u8] = b",\"time\":\"";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Encodes entries.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// What stands between the text and the time, for each stream.
    middles: [Vec<u8>; 2],
    stamp: StampText,
}

impl Encoder {
    /// An encoder that adds `attributes` to every entry.
    pub(crate) fn new(attributes: &BTreeMap<String, String>) -> Self {
        let middle = |stream: Stream| {
            let mut text = [b"\"".as_slice(), STREAM, stream.name().as_bytes(), b"\""].concat();
            push_attributes(&mut text, attributes);
            text.extend_from_slice(TIME);
            text
        };
        Self { middles: [middle(Stream::Stdout), middle(Stream::Stderr)], stamp: StampText::default() }
    }

    /// Appends one entry to `out`.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, stream: Stream, piece: Piece<'_>, time: Timestamp) {
        out.extend_from_slice(HEAD);
        escape(out, piece.bytes);
        if piece.ends_line {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(&self.middles[stream.index()]);
        self.stamp.push(out, time);
        out.extend_from_slice(b"\"}\n");
    }
}

fn push_attributes(out: &mut Vec<u8>, attributes: &BTreeMap<String, String>) {
    for (number, (name, value)) in attributes.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b",\"attrs\":{\"" } else { b",\"" });
        escape(out, name.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape(out, value.as_bytes());
        out.push(b'"');
    }
    if !attributes.is_empty() {
        out.push(b'}');
    }
}

/// Whether Go's encoder writes this byte as it is, wherever it stands.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x80 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// How many bytes at the beginning are plain. Whole blocks first: the compiler makes vector code of that.
fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    for block in bytes.chunks_exact(32) {
        if block.iter().fold(false, |special, byte| special | !is_plain(*byte)) {
            break;
        }
        run += 32;
    }
    run + bytes[run..].iter().take_while(|byte| is_plain(**byte)).count()
}

/// Appends `bytes` as the inside of a JSON string, as Docker's encoder does: `<`, `>`, `&`, U+2028 and U+2029 are
/// escaped, each byte that is not UTF-8 becomes U+FFFD.
pub(crate) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut done = 0;
    let mut at = 0;
    loop {
        at += plain_run(&bytes[at..]);
        let Some(byte) = bytes.get(at) else { break };
        let (length, replaced) = special(*byte, &bytes[at..]);
        if replaced {
            out.extend_from_slice(&bytes[done..at]);
            push_special(out, &bytes[at..at + length]);
            done = at + length;
        }
        at += length;
    }
    out.extend_from_slice(&bytes[done..]);
}

/// How many bytes the character that begins with `byte` has, and whether it must be replaced.
fn special(byte: u8, bytes: &[u8]) -> (usize, bool) {
    let length = match byte {
        0x00..0x80 => return (1, true),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (1, true),
    };
    match bytes.get(..length).map(std::str::from_utf8) {
        Some(Ok("\u{2028}" | "\u{2029}")) => (3, true),
        Some(Ok(_)) => (length, false),
        _ => (1, true),
    }
}

fn push_special(out: &mut Vec<u8>, character: &[u8]) {
    let byte = character[0];
    match character {
        b"\"" | b"\\" => out.extend_from_slice(&[b'\\', byte]),
        b"\n" => out.extend_from_slice(b"\\n"),
        b"\r" => out.extend_from_slice(b"\\r"),
        [0xe2, _, last] => out.extend_from_slice(&[b'\\', b'u', b'2', b'0', b'2', HEX[usize::from(last & 15)]]),
        _ if byte >= 0x80 => out.extend_from_slice(b"\\ufffd"),
        _ => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        }
    }
}

/// Decodes the entry at the beginning of `buffer`, in place: its text takes the room of its escaped form.
pub(crate) fn decode(buffer: &mut [u8], stamps: &mut StampReader) -> Decoded {
    let Some(end) = memchr(b'\n', buffer) else { return Decoded::Incomplete };
    let next = end + 1;
    let line = &mut buffer[..end];
    let found = if line.starts_with(HEAD) { decode_usual(line, stamps) } else { decode_any(line) };
    found.map_or(Decoded::Garbage { next }, |found| Decoded::Entry { found, next })
}

/// The form Docker and hako write.
fn decode_usual(line: &mut [u8], stamps: &mut StampReader) -> Option<Found> {
    let (text_end, quote) = unescape(line, HEAD.len())?;
    let rest = line[quote + 1..].strip_prefix(STREAM)?;
    let stream_end = memchr(b'"', rest)?;
    let stream = Stream::named(&rest[..stream_end])?;
    let rest = &rest[stream_end + 1..];
    let time = match rest.strip_prefix(TIME) {
        Some(time) => time,
        None => &rest[memmem::rfind(rest, TIME)? + TIME.len()..],
    };
    let time = stamps.read(time.strip_suffix(b"\"}")?)?;
    Some(Found { time, stream, line: HEAD.len()..text_end })
}

/// Undoes the escapes of the string that begins at `start`. The end of the result, and where the closing quote is.
fn unescape(line: &mut [u8], start: usize) -> Option<(usize, usize)> {
    let mut written = start;
    let mut at = start;
    loop {
        let stop = at + memchr2(b'"', b'\\', &line[at..])?;
        if written != at {
            line.copy_within(at..stop, written);
        }
        written += stop - at;
        if line[stop] == b'"' {
            return Some((written, stop));
        }
        let (character, length) = escaped(&line[stop..])?;
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes);
        line[written..written + text.len()].copy_from_slice(text.as_bytes());
        written += text.len();
        at = stop + length;
    }
}

/// The character that the escape at the beginning of `bytes` stands for, and the escape's length.
fn escaped(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match bytes.get(1)? {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((simple, 2))
}

fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(std::str::from_utf8(bytes.get(at..at + 4)?).ok()?, 16).ok();
    let first = unit(2)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let pair = bytes.get(6..8) == Some(b"\\u") && (0xd800..0xdc00).contains(&first);
    match unit(8).filter(|second| pair && (0xdc00..0xe000).contains(second)) {
        Some(second) => Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12)),
        None => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

/// The same object with its keys in another order, as other tools may write it.
fn decode_any(line: &mut [u8]) -> Option<Found> {
    #[derive(serde::Deserialize)]
    struct Object {
        log: String,
        stream: Stream,
        time: Timestamp,
    }
    let object: Object = serde_json::from_slice(line).ok()?;
    let length = object.log.len();
    line.get_mut(..length)?.copy_from_slice(object.log.as_bytes());
    Some(Found { time: object.time, stream: object.stream, line: 0..length })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped_text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    fn encode(bytes: &[u8], ends_line: bool, attributes: &[(&str, &str)]) -> String {
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let piece = Piece { bytes, ends_line, part: None, line: Timestamp::ZERO };
        let mut out = Vec::new();
        let time = Timestamp::from_nanos(1_700_000_000_120_000_000);
        Encoder::new(&attributes).push(&mut out, Stream::Stderr, piece, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_gos() {
        for (bytes, want) in [
            (&b"plain"[..], "plain"),
            (b"\"\\/", "\\\"\\\\/"),
            (b"\n\r\t\x08\x0c\x00\x1b[0m\x7f", "\\n\\r\\u0009\\u0008\\u000c\\u0000\\u001b[0m\x7f"),
            (b"<a&b>", "\\u003ca\\u0026b\\u003e"),
            ("héllo ✓ 🦀".as_bytes(), "héllo ✓ 🦀"),
            ("\u{2028}\u{2029}\u{202a}".as_bytes(), "\\u2028\\u2029\u{202a}"),
            (b"a\xffb\xc3", "a\\ufffdb\\ufffd"),
            (b"\xe2\x82A", "\\ufffd\\ufffdA"),
            (b"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),
            (b"\xf4\x90\x80\x80\xc0\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"),
            ("\u{fffd}".as_bytes(), "\u{fffd}"),
        ] {
            assert_eq!(escaped_text(bytes), want);
        }
        // What is special is found in every position of a block.
        for at in 0..70 {
            let mut line = vec![b'x'; 70];
            line[at] = b'<';
            assert_eq!(escaped_text(&line), format!("{}\\u003c{}", "x".repeat(at), "x".repeat(69 - at)));
        }
    }

    #[test]
    fn entries_are_dockers() {
        assert_eq!(
            encode(b"hi", true, &[]),
            "{\"log\":\"hi\\n\",\"stream\":\"stderr\",\"time\":\"2023-11-14T22:13:20.12Z\"}\n"
        );
        assert_eq!(
            encode(b"hi", false, &[("tag", "a\"b"), ("app", "<x>")]),
            "{\"log\":\"hi\",\"stream\":\"stderr\",\"attrs\":{\"app\":\"\\u003cx\\u003e\",\"tag\":\"a\\\"b\"},\
             \"time\":\"2023-11-14T22:13:20.12Z\"}\n"
        );
    }

    fn decoded(line: &str) -> Option<(String, Stream, i64)> {
        let mut buffer = line.as_bytes().to_vec();
        match decode(&mut buffer, &mut StampReader::default()) {
            Decoded::Entry { found, next } => {
                assert_eq!(next, buffer.len());
                let text = String::from_utf8(buffer[found.line].to_vec()).unwrap();
                Some((text, found.stream, found.time.secs()))
            }
            Decoded::Garbage { next } => {
                assert_eq!(next, buffer.len());
                None
            }
            Decoded::Incomplete => None,
        }
    }

    #[test]
    fn foreign_entries() {
        let time = "\"time\":\"1970-01-01T00:00:07Z\"";
        for (line, want) in [
            (format!("{{\"log\":\"a\\u00e9\\ud83e\\udd80\\t\\/\\n\",\"stream\":\"stdout\",{time}}}\n"), "aé🦀\t/\n"),
            (format!("{{\"log\":\"\\ud83e!\",\"stream\":\"stdout\",\"attrs\":{{\"a\":\"b\"}},{time}}}\n"), "\u{fffd}!"),
            (format!("{{{time},\"stream\":\"stdout\",\"log\":\"other order\"}}\n"), "other order"),
            (format!("{{\"stream\":\"stdout\",\"log\":\"\",{time}}}\n"), ""),
        ] {
            assert_eq!(decoded(&line), Some((want.into(), Stream::Stdout, 7)), "{line}");
        }
        for line in
            ["\n", "{}\n", "{\"log\":\"x\n", "{\"log\":\"\\x\",\"stream\":\"stdout\"}\n", "\0\0\0\n", "{\"log\":\"cut"]
        {
            assert_eq!(decoded(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), ends in any::<bool>()) {
            let line = encode(&bytes, ends, &[("k", "v")]);
            let plain: serde_json::Value = serde_json::from_str(&line).unwrap();
            let (text, stream, _) = decoded(&line).unwrap();
            prop_assert_eq!(plain["log"].as_str(), Some(&text[..]));
            prop_assert_eq!(stream, Stream::Stderr);
            let newline = if ends { "\n" } else { "" };
            if let Ok(valid) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(text, format!("{valid}{newline}"));
            }
        }

        #[test]
        fn no_line_makes_the_decoder_fail(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&mut bytes, &mut StampReader::default());
        }
    }
}
