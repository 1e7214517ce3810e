//! The server's messages: counted against what was forwarded, and passed on as they are unless they answer something
//! that the client did not say.

use writ_model::Timestamp;

use super::metered::Passage;
use super::pending::Pending;
use super::{CopyIn, Cx, REPLY_BYTES_MAX, Session, Transaction, is_utf8};
use crate::frame::{self, HEADER_BYTES, Header, Scan};
use crate::gate::Gate;
use crate::outbox::EndReason;
use crate::write;

/// The message, as the server sends it.
const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";

impl<G: Gate> Session<G> {
    /// Deals with what the server sent. Returns how many bytes of `input` are dealt with; call again with the rest
    /// and what follows it. Call [`Session::on_client`] afterwards: a message may have waited for this.
    pub fn on_upstream(&mut self, input: &[u8], cx: &mut Cx<'_>) -> usize {
        let mut used = 0;
        // Frames from here on are passed on in one piece.
        let mut from = 0;
        let mut fault = None;
        while self.ended.is_none() && used < input.len() {
            let rest = input.get(used..).unwrap_or_default();
            if self.upstream_pass > 0 {
                used += take(&mut self.upstream_pass, rest.len());
                continue;
            }
            if self.upstream_drop > 0 {
                // What was before it has been passed on.
                used += take(&mut self.upstream_drop, rest.len());
                from = used;
                continue;
            }
            let header = match self.next_header(rest) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(what) => {
                    fault = Some(what);
                    break;
                }
            };
            let screen = self.screened_now(header.tag);
            if screen.is_some() {
                self.pass(input, from, used, cx);
                from = used;
                if !self.has_whole(header, rest, cx) {
                    break;
                }
            }
            if self.meter.is_some() && self.meter_frame(header, cx) == Passage::Drop {
                self.pass(input, from, used, cx);
                self.upstream_drop = header.total;
                continue;
            }
            if let Some(screen) = screen {
                self.screened_frame(&screen, rest.get(..header.total).unwrap_or_default(), cx);
                used += header.total;
                from = used;
                continue;
            }
            if self.is_stream(header.tag) {
                self.rows_seen += u64::from(self.counting);
                self.upstream_pass = header.total;
                continue;
            }
            let Some(whole) = rest.get(..header.total) else { break };
            if self.is_plain(header.tag) {
                if let Err(what) = self.count(header) {
                    fault = Some(what);
                    break;
                }
                used += header.total;
                continue;
            }
            self.pass(input, from, used, cx);
            self.reply(header.tag, whole, cx);
            used += header.total;
            from = used;
        }
        self.pass(input, from, used, cx);
        self.passed(fault, cx);
        used
    }

    /// The next message's header; `None`: not there yet. An error says what nothing can be made of.
    fn next_header(&self, rest: &[u8]) -> Result<Option<Header>, &'static str> {
        match frame::scan(rest) {
            Scan::Incomplete => Ok(None),
            Scan::Malformed(_) => Err("a malformed message"),
            // E3: whatever it answers, nothing is known of how it is to be shown.
            Scan::Frame(header)
                if self.pending.is_empty()
                    && !matches!(header.tag, b'N' | b'A' | b'S' | b'E' | b'Z') =>
            {
                Err("an answer that nothing asked for")
            }
            Scan::Frame(header)
                if header.total > REPLY_BYTES_MAX && !self.is_stream(header.tag) =>
            {
                Err("an oversized message")
            }
            Scan::Frame(header) => Ok(Some(header)),
        }
    }

    /// All that came was dealt with, up to what nothing can be made of.
    fn passed(&mut self, fault: Option<&str>, cx: &mut Cx<'_>) {
        if let Some(what) = fault {
            self.broken(what, cx);
        }
        if self.charges_running() {
            self.charge(cx);
        }
    }

    fn pass(&mut self, input: &[u8], from: usize, to: usize, cx: &mut Cx<'_>) {
        if let Some(bytes) = input.get(from..to).filter(|b| !b.is_empty()) {
            self.bytes_to_client += bytes.len() as u64;
            cx.out.to_client.extend_from_slice(bytes);
        }
    }

    /// Messages that go on without a look at them, even in pieces.
    fn is_stream(&self, tag: u8) -> bool {
        matches!(tag, b'D' | b'd') && self.probe.is_none()
    }

    /// Messages that are counted and go on as they are, next to their neighbours.
    fn is_plain(&self, tag: u8) -> bool {
        matches!(tag, b'1' | b'2' | b'3' | b'T' | b't' | b'n' | b'N' | b'A' | b'c' | b'H' | b'V')
            && !self.pending.front().is_some_and(Pending::is_ours)
    }

    /// Accounts for a message that goes on as it is. An error says what it cannot be the answer to.
    fn count(&mut self, header: Header) -> Result<(), &'static str> {
        let expected = match (header.tag, self.pending.front_mut()) {
            (b'1', Some(Pending::Parse(_, None)))
            | (b'2', Some(Pending::Bind(_)))
            | (b'3', Some(Pending::Close(_)))
            | (b'T' | b'n', Some(Pending::Describe)) => true,
            (b'1' | b'2' | b'3', _) => return Err("a reply that nothing asked for"),
            // The answer to a function call is a row of one value.
            (b'V', Some(Pending::Query(run))) => {
                run.rows += 1;
                self.rows_seen += u64::from(self.counting);
                false
            }
            _ => false,
        };
        if expected
            && let Some(Pending::Close(undo)) = self.pending.pop_front()
            && let Some(portal) = undo.portal()
        {
            self.forget_cursor(portal);
        }
        Ok(())
    }

    /// A message that has to be looked into.
    fn reply(&mut self, tag: u8, whole: &[u8], cx: &mut Cx<'_>) {
        let body = whole.get(HEADER_BYTES..).unwrap_or_default();
        match (tag, self.pending.front()) {
            (b'N' | b'A', _) => self.put(whole, cx),
            (b'S', _) => self.parameter_status(whole, body, cx),
            (b'Z', Some(Pending::OwnSync)) => {
                self.pending.pop_front();
                self.note_transaction(body);
                self.probe_done(cx);
            }
            (b'1' | b'3', Some(Pending::Renewal(_))) => {
                self.pending.pop_front();
            }
            (b'3', Some(Pending::Known(_))) => {
                self.pending.pop_front();
                self.put(PARSE_COMPLETE, cx);
            }
            (b'T' | b'n', Some(Pending::Description)) => self.own_description(tag, body),
            (b'E', Some(Pending::Renewal(_) | Pending::Known(_) | Pending::Description)) => {
                self.error(whole, body, cx);
            }
            (_, Some(Pending::Wrap(_))) => self.wrap_reply(tag, whole, body, cx),
            (_, Some(Pending::Own { .. } | Pending::OwnSync)) => self.probe_reply(tag, body, cx),
            (b'C' | b'I' | b's', _) => self.completed(tag, whole, body, cx),
            (b'G', _) => self.copy_in_started(whole, cx),
            (b'E', _) => self.error(whole, body, cx),
            (b'Z', _) => self.ready(whole, body, cx),
            (other, _) => self.broken(&format!("message type 0x{other:02x}"), cx),
        }
    }

    pub(crate) fn put(&mut self, whole: &[u8], cx: &mut Cx<'_>) {
        self.bytes_to_client += whole.len() as u64;
        cx.out.to_client.extend_from_slice(whole);
    }

    fn parameter_status(&mut self, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        let mut rest = body;
        let name = frame::take_cstr(&mut rest).unwrap_or_default();
        let value = frame::take_cstr(&mut rest).unwrap_or_default();
        match name {
            b"client_encoding" => self.utf8 = is_utf8(&String::from_utf8_lossy(value)),
            b"standard_conforming_strings" | b"session_authorization" | b"search_path" => {
                self.stale.names = true;
                self.stale.names_in_transaction = true;
            }
            _ => {}
        }
        self.note_told();
        self.put(whole, cx);
    }

    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    fn completed(&mut self, tag: u8, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        self.copy_in = CopyIn::No;
        let mut rest = body;
        let command =
            if tag == b'C' { frame::take_cstr(&mut rest).unwrap_or_default() } else { b"" };
        if self.meter.is_some() && self.meter_completion(whole, command, cx) == Passage::Drop {
            if let Some(Pending::Query(run)) = self.pending.front_mut() {
                run.note_tag(command);
            }
            return;
        }
        self.put(whole, cx);
        match self.pending.front_mut() {
            Some(Pending::Query(run)) if tag != b's' => run.note_tag(command),
            Some(Pending::Execute(_)) => {
                if let Some(mut run) = self.pending.pop_front().and_then(Pending::into_run) {
                    run.note_tag(command);
                    if tag == b's' {
                        // A portal is suspended after exactly as many rows as it was asked for.
                        run.rows = run.rows.saturating_add(u64::from(run.row_limit));
                    }
                    self.note_cursors(&run.ruling.facts);
                    self.note_portals_ended(&run);
                    self.finish(&run, false, cx);
                }
            }
            _ => self.broken("a completion that nothing asked for", cx),
        }
    }

    fn copy_in_started(&mut self, whole: &[u8], cx: &mut Cx<'_>) {
        if self.meter_copy_in(cx) == Passage::Drop {
            return;
        }
        if !matches!(self.pending.front(), Some(Pending::Execute(_) | Pending::Query(_))) {
            self.broken("a COPY that nothing asked for", cx);
            return;
        }
        // A Sync that the server will ignore did not end the series.
        self.series_open |= self.drop_syncs();
        self.copy_in = CopyIn::Running;
        self.put(whole, cx);
    }

    fn error(&mut self, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        let code = frame::error_field(body, b'C').unwrap_or_default();
        self.copy_in = CopyIn::No;
        self.note_transaction_may_end();
        match self.pending.front_mut() {
            None | Some(Pending::Sync | Pending::OwnSync) => {
                self.put_error(whole, body, None, false, cx);
            }
            Some(Pending::Query(run)) => {
                run.note_error(code);
                let refusal = run.refusal.clone();
                let rewritten = run.ruling.rewritten.is_some();
                self.put_error(whole, body, refusal.as_deref(), rewritten, cx);
            }
            Some(front) => {
                // The front is what the server refused; the others up to Sync it ignores.
                let refusal = front.refusal().cloned();
                let rewritten = self.front_is_rewritten();
                self.put_error(whole, body, refusal.as_ref(), rewritten, cx);
                self.pending.front_mut().into_iter().for_each(Pending::note_refused);
                for mut run in self.skip_to_sync(cx) {
                    run.note_error(code);
                    self.finish(&run, false, cx);
                }
                if self.skipping {
                    // E1: the message that waits will be skipped; the next one is decided for itself.
                    self.abandon_admission("an error before it ended its series", cx);
                }
            }
        }
    }

    /// Whether positions in an error about the front message would point into a rewritten text.
    fn front_is_rewritten(&self) -> bool {
        match self.pending.front() {
            Some(Pending::Execute(run)) => run.ruling.rewritten.is_some(),
            Some(Pending::Parse(undo, _)) => undo
                .statement()
                .and_then(|name| self.statements.get(name))
                .is_none_or(|prepared| prepared.ruling.rewritten.is_some()),
            _ => true,
        }
    }

    fn put_error(
        &mut self,
        whole: &[u8],
        body: &[u8],
        refusal: Option<&write::Message>,
        rewritten: bool,
        cx: &mut Cx<'_>,
    ) {
        let before = cx.out.to_client.len();
        let hides = self.quotes_a_hidden_row(body);
        match refusal {
            Some(message) => message.put(b'E', &mut cx.out.to_client),
            None if rewritten || hides => {
                let left_out = write::LeftOut { positions: rewritten, row: hides };
                write::error_without(body, left_out, &mut cx.out.to_client);
            }
            None => cx.out.to_client.extend_from_slice(whole),
        }
        self.bytes_to_client += (cx.out.to_client.len() - before) as u64;
    }

    /// E3: the server quotes the row or the key that a constraint refused, masked columns included.
    fn quotes_a_hidden_row(&self, body: &[u8]) -> bool {
        let field = |name| frame::error_field(body, name).unwrap_or_default();
        let quotes = matches!(field(b'C').get(..2), Some(b"23" | b"44"));
        let text = |name| String::from_utf8_lossy(field(name)).into_owned();
        quotes && !field(b'D').is_empty() && self.gate.hides_rows(&text(b's'), &text(b't'))
    }

    pub(crate) fn note_transaction(&mut self, body: &[u8]) {
        self.transaction = match body.first() {
            Some(b'I') => Transaction::Idle,
            Some(b'T') => Transaction::Open,
            _ => Transaction::Failed,
        };
        if self.transaction != Transaction::Idle {
            return;
        }
        self.forget_portals();
        if !self.pending.is_empty() {
            // What was sent after the Sync that this answers is in a transaction of its own already: what it changes there
            // is looked at when that ends.
            return;
        }
        // What the transaction defined is there for everyone, or for nobody.
        self.drop_cursors();
        self.stale.names_in_transaction = false;
        if self.stale.catalog_in_transaction {
            self.stale.catalog_in_transaction = false;
            self.stale.catalog = true;
            // Dropping the session's own catalog cannot fail.
            let _ = self.gate.set_own_catalog(None);
        }
    }

    fn ready(&mut self, whole: &[u8], body: &[u8], cx: &mut Cx<'_>) {
        if self.meter.is_some() && self.meter_ready(body, cx) == Passage::Drop {
            return;
        }
        match self.pending.front() {
            Some(Pending::Query(_)) => {
                if let Some(run) = self.pending.pop_front().and_then(Pending::into_run) {
                    self.put(whole, cx);
                    if run.sqlstate.is_none() {
                        self.note_cursors(&run.ruling.facts);
                    }
                    self.finish(&run, false, cx);
                }
            }
            Some(Pending::Sync) => {
                self.pending.pop_front();
                self.put(whole, cx);
            }
            _ => {
                self.broken("a ReadyForQuery that nothing asked for", cx);
                return;
            }
        }
        self.copy_in = CopyIn::No;
        self.note_transaction(body);
    }

    /// Replies do not fit what was forwarded: nothing can be told apart any more, so the session ends.
    pub(crate) fn broken(&mut self, what: &str, cx: &mut Cx<'_>) {
        let text = format!("the database sent {what}");
        self.end_with(writ_model::sqlstate::PROTOCOL_VIOLATION, &text, EndReason::Protocol, cx);
    }

    /// How long the oldest statement has been running at `now`; `None`: nothing runs.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        self.pending.iter().find_map(|p| match p {
            Pending::Query(run) | Pending::Execute(run) | Pending::Wrap(run) => Some(run.started),
            _ => None,
        })
    }
}

/// Takes as much of `count` as there is.
fn take(count: &mut usize, there_is: usize) -> usize {
    let taken = there_is.min(*count);
    *count -= taken;
    taken
}
