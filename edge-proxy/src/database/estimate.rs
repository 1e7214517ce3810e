//! What the database's planner expects of a statement, without running it.

use std::time::Duration;

use serde::Deserialize;

use super::{ReadFailure, ask, only_text, open, quoted};
use crate::upstream::{ConnectLimits, Parameters, Row, Target};

/// The server's own bound on planning.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the whole estimate may take, connecting included.
const ESTIMATE_WAIT_MAX: Duration = Duration::from_secs(3);

/// The most parameters that a Bind message has room for.
const PARAMETERS_MAX: u32 = 65_535;

/// One statement to estimate.
#[derive(Debug, Clone, Copy)]
pub struct EstimateRequest<'a> {
    /// The session's schemas in the order of look-up, as `current_schemas(true)` says.
    pub search_path: &'a [String],
    /// The role that plans, which may run functions; `None`: the one that the edge logs in with.
    pub role: Option<&'a str>,
    /// The statement: exactly one.
    pub sql: &'a str,
    /// Its parameters; the default where it has none.
    pub parameters: Parameters<'a>,
}

/// How many rows the planner expects `sql` to touch; `bind_tail` as in [`Parameters::bind_tail`].
pub async fn estimate_rows(
    target: impl Into<Target<'_>>,
    role: Option<&str>,
    search_path: &[String],
    sql: &str,
    bind_tail: Option<&[u8]>,
) -> Option<f64> {
    let parameters = Parameters { types: &[], bind_tail: bind_tail.unwrap_or_default() };
    estimate(target, EstimateRequest { search_path, role, sql, parameters }).await
}

/// How many rows the planner expects a statement to change, or to yield where it changes none.
///
/// `None` where the planner does not know within the time, such as for DDL, or for a session's temporary tables.
pub async fn estimate(target: impl Into<Target<'_>>, request: EstimateRequest<'_>) -> Option<f64> {
    let target = target.into();
    let answer = tokio::time::timeout(ESTIMATE_WAIT_MAX, explain(target, request)).await;
    match answer {
        Ok(Ok(rows)) => Some(rows),
        Ok(Err(error)) => {
            tracing::debug!(database = target.database.name.as_str(), %error, "no row estimate");
            None
        }
        Err(_) => None,
    }
}

/// How many rows the planner expects of `sql`; with a generic plan where it has parameters, whose values are not known.
pub async fn expected_rows(
    target: impl Into<Target<'_>>,
    role: Option<&str>,
    search_path: &[String],
    sql: &str,
    parameters: u32,
) -> Option<u64> {
    let target = target.into();
    let request = EstimateRequest { search_path, role, sql, parameters: Parameters::default() };
    let rows = match parameters {
        0 => estimate(target, request).await,
        // More than a Bind message has room for: nobody will ever execute it.
        count if count > PARAMETERS_MAX => None,
        count => {
            let work = explain_generic(target, request, count);
            tokio::time::timeout(ESTIMATE_WAIT_MAX, work).await.ok()?.ok()
        }
    };
    // The planner's numbers are whole, and never below zero.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    rows.map(|rows| rows as u64)
}

async fn explain_generic(
    target: Target<'_>,
    request: EstimateRequest<'_>,
    count: u32,
) -> Result<f64, ReadFailure> {
    let limits = ConnectLimits { connect: ESTIMATE_WAIT_MAX };
    let mut upstream = open(target, &limits, STATEMENT_TIMEOUT).await?;
    let path = begin_as(request);
    let generic = "SET LOCAL plan_cache_mode = force_generic_plan";
    ask(&mut upstream, &format!("BEGIN READ ONLY; {path}; {generic}")).await?;
    // As an extended query, so that a second statement would be refused and not run.
    let prepare = format!("PREPARE writ_estimate AS {}", request.sql);
    upstream.query_with(&prepare, Parameters::default()).await?;
    let nulls = vec!["NULL"; usize::try_from(count).unwrap_or(usize::MAX)].join(", ");
    let rows =
        ask(&mut upstream, &format!("EXPLAIN (FORMAT JSON) EXECUTE writ_estimate ({nulls})")).await;
    upstream.close().await;
    planned_rows(rows?)
}

