//! Columns judged beside each other.

mod common;

use common::*;
use writ_classify::{ColumnSample, classify_table};

fn tags(samples: &[ColumnSample]) -> Vec<String> {
    classify_table(samples)
        .iter()
        .map(|f| format!("{} {}", f.column.column, tag(f).unwrap_or("-")))
        .collect()
}

#[test]
fn doubt_closes_beside_personal_data() {
    let table = |first: &str| {
        vec![
            column("t", "id", "int8", rows(|n| n.digits(5))),
            column("t", first, "text", Vec::new()),
            column("t", "notes", "text", Vec::new()),
            column("t", "extra", "text", strings(&["some words here", "others there"])),
            column("t", "photo", "bytea", Vec::new()),
            column("t", "settings", "jsonb", Vec::new()),
            column("t", "created_at", "timestamptz", Vec::new()),
            column("t", "active", "bool", Vec::new()),
            column("t", "status", "text", Vec::new()),
            column("t", "balance", "numeric", Vec::new()),
            column("t", "external_id", "uuid", Vec::new()),
        ]
    };
    assert_eq!(
        tags(&table("email")),
        [
            "id -",
            "email pii.email",
            "notes unclassified",
            "extra unclassified",
            "photo unclassified",
            "settings unclassified",
            "created_at -",
            "active -",
            "status -",
            "balance -",
            "external_id -",
        ]
    );
    // Control: the same columns beside nothing personal.
    assert!(tags(&table("sku")).iter().all(|t| t.ends_with(" -")), "{:?}", tags(&table("sku")));
}

#[test]
fn a_table_of_people_and_one_of_goods() {
    let name = |table: &str, values: &[&str]| {
        tags(&[
            column(table, "name", "text", strings(values)),
            column(table, "id", "int4", Vec::new()),
        ])
    };
    assert_eq!(name("customers", &["Xyomara Qwist", "Bo"])[0], "name pii.name");
    assert_eq!(name("customers", &[])[0], "name pii.name");
    assert_eq!(name("products", &["Blue Lamp", "Red Chair"])[0], "name -");
    assert_eq!(name("products", &[])[0], "name -");
}

#[test]
fn birthdays_without_a_name() {
    let born =
        rows(|n| format!("{}-{:02}-{:02}", 1942 + n.below(65), 1 + n.below(12), 1 + n.below(28)));
    let shipped =
        rows(|n| format!("{}-{:02}-{:02}", 2019 + n.below(6), 1 + n.below(12), 1 + n.below(28)));
    let emails = rows(|n| format!("a{}@example.org", n.below(999)));
    let table = |dates: &[String], first: &[String]| {
        tags(&[
            column("t", "c1", "text", first.to_vec()),
            column("t", "c2", "date", dates.to_vec()),
            column("t", "c3", "text", dates.to_vec()),
        ])
    };
    assert_eq!(table(&born, &emails), ["c1 pii.email", "c2 pii.birth_date", "c3 pii.birth_date"]);
    assert_eq!(table(&shipped, &emails), ["c1 pii.email", "c2 -", "c3 -"]);
    let codes = rows(|n| n.digits(6));
    assert_eq!(table(&born, &codes), ["c1 -", "c2 -", "c3 -"], "films, not people");
}

#[test]
fn the_shop_of_the_tour() {
    let customers = [
        column("customers", "id", "int4", rows(|n| n.digits(4))),
        column(
            "customers",
            "full_name",
            "text",
            rows(|n| format!("{} {}", n.pick(&GIVEN), n.pick(&FAMILY))),
        ),
        column("customers", "email", "text", rows(|n| format!("u{}@example.com", n.below(999)))),
        column(
            "customers",
            "phone",
            "text",
            rows(|n| format!("+1-555-{}-{}", n.digits(3), n.digits(4))),
        ),
        column(
            "customers",
            "ssn",
            "text",
            rows(|n| format!("{}-{:02}-{}", 900 + n.below(99), 1 + n.below(99), n.digits(4))),
        ),
        column(
            "customers",
            "card_number",
            "text",
            rows(|n| with_luhn(&format!("4{}", n.digits(14)))),
        ),
        column(
            "customers",
            "date_of_birth",
            "date",
            rows(|n| format!("19{}-01-02", 50 + n.below(49))),
        ),
        column(
            "customers",
            "address",
            "text",
            rows(|n| format!("{} Elm Street, Springfield", n.below(99))),
        ),
        column(
            "customers",
            "city",
            "text",
            rows(|n| {
                format!(
                    "{}{}",
                    n.pick(&["North ", "East ", ""]),
                    n.pick(&[
                        "Springfield",
                        "Rivertown",
                        "Lakeside",
                        "Hilldale",
                        "Oakton",
                        "Ashby"
                    ])
                )
            }),
        ),
        column("customers", "country", "text", rows(|n| n.pick(&["US", "DE", "FR"]).to_owned())),
        column(
            "customers",
            "loyalty_tier",
            "text",
            rows(|n| n.pick(&["gold", "silver"]).to_owned()),
        ),
        column("customers", "created_at", "timestamptz", Vec::new()),
        column("customers", "order_count", "int4", rows(|n| n.digits(2))),
    ];
    assert_eq!(
        tags(&customers),
        [
            "id -",
            "full_name pii.name",
            "email pii.email",
            "phone pii.phone",
            "ssn pii.national_id",
            "card_number payment.card",
            "date_of_birth pii.birth_date",
            "address pii.address",
            "city pii.address",
            "country -",
            "loyalty_tier -",
            "created_at -",
            "order_count -",
        ]
    );
    let orders = [
        column("orders", "id", "int8", rows(|n| n.digits(6))),
        column("orders", "order_number", "text", rows(|n| format!("ORD-2024-{}", n.digits(6)))),
        column("orders", "customer_id", "int4", rows(|n| n.digits(3))),
        column("orders", "sku", "text", rows(|n| format!("SKU-{}", n.digits(6)))),
        column("orders", "checkout_id", "uuid", Vec::new()),
        column("orders", "total", "numeric", rows(|n| format!("{}.50", n.below(900)))),
        column("orders", "status", "text", rows(|n| n.pick(&["paid", "open"]).to_owned())),
        column("orders", "placed_at", "timestamptz", Vec::new()),
    ];
    assert!(tags(&orders).iter().all(|t| t.ends_with(" -")), "{:?}", tags(&orders));
}

#[test]
fn types_that_users_made_speak_for_their_columns() {
    let typed = |type_name: &str| {
        let mut sample = column("t", "c1", type_name, Vec::new());
        sample.type_category = 'S';
        tags(&[sample]).remove(0)
    };
    assert_eq!(typed("app.email"), "c1 pii.email");
    assert_eq!(typed("app.\"Phone\""), "c1 pii.phone");
    assert_eq!(typed("app.title"), "c1 -");
    // However they are called, they hold what they are made of.
    for type_name in
        ["app.international_phone", "app.date_or_text", "app.money", "app.uuid", "app.interval"]
    {
        let phones = rows(|n| format!("+44 20 7946 {}", n.digits(4)));
        let mut sample = column("t", "c1", type_name, phones);
        sample.type_category = 'S';
        assert_eq!(tags(&[sample]), ["c1 pii.phone"], "{type_name}");
    }
    // The server's own types say nothing by their names.
    assert_eq!(typed("text"), "c1 -");
    // An extension's types are what they are, whatever schema they are in.
    let document = column("t", "c1", "public.hstore", strings(&["\"email\"=>\"a@b.example\""]));
    assert_eq!(tags(&[document]), ["c1 pii.free_text"]);
}
