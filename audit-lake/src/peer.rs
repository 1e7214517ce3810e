//! Who ships: the identity in a client certificate, and the source name that goes with it.

use rustls_pki_types::CertificateDer;
use writ_audit::is_stream_of;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const SCHEME: &str = "writ://";
/// Begins the source names of control-plane nodes; no edge may ship under such a name.
const CONTROL_PLANE_PREFIX: &str = "control-plane:";

/// Why a certificate does not say who ships.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerError {
    /// No certificate, or one that is not X.509.
    #[error("the client certificate cannot be read; connect with the certificate from enrolment")]
    Unreadable,
    /// No URI of ours, or more than one.
    #[error(
        "the client certificate names {0} Writ identities, not one; connect with the certificate from enrolment"
    )]
    Count(usize),
    /// An identity that has no records.
    #[error("`{0}` ships no records; only edges and control-plane nodes do")]
    NotASource(String),
}

/// The source name of a node identity: an edge's name, or `control-plane:ID`.
pub(crate) fn source_of_uri(uri: &str) -> Result<String, PeerError> {
    let source = uri.strip_prefix(SCHEME).and_then(|rest| {
        let (kind, name) = rest.split_once('/')?;
        match kind {
            _ if name.is_empty() => None,
            "edge" if !name.starts_with(CONTROL_PLANE_PREFIX) => Some(name.to_owned()),
            "control-plane" => Some(format!("{CONTROL_PLANE_PREFIX}{name}")),
            _ => None,
        }
    });
    source.ok_or_else(|| PeerError::NotASource(uri.to_owned()))
}

/// Whether the holder of `certified`'s certificate ships under the name `said`: its own, or one of an edge's streams.
pub(crate) fn may_ship_as(certified: &str, said: &str) -> bool {
    certified == said
        || (!certified.starts_with(CONTROL_PLANE_PREFIX) && is_stream_of(said, certified))
}

/// The source that the holder of this (already verified) certificate ships as.
pub(crate) fn source_of(certificate: &CertificateDer<'_>) -> Result<String, PeerError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| PeerError::Unreadable)?;
    let names = parsed.subject_alternative_name().map_err(|_| PeerError::Unreadable)?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris.as_slice() {
        [uri] => source_of_uri(uri),
        others => Err(PeerError::Count(others.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identity_has_one_source_name() {
        assert_eq!(source_of_uri("writ://edge/edge-1"), Ok("edge-1".to_owned()));
        assert_eq!(source_of_uri("writ://control-plane/1"), Ok("control-plane:1".to_owned()));
        for uri in
            ["writ://lake/l", "writ://edge/", "writ://edge/control-plane:1", "https://edge/e", ""]
        {
            assert_eq!(source_of_uri(uri), Err(PeerError::NotASource(uri.to_owned())));
        }
    }

    #[test]
    fn an_edge_ships_its_own_streams_and_no_others() {
        for said in ["edge-1", "edge-1#2"] {
            assert!(may_ship_as("edge-1", said), "{said}");
            assert!(!may_ship_as("edge-2", said), "{said}");
        }
        assert!(may_ship_as("control-plane:1", "control-plane:1"));
        assert!(!may_ship_as("control-plane:1", "control-plane:1#2"));
    }
}
