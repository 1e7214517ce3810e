//! A node's certificate: made once with a join token, renewed by itself, kept in one file.

use std::path::{Path, PathBuf};

use prost::Message;
use rcgen::{CertificateParams, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use writ_model::Timestamp;

use super::{NodeConfig, NodeError, files};
use crate::v1;
use crate::v1::edge_service_client::EdgeServiceClient;

/// How long one connection attempt may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Keep-alive pings find a dead control plane within this time.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(5);

/// A node's certificate and key, and what it trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The certificate chain, leaf first, PEM.
    pub certificate_pem: String,
    /// The private key, PEM (PKCS#8).
    pub key_pem: String,
    /// The CA that signed it and that peers are checked against, PEM.
    pub ca_pem: String,
    /// When the certificate ends.
    pub expires_at: Timestamp,
    /// The key that signs configurations.
    pub config_key_id: String,
    /// Its 32-byte Ed25519 public key.
    pub config_key: Vec<u8>,
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeIdentity").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The identity file: the certificate message, then the key, each length-delimited.
fn path(config: &NodeConfig) -> PathBuf {
    config.data_dir.join("identity.pb")
}

impl NodeIdentity {
    fn new(certificate: v1::Certificate, key_pem: String) -> Self {
        let v1::Certificate {
            certificate_pem,
            ca_pem,
            expires_at_micros,
            config_key_id,
            config_key,
        } = certificate;
        Self {
            certificate_pem,
            key_pem,
            ca_pem,
            expires_at: Timestamp(expires_at_micros),
            config_key_id,
            config_key,
        }
    }

    fn load(path: &Path) -> Result<Option<Self>, NodeError> {
        let Some(bytes) = files::read(path)? else { return Ok(None) };
        let damaged = |e: prost::DecodeError| {
            NodeError::Certificate(format!("{} is damaged: {e}", path.display()))
        };
        let mut rest = bytes.as_slice();
        let certificate = v1::Certificate::decode_length_delimited(&mut rest).map_err(damaged)?;
        let key_pem = String::decode_length_delimited(&mut rest).map_err(damaged)?;
        Ok(Some(Self::new(certificate, key_pem)))
    }

    fn save(path: &Path, certificate: &v1::Certificate, key_pem: &String) -> Result<(), NodeError> {
        let mut bytes = certificate.encode_length_delimited_to_vec();
        bytes.extend(key_pem.encode_length_delimited_to_vec());
        files::write(path, &bytes)
    }

    /// A lazily connecting mTLS channel to `url`, which must present a certificate of our CA.
    pub fn channel(&self, url: &str) -> Result<Channel, NodeError> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .identity(Identity::from_pem(&self.certificate_pem, &self.key_pem));
        Ok(endpoint(url, tls)?.connect_lazy())
    }

    /// Whether less than a third of `lifetime` is left at `now`: time to renew.
    pub(super) fn renew_at(&self, issued_at: Timestamp) -> Timestamp {
        let lifetime = self.expires_at.0.saturating_sub(issued_at.0);
        Timestamp(self.expires_at.0.saturating_sub(lifetime / 3))
    }
}

fn endpoint(url: &str, tls: ClientTlsConfig) -> Result<Endpoint, NodeError> {
    let unreachable = |reason: String| NodeError::Unreachable { url: url.to_owned(), reason };
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|e| unreachable(e.to_string()))?
        .tls_config(tls)
        .map_err(|e| NodeError::Certificate(chain(&e)))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

/// An error with its causes in one line; transport errors say nothing by themselves.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn signing_request(config: &NodeConfig) -> Result<(String, String), NodeError> {
    let failed = |e: rcgen::Error| NodeError::Certificate(e.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let request = CertificateParams::new(config.host_names.clone())
        .map_err(failed)?
        .serialize_request(&key)
        .map_err(failed)?;
    Ok((request.pem().map_err(failed)?, key.serialize_pem()))
}

fn refused(config: &NodeConfig, status: &tonic::Status) -> NodeError {
    if status.code() == tonic::Code::Unavailable {
        let reason =
            std::error::Error::source(status).map_or_else(|| status.message().to_owned(), chain);
        return NodeError::Unreachable { url: config.control_plane.clone(), reason };
    }
    NodeError::Refused(status.message().to_owned())
}

/// The identity kept in the data directory, or a new one got with the join token.
pub async fn enroll_or_load(config: &NodeConfig) -> Result<NodeIdentity, NodeError> {
    let path = path(config);
    if let Some(identity) = NodeIdentity::load(&path)? {
        return Ok(identity);
    }
    let join_token =
        config.join_token.clone().ok_or_else(|| NodeError::NotEnrolled(config.name.clone()))?;
    let ca_pem = std::fs::read(&config.ca_file)
        .map_err(|source| NodeError::File { path: config.ca_file.clone(), source })?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
    let channel = endpoint(&config.control_plane, tls)?.connect_lazy();
    let (csr_pem, key_pem) = signing_request(config)?;
    let request = v1::EnrollRequest {
        join_token,
        csr_pem,
        kind: config.kind.into(),
        name: config.name.clone(),
        environment: config.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        host_names: config.host_names.clone(),
    };
    let certificate = EdgeServiceClient::new(channel)
        .enroll(request)
        .await
        .map_err(|status| refused(config, &status))?
        .into_inner();
    NodeIdentity::save(&path, &certificate, &key_pem)?;
    Ok(NodeIdentity::new(certificate, key_pem))
}

/// Gets a fresh certificate over the old one's mTLS, and keeps it.
pub(super) async fn renew(
    config: &NodeConfig,
    identity: &NodeIdentity,
) -> Result<NodeIdentity, NodeError> {
    let (csr_pem, key_pem) = signing_request(config)?;
    let channel = identity.channel(&config.control_plane)?;
    let certificate = EdgeServiceClient::new(channel)
        .renew(v1::RenewRequest { csr_pem })
        .await
        .map_err(|status| refused(config, &status))?
        .into_inner();
    NodeIdentity::save(&path(config), &certificate, &key_pem)?;
    Ok(NodeIdentity::new(certificate, key_pem))
}
