//! From an address to a TCP connection: names by `/etc/hosts` and DNS without the C library (the binary is static), and
//! proxies by CONNECT. Leaves out TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::in_words;
use crate::settings::host_of;

/// How long one address may take to connect.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes a proxy's answer to CONNECT may have.
const PROXY_ANSWER: usize = 8 << 10;

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dial {
    proxies: Arc<Matcher>,
}

/// A connection, and whether a proxy is at its other end that wants whole addresses.
pub(crate) struct Link {
    io: TokioIo<TcpStream>,
    proxied: bool,
}

impl Dial {
    pub(crate) fn new(proxies: Arc<Matcher>) -> Self {
        Self { proxies }
    }

    async fn connect(self, uri: Uri) -> io::Result<Link> {
        let https = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or_else(|| io::Error::other("the address has no host"))?;
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = host_of(authority.as_str());
        let Some(proxy) = self.intercept(&uri) else {
            return Ok(Link { io: TokioIo::new(reach(host, port).await?), proxied: false });
        };
        let mut stream = reach_proxy(&proxy).await?;
        if https {
            tunnel(&mut stream, &proxy, host, port).await?;
        }
        Ok(Link { io: TokioIo::new(stream), proxied: !https })
    }

    /// The proxy for an address. This machine itself is never behind one.
    pub(crate) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        let host = host_of(uri.authority()?.as_str());
        let here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if here { None } else { self.proxies.intercept(uri) }
    }
}

impl tower_service::Service<Uri> for Dial {
    type Response = Link;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Connects to the first address of a host that answers.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = unknown(host);
    for address in lookup(host).await? {
        let address = SocketAddr::new(address, port);
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => {
                let cause = in_words(&error.to_string());
                last = io::Error::new(error.kind(), format!("dial tcp {address}: connect: {cause}"));
            }
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("dial tcp {address}: i/o timeout")),
        }
    }
    Err(last)
}

/// The addresses of a host: literal, this machine, or by the resolver, which reads its files anew each time because
/// they change while a daemon lives.
///
/// # Errors
/// Nobody knows it, or nobody can be asked.
pub async fn lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = resolver.map_err(|error| unresolved(host, &error))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| unresolved(host, &error))?;
    Ok(found.iter().collect())
}

fn unknown(host: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("dial tcp: lookup {host}: no such host"))
}

/// Why a name has no address, without the resolver's inner life.
fn unresolved(host: &str, error: &NetError) -> io::Error {
    let cause = match error {
        error if error.is_nx_domain() || error.is_no_records_found() => return unknown(host),
        NetError::NoConnections => "no name server can be reached".to_owned(),
        NetError::Timeout => "no name server answers in time".to_owned(),
        error => in_words(&error.to_string()),
    };
    io::Error::other(format!("dial tcp: lookup {host}: {cause}"))
}

async fn reach_proxy(proxy: &Intercept) -> io::Result<TcpStream> {
    let uri = proxy.uri();
    if uri.scheme_str() != Some("http") {
        return Err(io::Error::other(format!(
            "proxy {}://{}: only http proxies are supported",
            uri.scheme_str().unwrap_or_default(),
            uri.host().unwrap_or_default()
        )));
    }
    let host = uri.host().unwrap_or_default();
    reach(host_of(host), uri.port_u16().unwrap_or(80)).await
}

/// Asks a proxy for a tunnel.
async fn tunnel(stream: &mut TcpStream, proxy: &Intercept, host: &str, port: u16) -> io::Result<()> {
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(auth) = proxy.basic_auth() {
        ask.extend_from_slice(b"Proxy-Authorization: ");
        ask.extend_from_slice(auth.as_bytes());
        ask.extend_from_slice(b"\r\n");
    }
    ask.extend_from_slice(b"\r\n");
    stream.write_all(&ask).await?;
    let answer = read_head(stream).await?;
    let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if status == b"200" {
        return Ok(());
    }
    Err(io::Error::other(format!("proxy refuses CONNECT to {target} with {}", String::from_utf8_lossy(status))))
}

/// Reads up to the empty line and not a byte further: what follows belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_ANSWER {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}
