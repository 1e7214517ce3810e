//! Columns that hold what other columns hold: generated columns, defaults that look something up, columns that triggers
//! fill, and materialised views. Where the source is sensitive the copy is.
//!
//! What a trigger does cannot be known from its text; the rule is: a column that a PL/pgSQL trigger function assigns
//! comes from every column that the assignment names, and, where the assignment uses a declared variable, from every
//! column that the whole function names. A column counts as named where its name is a word of the text and its relation
//! is the trigger's own or named too. A whole row (`NEW` or `OLD` without a column) names all its columns. Triggers in
//! other languages, and tables that a trigger writes, are left to the classification of the stored values.

use std::collections::BTreeSet;

use writ_model::behind::{Hook, HookEvent};
use writ_model::lineage::{Derivation, SourceColumn};
use writ_model::{Catalog, Relation, RelationKind};

use crate::lineage::{self, Into};
use crate::names::Names;
use crate::parse;
use crate::walk::Walk;

/// Bodies of triggers that are longer are not read, in bytes: every column that they could fill counts as filled.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One column and another that its values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DerivedColumn {
    /// The column with the copy.
    pub column: SourceColumn,
    /// The column that it comes from.
    pub from: SourceColumn,
}

/// All such pairs, sorted.
#[must_use]
pub fn derived_columns(catalog: &Catalog) -> Vec<DerivedColumn> {
    // E3: a definition that does not fit the caller's stack must not go unread.
    parse::on_large_stack(|| all(catalog)).unwrap_or_else(|_| all(catalog))
}

fn all(catalog: &Catalog) -> Vec<DerivedColumn> {
    let mut found = BTreeSet::new();
    let behind = catalog.behind();
    for d in behind.dependences.iter().filter(|d| d.column > 0) {
        let column = SourceColumn { relation: d.relation, column: d.column };
        let from = SourceColumn { relation: d.source, column: d.source_column };
        found.insert(DerivedColumn { column, from });
    }
    let names = Names::default();
    let mut walk = Walk::new(catalog.into(), &names, None);
    for hook in &behind.hooks {
        match hook.event {
            HookEvent::Default | HookEvent::Generated | HookEvent::Virtual => {
                looked_up(&mut walk, hook, &mut found);
            }
            HookEvent::Trigger => triggered(catalog, hook, &mut found),
            _ => {}
        }
    }
    for relation in catalog.relations().iter().filter(|r| r.kind == RelationKind::MaterializedView)
    {
        stored(catalog, relation, &mut found);
    }
    found.into_iter().collect()
}

/// What the function of a default reads.
fn looked_up(walk: &mut Walk<'_>, hook: &Hook, found: &mut BTreeSet<DerivedColumn>) {
    let column = SourceColumn { relation: hook.relation, column: hook.column };
    let Some(body) = walk.harmless(hook.function) else { return };
    for read in &body.reads {
        let Some(relation) = walk.catalog.relation_by_oid(read.oid) else { continue };
        for from in relation.columns.iter().filter(|c| read.columns.contains(&c.name)) {
            let from = SourceColumn { relation: relation.oid, column: from.number };
            found.insert(DerivedColumn { column, from });
        }
    }
}

/// What a materialised view was made of.
fn stored(catalog: &Catalog, view: &Relation, found: &mut BTreeSet<DerivedColumn>) {
    let Some(definition) = &view.definition else { return };
    let Some((columns, _)) = lineage::of_definition(definition, catalog, Into::Views) else {
        return;
    };
    for (column, made) in view.columns.iter().zip(columns) {
        let column = SourceColumn { relation: view.oid, column: column.number };
        if made.value.derivation != Derivation::Constant {
            found.extend(
                made.value.sources.iter().map(|from| DerivedColumn { column, from: *from }),
            );
        }
    }
}

fn triggered(catalog: &Catalog, hook: &Hook, found: &mut BTreeSet<DerivedColumn>) {
    let Some(relation) = catalog.relation_by_oid(hook.relation) else { return };
    let Some(function) = catalog.function_by_oid(hook.function) else { return };
    let at = |number: i16| SourceColumn { relation: relation.oid, column: number };
    if function.name.starts_with("tsvector_update_trigger") {
        // The column, the configuration, and what is indexed.
        let number = |name: &String| relation.column(name).map(|c| at(c.number));
        let (Some(column), Some(sources)) =
            (hook.arguments.first().and_then(number), hook.arguments.get(2..))
        else {
            return;
        };
        found.extend(sources.iter().filter_map(number).map(|from| DerivedColumn { column, from }));
        return;
    }
    if function.language != "plpgsql" {
        return;
    }
    let Some(text) = catalog.body(hook.function).and_then(|b| b.body.as_deref()) else { return };
    let tokens = tokens(text.get(..BODY_BYTES_MAX).unwrap_or(text));
    let all = named(catalog, relation, &tokens, &tokens);
    for Assignment { target, tokens: made_of } in assignments(&tokens) {
        let sources = if uses_variables(&tokens, made_of) {
            all.clone()
        } else {
            named(catalog, relation, made_of, made_of)
        };
        let targets =
            relation.columns.iter().filter(|c| target.is_none_or(|t| t == c.name.to_lowercase()));
        for column in targets.map(|c| at(c.number)) {
            let pairs = sources.iter().filter(|from| **from != column);
            found.extend(pairs.map(|from| DerivedColumn { column, from: *from }));
        }
    }
}

