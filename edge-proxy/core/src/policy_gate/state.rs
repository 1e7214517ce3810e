//! Everything that statements against one database are decided with, under one epoch (E5), and what was decided so far.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use writ_model::config::{Database, EdgeConfig, Environment};
use writ_model::{
    Actor, Catalog, ColumnMasks, ColumnRef, Denial, PrincipalId, StatementFacts, Tag, Timestamp,
    Usage,
};
use writ_policy::{ColumnSensitivity, Policies, RequestContext, Subject};
use writ_sql::Shape;

use super::room::{OfAll, Room};
use super::sensitivity::{KnownColumns, sensitive_columns};
use crate::gate::{Ruling, SessionNames};

/// The texts that one scope remembers, in bytes of text and record; more are decided again.
pub const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest text that is remembered, in bytes.
pub const CACHED_TEXT_BYTES_MAX: usize = 64 * 1024;
/// What one scope notes of texts whose facts are known, in bytes: they are ruled on without another look at them.
pub const NOTED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What one noted text takes beside itself, in bytes.
const NOTE_BYTES: usize = 96;
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
    remembered: OfAll,
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
            remembered: OfAll::default(),
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
        let scope = Arc::new(Scope::new(masks, &self.remembered));
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
    pub(super) temp_active: Vec<String>,
    pub(super) standard_conforming_strings: bool,
    /// Whether the session was made read-only when it began: the server was told so, and it stays so.
    pub(super) read_only: bool,
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
        self.temp_active.clone_from(&names.temp_active);
        self.standard_conforming_strings = names.standard_conforming_strings;
    }
}

/// What was decided in one scope. The key is the exact text or the exact facts. A shape stands for facts only where the
/// tree shows that all texts of the shape have them (docs/adr/0004).
pub(super) struct Scope {
    pub(super) masks: Result<ColumnMasks, Denial>,
    /// What is hidden in screened results, where that is the same for all columns.
    pub(super) hidden: OnceLock<BTreeSet<usize>>,
    rulings: Mutex<Rulings>,
}

/// Texts that one scope knows to have seen lately; a text is remembered when it comes again.
const SEEN_TEXTS: usize = 4_096;
/// What a ruling takes beside its texts, record and facts, in bytes.
const RULING_BYTES: usize = 1_024;

struct Rulings {
    /// Texts that came once, with the ruling on their facts. One that comes again is made whole, where there is room.
    noted: Noted,
    by_text: HashMap<Box<[u8]>, Arc<Ruling>, ahash::RandomState>,
    /// A decision depends on a text only through its facts: texts that differ in literals share one.
    by_facts: HashMap<Arc<StatementFacts>, Arc<Ruling>, ahash::RandomState>,
    /// The hashes of texts that were seen once, each in the place that it gives.
    seen: Vec<u64>,
    room: Room,
}

/// Texts whose facts are known, each with a ruling on another text of exactly the same facts.
struct Noted {
    /// Exact texts.
    texts: HashMap<Box<[u8]>, Arc<Ruling>, ahash::RandomState>,
    /// What is known of all texts of a shape; `None`: that their integers may make a difference.
    shapes: HashMap<Box<[u8]>, Option<Arc<Ruling>>, ahash::RandomState>,
    room: Room,
}

impl Noted {
    fn new(of_all: &OfAll) -> Self {
        let room = Room::new(NOTED_BYTES_MAX, Arc::clone(of_all));
        Self { texts: HashMap::default(), shapes: HashMap::default(), room }
    }

    fn insert(&mut self, text: &[u8], base: &Arc<Ruling>) {
        self.make_room(text);
        if self.texts.insert(text.into(), Arc::clone(base)).is_none() {
            self.count(text);
        }
    }

    fn insert_shape(&mut self, shape: &[u8], base: Option<Arc<Ruling>>) {
        self.make_room(shape);
        if self.shapes.insert(shape.into(), base).is_none() {
            self.count(shape);
        }
    }

    fn make_room(&mut self, key: &[u8]) {
        if !self.room.has(key.len() + NOTE_BYTES) {
            self.clear();
        }
    }

    fn count(&mut self, key: &[u8]) {
        self.room.take(key.len() + NOTE_BYTES);
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.shapes.clear();
        self.room.clear();
    }
}

impl Rulings {
    fn new(of_all: &OfAll) -> Self {
        Self {
            noted: Noted::new(of_all),
            by_text: HashMap::default(),
            by_facts: HashMap::default(),
            seen: Vec::new(),
            room: Room::new(CACHE_BYTES_MAX, Arc::clone(of_all)),
        }
    }

    /// Whether `text` was seen lately; notes it. Of ever new texts none is worth its memory.
    fn seen(&mut self, text: &[u8]) -> bool {
        if self.seen.is_empty() {
            self.seen = vec![0; SEEN_TEXTS];
        }
        let hash = self.by_text.hasher().hash_one(text);
        let place = usize::try_from(hash % SEEN_TEXTS as u64).unwrap_or_default();
        self.seen.get_mut(place).is_some_and(|seen| std::mem::replace(seen, hash) == hash)
    }

