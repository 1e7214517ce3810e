//! The gate of the model: it decides as [`WordGate`] does, for each statement of a text, and keeps what it said last.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use writ_audit::EncodedStatement;
use writ_edge_core::Gate;
use writ_edge_core::gate::{Left, Ruling, SessionNames, Stamp};
use writ_edge_core::screen::Detect;
use writ_model::facts::SessionEffect;
use writ_model::sqlstate::{self, SqlState};
use writ_model::{HourlyLimit, Timestamp, Verdict};

use crate::support::{WordGate, profile, verdict};

/// What was decided last of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Allow,
    Hold,
    Deny,
}

impl Said {
    fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Deny(_) => Self::Deny,
            Verdict::Hold(_) => Self::Hold,
            _ => Self::Allow,
        }
    }
}

#[derive(Default)]
pub struct FuzzGate {
    pub words: WordGate,
    /// How `moody` texts are decided: nothing but the catalog or the time has to change for another verdict.
    pub mood: usize,
    seen_mood: usize,
    /// How often something changed that rulings depend on: a stamp does not come back, even where a mood does.
    changes: u64,
    pub gone: bool,
    pub said: HashMap<Vec<u8>, Said>,
    /// Texts of which anything but a refusal was said once: they may be prepared, and each Bind decides again.
    pub preparable: HashSet<Vec<u8>>,
    /// Texts that have to be recorded durably first.
    pub strict: HashMap<Vec<u8>, bool>,
    pub profiles: Vec<(EncodedStatement, Vec<u8>)>,
    /// The text that was decided, for each that may be sent in its place.
    pub originals: HashMap<Vec<u8>, Vec<u8>>,
}

pub const MOODS: [&str; 3] = ["select", "deny", "hold"];

impl FuzzGate {
    fn verdict_of(&self, part: &str) -> Verdict {
        match part.split(' ').next().unwrap_or_default() {
            "moody" => verdict(MOODS[self.seen_mood]),
            word => verdict(word),
        }
    }

    /// The ruling on a text of several statements: all that its parts do, and the worst that is said of one.
    fn combined(&mut self, text: &[u8], now: Timestamp) -> Arc<Ruling> {
        let shown = String::from_utf8_lossy(text).into_owned();
        let whole = Arc::into_inner(self.words.rule(text, now)).expect("just made");
        let (mut facts, mut decision) = ((*whole.facts).clone(), (*whole.decision).clone());
        let (mut rewritten, mut is_rewritten) = (Vec::new(), false);
        facts.statements = 0;
        for part in shown.split(';') {
            let ruling = self.words.rule(part.as_bytes(), now);
            let more = &ruling.facts;
            facts.statements += more.statements;
            facts.kinds.extend(more.kinds.iter().copied());
            facts.session.extend(more.session.iter().cloned());
            facts.cursors.extend(more.cursors.iter().cloned());
            facts.prepares.extend(more.prepares.iter().cloned());
            facts.executes.extend(more.executes.iter().cloned());
            facts.deallocates.extend(more.deallocates.iter().cloned());
            facts.opaque.extend(more.opaque.iter().cloned());
            if matches!(part.split(' ').next(), Some("commit" | "rollback")) {
                facts.session.insert(SessionEffect::TransactionEnd);
            }
            decision.strict |= ruling.decision.strict;
            let said = match &ruling.decision.verdict {
                Verdict::Allow => self.verdict_of(part),
                other => other.clone(),
            };
            if Said::of(&said) as u8 > Said::of(&decision.verdict) as u8 {
                decision.verdict = said;
            }
            is_rewritten |= ruling.rewritten.is_some();
            let id = part.split(' ').nth(1).unwrap_or_default();
            let masked = format!("masked {id} {}", self.words.epoch);
            rewritten.push(if ruling.rewritten.is_some() { masked } else { part.to_owned() });
        }
        if facts.statements > 1 && facts.session.contains(&SessionEffect::TransactionEnd) {
            // Whether such a text uses names, the session asks, and the reference does not know: here none does.
            facts.kinds.retain(|kind| !kind.changes());
        }
        decision.strict |= matches!(decision.verdict, Verdict::Hold(_));
        let rewritten = is_rewritten.then(|| rewritten.join(";").into_bytes().into());
        let (facts, decision) = (Arc::new(facts), Arc::new(decision));
        self.note(Ruling { facts, decision, rewritten, ..whole })
    }

