//! `writ edges` and `writ join-token`: the nodes beside the control plane.

use serde_json::{Value, json};
use writ_proto::v1;

use crate::args::{Edges, JoinToken, NodeSort};
use crate::client;
use crate::failure::{Answer, Result};
use crate::output::{distance, moment, now_micros, rows, sentence};
use crate::settings::Settings;

/// Runs `writ edges …`.
pub(crate) async fn run(settings: &Settings, command: Edges) -> Result<Answer> {
    let Edges::List = command;
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

fn row(edge: v1::EdgeStatus, epoch: u64, now: i64) -> Value {
    let kind = match edge.kind() {
        v1::NodeKind::Edge => "edge",
        v1::NodeKind::Lake => "lake",
        v1::NodeKind::Unspecified => "unknown",
    };
    let state = if !edge.connected {
        "away".to_owned()
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
        "software_version": edge.software_version,
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
        let away = v1::EdgeStatus { connected: false, ..edge };
        assert_eq!(row(away, 5, 0)["state"], "away");
    }
}
