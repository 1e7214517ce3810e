//! C4.

use writ_control_core::{ActorName, ApprovalStatus, Command, NodeKind, Refusal};
use writ_model::{BindingDigest, Epoch};

use crate::world::*;

#[test]
fn a_second_person_grants_and_the_edge_uses_it_once() {
    let mut world = World::new();
    let epoch = world.state.epoch;
    let id = world.request("apr-1", request("user:dana", &[]));
    assert!(matches!(
        world.refused(node("edge-1"), use_grant(&id)),
        Refusal::ApprovalState { status: "pending", .. }
    ));
    let events = world.ok(person("user:ben"), vote(&id, true));
    assert_eq!(kinds(&events), ["approval_voted", "approval_granted"]);
    assert_eq!(kinds(&world.ok(node("edge-1"), use_grant(&id))), ["approval_used"]);
    assert!(matches!(
        world.refused(node("edge-1"), use_grant(&id)),
        Refusal::ApprovalState { status: "used", .. }
    ));
    assert_eq!(world.state.epoch, epoch, "approvals make no epoch");
}

#[test]
fn nobody_involved_approves() {
    let mut world = World::new();
    let admin = || person("user:admin");
    for id in ["user:dana", "service:batch"] {
        let set = Command::SetGroups { id: id.parse().expect("id"), groups: groups(&["dba"]) };
        world.ok(admin(), set);
    }
    let own = world.request("apr-1", request("user:dana", &[]));
    let mut other = request("agent:copilot", &["user:dana"]);
    other.idempotency_key = "st-2".into();
    let agents = world.request("apr-2", other);
    let mut claimed = request("service:batch", &["user:carol"]);
    claimed.idempotency_key = "st-3".into();
    let claimed = world.request("apr-3", claimed);
    for (actor, id) in [
        (person("user:dana"), &own),         // the requester
        (person("agent:copilot"), &own),     // acts for the requester
        (person("user:dana"), &agents),      // the person behind the agent
        (person("agent:copilot"), &agents),  // the agent itself
        (person("agent:copilot"), &claimed), // an agent without a stake
        (person("user:carol"), &claimed),    // named by the edge as behind it
        (ActorName::System, &own),
        (node("edge-1"), &own),
    ] {
        let refusal = world.refused(actor.clone(), vote(id, true));
        assert!(matches!(refusal, Refusal::NotAnApprover(..)), "{actor}: {refusal}");
    }
    // Groups count, not ranks: an administrator is no approver.
    assert!(matches!(
        world.refused(admin(), vote(&own, true)),
        Refusal::Forbidden { needs, .. } if needs == "dba"
    ));
    world.ok(person("user:ben"), vote(&own, true));
}

#[test]
fn a_quorum_counts_people_not_votes() {
    let mut world = World::new();
    let mut two = request("user:dana", &[]);
    two.quorum = 2;
    let id = world.request("apr-1", two);
    assert_eq!(kinds(&world.ok(person("user:ben"), vote(&id, true))), ["approval_voted"]);
    assert!(matches!(
        world.refused(person("user:ben"), vote(&id, true)),
        Refusal::NotAnApprover(..)
    ));
    let events = world.ok(person("user:carol"), vote(&id, true));
    assert_eq!(kinds(&events), ["approval_voted", "approval_granted"]);
}

#[test]
fn one_no_ends_it() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    let events = world.ok(person("user:ben"), vote(&id, false));
    assert_eq!(kinds(&events), ["approval_voted", "approval_denied"]);
    assert_eq!(world.state.approvals[&id].ended_reason, "denied by user:ben: seen");
    assert!(matches!(
        world.refused(person("user:carol"), vote(&id, true)),
        Refusal::ApprovalState { status: "denied", .. }
    ));
}

#[test]
fn a_time_out_is_never_an_allow() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    world.later(30_000);
    // Also before the expiry is in the log.
    assert!(matches!(
        world.refused(person("user:ben"), vote(&id, true)),
        Refusal::ApprovalState { status: "expired", .. }
    ));
    assert_eq!(kinds(&world.ok(ActorName::System, Command::ExpireDue)), ["approval_expired"]);
    assert!(world.ok(ActorName::System, Command::ExpireDue).is_empty());
    assert!(matches!(world.refused(node("edge-1"), use_grant(&id)), Refusal::ApprovalState { .. }));
}

#[test]
fn a_grant_that_is_not_used_in_time_ends() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    world.ok(person("user:ben"), vote(&id, true));
    world.later(60_000);
    assert!(matches!(
        world.refused(node("edge-1"), use_grant(&id)),
        Refusal::ApprovalState { status: "expired", .. }
    ));
    assert_eq!(kinds(&world.ok(ActorName::System, Command::ExpireDue)), ["approval_expired"]);
    assert_eq!(world.state.approvals[&id].ended_reason, "the grant was not used in time");
}

