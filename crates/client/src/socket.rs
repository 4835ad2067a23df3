//! A connected socket of either family, and how one is connected.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hickory_resolver::TokioResolver;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::ssh::Tunnel;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// A local one.
    Unix(UnixStream),
    /// A distant one.
    Tcp(TcpStream),
    /// A distant one that nobody listens to.
    Tls(Box<TlsStream<TcpStream>>),
    /// One through ssh.
    Ssh(Box<Tunnel>),
}

impl Socket {
    /// Connects once, without starting anything.
    pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Own(roots) => UnixStream::connect(roots.socket()).await.map(Self::Unix),
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            Endpoint::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((address(host).await?, *port)).await?;
                stream.set_nodelay(true)?;
                match tls {
                    Some(tls) => tls.over(host, stream).await.map(Box::new).map(Self::Tls),
                    None => Ok(Self::Tcp(stream)),
                }
            }
            Endpoint::Ssh(ssh) => ssh.connect().map(Box::new).map(Self::Ssh),
        }
    }
}

/// An address by itself, from /etc/hosts, or from a name server: a static binary must not ask the C library for names.
async fn address(host: &str) -> io::Result<IpAddr> {
    let known = || std::fs::read_to_string("/etc/hosts").ok().and_then(|hosts| find_host(&hosts, host));
    if let Some(address) = host.parse().ok().or_else(known) {
        return Ok(address);
    }
    let unknown = |cause: &dyn std::fmt::Display| io::Error::other(format!("look up {host}: {cause}"));
    let resolver =
        TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|cause| unknown(&cause))?;
    let found = resolver.lookup_ip(host).await.map_err(|cause| unknown(&cause))?;
    found.iter().next().ok_or_else(|| unknown(&"no such host"))
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
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Ssh(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Ssh(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Ssh(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Ssh(stream) => Pin::new(stream).poll_shutdown(cx),
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
