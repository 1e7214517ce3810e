//! What must hold at every moment, whoever does what.

use std::collections::HashMap;

use writ_edge_core::ApprovalAsk;
use writ_edge_core::catalog::{
    ASK_PLAINLY, BACK_TO_MARK, CATALOG_QUERY, DROP_MARK, NAMES_QUERY, PRINT_AS_BEFORE,
    PRINT_PLAINLY, SET_MARK,
};
use writ_model::{BindingDigest, Epoch};

use super::gate::{FuzzGate, Said};
use super::server::Executed;
use super::words::number;
use super::world::Log;
use crate::fuzzing::wire;

struct Grant {
    digest: BindingDigest,
    epoch: Epoch,
    text: Vec<u8>,
    used: bool,
}

/// An intent to forward a text.
struct Forwarded {
    /// Its number in the record.
    seq: u64,
    /// Whether it had to be durable first, by what was decided then.
    strict: bool,
}

#[derive(Default)]
pub struct Checks {
    /// How many intents were looked at.
    intents: usize,
    /// How far the bytes for the server were looked at.
    parsed: usize,
    grants: HashMap<u64, Grant>,
    /// Intents to forward a text.
    forwarded: HashMap<Vec<u8>, Vec<Forwarded>>,
    /// How often a text was sent as a Query, and how often it ran.
    queried: HashMap<Vec<u8>, usize>,
    ran: HashMap<Vec<u8>, usize>,
    /// Where a message for the server ends, and how much of the record was durable when it was sent.
    durable_at: Vec<(usize, u64)>,
    /// How far what was sent has been found in what the client said.
    found: usize,
    /// Statements may be prepared a second time.
    pub renewals: bool,
    /// The session shares connections, and its client sends nothing but messages.
    pub shares: bool,
    ends: usize,
}

/// What the gateway says to the server by itself.
fn is_own(text: &[u8]) -> bool {
    let own = [
        "writ_refused",
        // What takes up a name.
        "",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        NAMES_QUERY,
        CATALOG_QUERY,
        PRINT_PLAINLY,
        PRINT_AS_BEFORE,
        ASK_PLAINLY,
        SET_MARK,
        BACK_TO_MARK,
        DROP_MARK,
    ];
    own.iter().any(|known| known.as_bytes() == text)
}

impl Checks {
    pub fn asked(&mut self, ask: &ApprovalAsk) {
        let grant = Grant {
            digest: ask.digest,
            epoch: ask.binding.epoch,
            text: ask.binding.statement.clone(),
            used: false,
        };
        assert!(self.grants.insert(ask.number, grant).is_none(), "asked twice as one statement");
    }

    /// C4: a grant is used for what was asked for, exactly.
    pub fn used(&mut self, number: u64, digest: &BindingDigest, epoch: Epoch) {
        let grant = self.grants.get(&number).expect("it was asked for");
        assert_eq!((&grant.digest, grant.epoch), (digest, epoch), "another statement's grant");
        assert!(!grant.used, "a grant is used once");
    }

    pub fn granted(&mut self, number: u64) {
        self.grants.get_mut(&number).expect("it was asked for").used = true;
    }

    pub fn ended(&mut self) {
        self.ends += 1;
        assert_eq!(self.ends, 1, "a session ends once");
    }

    /// E1: what is recorded as going on may go on, by the last that was decided of it.
    pub fn recorded(&mut self, gate: &FuzzGate, journal: &Log) {
        for intent in &journal.intents[self.intents..] {
            if !intent.forwarded {
                continue;
            }
            let (_, text) = gate
                .profiles
                .iter()
                .find(|(profile, _)| *profile == intent.profile)
                .expect("a statement that was decided");
            let approved = self.grants.values().any(|grant| grant.used && grant.text == *text);
            match gate.said[text] {
                Said::Allow => {}
                Said::Hold => assert!(approved, "without approval: {}", shown(text)),
                Said::Deny => panic!("E1: refused, and goes on: {}", shown(text)),
            }
            let strict = gate.strict[text];
            let forwarded = Forwarded { seq: intent.seq, strict };
            self.forwarded.entry(text.clone()).or_default().push(forwarded);
        }
        self.intents = journal.intents.len();
    }

    /// E1, E6: texts that leave for the server.
    pub fn sent(&mut self, gate: &FuzzGate, said: &[u8], sent: &[u8], durable: u64) {
        let (frames, rest) = wire::split_off(&sent[self.parsed..]);
        let end = sent.len() - rest.len();
        for (tag, body) in frames {
            self.parsed += body.len() + 5;
            self.durable_at.push((self.parsed, durable));
            let text = match tag {
                b'Q' => wire::text(body).0,
                b'P' => wire::text(wire::text(body).1).0,
                _ => continue,
            };
            if is_own(text) {
                continue;
            }
            let Some(original) = gate.originals.get(text) else {
                panic!("E1: nobody decided on {}", shown(text));
            };
            let refused = match tag {
                // It waited with its series: a Bind behind it may have been refused since, and what runs is checked there.
                b'P' => !gate.preparable.contains(original),
                _ => gate.said[original] == Said::Deny,
            };
            assert!(!refused, "E1: {} is refused", shown(text));
            self.in_order(said, original, tag);
            if tag == b'Q' {
                let count = self.queried.entry(original.clone()).or_default();
                *count += 1;
                let nth = *count;
                self.is_recorded(original, nth, durable);
            }
        }
        assert_eq!(self.parsed, end);
    }

