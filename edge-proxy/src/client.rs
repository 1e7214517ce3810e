//! A new client: who it is, whether it may connect, and its database's connection; then its session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use writ_audit::SessionProfile;
use writ_audit::record::{ConnectionRefused, SessionClosed, SessionOpened};
use writ_edge_core::catalog::{NAMES_QUERY, parse_names};
use writ_edge_core::login::Method;
use writ_edge_core::policy_gate::{Client, Current, PolicyGate};
use writ_edge_core::scram;
use writ_edge_core::startup::{CancelRequest, Startup};
use writ_edge_core::write::{Message, framed};
use writ_edge_core::{Gate, Session, SessionNames};
use writ_model::config::EdgeConfig;
use writ_model::sqlstate::{self, SqlState};
use writ_model::{DatabaseName, Secret, SessionId, Timestamp};

use crate::connection::{Connection, Ended, Link, Parts, Shared, Sharing};
use crate::drain::Drain;
use crate::limits::{BufferShare, Limit, Limits, Seat};
use crate::login::{Authenticator, asks_for_certificates};
use crate::mailbox::mailbox;
use crate::mask_key::MaskKey;
use crate::parameters::Asked;
use crate::pool::{AcquireError, Greeting, QUEUE_WAIT_MAX};
use crate::sessions::{Place, Reach, SessionEvent, Sessions};
use crate::side::Side;
use crate::startup::{ClientStream, Opening, open, part, turn_away};
use crate::states::{Databases, Served};
use crate::takeover::cancels::{Cancels, Outcome};
use crate::telemetry::{Login, Step};
use crate::tls;
use crate::upstream::{ConnectError, ConnectLimits, Upstream};

/// How long a client may take to say who it is.
pub(crate) const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The setting of the role that a session acts as.
const ROLE: &str = "role";

/// Connections that have not said what they want, at most; each has [`STARTUP_TIMEOUT`] to do so.
pub const OPENINGS_MAX: usize = 4_096;

/// What every new client meets.
pub struct Door {
    /// TLS with the edge's own certificate.
    pub tls: tls::Listener,
    /// Checks who clients are.
    pub authenticator: Authenticator,
    /// Whether clients may come without TLS.
    pub plaintext: bool,
    /// The databases behind it.
    pub databases: Arc<Databases>,
    /// Open sessions.
    pub sessions: Arc<Sessions>,
    /// Where cancel requests go.
    pub cancels: Arc<Cancels>,
    /// Whether any are taken.
    pub drain: Arc<Drain>,
    /// The most sessions at once, those that log in included.
    pub sessions_max: usize,
    /// Room for so many.
    pub rooms: Arc<Semaphore>,
    /// Room for [`OPENINGS_MAX`] connections that have not said what they want.
    pub openings: Arc<Semaphore>,
    /// What principals may take.
    pub limits: Arc<Limits>,
    /// What masks hash with.
    pub mask_key: MaskKey,
    /// What sessions share.
    pub shared: Shared,
    /// Makes session ids.
    pub session_id: Arc<dyn Fn() -> SessionId + Send + Sync>,
    /// Fills with secure random bytes.
    pub random: Arc<dyn Fn(&mut [u8]) + Send + Sync>,
}

/// Why a client is turned away.
#[derive(Debug)]
pub struct Refused {
    pub(crate) code: SqlState,
    pub(crate) reason: String,
    pub(crate) hint: String,
}

impl Refused {
    pub(crate) fn new(code: SqlState, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), hint: hint.into() }
    }
}

/// A client that proved who it is and may have its database.
struct Admitted {
    gate: PolicyGate,
    served: Arc<Served>,
    link: Link,
    greeting: Greeting,
    profile: SessionProfile,
    room: OwnedSemaphorePermit,
    method: Method,
    seat: Seat,
}

/// A session that begins.
struct Opened {
    connection: Box<Connection>,
    session: SessionId,
    at: Timestamp,
    place: Place,
    room: (OwnedSemaphorePermit, Seat),
}

