//! Running limits: rows and bytes are counted as they pass, and the statement that exceeds a limit is ended in its place.
//!
//! A metered statement runs alone: what the client sends after it waits until it is answered, so that nothing that the
//! client would have had refused has run. Past a limit the server is asked to cancel, what still comes is dropped, and
//! its error is given our words. Where it was done before the cancel came, it is made to refuse instead (E4): either way
//! the server's own transaction has failed. Nothing is forwarded before the cancel request is known to be over, because
//! it would hit the next statement.

use writ_model::facts::CursorUse;
use writ_model::{HourlyLimit, Limits, StatementFacts, StatementKind, sqlstate};

use super::admit::detail;
use super::pending::{Pending, Undo};
use super::running::Running;
use super::wrap::Wrap;
use super::{CopyIn, Cx, Session, Transaction};
use crate::frame::{self, Header};
use crate::gate::{Gate, Left};
use crate::outbox::Effect;
use crate::write::{self, Message};

/// How far a metered statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Within its limits so far.
    Counting,
    /// Past one: what comes is dropped until the server's error.
    Cut,
    /// The server had finished: it was sent something to refuse.
    Refused,
}

/// The counters of the one statement that runs.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The statement's number.
    number: u64,
    pub(crate) stage: Stage,
    limits: Limits,
    rows_left: Option<u64>,
    bytes_left: Option<u64>,
    /// What the hour leaves, as of the last look.
    hour: Left,
    affected: u64,
    /// Statements of the text that are complete.
    completed: u32,
    /// Whose counts go on with the next FETCH or Execute.
    cursors: Vec<Box<[u8]>>,
    rows: u64,
    bytes: u64,
    pub(crate) wrap: Wrap,
}

/// What was taken from one cursor or portal so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct CursorMeter {
    limits: Limits,
    rows: u64,
    bytes: u64,
    hold: bool,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Pass,
    Drop,
}

/// Why a statement is ended.
enum Excess {
    Rows(u64),
    Bytes(u64),
    RowsOfHour,
    BytesOfHour,
    Affected(u64),
}

impl Excess {
    fn message(&self, run: &Running) -> Message {
        let (what, next) = match self {
            Self::Rows(max) => (
                format!("the statement returns more than {max} rows, the most that policy lets it"),
                "ask for fewer rows with WHERE or LIMIT",
            ),
            Self::Bytes(max) => (
                format!(
                    "the statement returns more than {max} bytes, the most that policy lets it"
                ),
                "ask for fewer rows or columns",
            ),
            Self::RowsOfHour => (
                "the rows that policy lets this principal have in an hour are used up".to_owned(),
                "wait: they come back minute by minute over the next hour",
            ),
            Self::BytesOfHour => (
                "the bytes that policy lets this principal have in an hour are used up".to_owned(),
                "wait: they come back minute by minute over the next hour",
            ),
            Self::Affected(max) => (
                format!("the statement changes more than {max} rows, the most that policy lets it"),
                "nothing was changed; name fewer rows in WHERE",
            ),
        };
        let hint = format!("{next}, or ask a policy author about the named rules");
        let mut message = Message::error(sqlstate::LIMIT_REACHED, what, hint);
        message.detail = detail(&run.ruling, None);
        message
    }
}

/// Whether a text may send rows to the client.
fn returns_rows(facts: &StatementFacts) -> bool {
    use StatementKind as K;
    let silent = |kind: &K| {
        matches!(kind, K::Transaction | K::Set | K::Discard | K::Notify | K::Lock | K::Empty)
    };
    !facts.opaque.is_empty() || !facts.kinds.iter().all(silent)
}

/// Whether a text changes rows and its command tags say how many.
pub(crate) fn changes_rows(facts: &StatementFacts) -> bool {
    use StatementKind as K;
    [K::Insert, K::Update, K::Delete, K::Merge, K::CopyIn].iter().any(|k| facts.kinds.contains(k))
}

impl<G: Gate> Session<G> {
    /// Whether something has to be answered before anything else goes on.
    pub(crate) fn runs_alone(&self) -> bool {
        self.meter.is_some() || self.cancelling
    }

    /// The cancel request of [`Effect::CancelUpstream`] is over. Call [`Session::on_client`] afterwards.
    pub fn on_cancel_sent(&mut self) {
        self.cancelling = false;
    }

