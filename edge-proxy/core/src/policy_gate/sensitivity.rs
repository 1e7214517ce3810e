//! Which columns are sensitive: what people said, what was found, and, where nobody looked yet, what could be.

use std::collections::{BTreeMap, HashMap};

use writ_model::config::{ClassificationSource, ColumnClassification};
use writ_model::{Catalog, ColumnRef, Relation, RelationKind, Tag};
use writ_policy::ColumnSensitivity;

/// The tag of a column that nobody has looked at, in a place where personal data may be.
pub const UNCLASSIFIED: &str = "unclassified";
/// The tag of the server's own columns that hold other people's data, texts or secrets.
pub const SYSTEM_SENSITIVE: &str = "system.sensitive";

/// What is known of each column: a tag, or `None` for one that was looked at and found harmless.
#[derive(Debug, Clone, Default)]
pub struct KnownColumns(HashMap<String, HashMap<String, BTreeMap<String, Option<Tag>>>>);

impl KnownColumns {
    /// Puts together what is known. A person's word wins over what this edge found, and that over what an edge
    /// reported earlier.
    #[must_use]
    pub fn new(configured: &[ColumnClassification], found: &[ColumnClassification]) -> Self {
        let detected = configured.iter().filter(|c| c.source == ClassificationSource::Detected);
        let overrides = configured.iter().filter(|c| c.source == ClassificationSource::Override);
        let mut known = Self::default();
        for entry in detected.chain(found).chain(overrides) {
            let ColumnRef { schema, relation, column } = &entry.column;
            known
                .0
                .entry(schema.clone())
                .or_default()
                .entry(relation.clone())
                .or_default()
                .insert(column.clone(), entry.tag.clone());
        }
        known
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&BTreeMap<String, Option<Tag>>> {
        self.0.get(schema)?.get(name)
    }
}

/// All sensitive columns of a catalog. `is_own` says which relations this session made in its open transaction: what
/// is in them, it put there.
#[must_use]
pub fn sensitive_columns(
    catalog: &Catalog,
    known: &KnownColumns,
    is_own: impl Fn(&Relation) -> bool,
) -> Vec<ColumnSensitivity> {
    let mut found = Vec::new();
    if let Ok(tag) = SYSTEM_SENSITIVE.parse::<Tag>() {
        for (schema, relation, column) in writ_sql::sensitive_system_columns() {
            found.push(sensitivity(schema, relation, column, &tag));
        }
    }
    for relation in catalog.relations() {
        if holds_rows(relation.kind) && !relation.is_system() && !is_temporary(relation) {
            let known = known.relation(&relation.schema, &relation.name);
            // The rows of a foreign table were there before it.
            let own = relation.kind != RelationKind::ForeignTable && is_own(relation);
            if known.is_some() || !own {
                of_relation(relation, known, &mut found);
            }
        }
    }
    found
}

fn holds_rows(kind: RelationKind) -> bool {
    matches!(
        kind,
        RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
    )
}

fn is_temporary(relation: &Relation) -> bool {
    relation.schema.starts_with("pg_temp") || relation.schema.starts_with("pg_toast")
}

fn of_relation(
    relation: &Relation,
    known: Option<&BTreeMap<String, Option<Tag>>>,
    found: &mut Vec<ColumnSensitivity>,
) {
    let unclassified = UNCLASSIFIED.parse::<Tag>().ok();
    let personal = known.is_some_and(|columns| columns.values().any(Option::is_some));
    for column in &relation.columns {
        let entry = known.and_then(|columns| columns.get(&column.name));
        let tag = match entry {
            Some(tag) => tag.clone(),
            // New in a table with personal data: masked until it is classified.
            None if personal => unclassified.clone(),
            // A table that nobody has looked at yet: whatever can hold text may hold anything.
            None if known.is_none() && can_hold_text(column.type_category) => unclassified.clone(),
            None => None,
        };
        if let Some(tag) = tag {
            found.push(sensitivity(&relation.schema, &relation.name, &column.name, &tag));
        }
    }
}

/// Everything but numbers, dates, times, booleans, enums, networks' geometry and bit strings.
fn can_hold_text(category: char) -> bool {
    !matches!(category, 'N' | 'D' | 'T' | 'B' | 'E' | 'G' | 'V')
}

fn sensitivity(schema: &str, relation: &str, column: &str, tag: &Tag) -> ColumnSensitivity {
    ColumnSensitivity {
        column: ColumnRef {
            schema: schema.to_owned(),
            relation: relation.to_owned(),
            column: column.to_owned(),
        },
        tag: tag.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_model::Column;

    fn table(name: &str, columns: &[(&str, char)]) -> Relation {
        Relation {
            oid: 20_000,
            schema: "public".into(),
            name: name.into(),
            kind: RelationKind::Table,
            owner: "app".into(),
            columns: columns
                .iter()
                .enumerate()
                .map(|(at, (name, category))| Column {
                    number: i16::try_from(at + 1).expect("small"),
                    name: (*name).into(),
                    type_name: "text".into(),
                    type_category: *category,
                    not_null: false,
                    generated: false,
                })
                .collect(),
            definition: None,
            parents: vec![],
            has_triggers: false,
            row_security: false,
            row_estimate: 0.0,
        }
    }

    fn entry(
        column: &str,
        tag: Option<&str>,
        source: ClassificationSource,
    ) -> ColumnClassification {
        ColumnClassification {
            column: ColumnRef {
                schema: "public".into(),
                relation: "people".into(),
                column: column.into(),
            },
            tag: tag.map(|t| t.parse().expect("tag")),
            confidence_percent: 90,
            reason: String::new(),
            source,
        }
    }

    fn tags(catalog: &Catalog, known: &KnownColumns, own: bool) -> Vec<(String, String)> {
        sensitive_columns(catalog, known, |_| own)
            .into_iter()
            .filter(|s| s.column.schema == "public")
            .map(|s| (s.column.column, s.tag.to_string()))
            .collect()
    }

    #[test]
    fn new_columns_next_to_personal_data_are_masked() {
        let catalog = Catalog::new(
            150_000,
            vec![table("people", &[("id", 'N'), ("ssn", 'S'), ("fresh", 'N')])],
            vec![],
        );
        let found = [
            entry("id", None, ClassificationSource::Detected),
            entry("ssn", Some("pii.national_id"), ClassificationSource::Detected),
        ];
        let known = KnownColumns::new(&[], &found);
        let expected = vec![
            ("ssn".to_owned(), "pii.national_id".to_owned()),
            ("fresh".to_owned(), "unclassified".to_owned()),
        ];
        assert_eq!(tags(&catalog, &known, false), expected);
    }

    #[test]
    fn a_persons_word_wins() {
        let catalog = Catalog::new(150_000, vec![table("people", &[("ssn", 'S')])], vec![]);
        let found = [entry("ssn", Some("pii.national_id"), ClassificationSource::Detected)];
        let said = [entry("ssn", None, ClassificationSource::Override)];
        assert_eq!(tags(&catalog, &KnownColumns::new(&said, &found), false), vec![]);
    }

    #[test]
    fn an_unseen_table_hides_its_texts_unless_the_session_made_it() {
        let catalog =
            Catalog::new(150_000, vec![table("fresh", &[("id", 'N'), ("t", 'S')])], vec![]);
        let known = KnownColumns::default();
        let expected = vec![("t".to_owned(), "unclassified".to_owned())];
        assert_eq!(tags(&catalog, &known, false), expected);
        assert_eq!(tags(&catalog, &known, true), vec![]);
    }

    #[test]
    fn a_foreign_table_hides_its_texts_even_from_the_session_that_made_it() {
        let foreign = Relation { kind: RelationKind::ForeignTable, ..table("far", &[("t", 'S')]) };
        let catalog = Catalog::new(150_000, vec![foreign], vec![]);
        let expected = vec![("t".to_owned(), "unclassified".to_owned())];
        assert_eq!(tags(&catalog, &KnownColumns::default(), true), expected);
    }
}
