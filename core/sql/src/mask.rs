//! What replaces a masked relation: a subselect with a constant in place of each masked value.

use std::collections::BTreeMap;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::mask::ColumnMask;
use writ_model::{Catalog, Column, ColumnMasks, MaskKind, OpaqueReason, Relation, StatementFacts};

use crate::parse;
use crate::scope::family;

/// The masks of a relation by column, with those of the relations that share its rows.
pub(crate) fn of(
    catalog: &Catalog,
    masks: &ColumnMasks,
    relation: &Relation,
    only: bool,
) -> BTreeMap<String, ColumnMask> {
    let mut found = BTreeMap::new();
    for member in family(catalog, relation, only) {
        for (column, mask) in masks.relation(&member.schema, &member.name).into_iter().flatten() {
            if relation.column(column).is_some() {
                found.entry(column.clone()).or_insert_with(|| mask.clone());
            }
        }
    }
    found
}

/// Whether the facts read a masked column.
pub(crate) fn touched(catalog: &Catalog, masks: &ColumnMasks, facts: &StatementFacts) -> bool {
    facts.reads.iter().any(|read| {
        let Some(masked) = masks.relation(&read.schema, &read.name) else { return false };
        let known = catalog.relation(&read.schema, &read.name).is_some();
        // A masked column that the snapshot does not have may have another name now.
        masked.keys().any(|c| read.columns.contains(c) || (!known && read.columns.contains("*")))
    })
}

/// Whether a row of the relation, as an error may quote it, holds something masked. A relation that the snapshot
/// does not have may hold anything, unless it is the session's own temporary one.
pub(crate) fn rows_are(catalog: &Catalog, masks: &ColumnMasks, schema: &str, name: &str) -> bool {
    if masks.is_empty() || schema.starts_with("pg_temp") {
        return false;
    }
    catalog.relation(schema, name).is_none_or(|found| !of(catalog, masks, found, false).is_empty())
}

/// The node that stands for `relation` with its masked columns replaced. `inner` is the query of a
/// view that is put in its place.
pub(crate) fn subselect(
    relation: &Relation,
    masked: &BTreeMap<String, ColumnMask>,
    only: bool,
    inner: Option<Box<pb::SelectStmt>>,
    written: &pb::RangeVar,
) -> Result<NodeEnum, OpaqueReason> {
    let query = match inner {
        Some(view) if masked.is_empty() => view,
        inner => {
            let mut query = parse::parse_query(&text(relation, masked, only))?;
            if let (Some(view), Some(from)) = (inner, query.from_clause.first_mut()) {
                from.node = Some(subquery(view, named(&relation.name)));
            }
            query
        }
    };
    let alias = written.alias.clone().unwrap_or_else(|| named(&written.relname));
    Ok(subquery(query, alias))
}

fn named(name: &str) -> pb::Alias {
    pb::Alias { aliasname: name.to_owned(), colnames: Vec::new() }
}

fn subquery(query: Box<pb::SelectStmt>, alias: pb::Alias) -> NodeEnum {
    NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: false,
        subquery: Some(Box::new(Node { node: Some(NodeEnum::SelectStmt(query)) })),
        alias: Some(alias),
    }))
}

/// The expression of an oid.
pub(crate) fn oid(oid: u32) -> Option<NodeEnum> {
    expression(&format!("{oid}::pg_catalog.oid"))
}

/// The expression that stands for a masked column of the entry called `alias`.
pub(crate) fn value_of(alias: &str, column: &Column, mask: &ColumnMask) -> Option<NodeEnum> {
    expression(&value(column, mask, &format!("{}.{}", quoted(alias), quoted(&column.name))))
}

fn expression(text: &str) -> Option<NodeEnum> {
    let query = parse::parse_query(&format!("SELECT {text}")).ok()?;
    match query.target_list.into_iter().next()?.node? {
        NodeEnum::ResTarget(target) => target.val?.node,
        _ => None,
    }
}

/// `name` as a quoted identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(relation: &Relation, masked: &BTreeMap<String, ColumnMask>, only: bool) -> String {
    let columns: Vec<String> = relation
        .columns
        .iter()
        .map(|column| match masked.get(&column.name) {
            Some(mask) => {
                let name = quoted(&column.name);
                format!("{} AS {name}", value(column, mask, &name))
            }
            None => quoted(&column.name),
        })
        .collect();
    let only = if only { "ONLY " } else { "" };
    let (schema, name) = (quoted(&relation.schema), quoted(&relation.name));
    format!("SELECT {} FROM {only}{schema}.{name}", columns.join(", "))
}

/// The expression that stands for a masked column, which is called `name` where it stands: its type
/// stays, and NULL stays NULL.
fn value(column: &Column, mask: &ColumnMask, name: &str) -> String {
    let type_name = &column.type_name;
    let constant = match mask.kind {
        MaskKind::Null => None,
        MaskKind::Redact => constant(column, mask.tag.as_str()),
    };
    match constant {
        None => format!("NULL::{type_name}"),
        Some(constant) => {
            let text = constant.replace('\'', "''");
            let some = format!("CASE WHEN {name} IS NULL THEN NULL ELSE '{text}'::{type_name} END");
            format!("({some})::{type_name}")
        }
    }
}

/// The text of a constant of the column's type; `None` where none is sure to be valid.
fn constant(column: &Column, tag: &str) -> Option<String> {
    let type_name = column.type_name.as_str();
    if type_name.ends_with("[]") {
        return Some("{}".to_owned());
    }
    let (base, length) = split_type(type_name);
    let fixed = match base {
        "text" | "character varying" | "character" | "name" | "citext" => {
            let look: String = look(tag).chars().take(length.unwrap_or(usize::MAX)).collect();
            return Some(look);
        }
        "\"char\"" => "*",
        "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" | "money"
        | "oid" => "0",
        "boolean" => "false",
        "date" => "1900-01-01",
        "timestamp" | "timestamp without time zone" => "1900-01-01 00:00:00",
        "timestamp with time zone" => "1900-01-01 00:00:00+00",
        "time" | "time without time zone" => "00:00:00",
        "time with time zone" => "00:00:00+00",
        "interval" => "0",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "bytea" | "tsvector" => "",
        "json" | "jsonb" => "\"***\"",
        "inet" => "0.0.0.0",
        "cidr" => "0.0.0.0/0",
        "macaddr" => "00:00:00:00:00:00",
        "point" => "(0,0)",
        "xml" => "<masked/>",
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// `character varying(11)` as its name and its length; `timestamp(3) without time zone` without (3).
fn split_type(type_name: &str) -> (&str, Option<usize>) {
    let Some((base, rest)) = type_name.split_once('(') else {
        let length = if type_name == "character" { Some(1) } else { None };
        return (type_name, length);
    };
    let Some((inside, after)) = rest.split_once(')') else { return (type_name, None) };
    let base = match (base.trim_end(), after.trim()) {
        ("timestamp", "with time zone") => "timestamp with time zone",
        ("time", "with time zone") => "time with time zone",
        (base, _) => base,
    };
    (base, inside.parse().ok())
}

/// What a redacted text looks like.
fn look(tag: &str) -> &'static str {
    let leaf = tag.rsplit('.').next().unwrap_or(tag);
    match leaf {
        "email" | "e_mail" => "***@***.***",
        "ssn" | "national_id" | "tax_id" => "***-**-****",
        "phone" | "phone_number" => "***-***-****",
        "card" | "credit_card" | "card_number" | "pan" => "****-****-****-****",
        "ip" | "ip_address" => "0.0.0.0",
        _ => "***",
    }
}
