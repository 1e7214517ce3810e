//! How clients of an environment may prove who they are, besides tokens and passwords.

use serde::{Deserialize, Serialize};

/// Which names in a client's certificate count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateNames {
    /// The URI `writ://principal/KIND:NAME` among its alternative names.
    Uri,
    /// That, or where there is none, the common name of its subject.
    UriOrCommonName,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificates {
    /// The certificates of the CAs that are trusted for it, PEM.
    pub ca_pem: String,
    /// Whom a certificate names.
    pub names: CertificateNames,
}

/// Where a client gets a bearer token (OAUTHBEARER).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthIssuer {
    /// The issuer's address, `https://…`; its configuration is at `/.well-known/openid-configuration` below it.
    pub url: String,
    /// What to ask for, in words with spaces between.
    pub scope: String,
}

/// The ways that an environment opens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logins {
    /// By certificate; `None`: nobody is asked for one.
    pub certificates: Option<ClientCertificates>,
    /// By OAUTHBEARER; `None`: it is not offered.
    pub oauth: Option<OauthIssuer>,
}
