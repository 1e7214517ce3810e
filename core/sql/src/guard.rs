//! What guardrails ask of a text beside its reads and writes: SQL cursors by name, changes that no command tag counts,
//! a way out of read-only mode, and the schemas and sorts of objects that are defined.
//!
//! A pass of its own over the statements of a text, not over their expressions. It changes nothing.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::facts::{CursorUse, SessionEffect};
use writ_model::{Catalog, StatementFacts};

use crate::names::{Names, Resolved};
use crate::parse;

/// DECLARE … WITH HOLD, as the server's grammar encodes it.
const CURSOR_OPT_HOLD: i32 = 0x0020;

/// Whether the setting called `name`, which is lower case, says if a transaction may change anything.
pub(crate) fn is_access_mode(name: &str) -> bool {
    matches!(name, "transaction_read_only" | "default_transaction_read_only")
}

/// Notes what the statements of `tree` do. Returns how many changes have a command tag that counts their rows.
pub(crate) fn note(
    tree: &pb::ParseResult,
    catalog: &Catalog,
    names: &Names,
    facts: &mut StatementFacts,
) -> u32 {
    let mut guard = Guard { catalog, names, facts, counted: 0, moved: false };
    for raw in &tree.stmts {
        guard.inner(raw.stmt.as_deref());
        guard.moved |= raw.stmt.as_deref().and_then(|s| s.node.as_ref()).is_none_or(moves_names);
    }
    guard.counted
}

/// Whether a statement may change what an unqualified name means to the next one. A function may do it too.
fn moves_names(statement: &NodeEnum) -> bool {
    use pb::TransactionStmtKind as K;
    match statement {
        NodeEnum::CreateStmt(create) => {
            create.relation.as_ref().is_none_or(|relation| relation.relpersistence == "t")
        }
        NodeEnum::TransactionStmt(transaction) => !matches!(
            transaction.kind(),
            K::TransStmtBegin | K::TransStmtStart | K::TransStmtSavepoint | K::TransStmtRelease
        ),
        NodeEnum::IndexStmt(_)
        | NodeEnum::AlterTableStmt(_)
        | NodeEnum::CommentStmt(_)
        | NodeEnum::CreateSeqStmt(_)
        | NodeEnum::CreateEnumStmt(_)
        | NodeEnum::ViewStmt(_) => false,
        NodeEnum::DropStmt(drop) => drop.remove_type() == pb::ObjectType::ObjectSchema,
        _ => true,
    }
}

struct Guard<'a> {
    catalog: &'a Catalog,
    names: &'a Names,
    facts: &'a mut StatementFacts,
    counted: u32,
    /// E2: an earlier statement of the text may change what an unqualified name means.
    moved: bool,
}

