//! The first bytes of a client: TLS or not, who it says it is, what it wants; bounded in size and time.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::stream::MaybeTls;

/// The largest start-up packet, in bytes, as the server itself has it.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// The largest answer to a request for a password, in bytes.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;

const PROTOCOL_3: u32 = 3;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// The first byte of a TLS record: a client that starts TLS without asking.
const TLS_RECORD: u8 = 0x16;

/// A client's connection; plain only where the configuration allows it.
pub type ClientStream = MaybeTls<TlsStream<TcpStream>>;

/// What a new connection turned out to be.
pub enum Opening {
    /// A session is wanted.
    Session(ClientStream, Startup),
    /// A statement of another session is to be cancelled.
    Cancel {
        /// The session's number, as BackendKeyData told it.
        process_id: i32,
        /// Its secret.
        secret: Vec<u8>,
    },
    /// It is no PostgreSQL client, or it went away.
    Nothing(String),
}

/// A StartupMessage's parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Startup {
    /// Name and value, in the client's order.
    pub parameters: Vec<(String, String)>,
    /// The minor protocol version asked for; 0 is what is spoken.
    pub minor: u16,
    /// Options of the protocol (`_pq_.…`) that are not known here.
    pub unknown_options: Vec<String>,
}

impl Startup {
    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads up to the StartupMessage. The caller bounds the time.
pub async fn open(mut tcp: TcpStream, tls: &TlsAcceptor) -> io::Result<Opening> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Ok(Opening::Nothing("closed without a word".into()));
    }
    if first == [TLS_RECORD] {
        let stream = ClientStream::Tls(Box::new(tls.accept(tcp).await?));
        return startup(stream).await;
    }
    loop {
        // Exactly one packet is read: what a client sends before TLS is never taken for what came over it.
        let packet = match packet(&mut tcp).await? {
            Ok(packet) => packet,
            Err(reason) => return Ok(Opening::Nothing(reason)),
        };
        match packet.code {
            SSL if packet.body.is_empty() => {
                tcp.write_all(b"S").await?;
                let stream = ClientStream::Tls(Box::new(tls.accept(tcp).await?));
                return startup(stream).await;
            }
            GSS if packet.body.is_empty() => tcp.write_all(b"N").await?,
            _ => return Ok(interpret(ClientStream::Plain(tcp), &packet)),
        }
    }
}

async fn startup(mut stream: ClientStream) -> io::Result<Opening> {
    Ok(match packet(&mut stream).await? {
        Ok(packet) => interpret(stream, &packet),
        Err(reason) => Opening::Nothing(reason),
    })
}

struct Packet {
    code: u32,
    body: Vec<u8>,
}

async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Packet, String>> {
    let length = stream.read_i32().await?;
    let length = match usize::try_from(length) {
        Ok(length) if (8..=STARTUP_BYTES_MAX).contains(&length) => length,
        _ => return Ok(Err(format!("a start-up packet of {length} bytes"))),
    };
    let code = stream.read_u32().await?;
    let mut body = vec![0; length - 8];
    stream.read_exact(&mut body).await?;
    Ok(Ok(Packet { code, body }))
}

fn interpret(stream: ClientStream, packet: &Packet) -> Opening {
    if packet.code == CANCEL {
        let Some((id, secret)) = packet.body.split_first_chunk::<4>() else {
            return Opening::Nothing("a cancel request without a key".into());
        };
        return Opening::Cancel { process_id: i32::from_be_bytes(*id), secret: secret.to_vec() };
    }
    if packet.code >> 16 != PROTOCOL_3 {
        return Opening::Nothing(format!("protocol version {}", packet.code >> 16));
    }
    match parameters(&packet.body) {
        Some(mut startup) => {
            startup.minor = u16::try_from(packet.code & 0xffff).unwrap_or(u16::MAX);
            Opening::Session(stream, startup)
        }
        None => Opening::Nothing("a malformed start-up packet".into()),
    }
}

fn parameters(body: &[u8]) -> Option<Startup> {
    let mut rest = body;
    let mut startup = Startup::default();
    loop {
        let name = writ_edge_core::frame::take_cstr(&mut rest)?;
        if name.is_empty() {
            return rest.is_empty().then_some(startup);
        }
        let value = writ_edge_core::frame::take_cstr(&mut rest)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        if name.starts_with("_pq_.") {
            startup.unknown_options.push(name);
            continue;
        }
        startup.parameters.push((name, std::str::from_utf8(value).ok()?.to_owned()));
    }
}

/// Asks for the token as a password. `None`: the client sent something else.
pub async fn ask_password(stream: &mut ClientStream) -> io::Result<Option<String>> {
    stream.write_all(b"R\0\0\0\x08\0\0\0\x03").await?;
    stream.flush().await?;
    let tag = stream.read_u8().await?;
    let length = stream.read_i32().await?;
    let length = match usize::try_from(length) {
        Ok(length) if tag == b'p' && (5..=PASSWORD_BYTES_MAX).contains(&length) => length - 4,
        _ => return Ok(None),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if body.pop() != Some(0) {
        return Ok(None);
    }
    Ok(String::from_utf8(body).ok())
}

/// A TLS acceptor whose certificate is looked up for each connection, so that a renewed one is used at once.
pub fn acceptor(
    identity: tokio::sync::watch::Receiver<Arc<writ_proto::node::NodeIdentity>>,
) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let resolver = Arc::new(Resolver { identity, current: arc_swap::ArcSwapOption::empty() });
    resolver.key()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct Resolver {
    identity: tokio::sync::watch::Receiver<Arc<writ_proto::node::NodeIdentity>>,
    current: arc_swap::ArcSwapOption<(
        Arc<writ_proto::node::NodeIdentity>,
        Arc<rustls::sign::CertifiedKey>,
    )>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    fn key(&self) -> Result<Arc<rustls::sign::CertifiedKey>, String> {
        let identity = Arc::clone(&self.identity.borrow());
        if let Some(current) = self.current.load_full()
            && Arc::ptr_eq(&current.0, &identity)
        {
            return Ok(Arc::clone(&current.1));
        }
        let key = Arc::new(certified(&identity)?);
        self.current.store(Some(Arc::new((identity, Arc::clone(&key)))));
        Ok(key)
    }
}

impl rustls::server::ResolvesServerCert for Resolver {
    fn resolve(
        &self,
        _hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.key().inspect_err(|reason| tracing::error!(%reason, "no server certificate")).ok()
    }
}

fn certified(
    identity: &writ_proto::node::NodeIdentity,
) -> Result<rustls::sign::CertifiedKey, String> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(|e| e.to_string())?;
    let key =
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|e| e.to_string())?;
    Ok(rustls::sign::CertifiedKey::new(chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_end_where_the_packet_ends() {
        let startup = parameters(b"user\0dana\0database\0shop\0\0").expect("parameters");
        assert_eq!(startup.get("database"), Some("shop"));
        assert_eq!(parameters(b"user\0dana\0\0extra"), None);
        assert_eq!(parameters(b"user\0dana"), None);
        let startup = parameters(b"_pq_.x\01\0\0").expect("parameters");
        assert_eq!(startup.unknown_options, ["_pq_.x"]);
    }
}
