//! The sanctioned filter by equality: where policy lets a principal match a masked column, `WHERE ssn = $1` compares the
//! column itself, and everything else about the statement still sees the mask.
//!
//! Only conditions that every row of the result must meet move, and only comparisons with values that the text or its
//! parameters give: what such a filter tells is whether rows with that value are there, which is what was permitted. It
//! goes to where the column is, beside the mask, so that an index on the column serves it.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::{ColumnRef, Relation};

use crate::scope::{Entry, Hit, Source, family};
use crate::walk::Walk;
use crate::{kinds, mask, parse};

/// The longest list of `IN (…)` that is matched.
const VALUES_MAX: usize = 1_000;

/// A type whose equality is the server's own and tells nothing but itself.
struct Comparable {
    /// The types of columns, as `format_type` prints them without modifiers.
    columns: &'static [&'static str],
    /// What the value is made before it is compared: then nothing is made of the column, and no error can quote it.
    as_type: &'static str,
    /// The types that a value may be cast to in the text: others would be another comparison.
    casts: &'static [&'static str],
    /// Whether a constant with a fraction is a value of the type.
    fractions: bool,
}

const fn comparable(
    columns: &'static [&'static str],
    as_type: &'static str,
    casts: &'static [&'static str],
) -> Comparable {
    Comparable { columns, as_type, casts, fractions: false }
}

const TYPES: [Comparable; 13] = [
    comparable(&["text", "character varying"], "text", &["text", "varchar"]),
    comparable(&["character", "bpchar"], "bpchar", &["text", "varchar", "bpchar"]),
    comparable(&["uuid"], "uuid", &["uuid", "text", "varchar"]),
    comparable(&["smallint", "integer", "bigint"], "int8", &["int2", "int4", "int8"]),
    Comparable {
        columns: &["numeric"],
        as_type: "numeric",
        casts: &["numeric", "int2", "int4", "int8"],
        fractions: true,
    },
    comparable(&["date"], "date", &["date", "text", "varchar"]),
    comparable(&["timestamp", "timestamp without time zone"], "timestamp", &["timestamp"]),
    comparable(&["timestamp with time zone"], "timestamptz", &["timestamptz"]),
    comparable(&["bytea"], "bytea", &["bytea"]),
    comparable(&["inet"], "inet", &["inet"]),
    comparable(&["macaddr"], "macaddr", &["macaddr"]),
    comparable(&["boolean"], "bool", &["bool"]),
    comparable(&["oid"], "oid", &["oid"]),
];

fn comparable_type(type_name: &str) -> Option<&'static Comparable> {
    let base = kinds::split_type(type_name).0;
    TYPES.iter().find(|comparable| comparable.columns.contains(&base))
}

/// A condition on a column that may be matched.
struct Matched {
    alias: String,
    /// On the column itself, by its own name.
    condition: Node,
}

