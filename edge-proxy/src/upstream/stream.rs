//! The bytes to and from a server: plain or TLS.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use writ_model::config::{Database, UpstreamTls};

use super::credential::Used;
use super::error::ConnectError;
use super::{address, tls};
use crate::stream::MaybeTls;

/// After this much silence the kernel asks whether the server is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A connection to a server.
pub type UpstreamStream = MaybeTls<TlsStream<TcpStream>>;

/// Connects as the database's `tls` says. What it shows of itself is noted in `used`.
pub(super) async fn open(
    database: &Database,
    used: Option<&mut Used>,
) -> Result<UpstreamStream, ConnectError> {
    let unreachable = |error: io::Error| ConnectError::Unreachable {
        address: address(database),
        reason: error.to_string(),
    };
    let tcp = TcpStream::connect((database.host.as_str(), database.port)).await;
    let tcp = tcp.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&tcp).set_tcp_keepalive(&keepalive).map_err(unreachable)?;
    match database.tls {
        UpstreamTls::Disable => Ok(UpstreamStream::Plain(tcp)),
        UpstreamTls::Require | UpstreamTls::VerifyFull => {
            Ok(UpstreamStream::Tls(Box::new(tls::start(database, tcp, used).await?)))
        }
    }
}
