//! Which sensitive columns an actor sees masked, and how.

use std::collections::BTreeMap;

use cedar_policy::{Authorizer, EntityUid};
use writ_model::mask::ColumnMask;
use writ_model::{ColumnMasks, ColumnRef, Denial, MaskKind, PrincipalId, Tag};

use crate::ask::{Answer, Asker};
use crate::compile::{MATCH, Policies, UNMASKED};
use crate::decide::{no_statement, principals};
use crate::entities::{
    ColumnSensitivity, Others, RequestContext, Subject, column_uid, context, entities,
};
use crate::explain::{Refusal, broken, errored};

impl Policies {
    /// The columns that this actor sees masked: what anyone in the chain may not see unmasked. A rule that cannot be
    /// evaluated refuses the whole (C5).
    pub fn masks(
        &self,
        s: &Subject<'_>,
        c: &RequestContext,
        sensitive: &[ColumnSensitivity],
    ) -> Result<ColumnMasks, Denial> {
        self.try_masks(s, c, sensitive).map_err(|(_, denial)| denial)
    }

    fn try_masks(
        &self,
        s: &Subject<'_>,
        c: &RequestContext,
        sensitive: &[ColumnSensitivity],
    ) -> Result<ColumnMasks, Refusal> {
        let mut masks = ColumnMasks::default();
        let principals = principals(s).map_err(|e| broken(&e))?;
        let mut by_tag: BTreeMap<&Tag, Option<Hidden>> = BTreeMap::new();
        for found in rounds(sensitive) {
            let asked = self.columns_to_ask(&found);
            let tables = asked
                .iter()
                .map(|f| (f.column.schema.as_str(), f.column.relation.as_str()))
                .collect();
            let entities =
                entities(s, &tables, &asked, &Others::default()).map_err(|e| broken(&e))?;
            let asker = Asker {
                policies: self,
                entities,
                context: context(s, c, &no_statement(), &[]).map_err(|e| broken(&e))?,
                authorizer: Authorizer::new(),
            };
            for ColumnSensitivity { column, tag } in found {
                let known = by_tag.get(tag).filter(|_| self.masks_by_tag);
                let hidden = match known {
                    Some(hidden) => hidden.clone(),
                    None => {
                        let column = column_uid(s, column).map_err(|e| broken(&e))?;
                        let hidden = hidden(&asker, &principals, &column)?;
                        by_tag.insert(tag, hidden.clone());
                        hidden
                    }
                };
                if let Some(hidden) = hidden {
                    add(&mut masks, column, tag, hidden);
                }
            }
        }
        Ok(masks)
    }

    /// The columns that questions are put about: all, or the first of each tag where no rule can tell them apart.
    fn columns_to_ask(&self, sensitive: &[&ColumnSensitivity]) -> Vec<ColumnSensitivity> {
        if !self.masks_by_tag {
            return sensitive.iter().copied().cloned().collect();
        }
        let mut first: BTreeMap<&Tag, &ColumnSensitivity> = BTreeMap::new();
        for found in sensitive {
            first.entry(&found.tag).or_insert(found);
        }
        first.into_values().cloned().collect()
    }
}

/// A column that has several tags is several resources of one name: each round has every column at most once, in order.
fn rounds(sensitive: &[ColumnSensitivity]) -> Vec<Vec<&ColumnSensitivity>> {
    let mut rounds: Vec<Vec<&ColumnSensitivity>> = Vec::new();
    let mut seen: BTreeMap<&ColumnRef, usize> = BTreeMap::new();
    for found in sensitive {
        let round = seen.entry(&found.column).and_modify(|round| *round += 1).or_insert(0);
        match rounds.get_mut(*round) {
            Some(columns) => columns.push(found),
            None => rounds.push(vec![found]),
        }
    }
    rounds
}

/// A column with several tags hides what each of them hides, and is matched where all of them may be.
fn add(masks: &mut ColumnMasks, column: &ColumnRef, tag: &Tag, hidden: Hidden) {
    let before = masks
        .relation(&column.schema, &column.relation)
        .and_then(|columns| columns.get(&column.column))
        .map(|mask| (mask.kind.clone(), masks.may_match(column)));
    let Hidden { kind, matches } = hidden;
    let (kind, matches) = match before {
        Some((other, matched)) => (other.and(kind), matched && matches),
        None => (kind, matches),
    };
    let mask = ColumnMask { kind, tag: tag.clone() };
    masks.insert(&column.schema, &column.relation, &column.column, mask);
    masks.let_match(column.clone(), matches);
}

/// How a column is hidden.
#[derive(Clone)]
struct Hidden {
    kind: MaskKind,
    /// Whether it may be compared for equality all the same.
    matches: bool,
}

/// `None`: everyone in the chain may see it as it is.
fn hidden(
    asker: &Asker<'_>,
    principals: &[(PrincipalId, EntityUid)],
    column: &EntityUid,
) -> Result<Option<Hidden>, Refusal> {
    let Some(kind) = mask_kind(asker, principals, column)? else { return Ok(None) };
    let mut matches = asker.policies.permits_match;
    for (_, principal) in principals {
        if !matches {
            break;
        }
        match asker.ask(principal, MATCH, column) {
            Answer::Yes(_) => {}
            Answer::No(_) => matches = false,
            Answer::Broken(rule, error) => return Err(errored(rule, &error)),
        }
    }
    Ok(Some(Hidden { kind, matches }))
}

/// A mask that hides what every refusal asks for; `None` where nobody is refused.
fn mask_kind(
    asker: &Asker<'_>,
    principals: &[(PrincipalId, EntityUid)],
    column: &EntityUid,
) -> Result<Option<MaskKind>, Refusal> {
    let mut strongest: Option<MaskKind> = None;
    for (_, principal) in principals {
        match asker.ask(principal, UNMASKED, column) {
            Answer::Yes(_) => {}
            Answer::No(rules) => {
                let kinds = rules.iter().map(|r| r.mask.clone());
                let kind = kinds.reduce(MaskKind::and).unwrap_or(MaskKind::Redact);
                strongest = Some(match strongest {
                    Some(other) => other.and(kind),
                    None => kind,
                });
            }
            Answer::Broken(rule, error) => return Err(errored(rule, &error)),
        }
    }
    Ok(strongest)
}
