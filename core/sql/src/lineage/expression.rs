//! Lineage of expressions: which columns one looks at, and whether at one row or at many.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::Relation;
use writ_model::lineage::{SourceColumn, Value};

use super::{COLUMNS_MAX, Column, Columns, Item, Pass, Scope, Sum, is_column};
use crate::parse;
use crate::scope::SYSTEM_COLUMNS;

/// The server's aggregates by name; sorted.
const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
];

impl<'a> Pass<'a> {
    /// The columns of a SELECT or RETURNING list.
    pub(super) fn targets(&mut self, list: &'a [Node], scope: &Scope<'a, '_>) -> Vec<Column> {
        let mut columns = Vec::with_capacity(list.len());
        for node in list {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
            let value = target.val.as_deref();
            if let Some(NodeEnum::ColumnRef(column)) = value.and_then(|v| v.node.as_ref())
                && column.fields.last().is_some_and(|f| parse::string(f).is_none())
            {
                self.star(column, scope, &mut columns);
                continue;
            }
            let mut sum = Sum::new();
            self.optional(value, scope, &mut sum);
            let name = if target.name.is_empty() { name_of(value) } else { &target.name };
            // The name of a FROM item is its whole row, which is made of its columns.
            let identity = is_column(value) && sum.sources.len() == 1;
            columns.push(Column { name: name.to_owned(), value: sum.value(identity) });
        }
        columns
    }

    fn star(&mut self, column: &pb::ColumnRef, scope: &Scope<'a, '_>, columns: &mut Vec<Column>) {
        let qualifier = column.fields.iter().rev().nth(1).and_then(parse::string);
        let before = columns.len();
        for item in &scope.items {
            let meant = match qualifier {
                Some(alias) => item.alias == alias,
                None => item.unqualified,
            };
            if meant && columns.len() <= COLUMNS_MAX {
                all_of(item, columns);
            }
        }
        if columns.len() == before {
            let mut sum = Sum::new();
            sum.unknown = true;
            columns.push(Column { name: String::new(), value: sum.value(false) });
        }
    }

    pub(super) fn optional(
        &mut self,
        node: Option<&'a Node>,
        scope: &Scope<'a, '_>,
        sum: &mut Sum,
    ) {
        if let Some(node) = node {
            self.expression(node, scope, sum);
        }
    }

    fn each(&mut self, nodes: &'a [Node], scope: &Scope<'a, '_>, sum: &mut Sum) {
        for node in nodes {
            self.expression(node, scope, sum);
        }
    }

