//! The client's messages.

use std::sync::Arc;

use writ_audit::ProtocolKind;

use writ_model::facts::{CursorUse, SessionEffect};
use writ_model::sqlstate::SqlState;
use writ_model::{StatementFacts, StatementKind, sqlstate};

use super::admit::Admit;
use super::pending::Pending;
use super::probe::Ready;
use super::running::Running;
use super::{
    BIND_BYTES_MAX, CONTROL_BYTES_MAX, CopyIn, Cx, PENDING_MAX, SQL_PREPARED_MAX,
    STATEMENT_BYTES_MAX, Session, Staleness,
};
use crate::frame::{self, Header, Scan};
use crate::gate::{Gate, Permit, Ruling};
use crate::outbox::EndReason;
use crate::write;

/// out_of_memory.
const NO_MEMORY: SqlState = SqlState("53200");

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is dealt with.
    Taken,
    /// It stays where it is until something happens.
    Wait,
}

/// The largest message of the type `tag` that is looked at as a whole, in bytes: larger ones are refused, and data goes
/// on in pieces.
#[must_use]
pub fn client_message_bytes_max(tag: u8) -> usize {
    match tag {
        b'Q' | b'P' => STATEMENT_BYTES_MAX,
        b'B' | b'F' => BIND_BYTES_MAX,
        b'D' | b'E' | b'C' | b'f' | b'S' | b'H' | b'c' | b'X' => CONTROL_BYTES_MAX,
        _ => 0,
    }
}

impl<G: Gate> Session<G> {
    /// Deals with what the client sent. Returns how many bytes of `input` are dealt with; call again with the rest
    /// and what follows it, when more came or an event changed something.
    pub fn on_client(&mut self, input: &[u8], cx: &mut Cx<'_>) -> usize {
        let mut used = 0;
        while self.ended.is_none() {
            let rest = input.get(used..).unwrap_or_default();
            if self.client_pass > 0 || self.client_drop > 0 {
                if rest.is_empty() {
                    break;
                }
                used += self.continue_frame(rest, cx);
                continue;
            }
            match frame::scan(rest) {
                Scan::Incomplete => break,
                Scan::Malformed(length) => {
                    self.protocol_violation(&format!("a message of {length} bytes"), cx);
                }
                Scan::Frame(header) => match self.client_frame(header, rest, cx) {
                    Some(taken) => used += taken,
                    None => break,
                },
            }
        }
        used
    }

    /// Passes on, or drops, more of a frame whose header was dealt with.
    fn continue_frame(&mut self, rest: &[u8], cx: &mut Cx<'_>) -> usize {
        if self.client_drop > 0 {
            let count = rest.len().min(self.client_drop);
            self.client_drop -= count;
            return count;
        }
        let count = rest.len().min(self.client_pass);
        self.client_pass -= count;
        cx.out.control().extend_from_slice(rest.get(..count).unwrap_or_default());
        count
    }

    /// One frame, or the start of one that is passed on in pieces. `None`: wait.
    fn client_frame(&mut self, header: Header, rest: &[u8], cx: &mut Cx<'_>) -> Option<usize> {
        let Header { tag, total } = header;
        if self.skipping && !matches!(tag, b'S' | b'X') {
            // The server would ignore it up to Sync; here it does not even get there.
            self.client_drop = total;
            self.throttle.next();
            return Some(0);
        }
        // What is there already takes no more room.
        let fits = total <= client_message_bytes_max(tag)
            && (total <= self.message_room || rest.len() >= total);
        match tag {
            b'd' => return self.copy_data(total, cx),
            b'Q' | b'P' | b'B' | b'F' if !fits => return self.oversize(header, cx),
            b'Q' | b'P' | b'B' | b'F' => {}
            b'D' | b'E' | b'C' | b'f' | b'S' | b'H' | b'c' | b'X' if fits => {}
            b'D' | b'E' | b'C' | b'f' | b'S' | b'H' | b'c' | b'X' => {
                self.protocol_violation("an oversized control message", cx);
                return None;
            }
            // Said at its header: nothing of what nobody knows is waited for.
            other => {
                self.protocol_violation(&format!("message type 0x{other:02x}"), cx);
                return None;
            }
        }
        if self.copy_in == CopyIn::Running && !matches!(tag, b'c' | b'f' | b'S' | b'H') {
            self.not_copied(tag, cx);
            return None;
        }
        if self.holds_back(tag) {
            self.flush(cx);
            return None;
        }
        let whole = rest.get(..total)?;
        if self.throttle.counts(tag)
            && let Some(waits) = self.throttled(header, cx)
        {
            return waits;
        }
        if !matches!(tag, b'X' | b'c' | b'f') && self.lacks_connection(cx) {
            return self.answered_alone(tag, whole, cx).then_some(total);
        }
        if self.pending.len() >= PENDING_MAX {
            self.flush(cx);
            return None;
        }
        let step = self.client_message(tag, whole, cx);
        if step == Step::Taken {
            self.looked.clear();
            self.throttle.next();
        }
        (step == Step::Taken).then_some(total)
    }

