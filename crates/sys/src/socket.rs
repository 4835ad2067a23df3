//! What the kernel tells about a socket's other side.

use std::os::fd::AsFd;

use crate::{Error, Result};

/// Whether the peer has read everything that was sent to it (`SIOCOUTQ`, tcp(7); unix sockets answer it, too).
pub fn is_read(socket: impl AsFd) -> Result<bool> {
    crate::syscall::unread_by_peer(socket.as_fd()).map(|count| count == 0).map_err(Error::os("ask", "socket"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sent_is_not_read() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(is_read(&ours).unwrap());
        ours.write_all(b"head").unwrap();
        assert!(!is_read(&ours).unwrap());
        theirs.read_exact(&mut [0; 2]).unwrap();
        assert!(!is_read(&ours).unwrap(), "half of it");
        theirs.read_exact(&mut [0; 2]).unwrap();
        assert!(is_read(&ours).unwrap());
    }
}