impl Guard<'_> {
    fn inner(&mut self, node: Option<&Node>) {
        let Some(node) = node.and_then(|n| n.node.as_ref()) else { return };
        match node {
            NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => self.counted = self.counted.saturating_add(1),
            NodeEnum::TruncateStmt(_) => self.facts.uncounted_changes = true,
            NodeEnum::PrepareStmt(prepare) => self.inner(prepare.query.as_deref()),
            NodeEnum::ExplainStmt(explain) => {
                // The tag of EXPLAIN ANALYZE counts nothing.
                let before = self.counted;
                self.inner(explain.query.as_deref());
                self.counted = before;
            }
            NodeEnum::DeclareCursorStmt(cursor) => {
                let hold = cursor.options & CURSOR_OPT_HOLD != 0;
                let name = cursor.portalname.clone();
                self.facts.cursors.insert(CursorUse::Declare { name, hold });
            }
            NodeEnum::FetchStmt(fetch) => {
                self.facts.cursors.insert(CursorUse::Fetch(fetch.portalname.clone()));
            }
            NodeEnum::ClosePortalStmt(close) => {
                let name = Some(close.portalname.clone()).filter(|name| !name.is_empty());
                self.facts.cursors.insert(CursorUse::Close(name));
            }
            NodeEnum::VariableSetStmt(set) => self.set(set),
            NodeEnum::TransactionStmt(transaction) => self.modes(&transaction.options),
            _ => self.definition(node),
        }
    }

    fn set(&mut self, set: &pb::VariableSetStmt) {
        let name = set.name.to_ascii_lowercase();
        match set.kind() {
            pb::VariableSetKind::VarSetMulti => self.modes(&set.args),
            _ if !is_access_mode(&name) => {}
            pb::VariableSetKind::VarSetValue if set.args.len() == 1 && is_on(set.args.first()) => {}
            // Back to what the connection started with, which the edge chose.
            pb::VariableSetKind::VarSetDefault | pb::VariableSetKind::VarReset
                if name == "default_transaction_read_only" => {}
            _ => self.read_write(),
        }
    }

    /// Transaction modes: BEGIN, SET TRANSACTION, SET SESSION CHARACTERISTICS.
    fn modes(&mut self, options: &[Node]) {
        for option in options {
            if let Some(NodeEnum::DefElem(option)) = &option.node
                && is_access_mode(&option.defname)
                && !is_on(option.arg.as_deref())
            {
                self.read_write();
            }
        }
    }

    fn read_write(&mut self) {
        self.facts.session.insert(SessionEffect::ReadWrite);
    }

    fn definition(&mut self, node: &NodeEnum) {
        use NodeEnum as N;
        use pb::ObjectType as T;
        match node {
            N::CreateStmt(s) => self.made(s.relation.as_ref(), T::ObjectTable),
            N::CreateForeignTableStmt(s) => {
                let relation = s.base_stmt.as_ref().and_then(|base| base.relation.as_ref());
                self.made(relation, T::ObjectForeignTable);
            }
            N::CreateTableAsStmt(s) => {
                self.made(s.into.as_ref().and_then(|i| i.rel.as_ref()), s.objtype());
            }
            N::SelectStmt(s) => {
                if let Some(into) = &s.into_clause {
                    self.made(into.rel.as_ref(), T::ObjectTable);
                }
            }
            N::ViewStmt(s) => self.made(s.view.as_ref(), T::ObjectView),
            N::CreateSeqStmt(s) => self.made(s.sequence.as_ref(), T::ObjectSequence),
            N::CompositeTypeStmt(s) => self.made(s.typevar.as_ref(), T::ObjectType),
            N::IndexStmt(s) => self.known(s.relation.as_ref(), T::ObjectIndex),
            N::AlterTableStmt(s) => self.known(s.relation.as_ref(), s.objtype()),
            N::AlterSeqStmt(s) => self.known(s.sequence.as_ref(), T::ObjectSequence),
            N::CreateTrigStmt(s) => self.known(s.relation.as_ref(), T::ObjectTrigger),
            N::RuleStmt(s) => self.known(s.relation.as_ref(), T::ObjectRule),
            N::CreatePolicyStmt(s) => self.known(s.table.as_ref(), T::ObjectPolicy),
            N::AlterPolicyStmt(s) => self.known(s.table.as_ref(), T::ObjectPolicy),
            N::RefreshMatViewStmt(s) => self.known(s.relation.as_ref(), T::ObjectMatview),
            N::CreateFunctionStmt(s) => {
                let kind = if s.is_procedure { T::ObjectProcedure } else { T::ObjectFunction };
                self.made_by_name(&s.funcname, kind);
            }
            N::CreateDomainStmt(s) => self.made_by_name(&s.domainname, T::ObjectDomain),
            N::CreateEnumStmt(s) => self.made_by_name(&s.type_name, T::ObjectType),
            N::CreateRangeStmt(s) => self.made_by_name(&s.type_name, T::ObjectType),
            N::DefineStmt(s) => self.made_by_name(&s.defnames, s.kind()),
            N::CreateStatsStmt(s) => self.made_by_name(&s.defnames, T::ObjectStatisticExt),
            N::CreateSchemaStmt(s) => self.place(Some(s.schemaname.clone()), T::ObjectSchema),
            N::DropStmt(s) => {
                for object in &s.objects {
                    self.object(Some(object), s.remove_type());
                }
            }
            _ => self.alteration(node),
        }
    }

    fn alteration(&mut self, node: &NodeEnum) {
        use NodeEnum as N;
        use pb::ObjectType as T;
        match node {
            N::RenameStmt(s) => match &s.relation {
                Some(relation) => self.known(Some(relation), s.rename_type()),
                None if s.rename_type() == T::ObjectSchema => {
                    self.place(Some(s.subname.clone()), T::ObjectSchema);
                    self.place(Some(s.newname.clone()), T::ObjectSchema);
                }
                None => self.object(s.object.as_deref(), s.rename_type()),
            },
            N::AlterObjectSchemaStmt(s) => {
                match &s.relation {
                    Some(relation) => self.known(Some(relation), s.object_type()),
                    None => self.object(s.object.as_deref(), s.object_type()),
                }
                self.place(Some(s.newschema.clone()), s.object_type());
            }
            N::AlterOwnerStmt(s) => match &s.relation {
                Some(relation) => self.known(Some(relation), s.object_type()),
                None => self.object(s.object.as_deref(), s.object_type()),
            },
            N::CommentStmt(s) => self.object(s.object.as_deref(), s.objtype()),
            N::SecLabelStmt(s) => self.object(s.object.as_deref(), s.objtype()),
            N::AlterFunctionStmt(s) => {
                let name = s.func.as_ref().map(|f| f.objname.as_slice()).unwrap_or_default();
                self.existing(&parse::strings(name), T::ObjectFunction);
            }
            N::AlterEnumStmt(s) => self.existing(&parse::strings(&s.type_name), T::ObjectType),
            N::AlterTypeStmt(s) => self.existing(&parse::strings(&s.type_name), T::ObjectType),
            N::AlterDomainStmt(s) => self.existing(&parse::strings(&s.type_name), T::ObjectDomain),
            _ => {}
        }
    }

    /// A relation that is made: in its schema, or in the first of the search path.
    fn made(&mut self, relation: Option<&pb::RangeVar>, kind: pb::ObjectType) {
        let schema = relation.and_then(|r| match r.schemaname.as_str() {
            _ if r.relpersistence == "t" => Some("pg_temp".to_owned()),
            "" => self.creation_schema(),
            schema => Some(schema.to_owned()),
        });
        self.place(schema, kind);
    }

    fn made_by_name(&mut self, name: &[Node], kind: pb::ObjectType) {
        let schema = match parse::strings(name).as_slice() {
            [_] => self.creation_schema(),
            [.., schema, _] => Some(schema.clone()),
            [] => None,
        };
        self.place(schema, kind);
    }

    fn creation_schema(&self) -> Option<String> {
        if self.moved {
            return None;
        }
        let implicit = |schema: &str| schema == "pg_catalog" || schema.starts_with("pg_temp");
        self.names.path().find(|schema| !implicit(schema)).map(str::to_owned)
    }

    /// A relation that is there already.
    fn known(&mut self, relation: Option<&pb::RangeVar>, kind: pb::ObjectType) {
        let parts = match relation {
            None => Vec::new(),
            Some(r) if r.schemaname.is_empty() => vec![r.relname.clone()],
            Some(r) => vec![r.schemaname.clone(), r.relname.clone()],
        };
        self.existing(&parts, kind);
    }

    /// An object named in whatever form the grammar gives it.
    fn object(&mut self, object: Option<&Node>, kind: pb::ObjectType) {
        use pb::ObjectType as T;
        let mut parts = match object.and_then(|o| o.node.as_ref()) {
            Some(NodeEnum::List(list)) => parse::strings(&list.items),
            Some(NodeEnum::String(name)) => vec![name.sval.clone()],
            Some(NodeEnum::ObjectWithArgs(o)) => parse::strings(&o.objname),
            Some(NodeEnum::TypeName(t)) => parse::strings(&t.names),
            _ => Vec::new(),
        };
        match kind {
            T::ObjectSchema => return self.place(parts.pop(), kind),
            // Named by the relation that they belong to.
            T::ObjectColumn
            | T::ObjectTabconstraint
            | T::ObjectTrigger
            | T::ObjectRule
            | T::ObjectPolicy => {
                parts.pop();
            }
            _ => {}
        }
        self.existing(&parts, kind);
    }

    fn existing(&mut self, parts: &[String], kind: pb::ObjectType) {
        let schema = match parts {
            [] => None,
            [_] if self.moved => None,
            [name] => match self.names.resolve(self.catalog.into(), "", name) {
                Resolved::Relation(found) => Some(found.schema.clone()),
                Resolved::System(schema) => Some(schema.to_owned()),
                Resolved::Temporary => Some("pg_temp".to_owned()),
                Resolved::Unknown => None,
            },
            [.., schema, _] => Some(schema.clone()),
        };
        self.place(schema, kind);
    }

    fn place(&mut self, schema: Option<String>, kind: pb::ObjectType) {
        let schema = schema.map(|schema| match schema.strip_prefix("pg_temp") {
            Some(_) => "pg_temp".to_owned(),
            None => schema,
        });
        self.facts.define_schemas.insert(schema);
        self.facts.object_kinds.insert(sort(kind).to_owned());
    }
}

