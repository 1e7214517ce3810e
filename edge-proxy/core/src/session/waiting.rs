//! A message that waits for a connection that sessions share, and gets none: its client cancels it or goes away, or the
//! session ends. It is answered without the server, as the server would answer it, and its record says that it did not run.

use std::sync::Arc;

use bytes::BufMut;
use writ_audit::ProtocolKind;
use writ_model::sqlstate::SqlState;

use super::admit::{Admission, Admit};
use super::lease::Lease;
use super::{Cx, Session};
use crate::frame::{self, Scan};
use crate::gate::{Gate, Ruling};
use crate::outbox::Effect;
use crate::write::{self, Message};

/// query_canceled.
const CANCELLED: SqlState = SqlState("57014");

impl Lease {
    /// What waits for a connection is answered with `code` in place of its answer.
    pub(crate) fn call_off(&mut self, code: SqlState) {
        if let Self::None { asked: true, instead } = self {
            *instead = Some(code);
        }
    }

    /// Nothing waits for a connection any more. Returns whether one was asked for.
    fn stop_asking(&mut self) -> bool {
        match self {
            Self::None { asked, .. } => std::mem::take(asked),
            Self::Own | Self::Shared { .. } => false,
        }
    }
}

impl<G: Gate> Session<G> {
    /// Calls off what waits for a connection. Returns whether something did.
    pub(crate) fn cancel_waiting(&mut self) -> bool {
        let held = matches!(self.admission, Some(Admission::Held(_)));
        match &mut self.lease {
            Lease::None { asked, instead } if *asked || held => {
                *instead = Some(CANCELLED);
                true
            }
            _ => false,
        }
    }

    /// The session ends with what waited for approvers: that has its record, and nothing else waits.
    pub(crate) fn end_waiting_with_admission(&mut self) {
        if self.admission.is_some() {
            let _ = self.lease.stop_asking();
        }
    }

    /// Answers the message at the front of the client's buffer where it was called off, in a session without a
    /// connection. `whole` is empty where it is not read. Returns whether it is dealt with.
    pub(crate) fn answered_alone(&mut self, tag: u8, whole: &[u8], cx: &mut Cx<'_>) -> bool {
        if self.skipping {
            // What was ignored up to this Sync never went to a server.
            self.skipping = false;
            self.say_ready(cx);
            return true;
        }
        let Lease::None { instead, .. } = &mut self.lease else { return false };
        let Some(code) = instead.take() else { return false };
        if self.lease.stop_asking() {
            cx.out.effects.push(Effect::StopAcquiring);
        }
        let held = self.abandon_admission("cancelled by the client", cx);
        let told = held.or_else(|| self.record_unrun(tag, whole, code, cx));
        if let Some(message) = told {
            let before = cx.out.to_client.len();
            message.put(b'E', &mut cx.out.to_client);
            self.bytes_to_client += (cx.out.to_client.len() - before) as u64;
            self.skipping = !matches!(tag, b'Q' | b'F');
        }
        match tag {
            b'Q' => self.note_unnamed_dropped(),
            b'P' => self.forget_unnamed(whole),
            _ => {}
        }
        if matches!(tag, b'Q' | b'F' | b'S') {
            self.say_ready(cx);
        }
        self.looked.clear();
        self.throttle.next();
        true
    }

    /// As the server has it, a Parse drops the unnamed statement before it can fail.
    fn forget_unnamed(&mut self, whole: &[u8]) {
        if frame::parse(frame::body(whole)).is_some_and(|parts| parts.name.is_empty()) {
            self.statements.remove(b"");
        }
    }

    fn say_ready(&mut self, cx: &mut Cx<'_>) {
        let before = cx.out.to_client.len();
        write::framed(b'Z', &mut cx.out.to_client, |out| out.put_u8(b'I'));
        self.bytes_to_client += (cx.out.to_client.len() - before) as u64;
    }

    /// The session is over: what waited for a connection has its record too. `input` is what the client sent and nobody has
    /// dealt with.
    pub fn note_unrun(&mut self, input: &[u8], cx: &mut Cx<'_>) {
        let Lease::None { asked: true, instead: Some(code) } = self.lease else { return };
        let _ = self.lease.stop_asking();
        if self.ended.is_none() {
            return;
        }
        if let Scan::Frame(header) = frame::scan(input) {
            let whole = input.get(..header.total).unwrap_or_default();
            let _ = self.record_unrun(header.tag, whole, code, cx);
        }
    }

    /// Records that a statement did not run, and returns what its client is told. `None`: the message is no part of one.
    fn record_unrun(
        &mut self,
        tag: u8,
        whole: &[u8],
        code: SqlState,
        cx: &mut Cx<'_>,
    ) -> Option<Message> {
        let body = frame::body(whole);
        let mut rule = |text: &[u8]| self.gate.rule(text, cx.now);
        let (ruling, protocol, bind) = match tag {
            b'Q' => (frame::query_text(body).map(&mut rule), ProtocolKind::Simple, None),
            b'P' => {
                let parts = frame::parse(body);
                (parts.map(|parts| rule(parts.text)), ProtocolKind::Parse, None)
            }
            b'B' => {
                let parts = frame::bind(body);
                let bound = parts.as_ref().and_then(|parts| self.statements.get(parts.statement));
                let ruling = bound.map(|prepared| Arc::clone(&prepared.ruling));
                (ruling, ProtocolKind::Execute, parts.map(|parts| parts.tail))
            }
            b'E' => (None, ProtocolKind::Execute, None),
            b'F' => (None, ProtocolKind::FunctionCall, None),
            b'C' | b'D' => return Some(not_run(code)),
            _ => return None,
        };
        let message = not_run(code);
        let ruling: Arc<Ruling> =
            ruling.unwrap_or_else(|| self.gate.refuse(code, &message.message, &message.hint));
        let number = self.next_number();
        let told = message.clone();
        let admit = self.withhold(number, &ruling, protocol, bind, None, told, cx);
        if let Admit::Refuse(run) = admit {
            self.finish(&run, true, cx);
        }
        Some(message)
    }
}

fn not_run(code: SqlState) -> Message {
    let what = match code {
        CANCELLED => "cancelled by the client while it waited for a connection to the database",
        _ => "the session ended while the statement waited for a connection to the database",
    };
    Message::error(code, what, "nothing was run; send it again")
}
