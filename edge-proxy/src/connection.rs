//! One session's task: moves bytes between two sockets and the session core, and carries out its effects.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use writ_edge_core::policy_gate::PolicyGate;
use writ_edge_core::{Cx, EndReason, Outbox, Session};
use writ_model::sqlstate;
use writ_proto::node::Clock;

use crate::approvals::{Approvals, Asking};
use crate::client::Refused;
use crate::journal::SpoolJournal;
use crate::limits::BufferShare;
use crate::mailbox::{EventReceiver, EventSender};
use crate::metrics::Metrics;
use crate::pool::{AcquireError, Key, Leased};
use crate::sessions::{Killed, SessionEvent};
use crate::side::{Broken, Side, poll_io};
use crate::spare::lend;
use crate::spool::Spool;
use crate::startup::ClientStream;
use crate::states::Served;
use crate::telemetry::Waits;
use crate::upstream::{CancelKey, UpstreamStream};

mod effects;

/// How long the last bytes to either side may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same to a client whose session somebody ended: it may not read at all.
const FAREWELL_REVOKED: Duration = Duration::from_millis(100);

/// What a client is told whose session ends with its edge.
const DRAINED: &str = "this edge ends its sessions: it is being drained, or shuts down";

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
    pub(crate) leased: Option<Leased>,
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
    pub(crate) journal: SpoolJournal,
    pub(crate) asking: Option<Box<Asking>>,
    draining: bool,
    pub(crate) held: Option<Instant>,
    pub(crate) buffers: BufferShare,
    end: Option<EndReason>,
    killed: Option<Arc<Killed>>,
}

/// How a session ended.
pub(crate) struct Ended {
    /// Why, as its record has it.
    pub(crate) reason: String,
    /// How many statements were decided in it.
    pub(crate) statements: u64,
}

impl Connection {
    /// A session that begins, in a place of its own: a task that runs it is small.
    pub(crate) fn new(parts: Parts, shared: Shared) -> Box<Self> {
        let Parts { session, client, link, served, events: (events, incoming), buffers } = parts;
        let mut journal = shared.journal.of_session(session.profile());
        if let (Some(trace), Link::Own { cancel_key, .. }) = (journal.trace(), &link) {
            trace.at_server(&served.database().dbname, &cancel_key.server);
        }
        Box::new(Self {
            session,
            client: Side::new(client, BytesMut::new()),
            link,
            outbox: Outbox::default(),
            shared,
            served,
            events,
            incoming,
            journal,
            asking: None,
            draining: false,
            held: None,
            buffers,
            end: None,
            killed: None,
        })
    }

    /// Runs the session to its end.
    pub(crate) async fn run(mut self: Box<Self>) -> Ended {
        while self.end.is_none() {
            self.turn().await;
        }
        Box::pin(self.farewell()).await;
        let end = self.end.unwrap_or(EndReason::ClientGone);
        let reason = match &self.killed {
            Some(killed) if end == EndReason::Killed => killed.to_string(),
            _ => end.as_str().to_owned(),
        };
        Ended { reason, statements: self.session.statement_count() }
    }

    /// Waits for something to happen, and deals with it.
    async fn turn(&mut self) {
        match self.something().await {
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
            Ready::Durable(seq) => self.session.on_durable(seq),
            Ready::Event(event) => self.on_event(event),
        }
        self.note_buffers();
        self.work();
    }

    /// Waits for an event, a connection, a record to be durable, or something to move between the two sides.
    fn something(&mut self) -> impl Future<Output = Ready> {
        let recorded = self.session.awaits_durable();
        std::future::poll_fn(move |cx| {
            // A session under load has something to move at every turn: what ends it comes first.
            if let Some(event) = self.incoming.try_recv() {
                return Poll::Ready(Ready::Event(event));
            }
            if let Poll::Ready(acquired) = self.link.poll_acquired(cx) {
                return Poll::Ready(Ready::Acquired(Box::new(acquired)));
            }
            // E6
            if let Some(seq) = recorded
                && let Poll::Ready(durable) = self.shared.spool.poll_durable(seq, cx)
            {
                let never = Ready::Event(SessionEvent::Kill);
                return Poll::Ready(durable.map_or(never, Ready::Durable));
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
            self.session.end_with(sqlstate::ADMIN_SHUTDOWN, DRAINED, EndReason::Drained, &mut cx);
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
        if let Some(trace) = self.journal.trace() {
            trace.turn_ended(now, waits(&self.session, &self.client.inbox, &self.link));
        }
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
        let thrown_out = matches!(self.end, Some(EndReason::Revoked | EndReason::Killed));
        let patience = if thrown_out { FAREWELL_REVOKED } else { FAREWELL };
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

/// What the session waits for.
fn waits(session: &Session<PolicyGate>, inbox: &BytesMut, link: &Link) -> Waits {
    let connection = matches!(link, Link::Shared(Sharing { acquiring: Some(_), .. }));
    Waits { in_line: !inbox.is_empty(), held: session.is_held(), connection }
}

enum Ready {
    Io(Result<(), Broken>),
    Acquired(Box<Acquired>),
    Event(SessionEvent),
    Durable(u64),
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