    /// A whole message of a type that is known.
    fn client_message(&mut self, tag: u8, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        match tag {
            b'Q' => self.client_query(frame::body(whole), cx),
            b'P' => self.client_parse(whole, cx),
            b'B' => self.client_bind(whole, cx),
            b'E' => self.client_execute(whole, cx),
            b'D' => self.client_describe(whole, cx),
            b'C' => self.client_close(whole, cx),
            b'S' => self.client_sync(cx),
            b'H' => self.client_flush(cx),
            b'F' => self.client_function_call(whole, cx),
            b'c' | b'f' => self.client_copy_end(whole, cx),
            // What was sent before goodbye is still run, and its outcome recorded.
            b'X' if self.drained(cx) => {
                self.end(EndReason::Terminated, cx);
                Step::Taken
            }
            // `X`, before what was sent ahead of it is answered: all other types were told apart above.
            _ => Step::Wait,
        }
    }

    /// COPY data goes on as it comes: the COPY itself was decided.
    fn copy_data(&mut self, total: usize, cx: &mut Cx<'_>) -> Option<usize> {
        match self.copy_in {
            CopyIn::Running => self.client_pass = total,
            // Not asked for yet: the answer to what is on its way decides.
            CopyIn::No if self.copy_may_come() => {
                self.flush(cx);
                return None;
            }
            // The server ignores it outside a COPY.
            CopyIn::No => self.client_drop = total,
        }
        Some(0)
    }

    /// What has no place inside of a COPY from the client. The server waits for data: nothing that waits for the server
    /// would ever be answered.
    fn not_copied(&mut self, tag: u8, cx: &mut Cx<'_>) {
        match tag {
            b'X' => self.end(EndReason::Terminated, cx),
            _ => self.protocol_violation("a message in the middle of COPY that is none of it", cx),
        }
    }

    /// Whether a statement is on its way, and so may ask for data or send rows.
    pub(crate) fn copy_may_come(&self) -> bool {
        let runs =
            |p: &Pending| matches!(p, Pending::Query(_) | Pending::Execute(_) | Pending::Wrap(_));
        self.pending.iter().any(runs)
    }

    fn client_copy_end(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        match self.copy_in {
            CopyIn::Running => {
                // What answers the COPY answers this.
                cx.out.control().extend_from_slice(whole);
                self.copy_in = CopyIn::No;
                self.flushed = false;
                Step::Taken
            }
            CopyIn::No if self.copy_may_come() => {
                self.flush(cx);
                Step::Wait
            }
            CopyIn::No => Step::Taken,
        }
    }

    /// A message that is not read at all, because of its size: refused in its place (E1), the rest dropped.
    fn oversize(&mut self, header: Header, cx: &mut Cx<'_>) -> Option<usize> {
        let limit = client_message_bytes_max(header.tag);
        let total = header.total;
        let ruling = if total > limit {
            self.gate.refuse(
                sqlstate::TOO_LARGE,
                &format!("a message of {total} bytes is over the limit of {limit}"),
                "split the statement, or load the data with COPY",
            )
        } else {
            self.gate.refuse(
                NO_MEMORY,
                &format!("there is no room for a message of {total} bytes: the buffers of this edge's sessions have all that they may"),
                "try again in a moment, split the statement, or load the data with COPY",
            )
        };
        self.refuse_frame(header, &ruling, cx)
    }