async fn explain(target: Target<'_>, request: EstimateRequest<'_>) -> Result<f64, ReadFailure> {
    let limits = ConnectLimits { connect: ESTIMATE_WAIT_MAX };
    let mut upstream = open(target, &limits, STATEMENT_TIMEOUT).await?;
    ask(&mut upstream, &format!("BEGIN READ ONLY; {}", begin_as(request))).await?;
    // Always as an extended query: PostgreSQL then refuses a second statement, which would not be explained but run.
    let sql = format!("EXPLAIN (FORMAT JSON) {}", request.sql);
    let rows = upstream.query_with(&sql, request.parameters).await;
    upstream.close().await;
    planned_rows(rows?)
}

fn planned_rows(rows: Vec<Row>) -> Result<f64, ReadFailure> {
    let json = only_text(rows)?;
    let explained: Vec<Explained> = serde_json::from_str(&json).map_err(|_| ReadFailure::Shape)?;
    let plan = &explained.first().ok_or(ReadFailure::Shape)?.plan;
    Ok(plan.changed_rows().unwrap_or(plan.rows))
}

/// What makes names mean what they mean to the session; and its role, so that planning runs nothing as another.
fn begin_as(request: EstimateRequest<'_>) -> String {
    let path = set_search_path(request.search_path);
    match request.role {
        Some(role) => format!("{path}; SET LOCAL ROLE {}", quoted(role)),
        None => path,
    }
}

/// Another session's temporary schema means nothing here: it is left out.
fn set_search_path(schemas: &[String]) -> String {
    let schemas = schemas.iter().filter(|schema| !schema.starts_with("pg_temp"));
    let mut list: Vec<String> = schemas.map(|schema| quoted(schema)).collect();
    if list.is_empty() {
        list.push("pg_catalog".to_owned());
    }
    format!("SET LOCAL search_path = {}", list.join(", "))
}

#[derive(Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Plan,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(rename = "Node Type")]
    node: String,
    #[serde(rename = "Parent Relationship", default)]
    relationship: String,
    #[serde(rename = "Plan Rows")]
    rows: f64,
    #[serde(rename = "Plans", default)]
    children: Vec<Plan>,
}

impl Plan {
    /// The rows that reach every ModifyTable of the plan, those in WITH included; `None` where nothing is changed.
    fn changed_rows(&self) -> Option<f64> {
        let below = self.children.iter().filter_map(Self::changed_rows);
        let here = (self.node == "ModifyTable").then(|| {
            let feeds = self.children.iter();
            let feeds =
                feeds.filter(|child| matches!(child.relationship.as_str(), "Outer" | "Member"));
            feeds.map(|child| child.rows).sum::<f64>()
        });
        below.chain(here).reduce(|a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(json: &str) -> Option<f64> {
        let explained: Vec<Explained> = serde_json::from_str(json).expect("a plan");
        explained.first().and_then(|explained| explained.plan.changed_rows())
    }

    #[test]
    fn changes_count_wherever_they_are_in_the_plan() {
        let reads = r#"[{"Plan":{"Node Type":"Seq Scan","Plan Rows":7}}]"#;
        assert_eq!(rows(reads), None);
        let with = r#"[{"Plan":{"Node Type":"CTE Scan","Plan Rows":3,"Plans":[
            {"Node Type":"ModifyTable","Parent Relationship":"InitPlan","Plan Rows":3,"Plans":[
              {"Node Type":"Seq Scan","Parent Relationship":"Outer","Plan Rows":40},
              {"Node Type":"Seq Scan","Parent Relationship":"InitPlan","Plan Rows":999}]}]}}]"#;
        assert_eq!(rows(with), Some(40.0));
    }

    #[test]
    fn schemas_are_quoted_and_others_temporary_ones_left_out() {
        let path = ["pg_temp_3", "pg_catalog", "a\"; DROP"].map(str::to_owned);
        let set = set_search_path(&path);
        assert_eq!(set, r#"SET LOCAL search_path = "pg_catalog", "a""; DROP""#);
        assert_eq!(set_search_path(&[]), "SET LOCAL search_path = pg_catalog");
    }
}
