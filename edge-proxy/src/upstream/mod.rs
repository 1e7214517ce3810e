//! Connections to databases: TCP, TLS, login and our own queries, in raw protocol messages.
//!
//! The client never sees the credential that is used here, and no error or `Debug` text holds it.

mod auth;
mod credential;
mod error;
mod frames;
mod query;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod vault;

pub(crate) use tls::end_point;

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use writ_edge_core::startup::CANCEL_KEY_BYTES;
use writ_model::config::Database;
use writ_model::server::{Server, SessionAttrs};

pub use credential::Target;
pub use error::{ConnectError, QueryError, ServerError};
pub use query::{Parameters, Row};
pub use stream::UpstreamStream;
pub use vault::{Vault, VaultConfig};

use credential::Used;
use frames::{Message, ReadError, cstr};

/// Protocol 3.0, which every supported server speaks, and every pooler in front of one. All that 3.2 adds is longer keys
/// for cancelling, and libpq does not ask for it unless it is told to: some poolers close the connection instead of
/// negotiating.
const PROTOCOL_VERSION: i32 = 196_608;
/// The request code of a CancelRequest.
const CANCEL_CODE: i32 = 80_877_102;
/// The largest message accepted while logging in, in bytes.
const LOGIN_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How many messages a server may send while logging in.
const LOGIN_MESSAGES_MAX: usize = 1_000;
/// Startup parameters that the [`Database`] decides, or that would change the protocol.
const OWN_PARAMETERS: [&str; 3] = ["user", "database", "replication"];

/// How long one of several servers may take: the next one may be there.
const CONNECT_ONE_OF_SEVERAL: Duration = Duration::from_secs(3);

/// Bounds on connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectLimits {
    /// The longest that connecting and logging in may take together.
    pub connect: Duration,
}

impl Default for ConnectLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10) }
    }
}

/// A logged-in connection that has just said ReadyForQuery.
pub struct Upstream {
    /// The connection.
    pub stream: UpstreamStream,
    /// Bytes that were read and not yet looked at.
    pub leftover: BytesMut,
    /// The server's ParameterStatus values, the latest of each name.
    pub parameters: Vec<(String, String)>,
    /// For [`cancel`].
    pub cancel_key: CancelKey,
}

/// Whom to ask to cancel what a backend does.
#[derive(Clone)]
pub struct CancelKey {
    /// The server that it is at.
    pub server: Server,
    /// The backend's process id.
    pub process_id: i32,
    /// What proves to the server that a cancel request is ours.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("process_id", &self.cancel_key.process_id)
            .finish_non_exhaustive()
    }
}

/// Connects to the first of the servers of a database that will do, and logs in with its own credential. One that the server
/// finds wrong is read again, once: who changed it need not tell the edge.
///
/// `startup` are further startup parameters; `user`, `database` and `replication` among them are ignored.
pub async fn connect(
    target: impl Into<Target<'_>>,
    startup: &[(String, String)],
    limits: &ConnectLimits,
) -> Result<Upstream, ConnectError> {
    let target = target.into();
    let mut used = Used::default();
    match connect_to_any(target, startup, limits, &mut used).await {
        Err(error) if error.is_credential_wrong() && used.is_outdated(target).await => {
            tracing::info!(database = %target.database.name, "the credential changed and is used anew");
            connect_to_any(target, startup, limits, &mut Used::default()).await
        }
        done => done,
    }
}

async fn connect_to_any(
    target: Target<'_>,
    startup: &[(String, String)],
    limits: &ConnectLimits,
    used: &mut Used,
) -> Result<Upstream, ConnectError> {
    let database = target.database;
    let servers = database.servers().map_err(ConnectError::NoServer)?;
    if let [server] = servers.as_slice() {
        let attrs = database.session_attrs;
        return connect_to(target, server, startup, attrs, limits.connect, used).await;
    }
    let wait = limits.connect.min(CONNECT_ONE_OF_SEVERAL);
    let mut passes = vec![database.session_attrs];
    if database.session_attrs == SessionAttrs::PreferStandby {
        passes.push(SessionAttrs::Any);
    }
    let mut reasons = Vec::new();
    for attrs in passes {
        for server in &servers {
            match connect_to(target, server, startup, attrs, wait, used).await {
                Ok(upstream) => return Ok(upstream),
                // Another server would say the same of a role, a password or a database that is not there.
                Err(error) if error.is_everywhere() => return Err(error),
                Err(error) => reasons.push(error.to_string()),
            }
        }
    }
    Err(ConnectError::NoServer(reasons.join("; ")))
}

async fn connect_to(
    target: Target<'_>,
    server: &Server,
    startup: &[(String, String)],
    attrs: SessionAttrs,
    wait: Duration,
    used: &mut Used,
) -> Result<Upstream, ConnectError> {
    let database = &target.database.at(server);
    let target = Target { database, ..target };
    let work = async {
        let stream = stream::open(database, Some(&mut *used)).await?;
        log_in(target, server, startup, stream, used).await
    };
    let upstream = within(database, wait, work).await?;
    // One server is asked only where something is asked of it.
    if !attrs.fits(&upstream.parameters) {
        let unsuitable = ConnectError::Unsuitable { address: server.to_string(), wanted: attrs };
        upstream.close().await;
        return Err(unsuitable);
    }
    Ok(upstream)
}

