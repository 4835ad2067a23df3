//! A connected socket of either family, and how one is connected.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::endpoint::Endpoint;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// A local one.
    Unix(UnixStream),
    /// A distant one.
    Tcp(TcpStream),
}

impl Socket {
    /// Connects once, without starting anything.
    pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Own(roots) => UnixStream::connect(roots.socket()).await.map(Self::Unix),
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            Endpoint::Tcp { host, port } => {
                let stream = TcpStream::connect((address(host)?, *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }
}

/// An address by itself or from /etc/hosts: a static binary must not ask the C library for names.
fn address(host: &str) -> io::Result<IpAddr> {
    let known = || std::fs::read_to_string("/etc/hosts").ok().and_then(|hosts| find_host(&hosts, host));
    host.parse().ok().or_else(known).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("{host} is neither an address nor a name in /etc/hosts"))
    })
}

fn find_host(hosts: &str, name: &str) -> Option<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| line.split_once(char::is_whitespace)).find_map(|(address, names)| {
        names.split_whitespace().any(|known| known.eq_ignore_ascii_case(name)).then(|| address.parse().ok())?
    })
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.1 far\n10.0.0.2\tnear Near.Example # here\n";
        assert_eq!(find_host(hosts, "near.example"), "10.0.0.2".parse().ok());
        assert_eq!(find_host(hosts, "localhost"), "127.0.0.1".parse().ok());
        assert_eq!(find_host(hosts, "far"), None);
    }
}