/// The columns that `tokens` name, of `own` and of the relations that `around` names.
fn named(
    catalog: &Catalog,
    own: &Relation,
    tokens: &[String],
    around: &[String],
) -> BTreeSet<SourceColumn> {
    let words: BTreeSet<&str> = tokens.iter().map(String::as_str).collect();
    let relations: BTreeSet<&str> = around.iter().map(String::as_str).collect();
    let whole = whole_row(tokens);
    let mut found = BTreeSet::new();
    for relation in catalog.relations().iter().filter(|r| !r.is_system()) {
        let is_own = relation.oid == own.oid;
        if !is_own && !relations.contains(relation.name.to_lowercase().as_str()) {
            continue;
        }
        for column in &relation.columns {
            if (is_own && whole) || words.contains(column.name.to_lowercase().as_str()) {
                found.insert(SourceColumn { relation: relation.oid, column: column.number });
            }
        }
    }
    found
}

/// Whether NEW or OLD stands for a whole row, other than in `RETURN NEW`.
fn whole_row(tokens: &[String]) -> bool {
    tokens.iter().enumerate().any(|(at, token)| {
        let is_row = matches!(token.as_str(), "new" | "old");
        let next = tokens.get(at + 1).map(String::as_str);
        let field = next == Some(".") && tokens.get(at + 2).is_some_and(|t| t != "*");
        let target = next == Some(":=");
        let returned = at.checked_sub(1).and_then(|b| tokens.get(b)).is_some_and(|t| t == "return");
        is_row && !field && !target && !returned
    })
}

/// Whether an assignment uses what the function declares.
fn uses_variables(body: &[String], assignment: &[String]) -> bool {
    let Some(start) = body.iter().position(|t| t == "declare") else { return false };
    let end = body.iter().position(|t| t == "begin").unwrap_or(body.len());
    let declared = body.get(start + 1..end).unwrap_or(body);
    assignment.iter().any(|t| is_word(t) && t != "new" && t != "old" && declared.contains(t))
}

struct Assignment<'a> {
    /// The column; `None` for the whole row.
    target: Option<&'a str>,
    /// What it is made of.
    tokens: &'a [String],
}

/// The statements that give NEW or a column of it a value.
fn assignments(tokens: &[String]) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    for statement in tokens.split(|t| t == ";") {
        let is = |at: usize, wanted: &str| statement.get(at).is_some_and(|t| t == wanted);
        for at in 0..statement.len() {
            if !is(at, "new") {
                continue;
            }
            let field =
                if is(at + 1, ".") { statement.get(at + 2).map(String::as_str) } else { None };
            let after = if field.is_some() { at + 3 } else { at + 1 };
            let starts =
                at == 0 || ["begin", "then", "else", "loop"].iter().any(|word| is(at - 1, word));
            let assigned = is(after, ":=") || (starts && is(after, "="));
            let into = statement.get(..at).unwrap_or_default().iter().any(|t| t == "into");
            if assigned {
                let tokens = statement.get(after + 1..).unwrap_or_default();
                found.push(Assignment { target: field, tokens });
            } else if into {
                found.push(Assignment { target: field, tokens: statement });
            }
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words in lower case and signs, `:=` as one. Quotes are left out, and what is in strings counts as words: a dynamic
/// statement names columns there.
fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once(' ')) {
        if c.is_alphanumeric() || c == '_' {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        match (c, found.last_mut()) {
            ('=', Some(last)) if last == ":" => last.push('='),
            (c, _) if c.is_whitespace() || matches!(c, '\'' | '"' | '$') => {}
            (c, _) => found.push(c.to_string()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Vec<(Option<String>, String)> {
        let tokens = tokens(text);
        assignments(&tokens)
            .into_iter()
            .map(|a| (a.target.map(str::to_owned), a.tokens.join(" ")))
            .collect()
    }

    #[test]
    fn assignments_to_new_are_found() {
        let own = |target: &str, made: &str| (Some(target.to_owned()), made.to_owned());
        assert_eq!(
            filled("BEGIN NEW.a := lower(NEW.\"B\"); RETURN NEW; END"),
            [own("a", "lower ( new . b )")]
        );
        assert_eq!(filled("BEGIN new.a = now(); RETURN NEW; END"), [own("a", "now ( )")]);
        assert_eq!(
            filled("BEGIN IF NEW.a = 'x' THEN NEW.b = 1; END IF; RETURN NEW; END"),
            [own("b", "1")]
        );
        assert_eq!(filled("BEGIN SELECT c INTO NEW.a FROM t; END").len(), 1);
        assert_eq!(filled("BEGIN NEW := f(NEW); END")[0].0, None);
        assert_eq!(filled("BEGIN IF NEW.a = OLD.a THEN RETURN NULL; END IF; END"), []);
    }

    #[test]
    fn whole_rows_and_variables_are_told_apart() {
        assert!(whole_row(&tokens("NEW.a := to_jsonb(NEW)")));
        assert!(!whole_row(&tokens("NEW.a := NEW.b; RETURN NEW")));
        let body = tokens("DECLARE v text; BEGIN v := NEW.b; NEW.a := v; END");
        assert!(uses_variables(&body, &tokens("v")));
        assert!(!uses_variables(&body, &tokens("now()")));
    }
}
