//! Results with columns that nobody knows: their values are looked through as they pass (see [`crate::screen`]).
//!
//! Which columns a result has says its RowDescription. A simple query's comes by itself; before an Execute the edge asks
//! for the portal's own, and keeps the answer.

use std::sync::Arc;

use writ_model::facts::CursorUse;
use writ_model::sqlstate;

use super::pending::Pending;
use super::{Cx, Session};
use crate::frame::{self, Header};
use crate::gate::{Gate, Ruling};
use crate::outbox::EndReason;
use crate::screen::{self, Plan, SCREENED_ROW_BYTES_MAX, Screen};
use crate::write;

/// What a session keeps for screening.
#[derive(Debug, Default)]
pub(crate) struct Screening {
    /// The columns of the result that is passing.
    plan: Plan,
    /// What the cursors of this session are screened for, all together: FETCH names no relation.
    cursors: Option<Arc<Screen>>,
    /// What was stored from screened columns, which may be somewhere that is not known: in a temporary table.
    stored: Option<Arc<Screen>>,
    /// Whether the COPY that is passing is binary.
    binary_copy: bool,
}

impl<G: Gate> Session<G> {
    /// What the results of a statement are screened for; `None`: they pass as they are.
    pub(crate) fn screen_of(&self, ruling: &Ruling) -> Option<Arc<Screen>> {
        if ruling.screen.is_some() {
            return ruling.screen.clone();
        }
        let fetches = |cursor: &CursorUse| matches!(cursor, CursorUse::Fetch(_));
        let cursors = self.screening.cursors.as_ref();
        let fetched = cursors.filter(|_| ruling.facts.cursors.iter().any(fetches));
        fetched.or(self.screening.stored.as_ref()).map(Arc::clone)
    }

    /// What a message that comes now is screened for.
    pub(crate) fn screened_now(&self, tag: u8) -> Option<Arc<Screen>> {
        match self.pending.front() {
            Some(Pending::Query(run) | Pending::Execute(run))
                if matches!(tag, b'D' | b'd' | b'T' | b'H') =>
            {
                self.screen_of(&run.ruling)
            }
            _ => None,
        }
    }

    /// Whether a message that is screened has come in full.
    pub(crate) fn has_whole(&mut self, header: Header, rest: &[u8], cx: &mut Cx<'_>) -> bool {
        let bytes = header.total;
        if bytes > SCREENED_ROW_BYTES_MAX {
            let text = format!(
                "a row of {bytes} bytes is too large to be looked through for what may not be seen"
            );
            self.end_with(sqlstate::TOO_LARGE, &text, EndReason::Protocol, cx);
            return false;
        }
        rest.len() >= bytes
    }

    /// A cursor is declared whose rows are screened when they are fetched, or something is stored that is screened when
    /// it is read again.
    pub(crate) fn note_screened(&mut self, ruling: &Ruling) {
        let Some(screen) = ruling.screen.as_deref() else { return };
        let facts = &ruling.facts;
        let declares = |cursor: &CursorUse| matches!(cursor, CursorUse::Declare { .. });
        if facts.cursors.iter().any(declares) {
            add(&mut self.screening.cursors, screen);
        }
        if facts.kinds.iter().any(|kind| kind.changes()) {
            add(&mut self.screening.stored, screen);
        }
    }

    /// Asks what columns a portal has, before its Execute is sent.
    pub(crate) fn describe_screened(&mut self, portal: &[u8], ruling: &Ruling, cx: &mut Cx<'_>) {
        if self.screen_of(ruling).is_some() {
            write::describe_portal(portal, cx.out.control());
            self.pending.push_back(Pending::Description);
        }
    }

    /// The answer to our own Describe.
    pub(crate) fn own_description(&mut self, tag: u8, body: &[u8]) {
        self.pending.pop_front();
        // The Execute that asked for it comes next.
        match tag {
            b'T' => self.note_columns(body),
            _ => self.screening.plan = Plan::default(),
        }
    }

    fn note_columns(&mut self, description: &[u8]) {
        if let Some(screen) = self.screened_now(b'T') {
            self.screening.plan = Plan::of(&screen, description);
        }
    }

    /// One whole message of a screened result.
    pub(crate) fn screened_frame(&mut self, screen: &Screen, whole: &[u8], cx: &mut Cx<'_>) {
        let start = cx.out.to_client.len();
        self.put(whole, cx);
        let tag = whole.first().copied().unwrap_or_default();
        match tag {
            b'T' => return self.note_columns(frame::body(whole)),
            b'H' => {
                self.screening.binary_copy = frame::body(whole).first() == Some(&1);
                return;
            }
            _ => {}
        }
        self.rows_seen += u64::from(self.counting);
        let passed = cx.out.to_client.get_mut(start..).unwrap_or_default();
        let Some(detect) = self.gate.detect() else { return };
        cx.out.values_screened += match tag {
            b'D' => screen::row(passed, &self.screening.plan, screen, detect),
            _ => screen::copied(passed, self.screening.binary_copy, screen, detect),
        };
    }
}

fn add(to: &mut Option<Arc<Screen>>, screen: &Screen) {
    let mut all = to.as_deref().cloned().unwrap_or_default();
    all.and(screen);
    *to = Some(Arc::new(all));
}
