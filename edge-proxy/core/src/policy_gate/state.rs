//! Everything that statements against one database are decided with, under one epoch (E5), and what was decided so far.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_model::config::{Database, EdgeConfig, Environment};
use writ_model::{
    Actor, Catalog, ColumnMasks, ColumnRef, Decision, Denial, PrincipalId, StatementFacts, Tag,
    Timestamp, Usage,
};
use writ_policy::{ColumnSensitivity, Policies, RequestContext, Subject};

use super::sensitivity::{KnownColumns, sensitive_columns};
use crate::gate::{Ruling, SessionNames};

/// The texts that one scope remembers, in bytes of text and record; more are decided again.
pub const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest text that is remembered, in bytes.
pub const CACHED_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Scopes that one state remembers: principals × roles × search paths.
const SCOPES_MAX: usize = 4_096;

/// One database under one epoch and one catalog.
pub struct DatabaseState {
    /// The epoch's configuration.
    pub config: Arc<EdgeConfig>,
    /// Its policies, compiled.
    pub policies: Arc<Policies>,
    /// The database.
    pub database: Database,
    /// What it contains.
    pub catalog: Arc<Catalog>,
    /// What is known of its columns.
    pub known: Arc<KnownColumns>,
    sensitive: Sensitive,
    scopes: Mutex<HashMap<ScopeKey, Arc<Scope>>>,
}

/// Sensitive columns, as a list for policy and as a map for records.
pub(super) struct Sensitive {
    pub(super) list: Vec<ColumnSensitivity>,
    tags: HashMap<ColumnRef, Tag>,
}

impl Sensitive {
    pub(super) fn new(list: Vec<ColumnSensitivity>) -> Self {
        let tags = list.iter().map(|s| (s.column.clone(), s.tag.clone())).collect();
        Self { list, tags }
    }

    pub(super) fn tag(&self, column: &ColumnRef) -> Option<&Tag> {
        self.tags.get(column)
    }
}

impl DatabaseState {
    /// Puts a state together.
    #[must_use]
    pub fn new(
        config: Arc<EdgeConfig>,
        policies: Arc<Policies>,
        database: Database,
        catalog: Arc<Catalog>,
        known: KnownColumns,
    ) -> Self {
        let sensitive = Sensitive::new(sensitive_columns(&catalog, &known, |_| false));
        Self {
            config,
            policies,
            database,
            catalog,
            known: Arc::new(known),
            sensitive,
            scopes: Mutex::default(),
        }
    }

    /// The environment's rules.
    #[must_use]
    pub fn environment(&self) -> Option<&Environment> {
        self.config.environment.as_ref()
    }

    /// All sensitive columns, sorted as the catalog is.
    #[must_use]
    pub fn sensitive(&self) -> &[ColumnSensitivity] {
        &self.sensitive.list
    }

    pub(super) fn sensitive_set(&self) -> &Sensitive {
        &self.sensitive
    }

    /// How many scopes are remembered.
    #[must_use]
    pub fn scopes(&self) -> usize {
        lock(&self.scopes).len()
    }

    pub(super) fn subject<'a>(&'a self, actor: &'a Actor) -> Subject<'a> {
        Subject { actor, database: &self.database, epoch: self.config.epoch }
    }

    /// The scope for `key`, with its masks, made once.
    pub(super) fn scope(
        &self,
        key: ScopeKey,
        actor: &Actor,
        now: Timestamp,
        usage: Usage,
    ) -> Arc<Scope> {
        let mut scopes = lock(&self.scopes);
        if let Some(scope) = scopes.get(&key) {
            return Arc::clone(scope);
        }
        // A period that is over is never asked for again: what it remembers goes with it.
        scopes.retain(|known, _| known.period >= key.period);
        if scopes.len() >= SCOPES_MAX {
            scopes.clear();
        }
        let context = key.context(now, usage);
        let masks = self.policies.masks(&self.subject(actor), &context, &self.sensitive.list);
        let scope = Arc::new(Scope::new(masks));
        scopes.insert(key, Arc::clone(&scope));
        scope
    }
}

