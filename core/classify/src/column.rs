//! The judgement of one column from its own name, type and values.

use std::collections::BTreeSet;

use writ_model::ColumnRef;

use crate::tags::Kind;
use crate::{
    ColumnSample, Finding, checks, dates, embedded, hints, numbers, people, phones, shapes,
};

/// So much of a value is looked at, in bytes; the rest of a longer one is not read.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// A column is of a kind when so many percent of its values are.
const MOST_PERCENT: usize = 80;
/// Kinds with a checksum must pass it nearly always: a tenth of random numbers pass by chance.
const CHECKED_PERCENT: usize = 90;
/// A name and so many fitting values are enough together.
const NAMED_PERCENT: usize = 30;
/// Fewer values than this prove no checksum by themselves.
const CHECKED_VALUES_MIN: usize = 4;
/// Where one random number in ten passes, so many different ones that all pass are no chance.
const CHANCE_VALUES_MIN: usize = 8;
/// Fewer values than this say nothing about words.
const WORDS_VALUES_MIN: usize = 5;
/// Fewer clean samples of prose than this prove nothing.
pub(crate) const PROSE_SAMPLES_MIN: usize = 20;

/// What one column holds, judged alone.
#[must_use]
pub fn classify(sample: &ColumnSample) -> Finding {
    match judge(sample) {
        Judged::Is(kind, confidence, reason) => {
            finding(&sample.column, Some(kind), confidence, reason)
        }
        Judged::Harmless(confidence, reason) => {
            finding(&sample.column, None, confidence, reason.to_owned())
        }
        Judged::Unsure(reason) => finding(&sample.column, None, 30, reason.to_owned()),
    }
}

