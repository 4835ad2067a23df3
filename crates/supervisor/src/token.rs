//! What an epoll event is about, packed into its 64-bit token.

use crate::log::Stream;

/// The number of the container's own streams; execs and probes count up from it.
pub(crate) const CONTAINER: u32 = 0;

/// Something the loop waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A new engine at the door.
    Door,
    /// An engine's connection.
    Engine(u32),
    /// The end of a process.
    Exit(u32),
    /// Output of a process; of a terminal, also room for its input.
    Output(u32, Stream),
    /// Room for the input of a process.
    Input(u32),
    /// A client's socket.
    Client(u32),
    /// The kernel may have killed for want of memory.
    Memory,
    /// Published ports have something to relay.
    Ports,
    /// A log file is compressed.
    Compression,
    /// The container asks for names.
    Names,
    /// Somebody changed the host's rules or devices.
    Host,
    /// There is room on the way of the log, or its end.
    Courier,
}

impl Token {
    /// As a number.
    pub(crate) fn pack(self) -> u64 {
        let (kind, number) = match self {
            Self::Door => (0, 0),
            Self::Engine(number) => (1, number),
            Self::Exit(number) => (2, number),
            Self::Output(number, Stream::Stdout) => (3, number),
            Self::Output(number, Stream::Stderr) => (4, number),
            Self::Input(number) => (5, number),
            Self::Client(number) => (6, number),
            Self::Memory => (7, 0),
            Self::Ports => (8, 0),
            Self::Compression => (9, 0),
            Self::Names => (10, 0),
            Self::Host => (11, 0),
            Self::Courier => (12, 0),
        };
        kind << 32 | u64::from(number)
    }

    /// Back from a number.
    pub(crate) fn unpack(token: u64) -> Option<Self> {
        // The low half.
        let number = token as u32;
        Some(match token >> 32 {
            0 => Self::Door,
            1 => Self::Engine(number),
            2 => Self::Exit(number),
            3 => Self::Output(number, Stream::Stdout),
            4 => Self::Output(number, Stream::Stderr),
            5 => Self::Input(number),
            6 => Self::Client(number),
            7 => Self::Memory,
            8 => Self::Ports,
            9 => Self::Compression,
            10 => Self::Names,
            11 => Self::Host,
            12 => Self::Courier,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for token in [
            Token::Door,
            Token::Engine(u32::MAX),
            Token::Exit(CONTAINER),
            Token::Output(3, Stream::Stdout),
            Token::Output(4, Stream::Stderr),
            Token::Input(5),
            Token::Client(6),
            Token::Memory,
            Token::Ports,
            Token::Compression,
            Token::Names,
            Token::Host,
            Token::Courier,
        ] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(u64::MAX), None);
    }
}
