//! `writ edges` and `writ join-token`: the nodes beside the control plane.

use std::time::Duration;

use serde_json::{Value, json};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use super::sessions;
use crate::args::{Edges, JoinToken, NodeSort};
use crate::client;
use crate::failure::{Answer, Failure, Result};
use crate::output::{distance, moment, now_micros, rows, sentence};
use crate::settings::Settings;

/// Runs `writ edges …`.
pub(crate) async fn run(settings: &Settings, command: Edges) -> Result<Answer> {
    match command {
        Edges::List => list(settings).await,
        Edges::Top { edge } => sessions::top(settings, edge).await,
        Edges::Drain { edge, deadline, reason, wait } => {
            drain(settings, edge, deadline, reason, wait).await
        }
        Edges::Resume { edge } => resume(settings, edge).await,
        Edges::Kill { session, reason } => sessions::kill(settings, &session, &reason).await,
    }
}

async fn list(settings: &Settings) -> Result<Answer> {
    let reply = client::connect(settings).await?.list_edges(v1::Empty {}).await?.into_inner();
    let now = now_micros();
    let list: Vec<Value> =
        reply.edges.into_iter().map(|edge| row(edge, reply.epoch, now)).collect();
    let columns = [
        ("NODE", "id"),
        ("KIND", "kind"),
        ("ENVIRONMENT", "environment"),
        ("STATE", "state"),
        ("EPOCH", "epoch_acknowledged"),
        ("SESSIONS", "sessions"),
        ("HELD", "held"),
        ("SPOOL BYTES", "spool_bytes"),
        ("SEEN", "seen"),
        ("VERSION", "software_version"),
    ];
    rows(
        settings.format,
        &columns,
        &list,
        "no edges yet; get a join token with `writ join-token edge`",
    );
    Ok(Answer::Done)
}

/// How often it is looked whether sessions are left; edges tell every two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(500);

async fn drain(
    settings: &Settings,
    edge: String,
    deadline: Option<u64>,
    reason: String,
    wait: bool,
) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    let drain = v1::DrainEdge { id: edge.clone(), deadline_ms: deadline.unwrap_or(0), reason };
    let reply = client::submit(&mut admin, Command::DrainEdge(drain)).await?;
    if wait {
        // What it said before this drain may be of the one before, or from before the newest session.
        let said_before = drained(&mut admin, &edge).await?.last_seen_micros;
        while !is_drained(&mut admin, &edge, said_before).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    let done = if wait { "has no sessions left, and takes none" } else { "takes no new sessions" };
    let text = format!("{edge} {done} (event {})", reply.last_event);
    sentence(settings.format, &text, &json!({"edge": edge, "event": reply.last_event}));
    Ok(Answer::Done)
}

/// Whether the edge itself says, and said it after `said_before`, that it takes no sessions and has none.
async fn is_drained(admin: &mut client::Admin, edge: &str, said_before: i64) -> Result<bool> {
    let status = drained(admin, edge).await?;
    let news = status.last_seen_micros > said_before;
    Ok(news && status.connected && status.draining && status.sessions == 0)
}

/// An edge that is to be drained.
async fn drained(admin: &mut client::Admin, edge: &str) -> Result<v1::EdgeStatus> {
    let reply = admin.list_edges(v1::Empty {}).await?.into_inner();
    let found = reply.edges.into_iter().find(|status| status.id == edge);
    let status = found.ok_or_else(|| Failure::no(format!("{edge} was removed")))?;
    if status.drained_by.is_empty() {
        return Err(Failure::no(format!("{edge} was resumed")));
    }
    Ok(status)
}

async fn resume(settings: &Settings, edge: String) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    let command = Command::ResumeEdge(v1::ResumeEdge { id: edge.clone() });
    let reply = client::submit(&mut admin, command).await?;
    let text = match reply.last_event {
        0 => format!("{edge} was not drained"),
        event => format!("{edge} takes sessions again (event {event})"),
    };
    sentence(settings.format, &text, &json!({"edge": edge, "event": reply.last_event}));
    Ok(Answer::Done)
}

