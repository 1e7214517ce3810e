//! What people read (short tables) and what programs read (JSON): both from the same rows.

use std::io::{self, ErrorKind, Write};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde_json::Value;
use time::OffsetDateTime;

/// Prints a line on standard output, as `println!` does, but see [`line`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(&format!($($text)*)) };
}
pub(crate) use say;

/// Prints a line on standard output. Where nobody reads on (`… | head`), the command is over, as its user wants it; where it
/// cannot be written, it has failed.
pub(crate) fn line(text: &str) {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("standard output cannot be written: {error}");
            std::process::exit(1);
        }
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: one JSON document.
    Json,
}

/// The longest cell of a table, in characters; longer ones end in an ellipsis.
const CELL_CHARS_MAX: usize = 72;

/// Prints `rows` (JSON objects): all of them as JSON, or the `columns` (title, key) of each as a table.
pub(crate) fn rows(format: Format, columns: &[(&str, &str)], rows: &[Value], none: &str) {
    match format {
        Format::Json => say!("{}", pretty(&Value::Array(rows.to_vec()))),
        Format::Table if rows.is_empty() => say!("{none}"),
        Format::Table => say!("{}", table(columns, rows)),
    }
}

/// Prints one object: as JSON, or as `title  value` lines of the `fields` that are not empty.
pub(crate) fn object(format: Format, fields: &[(&str, &str)], value: &Value) {
    match format {
        Format::Json => say!("{}", pretty(value)),
        Format::Table => say!("{}", lines(fields, value)),
    }
}

/// Prints a short sentence for people, or `value` for programs.
pub(crate) fn sentence(format: Format, text: &str, value: &Value) {
    match format {
        Format::Json => say!("{}", pretty(value)),
        Format::Table => say!("{text}"),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// A table with a bold header and thin lines, as wide as the terminal at most.
pub(crate) fn grid(titles: &[&str], cells: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(titles.iter().map(|t| Cell::new(t).add_attribute(Attribute::Bold)));
    for row in cells {
        table.add_row(row);
    }
    // Rows are told apart by their first column; a rule between all of them would only be noise.
    table.remove_style(comfy_table::TableComponent::HorizontalLines);
    table.remove_style(comfy_table::TableComponent::MiddleIntersections);
    table.to_string()
}

fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|(_, key)| cell(row.get(*key))).collect())
        .collect();
    grid(&titles, cells)
}

fn lines(fields: &[(&str, &str)], value: &Value) -> String {
    let shown: Vec<(&str, String)> = fields
        .iter()
        .map(|(title, key)| (*title, text(value.get(*key))))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let width = shown.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    let indent = format!("\n{:width$}  ", "");
    let line =
        |(title, text): &(&str, String)| format!("{title:width$}  {}", text.replace('\n', &indent));
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cell(value: Option<&Value>) -> String {
    let text = text(value).replace(['\n', '\r', '\t'], " ");
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    let mut short: String = text.chars().take(CELL_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// A JSON value as people write it.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| text(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// `text` without control characters and without marks that change the direction of writing: what an approver
/// reads must be what is there.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Microseconds since 1970 as `2026-11-21 07:10:09Z`; empty for 0.
pub(crate) fn moment(micros: i64) -> String {
    if micros == 0 {
        return String::new();
    }
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000) else {
        return micros.to_string();
    };
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date} {hour:02}:{minute:02}:{second:02}Z")
}

/// Microseconds of now. The command line is a composition root: it may read the clock.
pub(crate) fn now_micros() -> i64 {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)
}

/// How far `at` is from `now`: `in 4 min 10 s`, `12 s ago`; both in microseconds.
pub(crate) fn distance(at: i64, now: i64) -> String {
    let seconds = at.saturating_sub(now) / 1_000_000;
    let size = length(seconds.unsigned_abs());
    if seconds < 0 { format!("{size} ago") } else { format!("in {size}") }
}

/// How long it is since `at`; both in microseconds.
pub(crate) fn age(at: i64, now: i64) -> String {
    length(u64::try_from(now.saturating_sub(at) / 1_000_000).unwrap_or(0))
}

fn length(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_shows_the_chosen_columns_and_shortens_cells() {
        let shown =
            table(&[("ID", "id"), ("TEXT", "text")], &[json!({"id": 7, "text": "x".repeat(99)})]);
        assert!(shown.contains("ID") && shown.contains('7') && shown.contains('…'), "{shown}");
        assert!(!shown.contains(&"x".repeat(CELL_CHARS_MAX)), "{shown}");
    }

    #[test]
    fn fields_align_and_empty_ones_stay_away() {
        let value = json!({"a": "1\n2", "b": "", "c": [true, null]});
        assert_eq!(
            lines(&[("Long", "a"), ("B", "b"), ("C", "c")], &value),
            "Long  1\n      2\nC     yes, "
        );
    }

    #[test]
    fn text_that_hides_is_shown_escaped() {
        assert_eq!(printable("a\u{202e}b\u{1b}[2J"), "a\\u{202e}b\\u{1b}[2J");
        assert_eq!(printable("plain ✓\n"), "plain ✓\n");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(moment(1_700_000_000_000_000), "2023-11-14 22:13:20Z");
        assert_eq!(distance(250_000_000, 0), "in 4 min 10 s");
        assert_eq!(distance(0, 12_000_000), "12 s ago");
    }
}
