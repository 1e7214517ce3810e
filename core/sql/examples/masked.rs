//! Prints what replaces `COPY customers TO STDOUT` where some columns are masked: for measurements.
//! `cargo run -p writ-sql --example masked -- 'ssn=partial(0,4)' 'email=partial(domain)'`

use writ_model::mask::ColumnMask;
use writ_model::{Catalog, Column, ColumnMasks, Relation, RelationKind};
use writ_sql::{Names, Rewrite, analyze};

const COLUMNS: &[(&str, &str)] = &[
    ("id", "integer"),
    ("name", "text"),
    ("email", "text"),
    ("ssn", "character varying(11)"),
    ("card_number", "character varying(19)"),
    ("born", "date"),
    ("balance", "numeric(10,2)"),
];

fn customers() -> Relation {
    let column = |(number, (name, type_name)): (usize, &(&str, &str))| Column {
        number: i16::try_from(number + 1).unwrap_or(i16::MAX),
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        type_category: 'S',
        not_null: false,
        generated: false,
    };
    Relation {
        oid: 20_000,
        schema: "public".to_owned(),
        name: "customers".to_owned(),
        kind: RelationKind::Table,
        owner: "owner".to_owned(),
        columns: COLUMNS.iter().enumerate().map(column).collect(),
        definition: None,
        parents: Vec::new(),
        has_triggers: false,
        row_security: false,
        row_estimate: 1e6,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let catalog = Catalog::new(150_000, vec![customers()], Vec::new());
    let mut masks = ColumnMasks::default();
    for argument in std::env::args().skip(1) {
        let (column, kind) = argument.split_once('=').ok_or("write COLUMN=KIND")?;
        let mask = ColumnMask { kind: kind.parse()?, tag: "pii.ssn".parse()? };
        masks.insert("public", "customers", column, mask);
    }
    let (text, names) = ("COPY customers TO STDOUT", Names::default());
    let rewrite = analyze(text, &catalog, &names).rewrite(&catalog, &names, &masks);
    match rewrite.map_err(|reason| reason.detail().to_owned())? {
        Rewrite::Unchanged => println!("{text}"),
        Rewrite::Text(text) => println!("{text}"),
    }
    Ok(())
}
