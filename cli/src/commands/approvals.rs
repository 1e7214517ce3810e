//! `writ approvals`: see who wants to do what to which data, and let it go on or not.

use serde_json::{Value, json};
use tokio_stream::StreamExt;
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::Approvals;
use crate::client::{self, Admin};
use crate::failure::{Answer, Result};
use crate::output::{Format, distance, moment, now_micros, object, rows, sentence};
use crate::settings::Settings;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Approvals) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    match command {
        Approvals::List { all } => list(settings, &mut admin, all).await,
        Approvals::Show { id } => show(settings, &mut admin, id).await,
        Approvals::Approve { id, reason } => vote(settings, &mut admin, id, true, reason).await,
        Approvals::Deny { id, reason } => vote(settings, &mut admin, id, false, reason).await,
        Approvals::Revoke { id, reason } => {
            let revoke = v1::RevokeApproval { id: id.clone(), reason };
            client::submit(&mut admin, Command::RevokeApproval(revoke)).await?;
            say(settings, &mut admin, id).await
        }
        Approvals::Watch => watch(settings, &mut admin).await,
    }
}

async fn list(settings: &Settings, admin: &mut Admin, all: bool) -> Result<Answer> {
    let reply = admin.list_approvals(v1::ListApprovalsRequest { all }).await?.into_inner();
    let now = now_micros();
    let list: Vec<Value> = reply.approvals.into_iter().map(|a| row(a, now)).collect();
    let columns = [
        ("REQUEST", "id"),
        ("STATUS", "status"),
        ("WHO", "who"),
        ("DATABASE", "database"),
        ("STATEMENT", "statement"),
        ("ROWS", "rows_estimate"),
        ("DEADLINE", "deadline"),
    ];
    rows(settings.format, &columns, &list, "nothing waits for a decision");
    Ok(Answer::Done)
}

async fn show(settings: &Settings, admin: &mut Admin, id: String) -> Result<Answer> {
    let approval = admin.show_approval(v1::ShowApprovalRequest { id }).await?.into_inner();
    let mut value = row(approval, now_micros());
    if settings.format == Format::Table {
        value["columns"] =
            value["columns"].as_array().into_iter().flatten().map(column_line).collect();
        value["votes"] = value["votes"].as_array().into_iter().flatten().map(vote_line).collect();
        join(&mut value, "columns");
        join(&mut value, "votes");
    }
    let fields = [
        ("Request", "id"),
        ("Status", "status"),
        ("Why it ended", "ended_reason"),
        ("Who", "who"),
        ("From", "from"),
        ("Database", "database"),
        ("Environment", "environment"),
        ("Owner", "owner"),
        ("Statement", "statement"),
        ("Bind values", "bind"),
        ("Does", "kinds"),
        ("Columns", "columns"),
        ("Rows, planned", "rows_estimate"),
        ("Why it is held", "reason"),
        ("Rules", "rules"),
        ("May approve", "approvers"),
        ("Takes", "quorum"),
        ("Votes", "votes"),
        ("Asked", "requested_at"),
        ("Deadline", "deadline"),
    ];
    object(settings.format, &fields, &value);
    Ok(Answer::Done)
}

fn join(value: &mut Value, key: &str) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let lines: Vec<String> = value[key].as_array().into_iter().flatten().map(text).collect();
    value[key] = json!(lines.join("\n"));
}

fn column_line(column: &Value) -> Value {
    let word = |key: &str| column[key].as_str().unwrap_or_default();
    let how = if column["written"] == json!(true) { "written" } else { "read" };
    json!(format!("{}  {}, {how}", word("column"), word("holds")))
}

fn vote_line(vote: &Value) -> Value {
    let word = |key: &str| vote[key].as_str().unwrap_or_default();
    json!(
        format!("{} {} {} {}", word("at"), word("approver"), word("vote"), word("reason"))
            .trim_end()
    )
}

async fn vote(
    settings: &Settings,
    admin: &mut Admin,
    id: String,
    approve: bool,
    reason: String,
) -> Result<Answer> {
    let vote = v1::VoteApproval { id: id.clone(), approve, reason };
    client::submit(admin, Command::VoteApproval(vote)).await?;
    say(settings, admin, id).await
}

