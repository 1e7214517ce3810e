//! Mask kinds against a real server: for every kind and type the type stays, NULL stays, no value fails, and two
//! databases that the mask makes equal give equal answers (E3).

use writ_model::mask::ColumnMask;
use writ_model::{Catalog, ColumnMasks};
use writ_sql::{MASK_KEY_SETTINGS, Names, Rewrite, analyze};

use crate::server::Server;

/// Column, type, and values that a careless expression would fail on or show.
const TYPES: &[(&str, &str, &[&str])] = &[
    (
        "a",
        "text",
        &[
            "4111-1111-1111-1234",
            "",
            "é",
            "Jürgen O'Neil",
            "ab",
            "dana@example.com",
            "x@",
            "@",
            "a@b c",
        ],
    ),
    ("b", "varchar(11)", &["123-45-6789", "1", "abcdefghijk", ""]),
    ("c", "char(9)", &["123456789", "1", "äöü"]),
    ("d", "varchar(3)", &["abc", "a"]),
    ("e", "name", &["abcdefgh"]),
    ("f", "smallint", &["32767", "-32768", "0", "9", "10"]),
    ("g", "int", &["2147483647", "-2147483648", "0", "41", "999999999"]),
    ("h", "bigint", &["9223372036854775807", "-9223372036854775808", "0", "1234567890"]),
    ("i", "numeric(5,2)", &["999.99", "-999.99", "0", "0.01", "NaN"]),
    ("j", "numeric", &["NaN", "Infinity", "-Infinity", "1e300", "12.3400", "-0.001", "0"]),
    ("k", "real", &["3.4e38", "1e-45", "NaN", "Infinity", "-12.5", "0"]),
    ("l", "float8", &["1.7976931348623157e308", "5e-324", "NaN", "-Infinity", "12.5", "-0"]),
    (
        "m",
        "date",
        &["2001-07-31", "infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-01-01"],
    ),
    (
        "n",
        "timestamp",
        &["2001-07-31 12:13:14.567", "infinity", "4714-11-24 BC", "294276-12-31", "0001-01-01"],
    ),
    (
        "o",
        "timestamptz",
        &["2001-07-31 12:13:14.567+02", "-infinity", "294276-12-31 UTC", "4714-11-24 UTC BC"],
    ),
    ("p", "timestamp(0)", &["2001-07-31 12:13:14"]),
    ("q", "uuid", &["6f1c5a6e-8f0a-4c56-9d0c-1f3f6f6d4c11"]),
    ("r", "bytea", &["\\x00ff10", ""]),
    (
        "s",
        "jsonb",
        &[
            r#"{"a": {"b": "CAN\"ARY", "k": [1, "x"]}, "c": true, "d": null, "é": "\\"}"#,
            r#"{"a": [{"b": "CANARY"}], "c": {}}"#,
            r#"{"a": "CANARY"}"#,
            r#"[1, {"a": "CANARY: [", "b\": ": "CANARY"}]"#,
            r#""CANARY""#,
            "1.5e7",
            "null",
            "[]",
        ],
    ),
    ("t", "json", &[r#"{"a" : "CANARY\u0000" , "a":1e999,"b":[-1,false]}"#, "{}", "\"CANARY\""]),
    ("u", "int[]", &["{1,NULL,42}", "{}", "{{1,2},{3,4}}", "[5:6]={7,8}"]),
    ("v", "varchar(12)[]", &["{123-45-6789,NULL}", "{}"]),
    ("w", "mood", &["ok"]),
    ("x", "mood[]", &["{ok,NULL}"]),
    ("y", "must", &["ab@c"]),
    ("z", "must[]", &["{ab@c}"]),
    ("aa", "pair", &["(1,x)"]),
    ("ab", "int4range", &["[7,31)"]),
    ("ac", "boolean", &["true"]),
    ("ad", "inet", &["10.1.2.3"]),
    ("ae", "money", &["12.50"]),
    ("af", "bit(3)", &["101"]),
    ("ag", "time", &["12:13:14"]),
    ("ah", "ints", &["{1,2}"]),
    ("ai", "numeric(3,-2)", &["99900", "-99900"]),
    ("aj", "bpchar", &["abc  "]),
];

const KINDS: &[&str] = &[
    "redact",
    "null",
    "partial(0,4)",
    "partial(2,1)",
    "partial(domain)",
    "hash",
    "hash(8)",
    "token",
    "bucket(10)",
    "bucket(100000)",
    "bucket(week)",
    "bucket(quarter)",
    "bucket(decade)",
    "noise(100)",
    "shift(3660)",
    "json",
    "json(a.b, c)",
    "json(a.k.x)",
];

fn schema() -> String {
    let columns: Vec<String> = TYPES.iter().map(|(name, of, _)| format!("{name} {of}")).collect();
    let mut schema = format!(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');
         CREATE TYPE pair AS (one int, two text);
         CREATE DOMAIN must AS text NOT NULL CHECK (VALUE LIKE '%@%');
         CREATE DOMAIN ints AS int[];
         CREATE FUNCTION peek(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
         CREATE TABLE kinds (row serial, {});
         ALTER TABLE kinds ALTER y TYPE must;
         ",
        columns.join(", ")
    );
    let rows = TYPES.iter().map(|(_, _, values)| values.len()).max().unwrap_or_default();
    for row in 0..rows {
        let values: Vec<String> = TYPES
            .iter()
            .map(|(name, of, values)| match values.get(row) {
                Some(value) => format!("'{}'::{of}", value.replace('\'', "''")),
                None if *name == "y" => "'ab@c'".to_owned(),
                None => "NULL".to_owned(),
            })
            .collect();
        schema.push_str(&format!("INSERT INTO kinds VALUES ({row}, {});\n", values.join(", ")));
    }
    schema
}

fn masks(columns: &[(&str, &str)]) -> ColumnMasks {
    let mut masks = ColumnMasks::default();
    for (column, kind) in columns {
        let (kind, tag) = (kind.parse().expect("a kind"), "pii.name".parse().expect("a tag"));
        masks.insert("public", "kinds", column, ColumnMask { kind, tag });
    }
    masks
}

fn rewritten(catalog: &Catalog, masks: &ColumnMasks, text: &str) -> String {
    let analysis = analyze(text, catalog, &Names::default());
    match analysis.rewrite(catalog, &Names::default(), masks) {
        Ok(Rewrite::Text(text)) => text,
        other => panic!("{text}: {other:?} {:?}", analysis.facts().opaque),
    }
}

/// What a session that has a mask key prints. The edge gives the key when it connects.
fn with_key(server: &Server, key: &str, script: &str) -> String {
    let [inner, outer] = MASK_KEY_SETTINGS;
    let pad = |byte: u8| -> String {
        let mut block = [0_u8; 64];
        block.iter_mut().zip(key.bytes()).for_each(|(b, k)| *b = k);
        block.iter().map(|b| format!("{:02x}", b ^ byte)).collect()
    };
    server.script(&format!(
        "SET {inner} = '{}'; SET {outer} = '{}';\n{script}",
        pad(0x36),
        pad(0x5c)
    ))
}

#[test]
fn no_kind_fails_on_any_value_of_any_type() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let catalog = server.catalog();
    let nulls: Vec<String> = TYPES
        .iter()
        .map(|(c, ..)| format!("string_agg(({c} IS NULL)::text, '' ORDER BY row)"))
        .collect();
    let types: Vec<String> =
        TYPES.iter().map(|(c, ..)| format!("max(pg_typeof({c})::text)")).collect();
    for kind in KINDS {
        let columns: Vec<_> = TYPES.iter().map(|(column, ..)| (*column, *kind)).collect();
        let masks = masks(&columns);
        let types = format!("SELECT {} FROM kinds", types.join(", "));
        let nulls = format!("SELECT {} FROM kinds", nulls.join(", "));
        let all = rewritten(&catalog, &masks, "CREATE TABLE copied AS SELECT * FROM kinds");
        let full = "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute \
                    WHERE attnum > 0 AND attrelid =";
        let script = format!(
            "BEGIN; {all}; {full} 'kinds'::regclass; {full} 'copied'::regclass; SELECT count(*) FROM kinds; \
             SELECT count(*) FROM copied; {types}; {}; {nulls}; {}; ROLLBACK;",
            rewritten(&catalog, &masks, &types),
            rewritten(&catalog, &masks, &nulls),
        );
        for out in [with_key(&server, "key", &script), server.script(&script)] {
            assert!(!out.contains("ERROR"), "{kind}: {out}");
        }
        let out = with_key(&server, "key", &script);
        let lines: Vec<_> = out.lines().collect();
        let [full, full_copied, count, copied, types, masked_types, nulls, masked_nulls] =
            lines.as_slice()
        else {
            panic!("{kind}: {out}");
        };
        assert_eq!(full, full_copied, "{kind}");
        assert_eq!(count, copied, "{kind}");
        assert_eq!(types, masked_types, "{kind}");
        for ((column, of, _), (raw, masked)) in
            TYPES.iter().zip(nulls.split('|').zip(masked_nulls.split('|')))
        {
            // What has no constant of its own becomes NULL.
            let can = !matches!(*of, "mood" | "must" | "pair" | "ints" | "int4range" | "bit(3)");
            if *kind != "null" && can {
                assert_eq!(raw, masked, "{kind} {column} {of}");
            }
        }
    }
}

/// What one masked column shows of each of its values.
fn shown(server: &Server, catalog: &Catalog, column: &str, kind: &str) -> Vec<String> {
    let masks = masks(&[(column, kind)]);
    let text = format!("SELECT {column} FROM kinds WHERE row < 20 ORDER BY row");
    let out = with_key(server, "key", &format!("{};", rewritten(catalog, &masks, &text)));
    let values = TYPES.iter().find(|(c, ..)| *c == column).map_or(0, |(.., values)| values.len());
    out.lines().take(values).map(str::to_owned).collect()
}

#[test]
fn what_kinds_show() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let catalog = server.catalog();
    for (column, kind) in [("a", "partial(0,4)"), ("a", "partial(domain)"), ("a", "token"), ("a", "hash(8)"),
        ("b", "partial(0,4)"), ("b", "token"), ("c", "token"), ("g", "token"), ("h", "token"), ("g", "hash"), ("g", "bucket(10)"),
        ("i", "bucket(10)"), ("i", "noise(10)"), ("j", "noise(10)"), ("k", "noise(10)"), ("l", "bucket(10)"),
        ("m", "bucket(decade)"), ("m", "shift(30)"), ("n", "bucket(quarter)"), ("n", "shift(30)"), ("o", "bucket(year)"),
        ("q", "hash"), ("r", "hash"), ("s", "json"), ("s", "json(a.b, c)"), ("t", "json"), ("u", "bucket(10)"), ("u", "redact"), ("v", "partial(0,4)")] {
        println!("{column} {kind}: {:#?}", shown(&server, &catalog, column, kind));
    }
}
