//! Queries: SELECT, its CTEs and what stands in a FROM clause.

use std::rc::Rc;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::{OpaqueReason, Relation, RelationKind, StatementKind};

use crate::children::{Children, Visitor};
use crate::names::Resolved;
use crate::scope::{Entry, Level, Source};
use crate::walk::Walk;
use crate::{mask, outputs, parse};

pub(crate) fn alias_of(alias: Option<&pb::Alias>) -> (&str, Vec<String>) {
    alias.map_or(("", Vec::new()), |a| (a.aliasname.as_str(), parse::strings(&a.colnames)))
}

impl Walk<'_> {
    /// Runs `work` in a query level of its own.
    pub(crate) fn level(&mut self, work: impl FnOnce(&mut Self)) {
        self.levels.push(Level::default());
        let ctes = self.ctes.len();
        work(self);
        self.ctes.truncate(ctes);
        self.levels.pop();
    }

    pub(crate) fn outputs(&mut self, work: impl FnOnce(&mut Self)) {
        let set = |walk: &mut Self, on| {
            if let Some(level) = walk.levels.last_mut() {
                level.outputs = on;
            }
        };
        set(self, true);
        work(self);
        set(self, false);
    }

    /// One query.
    pub(crate) fn select_stmt(&mut self, select: &mut pb::SelectStmt) {
        self.level(|walk| {
            walk.with(select.with_clause.as_mut());
            let pinned = std::mem::replace(&mut walk.pinned_setting, pinned_setting(select));
            if let Some(into) = select.into_clause.as_mut() {
                walk.note_into(into, false);
            }
            if select.larg.is_some() || !select.values_lists.is_empty() {
                walk.see_mixing();
            }
            // The arms of a set operation are queries of their own.
            select.larg.children(walk);
            select.rarg.children(walk);
            for item in &mut select.from_clause {
                walk.range(item);
            }
            walk.group_dependents(select);
            walk.match_filters(&mut select.where_clause, &mut select.from_clause);
            select.values_lists.children(walk);
            select.target_list.children(walk);
            select.where_clause.children(walk);
            select.having_clause.children(walk);
            select.window_clause.children(walk);
            let lists = [&select.distinct_clause, &select.group_clause, &select.sort_clause];
            // Each arm of a long chain of set operations would look at all before it.
            let plain = lists.iter().all(|list| list.is_empty());
            let names = if plain { Vec::new() } else { outputs::sure(select) };
            walk.ordered(&mut select.distinct_clause, &names);
            walk.grouped(&mut select.group_clause, &names);
            walk.ordered(&mut select.sort_clause, &names);
            select.limit_offset.children(walk);
            select.limit_count.children(walk);
            walk.locking(&select.locking_clause);
            walk.pinned_setting = pinned;
        });
    }

    fn locking(&mut self, clauses: &[Node]) {
        for clause in clauses {
            let Some(NodeEnum::LockingClause(clause)) = &clause.node else { continue };
            let locked: Vec<&str> = clause
                .locked_rels
                .iter()
                .filter_map(|n| match &n.node {
                    Some(NodeEnum::RangeVar(r)) => Some(r.relname.as_str()),
                    _ => None,
                })
                .collect();
            let hits = |e: &Rc<Entry>| {
                e.replaced && (locked.is_empty() || locked.contains(&e.alias.as_str()))
            };
            if self.levels.last().is_some_and(|l| l.entries.iter().any(hits)) {
                self.refuse("rows of a masked relation cannot be locked");
            }
        }
    }

    /// The CTEs of a statement; they stay in scope until its level ends.
    pub(crate) fn with(&mut self, clause: Option<&mut pb::WithClause>) {
        let Some(clause) = clause else { return };
        if clause.recursive {
            for cte in &clause.ctes {
                if let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node {
                    self.ctes.push((cte.ctename.clone(), columns_of(cte)));
                }
            }
        }
        for cte in &mut clause.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = cte.node.as_mut() else {
                self.opaque(OpaqueReason::UnknownNode("WITH".into()));
                continue;
            };
            let columns = columns_of(cte);
            if let Some(query) = cte.ctequery.as_mut() {
                // The names in SEARCH and CYCLE are columns of the CTE itself.
                self.node(query);
            }
            if let Some(cycle) = cte.cycle_clause.as_mut() {
                cycle.children(self);
            }
            self.ctes.push((cte.ctename.clone(), columns));
        }
    }

    pub(crate) fn note_into(&mut self, into: &mut pb::IntoClause, if_absent: bool) {
        self.see_definition();
        if let Some(relation) = &into.rel {
            self.kind(StatementKind::Create);
            self.define(relation, if_absent, false);
        }
        into.options.children(self);
    }

    /// One item of a FROM clause. May replace the node.
    pub(crate) fn range(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::RangeVar(relation)) => {
                if let Some(masked) = self.scan(relation) {
                    node.node = Some(masked);
                }
            }
            Some(NodeEnum::RangeSubselect(subselect)) => {
                let lateral = subselect.lateral;
                let columns = outputs::sure_of(subselect.subquery.as_deref());
                self.hiding(!lateral, |walk| subselect.subquery.children(walk));
                self.push_derived(subselect.alias.as_ref(), "", columns);
            }
            Some(NodeEnum::RangeFunction(function)) => {
                function.functions.children(self);
                let name = function_name(&function.functions);
                self.push_derived(function.alias.as_ref(), &name, Vec::new());
            }
            Some(NodeEnum::RangeTableFunc(table)) => {
                table.children(self);
                self.push_derived(table.alias.as_ref(), "xmltable", Vec::new());
            }
            Some(NodeEnum::JsonTable(table)) => {
                table.children(self);
                self.push_derived(table.alias.as_ref(), "json_table", Vec::new());
            }
            Some(NodeEnum::RangeTableSample(sample)) => {
                if let Some(relation) = sample.relation.as_mut() {
                    self.range(relation);
                    if !matches!(relation.node, Some(NodeEnum::RangeVar(_))) {
                        self.refuse("TABLESAMPLE of a masked relation");
                    }
                }
                let method = parse::strings(&sample.method);
                self.function_name(&method, false);
                sample.args.children(self);
                sample.repeatable.children(self);
            }
            Some(NodeEnum::JoinExpr(join)) => self.join(join),
            _ => self.opaque(OpaqueReason::UnknownNode("FROM".into())),
        }
    }

    fn hiding(&mut self, hide: bool, work: impl FnOnce(&mut Self)) {
        let set = |walk: &mut Self, on| {
            walk.levels.last_mut().map(|level| std::mem::replace(&mut level.hidden, on))
        };
        let depth = self.levels.len();
        let before = if hide { set(self, true) } else { None };
        work(self);
        debug_assert_eq!(depth, self.levels.len());
        if let Some(before) = before {
            set(self, before);
        }
    }

    /// `columns`: those that it surely has, where its alias does not rename them.
    fn push_derived(&mut self, alias: Option<&pb::Alias>, name: &str, columns: Vec<String>) {
        let (alias, renames) = alias_of(alias);
        let sure = if renames.is_empty() { columns } else { renames };
        let name = if alias.is_empty() { name } else { alias };
        self.push(Entry { source: Source::Derived(sure), ..Entry::derived(name) });
    }

    fn join(&mut self, join: &mut pb::JoinExpr) {
        let count = |walk: &Self| walk.levels.last().map_or(0, |l| l.entries.len());
        let start = count(self);
        if let Some(left) = join.larg.as_mut() {
            self.range(left);
        }
        let middle = count(self);
        if let Some(right) = join.rarg.as_mut() {
            self.range(right);
        }
        if !self.afford() {
            return;
        }
        self.forget_oids(join.jointype(), start, middle);
        let entries = self.levels.last().map(|l| l.entries.clone()).unwrap_or_default();
        let (left, right) = (
            entries.get(start..middle).unwrap_or_default(),
            entries.get(middle..).unwrap_or_default(),
        );
        for column in parse::strings(&join.using_clause) {
            self.join_column(left, &column);
            self.join_column(right, &column);
        }
        if join.is_natural || !join.using_clause.is_empty() {
            self.operator_named("=");
        }
        if join.is_natural {
            self.natural(left, right);
            self.natural(right, left);
        }
        join.quals.children(self);
        if let Some(alias) = &join.join_using_alias {
            let columns = parse::strings(&join.using_clause);
            let source = Source::Known(columns);
            let entry = Entry { source, unqualified: false, ..Entry::derived(&alias.aliasname) };
            self.push(entry);
        }
        if let Some(alias) = &join.alias {
            // The alias hides what is below it, and a name of it can mean any column below.
            for entry in left.iter().chain(right) {
                self.read_entry(entry, None);
            }
            if let Some(level) = self.levels.last_mut() {
                level.entries.truncate(start);
            }
            self.push(Entry::derived(&alias.aliasname));
        }
    }

    fn join_column(&mut self, side: &[Rc<Entry>], column: &str) {
        use crate::scope::Hit;
        for entry in side {
            if let Hit::Column(column) = entry.hit(column) {
                self.read_entry(entry, Some(&column));
            }
        }
    }

    fn natural(&mut self, side: &[Rc<Entry>], other: &[Rc<Entry>]) {
        let columns = |e: &Rc<Entry>| match &e.source {
            Source::Relation { columns: Some(columns), .. } if e.renames.is_empty() => {
                Some(columns.clone())
            }
            _ => None,
        };
        let shared: Option<Vec<_>> = other.iter().map(columns).collect();
        for entry in side {
            match (&shared, columns(entry)) {
                (Some(shared), Some(own)) => {
                    for column in own.iter().filter(|c| shared.iter().any(|s| s.contains(c))) {
                        self.read_entry(entry, Some(column));
                    }
                }
                // Columns that are not known can be any.
                _ => self.read_entry(entry, None),
            }
        }
    }

    /// A relation in a FROM clause; gives what replaces it.
    fn scan(&mut self, relation: &mut pb::RangeVar) -> Option<NodeEnum> {
        let (alias, renames) = alias_of(relation.alias.as_ref());
        let alias = alias.to_owned();
        let cte = self.ctes.iter().rev().find(|cte| cte.0 == relation.relname);
        if let (true, Some((name, columns))) = (relation.schemaname.is_empty(), cte.cloned()) {
            self.push_derived(relation.alias.as_ref(), &name, columns);
            return None;
        }
        let mut replacement = None;
        let mut entry = match self.resolve(relation) {
            Resolved::Relation(found) => {
                let only = !relation.inh;
                if self.in_view() {
                    relation.schemaname.clone_from(&found.schema);
                }
                self.read(found, &[], only);
                replacement = self.replace(found, relation);
                if self.masks.is_none() {
                    self.follow_view(found);
                }
                Entry::relation(self.catalog, found, &alias, only)
            }
            Resolved::System(schema) => {
                self.masked_system(schema, &relation.relname);
                Entry::system(schema, &relation.relname, &alias)
            }
            found @ (Resolved::Temporary | Resolved::Unknown) => {
                if found == Resolved::Temporary {
                    self.read_made(relation);
                }
                Entry::derived(if alias.is_empty() { &relation.relname } else { &alias })
            }
        };
        entry.renames = renames;
        entry.replaced = replacement.is_some();
        if entry.replaced {
            entry.oid = self.plain_oid(&entry);
        }
        let unknown = matches!(entry.source, Source::Relation { columns: None, .. });
        if unknown {
            self.mention_system(&entry);
            if !entry.renames.is_empty() {
                // New names for columns hide which are read.
                self.read_entry(&entry, None);
            }
        }
        self.push(entry);
        replacement
    }

    /// The oid of a table that has only rows of its own.
    fn plain_oid(&self, entry: &Entry) -> Option<u32> {
        let Source::Relation { schema, name, .. } = &entry.source else { return None };
        let found = self.catalog.relation(schema, name)?;
        let alone = self.catalog.children(found.oid).is_empty();
        (alone && found.kind == RelationKind::Table).then_some(found.oid)
    }

    /// An outer join can put NULL in place of `tableoid`.
    fn forget_oids(&mut self, kind: pb::JoinType, start: usize, middle: usize) {
        let Some(level) = self.levels.last_mut() else { return };
        for (at, entry) in level.entries.iter_mut().enumerate().skip(start) {
            let kept = match kind {
                pb::JoinType::JoinInner => true,
                pb::JoinType::JoinLeft => at < middle,
                pb::JoinType::JoinRight => at >= middle,
                _ => false,
            };
            if !kept {
                Rc::make_mut(entry).oid = None;
            }
        }
    }

    fn masked_system(&mut self, schema: &str, name: &str) {
        if self.masks.is_some_and(|m| m.relation(schema, name).is_some()) {
            self.refuse(format!("{schema}.{name}: the snapshot does not have its columns"));
        }
    }

    /// The subselect that yields what the principal may see of `found`; `None` where that is all.
    fn replace(&mut self, found: &Relation, relation: &pb::RangeVar) -> Option<NodeEnum> {
        let masks = self.masks?;
        let only = !relation.inh;
        let masked = mask::of(self.catalog, masks, found, only);
        let reaches =
            found.definition.is_some() && !found.is_system() && self.view_reaches(found, masks);
        if masked.is_empty() && !reaches {
            return None;
        }
        if self.persisting {
            self.refuse(format!("{}.{}: a definition would store it", found.schema, found.name));
            return None;
        }
        let stored = found.kind != RelationKind::View;
        if reaches && stored && self.closed_store(found, masks) {
            self.refuse(format!("{}.{} stores masked values", found.schema, found.name));
            return None;
        }
        if masked.is_empty() && stored {
            return None;
        }
        let inner = match (&found.definition, reaches && !stored) {
            (Some(definition), true) => match self.expand_view(found, definition) {
                Ok(select) => Some(select),
                Err(reason) => {
                    self.refusal.get_or_insert(reason);
                    return None;
                }
            },
            _ => None,
        };
        match mask::subselect(found, &masked, only, inner, relation) {
            Ok(node) => Some(node),
            Err(reason) => {
                self.refusal.get_or_insert(reason);
                None
            }
        }
    }
}

