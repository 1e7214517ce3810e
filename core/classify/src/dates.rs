//! Dates as text, and whether a column of them looks like birthdays.

use crate::pattern::pattern;

pattern!(ISO, r"^(\d{4})-\d{2}-\d{2}([ T]00:00(:00(\.0+)?)?([+-]\d{2}(:?\d{2})?|Z)?)?$");
pattern!(YEAR_LAST, r"^\d{1,2}[./-]\d{1,2}[./-](\d{4})$");
pattern!(MOMENT, r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}");

/// The earliest year that a person in a database is born in.
const BIRTH_YEAR_MIN: i32 = 1900;
/// Birthdays spread over at least so many years; business dates hardly do.
const BIRTH_SPREAD_YEARS_MIN: i32 = 20;
/// Half of all birthdays are before this year; the dates of a business in use are not.
const BIRTH_MEDIAN_YEAR_MAX: i32 = 2002;
/// Fewer dates than this say nothing about how they are spread.
const DATES_MIN: usize = 8;

/// The year of a date without a time of day.
pub(crate) fn year(text: &str) -> Option<i32> {
    let found = ISO.groups(text).next().or_else(|| YEAR_LAST.groups(text).next())?;
    found.get(1)?.as_str().parse().ok()
}

/// Whether `text` is a date or a moment.
pub(crate) fn is_date(text: &str) -> bool {
    year(text).is_some() || MOMENT.matches(text)
}

/// Whether these dates are spread as birthdays are.
pub(crate) fn look_like_birthdays(values: &[&str]) -> bool {
    let mut years: Vec<i32> = values.iter().filter_map(|v| year(v)).collect();
    years.sort_unstable();
    let (Some(first), Some(last)) = (years.first(), years.last()) else { return false };
    let median = years.get(years.len() / 2).copied().unwrap_or(i32::MAX);
    years.len() >= DATES_MIN
        && years.len() * 10 >= values.len() * 9
        && *first >= BIRTH_YEAR_MIN
        && last - first >= BIRTH_SPREAD_YEARS_MIN
        && median <= BIRTH_MEDIAN_YEAR_MAX
}
