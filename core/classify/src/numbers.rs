//! Columns whose values check digits or a strict form tell: identity numbers, codes of banks, addresses of machines,
//! positions.

use std::collections::BTreeSet;

use crate::column::{Judged, percent, valued};
use crate::tags::Kind;
use crate::{checks, identity, shapes};

/// A column is of a kind with its own form when so many percent of its values have it.
const FORM_PERCENT: usize = 80;
/// Kinds that only a check digit tells must pass it nearly always: a tenth of random numbers pass by chance.
const CHECKED_PERCENT: usize = 90;
/// One in eleven numbers of books ends in X, and all others pass the check of health numbers: so many must pass.
const HEALTH_PERCENT: usize = 97;
/// Where one random number in ten passes, so many different ones that all pass are no chance.
const CHANCE_VALUES_MIN: usize = 8;

fn distinct(values: &[&str]) -> usize {
    values.iter().collect::<BTreeSet<_>>().len()
}

/// Identity numbers: the scheme that most values fit.
pub(crate) fn identities(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let named = hint == Some(Kind::NationalId);
    let least = if named { FORM_PERCENT } else { CHECKED_PERCENT };
    if !named && distinct(values) < CHANCE_VALUES_MIN {
        return None;
    }
    best(values, least, |scheme, v| scheme.fits(v, named))
        .map(|(scheme, found)| told(scheme, found, hint))
}

/// The same in a column of numbers, which does not keep zeros at the start.
pub(crate) fn identity_numbers(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let named = hint == Some(Kind::NationalId);
    if !named && distinct(values) < CHANCE_VALUES_MIN {
        return None;
    }
    best(values, CHECKED_PERCENT, |scheme, v| scheme.fits_number(v, named))
        .map(|(scheme, found)| told(scheme, found, hint))
}

fn told(scheme: &identity::Scheme, found: usize, hint: Option<Kind>) -> Judged {
    valued(Kind::NationalId, found, &format!("pass the check of a {}", scheme.name), hint)
}

fn best(
    values: &[&str],
    least: usize,
    fits: impl Fn(&identity::Scheme, &str) -> bool,
) -> Option<(&'static identity::Scheme, usize)> {
    identity::schemes()
        .filter(|scheme| possible(values, |v| fits(scheme, v)))
        .map(|scheme| (scheme, percent(values, |v| fits(scheme, v))))
        .filter(|(_, found)| *found >= least)
        .max_by_key(|(_, found)| *found)
}

/// Whether any of the first values fit: most schemes can be left out at once.
fn possible(values: &[&str], fits: impl Fn(&str) -> bool) -> bool {
    const FIRST: usize = 10;
    values.iter().take(FIRST).any(|v| fits(v))
}

/// Kinds with a strict form of their own.
pub(crate) fn forms(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let different = distinct(values);
    let proven = |kind| hint == Some(kind) || different >= CHANCE_VALUES_MIN;
    let found = percent(values, shapes::mac);
    if found >= FORM_PERCENT {
        return Some(valued(Kind::Mac, found, "are hardware addresses", hint));
    }
    let found = percent(values, shapes::position);
    if found >= FORM_PERCENT && (hint == Some(Kind::Location) || different >= CHANCE_VALUES_MIN) {
        return Some(valued(Kind::Location, found, "are geographic positions", hint));
    }
    let found = percent(values, checks::nhs_number);
    if found >= HEALTH_PERCENT && proven(Kind::HealthRecord) {
        return Some(valued(Kind::HealthRecord, found, "pass the check of NHS numbers", hint));
    }
    let found = percent(values, shapes::bic);
    (found >= CHECKED_PERCENT && proven(Kind::BankAccount))
        .then(|| valued(Kind::BankAccount, found, "are codes of banks", hint))
}
