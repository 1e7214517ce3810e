//! One session's task: moves bytes between two sockets and the session core, and carries out its effects.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use writ_edge_core::policy_gate::PolicyGate;
use writ_edge_core::{Cx, Effect, EndReason, Outbox, Session};
use writ_model::sqlstate;
use writ_proto::node::Clock;

use crate::approvals::{Approvals, Asking, News, Requester};
use crate::client::Refused;
use crate::database::{estimate_rows, expected_rows};
use crate::journal::SpoolJournal;
use crate::limits::BufferShare;
use crate::mailbox::{EventReceiver, EventSender};
use crate::metrics::Metrics;
use crate::pool::{AcquireError, Key, Leased};
use crate::sessions::SessionEvent;
use crate::side::{Broken, Side, poll_io};
use crate::spare::lend;
use crate::spool::Spool;
use crate::startup::ClientStream;
use crate::states::Served;
use crate::upstream::{CancelKey, UpstreamStream};

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
    /// What reaches the session from outside.
    pub events: (EventSender, EventReceiver),
    /// What its buffers take of all sessions' room.
    pub buffers: BufferShare,
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
    pub(crate) fn side(&mut self) -> Option<&mut Side<UpstreamStream>> {
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

pub(crate) struct Connection {
    pub(crate) session: Session<PolicyGate>,
    pub(crate) client: Side<ClientStream>,
    pub(crate) link: Link,
    pub(crate) outbox: Outbox,
    pub(crate) shared: Shared,
    pub(crate) served: Arc<Served>,
    pub(crate) events: EventSender,
    incoming: EventReceiver,
    durable: watch::Receiver<u64>,
    pub(crate) journal: SpoolJournal,
    asking: Option<Asking>,
    draining: bool,
    held: Option<Instant>,
    pub(crate) buffers: BufferShare,
    end: Option<EndReason>,
}

impl Connection {
    /// A session that begins, in a place of its own: a task that runs it is small.
    pub(crate) fn new(parts: Parts, shared: Shared) -> Box<Self> {
        let Parts { session, client, link, served, events: (events, incoming), buffers } = parts;
        let durable = shared.spool.durable();
        let journal = shared.journal.of_session(session.profile());
        Box::new(Self {
            session,
            client: Side::new(client, BytesMut::new()),
            link,
            outbox: Outbox::default(),
            shared,
            served,
            events,
            incoming,
            durable,
            journal,
            asking: None,
            draining: false,
            held: None,
            buffers,
            end: None,
        })
    }

    /// Runs the session to its end, and returns why it ended and how many statements it had.
    pub(crate) async fn run(mut self: Box<Self>) -> (EndReason, u64) {
        while self.end.is_none() {
            self.turn().await;
        }
        Box::pin(self.farewell()).await;
        (self.end.unwrap_or(EndReason::ClientGone), self.session.statement_count())
    }

    /// Waits for something to happen, and deals with it.
    async fn turn(&mut self) {
        let ready = if self.session.awaits_durable() {
            let mut durable = self.durable.clone();
            tokio::select! {
                biased;
                ready = self.something() => ready,
                changed = durable.changed() => match changed {
                    Ok(()) => Ready::Durable,
                    Err(_) => Ready::Event(SessionEvent::Kill),
                }
            }
        } else {
            self.something().await
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
            Ready::Event(event) => self.on_event(event),
        }
        self.note_buffers();
        self.work();
    }

    /// Waits for an event, a connection, or something to move between the two sides.
    fn something(&mut self) -> impl Future<Output = Ready> {
        std::future::poll_fn(|cx| {
            // A session under load has something to move at every turn: what ends it comes first.
            if let Some(event) = self.incoming.try_recv() {
                return Poll::Ready(Ready::Event(event));
            }
            if let Poll::Ready(acquired) = self.link.poll_acquired(cx) {
                return Poll::Ready(Ready::Acquired(Box::new(acquired)));
            }
            if let Poll::Ready(io) =
                poll_io(&mut self.client, self.link.side(), &mut self.outbox, cx)
            {
                return Poll::Ready(Ready::Io(io));
            }
            self.incoming.poll_recv(cx).map(Ready::Event)
        })
    }

    /// Lets the core deal with what has come, and carries out what it wants, until nothing changes any more.
    fn work(&mut self) {
        let before = self.session.statement_count();
        let now = (self.shared.clock)();
        lend(&mut self.outbox.to_client);
        lend(self.outbox.to_upstream());
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
            self.cancel_upstream(|| {});
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
            SessionEvent::Cancel(done) => {
                if self.session.on_cancel(&mut cx) {
                    self.cancel_upstream(move || drop(done));
                }
            }
            SessionEvent::Estimate(rows) => self.session.on_estimate(rows),
            SessionEvent::Wake => self.session.on_wake(),
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
            Effect::Wake { at, refused } => self.wake_at(at, refused),
            Effect::RequestApproval(ask) => {
                let requester = Requester {
                    profile: self.session.profile().clone(),
                    database_owner: self.served.database().owner.clone(),
                };
                let served = Arc::clone(&self.served);
                let path = ask.binding.search_path.clone();
                let text = String::from_utf8_lossy(&ask.binding.statement).into_owned();
                let bind = ask.binding.bind.clone();
                let role = self.session.gate_mut().role().map(str::to_owned);
                let rows = async move {
                    let tail = (!bind.is_empty()).then_some(bind.as_slice());
                    estimate_rows(served.target(), role.as_deref(), &path, &text, tail).await
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
                let served = Arc::clone(&self.served);
                let role = self.session.gate_mut().role().map(str::to_owned);
                let events = self.events.clone();
                self.shared.background.spawn(async move {
                    let rows = expected_rows(
                        served.target(),
                        role.as_deref(),
                        &search_path,
                        &text,
                        parameters,
                    )
                    .await;
                    let _ = events.send(SessionEvent::Estimate(rows));
                });
            }
            Effect::CancelUpstream => {
                let events = self.events.clone();
                // Where nobody listens, the session is over.
                self.cancel_upstream(move || {
                    let _ = events.send(SessionEvent::CancelSent);
                });
            }
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

    /// Asks the server to cancel what it runs, and calls `then` afterwards, however that went.
    fn cancel_upstream(&self, then: impl FnOnce() + Send + 'static) {
        let database = self.served.database().clone();
        let (key, hold) = match &self.link {
            Link::Own { cancel_key, .. } => (Some(cancel_key), None),
            Link::Shared(Sharing { leased: Some(leased), .. }) => {
                (Some(&leased.pooled.cancel_key), leased.pooled.hold())
            }
            Link::Shared(_) => (None, None),
        };
        let Some(key) = key.cloned() else { return then() };
        self.shared.background.spawn(async move {
            // The next session in this connection comes after it.
            let _hold = hold;
            let asked = crate::upstream::cancel(&database, &key).await;
            if let Err(reason) = asked {
                tracing::warn!(%reason, "a cancel request could not be passed on");
            }
            then();
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
    Event(SessionEvent),
    Durable,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session may take here, in bytes: the allocator's size class below the next one.
    const IDLE_BYTES_MAX: usize = 2_560;

    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Connection>() <= IDLE_BYTES_MAX, "{}", size_of::<Connection>());
        // Those on their way to a session that is told nothing take no room: see the mailbox.
        assert!(size_of::<SessionEvent>() <= 64, "{}", size_of::<SessionEvent>());
    }
}
