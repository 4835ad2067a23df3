//! TLS to a distant daemon: whom to believe, and who one is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What flags, environment or a context say about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The daemon must show a certificate that is believed; otherwise any will do.
    pub verify: bool,
    /// The authority to believe; without one, those of this machine.
    pub authority: Option<PathBuf>,
    /// The client's certificate and its key, for daemons that ask who one is.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// The files of a directory laid out as docker's: `ca.pem`, `cert.pem` and `key.pem`, as far as they are there.
    #[must_use]
    pub fn in_directory(directory: &Path, verify: bool) -> Self {
        let file = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
        Self { verify, authority: file("ca.pem"), identity: file("cert.pem").zip(file("key.pem")) }
    }

    /// Shakes hands over a connection to `host`.
    pub(crate) async fn over(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(self.configuration()?)).connect(name, stream).await
    }

    fn configuration(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if self.verify {
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone()).build();
            built.map_err(io::Error::other)?
        } else {
            Arc::new(Anybody { provider: provider.clone() })
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        match &self.identity {
            Some((certificate, key)) => {
                let key_read = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable(key, &cause))?;
                let chain = certificates(certificate)?;
                builder.with_client_auth_cert(chain, key_read).map_err(|cause| unreadable(certificate, &cause))
            }
            None => Ok(builder.with_no_client_auth()),
        }
    }

    fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|cause| unreadable(path, &cause))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(|cause| unreadable(path, &cause))?;
    read.collect::<Result<_, _>>().map_err(|cause| unreadable(path, &cause))
}

fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", path.display()))
}

/// Believes every certificate (`--tls` without `--tlsverify`). Signatures are still checked: the connection is private,
/// only with an unknown party.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