    /// Refuses a message in its place without another look at it.
    pub(crate) fn refuse_frame(
        &mut self,
        header: Header,
        ruling: &Arc<Ruling>,
        cx: &mut Cx<'_>,
    ) -> Option<usize> {
        let (simple, protocol) = match header.tag {
            b'Q' | b'F' => (true, ProtocolKind::Simple),
            b'E' => (false, ProtocolKind::Execute),
            _ => (false, ProtocolKind::Parse),
        };
        if self.lacks_connection(cx) {
            let answered = self.answered_alone(header.tag, b"", cx);
            self.client_drop = if answered { header.total } else { 0 };
            return answered.then_some(0);
        }
        if simple && !self.drained(cx) {
            return None;
        }
        match self.admit(ruling, protocol, None, cx) {
            Admit::Refuse(run) if header.tag == b'F' => self.send_refused_call(run, cx),
            Admit::Refuse(run) if simple => self.send_refused_query(run, cx),
            Admit::Refuse(run) => self.send_refused_series(run, cx),
            Admit::Go(..) | Admit::Wait => return None,
        }
        self.throttle.next();
        self.client_drop = header.total;
        Some(0)
    }

    /// Whether everything forwarded is answered; a simple query starts only then.
    pub(crate) fn drained(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.pending.is_empty() {
            return true;
        }
        self.flush(cx);
        false
    }

    fn client_query(&mut self, body: &[u8], cx: &mut Cx<'_>) -> Step {
        if !self.drained(cx) {
            return Step::Wait;
        }
        let Some(text) = frame::query_text(body) else {
            self.protocol_violation("a Query that is not one text", cx);
            return Step::Wait;
        };
        if self.ready_to_rule(Some(text), cx) == Ready::Wait {
            return Step::Wait;
        }
        let Some(ruling) = self.rule(text, cx) else { return Step::Wait };
        let limits = &ruling.decision.limits;
        let metered = self.is_metered(&ruling.facts, limits, None);
        let ruling = match metered.then(|| self.unwrappable(&ruling)).flatten() {
            // Nobody else's statement of the name can be closed inside of the count.
            None if metered && ruling.facts.names_statements() && !self.backend_is_own() => {
                let what =
                    "PREPARE and DEALLOCATE with limits cannot be counted in shared connections";
                self.gate.refuse(sqlstate::REFUSED, what, "prepare it by the driver's own means")
            }
            Some((what, next)) => self.gate.refuse(sqlstate::REFUSED, what, next),
            None => ruling,
        };
        match self.admit(&ruling, ProtocolKind::Simple, None, cx) {
            Admit::Wait => Step::Wait,
            Admit::Refuse(run) => {
                self.send_refused_query(run, cx);
                Step::Taken
            }
            Admit::Go(permit, run) => {
                if metered {
                    self.start_meter(&run, None, cx);
                    if self.needs_wrap(&ruling.facts) {
                        self.begin_wrap(permit, run, cx);
                        return Step::Taken;
                    }
                }
                self.vacate_for(&ruling.facts, cx);
                self.note_unnamed_dropped();
                write::query(ruling.sent(), cx.out.statement(permit));
                self.note_effects(&ruling);
                self.push_query(run);
                Step::Taken
            }
        }
    }

    /// Why a query with limits cannot be sent as it is.
    fn unwrappable(&self, ruling: &Ruling) -> Option<(&'static str, &'static str)> {
        let limits = &ruling.decision.limits;
        if let Some(why) = self.unboundable(&ruling.facts, limits, 0) {
            return Some(why);
        }
        (self.series_open && self.needs_wrap(&ruling.facts)).then_some((
            "rows that a statement changes cannot be counted in the middle of a series of the extended protocol",
            "send Sync first",
        ))
    }

    pub(crate) fn send_refused_query(&mut self, run: Running, cx: &mut Cx<'_>) {
        self.note_unnamed_dropped();
        write::query(write::REFUSED_TEXT, cx.out.control());
        self.push_query(run);
    }