impl Door {
    /// Deals with one connection to its end.
    pub async fn receive(self: Arc<Self>, tcp: TcpStream, address: SocketAddr) {
        let mut login = Login::begin(self.shared.journal.telemetry(), address);
        let _ = tcp.set_nodelay(true);
        let Ok(opens) = Arc::clone(&self.openings).try_acquire_owned() else {
            return self.not_a_client(address, "too many connections have not said who they are");
        };
        let (acceptor, bound_to) = self.handshake();
        let opening = Box::pin(async move { open(tcp, &acceptor).await });
        let opening = tokio::time::timeout(STARTUP_TIMEOUT, opening).await;
        drop(opens);
        match opening {
            Ok(Ok(Opening::Session(stream, startup))) => {
                login.step(Step::Tls);
                self.session(stream, startup, (address, bound_to), login).await;
            }
            Ok(Ok(Opening::Cancel(stream, request))) => {
                self.cancel(&request, address).await;
                part(stream).await;
            }
            Ok(Ok(Opening::Nothing(reason))) => self.not_a_client(address, &reason),
            Ok(Err(error)) => self.not_a_client(address, &error.to_string()),
            Err(_) => self.not_a_client(address, "nothing was said in time"),
        }
    }

    /// How to shake hands with the next client, and what its login can be bound to then.
    fn handshake(&self) -> (TlsAcceptor, scram::Link) {
        let tls = self.tls.current();
        let asks = asks_for_certificates(self.databases.config().as_deref());
        (tls.acceptor(asks).clone(), tls.link.clone())
    }

    /// As at the server, the connection is open until the request has reached what it is for: a client that waits for the
    /// end can send its next statement without it being hit.
    async fn cancel(&self, request: &CancelRequest, address: SocketAddr) {
        let now = (self.shared.clock)();
        let heard = self.limits.hears_cancel(address.ip(), now);
        let outcome = if heard { self.cancels.cancel(request).await } else { Outcome::TooMany };
        match outcome {
            Outcome::Reached => {}
            Outcome::InVain => self.limits.note_vain_cancel(address.ip(), now),
            Outcome::TooMany => self.shared.metrics.limited(Limit::Cancels),
        }
    }

    fn not_a_client(&self, address: SocketAddr, reason: &str) {
        self.shared.metrics.connections_refused.add(1);
        tracing::debug!(%address, reason, "not a PostgreSQL client");
    }

