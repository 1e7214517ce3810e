//! The model's nouns as Cedar entities and context.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};
use writ_model::{
    Actor, ColumnRef, Epoch, Principal, PrincipalKind, RelationUse, StatementFacts, Tag, Timestamp,
    Usage,
};

/// Who asks, and of which database.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The principal and everyone it acts for.
    pub actor: &'a Actor,
    /// The target.
    pub database: &'a writ_model::config::Database,
    /// The epoch that all of this comes from (E5).
    pub epoch: Epoch,
}

/// When, from where, with what program.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The time of the question.
    pub now: Timestamp,
    /// The client's address, where it has one.
    pub client_address: Option<IpAddr>,
    /// The client's `application_name`; a claim, not a proof.
    pub application_name: String,
    /// What the connected principal took in the last hour.
    pub usage: Usage,
    /// The rows that the planner expects, where it was asked.
    pub rows_expected: Option<u64>,
}

/// A column that a classification found sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSensitivity {
    /// Which column.
    pub column: ColumnRef,
    /// What it holds.
    pub tag: Tag,
}

/// A question could not be put; the answer is no (C5).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BuildError(pub(crate) String);

impl BuildError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

pub(crate) fn uid(kind: &str, id: &str) -> Result<EntityUid, BuildError> {
    let kind = EntityTypeName::from_str(kind).map_err(BuildError::of)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// Joins names so that no two paths share an id, whatever characters the names hold.
fn path(parts: &[&str]) -> String {
    let escaped: Vec<String> =
        parts.iter().map(|p| p.replace('%', "%25").replace('/', "%2F")).collect();
    escaped.join("/")
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.into_iter().map(|v| text(v.as_ref())))
}

pub(crate) fn principal_uid(principal: &Principal) -> Result<EntityUid, BuildError> {
    let kind = match principal.id.kind() {
        PrincipalKind::User => "User",
        PrincipalKind::Service => "Service",
        PrincipalKind::Agent => "Agent",
    };
    uid(kind, principal.id.name())
}

pub(crate) fn database_uid(s: &Subject<'_>) -> Result<EntityUid, BuildError> {
    uid("Database", s.database.name.as_str())
}

pub(crate) fn table_uid(
    s: &Subject<'_>,
    schema: &str,
    name: &str,
) -> Result<EntityUid, BuildError> {
    uid("Table", &path(&[s.database.name.as_str(), schema, name]))
}

pub(crate) fn column_uid(s: &Subject<'_>, c: &ColumnRef) -> Result<EntityUid, BuildError> {
    uid("Column", &path(&[s.database.name.as_str(), &c.schema, &c.relation, &c.column]))
}

pub(crate) fn schema_uid(s: &Subject<'_>, schema: &str) -> Result<EntityUid, BuildError> {
    uid("Schema", &path(&[s.database.name.as_str(), schema]))
}

pub(crate) fn function_uid(s: &Subject<'_>, f: &Called) -> Result<EntityUid, BuildError> {
    uid("Function", &path(&[s.database.name.as_str(), &f.schema, &f.name]))
}

/// A function that a statement calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) trusted: bool,
}

fn entity(
    id: EntityUid,
    attributes: Vec<(&str, RestrictedExpression)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, BuildError> {
    let attributes = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Entity::new(id, attributes, parents).map_err(BuildError::of)
}

fn principal_entity(principal: &Principal) -> Result<Entity, BuildError> {
    let parents = principal
        .groups
        .iter()
        .map(|group| uid("Group", group.as_str()))
        .collect::<Result<HashSet<_>, _>>()?;
    let mut attributes = vec![
        ("groups", texts(principal.groups.iter().map(|g| g.as_str()))),
        ("name", text(principal.id.name())),
    ];
    if principal.id.kind() == PrincipalKind::Agent {
        attributes
            .push(("onBehalfOf", texts(principal.on_behalf_of.iter().map(|p| p.to_string()))));
    }
    entity(principal_uid(principal)?, attributes, parents)
}

/// What a question can reach beside tables and columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Others<'a> {
    pub(crate) schemas: &'a [&'a str],
    pub(crate) functions: &'a [Called],
}

