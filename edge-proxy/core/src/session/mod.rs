//! One PostgreSQL session as a state machine: bytes in, bytes and effects out. Frames are forwarded as they came;
//! only what must be decided, accounted for or replaced is looked into.

mod activity;
mod admit;
mod client;
mod estimate;
mod extended;
mod function_call;
mod lease;
mod metered;
mod named;
mod outdated;
mod pending;
mod pins;
mod probe;
mod running;
mod screened;
mod throttle;
mod upstream;
mod waiting;
mod wrap;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use writ_audit::{EncodedSession, SessionProfile};
use writ_model::sqlstate::{self, SqlState};
use writ_model::{SessionId, Timestamp};

use crate::gate::{Gate, Ruling, Stamp};
use crate::outbox::{ApprovalNews, Effect, EndReason, Journal, Outbox};
use crate::write::Message;
pub use activity::{Activity, Doing};
pub use client::client_message_bytes_max;
pub use lease::{BACKEND_STATEMENTS_MAX, Backend};

use admit::Admission;
use estimate::Estimate;
use lease::Lease;
use metered::{CursorMeter, Meter};
use named::Named;
use pending::Pending;
use probe::Probe;
use running::Scratch;
use screened::Screening;
use throttle::Throttle;

/// The largest Query or Parse message, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest Bind or FunctionCall message, in bytes: it is held in memory until it is decided.
pub const BIND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest message of the server that has to be looked into as a whole, in bytes.
pub const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest message that is neither statement nor data, in bytes.
pub const CONTROL_BYTES_MAX: usize = 1024 * 1024;
/// Statements that one session may PREPARE under one name before EXECUTE of it is refused.
pub const SQL_PREPARED_MAX: usize = 64;
/// The server tells portals apart by so many bytes of their names.
pub(crate) const PORTAL_NAME_BYTES: usize = 63;
/// Prepared statements and portals of one session.
pub const PREPARED_MAX: usize = 65_536;
/// Messages forwarded and not answered yet, of one session.
pub const PENDING_MAX: usize = 65_536;
/// The largest bind value that is recorded as it was, in bytes; with a larger one, only their number is.
pub const RECORDED_BIND_BYTES_MAX: usize = 64 * 1024;

/// Everything from outside that one step may use.
pub struct Cx<'a> {
    /// The current time.
    pub now: Timestamp,
    /// Where records go.
    pub journal: &'a mut dyn Journal,
    /// Where bytes and effects go.
    pub out: &'a mut Outbox,
}

/// The transaction state that the server last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transaction {
    Idle,
    Open,
    Failed,
}

/// What a name of a prepared statement stands for.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) ruling: Arc<Ruling>,
    /// Parameter types as the client sent them.
    pub(crate) types: Arc<[u8]>,
    pub(crate) stamp: Stamp,
}

/// What a portal stands for.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    pub(crate) ruling: Arc<Ruling>,
    pub(crate) stamp: Stamp,
    /// The Bind message's formats and values.
    pub(crate) bind: Arc<[u8]>,
    /// Its approval was used: going on with the same portal is the same statement.
    pub(crate) granted: bool,
}

/// COPY in the client's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyIn {
    No,
    Running,
}

/// What the names in this session depend on and whether they have to be asked again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Staleness {
    /// search_path, role or settings may have changed.
    pub(crate) names: bool,
    /// Definitions may have changed.
    pub(crate) catalog: bool,
    /// Names changed since the transaction began: its end may undo them.
    pub(crate) names_in_transaction: bool,
    /// Definitions changed since the transaction began.
    pub(crate) catalog_in_transaction: bool,
    /// The shell was asked to read the database again.
    pub(crate) awaiting_database: bool,
}

