//! The control plane's certificate authority: who a node is, is what its certificate says.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use writ_control_core::NodeKind;
use writ_model::{DurationMs, EdgeId, Timestamp};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::app::Random;

/// How long a node's certificate lasts; it renews itself after two thirds.
pub const NODE_CERTIFICATE_VALID: DurationMs = DurationMs::from_seconds(24 * 60 * 60);
/// How long the CA's own certificate lasts.
pub const CA_CERTIFICATE_VALID: DurationMs = DurationMs::from_seconds(10 * 365 * 24 * 60 * 60);
/// Certificates begin this much earlier, for clocks that are behind.
const BEGINS_EARLIER_MICROS: i64 = 5 * 60 * 1_000_000;
/// The largest signing request, in bytes.
const CSR_BYTES_MAX: usize = 64 * 1024;

/// Why no certificate can be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The signing request is not one.
    #[error("the signing request is not usable: {0}")]
    Request(String),
    /// The CA's own key or certificate is not usable.
    #[error("the certificate authority: {0}")]
    Authority(String),
}

/// Who a certificate is for; becomes a URI in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An edge or a lake.
    Node(NodeKind, EdgeId),
    /// A node of the control plane.
    ControlPlane(u64),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(kind, name) => write!(f, "writ://{}/{name}", kind.as_str()),
            Self::ControlPlane(id) => write!(f, "writ://control-plane/{id}"),
        }
    }
}

impl Subject {
    fn parse(uri: &str) -> Option<Self> {
        let (kind, name) = uri.strip_prefix("writ://")?.split_once('/')?;
        match kind {
            "edge" => Some(Self::Node(NodeKind::Edge, name.parse().ok()?)),
            "lake" => Some(Self::Node(NodeKind::Lake, name.parse().ok()?)),
            "control-plane" => Some(Self::ControlPlane(name.parse().ok()?)),
            _ => None,
        }
    }

    /// Whose certificate this is; the TLS layer has checked that our CA signed it.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let subject = Self::parse(uris.next()?)?;
        // Exactly one: two would be two identities.
        uris.next().is_none().then_some(subject)
    }
}

/// A certificate with its key, for our own use.
pub struct OwnCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    pub key: PrivateKeyDer<'static>,
    /// The same, PEM.
    pub certificate_pem: String,
    /// The same, PEM.
    pub key_pem: String,
}

/// Signs certificates.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    random: Random,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").finish_non_exhaustive()
    }
}

fn authority(error: impl fmt::Display) -> CaError {
    CaError::Authority(error.to_string())
}

fn moment(at: Timestamp) -> Result<time::OffsetDateTime, CaError> {
    time::OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(authority)
}

