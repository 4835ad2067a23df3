//! TLS over a socket that never makes anybody wait: what is to be sent is sealed as the socket takes it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::log::remote::Tls;

/// The most bytes that wait inside to be sealed or sent.
const INSIDE: usize = 64 << 10;

/// One connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    connection: ClientConnection,
}

/// A socket as readers and writers want it.
struct Wire<'s>(&'s OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (count, _) = recv(self.0, room, RecvFlags::empty()).map_err(patient)?;
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self.0, bytes, SendFlags::NOSIGNAL).map_err(patient)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that is still being made is one that has no room yet.
fn patient(errno: Errno) -> io::Error {
    match errno {
        Errno::AGAIN | Errno::NOBUFS | Errno::NOTCONN | Errno::ALREADY => ErrorKind::WouldBlock.into(),
        errno => errno.into(),
    }
}

impl Tunnel {
    pub(super) fn open(tls: &Tls) -> io::Result<Self> {
        let name = ServerName::try_from(tls.name.clone()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::new(configuration(tls)?), name).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(INSIDE));
        Ok(Self { connection })
    }

    /// Takes what there is room for inside; how much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.writer().write(bytes)
    }

    /// Sends and hears what can be now; whether nothing is left inside.
    pub(super) fn turn(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        let mut wire = Wire(socket);
        loop {
            let heard = self.hear(&mut wire)?;
            while self.connection.wants_write() {
                match self.connection.write_tls(&mut wire) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if !heard {
                return Ok(!self.connection.is_handshaking());
            }
        }
    }

    /// Reads what the server says; whether it said anything. Log servers say nothing but TLS's own.
    fn hear(&mut self, wire: &mut Wire<'_>) -> io::Result<bool> {
        match self.connection.read_tls(wire) {
            Ok(0) => Err(ErrorKind::ConnectionReset.into()),
            Ok(_) => {
                let state = self.connection.process_new_packets().map_err(io::Error::other)?;
                let mut said = vec![0; state.plaintext_bytes_to_read()];
                self.connection.reader().read_exact(&mut said)?;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says goodbye, if that can be done at once, so that the server knows that nothing was cut off.
    pub(super) fn close(&mut self, socket: &OwnedFd) {
        self.connection.send_close_notify();
        let _ = self.connection.write_tls(&mut Wire(socket));
    }

    /// Whether the next step is the server's.
    pub(super) fn listens(&self) -> bool {
        self.connection.is_handshaking() && !self.connection.wants_write()
    }
}

fn configuration(tls: &Tls) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut judge = Judge { provider: provider.clone(), known: Vec::new(), rules: None };
    if !tls.any {
        let mut roots = RootCertStore::empty();
        match &tls.authority {
            Some(path) => judge.known = certificates(path)?,
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        roots.add_parsable_certificates(judge.known.iter().cloned());
        let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        judge.rules = Some(rules.map_err(io::Error::other)?);
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge));
    match &tls.own {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            builder.with_client_auth_cert(certificates(chain)?, key).map_err(io::Error::other)
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let list = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?;
    list.collect::<Result<_, _>>().map_err(io::Error::other)
}

/// Judges a server's certificate; signatures must be right in any case.
#[derive(Debug)]
struct Judge {
    provider: Arc<CryptoProvider>,
    /// Certificates that were named. A server may show one of them itself, as those do that vouch for themselves.
    known: Vec<CertificateDer<'static>>,
    /// None: any certificate will do, as `syslog-tls-skip-verify` wants it.
    rules: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(rules) = &self.rules else { return Ok(ServerCertVerified::assertion()) };
        if self.known.iter().any(|known| known.as_ref() == certificate.as_ref()) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        rules.verify_server_cert(certificate, between, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