    fn note(&mut self, mut ruling: Ruling) -> Arc<Ruling> {
        let text = ruling.text.to_vec();
        let epoch = ruling.decision.epoch.0;
        ruling.profile = profile(&String::from_utf8_lossy(&text), epoch);
        if !self.profiles.iter().any(|(known, _)| *known == ruling.profile) {
            self.profiles.push((ruling.profile.clone(), text.clone()));
        }
        self.originals.insert(ruling.sent().to_vec(), text.clone());
        if Said::of(&ruling.decision.verdict) != Said::Deny {
            self.preparable.insert(text.clone());
        }
        self.said.insert(text.clone(), Said::of(&ruling.decision.verdict));
        self.strict.insert(text, ruling.decision.strict);
        Arc::new(ruling)
    }
}

impl Gate for FuzzGate {
    fn refresh(&mut self, now: Timestamp) -> Result<(), String> {
        if self.gone {
            return Err("the principal is gone".to_owned());
        }
        let before = (self.words.stamp(), self.seen_mood);
        self.seen_mood = self.mood;
        self.words.refresh(now)?;
        self.changes += u64::from(before != (self.words.stamp(), self.seen_mood));
        Ok(())
    }
    fn stamp(&self) -> Stamp {
        Stamp(1 + self.changes)
    }
    fn rule(&mut self, text: &[u8], now: Timestamp) -> Arc<Ruling> {
        self.combined(text, now)
    }
    fn rule_execute(
        &mut self,
        outer: &Ruling,
        prepared: &[Option<Arc<Ruling>>],
        now: Timestamp,
    ) -> Arc<Ruling> {
        let ruling = self.words.rule_execute(outer, prepared, now);
        let mut ruling = Arc::into_inner(ruling).expect("just made");
        // A text that holds or refuses by itself is no better for what it executes.
        if !matches!(outer.decision.verdict, Verdict::Allow) {
            ruling.decision = Arc::clone(&outer.decision);
        }
        ruling.facts = Arc::clone(&outer.facts);
        self.note(ruling)
    }
    fn function_call_text(&self, oid: u32, arguments: u32) -> Option<String> {
        self.words.function_call_text(oid, arguments)
    }
    fn refuse(&mut self, code: SqlState, what: &str, next_step: &str) -> Arc<Ruling> {
        self.words.refuse(code, what, next_step)
    }
    fn hides_rows(&self, schema: &str, relation: &str) -> bool {
        self.words.hides_rows(schema, relation)
    }
    fn names(&self) -> &SessionNames {
        self.words.names()
    }
    fn set_names(&mut self, names: SessionNames) {
        self.words.set_names(names);
    }
    fn set_own_catalog(&mut self, json: Option<&[u8]>) -> Result<(), String> {
        self.words.set_own_catalog(json)
    }
    fn wants_estimate(&self, ruling: &Ruling) -> bool {
        self.words.wants_estimate(ruling)
    }
    fn rule_expecting(&mut self, text: &[u8], rows: Option<u64>, now: Timestamp) -> Arc<Ruling> {
        let ruling = self.words.rule_expecting(text, rows, now);
        self.note(Arc::into_inner(ruling).expect("just made"))
    }
    fn detect(&self) -> Option<&dyn Detect> {
        self.words.detect()
    }
    fn counts_usage(&self) -> bool {
        self.words.counts_usage()
    }
    fn charge(&self, now: Timestamp, rows: u64, bytes: u64) {
        self.words.charge(now, rows, bytes);
    }
    fn left(&self, limits: &[HourlyLimit], now: Timestamp) -> Left {
        self.words.left(limits, now)
    }
}

/// The SQLSTATE of a refusal by policy.
pub const REFUSED: SqlState = sqlstate::REFUSED;