/// A constant that means `on` to the server.
fn is_on(value: Option<&Node>) -> bool {
    use pb::a_const::Val;
    match value.and_then(|v| v.node.as_ref()) {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Ival(i)) => i.ival != 0,
            Some(Val::Boolval(b)) => b.boolval,
            Some(Val::Sval(s)) => {
                matches!(s.sval.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1")
            }
            _ => false,
        },
        _ => false,
    }
}

fn sort(kind: pb::ObjectType) -> &'static str {
    use pb::ObjectType as T;
    match kind {
        T::ObjectTable | T::ObjectColumn | T::ObjectTabconstraint | T::ObjectAttribute => "table",
        T::ObjectView => "view",
        T::ObjectMatview => "materialized_view",
        T::ObjectForeignTable => "foreign_table",
        T::ObjectIndex => "index",
        T::ObjectSequence => "sequence",
        T::ObjectFunction | T::ObjectRoutine => "function",
        T::ObjectProcedure => "procedure",
        T::ObjectAggregate => "aggregate",
        T::ObjectType => "type",
        T::ObjectDomain | T::ObjectDomconstraint => "domain",
        T::ObjectSchema => "schema",
        T::ObjectTrigger => "trigger",
        T::ObjectRule => "rule",
        T::ObjectPolicy => "policy",
        T::ObjectStatisticExt => "statistics",
        _ => "other",
    }
}