    /// Decides a text under the newest configuration, with the SQL-level prepared statements that it executes.
    pub(crate) fn rule(&mut self, text: &[u8], cx: &mut Cx<'_>) -> Option<Arc<Ruling>> {
        if !self.fresh(cx) {
            return None;
        }
        if !self.utf8 && !text.is_ascii() {
            return Some(self.gate.refuse(
                sqlstate::REFUSED,
                "a text that is not ASCII cannot be understood in this client_encoding",
                "SET client_encoding = 'UTF8' and send it again",
            ));
        }
        let ruling = self.rule_text(text, cx)?;
        if self.uncertain_order(&ruling) {
            return Some(self.gate.refuse(
                sqlstate::REFUSED,
                "the text ends a transaction that changed what names mean, and uses names",
                "send the COMMIT or ROLLBACK by itself, then the rest",
            ));
        }
        if let Some(refused) = self.fetches_bound(&ruling.facts) {
            return if self.awaits_end_of_portals(0, cx) { None } else { Some(refused) };
        }
        if self.asks_of_another(&ruling.facts) {
            return Some(self.gate.refuse(
                sqlstate::REFUSED,
                "sessions share connections here, and the last number of a sequence may be another session's",
                "use RETURNING, or ask in the transaction that took the number",
            ));
        }
        self.with_executed(ruling, cx)
    }

    /// The ruling on a text that was decided before, under the newest configuration.
    pub(crate) fn rule_again(&mut self, text: &[u8], cx: &mut Cx<'_>) -> Option<Arc<Ruling>> {
        let ruling = self.rule_text(text, cx)?;
        self.with_executed(ruling, cx)
    }

    /// The ruling on a text together with the prepared statements that it executes, as they are now.
    fn with_executed(&mut self, ruling: Arc<Ruling>, cx: &mut Cx<'_>) -> Option<Arc<Ruling>> {
        if ruling.facts.executes.is_empty() {
            return Some(ruling);
        }
        let mut prepared = Vec::new();
        for name in &ruling.facts.executes {
            prepared.extend(self.executed_rulings(name.as_bytes(), cx)?);
        }
        Some(self.gate.rule_execute(&ruling, &prepared, cx.now))
    }

    /// Takes the newest configuration. Ends the session where the principal is gone.
    pub(crate) fn fresh(&mut self, cx: &mut Cx<'_>) -> bool {
        match self.gate.refresh(cx.now) {
            Ok(()) => {
                let counting = self.gate.counts_usage();
                if counting && !self.counting {
                    self.bytes_charged = self.bytes_to_client;
                }
                self.counting = counting;
                true
            }
            Err(reason) => {
                self.end_with(sqlstate::AUTHENTICATION, &reason, EndReason::Revoked, cx);
                false
            }
        }
    }

    /// E2: in one text, a statement that undoes what earlier texts set or defined, and others that use names. What
    /// the text itself sets and defines, the analysis follows.
    fn uncertain_order(&self, ruling: &Ruling) -> bool {
        let facts = &ruling.facts;
        let uses_names = !facts.reads.is_empty()
            || !facts.writes.is_empty()
            // The server plans it again, with the names of then.
            || !facts.executes.is_empty()
            || self.uses_unlisted(facts);
        let Staleness { names, names_in_transaction, catalog, catalog_in_transaction, .. } =
            self.stale;
        facts.statements > 1
            && uses_names
            && facts.session.contains(&SessionEffect::TransactionEnd)
            && (names || names_in_transaction || catalog || catalog_in_transaction)
    }

    /// E1, E3: whether a text may use what is in no list of what is read and written: the session's temporary relations,
    /// behind whose names others stand once they are gone, and what the text makes itself.
    fn uses_unlisted(&self, facts: &StatementFacts) -> bool {
        use StatementKind as K;
        let uses_none =
            |k: &K| matches!(k, K::Transaction | K::Set | K::Discard | K::Notify | K::Empty);
        let defined = self.stale.catalog || self.stale.catalog_in_transaction;
        (defined && facts.kinds.iter().any(|kind| kind.changes()))
            || (self.has_temporary_relations() && !facts.kinds.iter().all(uses_none))
    }

