//! The walk over one text: what every pass shares. It resolves names by scope, notes facts, and in a
//! rewriting pass replaces what is masked on the way, so that both see the same tree the same way.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::facts::SessionEffect;
use writ_model::{
    Catalog, ColumnMasks, OpaqueReason, Relation, RelationUse, StatementFacts, StatementKind,
};

use crate::children::{Children, Visitor, descend};
use crate::names::{Names, Resolved};
use crate::scope::{Entry, Hit, Level, SYSTEM_COLUMNS, Source, family};
use crate::{mask, parse, system};

/// Views over views are followed this deep.
const VIEW_DEPTH_MAX: usize = 16;
/// One rewrite puts at most this many view definitions into the text.
const VIEW_EXPANSIONS_MAX: usize = 256;

/// Range entries that the names of one text may be compared with: bounds the work of hostile texts.
const COMPARISONS_MAX: usize = 300_000;

type Uses = BTreeMap<(String, String), (u32, BTreeSet<String>)>;

/// The state of one pass over one text.
pub(crate) struct Walk<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) names: Names,
    /// The masks to apply; `None` in a pass that only notes facts.
    pub(crate) masks: Option<&'a ColumnMasks>,
    pub(crate) facts: StatementFacts,
    reads: Uses,
    writes: Uses,
    pub(crate) levels: Vec<Level>,
    pub(crate) ctes: Vec<String>,
    /// Whether changes are only planned: EXPLAIN without ANALYZE.
    pub(crate) planning: bool,
    /// The first reason why the rewrite cannot be sound.
    pub(crate) refusal: Option<OpaqueReason>,
    /// An earlier statement of this text may change what an unqualified name means.
    pub(crate) names_changed: bool,
    /// An earlier statement of this text may change what any name means.
    pub(crate) definitions_changed: bool,
    /// Relations that earlier statements of this text make.
    pub(crate) made: BTreeSet<String>,
    /// Whether the query at hand is stored as a definition.
    pub(crate) persisting: bool,
    /// The only value that the column `name` can have here.
    pub(crate) pinned_setting: Option<String>,
    /// What takes the place of the column reference at hand.
    replacement: Option<NodeEnum>,
    /// Whether the walk is in a RETURNING list.
    pub(crate) returning: bool,
    /// Whether the stack was too small to follow a view.
    pub(crate) too_deep: bool,
    comparisons: usize,
    view_depth: usize,
    view_expansions: usize,
    views_seen: BTreeSet<u32>,
    writing_view: bool,
    /// INSERT, UPDATE, DELETE and MERGE seen, wherever they stand.
    pub(crate) changes: u32,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(catalog: &'a Catalog, names: &Names, masks: Option<&'a ColumnMasks>) -> Self {
        Self {
            catalog,
            names: names.clone(),
            masks,
            facts: StatementFacts { bounded: true, ..StatementFacts::default() },
            reads: Uses::new(),
            writes: Uses::new(),
            levels: Vec::new(),
            ctes: Vec::new(),
            planning: false,
            refusal: None,
            names_changed: false,
            definitions_changed: false,
            made: BTreeSet::new(),
            persisting: false,
            pinned_setting: None,
            replacement: None,
            returning: false,
            too_deep: false,
            comparisons: 0,
            view_depth: 0,
            view_expansions: 0,
            views_seen: BTreeSet::new(),
            writing_view: false,
            changes: 0,
        }
    }

    /// The facts that the walk has noted.
    pub(crate) fn into_facts(self) -> StatementFacts {
        let uses = |uses: Uses| {
            uses.into_iter()
                .map(|((schema, name), (oid, columns))| RelationUse { oid, schema, name, columns })
                .collect()
        };
        StatementFacts { reads: uses(self.reads), writes: uses(self.writes), ..self.facts }
    }

    pub(crate) fn opaque(&mut self, reason: OpaqueReason) {
        self.facts.opaque.insert(reason);
    }

    pub(crate) fn kind(&mut self, kind: StatementKind) {
        if !self.planning || !kind.changes() {
            use StatementKind as K;
            let changes = matches!(kind, K::Insert | K::Update | K::Delete | K::Merge);
            self.changes = self.changes.saturating_add(u32::from(changes));
            self.facts.kinds.insert(kind);
        }
    }

    pub(crate) fn effect(&mut self, effect: SessionEffect) {
        self.facts.session.insert(effect);
    }

    pub(crate) fn refuse(&mut self, why: impl Into<String>) {
        if self.masks.is_some() && self.refusal.is_none() {
            self.refusal = Some(OpaqueReason::Rewrite(why.into()));
        }
    }

    /// What a relation name means here and now, noting where that cannot be known.
    pub(crate) fn resolve(&mut self, relation: &pb::RangeVar) -> Resolved<'a> {
        let (schema, name) = (&relation.schemaname, &relation.relname);
        let mut found = self.names.resolve(self.catalog, schema, name);
        if self.in_view() && found == Resolved::Unknown && schema.is_empty() {
            found = self.only_one(name);
        }
        let moved = self.names_changed && (schema.is_empty() || schema.starts_with("pg_temp"));
        let made = self.made.contains(name);
        if moved || self.definitions_changed || (made && found != Resolved::Unknown) {
            let why = format!("{name}: an earlier statement of this text may change its meaning");
            self.opaque(OpaqueReason::Session(why));
        } else if found == Resolved::Unknown {
            if made {
                return Resolved::Temporary;
            }
            let dot = if schema.is_empty() { "" } else { "." };
            self.opaque(OpaqueReason::UnknownRelation(format!("{schema}{dot}{name}")));
        }
        found
    }

    /// The one relation of that name in any schema. A definition printed in a session with a search
    /// path leaves schemas out; where only one relation can be meant, it is that one.
    fn only_one(&self, name: &str) -> Resolved<'a> {
        let mut named = self.catalog.relations().iter().filter(|r| r.name == name);
        match (named.next(), named.next()) {
            (Some(found), None) => Resolved::Relation(found),
            _ => Resolved::Unknown,
        }
    }

    /// Notes a read of `columns` of a relation and of those that share its rows.
    pub(crate) fn read(&mut self, relation: &Relation, columns: &[String], only: bool) {
        for member in family(self.catalog, relation, only) {
            note(&mut self.reads, member, columns);
            if self.writing_view {
                note(&mut self.writes, member, columns);
            }
        }
    }

    /// Notes a write of `columns` of a relation and of those that share its rows.
    pub(crate) fn write(&mut self, relation: &Relation, columns: &[String], only: bool) {
        if self.planning {
            return self.read(relation, &[], only);
        }
        for member in family(self.catalog, relation, only) {
            note(&mut self.writes, member, columns);
        }
        if relation.has_triggers {
            let name = format!("triggers of {}.{}", relation.schema, relation.name);
            self.opaque(OpaqueReason::UntrustedFunction(name));
        }
        if relation.kind == writ_model::RelationKind::View {
            self.writing_view = true;
            self.views_seen.remove(&relation.oid);
            self.follow_view(relation);
            self.writing_view = false;
        }
    }

    /// Notes a write of one relation and nothing around it.
    pub(crate) fn note_write(&mut self, relation: &Relation, columns: &[String]) {
        note(&mut self.writes, relation, columns);
    }

    /// Notes a read of a column of an entry; a target's masked columns cannot be read (see `mask`).
    pub(crate) fn read_entry(&mut self, entry: &Entry, column: Option<&str>) {
        let Source::Relation { schema, name, columns, only } = &entry.source else { return };
        let Some(relation) = self.catalog.relation(schema, name) else {
            let key = (schema.clone(), name.clone());
            let uses = &mut self.reads.entry(key).or_default().1;
            match column {
                Some(column) => {
                    uses.insert(column.to_owned());
                }
                None => uses.extend(system::sensitive_of(schema, name).map(str::to_owned)),
            }
            return;
        };
        let wanted = match (column, columns) {
            (Some(column), _) => vec![column.to_owned()],
            (None, Some(columns)) => columns.to_vec(),
            (None, None) => Vec::new(),
        };
        self.read(relation, &wanted, *only);
        if entry.target {
            self.refuse_masked(relation, &wanted, "the target of a change reads masked columns");
        }
    }

    /// Notes that a server's relation outside the snapshot is read, though no column may be.
    pub(crate) fn mention_system(&mut self, entry: &Entry) {
        if let Source::Relation { schema, name, .. } = &entry.source {
            self.reads.entry((schema.clone(), name.clone())).or_default();
        }
    }

    /// Refuses the rewrite where one of `columns` is masked, or where the relation is a view that
    /// shows masked columns.
    pub(crate) fn refuse_masked(&mut self, relation: &Relation, columns: &[String], why: &str) {
        let Some(masks) = self.masks else { return };
        let masked = mask::of(self.catalog, masks, relation, false);
        let view = relation.definition.is_some() && self.view_reaches(relation, masks);
        if view || columns.iter().any(|c| masked.contains_key(c)) {
            self.refuse(format!("{}.{}: {why}", relation.schema, relation.name));
        }
    }

    /// Whether a view shows masked columns of the relations below it.
    pub(crate) fn view_reaches(&self, view: &Relation, masks: &ColumnMasks) -> bool {
        let mut below = Walk::new(self.catalog, &self.names, None);
        below.follow_view(view);
        let facts = below.into_facts();
        !facts.opaque.is_empty() || mask::touched(self.catalog, masks, &facts)
    }

    /// Notes what a view's definition reads.
    pub(crate) fn follow_view(&mut self, view: &Relation) {
        let Some(definition) = &view.definition else { return };
        // The server's own views are known; their sensitive columns are listed in `system`.
        if view.is_system() || !self.views_seen.insert(view.oid) {
            return;
        }
        if let Err(reason) = self.expand_view(view, definition) {
            self.opaque(reason);
        }
    }

    /// The walked definition of a view.
    pub(crate) fn expand_view(
        &mut self,
        view: &Relation,
        definition: &str,
    ) -> Result<Box<pb::SelectStmt>, OpaqueReason> {
        self.view_expansions += 1;
        if self.view_depth >= VIEW_DEPTH_MAX || self.view_expansions > VIEW_EXPANSIONS_MAX {
            return Err(OpaqueReason::Limit(format!("views below {} are too many", view.name)));
        }
        let levels = crate::limits::check(definition)?;
        if !parse::fits_here(levels + crate::REWRITE_LEVELS) {
            self.too_deep = true;
            return Err(OpaqueReason::Limit("a view on a small stack".into()));
        }
        let mut select = parse::parse_query(definition)?;
        // The definition's names do not follow the session's search path: see `resolve`.
        let of_definition = Names { search_path: Vec::new(), ..Names::default() };
        let names = std::mem::replace(&mut self.names, of_definition);
        let levels = std::mem::take(&mut self.levels);
        let ctes = std::mem::take(&mut self.ctes);
        let changed = std::mem::replace(&mut self.names_changed, false);
        self.view_depth += 1;
        self.select_stmt(&mut select);
        self.view_depth -= 1;
        self.names_changed = changed;
        self.ctes = ctes;
        self.levels = levels;
        self.names = names;
        Ok(select)
    }

    pub(crate) fn in_view(&self) -> bool {
        self.view_depth > 0
    }

    /// A column name in an expression.
    fn column(&mut self, column: &mut pb::ColumnRef) {
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
        let mut entry = entry.clone();
        if let (true, true, Some(masks)) = (self.returning, entry.target, self.masks)
            && let Some(masked) = self.masked_value(&entry, column, masks)
        {
            self.replacement = Some(masked);
            entry.target = false;
        }
        self.read_entry(&entry, Some(column));
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
                        hits.push((entry.clone(), hit));
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
    fn entry(&self, schema: Option<&str>, alias: &str) -> Option<Entry> {
        let named = |e: &&Entry| e.alias == alias && schema.is_none_or(|s| s == e.schema);
        let mut visible = self.levels.iter().rev().filter(|l| !l.hidden);
        visible.find_map(|l| l.entries.iter().rev().find(named)).cloned()
    }

    /// Adds an entry to the current level.
    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(level) = self.levels.last_mut() {
            level.entries.push(entry);
        }
    }
}