/// One session. `G` decides.
pub struct Session<G> {
    pub(crate) gate: G,
    /// Apart: it is seldom looked at.
    pub(crate) profile: Box<SessionProfile>,
    pub(crate) encoded: EncodedSession,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) statements: Named<Prepared>,
    pub(crate) portals: Named<Portal>,
    /// Names of portals that Bind was sent for in this transaction, as FETCH would cut them.
    pub(crate) bound: HashSet<Box<[u8]>>,
    /// Everything that SQL's PREPARE was sent for, by name.
    pub(crate) prepared_by_sql: HashMap<Box<[u8]>, Vec<Arc<Ruling>>>,
    pub(crate) transaction: Transaction,
    /// The server ignores everything until Sync.
    pub(crate) skipping: bool,
    /// Extended messages were forwarded since the last Sync.
    pub(crate) series_open: bool,
    /// Nothing was forwarded since the last Flush or Sync.
    pub(crate) flushed: bool,
    pub(crate) copy_in: CopyIn,
    pub(crate) stale: Staleness,
    pub(crate) probe: Option<Probe>,
    /// How often in a row a question of our own was cancelled.
    pub(crate) probes_cancelled: u32,
    pub(crate) admission: Option<Admission>,
    pub(crate) lease: Lease,
    pub(crate) durable: u64,
    /// Bytes of the client's current frame still to pass on, or to drop.
    pub(crate) client_pass: usize,
    pub(crate) client_drop: usize,
    /// Bytes of the server's current frame still to pass on.
    pub(crate) upstream_pass: usize,
    /// Bytes of the server's current frame that the client does not see.
    pub(crate) upstream_drop: usize,
    /// The statement that runs has limits.
    pub(crate) meter: Option<Box<Meter>>,
    /// What the planner is asked, or has said.
    pub(crate) estimate: Option<Estimate>,
    /// The texts of the client's message at hand that were looked at again.
    pub(crate) looked: Vec<Box<[u8]>>,
    /// When the server last said what names mean.
    pub(crate) named_at: Stamp,
    /// A cancel request of our own is on its way.
    pub(crate) cancelling: bool,
    /// Cursors and portals with limits.
    pub(crate) cursors: HashMap<Box<[u8]>, CursorMeter>,
    pub(crate) screening: Screening,
    pub(crate) throttle: Throttle,
    /// The largest message that is taken in as a whole at this moment, in bytes.
    pub(crate) message_room: usize,
    /// Rows are counted, because a rule looks at what principals take in an hour.
    pub(crate) counting: bool,
    pub(crate) rows_seen: u64,
    pub(crate) rows_charged: u64,
    pub(crate) bytes_charged: u64,
    pub(crate) statement_count: u64,
    pub(crate) scratch: Scratch,
    pub(crate) bytes_to_client: u64,
    pub(crate) bytes_mark: u64,
    /// The client speaks UTF-8 to the server; otherwise only ASCII texts can be analysed (E2).
    pub(crate) utf8: bool,
    pub(crate) ended: Option<EndReason>,
}

impl<G: Gate> Session<G> {
    /// A session on an upstream connection that is idle, outside any transaction.
    #[must_use]
    pub fn new(gate: G, profile: SessionProfile, client_encoding: &str) -> Self {
        let encoded = EncodedSession::from(&profile);
        let scratch = Scratch::new(&profile.session);
        Self {
            gate,
            profile: Box::new(profile),
            encoded,
            pending: VecDeque::new(),
            statements: Named::default(),
            portals: Named::default(),
            bound: HashSet::new(),
            prepared_by_sql: HashMap::new(),
            transaction: Transaction::Idle,
            skipping: false,
            series_open: false,
            flushed: true,
            copy_in: CopyIn::No,
            stale: Staleness::default(),
            probe: None,
            probes_cancelled: 0,
            admission: None,
            lease: Lease::Own,
            durable: 0,
            client_pass: 0,
            client_drop: 0,
            upstream_pass: 0,
            upstream_drop: 0,
            meter: None,
            estimate: None,
            looked: Vec::new(),
            named_at: Stamp::default(),
            cancelling: false,
            cursors: HashMap::new(),
            screening: Screening::default(),
            throttle: Throttle::default(),
            message_room: usize::MAX,
            counting: false,
            rows_seen: 0,
            rows_charged: 0,
            bytes_charged: 0,
            statement_count: 0,
            scratch,
            bytes_to_client: 0,
            bytes_mark: 0,
            utf8: is_utf8(client_encoding),
            ended: None,
        }
    }

    /// Who and from where.
    #[must_use]
    pub fn profile(&self) -> &SessionProfile {
        &self.profile
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.profile.session
    }

    /// Whether something is running at the server whose outcome is not known yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The client will send nothing more, and all that it sent was looked at. As the server itself has it, that is still
    /// run; call again when something of it is answered. Ends the session once nothing can be.
    pub fn on_client_eof(&mut self, cx: &mut Cx<'_>) {
        // A COPY from the client would wait for data, and an answer that nobody asks for is not sent.
        if self.copy_in == CopyIn::Running || self.drained(cx) {
            self.on_client_closed(cx);
        }
    }

    /// The gate that decides for it.
    pub fn gate_mut(&mut self) -> &mut G {
        &mut self.gate
    }

    /// How many statements were decided.
    #[must_use]
    pub fn statement_count(&self) -> u64 {
        self.statement_count
    }