    /// What `EXECUTE name` may run: every statement that this session ever prepared under the name, because whether a
    /// PREPARE or DEALLOCATE worked is not followed.
    fn executed_rulings(
        &mut self,
        name: &[u8],
        cx: &mut Cx<'_>,
    ) -> Option<Vec<Option<Arc<Ruling>>>> {
        let mut known: Vec<_> = self.prepared_by_sql.get(name).cloned().unwrap_or_default();
        known.extend(self.statements.get(name).map(|p| Arc::clone(&p.ruling)));
        if self.backend_has_other(name) || known.is_empty() || known.len() > SQL_PREPARED_MAX {
            return Some(vec![None]);
        }
        known.iter().map(|ruling| self.still_valid(ruling, cx)).collect()
    }

    /// The ruling on the same text under the newest configuration; `None` inside where other bytes would be sent now
    /// than the server has, `None` where it is not known yet.
    fn still_valid(
        &mut self,
        before: &Arc<Ruling>,
        cx: &mut Cx<'_>,
    ) -> Option<Option<Arc<Ruling>>> {
        let fresh = self.rule_text(&before.text, cx)?;
        Some((fresh.sent() == before.sent()).then_some(fresh))
    }

    /// What a statement that is on its way now may change in the session.
    pub(crate) fn note_effects(&mut self, ruling: &Arc<Ruling>) {
        let facts = &ruling.facts;
        self.note_pin(facts);
        // Whatever is not known may change anything (E2).
        let unknown = !facts.opaque.is_empty();
        if unknown || facts.session.contains(&SessionEffect::Names) {
            self.stale.names = true;
            self.stale.names_in_transaction = true;
        }
        if unknown || facts.session.contains(&SessionEffect::Definitions) {
            self.stale.catalog = true;
            self.stale.catalog_in_transaction = true;
            // What runs behind temporary relations comes with the names.
            self.stale.names |= self.has_temporary_relations();
            self.stale.names_in_transaction |= self.has_temporary_relations();
        }
        if facts.session.contains(&SessionEffect::TransactionEnd) {
            self.note_transaction_may_end();
        }
        self.note_screened(ruling);
        for cursor in &facts.cursors {
            if let CursorUse::Declare { name, hold } = cursor {
                self.open_cursor(name.as_bytes(), &ruling.decision.limits, *hold);
            }
        }
        for name in &facts.prepares {
            let known = self.prepared_by_sql.entry(name.as_bytes().into()).or_default();
            if known.len() <= SQL_PREPARED_MAX {
                known.push(Arc::clone(ruling));
            }
        }
        if facts.kinds.contains(&StatementKind::Cursor)
            || facts.kinds.contains(&StatementKind::Discard)
        {
            // A cursor can take a portal's name: what Execute would run under it is not known any more (E2).
            self.portals.retain(<[u8]>::is_empty);
        }
    }

    /// Changes of names and definitions in this transaction may be undone.
    pub(crate) fn note_transaction_may_end(&mut self) {
        self.stale.names |= self.stale.names_in_transaction;
        self.stale.catalog |= self.stale.catalog_in_transaction;
    }

    fn client_sync(&mut self, cx: &mut Cx<'_>) -> Step {
        if self.copy_in == CopyIn::Running {
            // The server ignores it. It does not get there: where the COPY has just failed it would be answered, and nobody
            // could tell whether that is still to come.
            return Step::Taken;
        }
        write::bare(b'S', cx.out.control());
        self.flushed = true;
        self.pending.push_back(Pending::Sync);
        self.series_open = false;
        self.skipping = false;
        Step::Taken
    }

    fn client_flush(&mut self, cx: &mut Cx<'_>) -> Step {
        write::bare(b'H', cx.out.control());
        self.flushed = true;
        Step::Taken
    }

    pub(crate) fn forward(&mut self, permit: Permit, whole: &[u8], cx: &mut Cx<'_>) {
        cx.out.statement(permit).extend_from_slice(whole);
        self.in_series();
    }

    /// A Query or FunctionCall was forwarded, which ends the series before it. What comes behind it begins another one, before
    /// it is answered.
    pub(crate) fn push_query(&mut self, run: Running) {
        self.pending.push_back(Pending::Query(run));
        (self.series_open, self.flushed) = (false, true);
    }

    /// A message of the extended protocol was forwarded.
    pub(crate) fn in_series(&mut self) {
        self.series_open = true;
        self.flushed = false;
    }
}
