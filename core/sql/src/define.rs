//! What a text defines and then uses: migrations come as one text. What a statement does to the catalog is noted for the
//! statements after it where it is known exactly; all else makes every later name unknown (E2).
//!
//! One text runs in one transaction, and its changes hold locks to the end of it: what is in a new relation or column is
//! what the text itself puts there, and it can read nothing masked. Past a COMMIT or ROLLBACK nothing is followed.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::facts::SessionEffect;
use writ_model::{Column, OpaqueReason, Relation, RelationKind, StatementKind as Kind};

use crate::change::all_columns;
use crate::names::Resolved;
use crate::overlay::{Content, Made, creation_schema};
use crate::parse;
use crate::scope::family;
use crate::walk::Walk;

impl Walk<'_> {
    /// Notes that a relation is made. `if_absent`: nothing happens where there is one of that name.
    pub(crate) fn define(&mut self, relation: &pb::RangeVar, if_absent: bool, hooked: bool) {
        let dot = if relation.schemaname.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", relation.schemaname, relation.relname);
        self.facts.defines.insert(name);
        if self.planning {
            return;
        }
        self.effect(SessionEffect::Definitions);
        let temporary = relation.relpersistence == "t";
        if temporary || relation.schemaname.starts_with("pg_temp") {
            // Names of this text that it may hide are not guessed: see `resolve`.
            self.effect(SessionEffect::Names);
        }
        let sure = !self.names_changed && !self.schema_made;
        let schema = creation_schema(&self.names, &relation.schemaname, temporary, sure);
        // The server told what is in the session's own temporary schema, and nobody else makes anything there.
        let told = sure && schema == "pg_temp";
        let is_there = match told {
            true => self.names.temp_relations.contains(&relation.relname),
            false => self.catalog.relation(&schema, &relation.relname).is_some(),
        };
        if if_absent && is_there {
            return;
        }
        let content = if if_absent && !told { Content::Unsure } else { Content::Own };
        self.made.insert(&schema, &relation.relname, Made { content, hooked });
    }

    /// The relation of the text that a name may mean.
    pub(crate) fn made(&self, schema: &str, name: &str) -> Option<Made> {
        if self.made.is_empty() {
            return None;
        }
        let path = (!self.names_changed && !self.schema_made)
            .then(|| self.names.path().collect::<Vec<_>>());
        self.made.get(schema, name, path.as_deref())
    }

    /// A relation that the text made is read.
    pub(crate) fn read_made(&mut self, relation: &pb::RangeVar) {
        let made = self.made(&relation.schemaname, &relation.relname);
        if made.is_some_and(|m| m.content == Content::Unsure) {
            self.opaque(OpaqueReason::UnknownRelation(relation.relname.clone()));
        }
    }

    /// A relation that the text made is written.
    pub(crate) fn write_made(&mut self, relation: &pb::RangeVar) {
        let made = self.made(&relation.schemaname, &relation.relname);
        if made.is_some_and(|m| m.hooked) {
            let name = format!("what stands behind {}", relation.relname);
            self.opaque(OpaqueReason::UntrustedFunction(name));
        }
    }

    /// Whether an earlier statement of the text changed what anything means.
    pub(crate) fn has_changed(&self) -> bool {
        self.names_changed || self.has_defined()
    }

    /// Whether an earlier statement of the text defined, altered or dropped anything.
    pub(crate) fn has_defined(&self) -> bool {
        self.definitions_changed
            || self.schema_made
            || self.dropped
            || !self.made.is_empty()
            || !self.made_functions.is_empty()
            || self.catalog.has_changes()
    }

    /// Notes that definitions change in a way that is not followed.
    pub(crate) fn definitions_change(&mut self) {
        if !self.planning {
            self.effect(SessionEffect::Definitions);
            self.definitions_changed = true;
        }
    }

    /// Notes that definitions change, but not what a name of this text means.
    pub(crate) fn definitions_grow(&mut self) {
        if !self.planning {
            self.effect(SessionEffect::Definitions);
        }
    }

    /// Notes that a new relation is made after another, and returns that one.
    pub(crate) fn copied(&mut self, from: &pb::RangeVar) -> Option<Relation> {
        let found = self.mention_one(from);
        self.takes_over(found.as_ref());
        found
    }

    /// A change of a permanent table changes its temporary children too, which nobody but their session sees.
    pub(crate) fn temporary_child(&mut self, create: &pb::CreateStmt) {
        let is_temporary = create.relation.as_ref().is_some_and(|r| {
            r.relpersistence == "t"
                || r.schemaname == "pg_temp"
                || r.schemaname.starts_with("pg_temp_")
        });
        if is_temporary && !create.inh_relations.is_empty() {
            self.temporary_inherits();
        }
    }

    pub(crate) fn temporary_inherits(&mut self) {
        let why = "a temporary table that inherits: make it LIKE the other, or permanent";
        self.opaque(OpaqueReason::Session(why.to_owned()));
    }

    /// Another relation gets what runs behind this one: defaults, checks and triggers that nothing is known of there.
    pub(crate) fn takes_over(&mut self, from: Option<&Relation>) {
        if from.is_some_and(|from| self.catalog.hooks(from.oid).next().is_some()) {
            self.definitions_change();
        }
    }

    /// Notes what becomes of a relation of the snapshot.
    fn changed(&mut self, oid: u32, relation: Option<Relation>) {
        if !self.planning && !self.catalog.change(oid, relation) {
            self.definitions_changed = true;
        }
    }

    /// Definitions after which every name of the text means what it did.
    pub(crate) fn simple_definition(&mut self, statement: &NodeEnum) -> bool {
        match statement {
            // The elements of CREATE SCHEMA are statements of their own: none is looked into.
            NodeEnum::CreateSchemaStmt(create) if create.schema_elts.is_empty() => {
                self.kind(Kind::Create);
                self.facts.defines.insert(create.schemaname.clone());
                self.effect(SessionEffect::Names);
                self.schema_made = true;
            }
            NodeEnum::CreateEnumStmt(create) => {
                self.kind(Kind::Create);
                self.made_in(&create.type_name);
                self.facts.defines.insert(parse::strings(&create.type_name).join("."));
            }
            NodeEnum::CompositeTypeStmt(create) => {
                self.kind(Kind::Create);
                if let Some(relation) = &create.typevar {
                    self.define(relation, false, false);
                }
            }
            NodeEnum::CreateRangeStmt(create) if range_parts(&create.params).is_some() => {
                self.kind(Kind::Create);
                self.made_in(&create.type_name);
                self.facts.defines.insert(parse::strings(&create.type_name).join("."));
                // Each of the two types comes with functions of its name.
                let multirange = range_parts(&create.params).flatten();
                if let Some(name) = parse::strings(&create.type_name).pop() {
                    self.made_functions.insert(name.replacen("range", "multirange", 1));
                    self.made_functions.insert(format!("{name}_multirange"));
                    self.made_functions.insert(name);
                }
                self.made_functions.extend(multirange);
            }
            NodeEnum::AlterEnumStmt(alter) => {
                self.kind(Kind::Alter);
                self.facts.defines.insert(parse::strings(&alter.type_name).join("."));
            }
            _ => return false,
        }
        self.definitions_grow();
        true
    }

    pub(crate) fn drop(&mut self, drop: &pb::DropStmt) {
        use pb::ObjectType as O;
        self.kind(if self.drops_own(drop) { Kind::Discard } else { Kind::Drop });
        let cascade = drop.behavior() == pb::DropBehavior::DropCascade;
        let kind = drop.remove_type();
        for object in &drop.objects {
            self.named(Some(object));
            if let (true, Some(NodeEnum::List(list))) = (is_relation(kind), &object.node) {
                let name = parse::strings(&list.items);
                match name.as_slice() {
                    [name] => self.drop_relation("", name, cascade),
                    [.., schema, name] => self.drop_relation(schema, name, cascade),
                    [] => {}
                }
            } else if cascade {
                // What depends on it goes as well, whatever that is.
                self.definitions_change();
            }
        }
        let followed = is_relation(kind)
            || matches!(
                kind,
                O::ObjectIndex
                    | O::ObjectTrigger
                    | O::ObjectPolicy
                    | O::ObjectFunction
                    | O::ObjectProcedure
                    | O::ObjectType
                    | O::ObjectDomain
                    | O::ObjectSchema
                    | O::ObjectStatisticExt
            );
        self.dropped |= !self.planning;
        self.effect(SessionEffect::Names);
        if followed { self.definitions_grow() } else { self.definitions_change() }
    }

    fn drop_relation(&mut self, schema: &str, name: &str, cascade: bool) {
        let found = self.names.resolve(self.catalog, schema, name);
        let moved = self.names_changed && schema.is_empty();
        if self.planning {
            return;
        }
        let made = self.made(schema, name).is_some();
        if moved || self.definitions_changed || (made && found != Resolved::Unknown) {
            self.meaning_changed(name);
        }
        match found {
            Resolved::Relation(found) => {
                // The view below a dropped view is not written.
                self.note_write(found, &all_columns(Some(found)));
                if cascade || !self.catalog.children(found.oid).is_empty() {
                    self.definitions_change();
                }
                self.changed(found.oid, None);
            }
            Resolved::Temporary if cascade => self.definitions_change(),
            Resolved::Temporary => self.names.to_mut().temp_relations.retain(|t| t != name),
            Resolved::Unknown if made => {
                if cascade || self.made.remove(schema, name).is_none() {
                    self.definitions_change();
                }
            }
            Resolved::System(_) | Resolved::Unknown => {}
        }
    }

    /// ALTER … RENAME.
    pub(crate) fn rename(&mut self, rename: &pb::RenameStmt) {
        use pb::ObjectType as O;
        self.kind(Kind::Alter);
        self.named(rename.object.as_deref());
        self.facts.defines.insert(rename.newname.clone());
        // A schema of the search path, or a temporary relation.
        self.effect(SessionEffect::Names);
        match rename.rename_type() {
            kind @ O::ObjectIndex if self.is_index(kind, rename.relation.as_ref()) => {
                self.definitions_grow();
            }
            O::ObjectIndex
            | O::ObjectTable
            | O::ObjectView
            | O::ObjectMatview
            | O::ObjectForeignTable
            | O::ObjectSequence => self.rename_relation(rename),
            O::ObjectColumn => self.rename_column(rename),
            O::ObjectTabconstraint | O::ObjectTrigger | O::ObjectPolicy => {
                self.altered(rename.relation.as_ref(), false);
                self.definitions_grow();
            }
            O::ObjectFunction | O::ObjectProcedure | O::ObjectRoutine => {
                self.made_functions.insert(rename.newname.clone());
                self.definitions_grow();
            }
            _ => {
                self.altered(rename.relation.as_ref(), true);
                self.definitions_change();
            }
        }
    }

    fn rename_relation(&mut self, rename: &pb::RenameStmt) {
        let Some(relation) = rename.relation.as_ref() else { return self.definitions_change() };
        let found = self.altered(Some(relation), true);
        let schema = relation.schemaname.as_str();
        match found {
            Some(found) => {
                let alone = family(self.catalog, &found, false).len() == 1;
                if !alone || found.kind != RelationKind::Table {
                    return self.definitions_change();
                }
                // Names that the new one may hide are not guessed.
                let own = Made { content: Content::Unsure, hooked: true };
                let taken = self.names.resolve(self.catalog, schema, &rename.newname);
                if taken != Resolved::Unknown {
                    self.made.insert(&found.schema, &rename.newname, own);
                }
                let renamed = Relation { name: rename.newname.clone(), ..found };
                self.changed(renamed.oid, Some(renamed));
            }
            None => match self.made.remove(schema, &relation.relname) {
                Some((schema, made)) => self.made.insert(&schema, &rename.newname, made),
                None => return self.definitions_change(),
            },
        }
        self.definitions_grow();
    }

    fn rename_column(&mut self, rename: &pb::RenameStmt) {
        let Some(found) = self.altered(rename.relation.as_ref(), false) else {
            // A relation of the text has any columns.
            return self.definitions_grow();
        };
        let column = [rename.subname.clone()];
        let alone = family(self.catalog, &found, false).len() == 1;
        if found.kind != RelationKind::Table || !alone {
            self.reads_rows(Some(&found), &all_columns(Some(&found)));
            return self.definitions_change();
        }
        // A mask goes by the name of its column.
        self.reads_rows(Some(&found), &column);
        self.refuse_new_column(&found, &rename.newname);
        let mut renamed = found;
        for column in renamed.columns.iter_mut().filter(|c| c.name == rename.subname) {
            column.name.clone_from(&rename.newname);
        }
        self.changed(renamed.oid, Some(renamed));
        self.definitions_grow();
    }

    /// A new column whose name is masked from earlier has a type that the mask cannot know.
    fn refuse_new_column(&mut self, relation: &Relation, column: &str) {
        let Some(masks) = self.masks else { return };
        let members = family(self.catalog, relation, false);
        let masked = |r: &&Relation| {
            masks.relation(&r.schema, &r.name).is_some_and(|m| m.contains_key(column))
        };
        if members.iter().any(masked) {
            self.refuse(format!("{}.{column}: a new column of a masked name", relation.name));
        }
    }

    /// Notes what one command of ALTER TABLE leaves behind. `found` is the relation of the snapshot; without it, the
    /// text made it.
    pub(crate) fn alter_command(&mut self, relation: &pb::RangeVar, command: &pb::AlterTableCmd) {
        use pb::AlterTableType as T;
        if command.behavior() == pb::DropBehavior::DropCascade {
            return self.definitions_change();
        }
        let found = match self.names.resolve(self.catalog, &relation.schemaname, &relation.relname)
        {
            Resolved::Relation(found) => Some(found.clone()),
            _ => None,
        };
        match command.subtype() {
            T::AtAddColumn | T::AtDropColumn => match found {
                Some(found) => self.alter_columns(found, command),
                None => self.definitions_grow(),
            },
            T::AtAttachPartition => self.attach(command),
            T::AtAddConstraint
            | T::AtDropConstraint
            | T::AtValidateConstraint
            | T::AtAlterConstraint
            | T::AtAlterColumnType
            | T::AtColumnDefault
            | T::AtDropNotNull
            | T::AtSetNotNull
            | T::AtSetStatistics
            | T::AtSetOptions
            | T::AtResetOptions
            | T::AtSetStorage
            | T::AtSetCompression
            | T::AtChangeOwner
            | T::AtClusterOn
            | T::AtDropCluster
            | T::AtSetLogged
            | T::AtSetUnLogged
            | T::AtSetTableSpace
            | T::AtSetRelOptions
            | T::AtResetRelOptions
            | T::AtEnableRowSecurity
            | T::AtDisableRowSecurity
            | T::AtForceRowSecurity
            | T::AtNoForceRowSecurity
            | T::AtReplicaIdentity
            | T::AtAddIdentity
            | T::AtSetIdentity
            | T::AtDropIdentity => self.definitions_grow(),
            _ => self.definitions_change(),
        }
    }

    fn alter_columns(&mut self, mut found: Relation, command: &pb::AlterTableCmd) {
        let plain = matches!(found.kind, RelationKind::Table | RelationKind::PartitionedTable);
        if !plain || !self.catalog.children(found.oid).is_empty() {
            return self.definitions_change();
        }
        let definition = command.def.as_deref().and_then(|d| d.node.as_ref());
        match (command.subtype(), definition) {
            (pb::AlterTableType::AtDropColumn, _) => {
                found.columns.retain(|c| c.name != command.name);
            }
            (_, Some(NodeEnum::ColumnDef(column))) => {
                if found.column(&column.colname).is_none() {
                    self.refuse_new_column(&found, &column.colname);
                    found.columns.push(new_column(&found, column));
                }
            }
            _ => return self.definitions_change(),
        }
        self.changed(found.oid, Some(found));
        self.definitions_grow();
    }

    /// ATTACH PARTITION: a partition that the text made holds nothing that its parent's masks would hide.
    fn attach(&mut self, command: &pb::AlterTableCmd) {
        let child = command.def.as_deref().and_then(|d| match &d.node {
            Some(NodeEnum::PartitionCmd(part)) => part.name.as_ref(),
            _ => None,
        });
        let made = child.and_then(|c| self.made(&c.schemaname, &c.relname));
        let unknown = child.is_some_and(|c| {
            self.names.resolve(self.catalog, &c.schemaname, &c.relname) == Resolved::Unknown
        });
        match made {
            Some(Made { content: Content::Own, hooked: false }) if unknown => {
                self.definitions_grow();
            }
            _ => self.definitions_change(),
        }
    }

    /// Notes that writes of a relation run code from now on.
    pub(crate) fn defined_trigger(&mut self, relation: &pb::RangeVar) {
        self.made.hook(&relation.schemaname, &relation.relname);
        let found = self.names.resolve(self.catalog, &relation.schemaname, &relation.relname);
        if let Resolved::Relation(found) = found {
            // What a write of it runs from now on is not looked at: no later use of it is known.
            let hidden = Made { content: Content::Unsure, hooked: true };
            for member in family(self.catalog, found, false) {
                self.made.insert(&member.schema, &member.name, hidden);
            }
        }
        self.definitions_grow();
    }
}

