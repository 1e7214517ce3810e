//! Measures the classifier on labelled columns, as `loadtest/classify` writes them.
//!
//! Usage: `measure DIRECTORY [--misses]`: DIRECTORY has `columns.jsonl` and `texts.jsonl`. The result is Markdown on standard output.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use serde_json::Value;
use writ_classify::{ColumnSample, Scanner, classify_table};
use writ_model::ColumnRef;

/// Right and wrong judgements of one group of columns.
#[derive(Default)]
struct Score {
    columns: usize,
    right: usize,
    /// A tag was given that is not the expected one.
    false_tags: usize,
    /// A tag was expected, and another or none was given.
    missed: usize,
    cells: usize,
    /// Cells of harmless columns that were tagged.
    false_cells: usize,
}

impl Score {
    fn add(&mut self, expected: Option<&str>, given: Option<&str>, cells: usize) {
        self.columns += 1;
        self.cells += cells;
        match (expected, given) {
            (Some(expected), Some(given)) if expected == given => self.right += 1,
            (expected, given) => {
                self.false_tags += usize::from(given.is_some());
                self.missed += usize::from(expected.is_some());
                if expected.is_none() && given.is_some() {
                    self.false_cells += cells;
                }
            }
        }
    }

    fn share(part: usize, rest: usize) -> f64 {
        if part + rest == 0 { 1.0 } else { part as f64 / (part + rest) as f64 }
    }

    fn line(&self) -> String {
        let (precision, recall) =
            (Self::share(self.right, self.false_tags), Self::share(self.right, self.missed));
        let both = Self::share(2 * self.right, self.false_tags + self.missed);
        format!("{} | {precision:.3} | {recall:.3} | {both:.3}", self.columns)
    }
}

fn samples(table: &Value) -> Option<Vec<(ColumnSample, &Value)>> {
    let relation = table["table"].as_str()?;
    let columns = table["columns"].as_array()?.iter().map(|column| {
        let type_name = column["type"].as_str()?;
        let values = column["values"].as_array()?.iter();
        let sample = ColumnSample {
            column: ColumnRef {
                schema: "public".to_owned(),
                relation: relation.to_owned(),
                column: column["name"].as_str()?.to_owned(),
            },
            type_name: type_name.to_owned(),
            type_category: category(type_name),
            values: values.filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            null_fraction: 0.0,
        };
        Some((sample, column))
    });
    columns.collect()
}

/// `pg_type.typcategory` of the types that are used here.
fn category(type_name: &str) -> char {
    match type_name {
        "int4" | "int8" | "numeric" | "float8" => 'N',
        "date" | "timestamptz" => 'D',
        "bool" => 'B',
        "inet" | "cidr" => 'I',
        "uuid" | "jsonb" | "macaddr" => 'U',
        "point" => 'G',
        "_text" => 'A',
        _ => 'S',
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: measure DIRECTORY [--misses]")?;
    let misses = arguments.any(|a| a == "--misses");
    let text = fs::read_to_string(format!("{directory}/columns.jsonl"))?;
    let mut scores: BTreeMap<(String, String), Score> = BTreeMap::new();
    let (mut bytes, mut columns, mut seconds) = (0_usize, 0_usize, 0.0);
    for line in text.lines() {
        let table: Value = serde_json::from_str(line)?;
        let labelled = samples(&table).ok_or("a table without the expected fields")?;
        let plain: Vec<ColumnSample> = labelled.iter().map(|(s, _)| s.clone()).collect();
        let start = Instant::now();
        let findings = classify_table(&plain);
        seconds += start.elapsed().as_secs_f64();
        columns += plain.len();
        for ((sample, column), finding) in labelled.iter().zip(&findings) {
            bytes += sample.values.iter().map(String::len).sum::<usize>();
            let (expected, given) =
                (column["label"].as_str(), finding.tag.as_ref().map(|t| t.as_str()));
            let group = column["group"].as_str().unwrap_or_default();
            let naming = table["naming"].as_str().unwrap_or_default();
            let key = (group.to_owned(), naming.to_owned());
            scores.entry(key).or_default().add(expected, given, sample.values.len());
            if misses && expected != given {
                let examples: Vec<&String> = sample.values.iter().take(3).collect();
                eprintln!(
                    "{group}/{naming} {} ({} {}): expected {expected:?}, given {given:?}: {} {examples:?}",
                    column["what"], sample.column.column, sample.type_name, finding.reason
                );
            }
        }
    }
    report(&scores);
    println!();
    println!(
        "{columns} columns of {bytes} bytes in {seconds:.2} s: {:.1} MB/s, {:.2} ms a column",
        bytes as f64 / 1e6 / seconds,
        seconds * 1e3 / columns as f64
    );
    texts(&fs::read_to_string(format!("{directory}/texts.jsonl"))?, misses)?;
    look_alike_cells(&text, misses)
}

/// How often the scanner is right about texts, and how fast it is.
fn texts(lines: &str, misses: bool) -> Result<(), Box<dyn std::error::Error>> {
    let scanner = Scanner::new();
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let (mut clean, mut dirty) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let labelled: Value = serde_json::from_str(line)?;
        let text = labelled["text"].as_str().unwrap_or_default().to_owned();
        let expected = labelled["label"].as_str();
        let found = scanner.find(text.as_bytes()).next().map(|found| found.kind.as_str());
        scores.entry(expected.unwrap_or("clean").to_owned()).or_default().add(expected, found, 1);
        scores.entry("all".to_owned()).or_default().add(expected, found, 1);
        if misses && expected != found {
            eprintln!("text: expected {expected:?}, found {found:?}: {text:?}");
        }
        if expected.is_none() { clean.push(text) } else { dirty.push(text) }
    }
    println!("\n| texts with | number | precision | recall | F1 |");
    println!("|---|---|---|---|---|");
    for (kind, score) in scores.iter().filter(|(kind, _)| *kind != "clean") {
        println!("| {kind} | {} |", score.line());
    }
    if let Some(clean) = scores.get("clean") {
        println!(
            "\n{} of {} texts without anything were found to have something.",
            clean.false_cells, clean.cells
        );
    }
    let tenth: Vec<String> = clean
        .chunks(9)
        .zip(dirty.iter().cycle())
        .flat_map(|(nine, one)| nine.iter().chain([one]).cloned())
        .collect();
    println!("\n| scanned, text by text | MB/s on one core |");
    println!("|---|---|");
    println!("| clean | {:.0} |", speed(&scanner, &clean));
    println!("| one text in ten with a find | {:.0} |", speed(&scanner, &tenth));
    Ok(())
}

