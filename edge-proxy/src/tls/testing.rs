//! An edge's listener for tests: TLS with a certificate of its own, and a client that trusts it.

use std::io;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use writ_model::Timestamp;
use writ_proto::node::NodeIdentity;

use super::Listener;

/// The packet that asks for TLS.
pub(crate) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A listener of `localhost`, and its certificate.
pub(crate) fn listener() -> (Listener, CertificateDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let (_, identity) = watch::channel(Arc::new(NodeIdentity {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        ca_pem: certificate.pem(),
        expires_at: Timestamp(0),
        config_key_id: String::new(),
        config_key: Vec::new(),
    }));
    (Listener::new(identity).expect("a listener"), certificate.der().clone())
}

/// Shakes hands as a client that trusts `certificate`, and offers these names by ALPN.
pub(crate) async fn shake_hands(
    tcp: TcpStream,
    certificate: &CertificateDer<'static>,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}
