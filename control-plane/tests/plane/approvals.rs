//! C4 over the wire.

use tonic::{Code, Streaming};
use writ_proto::v1;
use writ_proto::v1::ApprovalStatus;
use writ_proto::v1::command::Command;

use crate::world::*;

fn request(key: &str, principal: &str, epoch: u64) -> v1::ApprovalRequest {
    v1::ApprovalRequest {
        idempotency_key: key.into(),
        principal: principal.into(),
        session: "s-1".into(),
        environment: "prod".into(),
        database: "shop".into(),
        statement_text: "DELETE FROM orders".into(),
        kinds: vec!["delete".into()],
        rows_estimate: Some(1_234.0),
        approvers: vec!["dba".into()],
        quorum: 1,
        expires_ms: 60_000,
        reason: "no WHERE".into(),
        rules: vec!["default.hold-unbounded".into()],
        epoch,
        binding_digest: vec![3; 32],
        ..v1::ApprovalRequest::default()
    }
}

fn vote(id: &str, approve: bool) -> Command {
    Command::VoteApproval(v1::VoteApproval {
        id: id.into(),
        approve,
        reason: "seen".into(),
        sessions: 0,
    })
}

async fn next(stream: &mut Streaming<v1::Approval>) -> (ApprovalStatus, v1::Approval) {
    let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
    let approval = next.expect("no error").expect("one more");
    (approval.status(), approval)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_approved_by_somebody_else_and_runs_once() {
    let world = World::new().await;
    world.shop().await;
    let mut dana = world.person("user:dana", &["dba"], "").await;
    let mut agent = world.person("agent:copilot", &["dba"], "user:dana").await;
    let mut ben = world.person("user:ben", &["dba"], "").await;
    let mut eve = world.person("user:eve", &["developers"], "").await;
    let edge = world.edge("edge-1").await;
    let mut client = edge.client();
    let mut watching = ben.watch_approvals(v1::Empty {}).await.expect("watching").into_inner();
    let asked = || request("st-1", "agent:copilot", 7);
    let ticket = client.request_approval(asked()).await.expect("asked").into_inner();
    let again = client.request_approval(asked()).await.expect("asked").into_inner();
    assert_eq!(ticket, again, "asking twice makes one request");
    let id = ticket.id;
    assert_eq!(next(&mut watching).await.1.id, id);
    let watch = v1::WatchApprovalRequest { id: id.clone(), idempotency_key: String::new() };
    let mut state = client.watch_approval(watch).await.expect("watching").into_inner();
    let (status, shown) = next(&mut state).await;
    assert_eq!(status, ApprovalStatus::Pending);
    assert_eq!(shown.request.expect("a request").rows_estimate, Some(1_234.0));
    for (who, client) in [("dana", &mut dana), ("agent", &mut agent), ("eve", &mut eve)] {
        let refused = submit(client, vote(&id, true)).await.expect_err(who);
        assert_eq!(refused.code(), Code::PermissionDenied, "{who}: {refused}");
    }
    let show = || v1::ShowApprovalRequest { id: id.clone() };
    assert_eq!(eve.show_approval(show()).await.expect_err("hidden").code(), Code::NotFound);
    dana.show_approval(show()).await.expect("shown to whom it is about");
    submit(&mut ben, vote(&id, true)).await.expect("approved");
    assert_eq!(next(&mut state).await.0, ApprovalStatus::Granted);
    let using = |digest: u8, epoch| v1::UseGrantRequest {
        id: id.clone(),
        binding_digest: vec![digest; 32],
        epoch,
        idempotency_key: String::new(),
    };
    for wrong in [using(4, 7), using(3, 8)] {
        let refused = client.use_grant(wrong).await.expect_err("not covered");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    let other = world.edge("edge-2").await;
    let refused = other.client().use_grant(using(3, 7)).await.expect_err("another edge");
    assert_eq!(refused.code(), Code::NotFound);
    let used = client.use_grant(using(3, 7)).await.expect("used").into_inner();
    assert_eq!(used.approvers, ["user:ben"]);
    let twice = client.use_grant(using(3, 7)).await.expect_err("used up");
    assert_eq!(twice.code(), Code::FailedPrecondition, "{twice}");
    assert_eq!(next(&mut state).await.0, ApprovalStatus::Used);
    // Revoking reaches the edge while the statement runs.
    let revoke = v1::RevokeApproval { id: id.clone(), reason: "wrong table".into() };
    submit(&mut ben, Command::RevokeApproval(revoke)).await.expect("revoked");
    let (status, ended) = next(&mut state).await;
    assert_eq!(status, ApprovalStatus::Revoked);
    assert_eq!(ended.ended_reason, "revoked by user:ben: wrong table");
    assert!(state.message().await.expect("no error").is_none(), "nothing follows an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_by_denial_by_time_and_by_the_client() {
    let world = World::new().await;
    world.shop().await;
    world.person("user:dana", &["developers"], "").await;
    let mut ben = world.person("user:ben", &["dba"], "").await;
    let edge = world.edge("edge-1").await;
    let mut client = edge.client();
    let mut ended = Vec::new();
    for (key, expires_ms) in [("denied", 60_000), ("late", 20), ("cancelled", 60_000)] {
        let mut asked = request(key, "user:dana", 7);
        asked.expires_ms = expires_ms;
        let id = client.request_approval(asked).await.expect("asked").into_inner().id;
        let watch = v1::WatchApprovalRequest { id: id.clone(), idempotency_key: String::new() };
        let mut state = client.watch_approval(watch).await.expect("watching").into_inner();
        match key {
            "denied" => drop(submit(&mut ben, vote(&id, false)).await.expect("denied")),
            "cancelled" => {
                let cancel = v1::CancelApprovalRequest {
                    id,
                    reason: "Ctrl-C".into(),
                    idempotency_key: String::new(),
                };
                client.cancel_approval(cancel).await.expect("cancelled");
            }
            _ => {}
        }
        let mut last = ApprovalStatus::Pending;
        while last == ApprovalStatus::Pending {
            last = next(&mut state).await.0;
        }
        ended.push(last);
    }
    assert_eq!(ended, [ApprovalStatus::Denied, ApprovalStatus::Expired, ApprovalStatus::Cancelled]);
}

/// What session `n` of a pool asks.
fn pooled(n: u8) -> v1::ApprovalRequest {
    v1::ApprovalRequest {
        session: format!("s-{n}"),
        binding_digest: vec![n; 32],
        joint_digest: vec![9; 32],
        ..request(&format!("st-{n}"), "user:dana", 7)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_two_edges_wait_in_one_request_and_nobody_approves_more_than_they_saw() {
    let world = World::new().await;
    world.shop().await;
    world.person("user:dana", &["developers"], "").await;
    let mut ben = world.person("user:ben", &["dba"], "").await;
    let (one, two) = (world.edge("edge-1").await, world.edge("edge-2").await);
    let mut clients = [one.client(), two.client(), one.client()];
    let mut states = Vec::new();
    let mut first = String::new();
    for (n, client) in (1..).zip(&mut clients) {
        let id = client.request_approval(pooled(n)).await.expect("asked").into_inner().id;
        if n == 1 {
            first.clone_from(&id);
        }
        assert_eq!(id, first, "one request");
        let watch = v1::WatchApprovalRequest { id, idempotency_key: format!("st-{n}") };
        let mut state = client.watch_approval(watch).await.expect("watching").into_inner();
        assert_eq!(next(&mut state).await.0, ApprovalStatus::Pending);
        states.push(state);
    }
    let listed = ben.list_approvals(v1::ListApprovalsRequest { all: false }).await.expect("list");
    let listed = listed.into_inner().approvals;
    assert_eq!(listed.iter().map(|a| a.waiting).collect::<Vec<_>>(), [3]);
    let unsaid = submit(&mut ben, vote(&first, true)).await.expect_err("three wait");
    assert_eq!(unsaid.code(), Code::FailedPrecondition, "{unsaid}");
    assert!(unsaid.message().contains("--sessions 3"), "{unsaid}");
    let saw_two =
        v1::VoteApproval { id: first.clone(), approve: true, reason: String::new(), sessions: 2 };
    submit(&mut ben, Command::VoteApproval(saw_two)).await.expect("approved");
    let mut third = states.pop().expect("a stream");
    for state in &mut states {
        assert_eq!(next(state).await.0, ApprovalStatus::Granted);
    }
    let (status, moved) = next(&mut third).await;
    assert_eq!((status, moved.id != first), (ApprovalStatus::Pending, true), "waits elsewhere");
    let uses = |id: &str, n: u8, key: u8| v1::UseGrantRequest {
        id: id.to_owned(),
        binding_digest: vec![n; 32],
        epoch: 7,
        idempotency_key: format!("st-{key}"),
    };
    let [on_one, on_two, _] = &mut clients;
    for wrong in [uses(&first, 1, 2), uses(&first, 3, 3), uses(&moved.id, 3, 3)] {
        on_one.use_grant(wrong).await.expect_err("nobody else's, and not before its own vote");
    }
    on_one.use_grant(uses(&first, 1, 1)).await.expect("used");
    on_two.use_grant(uses(&first, 2, 2)).await.expect("used");
    on_two.use_grant(uses(&first, 2, 2)).await.expect_err("used up");
    for state in &mut states {
        assert_eq!(next(state).await.0, ApprovalStatus::Used);
    }
    let revoke = v1::RevokeApproval { id: first.clone(), reason: "wrong table".into() };
    submit(&mut ben, Command::RevokeApproval(revoke)).await.expect("revoked");
    for state in &mut states {
        assert_eq!(
            next(state).await.0,
            ApprovalStatus::Revoked,
            "all that run under it hear of it"
        );
    }
    let show = v1::ShowApprovalRequest { id: first };
    let shown = ben.show_approval(show).await.expect("shown").into_inner();
    assert_eq!((shown.follow_up, shown.sessions.len()), (moved.id, 2));
}