impl CertificateAuthority {
    /// A new authority: its certificate and key, both PEM.
    pub fn generate(cluster: &str, now: Timestamp) -> Result<(String, String), CaError> {
        let key = KeyPair::generate().map_err(authority)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Writ {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = moment(Timestamp(now.0 - BEGINS_EARLIER_MICROS))?;
        params.not_after = moment(now.plus(CA_CERTIFICATE_VALID))?;
        let certificate = params.self_signed(&key).map_err(authority)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// The authority with this certificate and key.
    pub fn load(certificate_pem: &str, key_pem: &str, random: Random) -> Result<Self, CaError> {
        use rustls_pki_types::pem::PemObject;
        let key = KeyPair::from_pem(key_pem).map_err(authority)?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key).map_err(authority)?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(authority)?;
        Ok(Self { issuer, pem: certificate_pem.to_owned(), der, random })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    fn params(
        &self,
        subject: &Subject,
        host_names: &[String],
        now: Timestamp,
    ) -> Result<CertificateParams, CaError> {
        let request = |e: rcgen::Error| CaError::Request(e.to_string());
        let mut params = CertificateParams::new(host_names.to_vec()).map_err(request)?;
        let uri = subject.to_string().try_into().map_err(request)?;
        params.subject_alt_names.push(SanType::URI(uri));
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = moment(Timestamp(now.0 - BEGINS_EARLIER_MICROS))?;
        params.not_after = moment(now.plus(NODE_CERTIFICATE_VALID))?;
        let mut serial = [0; 16];
        (self.random)(&mut serial);
        serial[0] &= 0x7f; // a serial number is positive
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        Ok(params)
    }

    /// A certificate for the key in `csr_pem`. Only the key is taken from the request: who it is for, the
    /// control plane says.
    pub fn sign(
        &self,
        csr_pem: &str,
        subject: &Subject,
        host_names: &[String],
        now: Timestamp,
    ) -> Result<String, CaError> {
        if csr_pem.len() > CSR_BYTES_MAX {
            return Err(CaError::Request(format!("it is larger than {CSR_BYTES_MAX} bytes")));
        }
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|e| CaError::Request(e.to_string()))?;
        let params = self.params(subject, host_names, now)?;
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(authority)?;
        Ok(certificate.pem())
    }

    /// A fresh key with its certificate, for this process.
    pub fn own(
        &self,
        subject: &Subject,
        host_names: &[String],
        now: Timestamp,
    ) -> Result<OwnCertificate, CaError> {
        let key = KeyPair::generate().map_err(authority)?;
        let params = self.params(subject, host_names, now)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(authority)?;
        Ok(OwnCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.into()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

/// What a listener presents: renewed in the background, read at each handshake.
#[derive(Debug)]
pub struct Presented(parking_lot::RwLock<Arc<rustls::sign::CertifiedKey>>);

impl Presented {
    /// Presents `own` from now on.
    pub fn new(own: OwnCertificate) -> Result<Self, CaError> {
        Ok(Self(parking_lot::RwLock::new(certified(own)?)))
    }

    /// Presents `own` to connections from now on.
    pub fn replace(&self, own: OwnCertificate) -> Result<(), CaError> {
        *self.0.write() = certified(own)?;
        Ok(())
    }
}

fn certified(own: OwnCertificate) -> Result<Arc<rustls::sign::CertifiedKey>, CaError> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&own.key).map_err(authority)?;
    Ok(Arc::new(rustls::sign::CertifiedKey::new(own.chain, key)))
}

impl rustls::server::ResolvesServerCert for Presented {
    fn resolve(
        &self,
        _hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn ca() -> CertificateAuthority {
        let (certificate, key) = CertificateAuthority::generate("test", NOW).expect("generated");
        CertificateAuthority::load(&certificate, &key, Arc::new(|bytes: &mut [u8]| bytes.fill(5)))
            .expect("loaded")
    }

    #[test]
    fn a_request_chooses_only_its_key() {
        use rustls_pki_types::pem::PemObject;
        let key = KeyPair::generate().expect("a key");
        let mut asked = CertificateParams::new(vec!["bank.example".to_owned()]).expect("params");
        let uri = "writ://edge/other".try_into().expect("a uri");
        asked.subject_alt_names.push(SanType::URI(uri));
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let csr = asked.serialize_request(&key).expect("a request").pem().expect("pem");
        let subject = Subject::Node(NodeKind::Edge, "edge-1".parse().expect("id"));
        let signed = ca().sign(&csr, &subject, &["localhost".to_owned()], NOW).expect("signed");
        let der = CertificateDer::from_pem_slice(signed.as_bytes()).expect("pem");
        assert_eq!(Subject::of(&der), Some(subject));
        let (_, parsed) = X509Certificate::from_der(&der).expect("x509");
        assert!(!parsed.is_ca());
        let names = parsed.subject_alternative_name().expect("names").expect("names");
        assert_eq!(names.value.general_names.len(), 2, "{names:?}");
    }

    #[test]
    fn garbage_is_not_signed() {
        let subject = Subject::ControlPlane(1);
        for csr in ["", "hello", &"x".repeat(CSR_BYTES_MAX + 1)] {
            let refused = ca().sign(csr, &subject, &["localhost".to_owned()], NOW);
            assert!(matches!(refused, Err(CaError::Request(_))), "{refused:?}");
        }
    }

    #[test]
    fn identities_round_trip() {
        for text in ["writ://edge/a", "writ://lake/b", "writ://control-plane/3"] {
            assert_eq!(Subject::parse(text).expect("a subject").to_string(), text);
        }
        for text in ["", "writ://edge/", "writ://control-plane/x", "https://edge/a", "writ://x/a"] {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }
}
