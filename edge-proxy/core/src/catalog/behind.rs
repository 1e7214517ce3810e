//! What is behind statements, as the catalog query tells it: bodies, operators, casts, domains, hooks and keys.
//!
//! Which functions an expression calls, casts and operators included, is not parsed: the server keeps it in
//! `pg_depend`, and leaves only its own functions out there.

use serde::Deserialize;
use writ_model::behind::{
    Behind, Cast, Dependence, Domain, FunctionBody, Hook, HookEvent, Key, KeyKind, Operator,
};

use super::CatalogError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BehindJson {
    functions: Vec<BodyRow>,
    operators: Vec<(String, String, u32)>,
    casts: Vec<(String, String, u32)>,
    domains: Vec<(String, String, Vec<u32>)>,
    hooks: Vec<HookRow>,
    dependences: Vec<(u32, i16, u32, i16)>,
    keys: Vec<KeyRow>,
}

#[derive(Deserialize)]
struct BodyRow(
    u32,
    Option<String>,
    bool,
    Vec<String>,
    Option<String>,
    Vec<String>,
    Option<String>,
    Vec<u32>,
    bool,
);

#[derive(Deserialize)]
struct HookRow(u32, String, i16, u32, Option<String>);

#[derive(Deserialize)]
struct KeyRow(u32, String, String, Vec<i16>, u32, Vec<i16>, bool);

impl BehindJson {
    pub(super) fn read(self) -> Result<Behind, CatalogError> {
        Ok(Behind {
            functions: self.functions.into_iter().map(body).collect(),
            operators: self
                .operators
                .into_iter()
                .map(|(schema, name, function)| Operator { schema, name, function })
                .collect(),
            casts: self
                .casts
                .into_iter()
                .map(|(source, target, function)| Cast { source, target, function })
                .collect(),
            domains: self
                .domains
                .into_iter()
                .map(|(name, base, functions)| Domain { name, base, functions })
                .collect(),
            hooks: self.hooks.into_iter().map(hook).collect::<Result<_, _>>()?,
            dependences: self
                .dependences
                .into_iter()
                .map(|(relation, column, source, source_column)| Dependence {
                    relation,
                    column,
                    source,
                    source_column,
                })
                .collect(),
            keys: self.keys.into_iter().map(key).collect::<Result<_, _>>()?,
        })
    }
}

fn body(row: BodyRow) -> FunctionBody {
    let BodyRow(oid, body, parsed, arguments, defaults, settings, extension, support, trigger) =
        row;
    FunctionBody { oid, body, parsed, arguments, defaults, settings, extension, support, trigger }
}

fn hook(row: HookRow) -> Result<Hook, CatalogError> {
    let HookRow(relation, event, column, function, arguments) = row;
    let event = match event.as_str() {
        "default" => HookEvent::Default,
        "generated" => HookEvent::Generated,
        "virtual" => HookEvent::Virtual,
        "write" => HookEvent::Write,
        "policy" => HookEvent::Policy,
        "trigger" => HookEvent::Trigger,
        "rule" => HookEvent::Rule,
        "forced" => HookEvent::Forced,
        "definition" => HookEvent::Definition,
        _ => return Err(CatalogError::Letter { what: "hook", letter: event }),
    };
    let arguments = arguments.map_or_else(Vec::new, |hex| trigger_arguments(&hex));
    Ok(Hook { relation, event, column, function, arguments })
}

/// `pg_trigger.tgargs` in hexadecimal: texts that each end with a zero byte.
fn trigger_arguments(hex: &str) -> Vec<String> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.strip_suffix('\0').map_or_else(Vec::new, |t| t.split('\0').map(str::to_owned).collect())
}

fn key(row: KeyRow) -> Result<Key, CatalogError> {
    let KeyRow(relation, name, kind, columns, referenced, referenced_columns, acts) = row;
    let kind = match kind.as_str() {
        "p" => KeyKind::Primary,
        "u" => KeyKind::Unique,
        "x" => KeyKind::Exclusion,
        "f" => KeyKind::Foreign,
        "c" => KeyKind::Check,
        "d" => KeyKind::DefaultPartition,
        _ => return Err(CatalogError::Letter { what: "constraint", letter: kind }),
    };
    Ok(Key { relation, name, kind, columns, referenced, referenced_columns, acts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_triggers_are_taken_apart() {
        assert_eq!(trigger_arguments("61006200"), ["a", "b"]);
        assert_eq!(trigger_arguments("6100"), ["a"]);
        assert_eq!(trigger_arguments("00"), [""]);
        assert_eq!(trigger_arguments(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_unknown_is_an_error_and_not_a_guess() {
        assert!(hook(HookRow(1, "later".into(), 0, 2, None)).is_err());
        assert!(key(KeyRow(1, "k".into(), "z".into(), vec![], 0, vec![], false)).is_err());
    }
}