    async fn session(
        self: Arc<Self>,
        stream: ClientStream,
        startup: Startup,
        from: (SocketAddr, scram::Link),
        login: Login,
    ) {
        // What a login takes is given back before the session begins: most of its life it is idle.
        let Some(opened) = Box::pin(self.log_in(stream, startup, from, login)).await else {
            return;
        };
        let Opened { connection, session, at, place, room: _room } = opened;
        let Ended { reason, statements } = connection.run().await;
        let now = (self.shared.clock)();
        self.shared.metrics.sessions.add(-1);
        self.shared.journal.closed(
            now,
            SessionClosed {
                session,
                reason,
                statements,
                duration_us: u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0),
            },
        );
        drop(place);
    }

    /// Lets the client in, or turns it away.
    async fn log_in(
        &self,
        mut stream: ClientStream,
        startup: Startup,
        (address, bound_to): (SocketAddr, scram::Link),
        mut login: Login,
    ) -> Option<Opened> {
        let from = (address, &bound_to);
        let admitted = match self.admit(&mut stream, &startup, from, &mut login).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                login.refused(refused.code, stream.is_tls());
                self.turn_away(&mut stream, &startup, address, refused).await;
                return None;
            }
        };
        let Admitted { gate, served, link, greeting: greeted, profile, room, method, seat } =
            admitted;
        let (events, incoming) = mailbox();
        let mut key = vec![0; startup.cancel_key_bytes()];
        (self.random)(&mut key);
        let key = Secret::new(key);
        let at = (self.shared.clock)();
        let reach = Reach {
            key: key.clone(),
            actor: Arc::new(gate.actor().clone()),
            profile: Arc::new(profile.clone()),
            opened_at: at,
            events: events.clone(),
        };
        let place = self.sessions.enter(reach);
        // A drain that began meanwhile told those that were there.
        if self.drain.reason().is_some() {
            let _ = events.send(SessionEvent::Drain);
        }
        let tls = stream.is_tls();
        let greeting = greeting(&greeted.parameters, place.process_id, &key);
        if stream.write_all(&greeting).await.is_err() || stream.flush().await.is_err() {
            return None;
        }
        let epoch = gate.state().config.epoch;
        let authentication = method.as_str().to_owned();
        login.opened(&profile, &authentication, tls);
        self.shared
            .journal
            .opened(at, SessionOpened { session: profile.clone(), authentication, tls, epoch });
        self.shared.metrics.sessions.add(1);
        self.shared.metrics.sessions_opened.add(1);
        self.shared.metrics.login.observe_since(login.began());
        let encoding = client_encoding(&greeted.parameters);
        let mut core = match &link {
            Link::Own { .. } => Session::new(gate, profile, encoding),
            Link::Shared(_) => Session::pooled(gate, profile, encoding),
        };
        core.set_rate(seat.rate());
        let session = core.id().clone();
        let events = (events, incoming);
        let buffers = BufferShare::new(self.limits.buffers());
        let parts = Parts { session: core, client: stream, link, served, events, buffers };
        let connection = Connection::new(parts, self.shared.clone());
        Some(Opened { connection, session, at, place, room: (room, seat) })
    }

    async fn turn_away(
        &self,
        stream: &mut ClientStream,
        startup: &Startup,
        address: SocketAddr,
        refused: Refused,
    ) {
        let Refused { code, reason, hint } = refused;
        let message = Message::fatal(code, reason.clone(), hint);
        let _ = tokio::time::timeout(STARTUP_TIMEOUT, turn_away(stream, &message)).await;
        self.shared.journal.refused(
            (self.shared.clock)(),
            ConnectionRefused {
                client_address: address.to_string(),
                user: startup.get("user").unwrap_or_default().to_owned(),
                database: startup.get("database").unwrap_or_default().to_owned(),
                sqlstate: code.0.to_owned(),
                reason,
            },
        );
    }

    /// How many connections are not sessions yet.
    #[must_use]
    pub fn logging_in(&self) -> usize {
        let most = self.sessions_max.min(Semaphore::MAX_PERMITS);
        let opening = OPENINGS_MAX.saturating_sub(self.openings.available_permits());
        let in_rooms = most.saturating_sub(self.rooms.available_permits());
        opening + in_rooms.saturating_sub(self.sessions.count())
    }

    /// A place among the edge's sessions.
    fn room(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.rooms).try_acquire_owned().map_err(|_| {
            self.shared.metrics.limited(Limit::Sessions);
            Refused::new(
                SqlState("53300"),
                format!("this edge has its most sessions, {}", self.sessions_max),
                "close some, or connect to another edge",
            )
        })
    }

    async fn admit(
        &self,
        stream: &mut ClientStream,
        startup: &Startup,
        (address, bound_to): (SocketAddr, &scram::Link),
        login: &mut Login,
    ) -> Result<Admitted, Refused> {
        if !stream.is_tls() && !self.plaintext {
            return Err(tls_only());
        }
        self.drain.admit()?;
        // Taken before anything is asked: logins that come at once count each other.
        let room = self.room()?;
        let config = self.databases.config().ok_or_else(no_configuration)?;
        let proven = self
            .authenticator
            .authenticate(stream, startup, &config, (address.ip(), bound_to))
            .await?;
        login.step(Step::Authentication);
        let (principal, method) = (proven.principal().clone(), proven.method());
        let seat = self.limits.enter(&principal).map_err(|(limit, refused)| {
            self.shared.metrics.limited(limit);
            refused
        })?;
        let served = self.find(startup, &config)?;
        if !served.wait_ready().await {
            return Err(unreachable(served.database().name.as_str()));
        }
        let asked = Asked::read(startup)?;
        let application = asked.application_name();
        let client = Client {
            principal: principal.clone(),
            address: Some(address.ip()),
            application_name: application.clone(),
        };
        let now = (self.shared.clock)();
        let current: Arc<dyn Current> = Arc::clone(&served) as Arc<dyn Current>;
        let mut gate = PolicyGate::connect(current, client, SessionNames::default(), now)
            .map_err(|denial| Refused::new(sqlstate::REFUSED, denial.reason, denial.next_step))?;
        let session = (self.session_id)();
        // A connection that sessions share is of none of them.
        let own = served.pool().is_none().then_some(&session);
        let label = served.database().label.of(&principal, own);
        let mut parameters = asked.upstream(&principal, own, label.as_ref(), gate.is_read_only());
        parameters.extend(self.mask_key.parameters());
        parameters.extend(gate.role().map(|role| (ROLE.to_owned(), role.to_owned())));
        gate.set_label(label);
        let (link, greeting) = tokio::select! {
            biased;
            linked = link(&served, parameters) => linked?,
            () = stream.closed() => return Err(went_away()),
        };
        login.step(Step::Connection);
        let database_role = greeting.names.role.clone();
        acts_as(&gate, &database_role, &served)?;
        gate.set_names(SessionNames::clone(&greeting.names));
        let profile = SessionProfile {
            session,
            on_behalf_of: gate.actor().chain_ids().cloned().collect(),
            principal,
            client_address: address.to_string(),
            application_name: application,
            database: served.database().name.clone(),
            environment: served.database().environment.clone(),
            database_role,
        };
        Ok(Admitted { gate, served, link, greeting, profile, room, method, seat })
    }

    fn find(&self, startup: &Startup, config: &EdgeConfig) -> Result<Arc<Served>, Refused> {
        let wanted = startup.get("database").or(startup.get("user")).unwrap_or_default();
        let served = wanted.parse::<DatabaseName>().ok().and_then(|name| self.databases.get(&name));
        served.ok_or_else(|| {
            let environment =
                config.environment.as_ref().map_or("this environment", |e| e.name.as_str());
            Refused::new(
                sqlstate::UNKNOWN_DATABASE,
                format!("there is no database {wanted:?} behind this edge of {environment}"),
                "`writ databases list` shows what there is",
            )
        })
    }
}

