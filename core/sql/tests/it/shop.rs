//! The catalog that the tables of cases run against.

use writ_model::catalog::Volatility;
use writ_model::mask::ColumnMask;
use writ_model::{Catalog, Column, ColumnMasks, Function, MaskKind, Relation, RelationKind};
use writ_sql::{Analysis, Names, Rewrite, analyze};

fn relation(oid: u32, name: &str, kind: RelationKind, columns: &[(&str, &str)]) -> Relation {
    let (schema, name) = name.split_once('.').expect("a schema");
    let column = |(at, (name, type_name)): (usize, &(&str, &str))| Column {
        number: i16::try_from(at + 1).expect("few columns"),
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        type_category: 'S',
        not_null: *name == "id",
        generated: false,
    };
    Relation {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind,
        owner: "owner".to_owned(),
        columns: columns.iter().enumerate().map(column).collect(),
        definition: None,
        parents: Vec::new(),
        has_triggers: false,
        row_security: false,
        row_estimate: 1000.0,
    }
}

const CUSTOMERS: &[(&str, &str)] = &[
    ("id", "integer"),
    ("name", "text"),
    ("email", "character varying(40)"),
    ("ssn", "character varying(5)"),
    ("born", "date"),
    ("balance", "numeric(10,2)"),
];
const ORDERS: &[(&str, &str)] =
    &[("id", "integer"), ("customer_id", "integer"), ("total", "numeric"), ("note", "text")];
const EVENTS: &[(&str, &str)] = &[("id", "integer"), ("token", "text"), ("at", "timestamp(3)")];

fn view(oid: u32, name: &str, columns: &[(&str, &str)], definition: &str) -> Relation {
    let definition = Some(definition.to_owned());
    Relation { definition, ..relation(oid, name, RelationKind::View, columns) }
}

/// The shop's catalog. It leaves the server's own relations and functions out.
pub(crate) fn catalog() -> Catalog {
    use RelationKind::{MaterializedView, PartitionedTable, Table};
    let child =
        Relation { parents: vec![20_010], ..relation(20_011, "public.events_old", Table, EVENTS) };
    let stored = Relation {
        kind: MaterializedView,
        ..view(20_008, "public.stored", &[("ssn", "text")], " SELECT ssn FROM public.customers;")
    };
    let watched =
        Relation { has_triggers: true, ..relation(20_012, "public.watched", Table, ORDERS) };
    let relations = vec![
        relation(20_000, "public.customers", Table, CUSTOMERS),
        relation(20_001, "public.orders", Table, ORDERS),
        relation(20_002, "app.customers", Table, CUSTOMERS),
        relation(20_003, "public.Odd \"Table", Table, &[("id", "integer"), ("Sec ret", "text")]),
        relation(20_004, "public.plain", Table, &[("id", "integer"), ("ssn_x", "text")]),
        view(
            20_005,
            "public.people",
            &[("id", "integer"), ("secret", "character varying(5)")],
            " SELECT customers.id,\n    customers.ssn AS secret\n   FROM public.customers;",
        ),
        view(
            20_006,
            "public.top_people",
            &[("secret", "character varying(5)")],
            " SELECT people.secret FROM public.people;",
        ),
        view(20_007, "public.ids", &[("id", "integer")], " SELECT orders.id FROM orders;"),
        stored,
        relation(20_010, "public.events", PartitionedTable, EVENTS),
        child,
        watched,
        view(20_014, "public.vague", &[("ssn", "text")], " SELECT ssn FROM customers;"),
        view(20_013, "public.risky", &[("x", "text")], " SELECT peek(name) AS x FROM plain2;"),
    ];
    let function = |oid, schema: &str, name: &str| Function {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        language: "sql".to_owned(),
        volatility: Volatility::Immutable,
        security_definer: false,
    };
    let functions = vec![function(30_000, "public", "peek"), function(30_001, "hidden", "lower")];
    Catalog::new(150_000, relations, functions)
}

/// What the principal of the tests must not see.
pub(crate) fn masks() -> ColumnMasks {
    let mut masks = ColumnMasks::default();
    let mut add = |schema: &str, relation: &str, column: &str, tag: &str| {
        let mask = ColumnMask { kind: MaskKind::Redact, tag: tag.parse().expect("a tag") };
        masks.insert(schema, relation, column, mask);
    };
    add("public", "customers", "ssn", "pii.ssn");
    add("public", "customers", "email", "pii.email");
    add("public", "Odd \"Table", "Sec ret", "secret.key");
    add("public", "events_old", "token", "secret.token");
    add("pg_catalog", "pg_authid", "rolpassword", "secret.password");
    masks
}

/// The facts of a text in the shop.
pub(crate) fn analysis(text: &str) -> Analysis {
    analyze(text, &catalog(), &Names::default())
}

/// What becomes of a text, as one line.
pub(crate) fn outcome(text: &str, names: &Names) -> String {
    let (catalog, masks) = (catalog(), masks());
    let analysis = analyze(text, &catalog, names);
    if let Some(reason) = analysis.facts().opaque.first() {
        return format!("opaque {}: {}", reason.as_str(), reason.detail());
    }
    match analysis.rewrite(&catalog, names, &masks) {
        Ok(Rewrite::Unchanged) => "unchanged".to_owned(),
        Ok(Rewrite::Text(text)) => text,
        Err(reason) => format!("refused {}: {}", reason.as_str(), reason.detail()),
    }
}
