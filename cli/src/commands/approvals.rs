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
        Approvals::Approve { id, sessions, reason } => {
            let sessions = sessions.unwrap_or_default();
            vote(settings, &mut admin, v1::VoteApproval { id, approve: true, reason, sessions })
                .await
        }
        Approvals::Deny { id, reason } => {
            let vote_no = v1::VoteApproval { id, approve: false, reason, sessions: 0 };
            vote(settings, &mut admin, vote_no).await
        }
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
        ("WAITING", "waiting"),
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
        value["sessions"] =
            value["sessions"].as_array().into_iter().flatten().map(session_line).collect();
        join(&mut value, "sessions");
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
        ("Waiting", "waiting"),
        ("Sessions", "sessions"),
        ("Others wait in", "follow_up"),
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
    let sessions = match vote["sessions"].as_u64() {
        None | Some(0 | 1) => String::new(),
        Some(sessions) => format!(" for {sessions} sessions"),
    };
    let (at, who, how) = (word("at"), word("approver"), word("vote"));
    json!(format!("{at} {who} {how}{sessions} {}", word("reason")).trim_end())
}

fn session_line(session: &Value) -> Value {
    let word = |key: &str| session[key].as_str().unwrap_or_default();
    let (at, status, name) = (word("requested_at"), word("status"), word("session"));
    json!(format!("{at} {status:<9} {name}  {}", word("from")))
}

async fn vote(settings: &Settings, admin: &mut Admin, vote: v1::VoteApproval) -> Result<Answer> {
    let id = vote.id.clone();
    client::submit(admin, Command::VoteApproval(vote)).await?;
    say(settings, admin, id).await
}

/// Says what became of a request.
async fn say(settings: &Settings, admin: &mut Admin, id: String) -> Result<Answer> {
    let approval = admin.show_approval(v1::ShowApprovalRequest { id }).await?.into_inner();
    let text = outcome(&approval);
    sentence(settings.format, &text, &row(approval, now_micros()));
    Ok(Answer::Done)
}

fn outcome(approval: &v1::Approval) -> String {
    let status = approval.status();
    let mut text = format!("{} is {}", approval.id, status_word(status));
    let quorum = approval.request.as_ref().map_or(0, |request| request.quorum);
    let covered = approval.votes.last().map_or(0, |vote| vote.sessions);
    match status {
        v1::ApprovalStatus::Pending => {
            text.push_str(&format!(": {} of {quorum} votes", approval.votes.len()));
        }
        v1::ApprovalStatus::Granted if covered > 1 => {
            text.push_str(&format!(" for {covered} sessions, once each"));
        }
        _ => {}
    }
    if !approval.follow_up.is_empty() {
        let next = &approval.follow_up;
        text.push_str(&format!(
            "; sessions that came after those wait in {next}: writ approvals show {next}"
        ));
    }
    text
}

async fn watch(settings: &Settings, admin: &mut Admin) -> Result<Answer> {
    let mut changes = admin.watch_approvals(v1::Empty {}).await?.into_inner();
    while let Some(approval) = changes.next().await {
        let value = row(approval?, now_micros());
        let word = |key: &str| crate::output::text(value.get(key)).replace('\n', " ");
        match settings.format {
            Format::Json => crate::output::say!("{value}"),
            Format::Table => crate::output::say!(
                "{}  {:<9} {} on {}: {} (waiting {}, {})",
                word("id"),
                word("status"),
                word("who"),
                word("database"),
                word("statement"),
                word("waiting"),
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
        json!({ "approver": v.approver, "vote": word, "reason": v.reason, "sessions": v.sessions,
                "at": moment(v.at_micros) })
    };
    json!({
        "id": approval.id,
        "status": status_word(status),
        "ended_reason": approval.ended_reason,
        "who": who,
        "principal": request.principal,
        "on_behalf_of": request.on_behalf_of,
        "session": request.session,
        "from": from(&request.client_address, &request.application_name),
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
        "waiting": approval.waiting,
        "joined": approval.joined,
        "used": approval.used,
        "follow_up": approval.follow_up,
        "sessions": approval.sessions.into_iter().map(session).collect::<Vec<_>>(),
    })
}

fn from(address: &str, application: &str) -> String {
    let known = [address, application].into_iter().filter(|text| !text.is_empty());
    known.collect::<Vec<_>>().join(", ")
}

fn session(session: v1::WaitingSession) -> Value {
    json!({
        "session": session.session,
        "edge": session.edge,
        "from": from(&session.client_address, &session.application_name),
        "status": status_word(session.status()),
        "requested_at": moment(session.requested_at_micros),
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
