//! TLS to a server: the request for it, whom to trust, and what ties a login to the certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use writ_model::config::{Database, UpstreamTls};
use writ_model::credential::ClientCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::address;
use super::credential::Used;
use super::error::ConnectError;

/// An SSLRequest: its length, and the request code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The database's tag that names a file of certificates to trust instead of the system's.
pub(super) const CA_FILE_TAG: &str = "tls_ca_file";
/// What to do where that file is no good.
const CA_FILE_NEXT: &str =
    "name a PEM file of trusted certificates in the database's tag tls_ca_file";
/// The system's certificates.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Asks for TLS on a fresh connection and shakes hands.
pub(super) async fn start(
    database: &Database,
    mut tcp: TcpStream,
    used: Option<&mut Used>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let failed = |reason: String| ConnectError::Tls { address: address(database), reason };
    let config = config(database, used).await.map_err(failed)?;
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

async fn config(database: &Database, used: Option<&mut Used>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if database.tls == UpstreamTls::VerifyFull {
        let file = database.tags.get(CA_FILE_TAG).map_or(SYSTEM_CA_FILE, String::as_str);
        builder.with_root_certificates(roots(file, CA_FILE_NEXT).await?)
    } else {
        let verifier = Arc::new(AnyCertificate(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    let Some(shown) = &database.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = client_certificate(shown, used).await?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        format!(
            "{} and {} are no certificate and its key ({error}); write both anew",
            shown.certificate_file, shown.key_file
        )
    })
}

/// What to show the server, read for each connection: whoever renews it only writes the files.
async fn client_certificate(
    shown: &ClientCertificate,
    used: Option<&mut Used>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let ClientCertificate { certificate_file, key_file } = shown;
    let next = "name PEM files of the edge's machine in the database's client certificate";
    let read = async |file: &String| {
        tokio::fs::read(file).await.map_err(|error| format!("{file}: {error}; {next}"))
    };
    let pem = read(certificate_file).await?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| format!("{certificate_file} holds no certificate; {next}"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(key_file).await?)
        .map_err(|_| format!("{key_file} holds no key; {next}"))?;
    if let Some(used) = used {
        used.certificate = Some(pem);
    }
    Ok((chain, key))
}

/// TLS that trusts the certificates of this file, or the system's, and shows none.
pub(super) async fn trusting(file: Option<&str>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let next = "name a PEM file of trusted certificates in vault_ca_file";
    let roots = roots(file.unwrap_or(SYSTEM_CA_FILE), next).await?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn roots(file: &str, next: &str) -> Result<RootCertStore, String> {
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
