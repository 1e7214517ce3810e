//! TLS of both ports, made from the node's certificate and made again whenever that is renewed.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use writ_proto::node::NodeIdentity;

use crate::error::LakeError;

/// What gRPC negotiates.
const ALPN_H2: &[u8] = b"h2";

/// One configuration for each port.
#[derive(Clone)]
pub(crate) struct Configs {
    /// Record sources: they must show a certificate of our CA.
    pub(crate) ingest: Arc<ServerConfig>,
    /// Auditors: the server proves itself, the client sends a token.
    pub(crate) sql: Arc<ServerConfig>,
}

fn bad(error: impl std::fmt::Display) -> LakeError {
    LakeError::Tls(error.to_string())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, LakeError> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(bad)
}

/// The configurations that `identity` gives.
pub(crate) fn configs(identity: &NodeIdentity) -> Result<Configs, LakeError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&identity.ca_pem)? {
        roots.add(certificate).map_err(bad)?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(bad)?;
    let mut ingest =
        with_identity(builder(&provider)?.with_client_cert_verifier(verifier), identity)?;
    ingest.alpn_protocols = vec![ALPN_H2.to_vec()];
    let sql = with_identity(builder(&provider)?.with_no_client_auth(), identity)?;
    Ok(Configs { ingest: Arc::new(ingest), sql: Arc::new(sql) })
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, LakeError> {
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(bad)
}

fn with_identity(
    builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    identity: &NodeIdentity,
) -> Result<ServerConfig, LakeError> {
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(bad)?;
    builder.with_single_cert(certificates(&identity.certificate_pem)?, key).map_err(bad)
}

/// Puts every renewed certificate to use for new connections.
pub(crate) async fn follow(
    mut identity: watch::Receiver<Arc<NodeIdentity>>,
    ingest: watch::Sender<Arc<ServerConfig>>,
    sql: watch::Sender<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = identity.changed() => if changed.is_err() { return },
        }
        let renewed = Arc::clone(&identity.borrow_and_update());
        match configs(&renewed) {
            Ok(configs) => {
                ingest.send_replace(configs.ingest);
                sql.send_replace(configs.sql);
            }
            Err(error) => tracing::error!(%error, "the renewed certificate is not usable"),
        }
    }
}
