//! Questions of our own to the server, on the client's connection, whose answers the client does not see: what the
//! session's names mean now, and what its uncommitted definitions are.

use writ_model::{StatementFacts, StatementKind, Verdict, sqlstate};

use super::pending::Pending;
use super::{Cx, Session, Transaction};
use crate::catalog::{
    ASK_PLAINLY, BACK_TO_MARK, CATALOG_QUERY, DROP_MARK, NAMES_QUERY, PRINT_AS_BEFORE,
    PRINT_PLAINLY, SET_MARK, parse_names,
};
use crate::frame;
use crate::gate::{Gate, SessionNames};
use crate::outbox::{Effect, EndReason};
use crate::write;

const PROBE: &[u8] = b"writ_probe";

/// What the server answers to each statement of ours: to Parse, Bind, Execute and two Closes.
const REPLIES: usize = 5;

/// The SQLSTATE of a statement that was cancelled.
const CANCELLED: &[u8] = b"57014";
/// SQLSTATEs of a question that others were in the way of: a deadlock, a lock that could not be had in the client's
/// `lock_timeout`, and a relation that was dropped while its definition was read.
const DISTURBED: [&[u8]; 3] = [b"40P01", b"55P03", b"XX000"];
/// A question is asked again so many times.
const PROBES_CANCELLED_MAX: u32 = 3;
/// The longest text that is looked at for whether it uses names at all, in bytes: those that do not are short.
const NAMELESS_BYTES_MAX: usize = 512;

/// A question on its way.
#[derive(Debug)]
pub(crate) struct Probe {
    what: What,
    /// What it is asked with.
    texts: &'static [&'static str],
    /// One of each statement that yields one.
    rows: Vec<Vec<u8>>,
    answered: usize,
    /// The server was told to stop, took longer than the client's `statement_timeout`, or was disturbed: to be asked again.
    cancelled: bool,
}

impl Probe {
    /// Whether its savepoint stands.
    fn is_marked(&self) -> bool {
        self.what != What::Undo && self.texts.contains(&SET_MARK) && self.answered > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Names,
    Catalog,
    /// Nothing: after a question that failed, the client's transaction is put back to where it was.
    Undo,
}

impl What {
    /// The statements that ask it. In a transaction block they leave nothing behind: what they lock they would lock to the
    /// end of the transaction, relations of all views among it, and hold up what others define.
    fn texts(self, in_block: bool) -> &'static [&'static str] {
        match (self, in_block) {
            (What::Names, false) => &[NAMES_QUERY],
            (What::Names, true) => &[SET_MARK, NAMES_QUERY, BACK_TO_MARK, DROP_MARK],
            (What::Catalog, false) => &[PRINT_PLAINLY, CATALOG_QUERY, PRINT_AS_BEFORE],
            (What::Catalog, true) => {
                &[SET_MARK, ASK_PLAINLY, CATALOG_QUERY, BACK_TO_MARK, DROP_MARK]
            }
            (What::Undo, _) => &[BACK_TO_MARK, DROP_MARK],
        }
    }

    /// Which of their rows is the answer.
    fn answer(self) -> usize {
        match self {
            What::Names | What::Undo => 0,
            What::Catalog => 1,
        }
    }
}

/// Whether a statement of ours yields a row.
fn yields_row(text: &str) -> bool {
    !matches!(text, SET_MARK | BACK_TO_MARK | DROP_MARK)
}