/// Whatever stands between: the server says who the session is.
fn acts_as(gate: &PolicyGate, database_role: &str, served: &Served) -> Result<(), Refused> {
    match gate.role() {
        Some(role) if role != database_role => {
            Err(not_acting(served.database().name.as_str(), "it did not become that role"))
        }
        _ => Ok(()),
    }
}

fn tls_only() -> Refused {
    Refused::new(
        sqlstate::AUTHENTICATION,
        "this edge speaks TLS only",
        "connect with sslmode=require or, better, sslmode=verify-full and the CA file",
    )
}

fn went_away() -> Refused {
    Refused::new(
        sqlstate::CONNECTION_FAILURE,
        "the client went away while it waited for a connection to the database",
        "connect again",
    )
}

fn no_configuration() -> Refused {
    Refused::new(
        sqlstate::UNAVAILABLE,
        "this edge has no configuration yet: it has not reached its control plane",
        "try again in a moment; an operator sees more in `writ edges list`",
    )
}

fn unreachable(database: &str) -> Refused {
    Refused::new(
        sqlstate::UPSTREAM_UNREACHABLE,
        format!("the database {database} cannot be reached from this edge"),
        "try again in a moment; its owner or an operator sees the reason in the edge's log",
    )
}

/// The role that the principal has to act as cannot be had.
fn not_acting(database: &str, reason: &str) -> Refused {
    tracing::warn!(database, reason, "a session could not act as its role");
    Refused::new(
        sqlstate::UPSTREAM_UNREACHABLE,
        format!("the database {database} does not let this session act as its role: {reason}"),
        "its owner has to make the role, and grant it to the one that the edge logs in with",
    )
}

