//! Statements that change definitions.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::KeyKind;
use writ_model::facts::SessionEffect;
use writ_model::{OpaqueReason, Relation, StatementKind as Kind};

use crate::change::all_columns;
use crate::children::{Children, Visitor};
use crate::define::is_relation;
use crate::parse;
use crate::scope::Entry;
use crate::walk::Walk;

impl Walk<'_> {
    /// A statement that defines, alters or drops something.
    pub(crate) fn definition(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::CreateStmt(create)) => self.create_table(create),
            Some(NodeEnum::CreateForeignTableStmt(create)) => {
                if let Some(base) = create.base_stmt.as_mut() {
                    // Its rows are there already.
                    base.if_not_exists = true;
                    self.create_table(base);
                }
            }
            Some(NodeEnum::CreateTableAsStmt(create)) => self.create_as(create),
            Some(NodeEnum::ViewStmt(view)) => {
                self.kind(Kind::Create);
                // A view over a temporary relation is temporary without saying so.
                self.effect(SessionEffect::Names);
                self.persist(|walk| view.query.children(walk));
                if let Some(relation) = &view.view {
                    self.define(relation, false, true);
                }
            }
            Some(NodeEnum::IndexStmt(index)) => self.index(index),
            Some(NodeEnum::AlterTableStmt(alter)) => self.alter_table(alter),
            Some(NodeEnum::DropStmt(drop)) => self.drop(drop),
            Some(NodeEnum::GrantStmt(grant)) => {
                self.kind(Kind::Grant);
                for object in &grant.objects {
                    self.named(Some(object));
                }
                self.names_change();
            }
            Some(NodeEnum::CreateSeqStmt(create)) => {
                self.kind(Kind::Create);
                if let Some(sequence) = &create.sequence {
                    self.define(sequence, create.if_not_exists, false);
                }
            }
            Some(NodeEnum::AlterSeqStmt(alter)) => {
                self.kind(Kind::Alter);
                self.altered(alter.sequence.as_ref(), false);
            }
            _ => self.relabel(node),
        }
    }

    /// A statement that gives something another name, schema, owner or note.
    fn relabel(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::RenameStmt(rename)) => self.rename(rename),
            Some(NodeEnum::AlterObjectSchemaStmt(alter)) => {
                self.kind(Kind::Alter);
                self.altered(alter.relation.as_ref(), true);
                self.named(alter.object.as_deref());
                self.definitions_change();
            }
            Some(NodeEnum::AlterOwnerStmt(alter)) => {
                self.kind(Kind::Alter);
                self.altered(alter.relation.as_ref(), false);
                self.named(alter.object.as_deref());
                self.definitions_grow();
            }
            Some(NodeEnum::CommentStmt(comment)) => {
                self.kind(Kind::Alter);
                self.named(comment.object.as_deref());
            }
            Some(NodeEnum::SecLabelStmt(label)) => {
                self.kind(Kind::Alter);
                self.named(label.object.as_deref());
            }
            _ => self.code(node),
        }
    }

    /// Notes where something is made: the first thing in the temporary schema makes the schema.
    pub(crate) fn made_in(&mut self, name: &[Node]) {
        if parse::strings(name).first().is_some_and(|schema| schema.starts_with("pg_temp")) {
            self.effect(SessionEffect::Names);
        }
    }

    /// Walks a query that is stored: what is masked in it cannot be rewritten, since others would
    /// run the rewrite and the principal would own the original.
    fn persist(&mut self, work: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.persisting, true);
        work(self);
        self.persisting = before;
    }

    /// Walks expressions over the rows of one relation, as in CHECK, USING and index expressions.
    pub(crate) fn over(&mut self, relation: Option<&pb::RangeVar>, work: impl FnOnce(&mut Self)) {
        let target = relation.map(|r| self.target(r).1);
        self.level(|walk| {
            for alias in ["old", "new"] {
                if let Some(target) = &target {
                    let alias = alias.to_owned();
                    walk.push(Entry { alias, unqualified: false, ..target.clone() });
                }
            }
            if let Some(target) = target {
                walk.push(target);
            }
            walk.persist(work);
        });
    }

    fn create_table(&mut self, create: &mut pb::CreateStmt) {
        self.kind(Kind::Create);
        for parent in &create.inh_relations {
            if let Some(NodeEnum::RangeVar(parent)) = &parent.node {
                let found = self.copied(parent);
                if create.partbound.is_some() {
                    self.partition_added(found.as_ref());
                }
            }
        }
        // What is made next may have the bare name of what is copied here.
        let likes = |n: &&mut Node| matches!(n.node, Some(NodeEnum::TableLikeClause(_)));
        create.table_elts.iter_mut().filter(likes).for_each(|like| self.element(like));
        self.see_columns(&create.table_elts);
        create.of_typename.children(self);
        self.temporary_child(create);
        if let Some(relation) = &create.relation {
            self.define(relation, create.if_not_exists, false);
        }
        self.loose(|walk| {
            create.table_elts.iter_mut().filter(|n| !likes(n)).for_each(|e| walk.element(e));
        });
        self.elements(&mut create.constraints);
        self.loose(|walk| {
            create.partbound.children(walk);
            create.partspec.children(walk);
            create.options.children(walk);
        });
    }

    /// Walks expressions whose columns are new or belong to nothing in the snapshot.
    fn loose(&mut self, work: impl FnOnce(&mut Self)) {
        self.level(|walk| {
            walk.push(Entry::derived("value"));
            work(walk);
        });
    }

    fn elements(&mut self, elements: &mut [Node]) {
        self.loose(|walk| {
            for element in elements {
                walk.element(element);
            }
        });
    }

    /// A column, a constraint or LIKE in a table definition.
    pub(crate) fn element(&mut self, element: &mut Node) {
        match element.node.as_mut() {
            Some(NodeEnum::ColumnDef(column)) => {
                column.raw_default.children(self);
                for constraint in &mut column.constraints {
                    self.element(constraint);
                }
            }
            Some(NodeEnum::Constraint(constraint)) => {
                if let Some(referenced) = constraint.pktable.as_ref() {
                    let found = self.mention_one(referenced);
                    // Whether a value exists there is an answer about the column.
                    let named = parse::strings(&constraint.pk_attrs);
                    let columns =
                        if named.is_empty() { self.primary(found.as_ref()) } else { named };
                    self.reads_rows(found.as_ref(), &columns);
                }
                constraint.raw_expr.children(self);
                constraint.where_clause.children(self);
                constraint.exclusions.children(self);
            }
            Some(NodeEnum::TableLikeClause(like)) => {
                if let Some(relation) = &like.relation {
                    let _ = self.copied(relation);
                }
            }
            Some(NodeEnum::PartitionCmd(part)) => {
                if let Some(relation) = &part.name {
                    self.mention_one(relation);
                }
            }
            _ => self.node(element),
        }
    }

    fn create_as(&mut self, create: &mut pb::CreateTableAsStmt) {
        self.kind(Kind::Create);
        let stored = create.objtype() == pb::ObjectType::ObjectMatview;
        let query = create.query.as_deref_mut();
        let run = |walk: &mut Self| match query {
            Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) => walk.select_stmt(select),
            Some(query) => walk.statement(query),
            None => walk.opaque(OpaqueReason::UnknownNode("no query".into())),
        };
        if stored {
            self.persist(run);
        } else {
            run(self);
        }
        if let Some(into) = create.into.as_mut() {
            self.note_into(into, create.if_not_exists);
        }
    }

    fn index(&mut self, index: &mut pb::IndexStmt) {
        self.kind(Kind::Create);
        self.facts.defines.insert(index.idxname.clone());
        self.effect(SessionEffect::Definitions);
        let Some(relation) = index.relation.clone() else { return };
        let found = self.mention_one(&relation);
        if index.unique {
            // The error on a duplicate shows the value.
            let named = index.index_params.iter().filter_map(|p| match &p.node {
                Some(NodeEnum::IndexElem(element)) => Some(element.name.clone()),
                _ => None,
            });
            self.reads_rows(found.as_ref(), &named.collect::<Vec<_>>());
        }
        self.over(Some(&relation), |walk| {
            index.index_params.children(walk);
            index.where_clause.children(walk);
        });
    }

    /// Notes that a definition reads rows in a way that no rewrite can mask.
    pub(crate) fn reads_rows(&mut self, relation: Option<&Relation>, columns: &[String]) {
        let Some(relation) = relation else { return };
        self.read(relation, columns, false);
        self.refuse_masked(relation, columns, "a definition reads masked columns");
    }

    /// Notes that a relation gets one more partition: rows of its default partition may not be of that one.
    pub(crate) fn partition_added(&mut self, parent: Option<&Relation>) {
        let Some(parent) = parent else { return };
        let keys = self.catalog.keys(parent.oid);
        let asked: BTreeSet<i16> = keys
            .filter(|k| k.kind == KeyKind::DefaultPartition && k.relation == parent.oid)
            .flat_map(|key| key.columns.iter().copied())
            .collect();
        let columns = parent.columns.iter().filter(|column| asked.contains(&column.number));
        let columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
        if !columns.is_empty() {
            self.reads_rows(Some(parent), &columns);
        }
    }

    /// The columns of a relation's primary key: what a foreign key refers to that names none. All of them where it is
    /// not known.
    fn primary(&self, relation: Option<&Relation>) -> Vec<String> {
        let Some(relation) = relation else { return Vec::new() };
        let mut keys = self.catalog.keys(relation.oid).filter(|k| k.relation == relation.oid);
        let Some(key) = keys.find(|k| k.kind == KeyKind::Primary) else {
            return all_columns(Some(relation));
        };
        let columns = relation.columns.iter().filter(|c| key.columns.contains(&c.number));
        columns.map(|column| column.name.clone()).collect()
    }

    /// Whether a statement changes an index, which the snapshot leaves out; notes its name.
    pub(crate) fn is_index(
        &mut self,
        kind: pb::ObjectType,
        relation: Option<&pb::RangeVar>,
    ) -> bool {
        let Some(relation) = relation.filter(|_| kind == pb::ObjectType::ObjectIndex) else {
            return false;
        };
        self.facts.defines.insert(relation.relname.clone());
        // ALTER INDEX … RENAME takes tables too.
        self.names.resolve(self.catalog, &relation.schemaname, &relation.relname)
            == crate::names::Resolved::Unknown
    }

    /// Notes an altered relation. `renames`: its columns may go by other names afterwards.
    pub(crate) fn altered(
        &mut self,
        relation: Option<&pb::RangeVar>,
        renames: bool,
    ) -> Option<Relation> {
        let relation = relation?;
        self.facts.defines.insert(relation.relname.clone());
        let found = self.mention_one(relation)?;
        if self.planning {
            self.read(&found, &[], false);
        } else {
            self.note_altered(&found);
        }
        if renames {
            self.reads_rows(Some(&found), &all_columns(Some(&found)));
        }
        Some(found)
    }

    /// Notes a name in whatever form the grammar gives it.
    pub(crate) fn named(&mut self, object: Option<&Node>) {
        let name = match object.and_then(|o| o.node.as_ref()) {
            Some(NodeEnum::List(list)) => parse::strings(&list.items).join("."),
            Some(NodeEnum::String(name)) => name.sval.clone(),
            Some(NodeEnum::RangeVar(r)) if r.schemaname.is_empty() => r.relname.clone(),
            Some(NodeEnum::RangeVar(r)) => format!("{}.{}", r.schemaname, r.relname),
            Some(NodeEnum::ObjectWithArgs(o)) => parse::strings(&o.objname).join("."),
            Some(NodeEnum::TypeName(t)) => parse::strings(&t.names).join("."),
            _ => return,
        };
        self.facts.defines.insert(name);
    }

    /// Whether all that goes is the session's own temporary relations, as with DISCARD TEMP.
    pub(crate) fn drops_own(&self, drop: &pb::DropStmt) -> bool {
        let known = !self.names_changed && !self.definitions_changed;
        let own = |object: &Node| {
            let Some(NodeEnum::List(list)) = &object.node else { return false };
            let found = match parse::strings(&list.items).as_slice() {
                [name] => self.names.resolve(self.catalog, "", name),
                [schema, name] => self.names.resolve(self.catalog, schema, name),
                _ => return false,
            };
            found == crate::names::Resolved::Temporary
        };
        known
            && is_relation(drop.remove_type())
            && drop.behavior() != pb::DropBehavior::DropCascade
            && drop.objects.iter().all(own)
    }

    /// Definitions that hold code, roles, or things outside relations.
    fn code(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::CreateFunctionStmt(create)) => {
                self.kind(Kind::Create);
                self.facts.defines.insert(parse::strings(&create.funcname).join("."));
                self.made_functions.extend(parse::strings(&create.funcname).pop());
                self.function_settings(&create.options);
                self.made_in(&create.funcname);
                self.loose(|walk| {
                    walk.persist(|walk| {
                        create.parameters.children(walk);
                        create.sql_body.children(walk);
                    });
                });
                self.definitions_grow();
            }
            Some(NodeEnum::CreateSchemaStmt(create)) if !create.schema_elts.is_empty() => {
                self.kind(Kind::Create);
                self.effect(SessionEffect::Names);
                create.schema_elts.iter_mut().for_each(|element| self.statement(element));
                self.definitions_change();
            }
            Some(NodeEnum::CreateStatsStmt(stats)) => self.statistics(stats),
            Some(NodeEnum::CreateDomainStmt(create)) => {
                self.kind(Kind::Create);
                self.facts.defines.insert(parse::strings(&create.domainname).join("."));
                self.made_in(&create.domainname);
                self.elements(&mut create.constraints);
                self.definitions_grow();
            }
            Some(NodeEnum::AlterDomainStmt(alter)) => {
                self.kind(Kind::Alter);
                self.facts.defines.insert(parse::strings(&alter.type_name).join("."));
                // ADD CONSTRAINT, VALIDATE CONSTRAINT and SET NOT NULL look at every value of the domain.
                if matches!(alter.subtype.as_str(), "C" | "V" | "O") {
                    self.values_of_domain(&parse::strings(&alter.type_name));
                }
                if let Some(definition) = alter.def.as_deref_mut() {
                    self.loose(|walk| walk.element(definition));
                }
                self.definitions_change();
            }
            Some(
                NodeEnum::CreatePolicyStmt(_)
                | NodeEnum::AlterPolicyStmt(_)
                | NodeEnum::CreateTrigStmt(_)
                | NodeEnum::RuleStmt(_),
            ) => self.hook(node),
            Some(other) => {
                self.stored_settings(other);
                if attaches_code(other) {
                    let what = "code behind an operator, a cast or an event".to_owned();
                    self.opaque(OpaqueReason::UntrustedFunction(what));
                }
                if self.simple_definition(other) {
                } else if let Some(kind) = plain(other) {
                    self.kind(kind);
                    self.names_change();
                    self.definitions_change();
                } else {
                    self.kind(Kind::Unknown);
                    self.opaque(OpaqueReason::UnknownNode("a statement".into()));
                }
            }
            None => {}
        }
    }

    fn statistics(&mut self, stats: &mut pb::CreateStatsStmt) {
        self.kind(Kind::Create);
        self.facts.defines.insert(parse::strings(&stats.defnames).join("."));
        self.made_in(&stats.defnames);
        self.mention(&stats.relations.clone());
        let table = stats.relations.first().and_then(|n| match &n.node {
            Some(NodeEnum::RangeVar(r)) => Some(r.clone()),
            _ => None,
        });
        self.over(table.as_ref(), |walk| stats.exprs.children(walk));
        self.effect(SessionEffect::Definitions);
    }

    /// Policies, triggers and rules: conditions over the rows of one relation.
    fn hook(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::CreatePolicyStmt(policy)) => {
                self.kind(Kind::Create);
                let table = policy.table.clone();
                self.over(table.as_ref(), |walk| {
                    policy.qual.children(walk);
                    policy.with_check.children(walk);
                });
            }
            Some(NodeEnum::AlterPolicyStmt(policy)) => {
                self.kind(Kind::Alter);
                let table = policy.table.clone();
                self.over(table.as_ref(), |walk| {
                    policy.qual.children(walk);
                    policy.with_check.children(walk);
                });
            }
            Some(NodeEnum::CreateTrigStmt(trigger)) => {
                self.kind(Kind::Create);
                self.facts.defines.insert(trigger.trigname.clone());
                let table = trigger.relation.clone();
                if let Some(table) = &table {
                    self.mention_one(table);
                }
                if let Some(other) = &trigger.constrrel {
                    self.mention_one(other);
                }
                self.over(table.as_ref(), |walk| trigger.when_clause.children(walk));
                if let Some(table) = &table {
                    self.defined_trigger(table);
                }
            }
            Some(NodeEnum::RuleStmt(rule)) => {
                self.kind(Kind::Create);
                self.facts.defines.insert(rule.rulename.clone());
                let table = rule.relation.clone();
                if let Some(found) = table.as_ref().and_then(|t| self.mention_one(t))
                    && self.masks.is_none()
                {
                    // OLD and NEW are rows of a view, and so of what is below it.
                    self.follow_view(&found);
                }
                self.over(table.as_ref(), |walk| {
                    rule.where_clause.children(walk);
                    for action in &mut rule.actions {
                        walk.statement(action);
                    }
                });
                self.definitions_change();
            }
            _ => {}
        }
        // A temporary table with triggers or rules runs code.
        self.effect(SessionEffect::Names);
        self.definitions_grow();
    }
}

