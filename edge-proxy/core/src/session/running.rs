//! Statements on their way, and the records about them: the intent before the effect, the outcome after it.

use std::sync::Arc;

use writ_audit::{
    BindValueRef, BindValuesRef, Effect as RecordEffect, IntentRef, OutcomeRef, ProtocolKind,
};
use writ_model::sqlstate;
use writ_model::{ApprovalId, SessionId, Timestamp};

use super::{Cx, RECORDED_BIND_BYTES_MAX, Session};
use crate::frame;
use crate::gate::{Gate, Ruling};
use crate::outbox::{EndReason, JournalFull};
use crate::write::Message;

/// One statement whose intent is written and whose outcome is not.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) number: u64,
    pub(crate) started: Timestamp,
    pub(crate) ruling: Arc<Ruling>,
    pub(crate) rows: u64,
    /// The row limit of its Execute; 0: none.
    pub(crate) row_limit: u32,
    pub(crate) sqlstate: Option<String>,
    pub(crate) tag: String,
    /// What the client sees instead of the server's own error.
    pub(crate) refusal: Option<Box<Message>>,
    /// Its intent is written: an outcome is due.
    pub(crate) recorded: bool,
}

impl Running {
    pub(crate) fn note_error(&mut self, sqlstate: &[u8]) {
        if self.sqlstate.is_none() {
            self.sqlstate = Some(String::from_utf8_lossy(sqlstate).into_owned());
        }
    }

    pub(crate) fn note_tag(&mut self, tag: &[u8]) {
        self.rows = self.rows.saturating_add(frame::rows_of_tag(tag));
        self.tag.clear();
        self.tag.push_str(&String::from_utf8_lossy(tag));
    }
}

/// What an intent needs beside the ruling.
pub(crate) struct IntentParts<'a> {
    pub(crate) protocol: ProtocolKind,
    pub(crate) effect: RecordEffect,
    pub(crate) approval: Option<&'a ApprovalId>,
    pub(crate) bind: Option<&'a [u8]>,
}

impl<G: Gate> Session<G> {
    pub(crate) fn statement_id(&self, number: u64) -> String {
        format!("{}-{number}", self.profile.session)
    }

    /// Numbers the next statement.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.statement_count += 1;
        self.statement_count
    }

    /// Writes the intent of statement `number`. Returns the record's number.
    pub(crate) fn write_intent(
        &mut self,
        number: u64,
        ruling: &Ruling,
        parts: &IntentParts<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<u64, JournalFull> {
        let scratch = &mut self.scratch;
        scratch.name(number);
        let binds = scratch.encoded.binds(ruling.redact_binds, parts.bind);
        let intent = IntentRef {
            statement: &scratch.id,
            session: &self.encoded,
            profile: &ruling.profile,
            protocol: parts.protocol,
            effect: parts.effect,
            decided: ruling.decided(),
            epoch: ruling.decision.epoch,
            text: &ruling.text,
            approval: parts.approval,
            binds,
        };
        cx.journal.intent(cx.now, &intent)
    }

    /// Writes the outcome of `run`.
    pub(crate) fn finish(&mut self, run: &Running, cancelled: bool, cx: &mut Cx<'_>) {
        let bytes = self.bytes_to_client.saturating_sub(self.bytes_mark);
        self.bytes_mark = self.bytes_to_client;
        let sqlstate = match &run.refusal {
            Some(refusal) => Some(refusal.code.0),
            None => run.sqlstate.as_deref(),
        };
        let rows = self.rows_of_cut(run.number).unwrap_or(run.rows);
        self.scratch.name(run.number);
        let outcome = OutcomeRef {
            statement: &self.scratch.id,
            sqlstate,
            rows,
            bytes_out: bytes,
            duration_us: u64::try_from(cx.now.0.saturating_sub(run.started.0)).unwrap_or(0),
            cancelled,
            command_tag: &run.tag,
        };
        if run.recorded {
            cx.journal.outcome(cx.now, &outcome);
        }
        if !cancelled && sqlstate.is_none() {
            self.note_deallocated(&run.ruling.facts);
        }
        if self.counting {
            self.charge(cx);
        }
        self.end_meter(run.number);
    }

    /// The session is over: what is still on its way gets an outcome that says so.
    pub(crate) fn finish_abandoned(&mut self, cx: &mut Cx<'_>) {
        // What its client was told, it was told of the statement that ran.
        let put_out =
            matches!(self.ended, Some(EndReason::Killed | EndReason::Revoked | EndReason::Drained));
        while let Some(pending) = self.pending.pop_front() {
            if let Some(mut run) = pending.into_run() {
                if put_out {
                    run.note_error(sqlstate::ADMIN_SHUTDOWN.0.as_bytes());
                }
                self.finish(&run, true, cx);
            }
        }
    }
}

/// Room for what records are made of, used again for each.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Begins with the session's id and a dash, whatever follows.
    id: String,
    prefix_bytes: usize,
    encoded: EncodedBinds,
}

#[derive(Debug, Default)]
struct EncodedBinds(Vec<u8>);

impl Scratch {
    /// For the records of one session.
    pub(crate) fn new(session: &SessionId) -> Self {
        let id = format!("{session}-");
        Self { prefix_bytes: id.len(), id, encoded: EncodedBinds::default() }
    }

    /// The id of the session's statement `number`.
    fn name(&mut self, number: u64) {
        self.id.truncate(self.prefix_bytes);
        self.id.push_str(itoa::Buffer::new().format(number));
    }
}

impl EncodedBinds {
    /// What is recorded of a Bind message's values.
    fn binds(&mut self, redact: bool, bind: Option<&[u8]>) -> BindValuesRef<'_> {
        let Some(tail) = bind else { return BindValuesRef::None };
        if redact || tail.len() > RECORDED_BIND_BYTES_MAX {
            let count = frame::walk_values(tail, |_, _| {}).unwrap_or(0);
            return BindValuesRef::Redacted(count);
        }
        self.0.clear();
        let mut count = 0;
        frame::walk_values(tail, |binary, value| {
            count += 1;
            let value = match value {
                None => BindValueRef::Null,
                Some(bytes) if binary => BindValueRef::Binary(bytes),
                Some(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => BindValueRef::Text(text),
                    Err(_) => BindValueRef::Binary(bytes),
                },
            };
            value.put(&mut self.0);
        });
        BindValuesRef::Clear(count, &self.0)
    }
}
