//! Certificates of clients: asked for in the handshake and checked after it, so that a client reads why it is refused,
//! and not the number of a TLS alert.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use writ_edge_core::certificate::{Named, URI_PREFIX};
use writ_model::config::EdgeConfig;
use writ_model::login::ClientCertificates;
use writ_model::sqlstate;
use writ_model::{PrincipalId, Timestamp};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::client::Refused;
use crate::startup::ClientStream;

#[cfg(test)]
mod tests;

/// Asks every client for a certificate, and checks only that it has the key: who has to be trusted, a login asks.
#[derive(Debug)]
pub(crate) struct AskOnly(pub(crate) Arc<CryptoProvider>);

impl ClientCertVerifier for AskOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Nobody is anybody by this: `proven` checks the chain before the certificate names anyone.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a client presented, its own certificate first; it has the key of that one, and nothing more is known.
pub(crate) fn presented(stream: &ClientStream) -> Option<&[CertificateDer<'static>]> {
    match stream {
        ClientStream::Plain(_) => None,
        ClientStream::Tls(stream) => stream.get_ref().1.peer_certificates(),
    }
}

/// The principal that a presented certificate proves to be, at `now`, for one that calls itself `user`.
pub(crate) fn proven(
    presented: &[CertificateDer<'_>],
    rule: &ClientCertificates,
    config: &EdgeConfig,
    user: &str,
    now: Timestamp,
) -> Result<PrincipalId, Refused> {
    let (own, between) = presented.split_first().ok_or_else(|| refused("is missing", RENEW))?;
    trusted(own, between, rule, now)?;
    let names = names(own).ok_or_else(|| refused("cannot be read", RENEW))?;
    let hint = format!(
        "put the URI {URI_PREFIX}KIND:NAME into the certificate; `writ identities list` shows who there is"
    );
    let principal = names
        .principal(rule.names, config)
        .map_err(|e| Refused::new(sqlstate::AUTHENTICATION, e.to_string(), hint))?;
    if user == principal.name() || user == principal.to_string() {
        return Ok(principal);
    }
    Err(Refused::new(
        sqlstate::AUTHENTICATION,
        format!("the client certificate is {principal}'s, not {user:?}'s"),
        format!("connect with user={}", principal.name()),
    ))
}

const RENEW: &str = "get a new one from whoever keeps the environment's CA";
const LEAVE_OUT: &str = "use one from the environment's CA; to log in without one, keep the client from sending it \
                         (sslcertmode=disable, or sslcert= of no file)";

fn refused(what: &str, hint: &str) -> Refused {
    Refused::new(sqlstate::AUTHENTICATION, format!("the client certificate {what}"), hint)
}

fn trusted(
    own: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    rule: &ClientCertificates,
    now: Timestamp,
) -> Result<(), Refused> {
    let unusable = |reason: String| {
        tracing::error!(%reason, "the environment's CA for client certificates cannot be used");
        refused("cannot be checked", "an operator sees why in the edge's log")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(rule.ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_client_cert(own, between, at).map(drop).map_err(why)
}

fn why(error: Error) -> Refused {
    let Error::InvalidCertificate(error) = error else {
        return refused(&format!("cannot be checked: {error}"), RENEW);
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            refused("has expired", RENEW)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            refused("is not valid yet", "check the clocks of whoever issued it and of the edge")
        }
        CertificateError::UnknownIssuer => {
            refused("is not from a CA that this environment trusts", LEAVE_OUT)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            refused("is not for clients", "issue it with the extended key usage clientAuth")
        }
        CertificateError::BadSignature => {
            refused("is not signed by the CA that it names", LEAVE_OUT)
        }
        other => refused(&format!("is not acceptable: {other}"), RENEW),
    }
}

fn names(certificate: &CertificateDer<'_>) -> Option<Named> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let common_names = parsed.subject().iter_common_name();
    let common_names = common_names.map(|name| name.as_str().map(str::to_owned).ok());
    let alternatives = parsed.subject_alternative_name().ok()?;
    let alternatives = alternatives.iter().flat_map(|names| &names.value.general_names);
    let uris = alternatives.filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    Some(Named { uris: uris.collect(), common_names: common_names.collect::<Option<_>>()? })
}
