//! How long the analysis of a statement takes: `cargo run --release -p writ-sql --example analyze`.
//! Prints the median of each text in microseconds: of the parser's tree alone, of tree and facts, and of the
//! masked rewrite. An argument is the name of the one text to measure, or a directory: of its files `*.sql` each is a
//! text, and `columns.tsv` says which tables there are, a table and a column on each line (`loadtest/analysis` makes one).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use writ_model::mask::{ColumnMask, MaskKind};
use writ_model::{Catalog, Column, ColumnMasks, Relation, RelationKind};
use writ_sql::{Names, analyze};

/// The allocator of the `writ` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each text is measured.
const ROUNDS: usize = 5_000;
/// The same where there are many.
const ROUNDS_OF_MANY: usize = 500;

const OLTP: &[(&str, &str)] = &[
    ("point read", "SELECT abalance FROM pgbench_accounts WHERE aid = 12345"),
    ("update", "UPDATE pgbench_accounts SET abalance = abalance + 5 WHERE aid = $1"),
    (
        "insert",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
    ),
    ("begin", "BEGIN"),
    (
        "two joins",
        "SELECT a.aid, a.abalance, b.bbalance, t.tbalance FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid \
         JOIN pgbench_tellers t ON t.bid = b.bid WHERE a.aid = $1 AND t.tid = $2 ORDER BY t.tid LIMIT 10",
    ),
    (
        "ORM page",
        "SELECT \"a\".\"aid\", \"a\".\"bid\", \"a\".\"abalance\", \"a\".\"filler\" FROM \"public\".\"pgbench_accounts\" AS \"a\" \
         WHERE (\"a\".\"bid\" = $1 AND \"a\".\"abalance\" > $2 AND \"a\".\"filler\" IN ($3, $4, $5)) \
         ORDER BY \"a\".\"aid\" ASC LIMIT $6 OFFSET $7",
    ),
];

const REPORT: &str = "WITH totals AS (SELECT a.bid, sum(a.abalance) AS total, count(*) AS n FROM pgbench_accounts a \
    JOIN pgbench_branches b ON a.bid = b.bid WHERE b.bbalance BETWEEN 10 AND 1000 GROUP BY a.bid HAVING sum(a.abalance) > 0), \
    deltas AS (SELECT h.bid, h.tid, sum(h.delta) AS moved, rank() OVER (PARTITION BY h.bid ORDER BY sum(h.delta) DESC) AS place \
    FROM pgbench_history h, pgbench_tellers t WHERE h.tid = t.tid AND h.mtime >= date_trunc('month', now()) GROUP BY h.bid, h.tid), \
    best AS (SELECT d.bid, max(CASE WHEN d.place = 1 THEN d.moved END) AS first, max(CASE WHEN d.place = 2 THEN d.moved END) AS second \
    FROM deltas d GROUP BY d.bid) \
    SELECT t.bid, t.total, t.n, coalesce(b.first, 0) AS first, coalesce(b.second, 0) AS second, \
    CASE WHEN t.total > 1000 THEN 'large' WHEN t.total > 100 THEN 'middle' ELSE 'small' END AS size, \
    (SELECT max(h.mtime) FROM pgbench_history h WHERE h.bid = t.bid) AS last_seen \
    FROM totals t LEFT JOIN best b ON b.bid = t.bid WHERE EXISTS (SELECT 1 FROM pgbench_tellers x WHERE x.bid = t.bid AND x.tbalance > 0) \
    AND t.bid NOT IN (SELECT bid FROM pgbench_branches WHERE bbalance < 0) \
    UNION ALL SELECT NULL, sum(total), sum(n), 0, 0, 'all', NULL FROM totals ORDER BY 1 NULLS LAST LIMIT 100";

fn relation(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let column = |(number, name): (usize, &&str)| Column {
        number: i16::try_from(number + 1).unwrap_or(i16::MAX),
        name: (*name).to_owned(),
        type_name: "integer".to_owned(),
        type_category: 'N',
        not_null: false,
        generated: false,
    };
    Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind: RelationKind::Table,
        owner: "owner".to_owned(),
        columns: columns.iter().enumerate().map(column).collect(),
        definition: None,
        parents: Vec::new(),
        has_triggers: false,
        row_security: false,
        row_estimate: 0.0,
    }
}

