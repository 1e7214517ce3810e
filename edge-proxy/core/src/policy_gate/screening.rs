//! Which results are screened: those with columns that hold text, are not masked, and that nobody can vouch for.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::{ColumnRef, Relation, StatementFacts, Timestamp};
use writ_policy::ColumnSensitivity;

use super::PolicyGate;
use super::sensitivity::is_screened;
use crate::screen::{Detect, Screen};

impl PolicyGate {
    /// What the results of a statement with these facts are screened for.
    pub(super) fn screen(&self, facts: &StatementFacts, now: Timestamp) -> Option<Screen> {
        let detect = self.detect.as_deref()?;
        let mut tables: BTreeMap<u32, BTreeSet<i16>> = BTreeMap::new();
        let mut columns = Vec::new();
        for read in &facts.reads {
            let Some(relation) = self.catalog().relation(&read.schema, &read.name) else {
                continue;
            };
            if relation.definition.is_some() || relation.is_system() {
                // Its columns are those of the tables below it, which are listed too.
                continue;
            }
            let screened = tables.entry(relation.oid).or_default();
            for column in relation.columns.iter().filter(|c| read.columns.contains(&c.name)) {
                let name = column_ref(relation, &column.name);
                if self.sensitive().tag(&name).is_none()
                    && is_screened(relation, column, &self.state.known)
                {
                    screened.insert(column.number);
                    columns.push(name);
                }
            }
        }
        if columns.is_empty() {
            return None;
        }
        let hidden = self.hidden(&columns, detect, now);
        (!hidden.is_empty()).then_some(Screen { tables, hidden })
    }

    /// The tags that would be masked in one of these columns.
    fn hidden(
        &self,
        columns: &[ColumnRef],
        detect: &dyn Detect,
        now: Timestamp,
    ) -> BTreeSet<usize> {
        let ask = || {
            let subject = self.state.subject(&self.actor);
            let context = self.key.context(now, self.usage(now));
            let masked = |tag: &writ_model::Tag| {
                let all: Vec<ColumnSensitivity> = columns
                    .iter()
                    .map(|column| ColumnSensitivity { column: column.clone(), tag: tag.clone() })
                    .collect();
                let masks = self.state.policies.masks(&subject, &context, &all);
                // C5: a rule that cannot be evaluated hides.
                masks.map_or(true, |masks| !masks.is_empty())
            };
            let tags = detect.tags().iter().enumerate();
            tags.filter(|(_, tag)| masked(tag)).map(|(at, _)| at).collect()
        };
        if self.state.policies.masks_by_tag() {
            self.scope.hidden.get_or_init(ask).clone()
        } else {
            ask()
        }
    }
}

fn column_ref(relation: &Relation, column: &str) -> ColumnRef {
    ColumnRef {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        column: column.to_owned(),
    }
}