    /// Whether the statement has to be counted. `portal`: what it executes.
    pub(crate) fn is_metered(
        &self,
        facts: &StatementFacts,
        limits: &Limits,
        portal: Option<&[u8]>,
    ) -> bool {
        if limits.is_none() && self.cursors.is_empty() {
            return false;
        }
        (limits.counts_rows() && returns_rows(facts))
            || (limits.rows_affected_max.is_some() && changes_rows(facts))
            || self.cursors_of(facts, portal).next().is_some()
    }

    fn cursors_of<'a>(
        &'a self,
        facts: &'a StatementFacts,
        portal: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a [u8]> {
        let fetched = facts.cursors.iter().filter_map(|cursor| match cursor {
            CursorUse::Fetch(name) => Some(name.as_bytes()),
            _ => None,
        });
        fetched.chain(portal).filter(|name| self.cursors.contains_key(*name))
    }

    /// Starts to count a statement that is about to go on.
    pub(crate) fn start_meter(&mut self, run: &Running, portal: Option<&[u8]>, cx: &Cx<'_>) {
        let facts = &run.ruling.facts;
        let mut limits = run.ruling.decision.limits.clone();
        let (mut rows_left, mut bytes_left) = (limits.rows_max, limits.bytes_max);
        let names: Vec<Box<[u8]>> = self.cursors_of(facts, portal).map(Into::into).collect();
        for cursor in names.iter().filter_map(|name| self.cursors.get(name)) {
            limits.tighten(&cursor.limits);
            let rest = |max: Option<u64>, used: u64| max.map(|max| max.saturating_sub(used));
            rows_left = least(rows_left, rest(cursor.limits.rows_max, cursor.rows));
            bytes_left = least(bytes_left, rest(cursor.limits.bytes_max, cursor.bytes));
        }
        let hour = self.gate.left(&limits.hourly, cx.now);
        self.meter = Some(Box::new(Meter {
            number: run.number,
            stage: Stage::Counting,
            limits,
            rows_left,
            bytes_left,
            hour,
            affected: 0,
            completed: 0,
            cursors: names,
            rows: 0,
            bytes: 0,
            wrap: Wrap::No,
        }));
    }

    /// A frame of the server while a statement is metered.
    pub(crate) fn meter_frame(&mut self, header: Header, cx: &mut Cx<'_>) -> Passage {
        let Some(meter) = &mut self.meter else { return Passage::Pass };
        let is_data = matches!(header.tag, b'D' | b'd');
        if meter.stage != Stage::Counting {
            let silent = is_data || matches!(header.tag, b'T' | b't' | b'n' | b'H' | b'c');
            return if silent { Passage::Drop } else { Passage::Pass };
        }
        if !is_data {
            return Passage::Pass;
        }
        match meter.take(header.total as u64) {
            None => Passage::Pass,
            Some(excess) => {
                self.cut(&excess);
                self.cancelling = true;
                cx.out.effects.push(Effect::CancelUpstream);
                Passage::Drop
            }
        }
    }

    /// From here on the statement's fate is our error.
    fn cut(&mut self, excess: &Excess) {
        if let Some(meter) = &mut self.meter {
            meter.stage = Stage::Cut;
        }
        if let Some(Pending::Query(run) | Pending::Execute(run)) = self.pending.front_mut() {
            run.refusal = Some(Box::new(excess.message(run)));
        }
    }

    /// CommandComplete and its like while a statement is metered. `Drop`: the client does not see it, or not yet.
    pub(crate) fn meter_completion(
        &mut self,
        whole: &[u8],
        tag: &[u8],
        cx: &mut Cx<'_>,
    ) -> Passage {
        let Some(meter) = &mut self.meter else { return Passage::Pass };
        meter.completed = meter.completed.saturating_add(1);
        if meter.stage == Stage::Counting {
            meter.affected = meter.affected.saturating_add(rows_affected(tag));
            let max = meter.limits.rows_affected_max;
            if let Some(max) = max.filter(|max| meter.affected > *max) {
                self.cut(&Excess::Affected(max));
            }
        }
        let statements = match self.pending.front() {
            Some(Pending::Query(run)) => run.ruling.facts.statements,
            _ => 0,
        };
        let Some(meter) = &mut self.meter else { return Passage::Pass };
        if meter.stage == Stage::Counting {
            let last = meter.completed >= statements;
            // The server says that a statement is complete only after its transaction is.
            return if last && meter.wrap.hold_back(whole) { Passage::Drop } else { Passage::Pass };
        }
        if matches!(self.pending.front(), Some(Pending::Execute(_))) {
            self.refuse_completed(cx);
        }
        Passage::Drop
    }

