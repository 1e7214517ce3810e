//! FunctionCall: a call by object id, as libpq makes for large objects. It is decided as the SELECT that does the same
//! (E1), and goes on as it came.

use std::sync::Arc;

use writ_audit::ProtocolKind;
use writ_model::Verdict;
use writ_model::sqlstate;

use super::admit::Admit;
use super::client::Step;
use super::probe::Ready;
use super::running::Running;
use super::{Cx, Session};
use crate::frame;
use crate::gate::{Gate, Ruling};
use crate::write;

impl<G: Gate> Session<G> {
    pub(crate) fn client_function_call(&mut self, whole: &[u8], cx: &mut Cx<'_>) -> Step {
        if !self.drained(cx) || self.ready_to_rule(None, cx) == Ready::Wait || !self.fresh(cx) {
            return Step::Wait;
        }
        let Some(call) = frame::function_call(frame::body(whole)) else {
            self.protocol_violation("a malformed FunctionCall message", cx);
            return Step::Wait;
        };
        let text = self.gate.function_call_text(call.oid, call.arguments);
        let ruling = match text {
            Some(text) => match self.rule(text.as_bytes(), cx) {
                // Ruling takes the newest catalog, in which the function may have another name.
                Some(_) if self.gate.function_call_text(call.oid, call.arguments) != Some(text) => {
                    self.only_by_select("the function was renamed meanwhile")
                }
                Some(ruling) => self.as_call(ruling),
                None => return Step::Wait,
            },
            None => {
                self.only_by_select("the function that is called by its object id is not known")
            }
        };
        match self.admit(&ruling, ProtocolKind::FunctionCall, Some(&call.tail), cx) {
            Admit::Wait => Step::Wait,
            Admit::Refuse(run) => {
                self.send_refused_call(run, cx);
                Step::Taken
            }
            Admit::Go(permit, run) => {
                cx.out.statement(permit).extend_from_slice(whole);
                self.note_effects(&ruling);
                self.push_query(run);
                Step::Taken
            }
        }
    }

    pub(crate) fn send_refused_call(&mut self, run: Running, cx: &mut Cx<'_>) {
        write::refused_call(cx.out.control());
        self.push_query(run);
    }

    /// What a SELECT would need beyond going on as it is, a call by object id cannot have (E2).
    fn as_call(&mut self, ruling: Arc<Ruling>) -> Arc<Ruling> {
        let decision = &ruling.decision;
        if matches!(decision.verdict, Verdict::Deny(_)) {
            return ruling;
        }
        let what = if ruling.rewritten.is_some() || ruling.screen.is_some() {
            "what a call by object id returns cannot be masked"
        } else if self.is_metered(&ruling.facts, &decision.limits, None) {
            "what a call by object id returns cannot be counted"
        } else {
            return ruling;
        };
        self.only_by_select(what)
    }

    fn only_by_select(&mut self, what: &str) -> Arc<Ruling> {
        self.gate.refuse(sqlstate::REFUSED, what, "call the function with SELECT")
    }
}