    fn make_room(&mut self, ruling: &Ruling) {
        let size = size_of(ruling);
        if !self.room.has(size) {
            // What is noted would keep the rulings on its facts alive.
            self.noted.clear();
            self.by_text.clear();
            self.by_facts.clear();
            self.room.clear();
        }
        self.room.take(size);
    }

    fn keep(&mut self, ruling: &Arc<Ruling>) {
        self.make_room(ruling);
        self.by_text.insert(ruling.text.clone(), Arc::clone(ruling));
    }
}

/// What a ruling takes with its texts, in bytes.
fn size_of(ruling: &Ruling) -> usize {
    3 * ruling.text.len() + ruling.profile.len_bytes() + RULING_BYTES
}

impl Scope {
    fn new(masks: Result<ColumnMasks, Denial>, of_all: &OfAll) -> Self {
        let rulings = Mutex::new(Rulings::new(of_all));
        Self { masks, hidden: OnceLock::new(), rulings }
    }

    pub(super) fn unshared(masks: Result<ColumnMasks, Denial>) -> Arc<Self> {
        Arc::new(Self::new(masks, &OfAll::default()))
    }

    /// What was ruled on exactly this text, or on one with exactly the facts that this text was found to have.
    pub(super) fn known(&self, text: &[u8]) -> Option<Arc<Ruling>> {
        let rulings = lock(&self.rulings);
        if let Some(ruling) = rulings.by_text.get(text) {
            return Some(Arc::clone(ruling));
        }
        let base = Arc::clone(rulings.noted.texts.get(text)?);
        drop(rulings);
        let ruling = Arc::new(base.for_text(std::str::from_utf8(text).ok()?)?);
        let mut rulings = lock(&self.rulings);
        // As much again stays free: those seen more often have it.
        if rulings.room.has(size_of(&ruling) + CACHE_BYTES_MAX / 2) {
            rulings.keep(&ruling);
        }
        Some(ruling)
    }

    /// What was ruled on a text of this shape, where it is known that all of them have its facts.
    pub(super) fn of_shape(&self, shape: &Shape, text: &[u8]) -> Option<Arc<Ruling>> {
        let mut rulings = lock(&self.rulings);
        let base = rulings.noted.shapes.get(shape.as_bytes())?.clone()?;
        let again = rulings.seen(text);
        drop(rulings);
        let ruling = Arc::new(base.for_text(std::str::from_utf8(text).ok()?)?);
        if again {
            lock(&self.rulings).keep(&ruling);
        }
        Some(ruling)
    }

    /// Notes what `ruling` says of all texts of its shape, once a second one came.
    pub(super) fn note_shape(&self, shape: &Shape, ruling: &Arc<Ruling>) {
        let key = shape.as_bytes();
        let mut rulings = lock(&self.rulings);
        if rulings.noted.shapes.contains_key(key) || !rulings.seen(key) {
            return;
        }
        drop(rulings);
        let text = std::str::from_utf8(&ruling.text).ok();
        let holds = text.is_some_and(writ_sql::integers_are_operands);
        lock(&self.rulings).noted.insert_shape(key, holds.then(|| Arc::clone(ruling)));
    }

    /// Notes that `text` has the facts that `base` was ruled on.
    pub(super) fn note(&self, text: &[u8], base: &Arc<Ruling>) {
        if text.len() <= CACHED_TEXT_BYTES_MAX {
            lock(&self.rulings).noted.insert(text, base);
        }
    }

    /// What was ruled on a text with exactly these facts.
    pub(super) fn of_facts(&self, facts: &StatementFacts) -> Option<Arc<Ruling>> {
        lock(&self.rulings).by_facts.get(facts).cloned()
    }

    /// Remembers a ruling for its exact text alone.
    pub(super) fn remember_text(&self, ruling: &Arc<Ruling>) {
        if ruling.text.len() <= CACHED_TEXT_BYTES_MAX {
            lock(&self.rulings).keep(ruling);
        }
    }

    /// Remembers a ruling for its facts at once, and for its text when the text comes again.
    pub(super) fn remember(&self, ruling: &Arc<Ruling>) {
        if ruling.text.len() > CACHED_TEXT_BYTES_MAX {
            return;
        }
        let mut rulings = lock(&self.rulings);
        // The same facts with another estimate are another question.
        if !ruling.estimated && !rulings.by_facts.contains_key(&ruling.facts) {
            rulings.make_room(ruling);
            rulings.by_facts.insert(Arc::clone(&ruling.facts), Arc::clone(ruling));
        }
        if rulings.seen(&ruling.text) {
            rulings.keep(ruling);
        }
    }
}

/// A panic while a cache was locked leaves a cache: it is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