/// Whether nothing in a text is looked up by its name, and nothing of it runs. `locks`: LOCK looks names up and runs nothing.
fn is_nameless(facts: &StatementFacts, locks: bool) -> bool {
    use StatementKind as K;
    let nameless = |kind: &K| match kind {
        K::Transaction | K::Set | K::Notify | K::Empty => true,
        K::Lock => locks,
        _ => false,
    };
    facts.opaque.is_empty() && facts.kinds.iter().all(nameless)
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
    pub(crate) fn ready_to_rule(&mut self, text: Option<&[u8]>, cx: &mut Cx<'_>) -> Ready {
        if self.probe.is_some() || self.stale.awaiting_database {
            return Ready::Wait;
        }
        let own = self.stale.names || self.stale.catalog;
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
        if text.is_some_and(|text| self.needs_no_answer(text, own, cx)) {
            self.stale.names &= own;
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

    /// Whether a text is decided as well on what is known, however old that is. In a transaction a question takes its
    /// snapshot: SET TRANSACTION is refused after that, and LOCK would come too late. `own`: this session changed what
    /// names mean, not only others what runs behind them.
    fn needs_no_answer(&mut self, text: &[u8], own: bool, cx: &Cx<'_>) -> bool {
        let begun = self.transaction == Transaction::Open || self.series_open;
        // Whether a backslash ends a literal is one of the things that are not known.
        if !begun || text.len() > NAMELESS_BYTES_MAX || text.contains(&b'\\') {
            return false;
        }
        let ruling = self.gate.rule(text, cx.now);
        // C4: an approval is for what names mean now.
        let held = matches!(ruling.decision.verdict, Verdict::Hold(_));
        !held && is_nameless(&ruling.facts, !own)
    }

    /// Has the server send what it holds back.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) {
        if !self.flushed {
            write::bare(b'H', cx.out.control());
            self.flushed = true;
        }
    }

    fn ask_server(&mut self, what: What, cx: &mut Cx<'_>) {
        let in_series = self.series_open;
        // What is open in the middle of a series may be no block any more, and lasts to its Sync at most.
        let texts = what.texts(self.transaction == Transaction::Open && !in_series);
        let out = cx.out.control();
        // One that failed left what it had made: the server skipped the rest of it, its Closes among that.
        let left = self.probes_cancelled > 0;
        if left {
            write::close(b'P', PROBE, out);
            write::close(b'S', PROBE, out);
        }
        for text in texts {
            write::parse(PROBE, text.as_bytes(), &[], out);
            write::bind_plain(PROBE, PROBE, out);
            write::execute(PROBE, out);
            write::close(b'P', PROBE, out);
            write::close(b'S', PROBE, out);
        }
        // In the middle of a series, Sync would end the client's implicit transaction: Flush does not.
        write::bare(if in_series { b'H' } else { b'S' }, out);
        for _ in 1..REPLIES * texts.len() + 2 * usize::from(left) {
            self.pending.push_back(Pending::Own { last: false });
        }
        self.pending.push_back(Pending::Own { last: in_series });
        if !in_series {
            self.pending.push_back(Pending::OwnSync);
        }
        self.probe = Some(Probe { what, texts, rows: vec![], answered: 0, cancelled: false });
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
                if self.asks_again(code) {
                    return;
                }
                let code = String::from_utf8_lossy(code).into_owned();
                self.probe_failed(&format!("the database refused with {code}"), cx);
            }
            _ => {}
        }
    }

    /// A late cancel of the client's can meet a question of ours. Outside of transactions nothing is lost by it, and in a
    /// block nothing that came before the savepoint.
    fn asks_again(&mut self, code: &[u8]) -> bool {
        let to_sync = self.pending.iter().any(|pending| matches!(pending, Pending::OwnSync));
        let idle = self.transaction == Transaction::Idle;
        let Some(probe) = self.probe.as_mut().filter(|_| to_sync) else { return false };
        let again = match idle {
            true => code == CANCELLED,
            false => probe.is_marked() && (code == CANCELLED || DISTURBED.contains(&code)),
        };
        if !again || self.probes_cancelled >= PROBES_CANCELLED_MAX {
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
        if let Some(probe) = asked.as_ref().filter(|probe| probe.cancelled) {
            if probe.is_marked() {
                self.ask_server(What::Undo, cx);
            }
            return;
        }
        let undone =
            |probe: &Probe| probe.what == What::Undo && probe.answered == probe.texts.len();
        if asked.as_ref().is_some_and(undone) {
            return;
        }
        self.probes_cancelled = 0;
        let complete = |probe: &Probe| {
            let rows = probe.texts.iter().filter(|text| yields_row(text)).count();
            probe.answered == probe.texts.len() && probe.rows.len() == rows
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
            What::Undo => {}
        }
        Ok(())
    }

    fn probe_failed(&mut self, reason: &str, cx: &mut Cx<'_>) {
        let text =
            format!("the session's names cannot be read, so that nothing can be decided: {reason}");
        self.end_with(sqlstate::UNAVAILABLE, &text, EndReason::Unavailable, cx);
    }
}
