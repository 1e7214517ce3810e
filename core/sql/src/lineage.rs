//! Where the values of a text come from: a pass of its own over the tree, without a change to it. What it does not know
//! it says: a value is `Unknown`, the uses are `partial`.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::lineage::{Derivation, Lineage, Place, SourceColumn, Value};
use writ_model::{Catalog, Relation};

use crate::names::{Names, Resolved};
use crate::parse;
use sum::{Sum, sort};

/// Subqueries in subqueries are followed this deep.
const QUERY_DEPTH_MAX: usize = 64;
/// Columns and sources that one text may touch: bounds the work of hostile texts.
const WORK_MAX: usize = 200_000;
/// The columns of one query; the server has no more either.
const COLUMNS_MAX: usize = 1_664;

/// A column that a FROM item has.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// What a FROM item is made of.
enum Columns<'a> {
    Relation(&'a Relation),
    Derived(Vec<Column>),
    /// Columns that are not known here.
    Any,
}

struct Item<'a> {
    alias: &'a str,
    renames: &'a [Node],
    columns: Columns<'a>,
    /// Whether a name without a qualifier can mean it.
    unqualified: bool,
}

/// The items of one query and of those around it.
struct Scope<'a, 's> {
    items: Vec<Item<'a>>,
    around: Option<&'s Scope<'a, 's>>,
    ctes: Vec<(&'a str, Option<Vec<Column>>)>,
}

/// Which definitions a pass follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    Nothing,
    Views,
    /// Views and materialised views.
    All,
}

/// The pass over one text.
pub(crate) struct Pass<'a> {
    catalog: &'a Catalog,
    names: &'a Names,
    /// Which definitions are followed into their relations.
    into: Into,
    pub(crate) found: Lineage,
    depth: usize,
    work: usize,
}

/// The lineage of a text's statements.
pub(crate) fn of(tree: &pb::ParseResult, catalog: &Catalog, names: &Names) -> Lineage {
    let mut pass = Pass::new(catalog, names, Into::Nothing);
    for statement in tree.stmts.iter().filter_map(|raw| raw.stmt.as_deref()) {
        pass.statement(statement);
    }
    pass.finish()
}

/// The columns of a view's or a materialised view's definition, and what decides on its rows, followed into the
/// relations below it. `None` where the definition cannot be read.
pub(crate) fn of_definition(
    definition: &str,
    catalog: &Catalog,
    into: Into,
) -> Option<(Vec<Column>, Lineage)> {
    let names = Names::default();
    Pass::new(catalog, &names, into).below(definition)
}

impl<'a> Pass<'a> {
    fn new(catalog: &'a Catalog, names: &'a Names, into: Into) -> Self {
        Self { catalog, names, into, found: Lineage::default(), depth: 0, work: 0 }
    }

    fn finish(mut self) -> Lineage {
        sort(&mut self.found.uses);
        sort(&mut self.found.assignments);
        self.found
    }

    /// Counts work; whether there may be as much.
    fn afford(&mut self, work: usize) -> bool {
        self.work = self.work.saturating_add(work);
        self.work <= WORK_MAX
    }

    /// Adds what a value looks at.
    fn add(&mut self, sum: &mut Sum, value: &Value) {
        if self.afford(1 + value.sources.len()) {
            sum.add(value);
        } else {
            sum.unknown = true;
        }
    }

    /// Follows a definition, on what is left of this pass's bounds.
    fn below(&mut self, definition: &str) -> Option<(Vec<Column>, Lineage)> {
        let levels = crate::limits::check(definition).ok()?;
        if !parse::fits_here(levels) {
            return None;
        }
        let query = parse::parse_query(definition).ok()?;
        let names = Names { search_path: Vec::new(), ..Names::default() };
        let mut pass = Pass::new(self.catalog, &names, self.into);
        pass.depth = self.depth + 1;
        pass.work = self.work;
        let columns = pass.select(&query, None);
        self.work = pass.work;
        Some((columns?, pass.finish()))
    }

