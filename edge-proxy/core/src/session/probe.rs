//! Questions of our own to the server, on the client's connection, whose answers the client does not see: what the
//! session's names mean now, and what its uncommitted definitions are.

use writ_model::sqlstate;

use super::pending::Pending;
use super::{Cx, Session, Transaction};
use crate::catalog::{CATALOG_QUERY, NAMES_QUERY, PRINT_AS_BEFORE, PRINT_PLAINLY, parse_names};
use crate::frame;
use crate::gate::{Gate, SessionNames};
use crate::outbox::{Effect, EndReason};
use crate::write;

const PROBE: &[u8] = b"writ_probe";

/// What the server answers to each statement of ours: to Parse, Bind, Execute and two Closes.
const REPLIES: usize = 5;

/// The SQLSTATE of a statement that was cancelled.
const CANCELLED: &[u8] = b"57014";
/// A question is asked again so many times.
const PROBES_CANCELLED_MAX: u32 = 3;

/// A question on its way.
#[derive(Debug)]
pub(crate) struct Probe {
    what: What,
    /// One of each statement that is answered.
    rows: Vec<Vec<u8>>,
    answered: usize,
    /// The server was told to stop, or took longer than the client's `statement_timeout`: to be asked again.
    cancelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Names,
    Catalog,
}

impl What {
    /// The statements that ask it.
    fn texts(self) -> &'static [&'static str] {
        match self {
            What::Names => &[NAMES_QUERY],
            What::Catalog => &[PRINT_PLAINLY, CATALOG_QUERY, PRINT_AS_BEFORE],
        }
    }

    /// Which of their rows is the answer.
    fn answer(self) -> usize {
        match self {
            What::Names => 0,
            What::Catalog => 1,
        }
    }
}

/// Whether a text can be decided now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Yes,
    Wait,
}

impl<G: Gate> Session<G> {
    pub(crate) fn has_temporary_relations(&self) -> bool {
        !self.gate.names().temp_relations.is_empty()
    }

    /// Makes sure that names mean what the server says they mean, before a text is decided on them.
    pub(crate) fn ready_to_rule(&mut self, cx: &mut Cx<'_>) -> Ready {
        if self.probe.is_some() || self.stale.awaiting_database {
            return Ready::Wait;
        }
        if self.has_temporary_relations() {
            // E5: what runs behind temporary relations depends on definitions that others change, and is of one state with
            // them.
            if !self.fresh(cx) {
                return Ready::Wait;
            }
            self.stale.names |= self.gate.stamp() != self.named_at;
        }
        if !(self.stale.names || self.stale.catalog) || self.transaction == Transaction::Failed {
            // In a failed transaction the server answers no question, and runs nothing but its end.
            return Ready::Yes;
        }
        if !self.pending.is_empty() {
            self.flush(cx);
            return Ready::Wait;
        }
        if self.skipping {
            return Ready::Yes;
        }
        if self.stale.names {
            self.ask_server(What::Names, cx);
        } else if self.transaction == Transaction::Open || self.series_open {
            self.ask_server(What::Catalog, cx);
        } else {
            self.stale.catalog = false;
            self.stale.awaiting_database = true;
            cx.out.effects.push(Effect::RefreshDatabase);
        }
        Ready::Wait
    }

