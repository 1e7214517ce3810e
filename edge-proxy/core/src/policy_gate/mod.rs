//! The gate that decides by policy: text → facts → masks → decision → the bytes to send.

mod acting;
mod bounds;
mod labels;
mod profile;
mod room;
mod screening;
pub mod sensitivity;
pub mod state;

use std::net::IpAddr;
use std::sync::Arc;

use writ_model::config::WhenStale;
use writ_model::facts::OpaqueReason;
use writ_model::label::LabelText;
use writ_model::sqlstate::{self, SqlState};
use writ_model::{
    Actor, Catalog, ColumnMasks, Decision, Denial, HourlyLimit, Limits, PrincipalId, RuleId,
    StatementFacts, Timestamp, Usage, Verdict,
};
use writ_sql::{Names, Rewrite, Shape};

use crate::catalog::parse_catalog;
use crate::gate::{Gate, Left, Ruling, SessionNames, Stamp};
use crate::ledger::{Account, Ledger};
use crate::screen::Detect;
use acting::{may_connect, role_of};
use sensitivity::sensitive_columns;
use state::{DatabaseState, Scope, ScopeKey, Sensitive};

/// The longest that a decision is used again where rules look at the time or at what was taken lately, in microseconds.
const DECISION_AGE: i64 = 10_000_000;

/// The period that a decision of this moment is used in. Where no rule looks at the time it has no end.
fn period(state: &DatabaseState, now: Timestamp) -> i64 {
    let policies = &state.policies;
    // What the planner expects changes with the data.
    let passes = policies.looks_at_time() || policies.counts_usage() || policies.wants_estimates();
    if passes { now.0.div_euclid(DECISION_AGE) } else { 0 }
}

/// Where the newest state comes from.
pub trait Current: Send + Sync {
    /// The newest state of the session's database; `None` where the database is gone.
    fn state(&self) -> Option<Arc<DatabaseState>>;
    /// Whether `state` is the newest. Asked for each statement.
    fn is_newest(&self, state: &Arc<DatabaseState>) -> bool {
        self.state().is_some_and(|newest| Arc::ptr_eq(&newest, state))
    }
    /// When the control plane was last heard.
    fn last_heard(&self) -> Timestamp;
    /// What principals took in the last hour.
    fn ledger(&self) -> Arc<Ledger> {
        Arc::default()
    }
    /// What finds sensitive values in results; `None`: results are not screened.
    fn detect(&self) -> Option<Arc<dyn Detect>> {
        None
    }
}

/// Who is connected, and how.
#[derive(Debug, Clone)]
pub struct Client {
    /// The principal that proved itself.
    pub principal: PrincipalId,
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls its program.
    pub application_name: String,
}

/// A catalog that only this session sees, because its transaction defined something.
struct OwnCatalog {
    catalog: Arc<Catalog>,
    sensitive: Sensitive,
}

/// Decides one session's texts.
pub struct PolicyGate {
    current: Arc<dyn Current>,
    state: Arc<DatabaseState>,
    actor: Actor,
    names: SessionNames,
    sql_names: Names,
    key: ScopeKey,
    /// When the newest configuration was asked for.
    now: Timestamp,
    scope: Arc<Scope>,
    own: Option<OwnCatalog>,
    stale: Option<WhenStale>,
    stamp: u64,
    /// What the rules that let the principal connect limit.
    session_limits: Limits,
    ledger: Arc<Ledger>,
    /// The accounts of the principal and of everyone it acts for.
    accounts: Vec<(PrincipalId, Arc<Account>)>,
    detect: Option<Arc<dyn Detect>>,
    /// Of the text at hand.
    shape: Shape,
    label: Option<LabelText>,
    acting: Option<String>,
}

