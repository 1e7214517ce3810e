//! Telephone numbers by the numbering plans of all countries, as libphonenumber keeps them.

use std::collections::BTreeSet;

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

/// A column is of one country when so many percent of its values are valid there.
const VALID_PERCENT: usize = 90;
/// Of the first values so many have to be.
const FIRST_PERCENT: usize = 75;
/// By so many percent points fewer of other numbers with the same beginning must be valid, or the plan proves nothing.
const CHANCE_POINTS: usize = 25;
/// So many values are tried for each country before the rest.
const FIRST_VALUES: usize = 8;
/// So many values are tried at all.
const VALUES_MAX: usize = 60;
/// Fewer different values prove nothing.
const VALUES_MIN: usize = 20;
/// Numbers of mobile telephones have so many digits where no zero stands before them.
const BARE_DIGITS_MIN: usize = 11;
/// Values that start in fewer ways may be counted up, as order numbers are.
const BEGINNINGS_MIN: usize = 10;
/// So many digits are a beginning.
const BEGINNING_DIGITS: usize = 5;

/// How many percent of `values` are telephone numbers, where those that `clear` does not tell are valid in one country;
/// `None` where that proves nothing.
pub(crate) fn percent_of_one_country(values: &[&str], clear: fn(&str) -> bool) -> Option<usize> {
    let tried: Vec<&str> = values.iter().copied().take(VALUES_MAX).collect();
    let (dialled, clear): (Vec<&str>, Vec<&str>) = tried.iter().partition(|v| !clear(v));
    let different: BTreeSet<&str> = dialled.iter().copied().collect();
    let beginnings: BTreeSet<String> =
        dialled.iter().map(|v| digits(v).take(BEGINNING_DIGITS).collect()).collect();
    let few = different.len() < VALUES_MIN || beginnings.len() < BEGINNINGS_MIN;
    if few || !dialled.iter().all(|v| possible(v)) {
        return None;
    }
    let others: Vec<String> = dialled.iter().map(|v| other(v)).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let of = |plan| {
        let first = dialled.get(..FIRST_VALUES).map(|first| percent(plan, first));
        let found = first.filter(|p| *p >= FIRST_PERCENT).map(|_| percent(plan, &dialled))?;
        (found >= VALID_PERCENT && percent(plan, &others) + CHANCE_POINTS <= found).then_some(found)
    };
    let found = DATABASE.iter().filter_map(of).max()?;
    Some((found * dialled.len() + 100 * clear.len()) / tried.len())
}

/// Whether `text` can be a number as it is dialled inside of a country: cheap, to spare the plans.
fn possible(text: &str) -> bool {
    text.len() <= 25
        && text.bytes().all(|b| b.is_ascii_digit() || b" ()+".contains(&b))
        && (7..=13).contains(&digits(text).count())
}

fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(char::is_ascii_digit)
}

/// A number of the same form with other digits but the first: all customers may have one that starts with 2.
fn other(text: &str) -> String {
    let first = text.find(|c: char| c.is_ascii_digit());
    let turned = |(at, c): (usize, char)| match c.to_digit(10) {
        Some(digit) if Some(at) != first => char::from_digit((digit + 4) % 10, 10),
        _ => Some(c),
    };
    text.char_indices().filter_map(turned).collect()
}

/// How many percent of `values` are valid in a country's plan.
fn percent(plan: &Metadata, values: &[&str]) -> usize {
    values.iter().filter(|text| is_valid(plan, text)).count() * 100 / values.len().max(1)
}

/// Whether `text` is a number of people's telephones, as it is dialled or with its country's code.
fn is_valid(plan: &Metadata, text: &str) -> bool {
    let dialled: String = digits(text).collect();
    let abroad = dialled.strip_prefix(&plan.country_code().to_string());
    let descriptors = plan.descriptors();
    if abroad.is_some_and(|number| fits(descriptors.mobile(), number)) {
        return true;
    }
    match plan.national_prefix() {
        Some("0") => match dialled.strip_prefix('0') {
            Some(number) => {
                fits(descriptors.mobile(), number) || fits(descriptors.fixed_line(), number)
            }
            // Mobile telephones may do without; of shorter numbers there are too many others, such as seconds.
            None => dialled.len() >= BARE_DIGITS_MIN && fits(descriptors.mobile(), &dialled),
        },
        _ => fits(descriptors.mobile(), &dialled) || fits(descriptors.fixed_line(), &dialled),
    }
}

fn fits(sort: Option<&Descriptor>, number: &str) -> bool {
    let length = u16::try_from(number.len()).unwrap_or(u16::MAX);
    let sort = sort.filter(|sort| sort.possible_length().contains(&length));
    let found = sort.and_then(|sort| sort.national_number().find(number));
    found.is_some_and(|found| found.range() == (0..number.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(make: impl Fn(u64) -> String) -> Option<usize> {
        let mut state = 7_u64;
        let values: Vec<String> = (0..60)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                make(state >> 33)
            })
            .collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        percent_of_one_country(&values, |v| v.starts_with('+'))
    }

    #[test]
    fn numbers_are_told_by_the_plan_of_their_country() {
        // France, Britain, China: mobile telephones; the last with a code in brackets here and there.
        assert!(column(|n| format!("06{:08}", n % 100_000_000)).is_some());
        assert!(column(|n| format!("07{:02}{:07}", 40 + n % 8, n % 10_000_000)).is_some());
        assert!(column(|n| format!("1{}{:08}", 58 + n % 2, n % 100_000_000)).is_some());
        let mixed = |n: u64| {
            let from = ["", "(86) ", "+86 "];
            let from = from.get(usize::try_from(n % 3).unwrap_or(0)).copied().unwrap_or_default();
            format!("{from}1{}{:08}", 58 + n % 2, n % 100_000_000)
        };
        assert!(column(mixed).is_some());
    }

    #[test]
    fn other_numbers_are_none() {
        // With a beginning of their own, random, counted up, seconds, with zeros before them, of a part with its place.
        assert_eq!(column(|n| format!("2{:08}", n % 100_000_000)), None);
        assert_eq!(column(|n| format!("{}", 1_000_000_000 + n * 4)), None);
        assert_eq!(column(|n| format!("{}", 6_105_550_000 + n % 9_999)), None);
        assert_eq!(column(|n| format!("{}", 1_600_000_000 + n % 163_000_000)), None);
        assert_eq!(column(|n| format!("{:010}", n % 1_000_000)), None);
        assert_eq!(column(|n| format!("{:03}-{:03}-{:02}", n % 1_000, n % 997, n % 97)), None);
        assert_eq!(column(|n| format!("{:03} {:03} {:02}", n % 1_000, n % 997, n % 97)), None);
        assert_eq!(column(|n| format!("{}-{}", 10_000 + n % 90_000, n % 999)), None);
        assert_eq!(column(|n| format!("{:08}", n % 100_000_000)), None);
        assert_eq!(column(|n| format!("{:09}", n % 1_000_000_000)), None);
    }
}
