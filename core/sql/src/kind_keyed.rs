//! Masks that a key chooses: HMAC-SHA-256 written with the server's own functions.
//!
//! The key is two settings of the session, hexadecimal: the key block of the HMAC with its inner and with its outer
//! padding. Where a session has no such settings the masked value is NULL.

use crate::kind_values::in_range;
use crate::kinds::{Masked, op};

/// The settings that hold the mask key: its 64-byte block with the inner and with the outer padding of HMAC, as
/// hexadecimal digits. They are to be given when a session starts, so that RESET returns to them.
pub const MASK_KEY_SETTINGS: [&str; 2] = ["writ.mask_key_inner", "writ.mask_key_outer"];

/// Texts with less room than this are redacted: shorter hashes would join what differs.
const HASH_ROOM_MIN: usize = writ_model::mask::HASH_CHARACTERS_MIN as usize;
/// Longer texts are redacted, not tokenised: the work per character is bounded.
const TOKEN_CHARACTERS_MAX: usize = 1_024;
/// Numbers without bounds of their own get noise below this, and are redacted beyond.
const NOISE_MAX: &str = "1e30";
/// Floating-point numbers closer to zero than this are redacted: noise could underflow.
const NOISE_MIN: &str = "1e-30";
const SECONDS_PER_DAY: u32 = 86_400;
/// Noise is this fine: a fraction of ±1.
const NOISE_STEPS: u32 = 1_000_000;

/// What a mask is for; two masks of one value tell nothing of each other.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Hash,
    Token,
    Noise,
    Shift,
}

impl Purpose {
    /// The byte that goes into the HMAC before the value.
    fn prefix(self) -> &'static str {
        match self {
            Self::Hash => "01",
            Self::Token => "02",
            Self::Noise => "03",
            Self::Shift => "04",
        }
    }
}

/// The HMAC of `message`, an expression of bytes. The key is read once for a statement, not for each row.
fn hmac(purpose: Purpose, message: &str) -> String {
    let [inner, outer] = MASK_KEY_SETTINGS;
    let read = |setting: &str, suffix: &str| {
        let key = format!("NULLIF(pg_catalog.current_setting('{setting}', true), '')");
        format!("(SELECT pg_catalog.decode({}, 'hex'))", op(&key, "||", &format!("'{suffix}'")))
    };
    let (inner, outer) = (read(inner, purpose.prefix()), read(outer, ""));
    let digest = format!("pg_catalog.sha256({})", op(&inner, "||", message));
    format!("pg_catalog.sha256({})", op(&outer, "||", &digest))
}

/// A number from 0 to 2^63 - 1 out of the first bytes of an HMAC.
fn number_of(hmac: &str) -> String {
    let digits = format!("pg_catalog.encode(pg_catalog.substr({hmac}, 1, 8), 'hex')");
    let bits = op("'x'::pg_catalog.text", "||", &digits);
    op(&format!("({bits}::bit(64))::pg_catalog.int8"), "&", "9223372036854775807")
}

/// The bytes of a value, the same in every session and for every type that can hold the value; `None` for types that
/// no keyed mask is made for.
fn bytes(column: &Masked<'_>) -> Option<String> {
    let value = column.value;
    Some(match column.base {
        _ if column.is_text() => {
            // To the server's own encoding: nothing is converted, and nothing can fail.
            format!("pg_catalog.convert_to({}, pg_catalog.getdatabaseencoding())", column.text())
        }
        "smallint" | "integer" | "bigint" => {
            format!("pg_catalog.int8send(({value})::pg_catalog.int8)")
        }
        "numeric" => format!("pg_catalog.numeric_send(pg_catalog.trim_scale({value}))"),
        "real" | "double precision" => {
            format!("pg_catalog.float8send(({value})::pg_catalog.float8)")
        }
        "date" => format!("pg_catalog.date_send({value})"),
        "timestamp" | "timestamp without time zone" => {
            format!("pg_catalog.timestamp_send({value})")
        }
        "timestamp with time zone" => format!("pg_catalog.timestamptz_send({value})"),
        "uuid" => format!("pg_catalog.uuid_send({value})"),
        "bytea" => value.to_owned(),
        _ => return None,
    })
}

