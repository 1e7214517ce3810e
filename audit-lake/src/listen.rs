//! What both ports do alike: bind with an error that names the option, and accept without giving up.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::error::LakeError;

/// How long to wait after a failed accept (too many open files): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take for its TLS handshake.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Listens on `address`, which `option` of the configuration sets.
pub(crate) async fn bind(
    address: SocketAddr,
    option: &'static str,
) -> Result<TcpListener, LakeError> {
    TcpListener::bind(address).await.map_err(|source| LakeError::Listen {
        address: address.to_string(),
        option,
        source,
    })
}

/// The next connection; errors are logged and waited out.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return (socket, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
