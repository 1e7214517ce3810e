//! The extended protocol: a text is decided at Parse, looked at again at Bind where the configuration changed since,
//! and admitted at each Execute.

use std::sync::Arc;

use writ_audit::ProtocolKind;
use writ_model::facts::CursorUse;
use writ_model::sqlstate;
use writ_model::{StatementFacts, Verdict};

use super::admit::{AS_THE_SERVER, Admit};
use super::client::Step;
use super::pending::{Pending, Undo};
use super::probe::Ready;
use super::running::Running;
use super::{Cx, PORTAL_NAME_BYTES, PREPARED_MAX, Portal, Prepared, Session};
use crate::frame;
use crate::gate::{Gate, Permit, Ruling};
use crate::write;

/// The name under which the server is made to refuse: never one that a statement is kept under.
pub(crate) const REFUSED_NAME: &[u8] = b"writ_refused";

/// A portal's name as the server tells it from others.
pub(crate) fn portal_name(name: &[u8]) -> &[u8] {
    name.get(..PORTAL_NAME_BYTES).unwrap_or(name)
}

/// A portal, and the ruling that holds for it now.
type Executed = (Portal, Arc<Ruling>);

impl<G: Gate> Session<G> {
    /// E1: FETCH would run a portal that Bind made, past the admission that its Execute has to have.
    pub(crate) fn fetches_bound(&mut self, facts: &StatementFacts) -> Option<Arc<Ruling>> {
        let bound = |cursor: &CursorUse| match cursor {
            CursorUse::Fetch(name) => self.bound.contains(portal_name(name.as_bytes())),
            _ => false,
        };
        if !facts.cursors.iter().any(bound) {
            return None;
        }
        Some(self.gate.refuse(
            sqlstate::REFUSED,
            "FETCH and MOVE of a portal that was made by Bind are not decided on",
            "use Execute for it, or DECLARE a cursor",
        ))
    }

    pub(crate) fn client_parse(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        let Some(parts) = frame::parse(frame::body(whole)) else {
            return self.malformed("Parse", cx);
        };
        let unsettled = !parts.name.is_empty() && self.shares_unsettled(parts.name);
        if unsettled || self.awaits_deallocate(parts.name, cx) {
            return Step::Wait;
        }
        if self.ready_to_rule(Some(parts.text), cx) == Ready::Wait {
            return Step::Wait;
        }
        let Some(ruling) = self.rule(parts.text, cx) else { return Step::Wait };
        if matches!(ruling.decision.verdict, Verdict::Deny(_)) {
            return self.refuse_series(&ruling, ProtocolKind::Parse, cx);
        }
        if self.statements.len() >= PREPARED_MAX {
            let ruling = self.too_many("prepared statements");
            return self.refuse_series(&ruling, ProtocolKind::Parse, cx);
        }
        let prepared = Prepared { ruling, types: parts.types.into(), stamp: self.gate.stamp() };
        if let Some(step) = self.parse_shared(parts.name, &prepared, cx) {
            return step;
        }
        // A held statement may be prepared: nothing of it runs before its Execute.
        let permit = Permit::grant();
        match &prepared.ruling.rewritten {
            None => self.forward(permit, whole, cx),
            Some(text) => {
                write::parse(parts.name, text, parts.types, cx.out.statement(permit));
                self.in_series();
            }
        }
        let undo = self.set_statement(parts.name, Some(prepared));
        self.pending.push_back(Pending::Parse(undo, None));
        Step::Taken
    }

    pub(crate) fn client_bind(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        let Some(parts) = frame::bind(frame::body(whole)) else {
            return self.malformed("Bind", cx);
        };
        if self.statement_unsettled(parts.statement) || self.awaits_deallocate(parts.statement, cx)
        {
            return Step::Wait;
        }
        if self.ready_to_bind(parts.statement, cx) == Ready::Wait || !self.fresh(cx) {
            return Step::Wait;
        }
        let known = self.statements.get(parts.statement).cloned();
        let Some(prepared) = known.filter(|_| !self.prepared_by_sql.contains_key(parts.statement))
        else {
            let ruling = self.unknown_statement(parts.statement);
            return self.refuse_series(&ruling, ProtocolKind::Parse, cx);
        };
        let ruling = match self.renewed(parts.statement, prepared, cx) {
            None => return Step::Wait,
            Some(Ok(ruling)) => ruling,
            Some(Err(refused)) => return self.refuse_series(&refused, ProtocolKind::Parse, cx),
        };
        if self.portals.len() >= PREPARED_MAX {
            let ruling = self.too_many("portals");
            return self.refuse_series(&ruling, ProtocolKind::Parse, cx);
        }
        // The server plans now, which may run functions.
        self.note_pin(&ruling.facts);
        self.forward(Permit::grant(), whole, cx);
        if !parts.portal.is_empty() {
            self.bound.insert(portal_name(parts.portal).into());
        }
        let portal =
            Portal { ruling, stamp: self.gate.stamp(), bind: parts.tail.into(), granted: false };
        if parts.portal.is_empty() {
            // The unnamed portal gives way to the new one, whatever becomes of that.
            self.forget_cursor(parts.portal);
        }
        self.open_cursor(parts.portal, &portal.ruling.decision.limits, false);
        let undo = self.set_portal(parts.portal, Some(portal));
        self.pending.push_back(Pending::Bind(undo));
        Step::Taken
    }

