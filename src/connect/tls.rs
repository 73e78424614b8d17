//! TLS by rustls, with libpq's meaning of `sslmode`: what is verified is decided here, and never more or less than the word says.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What must hold of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: the connection is encrypted, with whomever.
    Nothing,
    /// It leads to a trusted one.
    Chain,
    /// It leads to a trusted one and is the host's.
    ChainAndName,
}

/// The files of TLS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    /// Certificates that are trusted; those of the system where there is none.
    pub roots: Option<&'a Path>,
    /// The client's certificate and its key.
    pub client: Option<(&'a Path, &'a Path)>,
}

/// Makes a configuration.
///
/// # Errors
/// A file that can't be read or holds no certificate or key, in words.
pub(super) fn config(check: Check, files: Files<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let mut trusted = Vec::new();
    let mut roots = RootCertStore::empty();
    match files.roots {
        _ if check == Check::Nothing => {}
        Some(path) => {
            trusted = certificates("sslrootcert", path)?;
            roots.add_parsable_certificates(trusted.iter().cloned());
        }
        None => roots = system_roots(),
    }
    let builder = verified_by(Verifier { check, roots, trusted, provider });
    let Some((certificate, key)) = files.client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates("sslcert", certificate)?;
    let shown = key.display();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("read sslkey {shown}: {error}"))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| format!("sslcert and sslkey: {error}"))
}

/// Makes a configuration for web servers: the system's certificates are trusted, and beside them those of a file.
///
/// # Errors
/// A file that can't be read or holds no certificate, in words.
pub(super) fn web(sslrootcert: Option<&Path>) -> Result<ClientConfig, String> {
    trusting("sslrootcert", sslrootcert)
}

/// As for web servers, for mail servers.
///
/// # Errors
/// A file that can't be read or holds no certificate, in words.
pub fn mail(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    trusting("ca_file", ca_file)
}

fn trusting(name: &str, file: Option<&Path>) -> Result<ClientConfig, String> {
    let trusted = file.map(|path| certificates(name, path)).transpose()?.unwrap_or_default();
    let mut roots = system_roots();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(ring::default_provider());
    Ok(verified_by(Verifier { check: Check::ChainAndName, roots, trusted, provider }).with_no_client_auth())
}

/// Returns the certificates that the system trusts, and Mozilla's where it has none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn verified_by(verifier: Verifier) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("read {name} {}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fail(&error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| fail(&error))?;
    if found.is_empty() { Err(fail(&"no certificate in it")) } else { Ok(found) }
}

/// Verifies what the word of `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: RootCertStore,
    /// The certificates of `sslrootcert`: one that is the server's own needs no issuer, as with libpq.
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let chain = verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms);
        let is_own = chain.as_ref().err().is_some_and(|error| !is_of_time(error)) && self.trusted.iter().any(|own| own == end_entity);
        if !is_own {
            chain?;
        }
        if self.check == Check::ChainAndName {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate isn't valid now.
fn is_of_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(error, Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }))
}