fn catalog() -> Catalog {
    let relations = vec![
        relation(20_001, "pgbench_accounts", &["aid", "bid", "abalance", "filler"]),
        relation(20_002, "pgbench_branches", &["bid", "bbalance", "filler"]),
        relation(20_003, "pgbench_tellers", &["tid", "bid", "tbalance", "filler"]),
        relation(20_004, "pgbench_history", &["tid", "bid", "aid", "delta", "mtime", "filler"]),
    ];
    Catalog::new(150_000, relations, Vec::new())
}

/// Masks that the longer texts read.
fn masks() -> ColumnMasks {
    let mut masks = ColumnMasks::default();
    for (relation, column) in [("pgbench_accounts", "abalance"), ("pgbench_branches", "bbalance")] {
        let tag = "pii.account".parse().expect("a tag");
        masks.insert("public", relation, column, ColumnMask { kind: MaskKind::Redact, tag });
    }
    masks
}

fn median(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times.get(rounds / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How long the tree, and tree and facts, of a text take, in microseconds.
fn measure(rounds: usize, text: &str, catalog: &Catalog, names: &Names) -> (f64, f64) {
    let tree = median(rounds, || drop(black_box(writ_sql_tree::parse(black_box(text)))));
    let facts = median(rounds, || drop(black_box(analyze(black_box(text), catalog, names))));
    (micros(tree), micros(facts))
}

fn main() {
    let only = std::env::args().nth(1);
    match only.as_deref().map(Path::new).filter(|path| path.is_dir()) {
        Some(directory) => texts_of(directory),
        None => own_texts(only.as_deref()),
    }
}

fn own_texts(only: Option<&str>) {
    let (catalog, names) = (catalog(), Names::default());
    println!(
        "{:<12} {:>6} {:>10} {:>10} {:>12}",
        "text", "bytes", "tree µs", "facts µs", "rewrite µs"
    );
    let wanted = |name: &str| only.is_none_or(|o| o == name);
    for (name, text) in OLTP.iter().chain(&[("report", REPORT)]).filter(|(n, _)| wanted(n)) {
        let opaque = analyze(text, &catalog, &names).facts().opaque.clone();
        assert!(opaque.is_empty() || *name == "report", "{name}: {opaque:?}");
        let (tree, facts) = measure(ROUNDS, text, &catalog, &names);
        let (analysis, masks) = (analyze(text, &catalog, &names), masks());
        let rewrite =
            median(ROUNDS, || drop(black_box(analysis.rewrite(&catalog, &names, &masks))));
        let rewrite = micros(rewrite);
        println!("{name:<12} {:>6} {tree:>10.2} {facts:>10.2} {rewrite:>12.2}", text.len());
    }
}

fn texts_of(directory: &Path) {
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read(&directory.join("columns.tsv")).lines() {
        let (table, column) = line.split_once('\t').expect("a table and a column");
        tables.entry(table.to_owned()).or_default().push(column.to_owned());
    }
    let relations = (20_001..).zip(&tables).map(|(oid, (name, columns))| {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        relation(oid, name, &columns)
    });
    let (catalog, names) =
        (Catalog::new(150_000, relations.collect(), Vec::new()), Names::default());
    let (mut times, mut opaque) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let text = read(&path);
        opaque.extend(analyze(&text, &catalog, &names).facts().opaque.iter().cloned());
        let (tree, facts) = measure(ROUNDS_OF_MANY, &text, &catalog, &names);
        times.push((facts, tree, text.len(), path));
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("{} texts, {} reasons for opaque: {opaque:?}", times.len(), opaque.len());
    for (what, percent) in [("least", 0), ("median", 50), ("90 %", 90), ("most", 100)] {
        let at = (times.len().saturating_sub(1)) * percent / 100;
        let Some((facts, tree, bytes, path)) = times.get(at) else { continue };
        let name = path.file_name().unwrap_or_default().display();
        println!(
            "{what:<8} tree {tree:>8.1} µs, tree and facts {facts:>8.1} µs, {bytes} bytes ({name})"
        );
    }
}