/// The columns that a CTE surely has.
fn columns_of(cte: &pb::CommonTableExpr) -> Vec<String> {
    let named = parse::strings(&cte.aliascolnames);
    if named.is_empty() { outputs::sure_of(cte.ctequery.as_deref()) } else { named }
}

fn function_name(functions: &[Node]) -> String {
    let call = functions.first().and_then(|f| match &f.node {
        Some(NodeEnum::List(list)) => list.items.first(),
        _ => Some(f),
    });
    match call.and_then(|c| c.node.as_ref()) {
        Some(NodeEnum::FuncCall(call)) => {
            call.funcname.last().and_then(parse::string).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// The setting that `FROM pg_settings WHERE name = '…'` pins: dump tools set one if it exists.
fn pinned_setting(select: &pb::SelectStmt) -> Option<String> {
    let [Node { node: Some(NodeEnum::RangeVar(from)) }] = select.from_clause.as_slice() else {
        return None;
    };
    let Some(NodeEnum::AExpr(condition)) = &select.where_clause.as_deref()?.node else {
        return None;
    };
    let equal = parse::strings(&condition.name) == ["="];
    let Some(NodeEnum::ColumnRef(column)) = &condition.lexpr.as_deref()?.node else { return None };
    let named = parse::strings(&column.fields) == ["name"];
    let of_server = from.relname == "pg_settings"
        && matches!(from.schemaname.as_str(), "" | "pg_catalog")
        && from.alias.is_none();
    let setting = condition.rexpr.as_deref().and_then(parse::constant)?;
    (equal && named && of_server).then(|| setting.to_ascii_lowercase())
}
