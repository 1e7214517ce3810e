//! TLS to a server: the request for it, whom to trust, and what ties a login to the certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use writ_model::config::{Database, UpstreamTls};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::address;
use super::error::ConnectError;

/// An SSLRequest: its length, and the request code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The database's tag that names a file of certificates to trust instead of the system's.
pub(super) const CA_FILE_TAG: &str = "tls_ca_file";
/// The system's certificates.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Asks for TLS on a fresh connection and shakes hands.
pub(super) async fn start(
    database: &Database,
    mut tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let failed = |reason: String| ConnectError::Tls { address: address(database), reason };
    let config = config(database).await.map_err(failed)?;
    let name = ServerName::try_from(database.host.clone())
        .map_err(|_| failed("the host is neither a DNS name nor an address".to_owned()))?;
    tcp.write_all(&SSL_REQUEST).await.map_err(|e| failed(e.to_string()))?;
    // Exactly one byte: whatever an attacker puts behind it must reach the handshake, not the session.
    let answer = tcp.read_u8().await.map_err(|e| failed(e.to_string()))?;
    if answer != b'S' {
        return Err(failed("the server offers none; set `ssl = on` there, or the database's tls to disable where the link is private".to_owned()));
    }
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| {
        failed(format!(
            "{error}; check the certificate's name and issuer, and the database's tag {CA_FILE_TAG}"
        ))
    })
}

async fn config(database: &Database) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if database.tls == UpstreamTls::VerifyFull {
        let file = database.tags.get(CA_FILE_TAG).map_or(SYSTEM_CA_FILE, String::as_str);
        return Ok(builder.with_root_certificates(roots(file).await?).with_no_client_auth());
    }
    let verifier = Arc::new(AnyCertificate(provider));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

async fn roots(file: &str) -> Result<RootCertStore, String> {
    let next =
        format!("name a PEM file of trusted certificates in the database's tag {CA_FILE_TAG}");
    let pem = tokio::fs::read(file).await.map_err(|error| format!("{file}: {error}; {next}"))?;
    let mut store = RootCertStore::empty();
    // A system's bundle may hold certificates that rustls does not take; the others still count.
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if store.is_empty() {
        return Err(format!("{file} holds no certificate; {next}"));
    }
    Ok(store)
}

/// Takes any certificate, as `tls = require` says; the handshake must still prove that the server has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a login at the server can be bound to.
pub(super) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    end_point(session.peer_certificates()?.first()?)
}

/// `tls-server-end-point` (RFC 5929): the certificate's hash under its own signature's algorithm, SHA-256 in place of
/// MD5 and SHA-1. `None` where that algorithm names no single hash.
pub(crate) fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    // md5, sha1 and sha256 with RSA or ECDSA; then sha384; then sha512.
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => {
            Some(Sha384::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}
