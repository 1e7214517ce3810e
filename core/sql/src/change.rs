//! Changes: INSERT, UPDATE, DELETE, MERGE and their RETURNING lists.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::{OpaqueReason, Relation, StatementKind};

use crate::children::Children;
use crate::matching::put_back;
use crate::names::Resolved;
use crate::query::alias_of;
use crate::scope::{Entry, Source};
use crate::walk::Walk;
use crate::{bounds, parse};

impl Walk<'_> {
    /// The target of a change as an entry; notes nothing.
    pub(crate) fn target(&mut self, relation: &pb::RangeVar) -> (Option<Relation>, Entry) {
        let (alias, _) = alias_of(relation.alias.as_ref());
        let name = if alias.is_empty() { &relation.relname } else { alias };
        match self.resolve(relation) {
            Resolved::Relation(found) => {
                let mut entry = Entry::relation(self.catalog, found, alias, !relation.inh);
                entry.target = true;
                (Some(found.clone()), entry)
            }
            Resolved::System(schema) => {
                let what = format!("{schema}.{}", relation.relname);
                self.opaque(OpaqueReason::UnknownRelation(what));
                (None, Entry::derived(name))
            }
            Resolved::Temporary | Resolved::Unknown => (None, Entry::derived(name)),
        }
    }

    /// The target of a change that happens now.
    fn write_to(&mut self, relation: &pb::RangeVar) -> (Option<Relation>, Entry) {
        let target = self.target(relation);
        if target.0.is_none() {
            self.write_made(relation);
        }
        target
    }

    fn write_target(&mut self, found: Option<&Relation>, entry: &Entry, columns: &[String]) {
        let Some(found) = found else { return };
        let only = matches!(entry.source, Source::Relation { only: true, .. });
        self.write(found, columns, only);
    }

    fn returning(&mut self, clause: Option<&mut pb::ReturningClause>, target: &Entry) {
        let Some(clause) = clause else { return };
        let mut names = vec!["old".to_owned(), "new".to_owned()];
        for option in &clause.options {
            if let Some(NodeEnum::ReturningOption(option)) = &option.node {
                names.push(option.value.clone());
            }
        }
        for alias in names {
            // A rule's OLD and NEW come first.
            if self.entry(None, &alias).is_none() {
                let entry = Entry { alias, unqualified: false, ..target.clone() };
                self.push(entry);
            }
        }
        if self.masks.is_some() {
            self.expand_returning(clause, target);
        }
        let before = std::mem::replace(&mut self.returning, true);
        clause.exprs.children(self);
        self.returning = before;
    }

    /// Puts a list of columns in place of `*`, so that each can give way to its mask, and keeps the
    /// names of those that will.
    fn expand_returning(&mut self, clause: &mut pb::ReturningClause, target: &Entry) {
        let Source::Relation { columns: Some(columns), .. } = &target.source else { return };
        let alone = self
            .levels
            .last()
            .is_some_and(|l| l.entries.iter().filter(|e| e.unqualified).count() == 1);
        let exprs = std::mem::take(&mut clause.exprs);
        for mut node in exprs {
            let Some(NodeEnum::ResTarget(result)) = node.node.as_mut() else {
                clause.exprs.push(node);
                continue;
            };
            let fields = match result.val.as_deref().and_then(|v| v.node.as_ref()) {
                Some(NodeEnum::ColumnRef(column)) => parse::strings(&column.fields),
                _ => Vec::new(),
            };
            match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                [.., table, "*"] if *table == target.alias => {
                    clause.exprs.extend(columns.iter().map(|c| column_of(target, c)));
                }
                ["*"] if alone => {
                    clause.exprs.extend(columns.iter().map(|c| column_of(target, c)));
                }
                [.., name] if *name != "*" && result.name.is_empty() => {
                    result.name = (*name).to_owned();
                    clause.exprs.push(node);
                }
                _ => clause.exprs.push(node),
            }
        }
    }

    pub(crate) fn insert(&mut self, insert: &mut pb::InsertStmt) {
        self.kind(StatementKind::Insert);
        self.level(|walk| {
            walk.with(insert.with_clause.as_mut());
            insert.select_stmt.children(walk);
            let Some(relation) = insert.relation.as_ref() else { return };
            if insert.on_conflict_clause.is_some() && insert.returning_clause.is_some() {
                walk.read_made(relation);
            }
            let (found, entry) = walk.write_to(relation);
            let mut columns = assigned(&insert.cols);
            if columns.is_empty() {
                // Columns without a value at the end of the list get their defaults.
                walk.see_defaults();
                columns = all_columns(found.as_ref());
                // Columns without a value take their default.
                columns.truncate(values_of(insert.select_stmt.as_deref()));
            }
            for column in &mut insert.cols {
                subscripts(walk, column);
            }
            walk.push(entry.clone());
            if let Some(conflict) = insert.on_conflict_clause.as_mut() {
                walk.infer(conflict.infer.as_deref_mut(), &entry);
                let excluded = Entry::derived("excluded");
                walk.push(Entry { unqualified: false, ..excluded });
                columns.extend(assigned(&conflict.target_list));
                conflict.target_list.children(walk);
                conflict.where_clause.children(walk);
                // RETURNING does not see it; a target may have that name.
                if let Some(level) = walk.levels.last_mut() {
                    level.entries.pop();
                }
            }
            walk.write_target(found.as_ref(), &entry, &columns);
            walk.returning(insert.returning_clause.as_mut(), &entry);
        });
    }

    fn infer(&mut self, infer: Option<&mut pb::InferClause>, entry: &Entry) {
        let Some(infer) = infer else { return };
        if !infer.conname.is_empty() {
            // Which columns the constraint covers is not known here.
            self.read_entry(entry, None);
        }
        for element in &infer.index_elems {
            if let Some(NodeEnum::IndexElem(element)) = &element.node
                && !element.name.is_empty()
            {
                // Whether a value is there already is an answer about the column.
                self.read_entry(entry, Some(&element.name));
            }
        }
        infer.children(self);
    }

    pub(crate) fn update(&mut self, update: &mut pb::UpdateStmt) {
        self.kind(StatementKind::Update);
        self.level(|walk| {
            walk.with(update.with_clause.as_mut());
            let Some(relation) = update.relation.as_ref() else { return };
            walk.read_made(relation);
            let (found, entry) = walk.write_to(relation);
            walk.bound(update.where_clause.as_deref(), found.as_ref());
            walk.write_target(found.as_ref(), &entry, &assigned(&update.target_list));
            walk.push(entry.clone());
            for item in &mut update.from_clause {
                walk.range(item);
            }
            update.target_list.children(walk);
            walk.changed_where(&mut update.where_clause, &mut update.from_clause, &entry);
            walk.returning(update.returning_clause.as_mut(), &entry);
        });
    }

    pub(crate) fn delete(&mut self, delete: &mut pb::DeleteStmt) {
        self.kind(StatementKind::Delete);
        self.level(|walk| {
            walk.with(delete.with_clause.as_mut());
            let Some(relation) = delete.relation.as_ref() else { return };
            walk.read_made(relation);
            let (found, entry) = walk.write_to(relation);
            walk.bound(delete.where_clause.as_deref(), found.as_ref());
            let before = std::mem::replace(&mut walk.removing, true);
            walk.write_target(found.as_ref(), &entry, &all_columns(found.as_ref()));
            walk.removing = before;
            walk.push(entry.clone());
            for item in &mut delete.using_clause {
                walk.range(item);
            }
            walk.changed_where(&mut delete.where_clause, &mut delete.using_clause, &entry);
            walk.returning(delete.returning_clause.as_mut(), &entry);
        });
    }

    /// Which rows a change concerns.
    fn changed_where(
        &mut self,
        condition: &mut Option<Box<Node>>,
        others: &mut [Node],
        target: &Entry,
    ) {
        self.match_filters(condition, others);
        let matched = self.match_target(condition, target);
        condition.children(self);
        put_back(condition, matched);
    }

    fn bound(&mut self, condition: Option<&Node>, target: Option<&Relation>) {
        if !self.planning && !condition.is_some_and(|c| bounds::bounds(c, target)) {
            self.facts.bounded = false;
        }
    }

    pub(crate) fn merge(&mut self, merge: &mut pb::MergeStmt) {
        self.kind(StatementKind::Merge);
        self.level(|walk| {
            walk.with(merge.with_clause.as_mut());
            let Some(relation) = merge.relation.as_ref() else { return };
            walk.read_made(relation);
            let (found, entry) = walk.write_to(relation);
            // Its rows are matched, whatever is done with them.
            if let Some(found) = &found {
                walk.read(found, &[], !relation.inh);
            }
            walk.push(entry.clone());
            if let Some(source) = merge.source_relation.as_mut() {
                walk.range(source);
            }
            merge.join_condition.children(walk);
            let mut columns = Vec::new();
            for clause in &mut merge.merge_when_clauses {
                let Some(NodeEnum::MergeWhenClause(clause)) = clause.node.as_mut() else {
                    continue;
                };
                let named = assigned(&clause.target_list);
                let all = named.is_empty();
                columns.extend(if all { all_columns(found.as_ref()) } else { named });
                clause.children(walk);
            }
            walk.write_target(found.as_ref(), &entry, &columns);
            walk.returning(merge.returning_clause.as_mut(), &entry);
        });
    }
}

