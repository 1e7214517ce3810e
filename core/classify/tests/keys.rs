//! Findings carried over foreign keys.

use writ_classify::follow_keys;
use writ_model::behind::{Behind, Key, KeyKind};
use writ_model::config::{ClassificationSource, ColumnClassification};
use writ_model::{Catalog, Column, ColumnRef, Relation, RelationKind};

fn table(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let column = |(at, name): (usize, &&str)| Column {
        number: i16::try_from(at).expect("few") + 1,
        name: (*name).to_owned(),
        type_name: "text".into(),
        type_category: 'S',
        not_null: false,
        generated: false,
    };
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        owner: "owner".into(),
        columns: columns.iter().enumerate().map(column).collect(),
        definition: None,
        parents: vec![],
        has_triggers: false,
        row_security: false,
        row_estimate: 0.0,
    }
}

fn key(from: (u32, i16), to: (u32, i16), kind: KeyKind) -> Key {
    Key {
        relation: from.0,
        name: "k".into(),
        kind,
        columns: vec![from.1],
        referenced: to.0,
        referenced_columns: vec![to.1],
        acts: false,
    }
}

fn tags(keys: Vec<Key>, tagged: &[(&str, &str)]) -> Vec<String> {
    let tables = [
        table(1, "people", &["id", "code"]),
        table(2, "visits", &["who", "at"]),
        table(3, "bills", &["visitor"]),
    ];
    let catalog = Catalog::new(150_000, tables.to_vec(), vec![]);
    let catalog = catalog.with_behind(Behind { keys, ..Behind::default() });
    let columns = tables.iter().flat_map(|t| t.columns.iter().map(move |c| (t, c)));
    let mut findings: Vec<ColumnClassification> = columns
        .map(|(t, c)| {
            let name = format!("{}.{}", t.name, c.name);
            let tag = tagged.iter().find(|(column, _)| *column == name);
            ColumnClassification {
                column: ColumnRef {
                    schema: t.schema.clone(),
                    relation: t.name.clone(),
                    column: c.name.clone(),
                },
                tag: tag.map(|(_, tag)| tag.parse().expect("a tag")),
                confidence_percent: 90,
                reason: "found".into(),
                source: ClassificationSource::Detected,
            }
        })
        .collect();
    follow_keys(&mut findings, &catalog);
    let shown = |f: &ColumnClassification| {
        let tag = f.tag.as_ref()?;
        Some(format!("{}.{} {tag}: {}", f.column.relation, f.column.column, f.reason))
    };
    findings.iter().filter_map(shown).collect()
}

#[test]
fn what_is_found_at_one_end_holds_at_all() {
    let keys =
        || vec![key((3, 1), (2, 1), KeyKind::Foreign), key((2, 1), (1, 2), KeyKind::Foreign)];
    assert_eq!(
        tags(keys(), &[("people.code", "pii.national_id")]),
        [
            "people.code pii.national_id: found",
            "visits.who pii.national_id: it refers to public.people.code",
            "bills.visitor pii.national_id: it refers to public.visits.who",
        ]
    );
    assert_eq!(
        tags(keys(), &[("bills.visitor", "pii.email")]),
        [
            "people.code pii.email: it is referred to by public.visits.who",
            "visits.who pii.email: it is referred to by public.bills.visitor",
            "bills.visitor pii.email: found",
        ]
    );
}

#[test]
fn nothing_else_is_carried() {
    // What was found is not replaced, doubt is not spread, and other constraints say nothing about other columns.
    let both = [("people.code", "pii.name"), ("visits.who", "pii.email")];
    let foreign = || vec![key((2, 1), (1, 2), KeyKind::Foreign)];
    assert_eq!(tags(foreign(), &both).len(), 2);
    assert_eq!(tags(foreign(), &[("people.code", "unclassified")]).len(), 1);
    let doubted = [("people.code", "unclassified"), ("visits.who", "pii.email")];
    assert!(tags(foreign(), &doubted)[0].starts_with("people.code unclassified: found"));
    assert_eq!(tags(vec![key((2, 1), (1, 2), KeyKind::Unique)], &both[..1]).len(), 1);
    assert_eq!(tags(vec![key((9, 1), (1, 2), KeyKind::Foreign)], &both[..1]).len(), 1);
}
