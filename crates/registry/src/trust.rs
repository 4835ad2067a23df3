//! Which certificates are believed: the machine's own roots (webpki's when it has none), those configured for one
//! registry, or any at all for insecure registries.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::Endpoint;
use crate::{Error, Result};

/// The TLS configuration for an endpoint. Reads files; the result is kept.
pub(crate) fn configuration(endpoint: &Endpoint, certs: &Path) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = OwnCertificates::read(&certs.join(&endpoint.authority))?;
    let verifier: Arc<dyn ServerCertVerifier> = if endpoint.any_certificate {
        Arc::new(AnyCertificate { provider: provider.clone() })
    } else {
        let roots = Arc::new(roots(&own.roots));
        WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().map_err(refused)?
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match own.client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(refused),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn refused(cause: impl std::fmt::Display) -> Error {
    Error::Setting { what: "set up TLS".to_owned(), reason: cause.to_string() }
}

fn roots(own: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        // A machine without its own list, as minimal ones are.
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store.add_parsable_certificates(own.iter().cloned());
    store
}

/// What `/etc/docker/certs.d/HOST` holds.
#[derive(Default)]
struct OwnCertificates {
    roots: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl OwnCertificates {
    fn read(dir: &Path) -> Result<Self> {
        let mut own = Self::default();
        let Ok(entries) = fs::read_dir(dir) else { return Ok(own) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => own.roots.extend(certificates(&path)?),
                Some("cert") => own.client = Some((certificates(&path)?, key(&path.with_extension("key"))?)),
                _ => {}
            }
        }
        Ok(own)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let list = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, error))?;
    list.collect::<std::result::Result<_, _>>().map_err(|error| unreadable(path, error))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Setting { what: format!("read {}", path.display()), reason: error.to_string() }
}

/// Believes every certificate, for registries configured as insecure. Signatures are still checked: the connection is
/// private, only with an unknown party.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
