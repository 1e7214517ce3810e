//! Changes of views: what they write in the relation below. The server changes a view only where it is
//! a plain one over a single relation; any other needs a trigger or a rule, which is opaque anyway.

use std::borrow::Cow;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::Relation;

use crate::change::all_columns;
use crate::names::{Names, Resolved};
use crate::query::alias_of;
use crate::walk::Walk;
use crate::{limits, parse};

/// The relation below a plain view, and which of its columns each column of the view is.
struct Below {
    base: Relation,
    only: bool,
    columns: Vec<Option<String>>,
}

impl Walk<'_> {
    /// Notes what a change of `columns` of a view does below it.
    pub(crate) fn write_below(&mut self, view: &Relation, columns: &[String]) {
        self.follow_view(view);
        if self.too_deep {
            return;
        }
        let Some(below) = self.below(view) else { return self.write_all_below(view) };
        let named = if self.removing {
            all_columns(Some(&below.base))
        } else {
            let at = |name: &String| view.columns.iter().position(|c| c.name == *name);
            let below = |name| below.columns.get(at(name)?)?.clone();
            columns.iter().filter_map(below).collect()
        };
        self.view_depth += 1;
        self.write(&below.base, &named, below.only);
        self.view_depth -= 1;
    }

    fn below(&mut self, view: &Relation) -> Option<Below> {
        let definition = view.definition.as_ref()?;
        limits::check(definition).ok()?;
        let select = parse::parse_query(definition).ok()?;
        let [Node { node: Some(NodeEnum::RangeVar(from)) }] = select.from_clause.as_slice() else {
            return None;
        };
        let of_definition = Names { search_path: Vec::new(), ..Names::default() };
        let names = std::mem::replace(&mut self.names, Cow::Owned(of_definition));
        let changed = std::mem::replace(&mut self.names_changed, false);
        self.view_depth += 1;
        let found = self.resolve(from);
        self.view_depth -= 1;
        self.names_changed = changed;
        self.names = names;
        let Resolved::Relation(base) = found else { return None };
        let (_, renames) = alias_of(from.alias.as_ref());
        let columns = select.target_list.iter().map(|t| base_column(t, base, &renames)).collect();
        Some(Below { base: base.clone(), only: !from.inh, columns })
    }
}

/// The column of `base` that an output column is, if it is no more than that.
fn base_column(target: &Node, base: &Relation, renames: &[String]) -> Option<String> {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    let Some(NodeEnum::ColumnRef(pb::ColumnRef { fields, .. })) = &target.val.as_deref()?.node
    else {
        return None;
    };
    let name = parse::string(fields.last()?)?;
    let found = match renames.iter().position(|r| r == name) {
        Some(at) => base.columns.get(at),
        None => base.columns.iter().skip(renames.len()).find(|c| c.name == name),
    };
    found.map(|c| c.name.clone())
}
