//! The first bytes of a client: reads and answers what `writ_edge_core::startup` decides; and TLS with clients.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use writ_edge_core::startup::{
    CancelRequest, ENCRYPTION_DECLINED, Next, Preamble, Startup, TLS_ACCEPTED, is_alpn_ours,
    is_direct_tls,
};
use writ_edge_core::write::Message;

use crate::stream::MaybeTls;

#[cfg(test)]
mod tests;

/// How much of what a client that is turned away still sends is read, in bytes.
const LEFTOVER_BYTES_MAX: u64 = 64 * 1024;
/// How long it has to send that, and to close.
const LEFTOVER_WAIT: Duration = Duration::from_secs(1);

/// A client's connection; plain only where the configuration allows it.
pub type ClientStream = MaybeTls<TlsStream<TcpStream>>;

/// What a new connection turned out to be.
pub enum Opening {
    /// A session is wanted; its protocol is negotiated.
    Session(ClientStream, Startup),
    /// A statement of another session is to be cancelled; then [`part`] tells the client that it was.
    Cancel(ClientStream, CancelRequest),
    /// It is no PostgreSQL client, it was turned away, or it went away.
    Nothing(String),
}

/// Reads up to the StartupMessage, and answers everything before it. The caller bounds the time.
pub async fn open(tcp: TcpStream, tls: &TlsAcceptor) -> io::Result<Opening> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Ok(Opening::Nothing("closed without a word".into()));
    }
    let [first] = first;
    let direct_tls = is_direct_tls(first);
    let mut stream = ClientStream::Plain(tcp);
    if direct_tls {
        stream = shake_hands(stream, tls).await?;
        if !is_alpn_ours(stream.alpn()) {
            // Closed either way; the client may have gone before it could be told.
            let _ = stream.shutdown().await;
            return Ok(Opening::Nothing("TLS at once, and not for PostgreSQL by ALPN".into()));
        }
    }
    let mut preamble = Preamble::new(direct_tls);
    loop {
        match receive(&mut stream, &mut preamble).await? {
            // `receive` has read all that it was to read.
            Next::Read(_) => {}
            Next::StartTls => {
                send(&mut stream, TLS_ACCEPTED).await?;
                stream = shake_hands(stream, tls).await?;
            }
            Next::Decline => send(&mut stream, ENCRYPTION_DECLINED).await?,
            Next::Session(startup) => {
                if let Some(negotiation) = startup.negotiation() {
                    send(&mut stream, &negotiation).await?;
                }
                return Ok(Opening::Session(stream, startup));
            }
            Next::Cancel(request) => return Ok(Opening::Cancel(stream, request)),
            Next::Refuse(message) => {
                turn_away(&mut stream, &message).await?;
                return Ok(Opening::Nothing(message.message));
            }
            Next::Close(reason) => return Ok(Opening::Nothing(reason)),
        }
    }
}

/// Reads one packet, and not one byte beyond it.
async fn receive(stream: &mut ClientStream, preamble: &mut Preamble) -> io::Result<Next> {
    let mut received = Vec::new();
    loop {
        let count = match preamble.next(&received) {
            Next::Read(count) => count,
            next => return Ok(next),
        };
        let whole = received.len() + count;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        (&mut *stream).take(count).read_to_end(&mut received).await?;
        if received.len() < whole {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn send(stream: &mut ClientStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn shake_hands(stream: ClientStream, tls: &TlsAcceptor) -> io::Result<ClientStream> {
    match stream {
        ClientStream::Plain(tcp) => Ok(ClientStream::Tls(Box::new(tls.accept(tcp).await?))),
        ClientStream::Tls(_) => Err(io::Error::other("TLS inside TLS")),
    }
}

/// Says why, and closes. What the client still sends is read for a while: a connection that is closed with unread bytes
/// is reset, and the reason with it.
pub async fn turn_away(stream: &mut ClientStream, message: &Message) -> io::Result<()> {
    let mut out = BytesMut::new();
    message.put(b'E', &mut out);
    send(stream, &out).await?;
    stream.shutdown().await?;
    let mut nothing = tokio::io::sink();
    let mut leftover = stream.take(LEFTOVER_BYTES_MAX);
    let read = tokio::io::copy(&mut leftover, &mut nothing);
    let _ = tokio::time::timeout(LEFTOVER_WAIT, read).await;
    Ok(())
}

/// Ends a connection that has nothing more to say, TLS first: libpq reports a connection that just breaks off.
pub async fn part(mut stream: ClientStream) {
    // Whether the client is still there to hear it does not matter any more.
    let _ = tokio::time::timeout(LEFTOVER_WAIT, stream.shutdown()).await;
}
