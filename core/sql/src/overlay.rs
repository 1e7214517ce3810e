//! The catalog as the statements of a text see it one after the other: what the text itself has altered, renamed,
//! dropped or made lies over the snapshot. What cannot be followed exactly is not followed: the walk then takes no name
//! for known any more (E2).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use writ_model::{Catalog, Function, Relation};

use crate::names::Names;

/// One text changes at most this many relations of the snapshot before its later statements are not known.
pub(crate) const CHANGES_MAX: usize = 256;

/// One relation as a statement left it.
#[derive(Debug)]
struct Change {
    oid: u32,
    /// `None`: dropped.
    relation: Option<Relation>,
    next: Changes,
}

/// The changes of one text in order, each in a place of its own, so that what a name was resolved to stays where it is.
#[derive(Debug, Default)]
pub(crate) struct Changes(OnceCell<Box<Change>>);

/// The snapshot with the changes over it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    base: &'a Catalog,
    changes: Option<&'a Changes>,
}

impl<'a> From<&'a Catalog> for Seen<'a> {
    fn from(base: &'a Catalog) -> Self {
        Self { base, changes: None }
    }
}

impl<'a> Seen<'a> {
    /// Whether the text changed a relation of the snapshot.
    pub(crate) fn has_changes(self) -> bool {
        self.changes.is_some_and(|c| c.0.get().is_some())
    }

    /// The snapshot with the room for changes.
    pub(crate) fn new(base: &'a Catalog, changes: &'a Changes) -> Self {
        Self { base, changes: Some(changes) }
    }

    fn changes(self) -> impl Iterator<Item = &'a Change> {
        let first = self.changes.and_then(|c| c.0.get());
        std::iter::successors(first, |change| change.next.0.get()).map(|c| &**c)
    }

    /// The newest form of a relation that the text changed: `None` inside where it is gone.
    fn changed(self, oid: u32) -> Option<Option<&'a Relation>> {
        self.changes().filter(|c| c.oid == oid).last().map(|c| c.relation.as_ref())
    }

    /// Notes what became of a relation; false where too much has changed already.
    pub(crate) fn change(self, oid: u32, relation: Option<Relation>) -> bool {
        let Some(mut end) = self.changes else { return false };
        let mut count = 0;
        while let Some(change) = end.0.get() {
            end = &change.next;
            count += 1;
        }
        let change = Change { oid, relation, next: Changes::default() };
        count < CHANGES_MAX && end.0.set(Box::new(change)).is_ok()
    }

    pub(crate) fn relation(self, schema: &str, name: &str) -> Option<&'a Relation> {
        let named = |r: &&Relation| r.schema == schema && r.name == name;
        let is_newest = |c: &&Change| {
            let newest = self.changed(c.oid).flatten();
            newest.zip(c.relation.as_ref()).is_some_and(|(a, b)| std::ptr::eq(a, b))
        };
        let of_text = || {
            let mut all = self.changes().filter(|c| c.relation.as_ref().filter(named).is_some());
            all.find(is_newest).and_then(|c| c.relation.as_ref())
        };
        match self.base.relation(schema, name) {
            Some(found) => self.newest(found).filter(named).or_else(of_text),
            None => of_text(),
        }
    }

    fn newest(self, found: &'a Relation) -> Option<&'a Relation> {
        self.changed(found.oid).unwrap_or(Some(found))
    }

    pub(crate) fn relation_by_oid(self, oid: u32) -> Option<&'a Relation> {
        self.newest(self.base.relation_by_oid(oid)?)
    }

    /// Inheritance is as in the snapshot: what changes it is not followed.
    pub(crate) fn children(self, oid: u32) -> &'a [u32] {
        self.base.children(oid)
    }

    /// Whether a relation shares its rows with no other.
    pub(crate) fn stands_alone(self, relation: &Relation) -> bool {
        relation.parents.is_empty() && self.base.children(relation.oid).is_empty()
    }

    pub(crate) fn column_names(self, relation: &Relation) -> Arc<[String]> {
        self.base.column_names(relation)
    }

    pub(crate) fn relations(self) -> impl Iterator<Item = &'a Relation> {
        self.base.relations().iter().filter_map(move |r| self.newest(r))
    }

    /// Whether the snapshot has what is behind statements.
    pub(crate) fn knows_behind(self) -> bool {
        self.base.knows_behind()
    }

    /// The snapshot as it was before the text.
    pub(crate) fn base(self) -> &'a Catalog {
        self.base
    }

    pub(crate) fn body(self, function: u32) -> Option<&'a writ_model::behind::FunctionBody> {
        self.base.body(function)
    }

    pub(crate) fn hooks(self, relation: u32) -> impl Iterator<Item = &'a writ_model::behind::Hook> {
        self.base.hooks(relation)
    }

    pub(crate) fn keys(self, relation: u32) -> impl Iterator<Item = &'a writ_model::behind::Key> {
        self.base.keys(relation)
    }

    pub(crate) fn dependences(
        self,
        relation: u32,
    ) -> impl Iterator<Item = &'a writ_model::behind::Dependence> {
        self.base.dependences(relation)
    }

    pub(crate) fn behind(self) -> &'a writ_model::behind::Behind {
        self.base.behind()
    }

    pub(crate) fn operators_named(
        self,
        name: &str,
    ) -> impl Iterator<Item = &'a writ_model::behind::Operator> {
        self.base.operators_named(name)
    }

    pub(crate) fn function_by_oid(self, oid: u32) -> Option<&'a Function> {
        self.base.function_by_oid(oid)
    }

    pub(crate) fn functions_named(self, name: &str) -> impl Iterator<Item = &'a Function> {
        self.base.functions_named(name)
    }
}

