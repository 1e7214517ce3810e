//! TLS with clients: the edge's own certificate, the newest for each connection, and what ties a login to it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use writ_edge_core::scram::Link;
use writ_edge_core::startup::ALPN;
use writ_proto::node::NodeIdentity;

use crate::certificates::AskOnly;
use crate::upstream::end_point;

/// Shakes hands with clients by one certificate.
pub struct ServerTls {
    plain: TlsAcceptor,
    asking: TlsAcceptor,
    /// What a login over it can be bound to.
    pub link: Link,
    identity: Arc<NodeIdentity>,
}

/// The newest of them.
pub struct Listener {
    identity: watch::Receiver<Arc<NodeIdentity>>,
    current: ArcSwap<ServerTls>,
}

impl ServerTls {
    fn new(identity: Arc<NodeIdentity>) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let leaf = chain.first().ok_or("the edge has no certificate")?;
        let link = end_point(leaf).map_or(Link::Unbound, Link::EndPoint);
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
            .map_err(|e| e.to_string())?;
        let plain = acceptor(chain.clone(), key.clone_key(), false)?;
        let asking = acceptor(chain, key, true)?;
        Ok(Self { plain, asking, link, identity })
    }

    /// The handshake; with `asks`, clients are asked for a certificate, and may have none.
    #[must_use]
    pub fn acceptor(&self, asks: bool) -> &TlsAcceptor {
        if asks { &self.asking } else { &self.plain }
    }
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    asks: bool,
) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = match asks {
        true => config.with_client_cert_verifier(Arc::new(AskOnly(provider))),
        false => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Listener {
    /// Follows the edge's certificate.
    pub fn new(identity: watch::Receiver<Arc<NodeIdentity>>) -> Result<Self, String> {
        let newest = Arc::clone(&identity.borrow());
        Ok(Self { identity, current: ArcSwap::from_pointee(ServerTls::new(newest)?) })
    }

    /// For the next connection. Where a renewed certificate cannot be used, the one before it.
    #[must_use]
    pub fn current(&self) -> Arc<ServerTls> {
        let newest = Arc::clone(&self.identity.borrow());
        let current = self.current.load_full();
        if Arc::ptr_eq(&current.identity, &newest) {
            return current;
        }
        match ServerTls::new(newest) {
            Ok(renewed) => {
                self.current.store(Arc::new(renewed));
                self.current.load_full()
            }
            Err(reason) => {
                tracing::error!(%reason, "the edge's new certificate cannot be used");
                current
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