/// Asks the server of `database` to cancel what the backend with these keys is doing.
///
/// The server never says whether it did.
pub async fn cancel(database: &Database, key: &CancelKey) -> Result<(), ConnectError> {
    let CancelKey { server, process_id, secret } = key;
    let database = &database.at(server);
    let work = async {
        let mut stream = stream::open(database, None).await?;
        let mut request = BytesMut::new();
        let length = i32::try_from(12 + secret.len())
            .map_err(|_| ConnectError::Protocol("the cancel key is too long".to_owned()))?;
        request.put_i32(length);
        request.put_i32(CANCEL_CODE);
        request.put_i32(*process_id);
        request.put_slice(secret);
        stream.write_all(&request).await.map_err(ReadError::Io)?;
        stream.flush().await.map_err(ReadError::Io)?;
        // The server closes once it has passed the request on; a reset is as good as an end.
        let mut nothing = [0_u8; 1];
        let _ = stream.read(&mut nothing).await;
        Ok(())
    };
    within(database, ConnectLimits::default().connect, work).await
}

async fn within<T>(
    database: &Database,
    wait: Duration,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match tokio::time::timeout(wait, work).await {
        Ok(done) => done,
        Err(_) => Err(ConnectError::Timeout { address: address(database), wait }),
    }
}

fn address(database: &Database) -> String {
    format!("{}:{}", database.host, database.port)
}

async fn log_in(
    target: Target<'_>,
    server: &Server,
    startup: &[(String, String)],
    mut stream: UpstreamStream,
    used: &mut Used,
) -> Result<Upstream, ConnectError> {
    let database = target.database;
    let hello = startup_message(database, startup)?;
    stream.write_all(&hello).await.map_err(ReadError::Io)?;
    stream.flush().await.map_err(ReadError::Io)?;
    let mut upstream = Upstream {
        stream,
        leftover: BytesMut::new(),
        parameters: Vec::new(),
        cancel_key: CancelKey { server: server.clone(), process_id: 0, secret: Vec::new() },
    };
    auth::authenticate(&mut upstream, target, used).await?;
    for _ in 0..LOGIN_MESSAGES_MAX {
        let Message { tag, body } = upstream.login_message().await?;
        match tag {
            b'Z' => return Ok(upstream),
            b'K' => {
                let key = body.split_first_chunk::<4>();
                let key = key.filter(|(_, key)| CANCEL_KEY_BYTES.contains(&key.len()));
                let (id, key) = key.ok_or_else(|| {
                    ConnectError::Protocol("BackendKeyData has no key that can be".to_owned())
                })?;
                upstream.cancel_key.process_id = i32::from_be_bytes(*id);
                upstream.cancel_key.secret = key.to_vec();
            }
            b'S' => upstream.note_parameter(&body),
            b'E' => return Err(auth::refusal(database, error::server_error(&body))),
            b'N' | b'v' => {}
            _ => return Err(unexpected(tag)),
        }
    }
    Err(ConnectError::Protocol("the login does not end".to_owned()))
}

fn unexpected(tag: u8) -> ConnectError {
    ConnectError::Protocol(format!("an unexpected message `{}` came", char::from(tag)))
}

fn startup_message(
    database: &Database,
    startup: &[(String, String)],
) -> Result<BytesMut, ConnectError> {
    let own = [("user", &database.username), ("database", &database.dbname)];
    let more = startup.iter().map(|(name, value)| (name.as_str(), value));
    let more = more.filter(|(name, _)| !OWN_PARAMETERS.contains(name));
    let mut message = BytesMut::new();
    message.put_i32(0);
    message.put_i32(PROTOCOL_VERSION);
    for (name, value) in own.into_iter().chain(more) {
        for text in [name, value.as_str()] {
            if text.contains('\0') {
                let why = format!("the startup parameter {name:?} holds a NUL");
                return Err(ConnectError::Protocol(why));
            }
            message.put_slice(text.as_bytes());
            message.put_u8(0);
        }
    }
    message.put_u8(0);
    frames::set_length(&mut message, 0)
        .ok_or_else(|| ConnectError::Protocol("the startup parameters are too long".to_owned()))?;
    Ok(message)
}

impl Upstream {
    async fn login_message(&mut self) -> Result<Message, ConnectError> {
        let read = frames::read(&mut self.stream, &mut self.leftover, LOGIN_MESSAGE_BYTES_MAX);
        Ok(read.await?)
    }

    /// Says goodbye: a server logs connections that just end. What it was doing is rolled back.
    pub async fn close(mut self) {
        let mut goodbye = BytesMut::new();
        if frames::put(&mut goodbye, b'X', &[]).is_some() && self.send(&goodbye).await.is_ok() {
            // Whether the server is still there to hear it does not matter any more.
            let _ = self.stream.shutdown().await;
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        self.stream.write_all(bytes).await.map_err(ReadError::Io)?;
        self.stream.flush().await.map_err(ReadError::Io)
    }

    /// Keeps the latest value of each ParameterStatus name.
    fn note_parameter(&mut self, body: &[u8]) {
        let Some((name, rest)) = cstr(body) else { return };
        let Some((value, _)) = cstr(rest) else { return };
        match self.parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.parameters.push((name, value)),
        }
    }
}
