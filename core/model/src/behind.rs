//! What runs behind a statement without being named in it, and what answers about data through errors: bodies of
//! functions, operators, casts, domains, defaults, checks, triggers, keys.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// More than is in the catalog's list of functions about one that users made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionBody {
    /// `pg_proc.oid`.
    pub oid: u32,
    /// `prosrc`, or `pg_get_function_sqlbody(oid)` where the body is parsed; `None` where it is not shown (C).
    pub body: Option<String>,
    /// Whether the body is parsed: its names were resolved when it was made.
    pub parsed: bool,
    /// The names of its arguments; empty ones have none.
    pub arguments: Vec<String>,
    /// The expressions of its arguments' defaults, as `pg_get_expr` prints them.
    pub defaults: Option<String>,
    /// `proconfig`: settings that hold while it runs, `name=value`.
    pub settings: Vec<String>,
    /// The extension that it belongs to.
    pub extension: Option<String>,
    /// For aggregates: the oids of the functions that it is made of.
    pub support: Vec<u32>,
    /// Whether it returns `trigger`.
    pub trigger: bool,
}

/// An operator that users made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The schema's exact name.
    pub schema: String,
    /// The operator.
    pub name: String,
    /// The oid of the function that it calls.
    pub function: u32,
}

/// A cast that calls a function that users made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// The type that it takes, as `format_type` prints it.
    pub source: String,
    /// The type that it gives, as `format_type` prints it.
    pub target: String,
    /// The oid of the function that it calls.
    pub function: u32,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The domain, as `format_type` prints it.
    pub name: String,
    /// The type below it.
    pub base: String,
    /// The oids of functions that users made and that its CHECKs and its default call.
    pub functions: Vec<u32>,
}

/// When code behind a relation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    /// A row comes in without a value for [`Hook::column`].
    Default,
    /// A row is written that has the generated column [`Hook::column`].
    Generated,
    /// A row is read that has the virtual generated column [`Hook::column`].
    Virtual,
    /// A row is written: CHECK, index or partition expressions.
    Write,
    /// Rows are read or written under row security.
    Policy,
    /// A trigger fires.
    Trigger,
    /// A rule takes the place of a change. It has no function: what it does is not known.
    Rule,
    /// Row security holds for the owner too. It has no function.
    Forced,
    /// Something is defined, altered or dropped: event triggers. The hook is of no relation.
    Definition,
}

/// One function that runs behind one relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The relation's oid; 0 for event triggers.
    pub relation: u32,
    /// When it runs.
    pub event: HookEvent,
    /// The column that it fills; 0 where it fills none.
    pub column: i16,
    /// The function's oid; 0 where there is none.
    pub function: u32,
    /// For triggers: the arguments that its function is given.
    pub arguments: Vec<String>,
}

/// A column that an expression behind a relation looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependence {
    /// The relation that has the expression.
    pub relation: u32,
    /// The generated column that the expression fills; 0 for a row security policy.
    pub column: i16,
    /// The relation that is looked at.
    pub source: u32,
    /// Its column.
    pub source_column: i16,
}

/// What sort of answer a constraint gives about rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Whether a value exists: PRIMARY KEY, checked at once. Other columns of the table depend on it.
    Primary,
    /// Whether a value exists: UNIQUE, a unique index, a key that is checked later.
    Unique,
    /// Whether a conflicting value exists: EXCLUDE.
    Exclusion,
    /// Whether a value exists in another relation.
    Foreign,
    /// Whether a condition over the row holds.
    Check,
    /// Whether a row of a new partition is in the default one.
    DefaultPartition,
}

/// One such constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The relation's oid.
    pub relation: u32,
    /// The constraint's or the index's name.
    pub name: String,
    /// Its sort.
    pub kind: KeyKind,
    /// The columns that it looks at, those of expressions included.
    pub columns: Vec<i16>,
    /// For foreign keys: the other relation; otherwise 0.
    pub referenced: u32,
    /// For foreign keys: the columns there.
    pub referenced_columns: Vec<i16>,
    /// For foreign keys: whether a change there changes rows here (CASCADE, SET NULL, SET DEFAULT).
    pub acts: bool,
}

