//! Which names a clause can see: query levels, the range entries of each, and CTEs.

use std::rc::Rc;
use std::sync::Arc;

use writ_model::Relation;

use crate::overlay::Seen;

/// What a range entry stands for.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A relation: its schema and name, which key the facts.
    Relation {
        /// The schema.
        schema: String,
        /// The name.
        name: String,
        /// The real names of the columns; `None` for a system relation outside the snapshot.
        columns: Option<Arc<[String]>>,
        /// Whether only this relation is meant, without its children.
        only: bool,
    },
    /// A subquery, CTE or function: what it reads was counted where it was written. It surely has
    /// these columns, and maybe others.
    Derived(Vec<String>),
    /// A derived entry of these columns and no others.
    Known(Vec<String>),
}

/// One entry of a FROM clause, or the target of a change.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name that qualifies its columns.
    pub(crate) alias: String,
    /// The schema that may qualify the name too; empty where an alias hides it.
    pub(crate) schema: String,
    /// New names of the first columns.
    pub(crate) renames: Vec<String>,
    /// What it stands for.
    pub(crate) source: Source,
    /// Whether it is the target of a change, which cannot be replaced by a subselect.
    pub(crate) target: bool,
    /// Whether the rewrite has put a subselect in its place.
    pub(crate) replaced: bool,
    /// What `tableoid` is in every row, where a subselect stands in place of one plain table.
    pub(crate) oid: Option<u32>,
    /// Whether a column name without a qualifier can mean this entry.
    pub(crate) unqualified: bool,
}

/// The columns that every table has.
pub(crate) const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// What a column name means in one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hit {
    /// This real column.
    Column(String),
    /// A system column.
    System(String),
    /// A column of a derived entry, maybe.
    Maybe,
    /// A column of a derived entry, surely.
    Derived,
    /// No column of the entry.
    None,
}

impl Entry {
    /// An entry of a subquery, CTE or function.
    pub(crate) fn derived(alias: &str) -> Self {
        Self {
            alias: alias.to_owned(),
            schema: String::new(),
            renames: Vec::new(),
            source: Source::Derived(Vec::new()),
            target: false,
            replaced: false,
            oid: None,
            unqualified: true,
        }
    }

    /// An entry of a relation of the snapshot.
    pub(crate) fn relation(
        catalog: Seen<'_>,
        relation: &Relation,
        alias: &str,
        only: bool,
    ) -> Self {
        let source = Source::Relation {
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            columns: Some(catalog.column_names(relation)),
            only,
        };
        let schema = if alias.is_empty() { relation.schema.clone() } else { String::new() };
        let alias = if alias.is_empty() { &relation.name } else { alias };
        Self { schema, source, ..Self::derived(alias) }
    }

    /// An entry of a server's relation that the snapshot leaves out.
    pub(crate) fn system(schema: &str, name: &str, alias: &str) -> Self {
        let source = Source::Relation {
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: None,
            only: false,
        };
        let hidden = !alias.is_empty();
        let (schema, alias) = if hidden { ("", alias) } else { (schema, name) };
        Self { schema: schema.to_owned(), source, ..Self::derived(alias) }
    }

    /// What `name` means here.
    pub(crate) fn hit(&self, name: &str) -> Hit {
        match &self.source {
            Source::Derived(sure) if sure.iter().any(|c| c == name) => Hit::Derived,
            Source::Derived(_) => Hit::Maybe,
            Source::Known(columns) => {
                if columns.iter().any(|c| c == name) {
                    Hit::Derived
                } else {
                    Hit::None
                }
            }
            Source::Relation { columns: None, .. } => match self.renamed(name) {
                Some(_) => Hit::Maybe,
                None => Hit::Column(name.to_owned()),
            },
            Source::Relation { columns: Some(columns), .. } => {
                let real = match self.renamed(name) {
                    Some(at) => columns.get(at),
                    None => columns.iter().skip(self.renames.len()).find(|c| *c == name),
                };
                match real {
                    Some(real) => Hit::Column(real.clone()),
                    None if SYSTEM_COLUMNS.contains(&name) => Hit::System(name.to_owned()),
                    None => Hit::None,
                }
            }
        }
    }

    fn renamed(&self, name: &str) -> Option<usize> {
        self.renames.iter().position(|r| r == name)
    }
}

/// One query level.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    /// What its FROM clause, or the change, brings into scope.
    pub(crate) entries: Vec<Rc<Entry>>,
    /// Whether the level cannot be seen just now: a FROM subquery without LATERAL does not see it.
    pub(crate) hidden: bool,
    /// Whether names of output columns are in scope just now (ORDER BY, GROUP BY, DISTINCT ON).
    pub(crate) outputs: bool,
}

/// All relations that share rows with `relation`: itself, its ancestors and, unless `only`, its
/// descendants. Partitions and inheritance children count with their parents.
pub(crate) fn family<'a>(
    catalog: Seen<'a>,
    relation: &'a Relation,
    only: bool,
) -> Vec<&'a Relation> {
    let mut found = vec![relation];
    let mut up: Vec<u32> = relation.parents.clone();
    while let Some(oid) = up.pop() {
        if let Some(parent) = catalog.relation_by_oid(oid)
            && !found.iter().any(|f| f.oid == oid)
        {
            found.push(parent);
            up.extend(&parent.parents);
        }
    }
    let mut down: Vec<u32> =
        if only { Vec::new() } else { catalog.children(relation.oid).to_vec() };
    while let Some(oid) = down.pop() {
        if let Some(child) = catalog.relation_by_oid(oid)
            && !found.iter().any(|f| f.oid == oid)
        {
            found.push(child);
            down.extend(catalog.children(oid));
        }
    }
    found
}