/// The connection of a session to its database, or its place among those that share some.
async fn link(
    served: &Arc<Served>,
    parameters: Vec<(String, String)>,
) -> Result<(Link, Greeting), Refused> {
    let Some(pool) = served.pool() else {
        let (upstream, names) = connect(served, &parameters).await?;
        let Upstream { stream, leftover, parameters, cancel_key } = upstream;
        let greeting = Greeting { parameters: Arc::new(parameters), names: Arc::new(names) };
        let side = Side::new(stream, leftover);
        return Ok((Link::Own { side, cancel_key }, greeting));
    };
    let key = pool.key(parameters);
    let greeting = match pool.greeting(&key) {
        Some(greeting) => greeting,
        None => {
            let leased = pool.acquire(&key, || connect(served, key.parameters())).await;
            let leased = leased.map_err(|error| no_connection(served, error))?;
            let greeting = leased.pooled.greeting.clone();
            pool.put(&key, leased);
            greeting
        }
    };
    Ok((Link::Shared(Sharing::new(key, Arc::clone(&greeting.parameters))), greeting))
}

/// Why a session that shares connections has none.
pub(crate) fn no_connection(served: &Served, error: AcquireError<Refused>) -> Refused {
    let database = &served.database().name;
    match error {
        AcquireError::Connect(refused) => refused,
        AcquireError::Busy => Refused::new(
            SqlState("53300"),
            format!(
                "no connection to {database} became free in {} s: all that sessions share are in use",
                QUEUE_WAIT_MAX.as_secs()
            ),
            "end transactions sooner, or give the database more with `writ databases add --connections-max`",
        ),
    }
}

/// A new connection to the database, and what names mean in it.
pub(crate) async fn connect(
    served: &Served,
    parameters: &[(String, String)],
) -> Result<(Upstream, SessionNames), Refused> {
    let name = served.database().name.as_str();
    let failed = |reason: String| {
        tracing::warn!(database = name, %reason, "could not connect a client's session");
        unreachable(name)
    };
    let mut upstream =
        crate::upstream::connect(served.target(), parameters, &ConnectLimits::default())
            .await
            .map_err(|e| match e {
                ConnectError::Server(server) if parameters.iter().any(|(name, _)| name == ROLE) => {
                    not_acting(name, &server.to_string())
                }
                // The server read the client's parameters and did not like one.
                ConnectError::Server(server) if server.sqlstate.starts_with("22") => Refused::new(
                    SqlState("22023"),
                    server.message,
                    "correct the start-up parameter, or leave it out",
                ),
                other => failed(other.to_string()),
            })?;
    let rows = upstream.query(NAMES_QUERY).await.map_err(|e| failed(e.to_string()))?;
    let row = rows.first().ok_or_else(|| failed("no names".into()))?;
    let columns: Vec<Option<&[u8]>> = row.iter().map(|c| c.as_deref()).collect();
    let names = parse_names(&columns).map_err(|e| failed(e.to_string()))?;
    let names = SessionNames {
        role: names.role,
        search_path: names.search_path,
        temp_relations: names.temp_relations,
        temp_active: names.temp_active,
        standard_conforming_strings: names.standard_conforming_strings,
    };
    Ok((upstream, names))
}

/// The encoding of texts, as the server told it.
pub(crate) fn client_encoding(parameters: &[(String, String)]) -> &str {
    let told = parameters.iter().find(|(name, _)| name == "client_encoding");
    told.map_or("UTF8", |(_, value)| value.as_str())
}

/// A ParameterStatus message.
pub(crate) fn put_parameter(name: &str, value: &str, out: &mut BytesMut) {
    framed(b'S', out, |out| {
        for text in [name, value] {
            out.put_slice(text.as_bytes());
            out.put_u8(0);
        }
    });
}

/// Everything from AuthenticationOk to the first ReadyForQuery.
fn greeting(parameters: &[(String, String)], process_id: i32, key: &Secret<Vec<u8>>) -> BytesMut {
    let mut out = BytesMut::new();
    framed(b'R', &mut out, |out| out.put_i32(0));
    for (name, value) in parameters {
        put_parameter(name, value, &mut out);
    }
    framed(b'K', &mut out, |out| {
        out.put_i32(process_id);
        out.put_slice(key.expose());
    });
    framed(b'Z', &mut out, |out| out.put_u8(b'I'));
    out
}
