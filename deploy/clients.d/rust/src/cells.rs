//! The cells' texts, and one JSON line for each cell.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

/// Any error.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What `cells.json` says.
pub struct Cells {
    /// Statements that a session begins with.
    pub setup: Vec<String>,
    /// Types, and values of each as text.
    pub types: Vec<(String, Vec<String>)>,
    /// Statements that fail, and what they are called.
    pub errors: Vec<(String, String)>,
    /// How often a prepared statement is used.
    pub many: i32,
    /// How many parameters a statement has at most.
    pub parameters: i32,
    /// A text of 5 MB.
    pub big: String,
}

impl Cells {
    pub fn read(file: &str) -> Result<Self, Failed> {
        let read: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        let number = |name: &str| read[name].as_i64().unwrap_or_default();
        let pairs = |name: &str| read[name].as_object().cloned().unwrap_or_default().into_iter();
        Ok(Self {
            setup: texts(&read["setup"]),
            types: pairs("types").map(|(name, values)| (name, texts(&values))).collect(),
            errors: pairs("errors").map(|(name, value)| (name, text(&value))).collect(),
            many: i32::try_from(number("many"))?,
            parameters: i32::try_from(number("parameters"))?,
            big: "x漢".repeat(usize::try_from(number("big"))? / 4),
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Prints a cell.
pub fn put(group: &str, cell: &str, result: Value) {
    println!("{}", json!({ "group": group, "cell": cell, "result": result }));
}

/// Prints a cell for something that the driver cannot.
pub fn unsupported(group: &str, cell: &str, why: &str) {
    println!("{}", json!({ "group": group, "cell": cell, "unsupported": why }));
}

/// Bytes as words; none for NULL.
pub fn hex(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |b| b.iter().map(|n| format!("{n:02x}")).collect::<String>().into())
}

/// A long value in short.
pub fn digest(bytes: &[u8]) -> Value {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} {:016x}", bytes.len(), hasher.finish()).into()
}

/// Lines for COPY.
pub fn lines(rows: i32) -> Vec<u8> {
    let line = |n: i32| {
        format!("{n}\t{}\t{}\n", if n % 3 == 0 { "\\N" } else { "x漢" }, f64::from(n) / 4.0)
    };
    (0..rows).map(line).collect::<String>().into_bytes()
}

/// The formats of COPY.
pub const FORMATS: [(&str, &str); 3] =
    [("text", ""), ("CSV", "(FORMAT csv, HEADER)"), ("binary", "(FORMAT binary)")];