/// `alias.column AS column` in a RETURNING list.
fn column_of(entry: &Entry, column: &str) -> Node {
    let fields = [entry.alias.as_str(), column]
        .map(|text| Node { node: Some(NodeEnum::String(pb::String { sval: text.to_owned() })) });
    let reference = pb::ColumnRef { fields: fields.into(), location: 0 };
    Node {
        node: Some(NodeEnum::ResTarget(Box::new(pb::ResTarget {
            name: column.to_owned(),
            indirection: Vec::new(),
            val: Some(Box::new(Node { node: Some(NodeEnum::ColumnRef(reference)) })),
            location: 0,
        }))),
    }
}

/// How many values each row of an INSERT's query has at most.
fn values_of(query: Option<&Node>) -> usize {
    let Some(query) = query else { return 0 };
    let Some(NodeEnum::SelectStmt(select)) = &query.node else { return usize::MAX };
    let row: Vec<Option<&Node>> = match select.values_lists.first().map(|row| &row.node) {
        Some(Some(NodeEnum::List(row))) => row.items.iter().map(Some).collect(),
        _ => select.target_list.iter().map(value_of).collect(),
    };
    let known = !row.is_empty() && row.iter().all(|value| value.is_some_and(is_one));
    if known { row.len() } else { usize::MAX }
}