/// What is in a relation that the text makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// What this text puts there: nothing that is masked, because it can read nothing that is.
    Own,
    /// Maybe rows from elsewhere: a foreign table's, or those of a relation that was there already, unknown to the
    /// snapshot, so that `IF NOT EXISTS` did nothing. It may be written and not read.
    Unsure,
}

/// A relation that the text makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) content: Content,
    /// Whether a write of it does what stands elsewhere: in a view's definition, in a trigger.
    pub(crate) hooked: bool,
}

/// What the text makes, by schema and name. An empty schema is one that is not known.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeRelations(BTreeMap<(String, String), Made>);

impl MadeRelations {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, schema: &str, name: &str, made: Made) {
        self.0.insert((schema.to_owned(), name.to_owned()), made);
    }

    /// The relation of the text that a name may mean: without a schema, one of `path` where that is known.
    pub(crate) fn get(&self, schema: &str, name: &str, path: Option<&[&str]>) -> Option<Made> {
        let schema = plain(schema);
        // The server's name for the temporary schema of a session has a number.
        let holds = |path: &[&str], s: &str| path.iter().any(|of_path| plain(of_path) == s);
        let seen = |s: &str| s.is_empty() || path.is_none_or(|p| holds(p, s));
        let fits = |s: &str| if schema.is_empty() { seen(s) } else { s == schema };
        let mut named = self.0.iter().filter(|((s, n), _)| n == name && fits(s));
        named.next().map(|(_, made)| *made)
    }

    /// Notes that writes of a relation of the text do what stands elsewhere.
    pub(crate) fn hook(&mut self, schema: &str, name: &str) {
        let schema = plain(schema);
        for ((s, n), made) in &mut self.0 {
            made.hooked |= n == name && (s == schema || schema.is_empty());
        }
    }

    /// Takes away the relation that a name means, with its schema; `None` where it means none of the text's, or not surely
    /// one.
    pub(crate) fn remove(&mut self, schema: &str, name: &str) -> Option<(String, Made)> {
        let schema = plain(schema);
        let fits = |k: &&(String, String)| k.1 == name && (k.0 == schema || schema.is_empty());
        let mut named = self.0.keys().filter(fits);
        let key = match (named.next(), named.next()) {
            (Some(only), None) => only.clone(),
            _ => return None,
        };
        self.0.remove(&key).map(|made| (key.0, made))
    }
}

fn plain(schema: &str) -> &str {
    if schema.starts_with("pg_temp") { "pg_temp" } else { schema }
}

/// Where a new relation goes that is written `schema.name`, or `name` where `schema` is empty.
pub(crate) fn creation_schema(names: &Names, schema: &str, temporary: bool, sure: bool) -> String {
    if temporary || schema.starts_with("pg_temp") {
        return "pg_temp".to_owned();
    }
    if !schema.is_empty() || !sure {
        return schema.to_owned();
    }
    let implicit = |s: &&str| !s.starts_with("pg_temp") && *s != "pg_catalog";
    names.path().find(implicit).unwrap_or_default().to_owned()
}