    /// What the client sent once goes on once, and not before what it sent earlier.
    fn in_order(&mut self, said: &[u8], text: &[u8], tag: u8) {
        // Smaller numbers are of texts that come again.
        if number(&shown(text)) < 10 {
            return;
        }
        let (before, rest) = said.split_at(self.found);
        if tag == b'P' && self.renewals && past(before, text).is_some() {
            return;
        }
        let end = past(rest, text);
        let (text, seen) = (shown(text), shown(before));
        self.found += end.unwrap_or_else(|| panic!("{text:?} after all of {seen:?}"));
    }

    /// E6: the `nth` time that a text goes on, there are so many records of it, durable where they have to be.
    fn is_recorded(&self, text: &[u8], nth: usize, durable: u64) {
        let intents = self.forwarded.get(text).map_or(&[][..], Vec::as_slice);
        let written = intents.iter().filter(|of| !of.strict || of.seq <= durable).count();
        assert!(written >= nth, "E6: {} ran {nth} times, {written} records", shown(text));
    }

    /// What the server ran.
    pub fn executed(&mut self, gate: &FuzzGate, said: &[u8], executed: &[Executed]) {
        for Executed { text, at, indirect, name } in executed {
            if is_own(text) || text == b"cursor" {
                continue;
            }
            if *indirect {
                self.indirectly(&shown(text));
                continue;
            }
            let original = gate.originals.get(text).expect("E1: decided");
            if let Some(name) = name.as_ref().filter(|_| self.shares) {
                prepared_by(said, name, original);
            }
            let nth = {
                let count = self.ran.entry(original.clone()).or_default();
                *count += 1;
                *count
            };
            let sent = self.durable_at.iter().find(|(end, _)| end == at).expect("it was sent");
            self.is_recorded(original, nth, sent.1);
        }
    }

    /// FETCH and EXECUTE run nothing that would have been refused or held by itself.
    fn indirectly(&self, text: &str) {
        let first = text.split(' ').next().unwrap_or_default();
        let last = text.split(' ').next_back().unwrap_or_default();
        let what = if first == "prepare" { last } else { first };
        assert_ne!(what, "deny", "E1: {text} ran through another statement");
        let approved = self.grants.values().any(|g| g.used && g.text == text.as_bytes());
        assert!(first != "hold" || approved, "E1: {text} ran through another statement");
    }

    /// Each record has one outcome, and no outcome comes without its record.
    pub fn outcomes(journal: &Log, complete: bool) {
        for (id, count) in &journal.outcomes {
            assert_eq!(*count, 1, "{id} has {count} outcomes");
            assert!(journal.intents.iter().any(|i| i.id == *id), "{id} has no intent");
        }
        for intent in &journal.intents {
            let has_one = journal.outcomes.contains_key(&intent.id);
            assert!(has_one || !complete, "{} has no outcome: {:?}", intent.id, journal.lines);
        }
    }
}

/// Where the first Query or Parse of `text` among the frames of `said` ends.
fn past(said: &[u8], text: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let (tag, body) = wire::first(&said[end..])?;
        end += body.len() + 5;
        let at = match tag {
            b'Q' => 0,
            b'P' => 1,
            _ => continue,
        };
        if body.split(|byte| *byte == 0).nth(at) == Some(text) {
            return Some(end);
        }
    }
}

/// E1: what runs under a name, this client prepared under it.
fn prepared_by(said: &[u8], name: &[u8], text: &[u8]) {
    let (frames, _) = wire::split_off(said);
    let prepares = |body: &[u8]| {
        let (named, rest) = wire::text(body);
        named == name && wire::text(rest).0 == text
    };
    let prepared = frames.iter().any(|(tag, body)| *tag == b'P' && prepares(body));
    assert!(prepared, "E1: {} ran as {}, which is another's", shown(text), shown(name));
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[test]
fn what_goes_on_twice_or_out_of_turn_is_noticed() {
    use crate::support::{parse, query};
    let said = [query("select 12"), parse("", "select 11"), query("select 13")].concat();
    let is_right = |texts: &[&str]| {
        let mut checks = Checks { renewals: true, ..Checks::default() };
        let mut all =
            || texts.iter().for_each(|text| checks.in_order(&said, text.as_bytes(), b'Q'));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut all)).is_ok()
    };
    for right in [&["select 12", "select 11", "select 13"][..], &["select 12", "select 13"]] {
        assert!(is_right(right), "{right:?}");
    }
    for wrong in
        [["select 11", "select 12"], ["select 13", "select 13"], ["select 12", "select 14"]]
    {
        assert!(!is_right(&wrong), "{wrong:?}");
    }
}