    /// Has the server send what it holds back.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) {
        if !self.flushed {
            write::bare(b'H', cx.out.control());
            self.flushed = true;
        }
    }

    fn ask_server(&mut self, what: What, cx: &mut Cx<'_>) {
        let out = cx.out.control();
        let count = what.texts().len();
        for text in what.texts() {
            write::parse(PROBE, text.as_bytes(), &[], out);
            write::bind_plain(PROBE, PROBE, out);
            write::execute(PROBE, out);
            write::close(b'P', PROBE, out);
            write::close(b'S', PROBE, out);
        }
        // In the middle of a series, Sync would end the client's implicit transaction: Flush does not.
        let in_series = self.series_open;
        write::bare(if in_series { b'H' } else { b'S' }, out);
        for _ in 1..REPLIES * count {
            self.pending.push_back(Pending::Own { last: false });
        }
        self.pending.push_back(Pending::Own { last: in_series });
        if !in_series {
            self.pending.push_back(Pending::OwnSync);
        }
        self.probe = Some(Probe { what, rows: vec![], answered: 0, cancelled: false });
    }

    /// One reply to a question of ours.
    pub(crate) fn probe_reply(&mut self, tag: u8, body: &[u8], cx: &mut Cx<'_>) {
        match tag {
            b'D' => {
                if let Some(probe) = &mut self.probe {
                    probe.rows.push(body.to_vec());
                }
            }
            b'1' | b'2' | b'3' | b'C' => {
                let last = matches!(self.pending.pop_front(), Some(Pending::Own { last: true }));
                if let Some(probe) = &mut self.probe {
                    probe.answered += usize::from(tag == b'C');
                }
                if last {
                    self.probe_done(cx);
                }
            }
            b'E' => {
                let code = frame::error_field(body, b'C').unwrap_or_default();
                if code == CANCELLED && self.asks_again() {
                    return;
                }
                let code = String::from_utf8_lossy(code).into_owned();
                self.probe_failed(&format!("the database refused with {code}"), cx);
            }
            _ => {}
        }
    }

    /// A late cancel of the client's can meet a question of ours. Outside of transactions nothing is lost by it.
    fn asks_again(&mut self) -> bool {
        let to_sync = self.pending.iter().any(|pending| matches!(pending, Pending::OwnSync));
        let idle = self.transaction == Transaction::Idle;
        let Some(probe) = self.probe.as_mut().filter(|_| to_sync && idle) else { return false };
        if self.probes_cancelled >= PROBES_CANCELLED_MAX {
            return false;
        }
        probe.cancelled = true;
        self.probes_cancelled += 1;
        // The server ignores the rest of it up to its Sync.
        while matches!(self.pending.front(), Some(Pending::Own { .. })) {
            self.pending.pop_front();
        }
        true
    }

    /// The answer is complete.
    pub(crate) fn probe_done(&mut self, cx: &mut Cx<'_>) {
        let asked = self.probe.take();
        if asked.as_ref().is_some_and(|probe| probe.cancelled) {
            return;
        }
        self.probes_cancelled = 0;
        let complete = |probe: &Probe| {
            let count = probe.what.texts().len();
            probe.answered == count && probe.rows.len() == count
        };
        let answer = asked.filter(complete).and_then(|Probe { what, mut rows, .. }| {
            (what.answer() < rows.len()).then(|| (what, rows.swap_remove(what.answer())))
        });
        let Some((what, row)) = answer else {
            self.probe_failed("the database gave no answer", cx);
            return;
        };
        let taken = frame::data_row(&row)
            .ok_or_else(|| "the answer is malformed".to_owned())
            .and_then(|columns| self.take_answer(what, &columns));
        if let Err(reason) = taken {
            self.probe_failed(&reason, cx);
        }
    }

    fn take_answer(&mut self, what: What, columns: &[Option<&[u8]>]) -> Result<(), String> {
        match what {
            What::Names => {
                let names = parse_names(columns).map_err(|e| e.to_string())?;
                self.gate.set_names(SessionNames {
                    role: names.role,
                    search_path: names.search_path,
                    temp_relations: names.temp_relations,
                    temp_active: names.temp_active,
                    standard_conforming_strings: names.standard_conforming_strings,
                });
                self.stale.names = false;
                self.named_at = self.gate.stamp();
            }
            What::Catalog => {
                let json = columns.first().copied().flatten().ok_or("the answer is empty")?;
                self.gate.set_own_catalog(Some(json))?;
                self.stale.catalog = false;
            }
        }
        Ok(())
    }

    fn probe_failed(&mut self, reason: &str, cx: &mut Cx<'_>) {
        let text =
            format!("the session's names cannot be read, so that nothing can be decided: {reason}");
        self.end_with(sqlstate::UNAVAILABLE, &text, EndReason::Unavailable, cx);
    }
}