    /// Adds what an expression looks at.
    pub(super) fn expression(&mut self, node: &'a Node, scope: &Scope<'a, '_>, sum: &mut Sum) {
        let Some(inner) = &node.node else { return };
        match inner {
            NodeEnum::AConst(_)
            | NodeEnum::ParamRef(_)
            | NodeEnum::SqlvalueFunction(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::Integer(_)
            | NodeEnum::String(_) => {}
            NodeEnum::ColumnRef(column) => self.column(column, scope, sum),
            NodeEnum::AExpr(e) => {
                self.optional(e.lexpr.as_deref(), scope, sum);
                self.optional(e.rexpr.as_deref(), scope, sum);
            }
            NodeEnum::BoolExpr(e) => self.each(&e.args, scope, sum),
            NodeEnum::FuncCall(call) => self.call(call, scope, sum),
            NodeEnum::TypeCast(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::CollateClause(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::NullTest(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::BooleanTest(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::NamedArgExpr(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::CoalesceExpr(e) => self.each(&e.args, scope, sum),
            NodeEnum::MinMaxExpr(e) => self.each(&e.args, scope, sum),
            NodeEnum::AArrayExpr(e) => self.each(&e.elements, scope, sum),
            NodeEnum::RowExpr(e) => self.each(&e.args, scope, sum),
            NodeEnum::List(e) => self.each(&e.items, scope, sum),
            NodeEnum::GroupingSet(e) => self.each(&e.content, scope, sum),
            NodeEnum::MultiAssignRef(e) => self.optional(e.source.as_deref(), scope, sum),
            NodeEnum::SortBy(e) => self.optional(e.node.as_deref(), scope, sum),
            NodeEnum::CaseExpr(e) => {
                self.optional(e.arg.as_deref(), scope, sum);
                self.each(&e.args, scope, sum);
                self.optional(e.defresult.as_deref(), scope, sum);
            }
            NodeEnum::CaseWhen(e) => {
                self.optional(e.expr.as_deref(), scope, sum);
                self.optional(e.result.as_deref(), scope, sum);
            }
            NodeEnum::WindowDef(e) => {
                self.each(&e.partition_clause, scope, sum);
                self.each(&e.order_clause, scope, sum);
            }
            NodeEnum::AIndirection(e) => self.optional(e.arg.as_deref(), scope, sum),
            NodeEnum::SubLink(link) => self.subquery(link, scope, sum),
            // Anything else is rare, and may look at any column.
            _ => sum.unknown = true,
        }
    }

    fn subquery(&mut self, link: &'a pb::SubLink, scope: &Scope<'a, '_>, sum: &mut Sum) {
        self.optional(link.testexpr.as_deref(), scope, sum);
        let Some(Some(NodeEnum::SelectStmt(query))) = link.subselect.as_deref().map(|q| &q.node)
        else {
            sum.unknown = true;
            return;
        };
        let before = self.found.uses.len();
        match self.select(query, Some(scope)) {
            Some(columns) => columns.iter().for_each(|c| self.add(sum, &c.value)),
            None => sum.unknown = true,
        }
        // What decides on the rows of the subquery decides on its value.
        let afford = self.afford(self.found.uses.len() - before);
        let decided = self.found.uses.get(before..).filter(|_| afford).unwrap_or_default();
        sum.unknown |= !afford;
        sum.sources.extend(decided.iter().map(|(_, source)| *source));
    }

    fn call(&mut self, call: &'a pb::FuncCall, scope: &Scope<'a, '_>, sum: &mut Sum) {
        let name = call.funcname.last().and_then(parse::string).unwrap_or_default();
        sum.aggregate |= call.agg_star
            || call.agg_distinct
            || call.agg_within_group
            || call.over.is_some()
            || AGGREGATES.binary_search(&name).is_ok();
        self.each(&call.args, scope, sum);
        self.each(&call.agg_order, scope, sum);
        self.optional(call.agg_filter.as_deref(), scope, sum);
        if let Some(window) = &call.over {
            self.each(&window.partition_clause, scope, sum);
            self.each(&window.order_clause, scope, sum);
        }
    }

    fn column(&mut self, column: &pb::ColumnRef, scope: &Scope<'a, '_>, sum: &mut Sum) {
        let Some(name) = column.fields.last().and_then(parse::string) else {
            // `count(t.*)` looks at whole rows.
            return self.whole(
                column.fields.iter().rev().nth(1).and_then(parse::string),
                scope,
                sum,
            );
        };
        if !self.afford(1) {
            sum.unknown = true;
            return;
        }
        let qualifier = column.fields.iter().rev().nth(1).and_then(parse::string);
        let mut around = Some(scope);
        while let Some(level) = around {
            let mut found = false;
            for item in &level.items {
                let meant = match qualifier {
                    Some(alias) => item.alias == alias,
                    None => item.unqualified,
                };
                found |= meant && (self.item_column(item, name, sum) || qualifier.is_some());
            }
            if found {
                return;
            }
            around = level.around;
        }
        if qualifier.is_none() {
            // A name that is no column is a whole row.
            return self.whole(Some(name), scope, sum);
        }
        sum.unknown = true;
    }

    fn whole(&mut self, alias: Option<&str>, scope: &Scope<'a, '_>, sum: &mut Sum) {
        let mut around = Some(scope);
        while let Some(level) = around {
            let mut columns = Vec::new();
            for item in level.items.iter().filter(|i| alias.is_none_or(|a| i.alias == a)) {
                if columns.len() <= COLUMNS_MAX {
                    all_of(item, &mut columns);
                }
            }
            if !columns.is_empty() {
                columns.iter().for_each(|c| self.add(sum, &c.value));
                return;
            }
            around = level.around;
        }
        sum.unknown = true;
    }

    /// Adds the column of an item, where it has or may have one of that name.
    pub(super) fn item_column(&mut self, item: &Item<'a>, name: &str, sum: &mut Sum) -> bool {
        let place = item.renames.iter().position(|r| parse::string(r) == Some(name));
        match &item.columns {
            Columns::Any => {
                sum.unknown = true;
                false
            }
            Columns::Derived(columns) => {
                let found = match place {
                    Some(at) => columns.get(at),
                    None => columns.iter().skip(item.renames.len()).find(|c| c.name == name),
                };
                if let Some(found) = found {
                    self.add(sum, &found.value);
                }
                found.is_some()
            }
            Columns::Relation(relation) => {
                let found = match place {
                    Some(at) => relation.columns.get(at),
                    None => {
                        relation.columns.iter().skip(item.renames.len()).find(|c| c.name == name)
                    }
                };
                match found {
                    Some(found) => sum.sources.push(source(relation, found.number)),
                    // Where a row is tells little of what is in it.
                    None => return SYSTEM_COLUMNS.contains(&name),
                }
                true
            }
        }
    }
}

fn source(relation: &Relation, column: i16) -> SourceColumn {
    SourceColumn { relation: relation.oid, column }
}

/// All columns of an item.
fn all_of(item: &Item<'_>, columns: &mut Vec<Column>) {
    let before = columns.len();
    match &item.columns {
        Columns::Relation(relation) => columns.extend(relation.columns.iter().map(|c| {
            let mut sum = Sum::new();
            sum.sources.push(source(relation, c.number));
            Column { name: c.name.clone(), value: sum.value(true) }
        })),
        Columns::Derived(derived) => columns.extend(derived.iter().cloned()),
        Columns::Any => {
            let value =
                Value { derivation: writ_model::lineage::Derivation::Unknown, sources: vec![] };
            columns.push(Column { name: String::new(), value });
        }
    }
    for (column, name) in columns.iter_mut().skip(before).zip(item.renames) {
        if let Some(name) = parse::string(name) {
            name.clone_into(&mut column.name);
        }
    }
}

/// The name that the server gives to a column of the result, where an ORDER BY can use it.
fn name_of(node: Option<&Node>) -> &str {
    match node.and_then(|n| n.node.as_ref()) {
        Some(NodeEnum::ColumnRef(column)) => {
            column.fields.last().and_then(parse::string).unwrap_or_default()
        }
        Some(NodeEnum::FuncCall(call)) => {
            call.funcname.last().and_then(parse::string).unwrap_or_default()
        }
        Some(NodeEnum::TypeCast(cast)) => name_of(cast.arg.as_deref()),
        Some(NodeEnum::CollateClause(collate)) => name_of(collate.arg.as_deref()),
        _ => "",
    }
}