impl PolicyGate {
    /// A gate for a client that may connect; otherwise why not.
    pub fn connect(
        current: Arc<dyn Current>,
        client: Client,
        names: SessionNames,
        now: Timestamp,
    ) -> Result<Self, Denial> {
        let state = current.state().ok_or_else(database_gone)?;
        let mut key = ScopeKey {
            principal: client.principal,
            client_address: client.address,
            application_name: client.application_name,
            role: String::new(),
            search_path: vec![],
            temp_relations: vec![],
            temp_active: vec![],
            standard_conforming_strings: true,
            read_only: false,
            period: period(&state, now),
        };
        let (ledger, detect) = (current.ledger(), current.detect());
        let usage = ledger.account(&key.principal, now).last_hour(now);
        let (actor, session_limits) = may_connect(&state, &key, now, usage)?;
        let acting = role_of(&state, &actor)?;
        key.read_only = session_limits.read_only;
        let scope = Scope::unshared(Ok(ColumnMasks::default()));
        let mut gate = Self {
            current,
            state,
            actor,
            names: SessionNames::default(),
            sql_names: Names::default(),
            key,
            now,
            scope,
            own: None,
            stale: None,
            stamp: 0,
            session_limits,
            ledger,
            accounts: vec![],
            detect,
            shape: Shape::default(),
            label: None,
            acting,
        };
        gate.open_accounts(now);
        gate.set_names(names);
        gate.rescope(now);
        Ok(gate)
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether the session may change nothing: the server has to be told at the start.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.key.read_only
    }

    fn open_accounts(&mut self, now: Timestamp) {
        let all = std::iter::once(&self.actor.principal).chain(&self.actor.chain);
        self.accounts = all.map(|p| (p.id.clone(), self.ledger.account(&p.id, now))).collect();
    }

    /// What the connected principal took in the last hour.
    fn usage(&self, now: Timestamp) -> Usage {
        self.accounts.first().map(|(_, account)| account.last_hour(now)).unwrap_or_default()
    }

    /// The state in use.
    #[must_use]
    pub fn state(&self) -> &Arc<DatabaseState> {
        &self.state
    }

    fn rescope(&mut self, now: Timestamp) {
        self.stamp += 1;
        self.scope = match &self.own {
            None => self.state.scope(self.key.clone(), &self.actor, now, self.usage(now)),
            Some(own) => {
                let subject = self.state.subject(&self.actor);
                let context = self.key.context(now, self.usage(now));
                Scope::unshared(self.state.policies.masks(&subject, &context, &own.sensitive.list))
            }
        };
        if self.stale.is_some() {
            // E5: nothing decided while stale is shared with fresher times, and nothing of those with it.
            self.scope = Scope::unshared(self.scope.masks.clone());
        }
    }

    fn catalog(&self) -> &Catalog {
        self.own.as_ref().map_or(&self.state.catalog, |own| &own.catalog)
    }

    fn sensitive(&self) -> &Sensitive {
        self.own.as_ref().map_or(self.state.sensitive_set(), |own| &own.sensitive)
    }

    /// How far behind the control plane this edge may be, and what holds past it (E5).
    fn staleness(&self, now: Timestamp) -> Option<WhenStale> {
        let rules = self.state.environment()?;
        let behind = now.since(self.current.last_heard());
        (behind > rules.staleness_max && rules.when_stale != WhenStale::GoOn)
            .then_some(rules.when_stale)
    }

    /// `expected`: what the planner said, where it was asked.
    fn decide(&self, text: &[u8], expected: Option<Option<u64>>, now: Timestamp) -> Ruling {
        let masks = match &self.scope.masks {
            Ok(masks) => masks,
            Err(denial) => {
                return self.denied(text, StatementFacts::default(), "masks", denial.clone());
            }
        };
        let Ok(text) = std::str::from_utf8(text) else {
            let mut facts = unknown(OpaqueReason::Syntax("the text is not UTF-8".into()));
            facts.statements = 1;
            return self.ruled(text, facts, None, masks, expected, now);
        };
        let analysis = writ_sql::analyze(text, self.catalog(), &self.sql_names);
        // The planner may expect other rows of another text with the same facts. Which masked columns a
        // text reads is in its facts: where one needed no rewrite, none does.
        let shares = expected.is_none() && !self.state.policies.wants_estimates();
        if shares
            && let Some(known) = self.scope.of_facts(analysis.facts())
            && let Some(ruling) = known.for_text(text)
        {
            self.scope.note(text.as_bytes(), &known);
            return ruling;
        }
        let mut facts = analysis.facts().clone();
        facts.opaque.extend(analysis.oracles(self.catalog(), masks));
        let rewritten = match analysis.rewrite(self.catalog(), &self.sql_names, masks) {
            Ok(Rewrite::Unchanged) => None,
            Ok(Rewrite::Text(text)) => Some(text.into_bytes().into_boxed_slice()),
            Err(reason) => {
                facts.opaque.insert(reason);
                let mut ruling = self.ruled(text.as_bytes(), facts, None, masks, expected, now);
                // Even where policy lets opaque statements pass: not with data that must be masked (E3).
                if !matches!(ruling.decision.verdict, Verdict::Deny(_)) {
                    Arc::make_mut(&mut ruling.decision).verdict = Verdict::Deny(unmaskable());
                }
                return ruling;
            }
        };
        match self.labelled(&analysis, rewritten) {
            Ok(rewritten) => self.ruled(text.as_bytes(), facts, rewritten, masks, expected, now),
            Err(denial) => self.denied(text.as_bytes(), facts, labels::LABEL_RULE, denial),
        }
    }

