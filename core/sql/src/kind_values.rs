//! Masks that need no key: parts of texts, and ranges of numbers and dates.

use writ_model::mask::{BucketSize, Part};

use crate::kinds::{Masked, literal, op};

/// How many stars stand for what is hidden: the same for every length, which is hidden with it.
const STARS: usize = 4;
/// What a host's name is made of, the frequent ones first: they are tried in this order.
const HOST_CHARACTERS: &str = ".eaoincmtrslhdugpykfbwv-xzjq0123456789EAOINCMTRSLHDUGPYKFBWVXZJQ";
/// Floating-point numbers are put into buckets below this: beyond it neighbours are further apart than 1.
const FLOAT_BUCKET_MAX: &str = "1e15";

/// A part of a text.
pub(crate) fn partial(column: &Masked<'_>, part: Part) -> Option<String> {
    if !column.is_text() {
        return None;
    }
    match part {
        Part::Ends { first, last } => ends(column, usize::from(first), usize::from(last)),
        Part::Domain => Some(domain(column)),
    }
}

/// The ends of texts of which they are at most half; other texts are redacted, since little would be hidden.
fn ends(column: &Masked<'_>, first: usize, last: usize) -> Option<String> {
    let Masked { type_name, .. } = column;
    let shown = first + last;
    let room = column.length_max().map_or(STARS, |max| max.saturating_sub(shown).min(STARS));
    let mut parts = Vec::new();
    let text = column.text();
    if first > 0 {
        parts.push(format!("pg_catalog.left({text}, {first})"));
    }
    parts.push(literal(&"*".repeat(room)));
    if last > 0 {
        parts.push(format!("pg_catalog.right({text}, {last})"));
    }
    let joined = parts.into_iter().reduce(|one, two| op(&one, "||", &two))?;
    let short = op(&format!("pg_catalog.length({text})"), "<", &(shown * 2).to_string());
    let constant = column.constant();
    Some(format!("CASE WHEN {short} THEN {constant} ELSE {joined}::{type_name} END"))
}

/// What follows the one `@`, where it looks like a host's name.
fn domain(column: &Masked<'_>) -> String {
    let Masked { type_name, value, .. } = column;
    let text = column.text();
    let part = |number: u8| format!("pg_catalog.split_part({text}, '@', {number})");
    let host = part(2);
    let rest = format!("pg_catalog.ltrim({host}, {})", literal(HOST_CHARACTERS));
    let conditions = [op(&host, "<>", "''"), op(&rest, "=", "''"), op(&part(3), "=", "''")];
    format!(
        "CASE WHEN {value} IS NULL THEN NULL::{type_name} WHEN {} THEN {}::{type_name} ELSE {} END",
        conditions.join(" AND "),
        op("'***@'", "||", &host),
        column.constant()
    )
}

/// The beginning of the range that a value lies in.
pub(crate) fn bucket(column: &Masked<'_>, size: BucketSize) -> Option<String> {
    match (size, size.unit()) {
        (BucketSize::Multiple(multiple), _) => number(column, multiple),
        (_, Some(unit)) => date(column, unit),
        _ => None,
    }
}

/// Towards zero, so that what fits the type before fits it after.
fn number(column: &Masked<'_>, multiple: u32) -> Option<String> {
    let Masked { type_name, value, .. } = column;
    let max = match column.base {
        "smallint" => u32::from(i16::MAX.unsigned_abs()),
        "integer" => i32::MAX.unsigned_abs(),
        "bigint" | "numeric" => u32::MAX,
        "real" | "double precision" => return Some(float(column, multiple)),
        _ => return None,
    };
    if multiple > max {
        // Nothing of the type is as large: all of it is one bucket.
        return None;
    }
    let rest = op(value, "%", &format!("{multiple}::{}", column.base));
    Some(format!("{}::{type_name}", op(value, "-", &rest)))
}

fn float(column: &Masked<'_>, multiple: u32) -> String {
    let Masked { type_name, value, .. } = column;
    let wide = format!("({value})::pg_catalog.float8");
    let by = format!("{multiple}::pg_catalog.float8");
    let size = format!("pg_catalog.abs({wide})");
    // Below 1 there is only the bucket of 0, and a division could underflow.
    let small = format!("{} AND {}", op(&size, ">=", "1"), op(&size, "<", FLOAT_BUCKET_MAX));
    let whole = format!("pg_catalog.trunc({})", op(&wide, "/", &by));
    format!(
        "CASE WHEN {value} IS NULL THEN NULL::{type_name} WHEN {small} THEN {}::{type_name} ELSE {} END",
        op(&whole, "*", &by),
        column.constant()
    )
}

/// Time stamps with a zone are cut in UTC: cut in the session's zone, the client could move the edges of the ranges.
fn date(column: &Masked<'_>, unit: &str) -> Option<String> {
    let Masked { type_name, value, .. } = column;
    let unit = literal(unit);
    let cut = match column.base {
        "date" | "timestamp" | "timestamp without time zone" => {
            format!("pg_catalog.date_trunc({unit}, ({value})::pg_catalog.timestamp)")
        }
        "timestamp with time zone" => format!("pg_catalog.date_trunc({unit}, {value}, 'UTC')"),
        _ => return None,
    };
    Some(in_range(column, &format!("({cut})::{type_name}")))
}

/// `some` for dates of the years 1 to 9998, and the redacted value for others: near the ends of their range, dates
/// cannot be moved.
pub(crate) fn in_range(column: &Masked<'_>, some: &str) -> String {
    let Masked { type_name, value, .. } = column;
    let zone = if column.base == "timestamp with time zone" { " 00:00:00+00" } else { "" };
    let bound = |year: &str, operator: &str| {
        let date = literal(&format!("{year}-01-01{zone}"));
        op(value, operator, &format!("{date}::{type_name}"))
    };
    format!(
        "CASE WHEN {value} IS NULL THEN NULL::{type_name} WHEN {} AND {} THEN {some} ELSE {} END",
        bound("0001", ">="),
        bound("9999", "<"),
        column.constant()
    )
}
