//! The walk over one text: what every pass shares. It resolves names by scope, notes facts, and in a
//! rewriting pass replaces what is masked on the way, so that both see the same tree the same way.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::facts::SessionEffect;
use writ_model::{ColumnMasks, OpaqueReason, Relation, RelationUse, StatementFacts, StatementKind};

use crate::change::all_columns;
use crate::children::{Children, Visitor, descend};
use crate::names::{Names, Resolved};
use crate::overlay::{MadeRelations, Seen};
use crate::scope::{Entry, Level, SYSTEM_COLUMNS, Source, family};
use crate::{behind, bodies, mask, parse, system};

/// Views over views are followed this deep.
const VIEW_DEPTH_MAX: usize = 16;
/// One rewrite puts at most this many view definitions into the text.
const VIEW_EXPANSIONS_MAX: usize = 256;

/// Range entries that the names of one text may be compared with: bounds the work of hostile texts.
pub(crate) const COMPARISONS_MAX: usize = 300_000;

/// By schema and name: the oid, and the columns.
type Uses = BTreeMap<String, BTreeMap<String, (u32, BTreeSet<String>)>>;

/// The state of one pass over one text.
pub(crate) struct Walk<'a> {
    pub(crate) catalog: Seen<'a>,
    pub(crate) names: Cow<'a, Names>,
    /// The masks to apply; `None` in a pass that only notes facts.
    pub(crate) masks: Option<&'a ColumnMasks>,
    pub(crate) facts: StatementFacts,
    reads: Uses,
    writes: Uses,
    pub(crate) levels: Vec<Level>,
    /// The names of the CTEs in scope, and what their output surely has.
    pub(crate) ctes: Vec<(String, Vec<String>)>,
    /// Whether changes are only planned: EXPLAIN without ANALYZE.
    pub(crate) planning: bool,
    /// The first reason why the rewrite cannot be sound.
    pub(crate) refusal: Option<OpaqueReason>,
    /// An earlier statement of this text may change what an unqualified name means.
    pub(crate) names_changed: bool,
    /// The statement at hand may change what an unqualified name means.
    pub(crate) names_changing: bool,
    /// An earlier statement of this text may change what any name means.
    pub(crate) definitions_changed: bool,
    /// An earlier statement of this text may have changed a function, an operator or a cast.
    pub(crate) code_changed: bool,
    /// Relations that earlier statements of this text make.
    pub(crate) made: MadeRelations,
    /// Functions that earlier statements of this text make.
    pub(crate) made_functions: BTreeSet<String>,
    /// Whether an earlier statement of this text drops anything.
    pub(crate) dropped: bool,
    /// Whether this text makes a schema, which can come first in the search path.
    pub(crate) schema_made: bool,
    /// Whether the query at hand is stored as a definition.
    pub(crate) persisting: bool,
    /// The only value that the column `name` can have here.
    pub(crate) pinned_setting: Option<String>,
    /// What takes the place of the column reference at hand.
    pub(crate) replacement: Option<NodeEnum>,
    /// Whether the walk is in a RETURNING list.
    pub(crate) returning: bool,
    /// Whether the stack was too small to follow a view.
    pub(crate) too_deep: bool,
    pub(crate) comparisons: usize,
    pub(crate) view_depth: usize,
    view_expansions: usize,
    views_seen: BTreeSet<u32>,
    writing_view: bool,
    /// Whether whole rows go: DELETE.
    pub(crate) removing: bool,
    pub(crate) seen: behind::Seen,
    pub(crate) bodies: bodies::Bodies,
    /// INSERT, UPDATE, DELETE and MERGE seen, wherever they stand.
    pub(crate) changes: u32,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(catalog: Seen<'a>, names: &'a Names, masks: Option<&'a ColumnMasks>) -> Self {
        Self {
            catalog,
            names: Cow::Borrowed(names),
            masks,
            facts: StatementFacts { bounded: true, ..StatementFacts::default() },
            reads: Uses::new(),
            writes: Uses::new(),
            levels: Vec::new(),
            ctes: Vec::new(),
            planning: false,
            refusal: None,
            names_changed: false,
            names_changing: false,
            definitions_changed: false,
            code_changed: false,
            made: MadeRelations::default(),
            made_functions: BTreeSet::new(),
            dropped: false,
            schema_made: false,
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
            removing: false,
            seen: behind::Seen::default(),
            bodies: bodies::Bodies::default(),
            changes: 0,
        }
    }

    /// The facts that the walk has noted.
    pub(crate) fn into_facts(self) -> StatementFacts {
        let uses = |uses: Uses| {
            let of_schema = |(schema, relations): (String, BTreeMap<_, _>)| {
                let named = move |(name, (oid, columns))| {
                    let schema = schema.clone();
                    RelationUse { oid, schema, name, columns }
                };
                relations.into_iter().map(named)
            };
            uses.into_iter().flat_map(of_schema).collect()
        };
        StatementFacts { reads: uses(self.reads), writes: uses(self.writes), ..self.facts }
    }

    /// The oids of the relations that are read.
    pub(crate) fn read_oids(&self) -> Vec<u32> {
        self.reads.values().flat_map(BTreeMap::values).map(|(oid, _)| *oid).collect()
    }

    /// The oids of the relations that are written, with the columns.
    pub(crate) fn written(&self) -> Vec<(u32, BTreeSet<String>)> {
        self.writes.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Counts what another text reads as read by this one.
    pub(crate) fn include_reads(&mut self, facts: &StatementFacts) {
        for read in &facts.reads {
            at_place(&mut self.reads, (&read.schema, &read.name), |(oid, columns)| {
                *oid = read.oid;
                columns.extend(read.columns.iter().cloned());
            });
        }
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

    /// Notes what the edge has to ask again afterwards.
    pub(crate) fn effect(&mut self, effect: SessionEffect) {
        self.facts.session.insert(effect);
    }

    /// Notes that names mean something else afterwards, in this text too.
    pub(crate) fn names_change(&mut self) {
        self.effect(SessionEffect::Names);
        self.names_changing = true;
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
        let made = self.made(schema, name).is_some();
        if moved || self.definitions_changed || (made && found != Resolved::Unknown) {
            self.meaning_changed(name);
        } else if found == Resolved::Unknown {
            if made {
                return Resolved::Temporary;
            }
            let dot = if schema.is_empty() { "" } else { "." };
            self.opaque(OpaqueReason::UnknownRelation(format!("{schema}{dot}{name}")));
        }
        if found == Resolved::Temporary && self.names.temp_active.contains(name) {
            let why = format!(
                "pg_temp.{name}: a temporary view, or a temporary table that runs code of users (triggers, rules, domains, defaults); \
                 make it permanent, or do without"
            );
            self.opaque(OpaqueReason::Session(why));
        }
        found
    }

    /// Notes that a name is used whose meaning an earlier statement may have changed.
    pub(crate) fn meaning_changed(&mut self, name: &str) {
        let why = format!("{name}: an earlier statement of this text may change its meaning");
        self.opaque(OpaqueReason::Session(why));
    }

    /// The one relation of that name in any schema. A definition printed in a session with a search
    /// path leaves schemas out; where only one relation can be meant, it is that one.
    fn only_one(&self, name: &str) -> Resolved<'a> {
        let mut named = self.catalog.relations().filter(|r| r.name == name);
        match (named.next(), named.next()) {
            (Some(found), None) => Resolved::Relation(found),
            _ => Resolved::Unknown,
        }
    }

    /// Notes a read of `columns` of a relation and of those that share its rows.
    pub(crate) fn read(&mut self, relation: &Relation, columns: &[String], only: bool) {
        if self.catalog.stands_alone(relation) && !self.writing_view {
            note(&mut self.reads, relation, columns);
            return;
        }
        for member in family(self.catalog, relation, only) {
            note(&mut self.reads, member, columns);
            if self.writing_view && self.removing {
                note(&mut self.writes, member, &all_columns(Some(member)));
            } else if self.writing_view {
                note(&mut self.writes, member, columns);
            }
        }
    }

    /// Notes a write of `columns` of a relation and of those that share its rows.
    pub(crate) fn write(&mut self, relation: &Relation, columns: &[String], only: bool) {
        for member in family(self.catalog, relation, only) {
            if !self.planning {
                note(&mut self.writes, member, columns);
            }
            // A partition's triggers fire whoever names its parent, and a parent's are its own; rules
            // are in plans too. What is known of them is looked at in `behind`.
            let hidden = !self.catalog.knows_behind() || (self.planning && self.has_rules(member));
            if member.has_triggers && hidden {
                let name = format!("triggers of {}.{}", member.schema, member.name);
                self.opaque(OpaqueReason::UntrustedFunction(name));
            }
        }
        if self.planning {
            self.read(relation, &[], only);
            if self.masks.is_none() {
                self.follow_view(relation);
            }
            return;
        }
        if relation.kind == writ_model::RelationKind::View {
            self.write_below(relation, columns);
        }
    }

    fn has_rules(&self, relation: &Relation) -> bool {
        let mut hooks = self.catalog.hooks(relation.oid);
        hooks.any(|hook| hook.event == writ_model::behind::HookEvent::Rule)
    }

    /// Notes that all that a view reads may be written.
    pub(crate) fn write_all_below(&mut self, view: &Relation) {
        self.writing_view = true;
        self.views_seen.remove(&view.oid);
        self.follow_view(view);
        self.writing_view = false;
    }

    /// Notes a write of one relation and nothing around it.
    pub(crate) fn note_write(&mut self, relation: &Relation, columns: &[String]) {
        note(&mut self.writes, relation, columns);
    }

    /// Notes a change of the definition of a relation and of those that share its rows.
    pub(crate) fn note_altered(&mut self, relation: &Relation) {
        for member in family(self.catalog, relation, false) {
            note(&mut self.writes, member, &[]);
        }
    }

    /// Notes a read of a column of an entry; a target's masked columns cannot be read (see `mask`).
    pub(crate) fn read_entry(&mut self, entry: &Entry, column: Option<&str>) {
        let Source::Relation { schema, name, columns, only } = &entry.source else { return };
        let Some(relation) = self.catalog.relation(schema, name) else {
            at_place(&mut self.reads, (schema, name), |(_, uses)| match column {
                Some(column) => {
                    uses.insert(column.to_owned());
                }
                None => uses.extend(system::sensitive_of(schema, name).map(str::to_owned)),
            });
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
            at_place(&mut self.reads, (schema, name), |_| {});
        }
    }

    /// Refuses the rewrite where one of `columns` is masked, or where the relation is a view that
    /// shows masked columns.
    pub(crate) fn refuse_masked(&mut self, relation: &Relation, columns: &[String], why: &str) {
        let Some(masks) = self.masks else { return };
        let masked = mask::of(self.catalog, masks, relation, false);
        let view = relation.definition.is_some()
            && self.view_reaches(relation, masks)
            && (relation.kind == writ_model::RelationKind::View
                || self.closed_store(relation, masks));
        if view || columns.iter().any(|c| masked.contains_key(c)) {
            self.refuse(format!("{}.{}: {why}", relation.schema, relation.name));
        }
    }

    /// Whether a view shows masked columns of the relations below it.
    pub(crate) fn view_reaches(&self, view: &Relation, masks: &ColumnMasks) -> bool {
        let facts = self.facts_below(view);
        !facts.opaque.is_empty() || mask::touched(self.catalog, masks, &facts)
    }

    /// What a view's definition does.
    pub(crate) fn facts_below(&self, view: &Relation) -> StatementFacts {
        let mut below = Walk::new(self.catalog, &self.names, None);
        below.bodies.session.clone_from(&self.bodies.session);
        below.follow_view(view);
        below.settle();
        below.into_facts()
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
        let names = std::mem::replace(&mut self.names, Cow::Owned(of_definition));
        if self.bodies.session.is_none() {
            self.bodies.session = Some(Names::clone(&names));
        }
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
}

impl Walk<'_> {
    /// Notes what an expression runs beside what its parts do.
    fn runs(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::AExpr(expression) => self.operator(&expression.name),
            NodeEnum::SubLink(link) => {
                if link.oper_name.is_empty() && link.testexpr.is_some() {
                    self.operator_named("=");
                }
                self.operator(&link.oper_name);
            }
            NodeEnum::SortBy(sort) => self.operator(&sort.use_op),
            NodeEnum::CaseExpr(case) => {
                if case.arg.is_some() {
                    self.operator_named("=");
                }
                self.see_mixing();
            }
            NodeEnum::AIndirection(access) => {
                for name in parse::strings(&access.indirection) {
                    self.attribute_function(&name);
                }
            }
            NodeEnum::SetToDefault(_) => self.see_defaults(),
            NodeEnum::CoalesceExpr(_) | NodeEnum::MinMaxExpr(_) | NodeEnum::AArrayExpr(_) => {
                self.see_mixing();
            }
            _ => {}
        }
    }
}

fn note(uses: &mut Uses, relation: &Relation, columns: &[String]) {
    at_place(uses, (&relation.schema, &relation.name), |(oid, known)| {
        *oid = relation.oid;
        for column in columns {
            let exists =
                || relation.column(column).is_some() || SYSTEM_COLUMNS.contains(&column.as_str());
            if !known.contains(column) && exists() {
                known.insert(column.clone());
            }
        }
    });
}

/// Changes the uses of one relation. A name is copied only when it is new: nearly always it is not.
fn at_place(
    uses: &mut Uses,
    (schema, name): (&str, &str),
    change: impl FnOnce(&mut (u32, BTreeSet<String>)),
) {
    match uses.get_mut(schema).and_then(|relations| relations.get_mut(name)) {
        Some(found) => change(found),
        None => {
            let relations = uses.entry(schema.to_owned()).or_default();
            change(relations.entry(name.to_owned()).or_default());
        }
    }
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
            // The body of a function, as in `RETURN a + 1`.
            NodeEnum::ReturnStmt(body) => body.returnval.children(self),
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
                self.runs(other);
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

    fn type_name(&mut self, name: &pb::TypeName) {
        self.see_type(name);
    }
}
