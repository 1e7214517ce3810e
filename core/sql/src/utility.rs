//! Statements that are not queries: sessions, transactions, COPY, cursors, EXPLAIN and upkeep.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::{Key, KeyKind};
use writ_model::facts::SessionEffect;
use writ_model::{OpaqueReason, Relation, StatementKind as Kind};

use crate::change::all_columns;
use crate::children::{Children, Visitor};
use crate::names::Resolved;
use crate::scope::Entry;
use crate::walk::Walk;
use crate::{mask, parse};

impl Walk<'_> {
    /// One statement of the text.
    pub(crate) fn statement(&mut self, node: &mut Node) {
        let Some(inner) = node.node.as_mut() else { return };
        match inner {
            NodeEnum::SelectStmt(select) => {
                self.kind(Kind::Select);
                self.select_stmt(select);
            }
            NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => self.node(node),
            NodeEnum::CopyStmt(copy) => self.copy(copy),
            NodeEnum::ExplainStmt(explain) => self.explain(explain),
            NodeEnum::PrepareStmt(prepare) => {
                self.kind(Kind::Prepare);
                self.facts.prepares.insert(prepare.name.clone());
                self.nested(prepare.query.as_deref_mut());
            }
            NodeEnum::ExecuteStmt(execute) => {
                self.kind(Kind::Prepare);
                self.facts.executes.insert(execute.name.clone());
                if self.has_changed() {
                    // The server plans it again, with the names of now.
                    self.meaning_changed(&execute.name);
                }
                execute.children(self);
            }
            NodeEnum::DeallocateStmt(deallocate) => self.deallocate(deallocate),
            NodeEnum::DeclareCursorStmt(cursor) => {
                self.kind(Kind::Cursor);
                self.nested(cursor.query.as_deref_mut());
            }
            NodeEnum::ClosePortalStmt(_) | NodeEnum::FetchStmt(_) => self.kind(Kind::Cursor),
            NodeEnum::TransactionStmt(transaction) => self.transaction(transaction),
            NodeEnum::VariableSetStmt(set) => self.set(set),
            NodeEnum::VariableShowStmt(show) => {
                self.kind(Kind::Set);
                self.guard_read(&show.name.to_ascii_lowercase());
            }
            NodeEnum::ConstraintsSetStmt(_) => self.kind(Kind::Set),
            NodeEnum::DiscardStmt(discard) => self.discard(discard),
            NodeEnum::ListenStmt(_) | NodeEnum::UnlistenStmt(_) | NodeEnum::NotifyStmt(_) => {
                self.kind(Kind::Notify);
            }
            NodeEnum::LockStmt(lock) => {
                self.kind(Kind::Lock);
                self.mention(&lock.relations);
            }
            NodeEnum::DoStmt(block) => {
                if !self.block(block) {
                    self.kind(Kind::Do);
                    self.unseen("DO");
                }
            }
            NodeEnum::CallStmt(call) => {
                self.kind(Kind::Call);
                self.unseen("CALL");
                call.funccall.children(self);
            }
            NodeEnum::TruncateStmt(truncate) => self.truncate(truncate),
            _ => self.maintenance(node),
        }
    }

    fn deallocate(&mut self, deallocate: &pb::DeallocateStmt) {
        self.kind(Kind::Prepare);
        let name = Some(deallocate.name.clone()).filter(|name| !name.is_empty());
        self.facts.deallocates.insert(name);
    }

    fn discard(&mut self, discard: &pb::DiscardStmt) {
        self.kind(Kind::Discard);
        if discard.target() == pb::DiscardMode::DiscardAll {
            self.facts.deallocates.insert(None);
        }
        self.names_change();
    }

    /// Notes code that is not in the statement.
    fn unseen(&mut self, what: &str) {
        self.opaque(OpaqueReason::DynamicSql(what.to_owned()));
        self.names_change();
        self.definitions_change();
        self.effect(SessionEffect::TransactionEnd);
    }

    fn nested(&mut self, query: Option<&mut Node>) {
        match query {
            Some(query) => self.statement(query),
            None => self.opaque(OpaqueReason::UnknownNode("no query".into())),
        }
    }

    fn explain(&mut self, explain: &mut pb::ExplainStmt) {
        self.kind(Kind::Explain);
        let runs = explain.options.iter().any(|option| match &option.node {
            Some(NodeEnum::DefElem(option)) => option.defname == "analyze" && !is_off(option),
            _ => true,
        });
        let before = self.planning;
        self.planning |= !runs;
        self.nested(explain.query.as_deref_mut());
        self.planning = before;
        if self.masks.is_some() {
            without_costs(explain);
        }
    }

    fn transaction(&mut self, transaction: &pb::TransactionStmt) {
        use pb::TransactionStmtKind as K;
        self.kind(Kind::Transaction);
        match transaction.kind() {
            K::TransStmtBegin | K::TransStmtStart | K::TransStmtSavepoint | K::TransStmtRelease => {
            }
            // ROLLBACK TO undoes settings as well.
            _ => self.transaction_end(),
        }
        if transaction.kind() == K::TransStmtCommitPrepared {
            self.definitions_change();
        }
    }

    fn set(&mut self, set: &pb::VariableSetStmt) {
        match set.kind() {
            pb::VariableSetKind::VarResetAll => {
                self.kind(Kind::Set);
                self.names_change();
            }
            pb::VariableSetKind::VarSetMulti => {
                self.kind(Kind::Set);
                self.characteristics(set);
            }
            _ => self.setting(&set.name.to_ascii_lowercase()),
        }
    }

    /// SET SESSION CHARACTERISTICS sets what later transactions begin with; SET TRANSACTION ends with its own.
    fn characteristics(&mut self, set: &pb::VariableSetStmt) {
        if set.name != "SESSION CHARACTERISTICS" {
            return;
        }
        for option in &set.args {
            if let Some(NodeEnum::DefElem(option)) = &option.node {
                self.facts.settings.insert(format!("default_{}", option.defname));
            }
        }
    }

    /// What an end undoes is what earlier texts set or defined, which the session knows and this text does not; what
    /// this text did is not followed across it, and what it made is open to others after it.
    fn transaction_end(&mut self) {
        self.effect(SessionEffect::TransactionEnd);
        self.names_changing |= self.facts.session.contains(&SessionEffect::Names);
        self.definitions_changed |= self.has_defined();
    }

    /// Notes relations that are named, without their columns.
    pub(crate) fn mention(&mut self, relations: &[Node]) {
        for node in relations {
            match &node.node {
                Some(NodeEnum::RangeVar(relation)) => {
                    self.mention_one(relation);
                }
                Some(NodeEnum::VacuumRelation(relation)) => {
                    if let Some(relation) = &relation.relation {
                        self.mention_one(relation);
                    }
                }
                _ => self.opaque(OpaqueReason::UnknownNode("a relation list".into())),
            }
        }
    }

    /// Notes one relation that is named; gives it where it is known.
    pub(crate) fn mention_one(&mut self, relation: &pb::RangeVar) -> Option<Relation> {
        match self.resolve(relation) {
            Resolved::Relation(found) => {
                self.read(found, &[], !relation.inh);
                Some(found.clone())
            }
            _ => None,
        }
    }

    fn truncate(&mut self, truncate: &pb::TruncateStmt) {
        self.kind(Kind::Truncate);
        let cascades = truncate.behavior() == pb::DropBehavior::DropCascade;
        for node in &truncate.relations {
            let Some(NodeEnum::RangeVar(relation)) = &node.node else { continue };
            match self.resolve(relation) {
                Resolved::Relation(found) => {
                    self.write(found, &all_columns(Some(found)), !relation.inh);
                    if cascades {
                        self.truncate_referring(found.oid);
                    }
                }
                Resolved::Temporary => self.write_made(relation),
                Resolved::System(_) | Resolved::Unknown => {}
            }
        }
    }

    /// TRUNCATE … CASCADE empties every table with a foreign key to one that it empties.
    fn truncate_referring(&mut self, oid: u32) {
        let catalog = self.catalog;
        let (mut next, mut emptied) = (vec![oid], BTreeSet::from([oid]));
        while let Some(oid) = next.pop() {
            next.extend(catalog.children(oid));
            let foreign = |key: &&Key| key.kind == KeyKind::Foreign && key.referenced == oid;
            for key in catalog.keys(oid).filter(foreign) {
                if emptied.insert(key.relation)
                    && let Some(referring) = catalog.relation_by_oid(key.relation)
                {
                    self.write(referring, &all_columns(Some(referring)), false);
                    next.push(key.relation);
                }
            }
        }
    }

    fn copy(&mut self, copy: &mut pb::CopyStmt) {
        self.kind(match (copy.is_program, copy.filename.is_empty(), copy.is_from) {
            (true, ..) => Kind::CopyProgram,
            (false, false, _) => Kind::CopyServerFile,
            (false, true, true) => Kind::CopyIn,
            (false, true, false) => Kind::CopyOut,
        });
        if let Some(query) = copy.query.as_deref_mut() {
            // A query's own kind adds nothing; a change in it does.
            return match &mut query.node {
                Some(NodeEnum::SelectStmt(select)) => self.select_stmt(select),
                _ => self.statement(query),
            };
        }
        let Some(relation) = copy.relation.clone() else { return };
        let named = parse::strings(&copy.attlist);
        match self.resolve(&relation) {
            Resolved::Relation(found) if copy.is_from => {
                let all = named.is_empty();
                let columns = if all { all_columns(Some(found)) } else { named };
                self.write(found, &columns, false);
                self.level(|walk| {
                    walk.push(Entry::derived(&found.name));
                    copy.where_clause.children(walk);
                });
            }
            Resolved::Relation(found) => self.copy_out(copy, found, named),
            Resolved::System(schema) if !copy.is_from => {
                let entry = Entry::system(schema, &relation.relname, "");
                self.read_entry(&entry, None);
                if self.masks.is_some_and(|m| m.relation(schema, &relation.relname).is_some()) {
                    self.refuse(format!("COPY {schema}.{}", relation.relname));
                }
            }
            Resolved::System(schema) => {
                let name = format!("{schema}.{}", relation.relname);
                self.opaque(OpaqueReason::UnknownRelation(name));
            }
            Resolved::Temporary if copy.is_from => self.write_made(&relation),
            Resolved::Temporary => self.read_made(&relation),
            Resolved::Unknown => {}
        }
    }

    /// `COPY t TO`: where `t` is masked it becomes the COPY of a query.
    fn copy_out(&mut self, copy: &mut pb::CopyStmt, found: &Relation, named: Vec<String>) {
        let columns = if named.is_empty() {
            found.columns.iter().filter(|c| !c.generated).map(|c| c.name.clone()).collect()
        } else {
            named
        };
        // COPY of a table leaves its children out.
        self.read(found, &columns, true);
        let Some(masks) = self.masks else { return self.follow_view(found) };
        if mask::of(self.catalog, masks, found, true).is_empty() && found.definition.is_none() {
            return;
        }
        let list: Vec<String> = columns.iter().map(|c| mask::quoted(c)).collect();
        let (schema, name) = (mask::quoted(&found.schema), mask::quoted(&found.name));
        let text = format!("SELECT {} FROM ONLY {schema}.{name}", list.join(", "));
        match parse::parse_query(&text) {
            Ok(mut query) => {
                self.select_stmt(&mut query);
                copy.relation = None;
                copy.attlist.clear();
                copy.query = Some(Box::new(Node { node: Some(NodeEnum::SelectStmt(query)) }));
            }
            Err(reason) => self.refuse(reason.detail()),
        }
    }

    fn maintenance(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::VacuumStmt(vacuum)) => {
                self.kind(Kind::Maintenance);
                self.mention(&vacuum.rels);
                if vacuum.rels.is_empty() {
                    self.rebuild_any();
                }
            }
            Some(NodeEnum::ClusterStmt(cluster)) => {
                self.kind(Kind::Maintenance);
                match &cluster.relation {
                    Some(relation) => {
                        self.mention_one(relation);
                    }
                    None => self.rebuild_any(),
                }
            }
            Some(NodeEnum::CheckPointStmt(_)) => self.kind(Kind::Maintenance),
            Some(NodeEnum::ReindexStmt(reindex)) => {
                self.kind(Kind::Maintenance);
                self.see_definition();
                let of_table = reindex.kind() == pb::ReindexObjectType::ReindexObjectTable;
                match reindex.relation.as_ref().filter(|_| of_table) {
                    Some(relation) => {
                        self.mention_one(relation);
                    }
                    None => self.rebuild_any(),
                }
            }
            Some(NodeEnum::RefreshMatViewStmt(refresh)) => {
                self.kind(Kind::Maintenance);
                self.see_definition();
                // CONCURRENTLY makes the session's temporary schema.
                self.effect(SessionEffect::Names);
                if let Some(relation) = &refresh.relation
                    && let Resolved::Relation(found) = self.resolve(relation)
                {
                    let found = found.clone();
                    self.write(&found, &all_columns(Some(&found)), true);
                    if self.masks.is_none() {
                        // The query runs again; its rows stay in the server.
                        self.follow_view(&found);
                    }
                }
            }
            Some(NodeEnum::LoadStmt(_)) => self.kind(Kind::Server),
            Some(alter @ NodeEnum::AlterSystemStmt(_)) => {
                self.stored_settings(alter);
                self.kind(Kind::Server);
            }
            _ => {
                self.see_definition();
                self.definition(node);
            }
        }
    }
}

const COSTS: &str = "costs";

/// E3: how many rows and bytes the planner expects comes from statistics of the values behind the masks.
fn without_costs(explain: &mut pb::ExplainStmt) {
    let is_costs =
        |node: &Node| matches!(&node.node, Some(NodeEnum::DefElem(o)) if o.defname == COSTS);
    explain.options.retain(|option| !is_costs(option));
    let off = NodeEnum::String(pb::String { sval: "off".to_owned() });
    let costs = pb::DefElem {
        defname: COSTS.to_owned(),
        arg: Some(Box::new(Node { node: Some(off) })),
        defaction: pb::DefElemAction::DefelemUnspec.into(),
        ..pb::DefElem::default()
    };
    explain.options.push(Node { node: Some(NodeEnum::DefElem(Box::new(costs))) });
}

fn is_off(option: &pb::DefElem) -> bool {
    let Some(arg) = option.arg.as_deref() else { return false };
    match &arg.node {
        Some(NodeEnum::Boolean(b)) => !b.boolval,
        Some(NodeEnum::Integer(i)) => i.ival == 0,
        Some(NodeEnum::String(s)) => {
            matches!(s.sval.to_ascii_lowercase().as_str(), "false" | "off" | "0" | "no")
        }
        _ => false,
    }
}