    fn ruled(
        &self,
        text: &[u8],
        facts: StatementFacts,
        rewritten: Option<Box<[u8]>>,
        masks: &ColumnMasks,
        expected: Option<Option<u64>>,
        now: Timestamp,
    ) -> Ruling {
        let subject = self.state.subject(&self.actor);
        let mut context = self.key.context(now, self.usage(now));
        context.rows_expected = expected.flatten();
        let mut decision = match self.stale {
            Some(when) if when == WhenStale::Refuse || facts.is_strict() => self.stale_decision(),
            // The same facts with another estimate are another question.
            _ => match self.scope.of_facts(&facts).filter(|_| context.rows_expected.is_none()) {
                Some(known) => Decision::clone(&known.decision),
                None => {
                    self.state.policies.decide(&subject, &context, &facts, &self.sensitive().list)
                }
            },
        };
        self.bound(&mut decision, &facts);
        let stale = decision.rules.iter().any(|r| r.as_str() == STALE_RULE);
        let sqlstate = if stale { sqlstate::UNAVAILABLE } else { refusal_code(&facts, &decision) };
        let redacts = self.state.policies.redacts_record(&decision.rules);
        let mut ruling =
            profile::ruling(text, facts, decision, sqlstate, rewritten, masks, self.sensitive());
        if !matches!(ruling.decision.verdict, Verdict::Deny(_)) {
            ruling.screen = self.screen(&ruling.facts, now).map(Arc::new);
        }
        ruling.estimated = expected.is_some();
        ruling.expected = expected.flatten();
        if redacts {
            ruling.redact_binds = true;
            ruling.profile = ruling.profile.without_text().unwrap_or(ruling.profile);
        }
        ruling
    }

    /// Adds the session's limits, and refuses what could not be held to them.
    fn bound(&self, decision: &mut Decision, facts: &StatementFacts) {
        decision.limits.tighten(&self.session_limits);
        if matches!(decision.verdict, Verdict::Deny(_)) {
            return;
        }
        let refusal = self.role_refusal(facts);
        let refusal =
            refusal.or_else(|| bounds::refusal(facts, &decision.limits, self.key.read_only));
        if let Some((rule, denial)) = refusal {
            decision.rules = rule.parse::<RuleId>().into_iter().collect();
            decision.verdict = Verdict::Deny(denial);
        }
    }

    fn stale_decision(&self) -> Decision {
        self.decision(
            STALE_RULE,
            Denial {
                reason: "this edge has not heard from its control plane for longer than the environment allows"
                    .into(),
                next_step: "an operator has to bring the control plane back; then run it again".into(),
            },
        )
    }

    fn decision(&self, rule: &str, denial: Denial) -> Decision {
        Decision {
            verdict: Verdict::Deny(denial),
            rules: rule.parse::<RuleId>().into_iter().collect(),
            epoch: self.state.config.epoch,
            strict: true,
            limits: Limits::default(),
        }
    }

    fn denied(&self, text: &[u8], facts: StatementFacts, rule: &str, denial: Denial) -> Ruling {
        let decision = self.decision(rule, denial);
        let masks = ColumnMasks::default();
        let code = sqlstate::REFUSED;
        profile::ruling(text, facts, decision, code, None, &masks, self.sensitive())
    }
}

/// Whether the planner can be asked about a text: one known query or change, alone or in what makes it run later.
fn estimable(facts: &StatementFacts) -> bool {
    use writ_model::StatementKind as K;
    let plannable = |k: &K| matches!(k, K::Select | K::Insert | K::Update | K::Delete | K::Merge);
    facts.statements == 1 && !facts.kinds.is_empty() && facts.kinds.iter().all(plannable)
}

/// The rule that refuses what cannot be known.
const CLOSED_RULE: &str = "closed.opaque";
/// The rule that a stale edge names.
const STALE_RULE: &str = "stale-configuration";

