//! Docker's stream framing: eight bytes of header (stream, three zeros, big-endian length), then the payload.

/// Bytes of a header.
pub const HEADER: usize = 8;

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard input, only ever echoed.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// An error of the daemon itself.
    System,
}

/// The header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFrame {
    /// The byte where the stream should be.
    pub stream: u8,
}

impl StreamKind {
    fn from_byte(stream: u8) -> Result<Self, NotAFrame> {
        match stream {
            0 => Ok(Self::Stdin),
            1 => Ok(Self::Stdout),
            2 => Ok(Self::Stderr),
            3 => Ok(Self::System),
            _ => Err(NotAFrame { stream }),
        }
    }
}

/// The header of a payload.
#[must_use]
pub fn header(stream: StreamKind, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream as u8, 0, 0, 0, a, b, c, d]
}

/// Takes frames apart as bytes arrive, in pieces of any size and without keeping payloads.
#[derive(Clone, Debug, Default)]
pub struct Demultiplexer {
    head: [u8; HEADER],
    have: usize,
    current: Option<(StreamKind, usize)>,
}

impl Demultiplexer {
    /// Takes the next piece of payload from the front of `input`, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`NotAFrame`] when the stream is not framed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<(StreamKind, &'a [u8])>, NotAFrame> {
        loop {
            match self.current {
                Some((_, 0)) => self.current = None,
                Some((_, _)) if input.is_empty() => return Ok(None),
                Some((stream, left)) => {
                    let (piece, rest) = input.split_at(left.min(input.len()));
                    *input = rest;
                    self.current = Some((stream, left - piece.len()));
                    return Ok(Some((stream, piece)));
                }
                None => {
                    if !self.fill_header(input)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the stream may end here: not within a frame.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.have == 0 && self.current.is_none_or(|(_, left)| left == 0)
    }

    fn fill_header(&mut self, input: &mut &[u8]) -> Result<bool, NotAFrame> {
        let take = (HEADER - self.have).min(input.len());
        let (piece, rest) = input.split_at(take);
        self.head[self.have..self.have + take].copy_from_slice(piece);
        self.have += take;
        *input = rest;
        if self.have < HEADER {
            return Ok(false);
        }
        let [stream, _, _, _, a, b, c, d] = self.head;
        self.have = 0;
        self.current = Some((StreamKind::from_byte(stream)?, u32::from_be_bytes([a, b, c, d]) as usize));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (stream, payload) in [(StreamKind::Stdout, "hello"), (StreamKind::Stderr, ""), (StreamKind::Stderr, "oh")] {
            bytes.extend(header(stream, u32::try_from(payload.len()).unwrap()));
            bytes.extend(payload.as_bytes());
        }
        bytes
    }

    #[test]
    fn any_split_gives_the_same_streams() {
        for size in 1..=framed().len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut demultiplexer = Demultiplexer::default();
            for chunk in framed().chunks(size) {
                let mut input = chunk;
                while let Some((stream, piece)) = demultiplexer.next(&mut input).unwrap() {
                    if stream == StreamKind::Stdout { &mut out } else { &mut err }.extend_from_slice(piece);
                }
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"hello"[..], &b"oh"[..]), "pieces of {size}");
            assert!(demultiplexer.at_boundary());
        }
    }

    #[test]
    fn raw_bytes_are_not_taken_for_frames() {
        let mut input = &b"hello, world"[..];
        assert_eq!(Demultiplexer::default().next(&mut input), Err(NotAFrame { stream: b'h' }));
    }
}
