//! Column names in expressions: which entry each can mean, and what reading it notes.

use std::rc::Rc;

use pg_query::{NodeEnum, protobuf as pb};
use writ_model::{ColumnMasks, OpaqueReason};

use crate::scope::{Entry, Hit, Source};
use crate::walk::{COMPARISONS_MAX, Walk};
use crate::{mask, parse};

impl Walk<'_> {
    /// A column name in an expression.
    pub(crate) fn column(&mut self, column: &mut pb::ColumnRef) {
        if !self.afford() {
            return;
        }
        let fields = parse::strings(&column.fields);
        let (qualifier, last) = match fields.as_slice() {
            [] => return,
            [.., last] => (fields.get(..fields.len() - 1).unwrap_or_default(), last.as_str()),
        };
        let star = column.fields.last().is_some_and(|n| parse::string(n).is_none());
        match qualifier {
            [] if star => self.star(),
            [] => self.unqualified(last),
            [.., table] => {
                let schema = qualifier.len().checked_sub(2).and_then(|at| qualifier.get(at));
                let Some(entry) = self.entry(schema.map(String::as_str), table) else {
                    return self.opaque(OpaqueReason::UnknownColumn(fields.join(".")));
                };
                if star {
                    self.read_entry(&entry, None);
                } else {
                    self.qualified(&entry, last);
                }
                // A subselect has no schema: the qualifier that named one must go.
                if entry.replaced && qualifier.len() > 1 {
                    column.fields.drain(..qualifier.len() - 1);
                }
            }
        }
    }

    /// Whether one more name may be compared with all entries.
    pub(crate) fn afford(&mut self) -> bool {
        self.comparisons += self.levels.iter().map(|l| l.entries.len() + 1).sum::<usize>();
        let affordable = self.comparisons <= COMPARISONS_MAX;
        if !affordable {
            self.opaque(OpaqueReason::Limit("too many names in too many relations".into()));
        }
        affordable
    }

    fn star(&mut self) {
        let Some(level) = self.levels.last() else { return };
        for entry in level.entries.clone().iter().filter(|e| e.unqualified) {
            self.read_entry(entry, None);
        }
    }

    fn qualified(&mut self, entry: &Entry, name: &str) {
        match entry.hit(name) {
            Hit::Column(column) => self.read_column(entry, &column),
            Hit::System(column) => self.system_column(entry, &column),
            Hit::Maybe | Hit::Derived => {}
            Hit::None => {
                // `t.f` calls f(t) where t has no column f.
                self.read_entry(entry, None);
                if !self.attribute_function(name) {
                    let text = format!("{}.{name}", entry.alias);
                    self.opaque(OpaqueReason::UnknownColumn(text));
                }
            }
        }
    }

    /// A column in an expression. In RETURNING a masked column of the target gives way to its mask.
    fn read_column(&mut self, entry: &Entry, column: &str) {
        if let (true, true, Some(masks)) = (self.returning, entry.target, self.masks)
            && let Some(masked) = self.masked_value(entry, column, masks)
        {
            self.replacement = Some(masked);
            let shown = Entry { target: false, ..entry.clone() };
            self.read_entry(&shown, Some(column));
            return;
        }
        self.read_entry(entry, Some(column));
    }

    fn masked_value(&self, entry: &Entry, column: &str, masks: &ColumnMasks) -> Option<NodeEnum> {
        let Source::Relation { schema, name, only, .. } = &entry.source else { return None };
        let relation = self.catalog.relation(schema, name)?;
        if relation.definition.is_some() {
            return None;
        }
        let mask = mask::of(self.catalog, masks, relation, *only).remove(column)?;
        mask::value_of(&entry.alias, relation.column(column)?, &mask)
    }

    fn system_column(&mut self, entry: &Entry, column: &str) {
        // The server asks for the right to read, of the target of a change too.
        if let Source::Relation { schema, name, only, .. } = &entry.source
            && let Some(relation) = self.catalog.relation(schema, name)
        {
            self.read(relation, &[], *only);
        }
        match entry.oid {
            Some(oid) if column == "tableoid" => self.replacement = mask::oid(oid),
            _ if entry.replaced => {
                self.refuse(format!("{column}: a masked relation has no system columns"));
            }
            _ => {}
        }
    }

    fn unqualified(&mut self, name: &str) {
        let mut hits = Vec::new();
        let (mut found, mut maybe) = (false, false);
        for level in self.levels.iter().rev().filter(|l| !l.hidden) {
            maybe |= level.outputs;
            for entry in level.entries.iter().filter(|e| e.unqualified) {
                match entry.hit(name) {
                    Hit::Maybe => maybe = true,
                    Hit::None => {}
                    hit => {
                        found = true;
                        hits.push((Rc::clone(entry), hit));
                    }
                }
            }
            if found && !maybe {
                break;
            }
        }
        for (entry, hit) in hits {
            match hit {
                Hit::Column(column) => self.read_column(&entry, &column),
                Hit::System(column) => self.system_column(&entry, &column),
                _ => {}
            }
        }
        if found && !maybe {
            return;
        }
        // No column of that name, or maybe none: a whole row.
        if let Some(entry) = self.entry(None, name) {
            self.read_entry(&entry, None);
        } else if !found && !maybe {
            self.opaque(OpaqueReason::UnknownColumn(name.to_owned()));
        }
    }

    /// The nearest entry of that name.
    pub(crate) fn entry(&self, schema: Option<&str>, alias: &str) -> Option<Rc<Entry>> {
        let named = |e: &&Rc<Entry>| e.alias == alias && schema.is_none_or(|s| s == e.schema);
        let mut visible = self.levels.iter().rev().filter(|l| !l.hidden);
        visible.find_map(|l| l.entries.iter().rev().find(named)).cloned()
    }

    /// Adds an entry to the current level.
    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(level) = self.levels.last_mut() {
            level.entries.push(Rc::new(entry));
        }
    }
}