/// A keyed hash.
pub(crate) fn hash(column: &Masked<'_>, characters: u8) -> Option<String> {
    let type_name = column.type_name;
    let hmac = hmac(Purpose::Hash, &bytes(column)?);
    let hashed = match column.base {
        _ if column.is_text() => {
            let length = usize::from(characters);
            let length = column.length_max().map_or(length, |max| max.min(length));
            if length < HASH_ROOM_MIN {
                return None;
            }
            format!("pg_catalog.left(pg_catalog.encode({hmac}, 'hex'), {length})")
        }
        "uuid" => uuid(&hmac),
        "bytea" => hmac,
        "bigint" => number_of(&hmac),
        "integer" => op(&number_of(&hmac), "&", "2147483647"),
        _ => return None,
    };
    Some(format!("({hashed})::{type_name}"))
}

fn uuid(hmac: &str) -> String {
    format!("pg_catalog.encode(pg_catalog.substr({hmac}, 1, 16), 'hex')")
}

/// Other digits for digits, other letters for letters. Letters outside ASCII become small ASCII letters.
pub(crate) fn token(column: &Masked<'_>) -> Option<String> {
    let hmac = hmac(Purpose::Token, &bytes(column)?);
    match column.base {
        _ if column.is_text() => Some(token_of_text(column, &hmac)),
        "uuid" => Some(format!("({})::{}", uuid(&hmac), column.type_name)),
        _ => token_of_integer(column, &hmac),
    }
}

/// As many digits as the value has, within the type, and the same sign.
fn token_of_integer(column: &Masked<'_>, hmac: &str) -> Option<String> {
    let Masked { type_name, value, .. } = column;
    let max = integer_bounds(column.base)?.1;
    let wide = format!("({value})::pg_catalog.numeric");
    let digits = format!("pg_catalog.length((pg_catalog.abs({wide}))::pg_catalog.text)");
    let one = op(&digits, "=", "1");
    let below = op(&wide, "<", "0");
    let (low, high) = ("writ_range.low", "writ_range.high");
    let width = op(&op(high, "-", low), "+", "1");
    let chosen = op(low, "+", &op("writ_range.chosen", "%", &width));
    Some(format!(
        "(SELECT {}::{type_name} FROM (SELECT CASE WHEN {below} THEN -1 \
         ELSE 1 END AS sign, CASE WHEN {one} THEN \
         0::pg_catalog.numeric ELSE pg_catalog.rpad('1', {digits}, '0')::pg_catalog.numeric END AS low, \
         LEAST(pg_catalog.rpad('9', {digits}, '9')::pg_catalog.numeric, {max}::pg_catalog.numeric) AS high, \
         ({})::pg_catalog.numeric AS chosen) writ_range)",
        op("writ_range.sign", "*", &chosen),
        number_of(hmac)
    ))
}

fn token_of_text(column: &Masked<'_>, hmac: &str) -> String {
    const BYTE: &str = "writ_chosen.byte";
    const CODE: &str = "writ_chosen.code";
    let text = column.text();
    let letter = |first: u8, count: u8| {
        let chosen = op(BYTE, "%", &count.to_string());
        format!("pg_catalog.chr({})", op(&first.to_string(), "+", &chosen))
    };
    let between = |first: u8, last: u8| {
        let bound = |operator, byte: u8| op(CODE, operator, &byte.to_string());
        format!("{} AND {}", bound(">=", first), bound("<=", last))
    };
    let character = format!(
        "CASE WHEN {} THEN {} WHEN {} THEN {} WHEN {} OR {} THEN {} ELSE writ_chosen.letter END",
        between(b'0', b'9'),
        letter(b'0', 10),
        between(b'A', b'Z'),
        letter(b'A', 26),
        between(b'a', b'z'),
        op(CODE, ">", "127"),
        letter(b'a', 26),
    );
    let place = op("writ_letters.place", "%", "32");
    let long = op(&format!("pg_catalog.length({text})"), ">", &TOKEN_CHARACTERS_MAX.to_string());
    format!(
        "CASE WHEN {long} THEN {constant} WHEN {text} IS NULL THEN NULL::{type_name} ELSE COALESCE((SELECT \
         (pg_catalog.string_agg({character}, '' ORDER BY writ_chosen.place))::{type_name} FROM (SELECT \
         writ_letters.letter, writ_letters.place, pg_catalog.ascii(writ_letters.letter) AS code, \
         pg_catalog.get_byte(writ_key.hmac, {place}::pg_catalog.int4) AS byte FROM (SELECT {hmac} AS hmac OFFSET 0) \
         writ_key, pg_catalog.regexp_split_to_table({text}, '') WITH ORDINALITY AS writ_letters(letter, place)) \
         writ_chosen WHERE writ_chosen.byte IS NOT NULL), {constant}) END",
        constant = column.constant(),
        type_name = column.type_name,
    )
}

