//! One session's task: moves bytes between two sockets and the session core, and carries out its effects.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use writ_audit::SessionProfile;
use writ_edge_core::policy_gate::PolicyGate;
use writ_edge_core::{Cx, Effect, EndReason, Outbox, Session};
use writ_model::sqlstate;
use writ_proto::node::Clock;

use crate::approvals::{Approvals, Asking, News, Requester};
use crate::client::Refused;
use crate::database::{estimate_rows, expected_rows};
use crate::journal::SpoolJournal;
use crate::metrics::Metrics;
use crate::pool::{AcquireError, Key, Leased};
use crate::sessions::SessionEvent;
use crate::spool::Spool;
use crate::startup::ClientStream;
use crate::states::Served;
use crate::upstream::{CancelKey, UpstreamStream};

/// How many bytes may wait for a side before the other is not read any more.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// The first size of a read, in bytes; grows where reads fill it, and shrinks where they bring little.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Buffers that are larger, in bytes, are kept while they are empty: bulk data is on its way.
const KEPT_BYTES_MIN: usize = 16 * 1024;
/// The largest size of a read, in bytes.
const READ_BYTES_MAX: usize = 128 * 1024;
/// How long the last bytes to either side may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same to a client whose access was revoked: it may not read at all.
const FAREWELL_REVOKED: Duration = Duration::from_millis(100);

/// What a session's task is made of.
pub struct Parts {
    /// The session core.
    pub session: Session<PolicyGate>,
    /// The client.
    pub client: ClientStream,
    /// The server.
    pub link: Link,
    /// The database.
    pub served: Arc<Served>,
    /// Who and from where.
    pub profile: SessionProfile,
    /// What reaches the session from outside.
    pub events: (mpsc::UnboundedSender<SessionEvent>, mpsc::UnboundedReceiver<SessionEvent>),
}

/// What all sessions share.
#[derive(Clone)]
pub struct Shared {
    /// Records.
    pub journal: SpoolJournal,
    /// Where they are kept.
    pub spool: Spool,
    /// Approvals.
    pub approvals: Approvals,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Where what a session starts besides itself runs: not on its own thread, which other sessions need.
    pub background: Handle,
}

/// The connection to the server.
pub enum Link {
    /// The session's own.
    Own {
        /// The connection.
        side: Side<UpstreamStream>,
        /// The server's key for cancelling.
        cancel_key: CancelKey,
    },
    /// One that it shares with others.
    Shared(Sharing),
}

/// How a session shares connections.
pub struct Sharing {
    /// Those that it may have.
    pub key: Key,
    /// What the client was told of the one that greeted it.
    pub told: Arc<Vec<(String, String)>>,
    /// The one that it has.
    pub(crate) leased: Option<Box<Leased>>,
    /// The one that it waits for.
    pub(crate) acquiring: Option<BoxFuture<'static, Acquired>>,
}

pub(crate) type Acquired = Result<Leased, AcquireError<Refused>>;

impl Sharing {
    /// None at first.
    #[must_use]
    pub fn new(key: Key, told: Arc<Vec<(String, String)>>) -> Self {
        Self { key, told, leased: None, acquiring: None }
    }
}

impl Link {
    fn side(&mut self) -> Option<&mut Side<UpstreamStream>> {
        match self {
            Self::Own { side, .. } => Some(side),
            Self::Shared(sharing) => Some(&mut sharing.leased.as_mut()?.pooled.side),
        }
    }