    fn statement(&mut self, node: &'a Node) {
        match &node.node {
            Some(NodeEnum::SelectStmt(select)) => {
                let columns = self.select(select, None);
                self.found.partial |= columns.is_none();
                self.found.outputs =
                    columns.unwrap_or_default().into_iter().map(|c| c.value).collect();
            }
            Some(NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_)) => {
                self.change(node);
            }
            Some(NodeEnum::ExplainStmt(explain)) => self.inner(explain.query.as_deref()),
            Some(NodeEnum::PrepareStmt(prepare)) => self.inner(prepare.query.as_deref()),
            Some(NodeEnum::DeclareCursorStmt(cursor)) => self.inner(cursor.query.as_deref()),
            Some(NodeEnum::CreateTableAsStmt(create)) => self.inner(create.query.as_deref()),
            Some(NodeEnum::CopyStmt(copy)) => self.inner(copy.query.as_deref()),
            Some(NodeEnum::MergeStmt(_)) => self.found.partial = true,
            _ => {}
        }
    }

    fn inner(&mut self, query: Option<&'a Node>) {
        if let Some(query) = query {
            self.statement(query);
        }
    }

    fn change(&mut self, node: &'a Node) {
        let (relation, with) = match &node.node {
            Some(NodeEnum::InsertStmt(s)) => (s.relation.as_ref(), s.with_clause.as_ref()),
            Some(NodeEnum::UpdateStmt(s)) => (s.relation.as_ref(), s.with_clause.as_ref()),
            Some(NodeEnum::DeleteStmt(s)) => (s.relation.as_ref(), s.with_clause.as_ref()),
            _ => return,
        };
        let Some(target) = relation else { return };
        let mut scope = Scope { items: Vec::new(), around: None, ctes: Vec::new() };
        self.ctes(with, &mut scope);
        let item = self.range_var(target, &scope);
        let relation = match item.columns {
            Columns::Relation(relation) => Some(relation),
            _ => None,
        };
        scope.items.push(item);
        match &node.node {
            Some(NodeEnum::InsertStmt(insert)) => self.insert(insert, relation, &mut scope),
            Some(NodeEnum::UpdateStmt(update)) => {
                for from in &update.from_clause {
                    self.from(from, &mut scope);
                }
                self.assign(relation, &update.target_list, &scope);
                self.uses(Place::Filter, update.where_clause.as_deref(), &scope);
                self.returning(update.returning_clause.as_ref(), &scope);
            }
            Some(NodeEnum::DeleteStmt(delete)) => {
                for from in &delete.using_clause {
                    self.from(from, &mut scope);
                }
                self.uses(Place::Filter, delete.where_clause.as_deref(), &scope);
                self.returning(delete.returning_clause.as_ref(), &scope);
            }
            _ => {}
        }
    }

    fn insert(
        &mut self,
        insert: &'a pb::InsertStmt,
        target: Option<&Relation>,
        scope: &mut Scope<'a, '_>,
    ) {
        let values = match insert.select_stmt.as_deref().map(|n| &n.node) {
            Some(Some(NodeEnum::SelectStmt(select))) => {
                // The source does not see the target.
                let outer = Scope {
                    items: Vec::new(),
                    around: None,
                    ctes: std::mem::take(&mut scope.ctes),
                };
                let columns = self.select(select, Some(&outer));
                scope.ctes = outer.ctes;
                self.found.partial |= columns.is_none();
                columns.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if let Some(target) = target {
            let named = insert.cols.iter().filter_map(|c| match &c.node {
                Some(NodeEnum::ResTarget(column)) => Some(number(target, &column.name)),
                _ => None,
            });
            let numbers: Vec<Option<i16>> = if insert.cols.is_empty() {
                target.columns.iter().map(|c| Some(c.number)).collect()
            } else {
                named.collect()
            };
            for (column, value) in numbers.into_iter().zip(values) {
                let Some(column) = column else { continue };
                let place = SourceColumn { relation: target.oid, column };
                self.found.assignments.push((place, value.value));
            }
        }
        if let Some(conflict) = &insert.on_conflict_clause {
            scope.items.push(Item {
                alias: "excluded",
                renames: &[],
                columns: Columns::Any,
                unqualified: false,
            });
            self.assign(target, &conflict.target_list, scope);
            self.uses(Place::Filter, conflict.where_clause.as_deref(), scope);
        }
        self.returning(insert.returning_clause.as_ref(), scope);
    }

    fn assign(&mut self, target: Option<&Relation>, list: &'a [Node], scope: &Scope<'a, '_>) {
        for item in list {
            let Some(NodeEnum::ResTarget(column)) = &item.node else { continue };
            let mut sum = Sum::new();
            self.optional(column.val.as_deref(), scope, &mut sum);
            let Some((relation, number)) =
                target.and_then(|t| Some((t.oid, number(t, &column.name)?)))
            else {
                self.found.partial = true;
                continue;
            };
            let identity = is_column(column.val.as_deref()) && column.indirection.is_empty();
            let place = SourceColumn { relation, column: number };
            self.found.assignments.push((place, sum.value(identity)));
        }
    }

    fn returning(&mut self, clause: Option<&'a pb::ReturningClause>, scope: &Scope<'a, '_>) {
        if let Some(clause) = clause {
            let columns = self.targets(&clause.exprs, scope);
            self.found.outputs = columns.into_iter().map(|c| c.value).collect();
        }
    }

    fn uses(&mut self, place: Place, node: Option<&'a Node>, scope: &Scope<'a, '_>) {
        let Some(node) = node else { return };
        let mut sum = Sum::new();
        self.expression(node, scope, &mut sum);
        self.place(place, sum);
    }

    fn place(&mut self, place: Place, sum: Sum) {
        self.found.partial |= sum.unknown;
        self.found.uses.extend(sum.sources.into_iter().map(|s| (place, s)));
    }

    /// The columns of a query's result; `None` where it is not followed.
    fn select(
        &mut self,
        select: &'a pb::SelectStmt,
        around: Option<&Scope<'a, '_>>,
    ) -> Option<Vec<Column>> {
        if self.depth >= QUERY_DEPTH_MAX {
            self.found.partial = true;
            return None;
        }
        self.depth += 1;
        let columns = self.select_inside(select, around);
        self.depth -= 1;
        columns.filter(|c| c.len() <= COLUMNS_MAX)
    }

    fn select_inside(
        &mut self,
        select: &'a pb::SelectStmt,
        around: Option<&Scope<'a, '_>>,
    ) -> Option<Vec<Column>> {
        let mut scope = Scope { items: Vec::new(), around, ctes: Vec::new() };
        self.ctes(select.with_clause.as_ref(), &mut scope);
        if let (Some(left), Some(right)) = (&select.larg, &select.rarg) {
            let columns = self.set_operation(select, left, right, &scope)?;
            self.order(select, &scope, &columns);
            return Some(columns);
        }
        for item in &select.from_clause {
            self.from(item, &mut scope);
        }
        let columns = if select.values_lists.is_empty() {
            self.targets(&select.target_list, &scope)
        } else {
            self.values(&select.values_lists, &scope)
        };
        self.uses(Place::Filter, select.where_clause.as_deref(), &scope);
        self.uses(Place::Filter, select.having_clause.as_deref(), &scope);
        self.uses(Place::Filter, select.limit_count.as_deref(), &scope);
        self.uses(Place::Filter, select.limit_offset.as_deref(), &scope);
        for window in &select.window_clause {
            self.uses(Place::Group, Some(window), &scope);
        }
        for item in &select.group_clause {
            self.sorted(Place::Group, item, &scope, &columns);
        }
        for item in &select.distinct_clause {
            match &item.node {
                // Plain DISTINCT looks at all that is shown.
                None => columns.iter().for_each(|c| self.place_value(Place::Group, &c.value)),
                Some(_) => self.sorted(Place::Group, item, &scope, &columns),
            }
        }
        self.order(select, &scope, &columns);
        Some(columns)
    }

    fn order(&mut self, select: &'a pb::SelectStmt, scope: &Scope<'a, '_>, columns: &[Column]) {
        for item in &select.sort_clause {
            if let Some(NodeEnum::SortBy(sort)) = &item.node
                && let Some(node) = sort.node.as_deref()
            {
                self.sorted(Place::Order, node, scope, columns);
            }
        }
    }

    /// An item of ORDER BY, GROUP BY or DISTINCT ON: it can name a column of the result or its place. Places are not
    /// told apart: texts that differ in integers alone have the same facts.
    fn sorted(&mut self, place: Place, node: &'a Node, scope: &Scope<'a, '_>, columns: &[Column]) {
        match &node.node {
            Some(NodeEnum::AConst(_)) => {
                columns.iter().for_each(|c| self.place_value(place, &c.value));
            }
            Some(NodeEnum::ColumnRef(column)) => {
                let name = match column.fields.as_slice() {
                    [name] => parse::string(name),
                    _ => None,
                };
                for column in columns.iter().filter(|c| Some(c.name.as_str()) == name) {
                    self.place_value(place, &column.value);
                }
                let known = columns.iter().any(|c| Some(c.name.as_str()) == name);
                let mut sum = Sum::new();
                self.expression(node, scope, &mut sum);
                sum.unknown &= !known;
                self.place(place, sum);
            }
            _ => self.uses(place, Some(node), scope),
        }
    }

    fn place_value(&mut self, place: Place, value: &Value) {
        let afford = self.afford(1 + value.sources.len());
        self.found.partial |= !afford || value.derivation == Derivation::Unknown;
        if !afford {
            return;
        }
        self.found.uses.extend(value.sources.iter().map(|s| (place, *s)));
    }

    fn set_operation(
        &mut self,
        select: &pb::SelectStmt,
        left: &'a pb::SelectStmt,
        right: &'a pb::SelectStmt,
        scope: &Scope<'a, '_>,
    ) -> Option<Vec<Column>> {
        let (left, right) = (self.select(left, Some(scope)), self.select(right, Some(scope)));
        let (left, right) = (left?, right?);
        let compares = !select.all || select.op() != pb::SetOperation::SetopUnion;
        let columns: Vec<Column> = left
            .into_iter()
            .zip(right)
            .map(|(a, b)| {
                let same = a.value.derivation == b.value.derivation;
                let identity = same && a.value.derivation == Derivation::Identity;
                let mut sum = Sum::new();
                self.add(&mut sum, &a.value);
                self.add(&mut sum, &b.value);
                Column { name: a.name, value: sum.value(identity) }
            })
            .collect();
        if compares {
            columns.iter().for_each(|c| self.place_value(Place::Group, &c.value));
        }
        Some(columns)
    }

    fn values(&mut self, lists: &'a [Node], scope: &Scope<'a, '_>) -> Vec<Column> {
        let mut sums: Vec<Sum> = Vec::new();
        for list in lists {
            let Some(NodeEnum::List(list)) = &list.node else { continue };
            for (at, item) in list.items.iter().enumerate() {
                if sums.len() <= at {
                    sums.push(Sum::new());
                }
                if let Some(sum) = sums.get_mut(at) {
                    self.expression(item, scope, sum);
                }
            }
        }
        let column = |(at, sum): (usize, Sum)| Column {
            name: format!("column{}", at + 1),
            value: sum.value(false),
        };
        sums.into_iter().enumerate().map(column).collect()
    }

    fn ctes(&mut self, clause: Option<&'a pb::WithClause>, scope: &mut Scope<'a, '_>) {
        let Some(clause) = clause else { return };
        for node in &clause.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = &node.node else { continue };
            if clause.recursive {
                // Its own name in it stands for columns that are not known yet.
                scope.ctes.push((&cte.ctename, None));
            }
            let columns = match cte.ctequery.as_deref().map(|q| &q.node) {
                Some(Some(NodeEnum::SelectStmt(query))) => self.select(query, Some(scope)),
                _ => {
                    self.found.partial = true;
                    None
                }
            };
            let columns = columns.map(|c| renamed(c, &cte.aliascolnames));
            scope.ctes.push((&cte.ctename, columns));
        }
    }

    fn from(&mut self, node: &'a Node, scope: &mut Scope<'a, '_>) {
        match &node.node {
            Some(NodeEnum::RangeVar(relation)) => {
                let item = self.range_var(relation, scope);
                scope.items.push(item);
            }
            Some(NodeEnum::RangeSubselect(subselect)) => {
                let columns = match subselect.subquery.as_deref().map(|q| &q.node) {
                    Some(Some(NodeEnum::SelectStmt(query))) => self.select(query, Some(scope)),
                    _ => None,
                };
                self.found.partial |= columns.is_none();
                push(
                    scope,
                    subselect.alias.as_ref(),
                    columns.map_or(Columns::Any, Columns::Derived),
                );
            }
            Some(NodeEnum::JoinExpr(join)) => self.join(join, scope),
            Some(NodeEnum::RangeTableSample(sample)) => {
                if let Some(relation) = sample.relation.as_deref() {
                    self.from(relation, scope);
                }
            }
            Some(NodeEnum::RangeFunction(function)) => {
                for part in &function.functions {
                    self.uses(Place::Filter, Some(part), scope);
                }
                push(scope, function.alias.as_ref(), Columns::Any);
            }
            _ => {
                self.found.partial = true;
                push(scope, None, Columns::Any);
            }
        }
    }

    fn join(&mut self, join: &'a pb::JoinExpr, scope: &mut Scope<'a, '_>) {
        let start = scope.items.len();
        for side in [&join.larg, &join.rarg].into_iter().flatten() {
            self.from(side, scope);
        }
        self.uses(Place::Join, join.quals.as_deref(), scope);
        for name in join.using_clause.iter().filter_map(parse::string) {
            let mut sum = Sum::new();
            for item in scope.items.iter().skip(start) {
                self.item_column(item, name, &mut sum);
            }
            self.place(Place::Join, sum);
        }
        // Aliases over a whole join and its unseen columns are not followed.
        if join.is_natural || join.alias.is_some() || join.join_using_alias.is_some() {
            self.found.partial = true;
            scope.items.truncate(if join.alias.is_some() { start } else { usize::MAX });
            if join.alias.is_some() || join.join_using_alias.is_some() {
                push(scope, join.alias.as_ref().or(join.join_using_alias.as_ref()), Columns::Any);
            }
        }
    }

    fn range_var(&mut self, relation: &'a pb::RangeVar, scope: &Scope<'a, '_>) -> Item<'a> {
        let alias = relation.alias.as_ref();
        let name = alias.map_or(&relation.relname, |a| &a.aliasname);
        let cte =
            if relation.schemaname.is_empty() { find_cte(scope, &relation.relname) } else { None };
        let columns = match cte {
            Some(Some(columns)) if self.afford(work_of(columns)) => {
                Columns::Derived(columns.clone())
            }
            Some(Some(_)) => Columns::Any,
            Some(None) => Columns::Any,
            None => self.relation(relation),
        };
        let renames = alias.map_or(&[][..], |a| &a.colnames);
        Item { alias: name, renames, columns, unqualified: true }
    }

    fn relation(&mut self, relation: &pb::RangeVar) -> Columns<'a> {
        let Resolved::Relation(found) =
            self.names.resolve(self.catalog.into(), &relation.schemaname, &relation.relname)
        else {
            return Columns::Any;
        };
        let follows = match self.into {
            Into::Nothing => false,
            Into::Views => found.kind == writ_model::RelationKind::View,
            Into::All => true,
        };
        let Some(definition) = found.definition.as_deref().filter(|_| follows) else {
            return Columns::Relation(found);
        };
        if self.depth >= QUERY_DEPTH_MAX || !self.afford(definition.len()) {
            return Columns::Any;
        }
        match self.below(definition) {
            Some((columns, below)) => {
                self.found.uses.extend(below.uses);
                self.found.partial |= below.partial;
                let named = found.columns.iter().zip(columns);
                Columns::Derived(
                    named.map(|(c, below)| Column { name: c.name.clone(), ..below }).collect(),
                )
            }
            None => Columns::Any,
        }
    }
}

mod expression;
mod parts;
mod sum;

use parts::{find_cte, is_column, number, push, renamed, work_of};