    /// The ruling on a prepared statement under the newest configuration. Where other bytes must go now than the
    /// server has, it is prepared anew before the Bind. `Err`: it may not run any more. `None`: not known yet.
    fn renewed(
        &mut self,
        name: &[u8],
        prepared: Prepared,
        cx: &mut Cx<'_>,
    ) -> Option<Result<Arc<Ruling>, Arc<Ruling>>> {
        let stamp = self.gate.stamp();
        // E1: what a name that is executed stands for may have changed since, whatever the configuration says.
        if prepared.stamp == stamp && prepared.ruling.facts.executes.is_empty() {
            if !self.backend_has(name, &prepared) {
                self.prepare_again(name, &prepared, Undo::Nothing, cx);
            }
            return Some(Ok(prepared.ruling));
        }
        let fresh = self.rule_again(&prepared.ruling.text, cx)?;
        if matches!(fresh.decision.verdict, Verdict::Deny(_)) {
            return Some(Err(fresh));
        }
        let lacks = fresh.sent() != prepared.ruling.sent();
        let renewed = Prepared { ruling: Arc::clone(&fresh), stamp, ..prepared };
        let lacks = lacks || !self.backend_has(name, &renewed);
        let undo = self.set_statement(name, Some(renewed.clone()));
        if lacks {
            self.prepare_again(name, &renewed, undo, cx);
        }
        Some(Ok(fresh))
    }

    pub(crate) fn client_execute(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        let Some((name, row_limit)) = frame::execute(frame::body(whole)) else {
            return self.malformed("Execute", cx);
        };
        let (portal, ruling) = match self.executed(name, cx) {
            None => return Step::Wait,
            Some(Err(refused)) => {
                return self.refuse_series(&refused, ProtocolKind::Execute, cx);
            }
            Some(Ok(executed)) => executed,
        };
        let limits = &ruling.decision.limits;
        let metered = self.is_metered(&ruling.facts, limits, Some(name));
        if metered && let Some((what, next)) = self.unboundable(&ruling.facts, limits, row_limit) {
            let ruling = self.gate.refuse(sqlstate::REFUSED, what, next);
            return self.refuse_series(&ruling, ProtocolKind::Execute, cx);
        }
        // Rows that are counted must not come among those of others.
        let counts = metered && self.copy_may_come();
        if counts || self.names_unsettled(&ruling.facts, cx) {
            self.flush(cx);
            return Step::Wait;
        }
        let admit = if portal.granted {
            self.admit_continuation(&ruling, &portal.bind, cx)
        } else {
            self.admit(&ruling, ProtocolKind::Execute, Some(&portal.bind), cx)
        };
        match admit {
            Admit::Wait => Step::Wait,
            Admit::Refuse(run) => {
                self.send_refused_series(run, cx);
                Step::Taken
            }
            Admit::Go(permit, mut run) => {
                run.row_limit = u32::try_from(row_limit).unwrap_or(0);
                if metered {
                    self.start_meter(&run, Some(name), cx);
                }
                if let Some(portal) = self.portals.get_mut(name) {
                    portal.granted = matches!(ruling.decision.verdict, Verdict::Hold(_));
                }
                self.describe_screened(name, &ruling, cx);
                self.vacate_for(&ruling.facts, cx);
                self.forward(permit, whole, cx);
                self.note_effects(&ruling);
                self.pending.push_back(Pending::Execute(run));
                Step::Taken
            }
        }
    }

    /// What an Execute is of. `Err`: it may not run. `None`: not known yet.
    fn executed(&mut self, name: &[u8], cx: &mut Cx<'_>) -> Option<Result<Executed, Arc<Ruling>>> {
        if self.portal_unsettled(name, cx) || !self.fresh(cx) {
            return None;
        }
        let Some(portal) = self.portals.get(name).cloned() else {
            return Some(Err(self.gate.refuse(
                sqlstate::UNKNOWN_PORTAL,
                "there is no portal of this name that was made by Bind",
                "use FETCH for a cursor, or bind again",
            )));
        };
        let Some(ruling) = self.portal_ruling(&portal, cx)? else {
            return Some(Err(self.gate.refuse(
                sqlstate::REFUSED,
                "the configuration changed between Bind and Execute",
                "bind again",
            )));
        };
        match self.fetches_bound(&ruling.facts) {
            Some(_) if self.awaits_end_of_portals(0, cx) => None,
            Some(refused) => Some(Err(refused)),
            None => Some(Ok((portal, ruling))),
        }
    }