/// How far a drain is.
fn drain_state(edge: &v1::EdgeStatus) -> String {
    let left = edge.sessions;
    match (edge.drained_by.as_str(), edge.draining, left) {
        ("", _, _) => format!("shuts down, {left} sessions left"),
        (_, false, _) => "to be drained".to_owned(),
        (by, true, 0) => format!("drained by {by}"),
        (by, true, _) => format!("being drained by {by}, {left} sessions left"),
    }
}

fn row(edge: v1::EdgeStatus, epoch: u64, now: i64) -> Value {
    let kind = match edge.kind() {
        v1::NodeKind::Edge => "edge",
        v1::NodeKind::Lake => "lake",
        v1::NodeKind::Unspecified => "unknown",
    };
    let state = if !edge.connected {
        "away".to_owned()
    } else if edge.draining || !edge.drained_by.is_empty() {
        drain_state(&edge)
    } else if edge.epoch_rejected > edge.epoch_acknowledged {
        format!("rejected epoch {}: {}", edge.epoch_rejected, edge.reject_reason)
    } else if edge.epoch_acknowledged < epoch {
        format!("behind (newest epoch: {epoch})")
    } else {
        "up to date".to_owned()
    };
    json!({
        "id": edge.id, "kind": kind, "environment": edge.environment, "state": state,
        "connected": edge.connected, "epoch_acknowledged": edge.epoch_acknowledged,
        "epoch_rejected": edge.epoch_rejected, "reject_reason": edge.reject_reason,
        "sessions": edge.sessions, "held": edge.held, "spool_bytes": edge.spool_bytes,
        "last_seen": moment(edge.last_seen_micros), "seen": distance(edge.last_seen_micros, now),
        "certificate_expires_at": moment(edge.certificate_expires_at_micros),
        "software_version": edge.software_version, "draining": edge.draining,
        "drained_by": edge.drained_by, "drain_reason": edge.drain_reason,
        "drain_deadline": moment(edge.drain_deadline_micros),
    })
}

/// Prints a join token alone on its line.
pub(crate) async fn join_token(settings: &Settings, join: &JoinToken) -> Result<Answer> {
    let kind = match join.kind {
        NodeSort::Edge => v1::NodeKind::Edge,
        NodeSort::Lake => v1::NodeKind::Lake,
    };
    let request = v1::IssueJoinTokenRequest {
        kind: kind.into(),
        environment: join.environment.clone(),
        valid_ms: join.valid.unwrap_or(0),
    };
    let reply = client::connect(settings).await?.issue_join_token(request).await?.into_inner();
    let value =
        json!({ "join_token": reply.join_token, "expires_at": moment(reply.expires_at_micros) });
    sentence(settings.format, &reply.join_token, &value);
    Ok(Answer::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_epoch_is_seen_before_anything_else() {
        let edge = v1::EdgeStatus {
            connected: true,
            epoch_acknowledged: 4,
            epoch_rejected: 5,
            reject_reason: "line 3".into(),
            ..v1::EdgeStatus::default()
        };
        assert_eq!(row(edge.clone(), 5, 0)["state"], "rejected epoch 5: line 3");
        let behind = v1::EdgeStatus { epoch_rejected: 0, ..edge.clone() };
        assert_eq!(row(behind, 5, 0)["state"], "behind (newest epoch: 5)");
        let drained = |draining, sessions| v1::EdgeStatus {
            drained_by: "user:ada".into(),
            draining,
            sessions,
            ..edge.clone()
        };
        assert_eq!(row(drained(false, 3), 5, 0)["state"], "to be drained");
        let going = row(drained(true, 3), 5, 0);
        assert_eq!(going["state"], "being drained by user:ada, 3 sessions left");
        assert_eq!(row(drained(true, 0), 5, 0)["state"], "drained by user:ada");
        let away = v1::EdgeStatus { connected: false, ..edge };
        assert_eq!(row(away, 5, 0)["state"], "away");
    }
}
