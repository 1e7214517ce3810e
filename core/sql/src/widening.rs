//! Changes of a column's type that take every value as it is: they can neither fail nor show a value, so that migrations may
//! make them where the column is masked.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::{Hook, HookEvent};
use writ_model::{Column, Relation};

use crate::kinds::split_type;
use crate::parse;
use crate::scope::family;
use crate::walk::Walk;

/// Types by the names that the grammar gives them, and as `format_type` prints them, from narrow to wide.
const INTEGERS: [(&str, &str); 3] = [("int2", "smallint"), ("int4", "integer"), ("int8", "bigint")];
const VARYING: &str = "character varying";

impl Walk<'_> {
    /// Whether `definition` gives `column` a type that holds all values of the one it has, each as it is.
    pub(crate) fn only_widens(
        &self,
        relation: &Relation,
        column: &Column,
        definition: Option<&Node>,
    ) -> bool {
        if self.is_checked_by_users(relation) {
            return false;
        }
        let Some(NodeEnum::ColumnDef(to)) = definition.and_then(|d| d.node.as_ref()) else {
            return false;
        };
        let Some(type_name) = &to.type_name else { return false };
        to.coll_clause.is_none()
            && self.holds_all_of(&column.type_name, type_name)
            && to
                .raw_default
                .as_deref()
                .is_none_or(|using| is_cast_of(using, &column.name, type_name))
    }

    /// Whether code of users looks at the rows when they are written anew: checks, generated columns, indexes.
    fn is_checked_by_users(&self, relation: &Relation) -> bool {
        let looks = |hook: &Hook| matches!(hook.event, HookEvent::Write | HookEvent::Generated);
        let family = family(self.catalog, relation, false);
        family.iter().any(|member| self.catalog.hooks(member.oid).any(looks))
    }

    fn holds_all_of(&self, from: &str, to: &pb::TypeName) -> bool {
        if !to.array_bounds.is_empty() || to.setof || to.pct_type {
            return false;
        }
        let name = match parse::strings(&to.names).as_slice() {
            [schema, name] if schema == "pg_catalog" => name.clone(),
            // Where nothing comes before the server's own types: no schema of the path, and nothing that the text made.
            [name]
                if !self.has_changed()
                    && !self.names.search_path.iter().skip(1).any(|s| s == "pg_catalog") =>
            {
                name.clone()
            }
            _ => return false,
        };
        let (base, most) = split_type(from);
        let integer =
            |name: &str| INTEGERS.iter().position(|(g, printed)| name == *g || name == *printed);
        match (base, name.as_str(), to.typmods.as_slice()) {
            (VARYING | "text", "text" | "varchar", []) => true,
            (VARYING, "varchar", [length]) => {
                matches!((most, integer_constant(length)), (Some(most), Some(length)) if most <= length)
            }
            (from, to, []) => integer(from).zip(integer(to)).is_some_and(|(from, to)| from <= to),
            _ => false,
        }
    }
}

fn integer_constant(node: &Node) -> Option<usize> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Ival(value) => usize::try_from(value.ival).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `using` is the column itself, or a cast of it to the very type that it gets.
fn is_cast_of(using: &Node, column: &str, type_name: &pb::TypeName) -> bool {
    match &using.node {
        Some(NodeEnum::ColumnRef(named)) => parse::strings(&named.fields) == [column],
        Some(NodeEnum::TypeCast(cast)) => {
            let as_type = |t: &pb::TypeName| Node { node: Some(NodeEnum::TypeName(t.clone())) };
            let same = cast
                .type_name
                .as_ref()
                .is_some_and(|t| parse::same(&as_type(t), &as_type(type_name)));
            same && cast.arg.as_deref().is_some_and(|arg| is_cast_of(arg, column, type_name))
        }
        _ => false,
    }
}