/// All of it. Only what users made is listed: the server's own functions are known by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Bodies of functions.
    pub functions: Vec<FunctionBody>,
    /// Operators.
    pub operators: Vec<Operator>,
    /// Casts.
    pub casts: Vec<Cast>,
    /// Domains.
    pub domains: Vec<Domain>,
    /// Code behind relations.
    pub hooks: Vec<Hook>,
    /// Columns that generated columns and policies look at.
    pub dependences: Vec<Dependence>,
    /// Constraints that answer about rows.
    pub keys: Vec<Key>,
}

/// [`Behind`] by what it is looked up with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) all: Behind,
    bodies: HashMap<u32, usize>,
    operators: HashMap<String, Vec<usize>>,
    hooks: HashMap<u32, Vec<usize>>,
    dependences: HashMap<u32, Vec<usize>>,
    keys: HashMap<u32, Vec<usize>>,
    known: bool,
}

fn grouped<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, Vec<usize>> {
    let mut found: HashMap<K, Vec<usize>> = HashMap::new();
    for (at, key) in keys.enumerate() {
        found.entry(key).or_default().push(at);
    }
    found
}

fn at<'a, T, K: std::hash::Hash + Eq>(
    all: &'a [T],
    index: &'a HashMap<K, Vec<usize>>,
    key: &K,
) -> impl Iterator<Item = &'a T> + use<'a, T, K> {
    index.get(key).map_or(&[][..], Vec::as_slice).iter().filter_map(|at| all.get(*at))
}

impl Index {
    pub(crate) fn new(all: Behind) -> Self {
        let mut keys: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, key) in all.keys.iter().enumerate() {
            keys.entry(key.relation).or_default().push(at);
            if key.kind == KeyKind::Foreign && key.referenced != key.relation {
                keys.entry(key.referenced).or_default().push(at);
            }
        }
        Self {
            bodies: all.functions.iter().enumerate().map(|(at, f)| (f.oid, at)).collect(),
            operators: grouped(all.operators.iter().map(|o| o.name.clone())),
            hooks: grouped(all.hooks.iter().map(|h| h.relation)),
            dependences: grouped(all.dependences.iter().map(|d| d.relation)),
            keys,
            known: true,
            all,
        }
    }
}

/// The questions that the analysis asks of a catalog about what is behind a statement.
impl crate::Catalog {
    /// Whether the snapshot knows what is behind statements at all.
    #[must_use]
    pub fn knows_behind(&self) -> bool {
        self.behind.known
    }

    /// All that is known.
    #[must_use]
    pub fn behind(&self) -> &Behind {
        &self.behind.all
    }

    /// The body of a function that users made.
    #[must_use]
    pub fn body(&self, function: u32) -> Option<&FunctionBody> {
        self.behind.all.functions.get(*self.behind.bodies.get(&function)?)
    }

    /// The operators that users made under this name, in any schema.
    pub fn operators_named(&self, name: &str) -> impl Iterator<Item = &Operator> {
        let found = self.behind.operators.get(name).map_or(&[][..], Vec::as_slice);
        found.iter().filter_map(|at| self.behind.all.operators.get(*at))
    }

    /// What runs behind a relation.
    pub fn hooks(&self, relation: u32) -> impl Iterator<Item = &Hook> {
        at(&self.behind.all.hooks, &self.behind.hooks, &relation)
    }

    /// The columns that the generated columns and policies of a relation look at.
    pub fn dependences(&self, relation: u32) -> impl Iterator<Item = &Dependence> {
        at(&self.behind.all.dependences, &self.behind.dependences, &relation)
    }

    /// The constraints of a relation, and the foreign keys that point to it.
    pub fn keys(&self, relation: u32) -> impl Iterator<Item = &Key> {
        at(&self.behind.all.keys, &self.behind.keys, &relation)
    }
}