    fn poll_acquired(&mut self, cx: &mut Context<'_>) -> Poll<Acquired> {
        match self {
            Self::Shared(Sharing { acquiring: Some(acquiring), .. }) => acquiring.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}

/// One side of the proxy.
pub struct Side<S> {
    pub(crate) stream: S,
    /// Received and not dealt with.
    pub(crate) inbox: BytesMut,
    read_bytes: usize,
    pub(crate) eof: bool,
    /// The last write has to be flushed (TLS buffers).
    pub(crate) unflushed: bool,
}

pub(crate) struct Connection {
    pub(crate) session: Session<PolicyGate>,
    client: Side<ClientStream>,
    pub(crate) link: Link,
    pub(crate) outbox: Outbox,
    pub(crate) shared: Shared,
    pub(crate) served: Arc<Served>,
    profile: SessionProfile,
    events: mpsc::UnboundedSender<SessionEvent>,
    durable: watch::Receiver<u64>,
    pub(crate) journal: SpoolJournal,
    asking: Option<Asking>,
    draining: bool,
    held: Option<Instant>,
    end: Option<EndReason>,
}

/// Runs a session to its end, and returns why it ended and how many statements it had.
pub async fn run(parts: Parts, shared: Shared) -> (EndReason, u64) {
    let Parts { session, client, link, served, profile, events } = parts;
    let (events, mut incoming) = events;
    let durable = shared.spool.durable();
    let journal = shared.journal.of_session(&profile);
    let mut connection = Connection {
        session,
        client: Side::new(client, BytesMut::new()),
        link,
        outbox: Outbox::default(),
        shared,
        served,
        profile,
        events,
        durable,
        journal,
        asking: None,
        draining: false,
        held: None,
        end: None,
    };
    while connection.end.is_none() {
        connection.turn(&mut incoming).await;
    }
    connection.farewell().await;
    (connection.end.unwrap_or(EndReason::ClientGone), connection.session.statement_count())
}

impl Connection {
    /// Waits for something to happen, and deals with it.
    async fn turn(&mut self, incoming: &mut mpsc::UnboundedReceiver<SessionEvent>) {
        let awaits_durable = self.session.awaits_durable();
        let ready = tokio::select! {
            biased;
            // A session under load has something to move at every turn: what ends it comes first.
            event = incoming.recv() => Ready::Event(event),
            io = std::future::poll_fn(|cx| {
                if let Poll::Ready(acquired) = self.link.poll_acquired(cx) {
                    return Poll::Ready(Ready::Acquired(Box::new(acquired)));
                }
                poll_io(&mut self.client, self.link.side(), &mut self.outbox, cx).map(Ready::Io)
            }) => io,
            changed = self.durable.changed(), if awaits_durable => {
                if changed.is_ok() { Ready::Durable } else { Ready::Event(Some(SessionEvent::Kill)) }
            }
        };
        match ready {
            Ready::Io(Ok(())) => {}
            Ready::Io(Err(Broken::Client)) => {
                let now = (self.shared.clock)();
                let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
                self.session.on_client_closed(&mut cx);
            }
            Ready::Io(Err(Broken::Upstream)) => {
                if let Some(side) = self.link.side() {
                    side.eof = true;
                }
            }
            Ready::Acquired(acquired) => self.acquired(*acquired),
            Ready::Durable => {
                let seq = *self.durable.borrow_and_update();
                self.session.on_durable(seq);
            }
            Ready::Event(event) => self.on_event(event.unwrap_or(SessionEvent::Kill)),
        }
        self.work();
    }

    /// Lets the core deal with what has come, and carries out what it wants, until nothing changes any more.
    fn work(&mut self) {
        let before = self.session.statement_count();
        let now = (self.shared.clock)();
        loop {
            let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
            let mut from_upstream = 0;
            if let Some(side) = self.link.side() {
                from_upstream = self.session.on_upstream(&side.inbox, &mut cx);
                side.inbox.advance(from_upstream);
            }
            if from_upstream > 0 {
                self.give_way();
            }
            let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
            let from_client = self.session.on_client(&self.client.inbox, &mut cx);
            self.client.inbox.advance(from_client);
            let effects = std::mem::take(&mut self.outbox.effects);
            let idle = effects.is_empty() && from_client == 0 && from_upstream == 0;
            for effect in effects {
                self.carry_out(effect);
            }
            if idle || self.end.is_some() {
                break;
            }
        }
        let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
        if self.link.side().is_some_and(|side| side.eof) && self.session.ended().is_none() {
            self.session.on_upstream_closed(&mut cx);
        } else if self.client.eof && self.session.ended().is_none() {
            self.session.on_client_eof(&mut cx);
        } else if self.draining && self.session.is_idle() {
            let text = "the edge is shutting down";
            self.session.end_with(sqlstate::ADMIN_SHUTDOWN, text, EndReason::Drained, &mut cx);
        }
        for effect in std::mem::take(&mut self.outbox.effects) {
            self.carry_out(effect);
        }
        if self.link.side().is_none() && !self.outbox.to_upstream().is_empty() {
            self.acquire();
        }
        self.release();
        let screened = std::mem::take(&mut self.outbox.values_screened);
        if screened > 0 {
            self.shared.metrics.values_screened.add(screened);
        }
        self.note_held();
        if self.session.statement_count() > before {
            let took = (self.shared.clock)().0.saturating_sub(now.0);
            self.journal.class().decide.observe_us(u64::try_from(took).unwrap_or(0));
        }
    }

    /// Counts statements that wait for an approval, and how long they did.
    fn note_held(&mut self) {
        let metrics = &self.shared.metrics;
        match (self.session.is_held(), self.held) {
            (true, None) => {
                self.held = Some(Instant::now());
                metrics.held.add(1);
            }
            (false, Some(since)) => {
                self.held = None;
                metrics.held.add(-1);
                metrics.approval_wait.observe_since(since);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn cancel_running(&self) {
        if self.session.running_since().is_some() {
            self.cancel_upstream(None);
        }
    }

    fn on_event(&mut self, event: SessionEvent) {
        if matches!(event, SessionEvent::Revoked | SessionEvent::Kill) {
            // C4: what runs is ended, and does not run on behind a connection that is gone.
            self.cancel_running();
        }
        let now = (self.shared.clock)();
        let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
        match event {
            SessionEvent::Cancel => {
                if self.session.on_cancel(&mut cx) {
                    self.cancel_upstream(None);
                }
            }
            SessionEvent::Estimate(rows) => self.session.on_estimate(rows),
            SessionEvent::CancelSent => self.session.on_cancel_sent(),
            SessionEvent::Approval(number, news) => {
                self.session.on_approval(number, news, &mut cx);
            }
            SessionEvent::DatabaseFresh => self.session.on_database_fresh(),
            SessionEvent::Revoked => {
                let text = "this principal's access was revoked";
                self.session.end_with(sqlstate::ADMIN_SHUTDOWN, text, EndReason::Revoked, &mut cx);
            }
            SessionEvent::Drain => self.draining = true,
            SessionEvent::Kill => {
                let text = "the edge is shutting down";
                self.session.end_with(sqlstate::ADMIN_SHUTDOWN, text, EndReason::Drained, &mut cx);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Sync(_) => self.shared.spool.request_sync(),
            Effect::Acquire => self.acquire(),
            Effect::RequestApproval(ask) => {
                let requester = Requester {
                    profile: self.profile.clone(),
                    database_owner: self.served.database().owner.clone(),
                };
                let database = self.served.database().clone();
                let path = ask.binding.search_path.clone();
                let text = String::from_utf8_lossy(&ask.binding.statement).into_owned();
                let bind = ask.binding.bind.clone();
                let rows = async move {
                    let tail = (!bind.is_empty()).then_some(bind.as_slice());
                    estimate_rows(&database, &path, &text, tail).await
                };
                let news = News { number: ask.number, events: self.events.clone() };
                self.asking = Some(self.shared.approvals.ask(*ask, requester, rows, news));
            }
            Effect::UseGrant { number, id, digest, epoch } => {
                let news = News { number, events: self.events.clone() };
                self.shared.approvals.use_grant(id, digest, epoch, news);
            }
            Effect::CancelApproval { id, reason } => {
                self.asking = None;
                if let Some(id) = id {
                    let approvals = self.shared.approvals.clone();
                    self.shared
                        .background
                        .spawn(async move { approvals.cancel(&id, reason).await });
                }
            }
            Effect::Estimate { search_path, text, parameters } => {
                let database = self.served.database().clone();
                let events = self.events.clone();
                self.shared.background.spawn(async move {
                    let rows = expected_rows(&database, &search_path, &text, parameters).await;
                    let _ = events.send(SessionEvent::Estimate(rows));
                });
            }
            Effect::CancelUpstream => self.cancel_upstream(Some(SessionEvent::CancelSent)),
            Effect::RefreshDatabase => {
                let served = Arc::clone(&self.served);
                let events = self.events.clone();
                self.shared.background.spawn(async move {
                    served.refresh().await;
                    let _ = events.send(SessionEvent::DatabaseFresh);
                });
            }
            Effect::End(reason) => self.end = Some(reason),
        }
    }

    /// Asks the server to cancel what it runs; afterwards, however that went, the session is told `news`.
    fn cancel_upstream(&self, news: Option<SessionEvent>) {
        let database = self.served.database().clone();
        let (key, hold) = match &self.link {
            Link::Own { cancel_key, .. } => (Some(cancel_key), None),
            Link::Shared(Sharing { leased: Some(leased), .. }) => {
                (Some(&leased.pooled.cancel_key), leased.pooled.hold())
            }
            Link::Shared(_) => (None, None),
        };
        let Some(key) = key.cloned() else { return };
        let events = self.events.clone();
        self.shared.background.spawn(async move {
            // The next session in this connection comes after it.
            let _hold = hold;
            let asked = crate::upstream::cancel(&database, &key).await;
            if let Err(reason) = asked {
                tracing::warn!(%reason, "a cancel request could not be passed on");
            }
            if let Some(news) = news {
                // Where nobody listens, the session is over.
                let _ = events.send(news);
            }
        });
    }

    /// Sends the client what it should still see, and says goodbye to the server.
    async fn farewell(&mut self) {
        if self.held.take().is_some() {
            self.shared.metrics.held.add(-1);
        }
        self.release();
        let last = self.outbox.to_client.split();
        let client = &mut self.client.stream;
        let told = async {
            client.write_all(&last).await?;
            client.shutdown().await
        };
        let revoked = self.end == Some(EndReason::Revoked);
        let patience = if revoked { FAREWELL_REVOKED } else { FAREWELL };
        let told = tokio::time::timeout(patience, told);
        let upstream = self.link.side().map(|side| &mut side.stream);
        let parted = async {
            let Some(upstream) = upstream else { return Ok(()) };
            upstream.write_all(b"X\0\0\0\x04").await?;
            upstream.shutdown().await
        };
        // A client that reads nothing does not keep the server's connection open.
        let _ = tokio::join!(told, tokio::time::timeout(FAREWELL, parted));
    }
}

enum Ready {
    Io(Result<(), Broken>),
    Acquired(Box<Acquired>),
    Event(Option<SessionEvent>),
    Durable,
}

/// Which side's connection failed.
enum Broken {
    Client,
    Upstream,
}

/// Writes what waits and reads what has come, on both sides; pending only when nothing could be done.
fn poll_io(
    client: &mut Side<ClientStream>,
    mut upstream: Option<&mut Side<UpstreamStream>>,
    outbox: &mut Outbox,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    if let Poll::Ready(Err(_)) = client.poll_send(&mut outbox.to_client, cx) {
        return Poll::Ready(Err(Broken::Client));
    }
    if let Some(upstream) = &mut upstream
        && let Poll::Ready(Err(_)) = upstream.poll_send(outbox.to_upstream(), cx)
    {
        return Poll::Ready(Err(Broken::Upstream));
    }
    let mut read = false;
    if !client.eof
        && client.inbox.len() < client.room()
        && outbox.to_upstream().len() < BACKLOG_BYTES_MAX
    {
        match client.poll_receive(cx) {
            Poll::Ready(Ok(())) => read = true,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Client)),
            Poll::Pending => {}
        }
    }
    if let Some(upstream) = &mut upstream
        && !upstream.eof
        && outbox.to_client.len() < BACKLOG_BYTES_MAX
    {
        match upstream.poll_receive(cx) {
            Poll::Ready(Ok(())) => read = true,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Upstream)),
            Poll::Pending => {}
        }
    }
    if read {
        return Poll::Ready(Ok(()));
    }
    // Most sessions are idle most of the time: they keep no room for what may come.
    give_back(&mut client.inbox);
    if let Some(upstream) = upstream {
        give_back(&mut upstream.inbox);
    }
    give_back(&mut outbox.to_client);
    give_back(outbox.to_upstream());
    Poll::Pending
}

/// Frees the room of an empty buffer, where it is soon had again.
fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() <= KEPT_BYTES_MIN {
        *buffer = BytesMut::new();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// A connection of which these bytes were read already.
    #[must_use]
    pub fn new(stream: S, inbox: BytesMut) -> Self {
        Self { stream, inbox, read_bytes: READ_BYTES_MIN, eof: false, unflushed: false }
    }

    /// How many bytes may wait here: a whole message must fit, where it is one that is looked at as a whole.
    fn room(&self) -> usize {
        match writ_edge_core::frame::scan(&self.inbox) {
            writ_edge_core::frame::Scan::Frame(header)
                if header.total <= writ_edge_core::client_message_bytes_max(header.tag) =>
            {
                header.total.max(BACKLOG_BYTES_MAX)
            }
            _ => BACKLOG_BYTES_MAX,
        }
    }

    fn poll_send(&mut self, bytes: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(count)) => {
                    bytes.advance(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        bytes.clear();
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbox.reserve(self.read_bytes);
        let room = self.read_bytes;
        let spare = self.inbox.spare_capacity_mut();
        let room = spare.len().min(room);
        let Some(spare) = spare.get_mut(..room) else { return Poll::Pending };
        let mut buffer = ReadBuf::uninit(spare);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.eof = count == 0;
                self.grow_by(count);
                if count == room {
                    self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                } else if count < room / 4 {
                    self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Takes in `count` bytes that were read into the spare room.
    #[allow(unsafe_code)]
    fn grow_by(&mut self, count: usize) {
        let length = self.inbox.len() + count;
        // SAFETY: the first `count` bytes of the spare room were filled by the read just before, as its `ReadBuf` says,
        // and the capacity covers them.
        unsafe { self.inbox.set_len(length) };
    }
}
