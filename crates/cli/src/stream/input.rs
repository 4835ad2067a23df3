//! Standard input on its way to a container: a thread that reads, watches for the detach keys, and writes to the
//! connection itself.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use hako_client::Socket;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tokio::sync::oneshot;

/// Starts the thread. The receiver hears from it when the person detaches, and is dropped when input ends.
pub(super) fn carry(socket: &Socket, keys: &str) -> io::Result<oneshot::Receiver<()>> {
    let connection = match socket {
        Socket::Unix(stream) => stream.as_fd().try_clone_to_owned()?,
        Socket::Tcp(stream) => stream.as_fd().try_clone_to_owned()?,
        // Hijacked streams come as sockets of this machine.
        Socket::Tls(_) | Socket::Ssh(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut watch = Watch::new(keys);
    let (tell, told) = oneshot::channel();
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        if forward(&mut io::stdin().lock(), &connection, &mut watch) {
            let _ = tell.send(());
        }
    })?;
    Ok(told)
}

/// Forwards until input ends (`false`) or the detach keys come (`true`).
fn forward(input: &mut impl Read, connection: &OwnedFd, watch: &mut Watch) -> bool {
    let mut buffer = [0; 32 << 10];
    let mut passed = Vec::new();
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        passed.clear();
        let detached = watch.pass(&buffer[..count], &mut passed);
        if send_all(connection, &passed).is_err() {
            return false;
        }
        if detached {
            return true;
        }
    }
    // Half-close, so that the container sees the end of its input and can still answer.
    let _ = shutdown(connection, Shutdown::Write);
    false
}

/// The connection does not block, because the other direction is asynchronous: wait until it takes more.
fn send_all(connection: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(connection, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(connection, PollFlags::OUT)], None)?;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Finds the detach keys in what is typed, and holds back what may be their beginning.
struct Watch {
    keys: Vec<u8>,
    matched: usize,
}

impl Watch {
    fn new(keys: &str) -> Self {
        let keys = keys.split(',').filter(|key| !key.is_empty()).filter_map(byte).collect();
        Self { keys, matched: 0 }
    }

    /// Adds to `passed` what goes on to the container; `true` when the keys are complete.
    fn pass(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in typed {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return true;
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(self.keys.first() == Some(byte));
            if self.matched == 0 {
                passed.push(*byte);
            }
        }
        false
    }
}

/// `a` or `ctrl-a` as the byte a terminal sends.
fn byte(key: &str) -> Option<u8> {
    match key.strip_prefix("ctrl-") {
        Some(letter) => letter.bytes().next().map(|letter| letter.to_ascii_uppercase() ^ 0x40),
        None => key.bytes().next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut watch, mut passed) = (Watch::new(keys), Vec::new());
        let detached = pieces.iter().any(|piece| watch.pass(piece, &mut passed));
        (passed, detached)
    }

    #[test]
    fn detach_keys_are_found_across_pieces() {
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"ab\x10", b"\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"a\x10b"]), (b"a\x10b".to_vec(), false));
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(typed("", &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
        assert_eq!(typed("x", &[b"axb"]), (b"a".to_vec(), true));
    }

    #[test]
    fn keys_are_bytes() {
        assert_eq!(
            (byte("ctrl-a"), byte("ctrl-["), byte("ctrl-@"), byte("q")),
            (Some(1), Some(27), Some(0), Some(b'q'))
        );
    }
}
