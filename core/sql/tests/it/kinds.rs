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
    let nulls = format!("SELECT {} FROM", nulls.join(", "));
    let types = "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) \
                 FROM pg_attribute WHERE attnum > 0 AND attrelid =";
    for kind in KINDS {
        let columns: Vec<_> = TYPES.iter().map(|(column, ..)| (*column, *kind)).collect();
        let masked = masks(&columns);
        let all = rewritten(&catalog, &masked, "CREATE TABLE copied AS SELECT * FROM kinds");
        let script = format!(
            "BEGIN; {all}; {types} 'kinds'::regclass; {types} 'copied'::regclass; {nulls} kinds; \
             {nulls} copied; ROLLBACK;"
        );
        // Without a key there are no values, and no errors either.
        let keyless = server.script(&script);
        assert!(!keyless.contains("ERROR"), "{kind}: {keyless}");
        let out = with_key(&server, "key", &script);
        let lines: Vec<_> = out.lines().collect();
        let [types, copied_types, nulls, copied_nulls] = lines.as_slice() else {
            panic!("{kind}: {out}");
        };
        assert_eq!(types, copied_types, "{kind}");
        for ((column, of, _), (raw, copied)) in
            TYPES.iter().zip(nulls.split('|').zip(copied_nulls.split('|')))
        {
            // What has no constant of its own becomes NULL.
            let can = !matches!(*of, "mood" | "must" | "pair" | "ints" | "int4range" | "bit(3)");
            if *kind != "null" && can {
                assert_eq!(raw, copied, "{kind} {column} {of}");
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

/// Column, kind, and what it shows of the first values of [`TYPES`]. The keyed values are those that another
/// implementation of HMAC-SHA-256 gives for the key `key`.
const SHOWN: &[(&str, &str, &[&str])] = &[
    ("a", "partial(0,4)", &["****1234", "***", "***", "****Neil", "***", "****.com"]),
    (
        "a",
        "partial(domain)",
        &["***", "***", "***", "***", "***", "***@example.com", "***", "***", "***"],
    ),
    ("a", "token", &["3142-7425-5443-7140", "", "n", "Rmhjwm C'Ojvk", "rk"]),
    ("a", "hash(8)", &["5edcf5e7", "463d2d9f"]),
    ("a", "bucket(10)", &["***", "***"]),
    ("b", "partial(0,4)", &["****6789", "***", "****hijk", "***"]),
    ("b", "partial(2,1)", &["12****9", "***", "ab****k", "***"]),
    ("d", "partial(0,1)", &["**c", "***"]),
    ("d", "hash", &["***", "***"]),
    ("g", "hash", &["1747594108"]),
    ("g", "bucket(10)", &["2147483640", "-2147483640", "0", "40", "999999990"]),
    ("f", "bucket(100000)", &["0", "0"]),
    ("h", "token", &["1247593266338290360", "-7153020484471802394"]),
    ("i", "bucket(10)", &["990.00", "-990.00", "0.00", "0.00", "NaN"]),
    ("i", "noise(10)", &["965.36", "-938.69", "0.00", "0.01", "999.99"]),
    ("l", "bucket(10)", &["0", "0", "0", "0", "10", "0"]),
    (
        "m",
        "bucket(decade)",
        &["2000-01-01", "1900-01-01", "1900-01-01", "1900-01-01", "1900-01-01"],
    ),
    ("m", "shift(30)", &["2001-07-18", "1900-01-01"]),
    ("n", "bucket(quarter)", &["2001-07-01 00:00:00", "1900-01-01 00:00:00"]),
    ("n", "shift(30)", &["2001-08-27 03:50:52", "1900-01-01 00:00:00"]),
    ("o", "bucket(year)", &["2001-01-01 00:00:00+00", "1900-01-01 00:00:00+00"]),
    ("q", "hash", &["2afd036a-a1d5-1823-8960-a0aaafb41dfe"]),
    (
        "s",
        "json",
        &[
            r#"{"a": {"b": "***", "k": ["***", "***"]}, "c": "***", "d": null, "é": "***"}"#,
            r#"{"a": [{"b": "***"}], "c": {}}"#,
            r#"{"a": "***"}"#,
            r#"["***", {"a": "***", "b\": ": "***"}]"#,
            r#""***""#,
            r#""***""#,
            "null",
            "[]",
        ],
    ),
    (
        "s",
        "json(a.b, c)",
        &[
            r#"{"a": {"b": "***", "k": [1, "x"]}, "c": "***", "d": null, "é": "\\"}"#,
            r#"{"a": "***", "c": "***"}"#,
            r#"{"a": "***"}"#,
            r#""***""#,
        ],
    ),
    ("t", "json", &[r#"{"a" : "***" , "a":"***","b":["***","***"]}"#, "{}", r#""***""#]),
    ("t", "json(a)", &[r#""***""#, r#""***""#]),
    ("u", "bucket(10)", &["{0,NULL,40}", "{}", "{0,0,0,0}", "{0,0}"]),
    ("u", "redact", &["{}", "{}"]),
    ("v", "partial(0,4)", &["{****6789,NULL}", "{}"]),
];

#[test]
fn what_kinds_show() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let catalog = server.catalog();
    for (column, kind, want) in SHOWN {
        let shown = shown(&server, &catalog, column, kind);
        let shown: Vec<&str> = shown.iter().take(want.len()).map(String::as_str).collect();
        assert_eq!(shown, *want, "{column} {kind}");
    }
}

/// Column, kind, and a value in place of the first of [`TYPES`] that the mask must not tell from it.
const ALIKE: &[(&str, &str, &str)] = &[
    ("a", "redact", "secret"),
    ("a", "partial(0,4)", "5555 6666 7777 1234"),
    ("a", "partial(domain)", "no address"),
    ("b", "partial(0,4)", "999996789"),
    ("d", "hash", "xyz"),
    ("g", "bucket(10)", "2147483641"),
    ("l", "bucket(1000)", "5e-324"),
    ("m", "bucket(decade)", "2009-12-31"),
    ("m", "bucket(year)", "2001-01-01"),
    ("m", "shift(3)", "2001-07-31"),
    ("n", "bucket(month)", "2001-07-01"),
    ("o", "bucket(month)", "2001-07-01 00:30+00"),
    ("s", "json", r#"{"a": {"b": 5, "k": [true, "\"]\""]}, "c": "{", "d": null, "é": -1.5}"#),
    ("s", "json(a, c)", r#"{"a": 1, "c": [], "d": null, "é": "\\"}"#),
    ("u", "bucket(50)", "{49,NULL,1}"),
    ("w", "hash", "sad"),
];

/// Ways to look at a masked column that could tell more than its mask.
fn looks(column: &str) -> Vec<String> {
    let settings = [
        "SET TimeZone = 'Asia/Kolkata'",
        "SET TimeZone = '<x>+150'",
        "SET extra_float_digits = -15; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'",
        "SET client_encoding = 'LATIN1'; SET bytea_output = 'escape'",
    ];
    let mut looks: Vec<String> = [
        format!("SELECT {column} FROM kinds ORDER BY row"),
        format!("SELECT row FROM kinds ORDER BY {column}::text COLLATE \"C\", row"),
        format!("SELECT {column}::text, count(*) FROM kinds GROUP BY 1 ORDER BY 1"),
        format!("SELECT row FROM kinds WHERE {column}::text LIKE '%5%' ORDER BY row"),
        format!("SELECT pg_column_size({column}), length({column}::text) FROM kinds ORDER BY row"),
        format!("COPY kinds (row, {column}) TO STDOUT"),
    ]
    .into();
    for setting in settings {
        looks.push(format!("{setting}; SELECT {column} FROM kinds ORDER BY row"));
    }
    looks
}

#[test]
fn values_that_a_mask_makes_equal_are_not_told_apart() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let catalog = server.catalog();
    for (column, kind, other) in ALIKE {
        let masks = masks(&[(*column, *kind)]);
        let mut raw = String::new();
        let mut masked = String::new();
        for look in looks(column) {
            let (setting, text) = look
                .split_once("; SELECT")
                .map_or(("", look.clone()), |(s, t)| (s, format!("SELECT{t}")));
            raw.push_str(&format!("{look};\n"));
            let text = rewritten(&catalog, &masks, &text);
            masked.push_str(&format!("{setting};\n{text};\nRESET ALL;\n"));
        }
        // RESET ALL would take the key with it: here it was not given at the start.
        let masked = masked.replace(
            "RESET ALL;",
            "RESET TimeZone; RESET extra_float_digits; RESET DateStyle; \
            RESET IntervalStyle; RESET client_encoding; RESET bytea_output;",
        );
        let other = other.replace('\'', "''");
        let world = format!("UPDATE kinds SET {column} = '{other}' WHERE row = 0;");
        // The same rows move.
        let same = format!("UPDATE kinds SET {column} = {column} WHERE row = 0;");
        let run = |before: &str, script: &str| {
            with_key(&server, "key", &format!("BEGIN; {before}\n{script}\nROLLBACK;"))
        };
        let (one, two) = (run(&same, &masked), run(&world, &masked));
        assert!(!one.contains("ERROR"), "{one}");
        assert_eq!(one, two, "{column} {kind}");
        assert!(
            other == "2001-07-31" || run(&same, &raw) != run(&world, &raw),
            "without a mask they are told apart: {column}"
        );
    }
}

#[test]
fn the_server_shows_the_mask_key_to_nobody() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let masks = masks(&[("a", "hash")]);
    let text = rewritten(&server.catalog(), &masks, "SELECT a FROM kinds");
    let key = "a key that nobody may see";
    let digits: String = key.bytes().map(|b| format!("{:02x}", b ^ 0x36)).collect();
    let control = with_key(&server, key, "SHOW writ.mask_key_inner;");
    assert!(control.contains(&digits), "{control}");
    let out = with_key(
        &server,
        key,
        &format!(
            "PREPARE one AS {text}; EXECUTE one; EXPLAIN (VERBOSE, SETTINGS, ANALYZE, BUFFERS) {text};
             SELECT name, setting, reset_val FROM pg_settings; SELECT * FROM pg_show_all_settings();
             SHOW ALL; TABLE pg_prepared_statements; TABLE pg_stat_activity; TABLE pg_db_role_setting;
             TABLE pg_file_settings; SET debug_print_plan = on; SET client_min_messages = debug5; {text};"
        ),
    );
    assert!(!out.contains("ERROR") && out.contains("mask_key_inner"), "{out}");
    assert!(!out.contains(&digits), "{out}");
}

#[test]
fn an_index_on_another_column_still_serves() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    assert_eq!(
        server.script("CREATE INDEX by_row ON kinds (row); CREATE INDEX by_a ON kinds (a);"),
        ""
    );
    let catalog = server.catalog();
    for kind in ["redact", "hash", "json"] {
        let columns: Vec<_> = TYPES.iter().map(|(column, ..)| (*column, kind)).collect();
        let masks = masks(&columns);
        let plan = |text: &str| {
            let text = rewritten(&catalog, &masks, text);
            with_key(&server, "key", &format!("SET enable_seqscan = off; EXPLAIN {text};"))
        };
        let served = plan("SELECT * FROM kinds k JOIN kinds l USING (row) WHERE row = 5");
        assert_eq!(served.matches("by_row").count(), 2, "{kind}: {served}");
        // The control: on a masked column there is no index, for there are only masked values.
        let scanned = plan("SELECT row FROM kinds WHERE a = 'x'");
        assert!(!scanned.contains("by_a"), "{kind}: {scanned}");
    }
}

#[test]
fn changes_return_masked_values_of_every_kind() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(&schema()), "");
    let catalog = server.catalog();
    for kind in ["redact", "null", "partial(0,4)", "token", "noise(100)"] {
        let columns: Vec<_> = TYPES.iter().map(|(column, ..)| (*column, kind)).collect();
        let masks = masks(&columns);
        let selected = rewritten(&catalog, &masks, "SELECT * FROM kinds WHERE row = 0");
        let returned = rewritten(&catalog, &masks, "DELETE FROM kinds WHERE row = 0 RETURNING *");
        let out = with_key(&server, "key", &format!("{selected};\nBEGIN; {returned}; ROLLBACK;"));
        let lines: Vec<_> = out.lines().collect();
        let [selected, returned] = lines.as_slice() else { panic!("{kind}: {out}") };
        assert_eq!(selected, returned, "{kind}");
    }
}