/// A name that nobody knows is told with the server's own code: tools look whether their tables are there by it.
fn refusal_code(facts: &StatementFacts, decision: &Decision) -> SqlState {
    if !decision.rules.iter().all(|r| r.as_str() == CLOSED_RULE) {
        return sqlstate::REFUSED;
    }
    match facts.opaque.first() {
        Some(OpaqueReason::Syntax(_)) => sqlstate::SYNTAX_ERROR,
        Some(OpaqueReason::UnknownRelation(_)) => sqlstate::UNDEFINED_TABLE,
        Some(OpaqueReason::UnknownColumn(_)) => sqlstate::UNDEFINED_COLUMN,
        _ => sqlstate::REFUSED,
    }
}

fn unknown(reason: OpaqueReason) -> StatementFacts {
    StatementFacts {
        kinds: [writ_model::StatementKind::Unknown].into(),
        opaque: [reason].into(),
        ..StatementFacts::default()
    }
}

fn unmaskable() -> Denial {
    Denial {
        reason: "the statement uses masked columns in a way that cannot be masked soundly".into(),
        next_step: "leave those columns out, or ask an administrator for unmasked access".into(),
    }
}

fn database_gone() -> Denial {
    Denial {
        reason: "the database is not served here any more".into(),
        next_step: "`writ databases list` shows what is".into(),
    }
}

impl Gate for PolicyGate {
    fn refresh(&mut self, now: Timestamp) -> Result<(), String> {
        self.now = now;
        let stale = self.staleness(now);
        let as_before = period(&self.state, now) == self.key.period && stale == self.stale;
        if as_before && self.current.is_newest(&self.state) {
            return Ok(());
        }
        let state = self.current.state().ok_or_else(|| database_gone().reason)?;
        let period = period(&state, now);
        // E5: a state of an older epoch than the one in use never comes back.
        if state.config.epoch >= self.state.config.epoch {
            self.state = state;
        }
        self.key.period = period;
        let usage = self.usage(now);
        let (actor, limits) =
            may_connect(&self.state, &self.key, now, usage).map_err(|denial| denial.reason)?;
        if limits.read_only && !self.key.read_only {
            return Err("this principal's sessions are read-only from now on".into());
        }
        if role_of(&self.state, &actor).map_err(|denial| denial.reason)? != self.acting {
            return Err("this principal acts as another role of the database from now on".into());
        }
        if actor != self.actor {
            self.actor = actor;
            self.open_accounts(now);
        }
        self.session_limits = limits;
        self.stale = stale;
        self.rescope(now);
        Ok(())
    }

    fn stamp(&self) -> Stamp {
        Stamp(self.stamp)
    }

    fn rule(&mut self, text: &[u8], now: Timestamp) -> Arc<Ruling> {
        if let Some(ruling) = self.scope.known(text) {
            return ruling;
        }
        let has_shape = self.shape.take(text);
        if has_shape && let Some(ruling) = self.scope.of_shape(&self.shape, text) {
            return ruling;
        }
        let ruling = Arc::new(self.decide(text, None, now));
        if self.is_labelled(&ruling.facts) {
            return ruling;
        }
        self.scope.remember(&ruling);
        // What is opaque is told in the text's own words, and estimates are of one text.
        if has_shape && ruling.facts.opaque.is_empty() && !self.state.policies.wants_estimates() {
            self.scope.note_shape(&self.shape, &ruling);
        }
        ruling
    }

    fn rule_execute(
        &mut self,
        outer: &Ruling,
        prepared: &[Option<Arc<Ruling>>],
        now: Timestamp,
    ) -> Arc<Ruling> {
        let mut facts = StatementFacts::clone(&outer.facts);
        for ruling in prepared {
            match ruling {
                Some(ruling) => merge(&mut facts, &ruling.facts),
                None => {
                    let why = "it was not prepared in this session under this configuration: PREPARE it again";
                    facts.opaque.insert(OpaqueReason::Session(why.into()));
                }
            }
        }
        let none = ColumnMasks::default();
        let masks = self.scope.masks.as_ref().unwrap_or(&none);
        // What is executed was decided with the planner's estimate: the most of it counts.
        let expected = prepared.iter().flatten().filter_map(|ruling| ruling.expected).max();
        let expected = expected.map(Some);
        Arc::new(self.ruled(&outer.text, facts, outer.rewritten.clone(), masks, expected, now))
    }

    fn function_call_text(&self, oid: u32, arguments: u32) -> Option<String> {
        writ_sql::function_call_text(self.catalog(), oid, arguments)
    }

