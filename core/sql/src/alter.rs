//! ALTER TABLE: which of its commands look at rows, and what they change.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::{OpaqueReason, Relation, StatementKind as Kind};

use crate::change::all_columns;
use crate::children::Children;
use crate::define::constraint_columns;
use crate::walk::Walk;

use pb::AlterTableType as T;

/// Whether a command looks at no row in a way that an error could show.
fn is_quiet(command: pb::AlterTableType) -> bool {
    matches!(
        command,
        T::AtAddColumn
            | T::AtColumnDefault
            | T::AtDropNotNull
            | T::AtSetNotNull
            | T::AtSetStatistics
            | T::AtSetOptions
            | T::AtResetOptions
            | T::AtSetStorage
            | T::AtSetCompression
            | T::AtDropColumn
            | T::AtDropConstraint
            | T::AtChangeOwner
            | T::AtClusterOn
            | T::AtDropCluster
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
            | T::AtDropIdentity
            | T::AtAttachPartition
    )
}

fn cascades(command: &Node) -> bool {
    match &command.node {
        Some(NodeEnum::AlterTableCmd(c)) => c.behavior() == pb::DropBehavior::DropCascade,
        _ => false,
    }
}

impl Walk<'_> {
    pub(crate) fn alter_table(&mut self, alter: &mut pb::AlterTableStmt) {
        self.kind(Kind::Alter);
        if self.is_index(alter.objtype(), alter.relation.as_ref()) {
            return self.definitions_grow();
        }
        if alter.objtype() == pb::ObjectType::ObjectType && alter.cmds.iter().any(cascades) {
            let why = "ALTER TYPE … CASCADE changes tables that it does not name";
            self.opaque(OpaqueReason::DynamicSql(why.to_owned()));
        }
        let relation = alter.relation.clone();
        let found = self.altered(relation.as_ref(), false);
        for command in &mut alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut() else { continue };
            self.rows_of_command(found.as_ref(), command);
            self.over(relation.as_ref(), |walk| {
                if let Some(definition) = command.def.as_deref_mut() {
                    // Rows that are there get values of the type.
                    if let Some(NodeEnum::ColumnDef(column)) = definition.node.as_mut() {
                        column.type_name.children(walk);
                    }
                    walk.element(definition);
                }
            });
            if command.subtype() == T::AtAddInherit && found.is_none() {
                self.temporary_inherits();
            }
            if command.subtype() == T::AtAttachPartition {
                self.takes_over(found.as_ref());
                self.attached(found.as_ref(), command);
            }
            if let Some(relation) = &relation {
                self.alter_command(relation, command);
            }
        }
    }

    /// The parent's indexes, keys and bounds are built and checked over the rows of what becomes a partition.
    fn attached(&mut self, parent: Option<&Relation>, command: &pb::AlterTableCmd) {
        let child = match command.def.as_deref().and_then(|d| d.node.as_ref()) {
            Some(NodeEnum::PartitionCmd(part)) => {
                part.name.as_ref().and_then(|name| self.mention_one(name))
            }
            _ => None,
        };
        self.reads_rows(child.as_ref(), &all_columns(child.as_ref()));
        self.partition_added(parent);
    }

    /// Notes which columns of the rows that are there a command looks at.
    fn rows_of_command(&mut self, found: Option<&Relation>, command: &mut pb::AlterTableCmd) {
        if is_quiet(command.subtype()) {
            return;
        }
        let is_type = command.subtype() == T::AtAlterColumnType;
        let column = found.and_then(|f| Some((f, f.column(&command.name)?))).filter(|_| is_type);
        if column.is_some_and(|(of, c)| self.only_widens(of, c, command.def.as_deref())) {
            // What it is made of is the column itself, which is not looked at.
            if let Some(NodeEnum::ColumnDef(to)) =
                command.def.as_deref_mut().and_then(|d| d.node.as_mut())
            {
                to.raw_default = None;
            }
            return;
        }
        // A failed conversion or check shows the value that failed.
        let read = match command.subtype() {
            T::AtAlterColumnType => Some(vec![command.name.clone()]),
            T::AtAddConstraint => constraint_columns(command.def.as_deref()),
            _ => None,
        };
        let read = read.unwrap_or_else(|| all_columns(found));
        self.reads_rows(found, &read);
    }
}