    /// The server finished an Execute that may not have: it is made to fail the transaction (E4).
    fn refuse_completed(&mut self, cx: &mut Cx<'_>) {
        if let Some(meter) = &mut self.meter {
            meter.stage = Stage::Refused;
        }
        if let Some(Pending::Execute(run)) = self.pending.pop_front() {
            let out = cx.out.control();
            write::parse(super::extended::REFUSED_NAME, write::REFUSED_TEXT, &[], out);
            write::bare(b'H', out);
            self.pending.push_front(Pending::Parse(Undo::Nothing, Some(run)));
        }
    }

    /// ReadyForQuery while a query is metered. `Drop`: more is to come before the client sees it.
    pub(crate) fn meter_ready(&mut self, body: &[u8], cx: &mut Cx<'_>) -> Passage {
        let Some(meter) = &mut self.meter else { return Passage::Pass };
        let failed = match self.pending.front() {
            Some(Pending::Query(run)) => run.sqlstate.is_some(),
            _ => return Passage::Pass,
        };
        if meter.stage == Stage::Cut && !failed {
            meter.stage = Stage::Refused;
            write::query(write::REFUSED_TEXT, cx.out.control());
            return Passage::Drop;
        }
        self.wrap_up(body, cx)
    }

    /// A COPY from the client begins in a text that was cut: the server must not wait for its data.
    pub(crate) fn meter_copy_in(&mut self, cx: &mut Cx<'_>) -> Passage {
        match &self.meter {
            Some(meter) if meter.stage != Stage::Counting => {
                write::framed(b'f', cx.out.control(), |out| out.extend_from_slice(b"\0"));
                Passage::Drop
            }
            _ => Passage::Pass,
        }
    }

    /// The rows of a statement that was cut off: those that passed.
    pub(crate) fn rows_of_cut(&self, number: u64) -> Option<u64> {
        let meter = self.meter.as_ref().filter(|meter| meter.number == number)?;
        (meter.stage != Stage::Counting).then_some(meter.rows)
    }

    /// The metered statement's outcome is written: its counts stay with its cursors.
    pub(crate) fn end_meter(&mut self, number: u64) {
        if self.meter.as_ref().is_none_or(|meter| meter.number != number) {
            return;
        }
        let Some(meter) = self.meter.take() else { return };
        for name in &meter.cursors {
            if let Some(cursor) = self.cursors.get_mut(name) {
                cursor.rows = cursor.rows.saturating_add(meter.rows);
                cursor.bytes = cursor.bytes.saturating_add(meter.bytes);
            }
        }
    }

    /// What passed so far is charged to the hour, and what other sessions took is seen.
    pub(crate) fn charge(&mut self, cx: &Cx<'_>) {
        let rows = self.rows_seen.saturating_sub(self.rows_charged);
        let bytes = self.bytes_to_client.saturating_sub(self.bytes_charged);
        (self.rows_charged, self.bytes_charged) = (self.rows_seen, self.bytes_to_client);
        if self.counting && (rows > 0 || bytes > 0) {
            self.gate.charge(cx.now, rows, bytes);
        }
        if let Some(meter) = self.meter.as_mut().filter(|m| !m.limits.hourly.is_empty()) {
            meter.hour = self.gate.left(&meter.limits.hourly, cx.now);
        }
    }