    fn refuse(&mut self, sqlstate: SqlState, what: &str, next_step: &str) -> Arc<Ruling> {
        let denial = Denial { reason: what.to_owned(), next_step: next_step.to_owned() };
        let decision = self.decision("protocol", denial);
        let facts = unknown(OpaqueReason::Limit(what.to_owned()));
        let masks = ColumnMasks::default();
        Arc::new(profile::ruling(b"", facts, decision, sqlstate, None, &masks, self.sensitive()))
    }

    fn hides_rows(&self, schema: &str, relation: &str) -> bool {
        match &self.scope.masks {
            Ok(masks) => writ_sql::rows_are_masked(self.catalog(), masks, schema, relation),
            Err(_) => true,
        }
    }

    fn names(&self) -> &SessionNames {
        &self.names
    }

    fn set_names(&mut self, names: SessionNames) {
        self.sql_names = Names {
            search_path: names.search_path.clone(),
            role: names.role.clone(),
            temp_relations: names.temp_relations.clone(),
            temp_active: names.temp_active.clone(),
            standard_conforming_strings: names.standard_conforming_strings,
        };
        if names != self.names {
            self.key.set_names(&names);
            self.names = names;
            self.rescope(self.now);
        }
    }

    fn wants_estimate(&self, ruling: &Ruling) -> bool {
        !ruling.estimated
            && self.state.policies.wants_estimates()
            && !matches!(ruling.decision.verdict, Verdict::Deny(_))
            && estimable(&ruling.facts)
    }

    fn rule_expecting(&mut self, text: &[u8], rows: Option<u64>, now: Timestamp) -> Arc<Ruling> {
        let ruling = Arc::new(self.decide(text, Some(rows), now));
        if !self.is_labelled(&ruling.facts) {
            self.scope.remember_text(&ruling);
        }
        ruling
    }

    fn detect(&self) -> Option<&dyn Detect> {
        self.detect.as_deref()
    }

    fn counts_usage(&self) -> bool {
        self.state.policies.counts_usage()
    }

    fn charge(&self, now: Timestamp, rows: u64, bytes: u64) {
        for (_, account) in &self.accounts {
            account.charge(now, rows, bytes);
        }
    }

    fn left(&self, limits: &[HourlyLimit], now: Timestamp) -> Left {
        let mut left = Left::default();
        for limit in limits {
            let known = self.accounts.iter().find(|(id, _)| *id == limit.principal);
            let used = known.map(|(_, account)| account.last_hour(now)).unwrap_or_default();
            let rest = |max: Option<u64>, used: u64, before: Option<u64>| match max {
                Some(max) => Some(max.saturating_sub(used).min(before.unwrap_or(u64::MAX))),
                None => before,
            };
            left.rows = rest(limit.rows_max, used.rows, left.rows);
            left.bytes = rest(limit.bytes_max, used.bytes, left.bytes);
        }
        left
    }

    fn set_own_catalog(&mut self, json: Option<&[u8]>) -> Result<(), String> {
        self.own = match json {
            None => None,
            Some(json) => {
                let text = std::str::from_utf8(json).map_err(|e| e.to_string())?;
                let catalog = parse_catalog(text).map_err(|e| e.to_string())?;
                let shared = &self.state.catalog;
                let is_own = |r: &writ_model::Relation| shared.relation_by_oid(r.oid).is_none();
                let list = sensitive_columns(&catalog, &self.state.known, is_own);
                Some(OwnCatalog { catalog: Arc::new(catalog), sensitive: Sensitive::new(list) })
            }
        };
        self.rescope(self.now);
        Ok(())
    }
}

fn merge(facts: &mut StatementFacts, other: &StatementFacts) {
    facts.kinds.extend(other.kinds.iter().copied());
    facts.reads.extend(other.reads.iter().cloned());
    facts.writes.extend(other.writes.iter().cloned());
    facts.defines.extend(other.defines.iter().cloned());
    facts.functions.extend(other.functions.iter().cloned());
    facts.opaque.extend(other.opaque.iter().cloned());
    facts.session.extend(other.session.iter().copied());
    facts.cursors.extend(other.cursors.iter().cloned());
    facts.uncounted_changes |= other.uncounted_changes;
    facts.define_schemas.extend(other.define_schemas.iter().cloned());
    facts.object_kinds.extend(other.object_kinds.iter().cloned());
    facts.bounded &= other.bounded;
}
