//! Auditors read. Everything that is not a query, SHOW, SET, a cursor or transaction control is refused.

use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement};
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::results::Response;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use writ_model::sqlstate::REFUSED;

/// Stands before all other hooks.
#[derive(Debug)]
pub(super) struct ReadOnlyHook;

fn refusal() -> PgWireError {
    let text = "the lake is read-only: use SELECT, EXPLAIN, SHOW, SET or a cursor";
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".into(), REFUSED.0.into(), text.into())))
}

fn reads(query: &Query) -> bool {
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    body_reads(&query.body) && tables.into_iter().all(|table| reads(&table.query))
}

fn body_reads(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => reads(query),
        SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
        SetExpr::Values(_) | SetExpr::Table(_) => true,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => false,
    }
}

/// Whether a statement only reads. A statement that is not named here does not.
pub(super) fn is_read_only(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => reads(query),
        Statement::Explain { statement, .. } => is_read_only(statement),
        Statement::Declare { stmts } => {
            stmts.iter().all(|declare| declare.for_query.as_ref().is_none_or(|query| reads(query)))
        }
        Statement::ExplainTable { .. }
        | Statement::Set(_)
        | Statement::Reset(_)
        | Statement::ShowVariable { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::Fetch { .. }
        | Statement::Close { .. }
        | Statement::Discard { .. }
        | Statement::Deallocate { .. }
        | Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => true,
        _ => false,
    }
}

#[async_trait]
impl QueryHook for ReadOnlyHook {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        _context: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        (!is_read_only(statement)).then(|| Err(refusal()))
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _context: &SessionContext,
        _client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        (!is_read_only(statement)).then(|| Err(refusal()))
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        _plan: &LogicalPlan,
        _params: &ParamValues,
        _context: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        (!is_read_only(statement)).then(|| Err(refusal()))
    }
}
