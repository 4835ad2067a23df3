//! Docker's local format: protobuf `LogEntry` messages, each between two copies of its length (four bytes, big
//! endian), so that a file can be read from its end.
//!
//! `LogEntry { string source = 1; int64 time_nano = 2; bytes line = 3; bool partial = 4;
//! PartialLogEntryMetadata { bool last = 1; string id = 2; int32 ordinal = 3; } partial_log_metadata = 5; }`

use std::ops::Range;

use hako_model::time::Timestamp;

use super::pieces::Piece;
use super::{Decoded, Found, Stream};

/// Bytes of one copy of the length.
pub(crate) const FRAME: usize = 4;
/// No entry is longer: a length above this is damage.
const LONGEST: usize = 1024 * 1024;

/// Appends one entry to `out`.
pub(crate) fn push(out: &mut Vec<u8>, stream: Stream, piece: Piece<'_>, time: Timestamp) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    push_bytes(out, 1, stream.name().as_bytes());
    push_number(out, 2, time.nanos().cast_unsigned());
    push_bytes(out, 3, piece.bytes);
    if let Some(ordinal) = piece.part {
        push_number(out, 4, 1);
        push_bytes(out, 5, &part_metadata(&piece, ordinal));
    }
    let length = u32::try_from(out.len() - start - FRAME).unwrap_or(u32::MAX).to_be_bytes();
    out[start..start + FRAME].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn part_metadata(piece: &Piece<'_>, ordinal: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    if piece.ends_line {
        push_number(&mut out, 1, 1);
    }
    push_bytes(&mut out, 2, format!("{:016x}", piece.line.nanos()).as_bytes());
    push_number(&mut out, 3, u64::from(ordinal));
    out
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits.
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_number(out: &mut Vec<u8>, field: u64, value: u64) {
    push_varint(out, field << 3);
    push_varint(out, value);
}

fn push_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    push_varint(out, field << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Decodes the entry at the beginning of `buffer`. Its newline, which is not stored, takes a byte of what follows it.
pub(crate) fn decode(buffer: &mut [u8]) -> Decoded {
    let Some(length) = length_at(buffer, 0) else { return Decoded::Incomplete };
    if length > LONGEST {
        // Nothing tells where the next entry begins.
        return Decoded::Garbage { next: buffer.len() };
    }
    let next = length + 2 * FRAME;
    if buffer.len() < next {
        return Decoded::Incomplete;
    }
    match decode_entry(&buffer[FRAME..FRAME + length]) {
        Some((mut found, ends_line)) => {
            found.line = found.line.start + FRAME..found.line.end + FRAME;
            if ends_line {
                buffer[found.line.end] = b'\n';
                found.line.end += 1;
            }
            Decoded::Entry { found, next }
        }
        None => Decoded::Garbage { next },
    }
}

/// The length that stands at `at`.
pub(crate) fn length_at(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..at.checked_add(FRAME)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

fn decode_entry(bytes: &[u8]) -> Option<(Found, bool)> {
    let (mut stream, mut time, mut line, mut partial, mut last) = (None, 0, 0..0, false, false);
    let mut at = 0;
    while at < bytes.len() {
        let (field, value) = field(bytes, &mut at)?;
        match (field, value) {
            (1, Value::Bytes(range)) => stream = Stream::named(&bytes[range]),
            (2, Value::Number(number)) => time = number.cast_signed(),
            (3, Value::Bytes(range)) => line = range,
            (4, Value::Number(number)) => partial = number != 0,
            (5, Value::Bytes(range)) => last = is_last(&bytes[range])?,
            _ => {}
        }
    }
    let found = Found { time: Timestamp::from_nanos(time), stream: stream?, line };
    Some((found, !partial || last))
}

fn is_last(bytes: &[u8]) -> Option<bool> {
    let (mut at, mut last) = (0, false);
    while at < bytes.len() {
        if let (1, Value::Number(number)) = field(bytes, &mut at)? {
            last = number != 0;
        }
    }
    Some(last)
}

enum Value {
    Number(u64),
    Bytes(Range<usize>),
}

fn field(bytes: &[u8], at: &mut usize) -> Option<(u64, Value)> {
    let key = varint(bytes, at)?;
    let value = match key & 7 {
        0 => Value::Number(varint(bytes, at)?),
        2 => {
            let length = usize::try_from(varint(bytes, at)?).ok()?;
            let range = *at..at.checked_add(length).filter(|end| *end <= bytes.len())?;
            *at = range.end;
            Value::Bytes(range)
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(bytes: &[u8], ends_line: bool, part: Option<u32>) -> Piece<'_> {
        Piece { bytes, ends_line, part, line: Timestamp::from_nanos(0xabc) }
    }

    #[test]
    fn entries_are_dockers() {
        let mut out = Vec::new();
        push(&mut out, Stream::Stdout, piece(b"hi", true, None), Timestamp::from_nanos(300));
        let message = b"\x0a\x06stdout\x10\xac\x02\x1a\x02hi";
        assert_eq!(out, [b"\0\0\0\x0f", &message[..], b"\0\0\0\x0f"].concat());
        out.clear();
        push(&mut out, Stream::Stderr, piece(b"p", true, Some(2)), Timestamp::from_nanos(1));
        let message = b"\x0a\x06stderr\x10\x01\x1a\x01p\x20\x01\x2a\x16\x08\x01\x12\x100000000000000abc\x18\x02";
        assert_eq!(&out[FRAME..out.len() - FRAME], message);
    }

    #[test]
    fn damage_is_passed_over() {
        assert_eq!(decode(&mut [0, 0]), Decoded::Incomplete);
        assert_eq!(decode(&mut [0, 0, 0, 9, 1]), Decoded::Incomplete);
        assert_eq!(decode(&mut [0, 0, 0, 1, 0xff, 0, 0, 0, 1, 5]), Decoded::Garbage { next: 9 });
        assert_eq!(decode(&mut [0xff, 0, 0, 1, 0xff]), Decoded::Garbage { next: 5 });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            ends_line in any::<bool>(),
            ordinal in 1..9_u32,
            nanos in any::<i64>(),
        ) {
            let part = (!ends_line || ordinal > 1).then_some(ordinal);
            let mut out = Vec::new();
            push(&mut out, Stream::Stderr, piece(&bytes, ends_line, part), Timestamp::from_nanos(nanos));
            let Decoded::Entry { found, next } = decode(&mut out) else { panic!("no entry") };
            let newline: &[u8] = if ends_line { b"\n" } else { b"" };
            prop_assert_eq!(&out[found.line], &[&bytes, newline].concat()[..]);
            prop_assert_eq!((found.time.nanos(), found.stream, next), (nanos, Stream::Stderr, out.len()));
        }

        #[test]
        fn no_bytes_make_the_decoder_fail(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            decode(&mut bytes);
        }
    }
}
