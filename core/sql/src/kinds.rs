//! The expression that stands for a masked value: pure SQL of the server's own functions.
//!
//! Every expression is total: no value makes it fail, since an error would tell something of the value (E3). None
//! depends on a setting of the session such as `TimeZone` or `extra_float_digits`, which a client could turn to see
//! the value from several sides. Functions and operators are named with their schema, so that nobody's own function
//! of the same name is called with what is masked. No text holds a key: those that need one read
//! [`MASK_KEY_SETTINGS`], which the edge sets when it connects.

use writ_model::mask::ColumnMask;
use writ_model::{Column, MaskKind};

use crate::{kind_documents, kind_keyed, kind_values};

/// The column under its mask: its type as the server prints it, and the expression of its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masked<'a> {
    /// The whole type, such as `character varying(11)`.
    pub(crate) type_name: &'a str,
    /// The type without its modifier.
    pub(crate) base: &'a str,
    /// The expression of the value.
    pub(crate) value: &'a str,
    /// What a redacted value of this type is, without quotes.
    pub(crate) redacted: &'a str,
}

impl Masked<'_> {
    /// The redacted value as an expression.
    pub(crate) fn constant(&self) -> String {
        format!("{}::{}", literal(self.redacted), self.type_name)
    }

    /// The length that the type declares, in characters.
    pub(crate) fn length_max(&self) -> Option<usize> {
        match self.base {
            "name" => Some(NAME_BYTES_MAX),
            "character varying" | "character" => split_type(self.type_name).1,
            _ => None,
        }
    }

    /// Whether the type is a text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(
            self.base,
            "text" | "character varying" | "character" | "bpchar" | "name" | "citext"
        )
    }

    /// The value as text; only for texts.
    pub(crate) fn text(&self) -> String {
        format!("({})::pg_catalog.text", self.value)
    }
}

/// The longest `name`, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The expression that stands for a masked column, which is called `name` where it stands: its type stays, and NULL
/// stays NULL.
pub(crate) fn value(column: &Column, mask: &ColumnMask, name: &str) -> String {
    let type_name = column.type_name.as_str();
    if let Some(element) = type_name.strip_suffix("[]") {
        return array(type_name, element, mask, name);
    }
    match of_scalar(type_name, mask, name) {
        Some(masked) => masked,
        // NULL of a type that need not be named: a domain may refuse NULL, and a name may mean another type in the
        // client's session.
        None => null_of(name),
    }
}

fn null_of(name: &str) -> String {
    format!("(SELECT {name} WHERE false)")
}

/// A masked value of a type of the server's own; `None` for any other type.
fn of_scalar(type_name: &str, mask: &ColumnMask, value: &str) -> Option<String> {
    let (base, length) = split_type(type_name);
    let redacted = constant(base, length, mask.tag.as_str())?;
    let column = Masked { type_name, base, value, redacted: &redacted };
    if mask.kind == MaskKind::Null {
        return Some(format!("NULL::{type_name}"));
    }
    Some(by_kind(&column, &mask.kind).unwrap_or_else(|| redact(&column)))
}

/// The masked value; `None` where the kind is not made for the type.
fn by_kind(column: &Masked<'_>, kind: &MaskKind) -> Option<String> {
    match kind {
        MaskKind::Redact | MaskKind::Null => None,
        MaskKind::Partial(part) => kind_values::partial(column, *part),
        MaskKind::Bucket(size) => kind_values::bucket(column, *size),
        MaskKind::Hash { characters } => kind_keyed::hash(column, *characters),
        MaskKind::Token => kind_keyed::token(column),
        MaskKind::Noise { percent } => kind_keyed::noise(column, *percent),
        MaskKind::Shift { days } => kind_keyed::shift(column, *days),
        MaskKind::Json { paths } => kind_documents::json(column, paths),
    }
}

fn redact(column: &Masked<'_>) -> String {
    let Masked { type_name, value, .. } = column;
    let some = column.constant();
    format!("CASE WHEN {value} IS NULL THEN NULL::{type_name} ELSE {some} END")
}

/// `redact` empties an array, since its length is a value too; other kinds mask each element.
fn array(type_name: &str, element: &str, mask: &ColumnMask, name: &str) -> String {
    const ELEMENT: &str = "writ_elements.element";
    let (base, length) = split_type(element);
    let masked = constant(base, length, mask.tag.as_str()).and_then(|redacted| {
        let column = Masked { type_name: element, base, value: ELEMENT, redacted: &redacted };
        by_kind(&column, &mask.kind)
    });
    match masked {
        _ if mask.kind == MaskKind::Null => null_of(name),
        // An empty slice keeps the type without naming it.
        None => format!("({name})[1:0]"),
        Some(masked) => format!(
            "CASE WHEN {name} IS NULL THEN NULL::{type_name} ELSE COALESCE((SELECT \
             pg_catalog.array_agg({masked} ORDER BY writ_elements.place) FROM pg_catalog.unnest({name}) \
             WITH ORDINALITY AS writ_elements(element, place))::{type_name}, '{{}}'::{type_name}) END"
        ),
    }
}

/// `one` and `two` under an operator of the server's own. In parentheses: written like this, all operators bind alike.
pub(crate) fn op(one: &str, operator: &str, two: &str) -> String {
    format!("({one} OPERATOR(pg_catalog.{operator}) {two})")
}

/// `text` as a literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The text of a constant of the type; `None` where none is sure to be valid.
fn constant(base: &str, length: Option<usize>, tag: &str) -> Option<String> {
    let fixed = match base {
        "text" | "character varying" | "character" | "bpchar" | "name" | "citext" => {
            let look: String = look(tag).chars().take(length.unwrap_or(usize::MAX)).collect();
            return Some(look);
        }
        "\"char\"" => "*",
        "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" | "money"
        | "oid" => "0",
        "boolean" => "false",
        "date" => "1900-01-01",
        "timestamp" | "timestamp without time zone" => "1900-01-01 00:00:00",
        "timestamp with time zone" => "1900-01-01 00:00:00+00",
        "time" | "time without time zone" => "00:00:00",
        "time with time zone" => "00:00:00+00",
        "interval" => "0",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "bytea" | "tsvector" => "",
        "json" | "jsonb" => "\"***\"",
        "inet" => "0.0.0.0",
        "cidr" => "0.0.0.0/0",
        "macaddr" => "00:00:00:00:00:00",
        "point" => "(0,0)",
        "xml" => "<masked/>",
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// `character varying(11)` as its name and its length; `timestamp(3) without time zone` without (3).
pub(crate) fn split_type(type_name: &str) -> (&str, Option<usize>) {
    let Some((base, rest)) = type_name.split_once('(') else {
        let length = if type_name == "character" { Some(1) } else { None };
        return (type_name, length);
    };
    let Some((inside, after)) = rest.split_once(')') else { return (type_name, None) };
    let base = match (base.trim_end(), after.trim()) {
        ("timestamp", "with time zone") => "timestamp with time zone",
        ("time", "with time zone") => "time with time zone",
        (base, _) => base,
    };
    (base, inside.parse().ok())
}

/// What a redacted text looks like.
fn look(tag: &str) -> &'static str {
    let leaf = tag.rsplit('.').next().unwrap_or(tag);
    match leaf {
        "email" | "e_mail" => "***@***.***",
        "ssn" | "national_id" | "tax_id" => "***-**-****",
        "phone" | "phone_number" => "***-***-****",
        "card" | "credit_card" | "card_number" | "pan" => "****-****-****-****",
        "ip" | "ip_address" => "0.0.0.0",
        _ => "***",
    }
}