/// What can be said of a column without its table.
pub(crate) enum Judged {
    Is(Kind, u8, String),
    Harmless(u8, &'static str),
    /// Nothing found, and no reason to call it harmless.
    Unsure(&'static str),
}

pub(crate) fn finding(
    column: &ColumnRef,
    kind: Option<Kind>,
    confidence_percent: u8,
    reason: String,
) -> Finding {
    let tag = kind.and_then(|k| k.as_str().parse().ok());
    Finding { column: column.clone(), tag, confidence_percent, reason }
}

/// The non-empty values, trimmed; the elements of arrays one by one.
pub(crate) fn values(sample: &ColumnSample) -> Vec<&str> {
    let array = sample.type_category == 'A';
    sample
        .values
        .iter()
        .flat_map(|v| {
            let v = v.get(..v.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or(v);
            let inner = if array { v.trim_start_matches('{').trim_end_matches('}') } else { v };
            let separator = if array { ',' } else { '\0' };
            inner.split(separator).map(move |v| if array { v.trim_matches('"') } else { v })
        })
        .map(str::trim)
        .filter(|v| !v.is_empty() && (!array || *v != "NULL"))
        .collect()
}

/// How many percent of `values` pass `test`; 0 where there are none.
pub(crate) fn percent(values: &[&str], test: impl Fn(&str) -> bool) -> usize {
    let passing = values.iter().filter(|v| test(v)).count();
    (passing * 100).checked_div(values.len()).unwrap_or(0)
}

/// What a type can hold at all.
enum Sort {
    Text,
    Number,
    Date,
    Network,
    /// Hardware addresses.
    Hardware,
    /// Points and shapes, on a plane or on the earth.
    Geometry,
    /// Structured text: JSON, XML, hstore.
    Document,
    /// Cannot be read, such as bytea, or text search vectors.
    Blob,
    Nothing,
}

/// Types of extensions that hold more than their category says.
const EXTENSION_TYPES: [&str; 4] = ["citext", "hstore", "geometry", "geography"];

/// The type's own name, without its schema.
fn type_name(sample: &ColumnSample) -> String {
    let name = sample.type_name.trim_start_matches('_').trim_end_matches("[]").to_lowercase();
    name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned()
}

/// What the column's name says, or that of a type that users made for it.
fn hint(sample: &ColumnSample) -> Option<Kind> {
    let of_type = || sample.type_name.contains('.').then(|| hints::tag(&type_name(sample)));
    hints::tag(&sample.column.column).or_else(|| of_type().flatten())
}

fn sort(sample: &ColumnSample) -> Sort {
    let name = sample.type_name.trim_start_matches('_').trim_end_matches("[]").to_lowercase();
    // Users name their types as they like; those of extensions are what they are in any schema.
    let name = match type_name(sample) {
        own if EXTENSION_TYPES.contains(&own.as_str()) => own,
        _ if name.contains('.') => String::new(),
        _ => name,
    };
    match name.as_str() {
        "uuid" | "oid" | "money" | "interval" | "bit" | "varbit" => Sort::Nothing,
        "json" | "jsonb" | "xml" | "hstore" => Sort::Document,
        "bytea" | "tsvector" => Sort::Blob,
        "inet" | "cidr" => Sort::Network,
        "macaddr" | "macaddr8" => Sort::Hardware,
        "point" | "geometry" | "geography" => Sort::Geometry,
        "citext" => Sort::Text,
        _ if name.starts_with("time") || name.starts_with("date") => Sort::Date,
        _ if name.starts_with("int") || name.starts_with("numeric") || name == "bigint" => {
            Sort::Number
        }
        _ if name.starts_with("text") || name.contains("char") => Sort::Text,
        _ => match sample.type_category {
            'S' | 'A' => Sort::Text,
            'N' => Sort::Number,
            'D' => Sort::Date,
            'I' => Sort::Network,
            'U' | 'C' | 'X' => Sort::Blob,
            _ => Sort::Nothing,
        },
    }
}

pub(crate) fn judge(sample: &ColumnSample) -> Judged {
    let values = values(sample);
    let name = sample.column.column.as_str();
    let hint = hint(sample);
    match sort(sample) {
        Sort::Text => text(name, hint, &values),
        Sort::Number => number(hint, &values),
        Sort::Date => match hint {
            Some(Kind::BirthDate) => named(Kind::BirthDate, 95),
            _ => Judged::Harmless(80, "dates and times"),
        },
        Sort::Network if percent(&values, shapes::network) >= MOST_PERCENT => {
            Judged::Harmless(80, "networks, not machines")
        }
        Sort::Network => is(Kind::Ip, 90, "the type holds internet addresses"),
        Sort::Hardware => is(Kind::Mac, 90, "the type holds hardware addresses"),
        Sort::Geometry => geometry(hint, &sample.type_name, &values),
        Sort::Document => document(hint, &values),
        Sort::Blob => match hint {
            Some(kind) => named(kind, 70),
            None => Judged::Unsure("the values cannot be read"),
        },
        Sort::Nothing => Judged::Harmless(95, "the type cannot hold anything personal"),
    }
}

fn is(kind: Kind, confidence: u8, reason: &str) -> Judged {
    Judged::Is(kind, confidence, reason.to_owned())
}

fn named(kind: Kind, confidence: u8) -> Judged {
    is(kind, confidence, "the column's name says so")
}

pub(crate) fn valued(kind: Kind, percent: usize, what: &str, hint: Option<Kind>) -> Judged {
    let bonus = if hint == Some(kind) { 5 } else { 0 };
    let confidence = u8::try_from(percent.min(94)).unwrap_or(94) + bonus;
    Judged::Is(kind, confidence, format!("{percent} % of the sampled values {what}"))
}

fn text(name: &str, hint: Option<Kind>, values: &[&str]) -> Judged {
    if values.is_empty() {
        return match hint {
            Some(kind) => named(kind, 75),
            None if hints::harmless(name) => Judged::Harmless(50, "the column's name is harmless"),
            None => Judged::Unsure("no values to look at"),
        };
    }
    by_value(hint, values)
        .or_else(|| by_name(hint, values))
        .or_else(|| hidden(values))
        .or_else(|| names_of_people(name, hint, values))
        .unwrap_or_else(|| nothing_found(name, values))
}

/// A kind, what tells its values, how many percent of them it takes, and how to say so.
type Shape = (Kind, fn(&str) -> bool, usize, &'static str);

const SSNS: &str = "are social security numbers";

/// Kinds that the values show by themselves.
fn by_value(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let distinct = values.iter().collect::<BTreeSet<_>>().len();
    let most: [Shape; 12] = [
        (Kind::Password, shapes::password_hash, NAMED_PERCENT, "are password hashes"),
        (Kind::Key, shapes::known_key, NAMED_PERCENT, "are keys or tokens"),
        (Kind::Email, shapes::email, NAMED_PERCENT, "are e-mail addresses"),
        (Kind::Iban, checks::iban, MOST_PERCENT, "are IBANs with the right checksum"),
        (Kind::NationalId, shapes::ssn, MOST_PERCENT, SSNS),
        (Kind::Phone, shapes::phone, MOST_PERCENT, "are telephone numbers"),
        (Kind::Address, shapes::street, 60, "are postal addresses"),
        (Kind::Diagnosis, shapes::icd_10, CHECKED_PERCENT, "are codes of diagnoses"),
        (Kind::Password, shapes::chosen_password, 70, "are passwords in clear"),
        (Kind::BankAccount, checks::aba_routing, CHECKED_PERCENT, "are routing numbers of banks"),
        (Kind::Key, shapes::random_token, CHECKED_PERCENT, "are long random tokens"),
        (Kind::HealthRecord, shapes::blood_group, CHECKED_PERCENT, "are blood groups"),
    ];
    let checked = cards(hint, values)
        .or_else(|| numbers::forms(hint, values))
        .or_else(|| numbers::identities(hint, values));
    if checked.is_some() {
        return checked;
    }
    for (kind, test, least, what) in most {
        let found = percent(values, test);
        // A social security number has dashes where nothing else has; the others need proof by number.
        let weak = what != SSNS
            && matches!(
                kind,
                Kind::Diagnosis | Kind::HealthRecord | Kind::BankAccount | Kind::NationalId
            );
        let proven = match kind {
            Kind::HealthRecord => distinct > 2 && values.len() >= CHECKED_VALUES_MIN,
            _ => distinct >= CHANCE_VALUES_MIN,
        };
        if found >= least && (!weak || hint == Some(kind) || proven) {
            return Some(valued(kind, found, what, hint));
        }
    }
    phones(hint, values)
        .or_else(|| phones_of_a_country(hint, values))
        .or_else(|| addresses_of_people(hint, values))
        .or_else(|| addresses_of_machines(hint, values))
}

/// Some clear telephone numbers among values that could all be some: people write them in many ways.
fn phones(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let clear = percent(values, shapes::phone);
    let possible = percent(values, shapes::phone_ish);
    (values.len() >= WORDS_VALUES_MIN && clear >= NAMED_PERCENT && possible >= CHECKED_PERCENT)
        .then(|| valued(Kind::Phone, possible, "are or may be telephone numbers", hint))
}

/// Numbers that no sign tells, though all are valid in one country's plan.
fn phones_of_a_country(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let found = phones::percent_of_one_country(values, shapes::phone)?;
    Some(valued(Kind::Phone, found, "are valid telephone numbers of one country", hint))
}

/// Some clear addresses among values that all start with a number.
fn addresses_of_people(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let clear = percent(values, shapes::street);
    let form = percent(values, |v| shapes::street(v) || shapes::number_and_words(v));
    (values.len() >= WORDS_VALUES_MIN && clear >= 20 && form >= CHECKED_PERCENT)
        .then(|| valued(Kind::Address, form, "have the form of postal addresses", hint))
}

fn cards(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let valid = percent(values, checks::card);
    let distinct = values.iter().collect::<BTreeSet<_>>().len();
    let checked = percent(values, checks::card_luhn);
    // Rare schemes have numbers of their own; most numbers of a real column are of the common ones.
    let proven = checked >= CHECKED_PERCENT && valid >= 60 && distinct >= CHECKED_VALUES_MIN;
    if proven || (hint == Some(Kind::Card) && valid >= NAMED_PERCENT) {
        return Some(valued(Kind::Card, checked, "are card numbers with the right checksum", hint));
    }
    None
}

fn addresses_of_machines(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let found = percent(values, |v| shapes::ip(v).is_some());
    // `10.2.14.0` can be a version; versions stay small.
    let large = values.iter().filter_map(|v| shapes::ip(v)).any(|octet| octet > 99);
    let networks = percent(values, shapes::network) >= MOST_PERCENT;
    (found >= CHECKED_PERCENT && !networks && (large || hint == Some(Kind::Ip)))
        .then(|| valued(Kind::Ip, found, "are internet addresses", hint))
}

/// Kinds that the name says and the values do not contradict.
fn by_name(hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    let kind = hint?;
    let fits: fn(&str) -> bool = match kind {
        Kind::Email => |v| v.contains('@'),
        Kind::Phone => shapes::phone_ish,
        Kind::NationalId => shapes::national_id_ish,
        Kind::Card => |v| checks::card_shape(v) || (matches!(v.len(), 3 | 4) && shapes::code(v)),
        Kind::Iban => |v| v.len() >= 15 && shapes::code(v),
        Kind::BankAccount => |v| v.chars().filter(char::is_ascii_digit).count() >= 5,
        Kind::BirthDate => dates::is_date,
        Kind::Ip => |v| shapes::ip(v).is_some(),
        Kind::Mac => shapes::mac,
        Kind::Location => |v| shapes::position(v) || shapes::degrees(v),
        Kind::Address => |v| shapes::street(v) || shapes::post_code(v) || v.contains(' '),
        Kind::Name => |v| !shapes::url(v) && v.chars().any(char::is_alphabetic),
        Kind::Key => |v| v.chars().count() >= 8 && !v.contains(' '),
        _ => |v| !v.is_empty(),
    };
    let found = percent(values, fits);
    (found >= NAMED_PERCENT).then(|| {
        let confidence = u8::try_from(60 + found / 3).unwrap_or(93);
        let reason = format!("the column's name says so, and {found} % of the sampled values fit");
        Judged::Is(kind, confidence, reason)
    })
}

/// Anything sensitive inside of any value: in prose one find is enough.
fn hidden(values: &[&str]) -> Option<Judged> {
    let in_text = |v: &&&str| {
        v.contains(char::is_whitespace) || v.contains(['{', '=', '@']) || v.contains("://")
    };
    let found: BTreeSet<Kind> =
        values.iter().filter(in_text).filter_map(|v| embedded::find(v)).collect();
    if found.contains(&Kind::Key) || values.iter().any(|v| shapes::known_key(v)) {
        return Some(is(Kind::Key, 85, "a sampled value contains a password, a key or a token"));
    }
    found.contains(&Kind::FreeText).then(|| {
        is(
            Kind::FreeText,
            80,
            "a sampled value contains an e-mail address, a telephone or an account number",
        )
    })
}

fn names_of_people(name: &str, hint: Option<Kind>, values: &[&str]) -> Option<Judged> {
    if hints::not_people(name) {
        return None; // cities, firms and streets are named after people
    }
    let distinct: BTreeSet<&str> = values.iter().copied().collect();
    let distinct: Vec<&str> = distinct.into_iter().collect();
    if distinct.len() < WORDS_VALUES_MIN {
        return None;
    }
    let form = percent(&distinct, people::whole_name_form);
    let known = percent(&distinct, people::whole_name);
    let repeated = distinct.len() * 4 < values.len() && distinct.len() < 20;
    if form >= MOST_PERCENT && known >= 40 || form >= 90 && known >= 20 && !repeated {
        return Some(valued(Kind::Name, form, "have the form of a person's name", hint));
    }
    let east_asian = percent(&distinct, people::east_asian_name);
    if east_asian >= 60 {
        return Some(valued(Kind::Name, east_asian, "have the form of a person's name", hint));
    }
    let single = percent(&distinct, people::name_word);
    (single >= 50).then(|| valued(Kind::Name, single, "are names that people have", hint))
}

/// Whether these are words from a short list: states, types, plans.
fn from_a_short_list(values: &[&str]) -> bool {
    let distinct = values.iter().collect::<BTreeSet<_>>().len();
    values.len() >= 8 && distinct <= 12 && distinct * 2 <= values.len()
}

fn nothing_found(name: &str, values: &[&str]) -> Judged {
    let machine =
        |v: &str| shapes::code(v) || shapes::url(v) || shapes::machine_word(v) || dates::is_date(v);
    if percent(values, machine) >= MOST_PERCENT {
        return Judged::Harmless(70, "codes, ids, dates or links");
    }
    // User names are joined by one sign too, though by no more.
    if percent(values, shapes::joined_words) >= MOST_PERCENT
        && percent(values, shapes::machine_word) >= 20
    {
        return Judged::Harmless(60, "words that are joined for machines");
    }
    if from_a_short_list(values) {
        return Judged::Harmless(75, "words from a short list");
    }
    if hints::harmless(name) {
        return Judged::Harmless(60, "the column's name is harmless and its values show nothing");
    }
    let prose = hints::prose(name) || percent(values, |v| v.split_whitespace().count() >= 4) >= 50;
    if prose && values.len() >= PROSE_SAMPLES_MIN {
        return Judged::Harmless(55, "text without anything personal in the sampled values");
    }
    Judged::Unsure("words that could be anything")
}

fn number(hint: Option<Kind>, values: &[&str]) -> Judged {
    let fits = |test: fn(&str) -> bool| values.is_empty() || percent(values, test) >= NAMED_PERCENT;
    let checked = cards(hint, values).or_else(|| numbers::identity_numbers(hint, values));
    if let Some(checked) = checked {
        return checked;
    }
    let digits =
        |least: usize| move |v: &str| v.len() >= least && v.bytes().all(|b| b.is_ascii_digit());
    let long = percent(values, digits(6)) >= NAMED_PERCENT || values.is_empty();
    match hint {
        Some(Kind::Card) if fits(checks::card_shape) => named(Kind::Card, 75),
        Some(Kind::Card) if fits(|v| matches!(v.len(), 3 | 4)) => named(Kind::Card, 70),
        Some(kind @ (Kind::NationalId | Kind::Phone | Kind::BankAccount)) if long => {
            named(kind, 85)
        }
        Some(kind @ (Kind::Password | Kind::Special | Kind::HealthRecord)) => named(kind, 70),
        Some(Kind::Location) if fits(shapes::degrees) => named(Kind::Location, 85),
        Some(Kind::Address) if fits(shapes::post_code) => named(Kind::Address, 70),
        _ => Judged::Harmless(85, "numbers without a meaning for people"),
    }
}

fn geometry(hint: Option<Kind>, type_name: &str, values: &[&str]) -> Judged {
    let found = percent(values, shapes::position);
    match hint {
        Some(Kind::Location) => named(Kind::Location, 85),
        _ if type_name != "point" => is(Kind::Location, 80, "the type holds places on the earth"),
        _ if found >= MOST_PERCENT => {
            valued(Kind::Location, found, "can be places on the earth", hint)
        }
        _ => Judged::Harmless(60, "points, though not of the earth"),
    }
}

fn document(hint: Option<Kind>, values: &[&str]) -> Judged {
    if let Some(kind) = hint {
        return named(kind, 70);
    }
    if values.is_empty() {
        return Judged::Unsure("no values to look at");
    }
    let keys = |v: &&&str| {
        v.split('"').skip(1).step_by(2).any(|k| hints::tag(k).is_some_and(Kind::is_about_people))
    };
    let found = hidden(values);
    if found.is_none() && values.iter().filter(keys).count() > 0 {
        return is(Kind::FreeText, 70, "a key in a sampled document names something personal");
    }
    found.unwrap_or(Judged::Harmless(
        50,
        "documents without anything personal in the sampled values",
    ))
}
