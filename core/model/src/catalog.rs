//! What a database contains, as its own catalog says: the ground on which names are resolved.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::behind::{Behind, Index};

/// Object ids below this were made by initdb: they are the server's own.
pub const FIRST_USER_OID: u32 = 16_384;

/// What sort of relation a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table: its rows live in its children.
    PartitionedTable,
    /// A view: its definition is in [`Relation::definition`].
    View,
    /// A materialised view: stored data.
    MaterializedView,
    /// A foreign table: its rows live elsewhere.
    ForeignTable,
    /// A sequence.
    Sequence,
    /// A composite type made by CREATE TYPE.
    CompositeType,
    /// Anything else in pg_class (indexes, TOAST tables).
    Other,
}

/// One column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// `attnum`: its position, 1 for the first; dropped columns leave holes.
    pub number: i16,
    /// The exact name.
    pub name: String,
    /// The type as `format_type(atttypid, atttypmod)` prints it, such as `character varying(11)`.
    pub type_name: String,
    /// `pg_type.typcategory`: `S` string, `N` numeric, `D` date/time, `B` boolean, `A` array, `U` user, ….
    pub type_category: char,
    /// Whether it is declared NOT NULL.
    pub not_null: bool,
    /// Whether it is generated from other columns.
    pub generated: bool,
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// The schema's exact name.
    pub schema: String,
    /// The exact name.
    pub name: String,
    /// What sort of relation it is.
    pub kind: RelationKind,
    /// The role that owns it.
    pub owner: String,
    /// Its columns without dropped ones, in attnum order.
    pub columns: Vec<Column>,
    /// For views: `pg_get_viewdef(oid)`.
    pub definition: Option<String>,
    /// The oids of its direct inheritance or partition parents.
    pub parents: Vec<u32>,
    /// Whether it has user triggers or rules (other than a view's own), so that a write runs unseen code.
    pub has_triggers: bool,
    /// Whether row security is on.
    pub row_security: bool,
    /// `reltuples`: the planner's row estimate; negative where never analysed.
    pub row_estimate: f32,
}

impl Relation {
    /// The column called exactly `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    fn column_names(&self) -> Arc<[String]> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    /// Whether the server itself made this relation.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.schema == "pg_catalog" || self.schema == "information_schema"
    }
}

/// How much a function may do, as its author declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    /// The same result for ever.
    Immutable,
    /// The same result within a statement.
    Stable,
    /// Anything, side effects included.
    Volatile,
}

/// One function, procedure, aggregate or window function. Overloads are entries of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// `pg_proc.oid`.
    pub oid: u32,
    /// The schema's exact name.
    pub schema: String,
    /// The exact name.
    pub name: String,
    /// The language's name: `internal`, `c`, `sql`, `plpgsql`, ….
    pub language: String,
    /// As declared.
    pub volatility: Volatility,
    /// Whether it runs with its owner's rights.
    pub security_definer: bool,
}

/// A database's catalog at one moment. Build it with [`Catalog::new`], which indexes it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// `server_version_num`, such as 150018.
    pub server_version_num: u32,
    relations: Vec<Relation>,
    functions: Vec<Function>,
    relation_by_name: HashMap<String, HashMap<String, usize>>,
    relation_by_oid: HashMap<u32, usize>,
    /// The names of each relation's columns.
    column_names: Vec<Arc<[String]>>,
    functions_by_name: HashMap<String, Vec<usize>>,
    function_by_oid: HashMap<u32, usize>,
    children: HashMap<u32, Vec<u32>>,
    pub(crate) behind: Index,
}

impl Catalog {
    /// Indexes `relations` and `functions`. A later entry of the same schema and name replaces an earlier one.
    #[must_use]
    pub fn new(
        server_version_num: u32,
        relations: Vec<Relation>,
        functions: Vec<Function>,
    ) -> Self {
        let mut catalog = Self { server_version_num, relations, functions, ..Self::default() };
        for (index, relation) in catalog.relations.iter().enumerate() {
            catalog
                .relation_by_name
                .entry(relation.schema.clone())
                .or_default()
                .insert(relation.name.clone(), index);
            catalog.relation_by_oid.insert(relation.oid, index);
            catalog.column_names.push(relation.column_names());
            for parent in &relation.parents {
                catalog.children.entry(*parent).or_default().push(relation.oid);
            }
        }
        for (index, function) in catalog.functions.iter().enumerate() {
            catalog.functions_by_name.entry(function.name.clone()).or_default().push(index);
            catalog.function_by_oid.insert(function.oid, index);
        }
        catalog
    }

    /// The same catalog with what runs behind statements.
    #[must_use]
    pub fn with_behind(self, behind: Behind) -> Self {
        Self { behind: Index::new(behind), ..self }
    }

    /// All relations.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The relation called exactly `schema.name`.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        let index = *self.relation_by_name.get(schema)?.get(name)?;
        self.relations.get(index)
    }

    /// The relation with this oid.
    #[must_use]
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(*self.relation_by_oid.get(&oid)?)
    }

    /// The names of the columns of a relation, as the snapshot has it.
    #[must_use]
    pub fn column_names(&self, relation: &Relation) -> Arc<[String]> {
        let own = self.relation_by_oid.get(&relation.oid).filter(|index| {
            // One that a text has changed is another.
            self.relations.get(**index).is_some_and(|known| std::ptr::eq(known, relation))
        });
        let names = own.and_then(|index| self.column_names.get(*index));
        names.map_or_else(|| relation.column_names(), Arc::clone)
    }

    /// The first relation called `name` in the order of `search_path`: what an unqualified name means.
    #[must_use]
    pub fn resolve(&self, search_path: &[String], name: &str) -> Option<&Relation> {
        search_path.iter().find_map(|schema| self.relation(schema, name))
    }

    /// All overloads of every function called `name`, in any schema.
    pub fn functions_named(&self, name: &str) -> impl Iterator<Item = &Function> {
        let indexes = self.functions_by_name.get(name).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|index| self.functions.get(*index))
    }

    /// The function with this oid.
    #[must_use]
    pub fn function_by_oid(&self, oid: u32) -> Option<&Function> {
        self.functions.get(*self.function_by_oid.get(&oid)?)
    }

    /// All functions.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The oids of direct inheritance or partition children.
    #[must_use]
    pub fn children(&self, oid: u32) -> &[u32] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }
}