/// Says what became of a request.
async fn say(settings: &Settings, admin: &mut Admin, id: String) -> Result<Answer> {
    let approval = admin.show_approval(v1::ShowApprovalRequest { id }).await?.into_inner();
    let value = row(approval, now_micros());
    let missing = match (&value["status"], value["votes"].as_array()) {
        (Value::String(status), Some(votes)) if status == "pending" => {
            format!(": {} of {} votes", votes.len(), value["quorum"])
        }
        _ => String::new(),
    };
    let text = format!(
        "{} is {}{missing}",
        value["id"].as_str().unwrap_or_default(),
        value["status"].as_str().unwrap_or_default()
    );
    sentence(settings.format, &text, &value);
    Ok(Answer::Done)
}

async fn watch(settings: &Settings, admin: &mut Admin) -> Result<Answer> {
    let mut changes = admin.watch_approvals(v1::Empty {}).await?.into_inner();
    while let Some(approval) = changes.next().await {
        let value = row(approval?, now_micros());
        let word = |key: &str| crate::output::text(value.get(key)).replace('\n', " ");
        match settings.format {
            Format::Json => println!("{value}"),
            Format::Table => println!(
                "{}  {:<9} {} on {}: {} ({})",
                word("id"),
                word("status"),
                word("who"),
                word("database"),
                word("statement"),
                word("deadline")
            ),
        }
    }
    Ok(Answer::Done)
}

fn status_word(status: v1::ApprovalStatus) -> &'static str {
    match status {
        v1::ApprovalStatus::Unspecified => "unknown",
        v1::ApprovalStatus::Pending => "pending",
        v1::ApprovalStatus::Granted => "granted",
        v1::ApprovalStatus::Denied => "denied",
        v1::ApprovalStatus::Expired => "expired",
        v1::ApprovalStatus::Cancelled => "cancelled",
        v1::ApprovalStatus::Used => "used",
        v1::ApprovalStatus::Revoked => "revoked",
    }
}

fn row(approval: v1::Approval, now: i64) -> Value {
    let status = approval.status();
    let request = approval.request.unwrap_or_default();
    let who = match request.on_behalf_of.as_slice() {
        [] => request.principal.clone(),
        chain => format!("{} on behalf of {}", request.principal, chain.join(", for ")),
    };
    let deadline = match status {
        v1::ApprovalStatus::Pending => distance(approval.expires_at_micros, now),
        _ => String::new(),
    };
    let column = |c: v1::TouchedColumn| {
        let holds = if c.tag.is_empty() { "harmless".to_owned() } else { c.tag };
        let name = format!("{}.{}.{}", c.schema, c.relation, c.column);
        json!({ "column": name, "holds": holds, "written": c.written })
    };
    let vote = |v: v1::Vote| {
        let word = if v.approve { "approved" } else { "denied" };
        json!({ "approver": v.approver, "vote": word, "reason": v.reason, "at": moment(v.at_micros) })
    };
    let from = [request.client_address, request.application_name];
    json!({
        "id": approval.id,
        "status": status_word(status),
        "ended_reason": approval.ended_reason,
        "who": who,
        "principal": request.principal,
        "on_behalf_of": request.on_behalf_of,
        "session": request.session,
        "from": from.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(", "),
        "environment": request.environment,
        "database": request.database,
        "owner": request.database_owner,
        "statement": request.statement_text,
        "bind": request.bind_summary,
        "kinds": request.kinds,
        "columns": request.columns.into_iter().map(column).collect::<Vec<_>>(),
        "rows_estimate": request.rows_estimate,
        "reason": request.reason,
        "rules": request.rules,
        "approvers": request.approvers,
        "quorum": request.quorum,
        "epoch": request.epoch,
        "binding_digest": hex::encode(request.binding_digest),
        "votes": approval.votes.into_iter().map(vote).collect::<Vec<_>>(),
        "requested_at": moment(approval.requested_at_micros),
        "expires_at": moment(approval.expires_at_micros),
        "deadline": deadline,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_on_whose_behalf() {
        let request = v1::ApprovalRequest {
            principal: "agent:copilot".into(),
            on_behalf_of: vec!["user:dana".into()],
            statement_text: "DELETE FROM orders".into(),
            columns: vec![v1::TouchedColumn {
                column: "ssn".into(),
                tag: "pii.ssn".into(),
                ..Default::default()
            }],
            ..v1::ApprovalRequest::default()
        };
        let approval = v1::Approval {
            id: "apr-1".into(),
            request: Some(request),
            status: v1::ApprovalStatus::Pending.into(),
            expires_at_micros: 60_000_000,
            ..v1::Approval::default()
        };
        let value = row(approval, 0);
        assert_eq!(value["who"], "agent:copilot on behalf of user:dana");
        assert_eq!(value["deadline"], "in 1 min 0 s");
        assert_eq!(value["columns"][0]["holds"], "pii.ssn");
    }
}