    /// Whether a statement waits for an approval.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.admission, Some(Admission::Held(_)))
    }

    /// Whether what was approved as statement `number` runs, is about to, or may go on in a portal.
    #[must_use]
    pub fn runs_approved(&self, number: u64) -> bool {
        let about_to = match &self.admission {
            Some(Admission::Recorded { run, .. }) => run.number == number,
            Some(Admission::Held(_)) | None => false,
        };
        about_to
            || self.pending.iter().any(|pending| pending.run_number() == Some(number))
            || self.portals.values().any(|portal| portal.granted)
    }

    /// The number of the record that has to be durable before a statement goes on (E6).
    #[must_use]
    pub fn awaits_durable(&self) -> Option<u64> {
        match self.admission {
            Some(Admission::Recorded { seq, .. }) => Some(seq),
            Some(Admission::Held(_)) | None => None,
        }
    }

    /// How large a message may be that has not come as a whole yet, in bytes: less than else where memory is short, and
    /// never less than [`CONTROL_BYTES_MAX`].
    pub fn set_message_room(&mut self, bytes: usize) {
        self.message_room = bytes.max(CONTROL_BYTES_MAX);
    }

    /// Why it ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Whether nothing is running and no transaction is open: a good moment to end it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.transaction == Transaction::Idle
            && !self.series_open
            && self.admission.is_none()
    }

    /// The journal is durable up to `seq`. Call [`Session::on_client`] afterwards: a statement may go on.
    pub fn on_durable(&mut self, seq: u64) {
        self.durable = self.durable.max(seq);
    }

    /// The database was read again after [`Effect::RefreshDatabase`]. Call [`Session::on_client`] afterwards.
    pub fn on_database_fresh(&mut self) {
        self.stale.awaiting_database = false;
    }

    /// News of the approval that statement `number` waits for. Call [`Session::on_client`] afterwards.
    pub fn on_approval(&mut self, number: u64, news: ApprovalNews, cx: &mut Cx<'_>) {
        // C4: news of a request that was given up say nothing of the one that took its place.
        if let Some(Admission::Held(held)) = &mut self.admission
            && held.number == number
        {
            held.news(news, cx.out);
        }
    }

    /// The client asked to cancel. Returns whether the server has to be asked too.
    /// Call [`Session::on_client`] afterwards: what waited for a connection waits no more.
    pub fn on_cancel(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.cancel_waiting() {
            return false;
        }
        let Some(Admission::Held(held)) = &mut self.admission else {
            return self.runs_for_client();
        };
        held.end("cancelled by the client");
        let id = held.id.clone();
        cx.out.effects.push(Effect::CancelApproval { id, reason: "cancelled by the client" });
        false
    }

    /// Whether the server works for the client: a cancel would otherwise meet nothing, or a question of our own.
    fn runs_for_client(&self) -> bool {
        let front = self.pending.front();
        front.is_some_and(|front| !matches!(front, Pending::Own { .. } | Pending::OwnSync))
    }

    /// The server's connection ended.
    pub fn on_upstream_closed(&mut self, cx: &mut Cx<'_>) {
        if self.ended.is_none() {
            let message = Message::fatal(
                sqlstate::UPSTREAM_UNREACHABLE,
                "the database closed the connection",
                "connect again; if it goes on, ask the database's owner",
            );
            message.put(b'E', &mut cx.out.to_client);
        }
        self.end(EndReason::UpstreamGone, cx);
    }

    /// The client's connection ended without a Terminate message.
    pub fn on_client_closed(&mut self, cx: &mut Cx<'_>) {
        // Nobody is told.
        self.lease.call_off(sqlstate::CONNECTION_FAILURE);
        self.end(EndReason::ClientGone, cx);
    }

    /// Ends the session with an error that says why.
    pub fn end_with(&mut self, code: SqlState, message: &str, reason: EndReason, cx: &mut Cx<'_>) {
        self.end_saying(&Message::fatal(code, message, "connect again"), reason, cx);
    }

    /// Ends the session with this error.
    pub fn end_saying(&mut self, message: &Message, reason: EndReason, cx: &mut Cx<'_>) {
        if self.ended.is_none() {
            message.put(b'E', &mut cx.out.to_client);
            self.lease.call_off(message.code);
        }
        self.end(reason, cx);
    }

    pub(crate) fn end(&mut self, reason: EndReason, cx: &mut Cx<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason);
        self.end_waiting_with_admission();
        self.abandon_admission("the session ended", cx);
        self.finish_abandoned(cx);
        cx.out.effects.push(Effect::End(reason));
    }

    pub(crate) fn protocol_violation(&mut self, what: &str, cx: &mut Cx<'_>) {
        let message = Message::fatal(
            sqlstate::PROTOCOL_VIOLATION,
            format!("protocol violation: {what}"),
            "this is a fault of the client's driver; connect again",
        );
        message.put(b'E', &mut cx.out.to_client);
        self.end(EndReason::Protocol, cx);
    }
}

/// Whether texts in this encoding are what the analysis reads.
pub(crate) fn is_utf8(encoding: &str) -> bool {
    ["UTF8", "UTF-8", "UNICODE"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}