#[test]
fn a_grant_covers_only_what_was_approved() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    world.ok(person("user:ben"), vote(&id, true));
    let other_statement = Command::UseGrant {
        id: id.clone(),
        key: "st-1".into(),
        binding_digest: BindingDigest([4; 32]),
        epoch: Epoch(5),
    };
    let other_epoch = Command::UseGrant {
        id: id.clone(),
        key: "st-1".into(),
        binding_digest: BindingDigest([3; 32]),
        epoch: Epoch(6),
    };
    for command in [other_statement, other_epoch] {
        assert!(matches!(world.refused(node("edge-1"), command), Refusal::NotCovered(..)));
    }
    // Another edge cannot use it, nor can a person.
    world
        .enroll("edge-2", NodeKind::Edge, Some("prod"), writ_control_core::EventHash([9; 32]))
        .expect("enrolled");
    for actor in [node("edge-2"), node("nobody"), person("user:admin")] {
        assert!(matches!(world.refused(actor, use_grant(&id)), Refusal::Forbidden { .. }));
    }
    world.ok(node("edge-1"), use_grant(&id));
}

#[test]
fn asking_twice_makes_one_request() {
    let mut world = World::new();
    world.request("apr-1", request("user:dana", &[]));
    let again = Command::RequestApproval {
        id: "apr-2".parse().expect("id"),
        request: Box::new(request("user:dana", &[])),
    };
    assert!(world.ok(node("edge-1"), again).is_empty());
    assert_eq!(world.state.approvals.len(), 1);
    let mut changed = request("user:dana", &[]);
    changed.binding_digest = BindingDigest([8; 32]);
    let command =
        Command::RequestApproval { id: "apr-3".parse().expect("id"), request: Box::new(changed) };
    assert!(matches!(world.refused(node("edge-1"), command), Refusal::Conflict(_)));
}

#[test]
fn disabling_somebody_ends_what_they_and_their_agents_asked_for() {
    let mut world = World::new();
    let waiting = world.request("apr-1", request("agent:copilot", &["user:dana"]));
    let mut second = request("user:dana", &[]);
    second.idempotency_key = "st-2".into();
    let granted = world.request("apr-2", second);
    world.ok(person("user:ben"), vote(&granted, true));
    let disable = Command::DisablePrincipal { id: "user:dana".parse().expect("id") };
    let events = world.ok(person("user:admin"), disable);
    assert_eq!(kinds(&events), ["principal_disabled", "approval_cancelled", "approval_cancelled"]);
    for id in [&waiting, &granted] {
        assert_eq!(world.state.approvals[id].status, ApprovalStatus::Cancelled);
    }
}

#[test]
fn revoking_takes_back_what_runs() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    world.ok(person("user:ben"), vote(&id, true));
    world.ok(node("edge-1"), use_grant(&id));
    let revoke = || Command::RevokeApproval { id: id.clone(), reason: "stop".into() };
    assert!(matches!(world.refused(person("user:dana"), revoke()), Refusal::Forbidden { .. }));
    assert_eq!(kinds(&world.ok(person("user:carol"), revoke())), ["approval_revoked"]);
    assert_eq!(world.state.approvals[&id].status, ApprovalStatus::Revoked);
    assert!(matches!(
        world.refused(person("user:carol"), revoke()),
        Refusal::ApprovalState { status: "revoked", .. }
    ));
}

#[test]
fn cancelling_is_for_the_edge_that_asked() {
    let mut world = World::new();
    let id = world.request("apr-1", request("user:dana", &[]));
    let cancel =
        || Command::CancelApproval { id: id.clone(), key: "st-1".into(), reason: "Ctrl-C".into() };
    assert!(matches!(world.refused(person("user:ben"), cancel()), Refusal::Forbidden { .. }));
    assert_eq!(kinds(&world.ok(node("edge-1"), cancel())), ["approval_cancelled"]);
    assert!(world.ok(node("edge-1"), cancel()).is_empty());
    assert!(matches!(
        world.refused(person("user:ben"), vote(&id, true)),
        Refusal::ApprovalState { status: "cancelled", .. }
    ));
}

#[test]
fn requests_have_limits_and_a_known_requester() {
    let mut world = World::new();
    let mut try_with = |change: fn(&mut writ_control_core::ApprovalRequest)| {
        let mut changed = request("user:dana", &[]);
        change(&mut changed);
        let id = "apr-1".parse().expect("id");
        let command = Command::RequestApproval { id, request: Box::new(changed) };
        world.refused(node("edge-1"), command)
    };
    assert!(matches!(try_with(|r| r.quorum = 0), Refusal::Invalid(_)));
    assert!(matches!(try_with(|r| r.approvers.clear()), Refusal::Invalid(_)));
    assert!(matches!(try_with(|r| r.expires.0 = 0), Refusal::Invalid(_)));
    assert!(matches!(try_with(|r| r.statement_text = "x".repeat(65_537)), Refusal::Invalid(_)));
    let unknown = try_with(|r| r.principal = "user:eve".parse().expect("id"));
    assert!(matches!(unknown, Refusal::Actor(_)));
    let gone = try_with(|r| r.database = "crm".parse().expect("id"));
    assert!(matches!(gone, Refusal::NotFound { what: "database", .. }));
    let elsewhere = try_with(|r| r.environment = "staging".parse().expect("id"));
    assert!(matches!(elsewhere, Refusal::Forbidden { .. }));
}
