//! Which columns are sensitive: what people said, what was found, and, where nobody looked yet, what could be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use writ_model::config::{ClassificationSource, ColumnClassification};
use writ_model::lineage::SourceColumn;
use writ_model::{Catalog, Column, ColumnRef, Relation, RelationKind, Tag};
use writ_policy::ColumnSensitivity;

/// The tag of a column that nobody has looked at, in a place where personal data may be.
pub const UNCLASSIFIED: &str = "unclassified";
/// The tag of the server's own columns that hold other people's data, texts or secrets.
pub const SYSTEM_SENSITIVE: &str = "system.sensitive";

/// A column that was found harmless with less confidence than this is screened: its next values may be others.
const SURE_PERCENT: u8 = 70;

/// What is known of each column: a tag, or `None` for one that was looked at and found harmless.
#[derive(Debug, Clone, Default)]
pub struct KnownColumns {
    tags: HashMap<String, HashMap<String, BTreeMap<String, Option<Tag>>>>,
    /// Columns that a person said are harmless.
    cleared: HashSet<ColumnRef>,
    /// Columns in which nothing was found, and for which that says little: prose, and what could be anything.
    doubtful: HashSet<ColumnRef>,
}

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
            if entry.source == ClassificationSource::Override && entry.tag.is_none() {
                known.cleared.insert(entry.column.clone());
            }
            if entry.tag.is_none() && entry.confidence_percent < SURE_PERCENT {
                known.doubtful.insert(entry.column.clone());
            } else {
                known.doubtful.remove(&entry.column);
            }
            known
                .tags
                .entry(schema.clone())
                .or_default()
                .entry(relation.clone())
                .or_default()
                .insert(column.clone(), entry.tag.clone());
        }
        known
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&BTreeMap<String, Option<Tag>>> {
        self.tags.get(schema)?.get(name)
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
    with_copies(catalog, known, found)
}

/// Adds the columns that are made of sensitive ones, under the tags of those, unless a person said otherwise.
fn with_copies(
    catalog: &Catalog,
    known: &KnownColumns,
    found: Vec<ColumnSensitivity>,
) -> Vec<ColumnSensitivity> {
    let pairs = writ_sql::derived_columns(catalog);
    if pairs.is_empty() {
        return found;
    }
    let mut tags: HashMap<SourceColumn, BTreeSet<Tag>> = HashMap::new();
    for ColumnSensitivity { column, tag } in &found {
        if let Some(at) = place_of(catalog, column) {
            tags.entry(at).or_default().insert(tag.clone());
        }
    }
    let mut more = Vec::new();
    loop {
        let before = more.len();
        for pair in &pairs {
            let Some(column) = name_of(catalog, pair.column) else { continue };
            if known.cleared.contains(&column) {
                continue;
            }
            for tag in tags.get(&pair.from).cloned().unwrap_or_default() {
                if tags.entry(pair.column).or_default().insert(tag.clone()) {
                    more.push(ColumnSensitivity { column: column.clone(), tag });
                }
            }
        }
        if more.len() == before {
            break;
        }
    }
    // A column that has a tag of its own is recorded with that one: the last of a column counts.
    more.extend(found);
    more
}

/// Whether values of a column that is not sensitive have to be looked through as they pass.
pub(super) fn is_screened(relation: &Relation, column: &Column, known: &KnownColumns) -> bool {
    let of_relation = known.relation(&relation.schema, &relation.name);
    // What is in a table of the session's own it put there itself.
    let Some(columns) = of_relation.filter(|_| holds_rows(relation.kind)) else { return false };
    let name = ColumnRef {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        column: column.name.clone(),
    };
    let doubtful = !columns.contains_key(&column.name) || known.doubtful.contains(&name);
    doubtful && can_hold_text(column.type_category) && !known.cleared.contains(&name)
}

fn place_of(catalog: &Catalog, column: &ColumnRef) -> Option<SourceColumn> {
    let relation = catalog.relation(&column.schema, &column.relation)?;
    let column = relation.column(&column.column)?.number;
    Some(SourceColumn { relation: relation.oid, column })
}

fn name_of(catalog: &Catalog, at: SourceColumn) -> Option<ColumnRef> {
    let relation = catalog.relation_by_oid(at.relation)?;
    let column = relation.columns.iter().find(|c| c.number == at.column)?;
    Some(ColumnRef {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        column: column.name.clone(),
    })
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
    use writ_model::behind::{Behind, Dependence};

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
    fn a_copy_of_a_sensitive_column_has_its_tag() {
        let pair = |column, source_column| Dependence {
            relation: 20_000,
            column,
            source: 20_000,
            source_column,
        };
        let columns = [("id", 'N'), ("ssn", 'S'), ("hash", 'N'), ("again", 'N'), ("double", 'N')];
        let behind = Behind {
            dependences: vec![pair(3, 2), pair(4, 3), pair(5, 1), pair(0, 2)],
            ..Behind::default()
        };
        let catalog =
            Catalog::new(150_000, vec![table("people", &columns)], vec![]).with_behind(behind);
        let mut found: Vec<_> =
            columns.iter().map(|(c, _)| entry(c, None, ClassificationSource::Detected)).collect();
        found[1].tag = "pii.national_id".parse().ok();
        let tagged = |known: &KnownColumns| {
            let tagged = tags(&catalog, known, false).into_iter();
            tagged.map(|(column, tag)| format!("{column} {tag}")).collect::<BTreeSet<_>>()
        };
        let expected = ["again", "hash", "ssn"].map(|c| format!("{c} pii.national_id"));
        assert_eq!(tagged(&KnownColumns::new(&[], &found)), expected.into());
        // A person's word ends it there and behind.
        let said = [entry("hash", None, ClassificationSource::Override)];
        let expected = ["ssn pii.national_id".to_owned()];
        assert_eq!(tagged(&KnownColumns::new(&said, &found)), expected.into());
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