/// Everything beside the state that a decision depends on, the text excepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ScopeKey {
    pub(super) principal: PrincipalId,
    pub(super) client_address: Option<IpAddr>,
    pub(super) application_name: String,
    pub(super) role: String,
    pub(super) search_path: Vec<String>,
    pub(super) temp_relations: Vec<String>,
    pub(super) standard_conforming_strings: bool,
    /// Rules may look at the time: see `DECISION_AGE`.
    pub(super) period: i64,
}

impl ScopeKey {
    pub(super) fn context(&self, now: Timestamp, usage: Usage) -> RequestContext {
        RequestContext {
            now,
            client_address: self.client_address,
            application_name: self.application_name.clone(),
            usage,
            rows_expected: None,
        }
    }

    pub(super) fn set_names(&mut self, names: &SessionNames) {
        self.role.clone_from(&names.role);
        self.search_path.clone_from(&names.search_path);
        self.temp_relations.clone_from(&names.temp_relations);
        self.standard_conforming_strings = names.standard_conforming_strings;
    }
}

/// What was decided in one scope. The key is the exact text: never a normalised one.
pub(super) struct Scope {
    pub(super) masks: Result<ColumnMasks, Denial>,
    rulings: Mutex<Rulings>,
    /// A decision depends on a text only through its facts: texts that differ in literals share one.
    decisions: Mutex<HashMap<StatementFacts, Decision, ahash::RandomState>>,
    /// SELECTs that differ in integers alone: see `shape`.
    shapes: Mutex<HashMap<Box<[u8]>, Arc<Ruling>, ahash::RandomState>>,
}

/// Shapes that one scope remembers.
const SHAPES_MAX: usize = 1_024;

/// Facts whose decisions one scope remembers.
const DECISIONS_MAX: usize = 4_096;

#[derive(Default)]
struct Rulings {
    by_text: HashMap<Box<[u8]>, Arc<Ruling>, ahash::RandomState>,
    bytes: usize,
}

impl Scope {
    fn new(masks: Result<ColumnMasks, Denial>) -> Self {
        Self {
            masks,
            rulings: Mutex::default(),
            decisions: Mutex::default(),
            shapes: Mutex::default(),
        }
    }

    /// The decision for `facts`; `decide` makes it where it is not known yet.
    pub(super) fn decision(
        &self,
        facts: &StatementFacts,
        decide: impl FnOnce() -> Decision,
    ) -> Decision {
        if let Some(decision) = lock(&self.decisions).get(facts) {
            return decision.clone();
        }
        let decision = decide();
        let mut decisions = lock(&self.decisions);
        if decisions.len() >= DECISIONS_MAX {
            decisions.clear();
        }
        decisions.insert(facts.clone(), decision.clone());
        decision
    }

    pub(super) fn unshared(masks: Result<ColumnMasks, Denial>) -> Arc<Self> {
        Arc::new(Self::new(masks))
    }

    pub(super) fn known(&self, text: &[u8]) -> Option<Arc<Ruling>> {
        lock(&self.rulings).by_text.get(text).cloned()
    }

    pub(super) fn of_shape(&self, shape: &[u8]) -> Option<Arc<Ruling>> {
        lock(&self.shapes).get(shape).cloned()
    }

    pub(super) fn remember_shape(&self, shape: Vec<u8>, ruling: &Arc<Ruling>) {
        let mut shapes = lock(&self.shapes);
        if shapes.len() >= SHAPES_MAX {
            shapes.clear();
        }
        shapes.insert(shape.into(), Arc::clone(ruling));
    }

    pub(super) fn remember(&self, ruling: &Arc<Ruling>) {
        if ruling.text.len() > CACHED_TEXT_BYTES_MAX {
            return;
        }
        let size = 3 * ruling.text.len() + ruling.profile.len_bytes() + 1_024;
        let mut rulings = lock(&self.rulings);
        if rulings.bytes + size > CACHE_BYTES_MAX {
            *rulings = Rulings::default();
        }
        rulings.bytes += size;
        rulings.by_text.insert(ruling.text.clone(), Arc::clone(ruling));
    }
}

/// A panic while a cache was locked leaves a cache: it is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