/// The columns that a constraint looks at; `None` where they are not written out.
pub(crate) fn constraint_columns(definition: Option<&Node>) -> Option<Vec<String>> {
    let Some(NodeEnum::Constraint(constraint)) = definition.and_then(|d| d.node.as_ref()) else {
        return None;
    };
    if !constraint.indexname.is_empty() {
        return None;
    }
    let mut columns = parse::strings(&constraint.keys);
    columns.extend(parse::strings(&constraint.fk_attrs));
    for exclusion in &constraint.exclusions {
        let Some(NodeEnum::List(pair)) = &exclusion.node else { return None };
        match pair.items.first().and_then(|i| i.node.as_ref()) {
            Some(NodeEnum::IndexElem(element)) => columns.push(element.name.clone()),
            _ => return None,
        }
    }
    Some(columns)
}

fn new_column(relation: &Relation, column: &pb::ColumnDef) -> Column {
    let last = relation.columns.iter().map(|c| c.number).max().unwrap_or_default();
    let generated = |n: &Node| match &n.node {
        Some(NodeEnum::Constraint(c)) => c.contype() == pb::ConstrType::ConstrGenerated,
        _ => false,
    };
    let names = column.type_name.as_ref().map(|t| parse::strings(&t.names));
    Column {
        number: last.saturating_add(1),
        name: column.colname.clone(),
        type_name: names.unwrap_or_default().join("."),
        type_category: 'U',
        not_null: false,
        generated: column.constraints.iter().any(generated),
    }
}

pub(crate) fn is_relation(kind: pb::ObjectType) -> bool {
    matches!(
        kind,
        pb::ObjectType::ObjectTable
            | pb::ObjectType::ObjectView
            | pb::ObjectType::ObjectMatview
            | pb::ObjectType::ObjectForeignTable
            | pb::ObjectType::ObjectSequence
    )
}

/// The name of the multirange type of a range type without code of its own; `None`: it may have some.
fn range_parts(parameters: &[Node]) -> Option<Option<String>> {
    let mut multirange = None;
    for parameter in parameters {
        let Some(NodeEnum::DefElem(parameter)) = &parameter.node else { return None };
        match parameter.defname.as_str() {
            "subtype" | "collation" => {}
            "multirange_type_name" => {
                let Some(NodeEnum::TypeName(name)) = &parameter.arg.as_deref()?.node else {
                    return None;
                };
                multirange = parse::strings(&name.names).pop();
            }
            _ => return None,
        }
    }
    Some(multirange)
}