fn value_of(target: &Node) -> Option<&Node> {
    match &target.node {
        Some(NodeEnum::ResTarget(target)) => target.val.as_deref(),
        _ => None,
    }
}

/// Whether an expression in a list stands for one value: `*` stands for any number.
fn is_one(value: &Node) -> bool {
    match &value.node {
        Some(NodeEnum::ColumnRef(column)) => column.fields.last().and_then(parse::string).is_some(),
        Some(NodeEnum::AIndirection(access)) => {
            !access.indirection.iter().any(|i| matches!(i.node, Some(NodeEnum::AStar(_))))
        }
        _ => true,
    }
}

/// The columns that a SET or column list names.
pub(crate) fn assigned(targets: &[Node]) -> Vec<String> {
    targets
        .iter()
        .filter_map(|t| match &t.node {
            Some(NodeEnum::ResTarget(target)) => Some(target.name.clone()),
            _ => None,
        })
        .collect()
}

pub(crate) fn all_columns(relation: Option<&Relation>) -> Vec<String> {
    relation.map_or(Vec::new(), |r| r.columns.iter().map(|c| c.name.clone()).collect())
}

fn subscripts(walk: &mut Walk<'_>, column: &mut Node) {
    if let Some(NodeEnum::ResTarget(target)) = column.node.as_mut() {
        target.indirection.children(walk);
    }
}