/// The least and the largest value of an integer type.
fn integer_bounds(base: &str) -> Option<(i64, i64)> {
    match base {
        "smallint" => Some((i16::MIN.into(), i16::MAX.into())),
        "integer" => Some((i32::MIN.into(), i32::MAX.into())),
        "bigint" => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// A number changed by at most `percent`.
pub(crate) fn noise(column: &Masked<'_>, percent: u8) -> Option<String> {
    let Masked { type_name, value, base, .. } = column;
    let hmac = hmac(Purpose::Noise, &bytes(column)?);
    // From 1 - percent to 1 + percent.
    let spread = (NOISE_STEPS * 2 + 1).to_string();
    let chosen = op(&op(&number_of(&hmac), "%", &spread), "-", &NOISE_STEPS.to_string());
    let part = op(&format!("{chosen}::pg_catalog.numeric"), "*", &percent.to_string());
    let factor = op("1", "+", &op(&part, "/", &format!("{NOISE_STEPS}00")));
    let changed = op(&format!("({value})::pg_catalog.numeric"), "*", &factor);
    let within = |changed: &str, least: &str, most: &str| {
        format!(
            "CASE WHEN {value} IS NULL THEN NULL::{type_name} ELSE (GREATEST(LEAST({changed}, {most}), \
             {least}))::{type_name} END"
        )
    };
    let in_bounds = |wide: &str, min: &str, some: &str| {
        let size = format!("pg_catalog.abs({wide})");
        format!(
            "CASE WHEN {value} IS NULL THEN NULL::{type_name} WHEN {} OR ({} AND {}) THEN {some} ELSE {} END",
            op(wide, "=", "0"),
            op(&size, "<", NOISE_MAX),
            op(&size, ">", min),
            column.constant()
        )
    };
    if let Some((least, most)) = integer_bounds(base) {
        let [least, most] = [least, most].map(|n| format!("'{n}'::pg_catalog.numeric"));
        return Some(within(&format!("pg_catalog.round({changed}, 0)"), &least, &most));
    }
    match *base {
        "numeric" => Some(match numeric_bounds(type_name) {
            Some((least, most)) => within(&changed, &least, &most),
            None => {
                let rounded = format!("pg_catalog.round({changed}, pg_catalog.scale({value}))");
                in_bounds(value, "0", &rounded)
            }
        }),
        "real" | "double precision" => {
            let wide = format!("({value})::pg_catalog.float8");
            let changed = op(&wide, "*", &format!("{factor}::pg_catalog.float8"));
            Some(in_bounds(&wide, NOISE_MIN, &format!("{changed}::{type_name}")))
        }
        _ => None,
    }
}

/// The least and the largest value of `numeric(p,s)`.
fn numeric_bounds(type_name: &str) -> Option<(String, String)> {
    let inside = type_name.strip_prefix("numeric(")?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',')?;
    let (precision, scale): (i32, i32) = (precision.parse().ok()?, scale.trim().parse().ok()?);
    let whole = precision.checked_sub(scale)?;
    let power = |ten: i32| format!("'1e{ten}'::pg_catalog.numeric");
    let most = op(&power(whole), "-", &power(scale.checked_neg()?));
    Some((format!("(OPERATOR(pg_catalog.-) {most})"), most))
}

/// A date moved by at most `days`; the same date always by the same time.
pub(crate) fn shift(column: &Masked<'_>, days: u16) -> Option<String> {
    let Masked { type_name, value, base, .. } = column;
    let by = |most: u32| {
        let chosen = number_of(&hmac(Purpose::Shift, &bytes(column)?));
        let spread = (most * 2 + 1).to_string();
        Some(op(&op(&chosen, "%", &spread), "-", &most.to_string()))
    };
    let days = u32::from(days);
    let moved = match *base {
        "date" => op(value, "+", &format!("{}::pg_catalog.int4", by(days)?)),
        "timestamp" | "timestamp without time zone" | "timestamp with time zone" => {
            // Seconds, not days: a day of a time zone can be longer than another. Fractions of a second would be
            // as good as a name.
            let seconds = format!("{}::pg_catalog.float8", by(days * SECONDS_PER_DAY)?);
            let whole = format!("pg_catalog.date_trunc('second', {value})");
            op(&whole, "+", &op(&seconds, "*", "'1 second'::pg_catalog.interval"))
        }
        _ => return None,
    };
    Some(in_range(column, &format!("{moved}::{type_name}")))
}