impl Walk<'_> {
    /// Moves what may be matched from `condition` into the subselects of `from`.
    pub(crate) fn match_filters(&self, condition: &mut Option<Box<Node>>, from: &mut [Node]) {
        self.matching(condition, |matched| {
            let mut places = from.iter_mut().filter_map(|item| subselect_of(item, &matched.alias));
            match (places.next(), places.next()) {
                (Some(place), None) => {
                    add(place, matched.condition);
                    true
                }
                _ => false,
            }
        });
    }

    /// Takes what may be matched on the target of a change out of `condition`. It has to be put back with [`put_back`].
    pub(crate) fn match_target(
        &self,
        condition: &mut Option<Box<Node>>,
        target: &Entry,
    ) -> Vec<Node> {
        let mut taken = Vec::new();
        self.matching(condition, |matched| {
            let own = matched.alias == target.alias;
            if own {
                taken.push(matched.condition);
            }
            own
        });
        taken
    }

    /// Offers each part of `condition` that may be matched to `take`, and drops those that it takes.
    fn matching(&self, condition: &mut Option<Box<Node>>, mut take: impl FnMut(Matched) -> bool) {
        if !self.masks.is_some_and(writ_model::ColumnMasks::matches_any) {
            return;
        }
        let Some(whole) = condition.take() else { return };
        let mut parts = parts_of(*whole);
        parts.retain(|part| !self.matched(part).is_some_and(&mut take));
        *condition = together(parts);
    }

    fn matched(&self, part: &Node) -> Option<Matched> {
        use pb::AExprKind as K;
        let Some(NodeEnum::AExpr(compared)) = &part.node else { return None };
        let names = parse::strings(&compared.name);
        if !matches!(
            names.iter().map(String::as_str).collect::<Vec<_>>()[..],
            ["="] | ["pg_catalog", "="]
        ) {
            return None;
        }
        let (left, right) = (compared.lexpr.as_deref()?, compared.rexpr.as_deref()?);
        let turned = compared.kind() == K::AexprOp && is_fixed(left);
        let (column, value) = if turned { (right, left) } else { (left, right) };
        let (entry, name, comparable) = self.matchable(column)?;
        let alias = entry.alias.clone();
        // In a subselect the column stands alone; a change's condition sees other relations too.
        let qualifier = entry.target.then_some(alias.as_str());
        let equal = |value: &Node| {
            let one = comparable.fits(value).then(|| cast(value, comparable.as_type))?;
            Some(comparison(K::AexprOp, qualifier, &name, one))
        };
        let condition = match (compared.kind(), &value.node) {
            (K::AexprOp, _) => equal(value)?,
            // An array that is not in the text could hold every value there is: that would be a range.
            (K::AexprOpAny, _) if listed(value)? <= VALUES_MAX => {
                let all = cast(value, &format!("{}[]", comparable.as_type));
                comparison(K::AexprOpAny, qualifier, &name, all)
            }
            (K::AexprIn, Some(NodeEnum::List(list))) if list.items.len() <= VALUES_MAX => {
                let each: Option<Vec<Node>> = list.items.iter().map(equal).collect();
                joined(pb::BoolExprType::OrExpr, each?)?
            }
            _ => return None,
        };
        Some(Matched { alias, condition })
    }

    /// The entry of this level and its real column that `node` names, where that column is masked and may be matched.
    fn matchable(&self, node: &Node) -> Option<(&Entry, String, &'static Comparable)> {
        let Some(NodeEnum::ColumnRef(column)) = &node.node else { return None };
        let fields: Option<Vec<&str>> = column.fields.iter().map(parse::string).collect();
        let entries = &self.levels.last()?.entries;
        let (entry, name) = match fields?[..] {
            [name] => {
                let mut hits = entries.iter().filter(|e| e.unqualified && e.hit(name) != Hit::None);
                let only = hits.next()?;
                hits.next().is_none().then_some((only, name))?
            }
            [table, name] => {
                let mut named = entries.iter().filter(|e| e.alias == table);
                let only = named.next()?;
                named.next().is_none().then_some((only, name))?
            }
            _ => return None,
        };
        let Hit::Column(real) = entry.hit(name) else { return None };
        if !entry.replaced && !entry.target {
            return None;
        }
        let Source::Relation { schema, name, only, .. } = &entry.source else { return None };
        let relation = self.catalog.relation(schema, name)?;
        let comparable = comparable_type(&relation.column(&real)?.type_name)?;
        self.may_match(relation, &real, *only).then_some((entry, real, comparable))
    }

    fn may_match(&self, relation: &Relation, column: &str, only: bool) -> bool {
        let Some(masks) = self.masks else { return false };
        let sanctioned = |member: &&Relation| {
            let masked = masks
                .relation(&member.schema, &member.name)
                .is_some_and(|columns| columns.contains_key(column));
            let reference = ColumnRef {
                schema: member.schema.clone(),
                relation: member.name.clone(),
                column: column.to_owned(),
            };
            !masked || masks.may_match(&reference)
        };
        relation.definition.is_none()
            && mask::of(self.catalog, masks, relation, only).contains_key(column)
            && family(self.catalog, relation, only).iter().all(sanctioned)
    }
}

/// Puts conditions that were taken out back.
pub(crate) fn put_back(condition: &mut Option<Box<Node>>, taken: Vec<Node>) {
    if taken.is_empty() {
        return;
    }
    let mut parts = condition.take().map_or(Vec::new(), |whole| parts_of(*whole));
    parts.extend(taken);
    *condition = together(parts);
}

/// Whether nothing in `node` depends on a row.
fn is_fixed(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_fixed),
        _ => false,
    }
}

