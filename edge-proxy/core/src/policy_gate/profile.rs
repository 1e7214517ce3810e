//! A ruling put together: the record's constant part and what an approver sees.

use sha2::{Digest, Sha256};
use writ_audit::record::{self, ColumnUse, DecisionKind, OpaquePart, TextValue};
use writ_audit::{EncodedStatement, StatementProfile};
use writ_model::sqlstate::SqlState;
use writ_model::{
    ColumnMasks, ColumnRef, Decision, RelationUse, StatementFacts, StatementKind, Verdict,
};

use super::state::Sensitive;
use crate::gate::{Ruling, TouchedColumn, is_label_only};

/// The longest text that is recorded as it was, in bytes; of a longer one its digest is.
const RECORDED_TEXT_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn ruling(
    text: &[u8],
    facts: StatementFacts,
    decision: Decision,
    sqlstate: SqlState,
    rewritten: Option<Box<[u8]>>,
    masks: &ColumnMasks,
    sensitive: &Sensitive,
) -> Ruling {
    let masked = rewritten.is_some() && !is_label_only(&facts);
    let mut profile = StatementProfile {
        text: recorded_text(text, &facts),
        kinds: facts.kinds.iter().copied().collect(),
        reads: uses(&facts.reads, masks, sensitive),
        writes: uses(&facts.writes, masks, sensitive),
        functions: facts.functions.iter().cloned().collect(),
        opaque: facts.opaque.iter().map(opaque_part).collect(),
        decision: kind(&decision, masked),
        rules: decision.rules.clone(),
        reason: reason(&decision),
        epoch: decision.epoch,
        masked_columns: vec![],
        rewritten: rewritten.is_some(),
    };
    if masked {
        profile.masked_columns = masked_columns(&profile.reads);
    }
    let touched = touched(&profile);
    let redact_binds = touched.iter().any(|c| !c.tag.is_empty());
    Ruling {
        text: text.into(),
        profile: EncodedStatement::from(&profile),
        facts: std::sync::Arc::new(facts),
        decision: std::sync::Arc::new(decision),
        sqlstate,
        rewritten,
        touched: touched.into(),
        redact_binds,
        screen: None,
        estimated: false,
        expected: None,
    }
}

/// The text as the record keeps it. One that sets a password is not kept.
fn recorded_text(text: &[u8], facts: &StatementFacts) -> TextValue {
    let sets_secret = facts
        .kinds
        .iter()
        .any(|k| matches!(k, StatementKind::Role | StatementKind::Server | StatementKind::Unknown));
    let lower = text.to_ascii_lowercase();
    if sets_secret && lower.windows(8).any(|w| w == b"password") {
        return TextValue::Redacted;
    }
    if text.len() > RECORDED_TEXT_BYTES_MAX {
        return TextValue::Digest {
            sha256: Sha256::digest(text).into(),
            length: text.len() as u64,
        };
    }
    TextValue::Clear(String::from_utf8_lossy(text).into_owned())
}

fn uses<'a>(
    relations: impl IntoIterator<Item = &'a RelationUse>,
    masks: &ColumnMasks,
    sensitive: &Sensitive,
) -> Vec<record::RelationUse> {
    relations
        .into_iter()
        .map(|relation| {
            let masked = masks.relation(&relation.schema, &relation.name);
            let columns = relation
                .columns
                .iter()
                .map(|column| ColumnUse {
                    name: column.clone(),
                    tag: sensitive.tag(&column_ref(relation, column)).cloned(),
                    masked: masked.is_some_and(|columns| columns.contains_key(column)),
                })
                .collect();
            record::RelationUse {
                schema: relation.schema.clone(),
                relation: relation.name.clone(),
                columns,
            }
        })
        .collect()
}

fn column_ref(relation: &RelationUse, column: &str) -> ColumnRef {
    ColumnRef {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        column: column.to_owned(),
    }
}

fn masked_columns(reads: &[record::RelationUse]) -> Vec<String> {
    let name =
        |r: &record::RelationUse, c: &ColumnUse| format!("{}.{}.{}", r.schema, r.relation, c.name);
    reads
        .iter()
        .flat_map(|r| r.columns.iter().filter(|c| c.masked).map(move |c| name(r, c)))
        .collect()
}

fn opaque_part(reason: &writ_model::OpaqueReason) -> OpaquePart {
    OpaquePart { reason: reason.as_str().to_owned(), detail: reason.detail().to_owned() }
}

fn kind(decision: &Decision, rewritten: bool) -> DecisionKind {
    match decision.verdict {
        Verdict::Allow if rewritten => DecisionKind::Mask,
        Verdict::Allow => DecisionKind::Allow,
        Verdict::Hold(_) => DecisionKind::Hold,
        Verdict::Deny(_) => DecisionKind::Deny,
    }
}

fn reason(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Allow => String::new(),
        Verdict::Hold(terms) => terms.reason.clone(),
        Verdict::Deny(denial) => denial.reason.clone(),
    }
}

fn touched(profile: &StatementProfile) -> Vec<TouchedColumn> {
    let side = |relations: &[record::RelationUse], written: bool| {
        relations
            .iter()
            .flat_map(|r| {
                r.columns.iter().map(move |c| TouchedColumn {
                    schema: r.schema.clone(),
                    relation: r.relation.clone(),
                    column: c.name.clone(),
                    tag: c.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
                    written,
                })
            })
            .collect::<Vec<_>>()
    };
    let mut all = side(&profile.writes, true);
    all.extend(side(&profile.reads, false));
    all
}