fn note(uses: &mut Uses, relation: &Relation, columns: &[String]) {
    let key = (relation.schema.clone(), relation.name.clone());
    let entry = uses.entry(key).or_default();
    entry.0 = relation.oid;
    let exists = |c: &&String| relation.column(c).is_some() || SYSTEM_COLUMNS.contains(&c.as_str());
    entry.1.extend(columns.iter().filter(exists).cloned());
}

impl Visitor for Walk<'_> {
    fn node(&mut self, node: &mut Node) {
        let Some(inner) = node.node.as_mut() else { return };
        match inner {
            NodeEnum::ColumnRef(column) => {
                self.column(column);
                if let Some(replacement) = self.replacement.take() {
                    *inner = replacement;
                }
            }
            NodeEnum::ParamRef(parameter) => {
                let number = u32::try_from(parameter.number).unwrap_or_default();
                self.facts.parameters = self.facts.parameters.max(number);
            }
            NodeEnum::FuncCall(call) => self.call(call),
            NodeEnum::AExpr(expression) => {
                self.operator(&expression.name);
                expression.children(self);
            }
            NodeEnum::SubLink(link) => {
                self.operator(&link.oper_name);
                link.children(self);
            }
            NodeEnum::SortBy(sort) => {
                self.operator(&sort.use_op);
                sort.children(self);
            }
            NodeEnum::AIndirection(access) => {
                for name in parse::strings(&access.indirection) {
                    self.attribute_function(&name);
                }
                access.children(self);
            }
            NodeEnum::SelectStmt(select) => self.select_stmt(select),
            NodeEnum::InsertStmt(insert) => self.insert(insert),
            NodeEnum::UpdateStmt(update) => self.update(update),
            NodeEnum::DeleteStmt(delete) => self.delete(delete),
            NodeEnum::MergeStmt(merge) => self.merge(merge),
            NodeEnum::RangeVar(_)
            | NodeEnum::RangeSubselect(_)
            | NodeEnum::RangeFunction(_)
            | NodeEnum::RangeTableFunc(_)
            | NodeEnum::RangeTableSample(_)
            | NodeEnum::JsonTable(_)
            | NodeEnum::JoinExpr(_) => self.range(node),
            other => {
                if let Err(name) = descend(other, self) {
                    self.opaque(OpaqueReason::UnknownNode(name.to_owned()));
                }
            }
        }
    }

    fn range_var(&mut self, relation: &mut pb::RangeVar) {
        // Every statement with a relation as a field has a handler; one that has not is not known.
        self.opaque(OpaqueReason::UnknownNode(format!("a use of {}", relation.relname)));
    }

    fn select(&mut self, select: &mut pb::SelectStmt) {
        self.select_stmt(select);
    }
}