/// Whether a statement puts a function behind syntax in which no later analysis can see the call.
fn attaches_code(statement: &NodeEnum) -> bool {
    match statement {
        NodeEnum::DefineStmt(define) => define.kind() == pb::ObjectType::ObjectOperator,
        NodeEnum::CreateCastStmt(cast) => cast.func.is_some(),
        NodeEnum::CreateOpClassStmt(_)
        | NodeEnum::CreateConversionStmt(_)
        | NodeEnum::CreateTransformStmt(_)
        | NodeEnum::CreateEventTrigStmt(_)
        | NodeEnum::AlterEventTrigStmt(_)
        | NodeEnum::CreateAmStmt(_)
        | NodeEnum::CreatePlangStmt(_) => true,
        _ => false,
    }
}

/// The kind of a statement that reads and writes no rows of relations and holds no expression over
/// them.
fn plain(statement: &NodeEnum) -> Option<Kind> {
    use NodeEnum as N;
    Some(match statement {
        N::CreateRoleStmt(_)
        | N::AlterRoleStmt(_)
        | N::AlterRoleSetStmt(_)
        | N::DropRoleStmt(_)
        | N::GrantRoleStmt(_)
        | N::DropOwnedStmt(_)
        | N::ReassignOwnedStmt(_) => Kind::Role,
        N::AlterDefaultPrivilegesStmt(_) => Kind::Grant,
        N::CreateRangeStmt(_)
        | N::DefineStmt(_)
        | N::CreateOpClassStmt(_)
        | N::CreateOpFamilyStmt(_)
        | N::CreateCastStmt(_)
        | N::CreateConversionStmt(_)
        | N::CreateTransformStmt(_)
        | N::CreatePublicationStmt(_)
        | N::CreateEventTrigStmt(_)
        | N::CreateAmStmt(_)
        | N::CreatePlangStmt(_) => Kind::Create,
        N::AlterCollationStmt(_)
        | N::AlterFunctionStmt(_)
        | N::AlterObjectDependsStmt(_)
        | N::AlterOperatorStmt(_)
        | N::AlterOpFamilyStmt(_)
        | N::AlterTypeStmt(_)
        | N::AlterEventTrigStmt(_)
        | N::AlterExtensionContentsStmt(_)
        | N::AlterPublicationStmt(_)
        | N::AlterStatsStmt(_)
        | N::AlterTsdictionaryStmt(_)
        | N::AlterTsconfigurationStmt(_)
        | N::ReplicaIdentityStmt(_) => Kind::Alter,
        N::CreateExtensionStmt(_)
        | N::AlterExtensionStmt(_)
        | N::CreateFdwStmt(_)
        | N::AlterFdwStmt(_)
        | N::CreateForeignServerStmt(_)
        | N::AlterForeignServerStmt(_)
        | N::CreateUserMappingStmt(_)
        | N::AlterUserMappingStmt(_)
        | N::DropUserMappingStmt(_)
        | N::ImportForeignSchemaStmt(_)
        | N::CreateSubscriptionStmt(_)
        | N::AlterSubscriptionStmt(_)
        | N::DropSubscriptionStmt(_)
        | N::CreateTableSpaceStmt(_)
        | N::DropTableSpaceStmt(_)
        | N::AlterTableSpaceOptionsStmt(_)
        | N::AlterTableMoveAllStmt(_)
        | N::CreatedbStmt(_)
        | N::AlterDatabaseStmt(_)
        | N::AlterDatabaseRefreshCollStmt(_)
        | N::AlterDatabaseSetStmt(_)
        | N::DropdbStmt(_) => Kind::Server,
        _ => return None,
    })
}