impl Comparable {
    /// Whether `value` is one that can be made this type without being another afterwards.
    fn fits(&self, value: &Node) -> bool {
        use pb::a_const::Val;
        match &value.node {
            Some(NodeEnum::ParamRef(_)) => true,
            Some(NodeEnum::AConst(constant)) => match &constant.val {
                Some(Val::Fval(_)) => self.fractions,
                Some(_) => true,
                None => !constant.isnull,
            },
            Some(NodeEnum::TypeCast(cast)) => {
                let names = cast.type_name.as_ref().map(|t| parse::strings(&t.names));
                let server = match names.as_deref() {
                    Some([schema, name]) if schema == "pg_catalog" => Some(name),
                    Some([name]) => Some(name),
                    _ => None,
                };
                let scalar = cast.type_name.as_ref().is_some_and(|t| t.array_bounds.is_empty());
                scalar
                    && server.is_some_and(|name| self.casts.contains(&name.as_str()))
                    && cast.arg.as_deref().is_some_and(|arg| self.fits(arg))
            }
            _ => false,
        }
    }
}

/// How many elements an array has that is written as a constant, at most.
fn listed(value: &Node) -> Option<usize> {
    parse::constant(value).map(|text| text.matches(',').count() + 1)
}

/// `value` as a type of the server's own.
fn cast(value: &Node, type_name: &str) -> Node {
    let (element, array) = match type_name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (type_name, false),
    };
    let unbounded = Node { node: Some(NodeEnum::Integer(pb::Integer { ival: -1 })) };
    let type_name = pb::TypeName {
        names: vec![text("pg_catalog"), text(element)],
        typemod: -1,
        array_bounds: if array { vec![unbounded] } else { Vec::new() },
        ..pb::TypeName::default()
    };
    let arg = Some(Box::new(value.clone()));
    let cast = pb::TypeCast { arg, type_name: Some(type_name), location: 0 };
    Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) }
}

fn text(text: &str) -> Node {
    Node { node: Some(NodeEnum::String(pb::String { sval: text.to_owned() })) }
}

/// The parts of a condition that all have to hold.
fn parts_of(condition: Node) -> Vec<Node> {
    match condition.node {
        Some(NodeEnum::BoolExpr(all)) if all.boolop() == pb::BoolExprType::AndExpr => {
            all.args.into_iter().flat_map(parts_of).collect()
        }
        _ => vec![condition],
    }
}

fn together(parts: Vec<Node>) -> Option<Box<Node>> {
    joined(pb::BoolExprType::AndExpr, parts).map(Box::new)
}

fn joined(how: pb::BoolExprType, mut parts: Vec<Node>) -> Option<Node> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let all = pb::BoolExpr { xpr: None, boolop: how.into(), args: parts, location: 0 };
    Some(Node { node: Some(NodeEnum::BoolExpr(Box::new(all))) })
}

fn comparison(kind: pb::AExprKind, qualifier: Option<&str>, column: &str, value: Node) -> Node {
    let fields = qualifier.into_iter().chain([column]).map(text).collect();
    let column = NodeEnum::ColumnRef(pb::ColumnRef { fields, location: 0 });
    let compared = pb::AExpr {
        kind: kind.into(),
        name: vec![text("pg_catalog"), text("=")],
        lexpr: Some(Box::new(Node { node: Some(column) })),
        rexpr: Some(Box::new(value)),
        ..pb::AExpr::default()
    };
    Node { node: Some(NodeEnum::AExpr(Box::new(compared))) }
}

fn add(query: &mut pb::SelectStmt, condition: Node) {
    let before = query.where_clause.take().map(|c| *c);
    query.where_clause = together(before.into_iter().chain([condition]).collect());
}

/// The query of the subselect called `alias`, where each of its rows that the join shows is one of its own: no outer
/// join can put NULLs in its place.
fn subselect_of<'n>(item: &'n mut Node, alias: &str) -> Option<&'n mut pb::SelectStmt> {
    match item.node.as_mut()? {
        NodeEnum::RangeSubselect(found) => {
            if found.alias.as_ref().is_none_or(|a| a.aliasname != alias) {
                return None;
            }
            match found.subquery.as_deref_mut()?.node.as_mut()? {
                NodeEnum::SelectStmt(query) => Some(query),
                _ => None,
            }
        }
        NodeEnum::JoinExpr(join) if join.alias.is_none() => {
            let (left, right) = match join.jointype() {
                pb::JoinType::JoinInner => (true, true),
                pb::JoinType::JoinLeft => (true, false),
                pb::JoinType::JoinRight => (false, true),
                _ => (false, false),
            };
            let left = join.larg.as_deref_mut().filter(|_| left);
            let right = join.rarg.as_deref_mut().filter(|_| right);
            left.and_then(|side| subselect_of(side, alias))
                .or_else(|| right.and_then(|side| subselect_of(side, alias)))
        }
        _ => None,
    }
}