    /// Whether what passes has to be charged as it does: the hour of several sessions is one.
    pub(crate) fn charges_running(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| !meter.limits.hourly.is_empty())
    }

    /// A limited cursor or portal of this name is made. Making it again without closing it changes no count: whether
    /// that works is not followed.
    pub(crate) fn open_cursor(&mut self, name: &[u8], limits: &Limits, hold: bool) {
        let limits = Limits { hourly: Vec::<HourlyLimit>::new(), ..limits.clone() };
        if limits.counts_rows() {
            let cursor = self.cursors.entry(name.into()).or_default();
            cursor.limits.tighten(&limits);
            cursor.hold |= hold;
        }
    }

    /// What a completed text did with cursors.
    pub(crate) fn note_cursors(&mut self, facts: &StatementFacts) {
        if self.cursors.is_empty() || facts.statements > 1 {
            return;
        }
        for cursor in &facts.cursors {
            match cursor {
                CursorUse::Close(None) => self.cursors.clear(),
                CursorUse::Close(Some(name)) => {
                    self.cursors.remove(name.as_bytes());
                }
                CursorUse::Declare { .. } | CursorUse::Fetch(_) => {}
            }
        }
        if facts.kinds.contains(&StatementKind::Discard) {
            self.cursors.clear();
        }
    }

    /// A cursor or portal gives way. Few sessions have limited ones: no name is hashed where there are none.
    pub(crate) fn forget_cursor(&mut self, name: &[u8]) {
        if !self.cursors.is_empty() {
            self.cursors.remove(name);
        }
    }

    /// Cursors end with their transaction, those WITH HOLD excepted.
    pub(crate) fn drop_cursors(&mut self) {
        if !self.cursors.is_empty() {
            self.cursors.retain(|_, cursor| cursor.hold);
        }
    }

    /// Why a statement with a bound on the rows that it changes cannot be run this way. `row_limit`: Execute's.
    pub(crate) fn unboundable(
        &self,
        facts: &StatementFacts,
        limits: &Limits,
        row_limit: i32,
    ) -> Option<(&'static str, &'static str)> {
        let limited = limits.rows_affected_max.is_some() || limits.counts_rows();
        if !limited || !changes_rows(facts) {
            return None;
        }
        if row_limit > 0 && limits.rows_affected_max.is_some() {
            return Some((
                "rows that a statement changes cannot be counted while its rows are fetched in parts",
                "execute it without a limit on rows",
            ));
        }
        let transacts = facts.kinds.contains(&StatementKind::Transaction);
        if transacts && facts.statements > 1 {
            return Some((
                "rows that a statement changes cannot be counted in a text that begins or ends a transaction",
                "send BEGIN and COMMIT by themselves",
            ));
        }
        None
    }

    /// Whether a simple query has to run in a transaction of the edge's own, so that it can be undone.
    pub(crate) fn needs_wrap(&self, facts: &StatementFacts) -> bool {
        self.transaction == Transaction::Idle && changes_rows(facts)
    }

    /// Whether the barrier of a metered statement keeps a message of the client back.
    pub(crate) fn holds_back(&self, tag: u8) -> bool {
        self.runs_alone() && self.copy_in == CopyIn::No && !matches!(tag, b'd' | b'c' | b'f' | b'H')
    }
}

impl Meter {
    /// Takes one row of `bytes`; says where that is too much.
    fn take(&mut self, bytes: u64) -> Option<Excess> {
        let (rows, sum) = (self.rows + 1, self.bytes.saturating_add(bytes));
        if self.rows_left.is_some_and(|max| rows > max) {
            return Some(Excess::Rows(self.limits.rows_max.unwrap_or(rows)));
        }
        if self.bytes_left.is_some_and(|max| sum > max) {
            return Some(Excess::Bytes(self.limits.bytes_max.unwrap_or(sum)));
        }
        if !use_up(&mut self.hour.rows, 1) {
            return Some(Excess::RowsOfHour);
        }
        if !use_up(&mut self.hour.bytes, bytes) {
            return Some(Excess::BytesOfHour);
        }
        (self.rows, self.bytes) = (rows, sum);
        None
    }
}

fn use_up(left: &mut Option<u64>, amount: u64) -> bool {
    let Some(count) = left else { return true };
    match count.checked_sub(amount) {
        Some(rest) => {
            *count = rest;
            true
        }
        None => false,
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// The rows that a command tag says were changed.
fn rows_affected(tag: &[u8]) -> u64 {
    let changes = [&b"INSERT "[..], b"UPDATE ", b"DELETE ", b"MERGE ", b"COPY "];
    if changes.iter().any(|word| tag.starts_with(word)) { frame::rows_of_tag(tag) } else { 0 }
}
