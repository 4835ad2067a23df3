//! Output becomes log entries: one a line, and long lines in parts, cut where Docker cuts them.

use hako_model::time::Timestamp;

/// A longer line is logged in parts of this many bytes.
pub(crate) const PART: usize = 16 * 1024;

/// One entry to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Its bytes, without the newline.
    pub bytes: &'a [u8],
    /// Whether a newline follows.
    pub ends_line: bool,
    /// If it is a part: which, counted from one.
    pub part: Option<u32>,
    /// When the first part of its line was cut: names the line the parts belong to.
    pub line: Timestamp,
}

/// The line of one stream that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    parts: u32,
    line: Timestamp,
}

impl Tail {
    /// Cuts `bytes`, which follow what is kept, into pieces; keeps what is no whole piece yet.
    pub(crate) fn cut(&mut self, mut bytes: &[u8], now: Timestamp, emit: &mut impl FnMut(Piece<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.end_line(&bytes[..end], now, emit);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes, now, emit);
    }

    /// The stream has ended: what is kept becomes a part without a newline, as Docker has it.
    pub(crate) fn finish(&mut self, now: Timestamp, emit: &mut impl FnMut(Piece<'_>)) {
        let kept = std::mem::take(&mut self.bytes);
        if !kept.is_empty() {
            self.part(&kept, now, emit);
        }
        self.parts = 0;
    }

    /// What is kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives memory back, if nothing is kept.
    pub(crate) fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    fn end_line(&mut self, bytes: &[u8], now: Timestamp, emit: &mut impl FnMut(Piece<'_>)) {
        if self.bytes.is_empty() && bytes.len() < PART {
            self.last(bytes, emit);
            return;
        }
        self.keep(bytes, now, emit);
        let mut kept = std::mem::take(&mut self.bytes);
        self.last(&kept, emit);
        kept.clear();
        self.bytes = kept;
    }

    fn last(&mut self, bytes: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        let part = (self.parts > 0).then_some(self.parts + 1);
        emit(Piece { bytes, ends_line: true, part, line: self.line });
        self.parts = 0;
    }

    fn keep(&mut self, mut bytes: &[u8], now: Timestamp, emit: &mut impl FnMut(Piece<'_>)) {
        while self.bytes.len() + bytes.len() >= PART {
            let (head, rest) = bytes.split_at(PART - self.bytes.len());
            if self.bytes.is_empty() {
                self.part(head, now, emit);
            } else {
                let mut whole = std::mem::take(&mut self.bytes);
                whole.extend_from_slice(head);
                self.part(&whole, now, emit);
                whole.clear();
                self.bytes = whole;
            }
            bytes = rest;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn part(&mut self, bytes: &[u8], now: Timestamp, emit: &mut impl FnMut(Piece<'_>)) {
        if self.parts == 0 {
            self.line = now;
        }
        self.parts += 1;
        emit(Piece { bytes, ends_line: false, part: Some(self.parts), line: self.line });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(reads: &[&[u8]]) -> Vec<(Vec<u8>, bool, Option<u32>)> {
        let mut pieces = Vec::new();
        let mut emit = |piece: Piece<'_>| pieces.push((piece.bytes.to_vec(), piece.ends_line, piece.part));
        let mut tail = Tail::default();
        for read in reads {
            tail.cut(read, Timestamp::from_secs(1), &mut emit);
        }
        tail.finish(Timestamp::from_secs(1), &mut emit);
        pieces
    }

    #[test]
    fn lines_and_an_unfinished_one() {
        let want = [(b"one".to_vec(), true, None), (b"".to_vec(), true, None), (b"tw".to_vec(), false, Some(1))];
        assert_eq!(cut(&[b"on", b"e\n\ntw"]), want);
        assert_eq!(cut(&[b""]), []);
    }

    #[test]
    fn a_line_of_exactly_one_part_has_an_empty_last_part() {
        let mut line = vec![b'x'; PART];
        line.push(b'\n');
        let shape = |line: &[u8]| -> Vec<_> { cut(&[line]).into_iter().map(|(b, e, p)| (b.len(), e, p)).collect() };
        assert_eq!(shape(&line), [(PART, false, Some(1)), (0, true, Some(2))]);
        assert_eq!(shape(&line[1..]), [(PART - 1, true, None)]);
        assert_eq!(shape(&[&line[1..], &line[1..]].concat()), [(PART - 1, true, None), (PART - 1, true, None)]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_depend_on_reads(
            lengths in proptest::collection::vec(0..40_000_usize, 1..6),
            step in 1..70_000_usize,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|n| std::iter::repeat_n(b'a', *n).chain([b'\n'])).collect();
            let whole = cut(&[&bytes[..bytes.len() - 1]]);
            let reads: Vec<&[u8]> = bytes[..bytes.len() - 1].chunks(step).collect();
            prop_assert_eq!(&cut(&reads), &whole);
            let joined: Vec<u8> = whole
                .iter()
                .flat_map(|(bytes, ends, _)| bytes.iter().copied().chain(ends.then_some(b'\n')))
                .collect();
            prop_assert_eq!(&joined[..], &bytes[..bytes.len() - 1]);
        }
    }
}
