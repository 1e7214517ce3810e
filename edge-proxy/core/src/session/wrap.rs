//! A transaction of the edge's own around a simple query that stands alone: what it changed can be undone where it was
//! too much. The client sees one statement that commits or fails, as it asked for.

use bytes::BytesMut;

use super::metered::Passage;
use super::pending::Pending;
use super::running::Running;
use super::{Cx, Session};
use crate::frame;
use crate::gate::{Gate, Permit};
use crate::write;

/// How often a ROLLBACK that a cancel request hit is sent again.
const ROLLBACKS_MAX: u32 = 3;

/// How far the edge's own transaction is.
#[derive(Debug)]
pub(crate) enum Wrap {
    /// There is none.
    No,
    /// BEGIN is on its way; the statement goes after it.
    Begin(Permit),
    /// The statement runs. Its last CommandComplete is kept until the transaction is over.
    Inside(BytesMut),
    /// COMMIT is on its way.
    Commit(BytesMut),
    /// ROLLBACK is on its way, for the nth time.
    Rollback(u32),
}

impl Wrap {
    /// Keeps a completion until the transaction is over. Returns whether it did.
    pub(crate) fn hold_back(&mut self, whole: &[u8]) -> bool {
        match self {
            Self::Inside(held) => {
                held.extend_from_slice(whole);
                true
            }
            _ => false,
        }
    }
}

impl<G: Gate> Session<G> {
    /// Begins a transaction for `run`, whose bytes go when it stands.
    pub(crate) fn begin_wrap(&mut self, permit: Permit, run: Running, cx: &mut Cx<'_>) {
        self.note_unnamed_dropped();
        write::query(b"BEGIN", cx.out.control());
        self.set_wrap(Wrap::Begin(permit));
        self.pending.push_back(Pending::Wrap(run));
        (self.series_open, self.flushed) = (false, true);
    }

    fn set_wrap(&mut self, wrap: Wrap) {
        if let Some(meter) = &mut self.meter {
            meter.wrap = wrap;
        }
    }

    fn take_wrap(&mut self) -> Wrap {
        self.meter.as_mut().map_or(Wrap::No, |meter| std::mem::replace(&mut meter.wrap, Wrap::No))
    }

    /// The wrapped statement is answered: its transaction is ended the way it went.
    pub(crate) fn wrap_up(&mut self, body: &[u8], cx: &mut Cx<'_>) -> Passage {
        let held = match self.take_wrap() {
            Wrap::Inside(held) => held,
            other => {
                self.set_wrap(other);
                return Passage::Pass;
            }
        };
        let Some(Pending::Query(run)) = self.pending.pop_front() else { return Passage::Pass };
        let ok = body.first() == Some(&b'T') && run.sqlstate.is_none() && run.refusal.is_none();
        if ok {
            write::query(b"COMMIT", cx.out.control());
            self.set_wrap(Wrap::Commit(held));
        } else {
            write::query(b"ROLLBACK", cx.out.control());
            self.set_wrap(Wrap::Rollback(1));
        }
        self.pending.push_back(Pending::Wrap(run));
        Passage::Drop
    }

    /// The server's answer to BEGIN, COMMIT or ROLLBACK of our own.
    pub(crate) fn wrap_reply(&mut self, tag: u8, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        match tag {
            b'E' => self.wrap_error(whole, body, cx),
            b'Z' => self.wrap_ready(whole, body, cx),
            b'C' => {}
            other => self.broken(&format!("message type 0x{other:02x} for a transaction"), cx),
        }
    }

    fn wrap_error(&mut self, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        if let Some(meter) = &mut self.meter
            && matches!(meter.wrap, Wrap::Rollback(_))
        {
            // It is sent again; the client has the statement's own error.
            return;
        }
        let code = frame::error_field(body, b'C').unwrap_or_default();
        if let Some(Pending::Wrap(run)) = self.pending.front_mut() {
            run.note_error(code);
        }
        self.put(whole, cx);
    }

    fn wrap_ready(&mut self, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        let status = body.first().copied().unwrap_or_default();
        let Some(Pending::Wrap(run)) = self.pending.pop_front() else { return };
        match (self.take_wrap(), status) {
            (Wrap::Begin(permit), b'T') => {
                let ruling = std::sync::Arc::clone(&run.ruling);
                write::query(ruling.sent(), cx.out.statement(permit));
                self.note_effects(&ruling);
                self.set_wrap(Wrap::Inside(BytesMut::new()));
                self.pending.push_back(Pending::Query(run));
                return;
            }
            (Wrap::Rollback(times), b'T' | b'E') if times < ROLLBACKS_MAX => {
                write::query(b"ROLLBACK", cx.out.control());
                self.set_wrap(Wrap::Rollback(times + 1));
                self.pending.push_back(Pending::Wrap(run));
                return;
            }
            (Wrap::Commit(held), b'I') if run.sqlstate.is_none() => self.put(&held, cx),
            (_, b'I') => {}
            _ => {
                self.finish(&run, true, cx);
                self.broken("an answer to a transaction's end that does not end it", cx);
                return;
            }
        }
        self.put(whole, cx);
        self.finish(&run, false, cx);
        self.note_transaction(body);
    }
}