/// Megabytes a second, the median of some rounds.
fn speed(scanner: &Scanner, texts: &[String]) -> f64 {
    const ROUNDS: usize = 9;
    const BYTES_MIN: usize = 64_000_000;
    let bytes: usize = texts.iter().map(String::len).sum();
    let repeats = BYTES_MIN / bytes.max(1) + 1;
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let mut finds = 0;
            for _ in 0..repeats {
                finds +=
                    texts.iter().map(|text| scanner.find(text.as_bytes()).count()).sum::<usize>();
            }
            std::hint::black_box(finds);
            (bytes * repeats) as f64 / 1e6 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates.get(ROUNDS / 2).copied().unwrap_or(0.0)
}

/// How many cells of harmless columns the scanner would mask.
fn look_alike_cells(tables: &str, misses: bool) -> Result<(), Box<dyn std::error::Error>> {
    let scanner = Scanner::new();
    let (mut cells, mut found) = (0_usize, 0_usize);
    for line in tables.lines() {
        let table: Value = serde_json::from_str(line)?;
        for (sample, column) in samples(&table).ok_or("a table without the expected fields")? {
            if column["group"] != "look-alike" {
                continue;
            }
            for value in &sample.values {
                cells += 1;
                if let Some(find) = scanner.find(value.as_bytes()).next() {
                    found += 1;
                    if misses {
                        eprintln!("cell: {} of {}: {value:?}", find.kind.as_str(), column["what"]);
                    }
                }
            }
        }
    }
    println!(
        "\nThe scanner alone finds something in {found} of {cells} look-alike cells: {:.1} of 10,000.",
        found as f64 * 1e4 / cells as f64
    );
    Ok(())
}

fn report(scores: &BTreeMap<(String, String), Score>) {
    println!("| columns | names | number | precision | recall | F1 |");
    println!("|---|---|---|---|---|---|");
    for ((group, naming), score) in scores.iter().filter(|(key, _)| key.0 != "look-alike") {
        println!("| {group} | {naming} | {} |", score.line());
    }
    println!();
    println!("| look-alikes | columns | cells | cells masked | of 10,000 |");
    println!("|---|---|---|---|---|");
    for ((_, naming), score) in scores.iter().filter(|(key, _)| key.0 == "look-alike") {
        let of_10_000 = score.false_cells as f64 * 1e4 / score.cells as f64;
        println!(
            "| {naming} | {} | {} | {} | {of_10_000:.1} |",
            score.columns, score.cells, score.false_cells
        );
    }
}