/// Everything a question can reach: the chain, the database, and the named tables and columns.
pub(crate) fn entities(
    s: &Subject<'_>,
    tables: &BTreeSet<(&str, &str)>,
    columns: &[ColumnSensitivity],
    others: &Others<'_>,
) -> Result<Entities, BuildError> {
    let database = s.database;
    let mut all = vec![principal_entity(&s.actor.principal)?];
    let mut seen = HashSet::from([s.actor.principal.id.clone()]);
    for principal in &s.actor.chain {
        if seen.insert(principal.id.clone()) {
            all.push(principal_entity(principal)?);
        }
    }
    let environment = uid("Environment", database.environment.as_str())?;
    let attributes: HashMap<String, RestrictedExpression> = [
        ("name".to_owned(), text(database.name.as_str())),
        ("environment".to_owned(), text(database.environment.as_str())),
        ("owner".to_owned(), text(&database.owner)),
    ]
    .into();
    let tags: Vec<(String, RestrictedExpression)> =
        database.tags.iter().map(|(k, v)| (k.clone(), text(v))).collect();
    all.push(
        Entity::new_with_tags(database_uid(s)?, attributes, [environment], tags)
            .map_err(BuildError::of)?,
    );
    let of_functions = others.functions.iter().map(|f| f.schema.as_str());
    let schemas = tables.iter().map(|(schema, _)| *schema).chain(of_functions);
    for schema in schemas.chain(others.schemas.iter().copied()).collect::<BTreeSet<_>>() {
        let id = schema_uid(s, schema)?;
        all.push(entity(id, vec![("name", text(schema))], [database_uid(s)?].into())?);
    }
    for (schema, name) in tables {
        let parent = schema_uid(s, schema)?;
        let attributes = vec![("name", text(name)), ("schema", text(schema))];
        all.push(entity(table_uid(s, schema, name)?, attributes, [parent].into())?);
    }
    for function in others.functions {
        let attributes = vec![
            ("name", text(&function.name)),
            ("schema", text(&function.schema)),
            ("trusted", RestrictedExpression::new_bool(function.trusted)),
        ];
        let parent = schema_uid(s, &function.schema)?;
        all.push(entity(function_uid(s, function)?, attributes, [parent].into())?);
    }
    for ColumnSensitivity { column, tag } in columns {
        let parent = table_uid(s, &column.schema, &column.relation)?;
        let attributes = vec![("name", text(&column.column)), ("tag", text(tag.as_str()))];
        all.push(entity(column_uid(s, column)?, attributes, [parent].into())?);
    }
    Entities::from_entities(all, None).map_err(BuildError::of)
}

/// The context of a question; `facts` is empty where there is no statement.
pub(crate) fn context(
    s: &Subject<'_>,
    c: &RequestContext,
    facts: &StatementFacts,
    sensitive: &[ColumnSensitivity],
) -> Result<Context, BuildError> {
    let is_agent = s.actor.principal.id.kind() == PrincipalKind::Agent;
    let depth = i64::try_from(s.actor.chain.len()).map_err(BuildError::of)?;
    let delegation = RestrictedExpression::new_record([
        ("isAgent".to_owned(), RestrictedExpression::new_bool(is_agent)),
        ("chain".to_owned(), texts(s.actor.chain_ids().map(ToString::to_string))),
        ("depth".to_owned(), RestrictedExpression::new_long(depth)),
    ])
    .map_err(BuildError::of)?;
    let uses = || facts.reads.iter().chain(&facts.writes);
    let used = |c: &ColumnRef| {
        uses()
            .any(|r| r.schema == c.schema && r.name == c.relation && r.columns.contains(&c.column))
    };
    let tags: BTreeSet<&str> =
        sensitive.iter().filter(|f| used(&f.column)).map(|f| f.tag.as_str()).collect();
    let columns = |r: &RelationUse| {
        let table = format!("{}.{}", r.schema, r.name);
        r.columns.iter().map(|c| format!("{table}.{c}")).collect::<Vec<_>>()
    };
    let mut pairs = vec![
        ("now", RestrictedExpression::new_long(c.now.seconds())),
        ("hour", RestrictedExpression::new_long(hour(c.now))),
        ("weekday", RestrictedExpression::new_long(weekday(c.now))),
        ("rows_last_hour", count(c.usage.rows)),
        ("bytes_last_hour", count(c.usage.bytes)),
        ("environment", text(s.database.environment.as_str())),
        ("database", text(s.database.name.as_str())),
        ("application", text(&c.application_name)),
        ("delegation", delegation),
        ("kinds", texts(facts.kinds.iter().map(|k| k.as_str()))),
        ("statements", RestrictedExpression::new_long(i64::from(facts.statements))),
        ("bounded", RestrictedExpression::new_bool(facts.bounded)),
        ("opaque", texts(facts.opaque.iter().map(|o| o.as_str()))),
        ("opaqueDetails", texts(facts.opaque.iter().map(|o| o.detail()))),
        ("functions", texts(&facts.functions)),
        ("defines", texts(&facts.defines)),
        ("objects", texts(&facts.object_kinds)),
        ("schemas", texts(uses().map(|r| r.schema.as_str()).collect::<BTreeSet<_>>())),
        ("columns", texts(uses().flat_map(columns))),
        ("tags", texts(tags)),
    ];
    if let Some(address) = c.client_address {
        pairs.push(("client", RestrictedExpression::new_ip(address.to_string())));
    }
    if let Some(rows) = c.rows_expected {
        pairs.push(("rows_expected", count(rows)));
    }
    Context::from_pairs(pairs.into_iter().map(|(k, v)| (k.to_owned(), v))).map_err(BuildError::of)
}

/// A count as Cedar's only number; one beyond it is as large as that can be.
fn count(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// 0 to 23, UTC.
fn hour(now: Timestamp) -> i64 {
    now.seconds().rem_euclid(DAY_SECONDS) / HOUR_SECONDS
}

/// 1 is Monday; UTC.
fn weekday(now: Timestamp) -> i64 {
    // 1970-01-01 was a Thursday.
    (now.seconds().div_euclid(DAY_SECONDS) + 3).rem_euclid(7) + 1
}