    /// The ruling that holds for a portal now; `None` inside where its bytes are not what would be sent now, `None` where
    /// it is not known yet.
    fn portal_ruling(&mut self, portal: &Portal, cx: &mut Cx<'_>) -> Option<Option<Arc<Ruling>>> {
        if portal.stamp == self.gate.stamp() && portal.ruling.facts.executes.is_empty() {
            return Some(Some(Arc::clone(&portal.ruling)));
        }
        let fresh = self.rule_again(&portal.ruling.text, cx)?;
        let denied = matches!(fresh.decision.verdict, Verdict::Deny(_));
        Some((denied || fresh.sent() == portal.ruling.sent()).then_some(fresh))
    }

    pub(crate) fn client_describe(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        let Some((what, name)) = frame::target(frame::body(whole)) else {
            return self.malformed("Describe", cx);
        };
        if what == b'S' && (self.shares_unsettled(name) || self.awaits_deallocate(name, cx)) {
            return Step::Wait;
        }
        if what == b'S' && !self.backend_is_own() {
            match self.restore(name, cx) {
                None => return Step::Wait,
                Some(Err(refused)) => return self.refuse_series(&refused, ProtocolKind::Parse, cx),
                Some(Ok(())) => {}
            }
        }
        cx.out.control().extend_from_slice(whole);
        self.in_series();
        self.pending.push_back(Pending::Describe);
        Step::Taken
    }

    pub(crate) fn client_close(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        let Some((what, name)) = frame::target(frame::body(whole)) else {
            return self.malformed("Close", cx);
        };
        if what == b'S' && (self.shares_unsettled(name) || self.awaits_deallocate(name, cx)) {
            return Step::Wait;
        }
        cx.out.control().extend_from_slice(whole);
        self.in_series();
        let undo = if what == b'S' {
            self.note_prepared(name, None);
            self.set_statement(name, None)
        } else {
            self.set_portal(name, None)
        };
        self.pending.push_back(Pending::Close(undo));
        Step::Taken
    }

    /// [`Session::ready_to_rule`] for what was prepared under a name.
    fn ready_to_bind(&mut self, name: &[u8], cx: &mut Cx<'_>) -> Ready {
        let ruling = self.statements.get(name).map(|prepared| Arc::clone(&prepared.ruling));
        self.ready_to_rule(ruling.as_ref().map(|ruling| &*ruling.text), cx)
    }

    fn malformed(&mut self, what: &str, cx: &mut Cx<'_>) -> Step {
        self.protocol_violation(&format!("a malformed {what} message"), cx);
        Step::Wait
    }

    fn unknown_statement(&mut self, name: &[u8]) -> Arc<Ruling> {
        if self.prepared_by_sql.contains_key(name) {
            return self.gate.refuse(
                sqlstate::UNKNOWN_STATEMENT,
                "there is no prepared statement of this name that was made by Parse",
                "run it with EXECUTE, or prepare it by Parse under another name",
            );
        }
        // Drivers that prepare again by themselves go by the server's words.
        let words = match name {
            [] => "unnamed prepared statement does not exist".to_owned(),
            name => {
                format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name))
            }
        };
        self.gate.refuse(sqlstate::UNKNOWN_STATEMENT, &words, AS_THE_SERVER)
    }

    /// Makes sure that a shared connection has what the session prepared under `name`, and nobody else's. `Err`: it may
    /// not be prepared any more. `None`: not known yet.
    fn restore(&mut self, name: &[u8], cx: &mut Cx<'_>) -> Option<Result<(), Arc<Ruling>>> {
        let Some(prepared) = self.statements.get(name).cloned() else {
            return Some(Err(self.unknown_statement(name)));
        };
        if self.backend_has(name, &prepared) {
            return Some(Ok(()));
        }
        // E1: what is sent now is decided now, however long ago it was prepared.
        if self.ready_to_bind(name, cx) == Ready::Wait || !self.fresh(cx) {
            return None;
        }
        Some(self.renewed(name, prepared, cx)?.map(drop))
    }

    fn too_many(&mut self, what: &str) -> Arc<Ruling> {
        self.gate.refuse(
            sqlstate::TOO_LARGE,
            &format!("the session has {PREPARED_MAX} {what}"),
            "close those that are not needed",
        )
    }

    pub(crate) fn refuse_series(
        &mut self,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        cx: &mut Cx<'_>,
    ) -> Step {
        if let Admit::Refuse(run) = self.admit(ruling, protocol, None, cx) {
            self.send_refused_series(run, cx);
        }
        Step::Taken
    }

    /// E4: the server refuses in the message's place and ignores the rest up to Sync.
    pub(crate) fn send_refused_series(&mut self, run: Running, cx: &mut Cx<'_>) {
        write::parse(REFUSED_NAME, write::REFUSED_TEXT, &[], cx.out.control());
        self.in_series();
        self.pending.push_back(Pending::Parse(Undo::Nothing, Some(run)));
    }
}
