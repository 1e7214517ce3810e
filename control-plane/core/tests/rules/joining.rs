//! C4 where many sessions wait with the same statement: one request, a single-use grant for each.

use writ_control_core::{
    ActorName, ApprovalRequest, ApprovalStatus, Command, Event, EventHash,
    JOIN_TIME_LEFT_PERCENT_MIN, NodeKind, Refusal, SESSIONS_JOINED_MAX, TouchedColumn,
};
use writ_model::{ApprovalId, BindingDigest, Epoch, JointDigest};

use crate::world::*;

fn digest(n: u16) -> BindingDigest {
    let [high, low] = n.to_be_bytes();
    let mut bytes = [3; 32];
    bytes[0] = high;
    bytes[1] = low;
    BindingDigest(bytes)
}

/// What session `n` of a pool asks.
fn pooled(n: u16) -> ApprovalRequest {
    let mut request = request("user:dana", &[]);
    request.idempotency_key = format!("st-{n}");
    request.session = format!("s-{n}").parse().expect("id");
    request.client_address = format!("127.0.0.1:{n}");
    request.rows_estimate = Some(u64::from(n));
    request.binding_digest = digest(n);
    request.joint_digest = Some(JointDigest([5; 32]));
    request
}

fn asks(n: u16) -> Command {
    let id = format!("apr-{n}").parse().expect("id");
    Command::RequestApproval { id, request: Box::new(pooled(n)) }
}

fn uses(id: &ApprovalId, key: u16, binding: u16) -> Command {
    let key = format!("st-{key}");
    Command::UseGrant { id: id.clone(), key, binding_digest: digest(binding), epoch: Epoch(5) }
}

fn gives_up(id: &ApprovalId, n: u16) -> Command {
    Command::CancelApproval { id: id.clone(), key: format!("st-{n}"), reason: "Ctrl-C".into() }
}

fn id(text: &str) -> ApprovalId {
    text.parse().expect("id")
}

/// Sessions 1 to `n` of `edge-1` ask; the first one's request.
fn pool(world: &mut World, n: u16) -> ApprovalId {
    for session in 1..=n {
        world.ok(node("edge-1"), asks(session));
    }
    id("apr-1")
}

fn statuses(world: &World, id: &ApprovalId) -> Vec<&'static str> {
    world.state.approvals[id].seats.iter().map(|seat| seat.status.as_str()).collect()
}

#[test]
fn one_approval_is_a_grant_for_each_that_waits() {
    let mut world = World::new();
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(1))), ["approval_requested"]);
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(2))), ["approval_joined"]);
    world.enroll("edge-2", NodeKind::Edge, Some("prod"), EventHash([9; 32])).expect("enrolled");
    assert_eq!(kinds(&world.ok(node("edge-2"), asks(3))), ["approval_joined"]);
    assert!(world.ok(node("edge-2"), asks(3)).is_empty(), "asking twice makes one seat");
    assert_eq!(world.state.approvals.len(), 1);
    let id = id("apr-1");
    let events = world.ok(person("user:ben"), vote_for(&id, true, Some(3)));
    assert_eq!(kinds(&events), ["approval_voted", "approval_granted"]);
    for (edge, n) in [("edge-1", 2), ("edge-2", 3)] {
        assert_eq!(kinds(&world.ok(node(edge), uses(&id, n, n))), ["approval_used"]);
        assert_eq!(world.state.approvals[&id].status, ApprovalStatus::Granted);
        let twice = world.refused(node(edge), uses(&id, n, n));
        assert!(matches!(twice, Refusal::ApprovalState { status: "used", .. }), "{twice}");
    }
    world.ok(node("edge-1"), uses(&id, 1, 1));
    assert_eq!(world.state.approvals[&id].status, ApprovalStatus::Used);
}

#[test]
fn a_grant_is_its_sessions_own() {
    let mut world = World::new();
    world.enroll("edge-2", NodeKind::Edge, Some("prod"), EventHash([9; 32])).expect("enrolled");
    let id = pool(&mut world, 2);
    world.ok(person("user:ben"), vote_for(&id, true, Some(2)));
    // A session that did not join, by its own key or by none; one that did, from another edge.
    for (edge, key, binding) in [("edge-1", 7, 7), ("edge-2", 1, 1)] {
        let refusal = world.refused(node(edge), uses(&id, key, binding));
        assert!(matches!(refusal, Refusal::Forbidden { .. }), "{refusal}");
    }
    let nameless = Command::UseGrant {
        id: id.clone(),
        key: String::new(),
        binding_digest: digest(1),
        epoch: Epoch(5),
    };
    assert!(matches!(world.refused(node("edge-1"), nameless), Refusal::Forbidden { .. }));
    // Another session's seat does not cover what this session would run.
    let refusal = world.refused(node("edge-1"), uses(&id, 1, 2));
    assert!(matches!(refusal, Refusal::NotCovered(..)), "{refusal}");
    world.ok(node("edge-1"), uses(&id, 1, 1));
    world.ok(node("edge-1"), uses(&id, 2, 2));
}

#[test]
fn only_what_is_the_same_in_everything_but_the_session_joins() {
    let mut world = World::new();
    world.ok(node("edge-1"), asks(1));
    let admin = || person("user:admin");
    world.ok(admin(), Command::SetDatabase { database: database("crm") });
    let changes: [fn(&mut ApprovalRequest); 15] = [
        |_| (), // the control
        |r| r.principal = "service:batch".parse().expect("id"),
        |r| r.on_behalf_of = vec!["user:carol".parse().expect("id")],
        |r| r.database = "crm".parse().expect("id"),
        |r| r.joint_digest = Some(JointDigest([6; 32])), // role, search_path, bytes or binds
        |r| r.joint_digest = None,
        |r| r.statement_text = "DELETE FROM orders ".into(),
        |r| r.bind_summary = "$1 = 2".into(),
        |r| {
            r.columns.push(TouchedColumn {
                schema: "public".into(),
                relation: "orders".into(),
                column: "id".into(),
                tag: String::new(),
                written: false,
            });
        },
        |r| r.kinds.clear(),
        |r| r.approvers = vec!["admins".parse().expect("group")],
        |r| r.quorum = 2,
        |r| r.reason = "other".into(),
        |r| r.rules.clear(),
        |r| r.epoch = Epoch(6),
    ];
    for (n, change) in (100_u16..).zip(changes) {
        let mut other = pooled(n);
        change(&mut other);
        let same = other == pooled(n);
        let id = format!("apr-{n}").parse().expect("id");
        let asked = Command::RequestApproval { id, request: Box::new(other) };
        let joined = kinds(&world.ok(node("edge-1"), asked)) == ["approval_joined"];
        assert_eq!(joined, same, "change {n}");
    }
}

#[test]
fn nobody_approves_more_than_they_saw() {
    let mut world = World::new();
    let first = pool(&mut world, 1);
    // One was shown; a storm comes before the vote.
    for n in 2..=300 {
        world.ok(node("edge-1"), asks(n));
    }
    let unsaid = world.refused(person("user:ben"), vote(&first, true));
    assert!(matches!(unsaid, Refusal::HowMany { waiting: 300, .. }), "{unsaid}");
    let none = world.refused(person("user:ben"), vote_for(&first, true, Some(0)));
    assert!(matches!(none, Refusal::Invalid(_)), "{none}");
    let events = world.ok(person("user:ben"), vote_for(&first, true, Some(1)));
    let names = ["approval_requested", "approval_moved", "approval_voted", "approval_granted"];
    assert_eq!(kinds(&events), names);
    let next = id("apr-1-next");
    assert_eq!(statuses(&world, &first), ["granted"]);
    assert_eq!(statuses(&world, &next), ["pending"; 299]);
    let parent = &world.state.approvals[&first];
    let rest = &world.state.approvals[&next];
    assert_eq!((parent.follow_up.as_ref(), rest.votes.len()), (Some(&next), 0));
    assert_eq!(rest.expires_at, world.now.plus(pooled(1).expires), "they wait no longer for it");
    assert_eq!(rest.request.session, pooled(2).session);
    // Those that were not seen cannot use what was approved.
    let refusal = world.refused(node("edge-1"), uses(&first, 2, 2));
    assert!(matches!(refusal, Refusal::Forbidden { .. }), "{refusal}");
    let refusal = world.refused(node("edge-1"), uses(&next, 2, 2));
    assert!(matches!(refusal, Refusal::ApprovalState { status: "pending", .. }), "{refusal}");
    world.ok(node("edge-1"), uses(&first, 1, 1));
    // More may join the rest, and all of it goes on with one more vote.
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(301))), ["approval_joined"]);
    world.ok(person("user:ben"), vote_for(&next, true, Some(300)));
    for n in 2..=301 {
        world.ok(node("edge-1"), uses(&next, n, n));
    }
}

#[test]
fn what_somebody_approved_does_not_grow() {
    let mut world = World::new();
    let two = |n| {
        let mut request = pooled(n);
        request.quorum = 2;
        let id = format!("apr-{n}").parse().expect("id");
        Command::RequestApproval { id, request: Box::new(request) }
    };
    for n in 1..=4 {
        world.ok(node("edge-1"), two(n));
    }
    let (first, rest) = (id("apr-1"), id("apr-1-next"));
    let events = world.ok(person("user:ben"), vote_for(&first, true, Some(3)));
    assert_eq!(kinds(&events), ["approval_requested", "approval_moved", "approval_voted"]);
    // Between the two votes: it joins those that nobody voted for.
    world.ok(node("edge-1"), two(5));
    assert_eq!(statuses(&world, &rest), ["pending", "pending"]);
    // The second voter saw them before the first voted; only the three are left to be approved.
    let events = world.ok(person("user:carol"), vote_for(&first, true, Some(4)));
    assert_eq!(kinds(&events), ["approval_voted", "approval_granted"]);
    let Event::ApprovalVoted { vote, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(vote.sessions, Some(3), "the log says how many it was for");
    assert_eq!(statuses(&world, &first), ["granted"; 3]);
    assert_eq!(statuses(&world, &rest), ["pending"; 2]);
}

#[test]
fn who_comes_after_the_decision_asks_anew() {
    let mut world = World::new();
    let first = pool(&mut world, 2);
    world.ok(person("user:ben"), vote_for(&first, true, Some(2)));
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(3))), ["approval_requested"]);
    let late = world.refused(node("edge-1"), uses(&first, 3, 3));
    assert!(matches!(late, Refusal::Forbidden { .. }), "{late}");
    world.ok(person("user:ben"), vote(&id("apr-3"), false));
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(4))), ["approval_requested"]);
}

#[test]
fn all_get_the_answer_no_and_the_time_out() {
    let mut world = World::new();
    let denied = pool(&mut world, 3);
    world.ok(person("user:ben"), vote(&denied, false));
    assert_eq!(statuses(&world, &denied), ["denied"; 3]);
    world.ok(node("edge-1"), asks(4));
    world.ok(node("edge-1"), asks(5));
    world.later(30_000);
    world.ok(ActorName::System, Command::ExpireDue);
    assert_eq!(statuses(&world, &id("apr-4")), ["expired"; 2]);
    for (request, n) in [("apr-1", 2), ("apr-4", 5)] {
        let refusal = world.refused(node("edge-1"), uses(&id(request), n, n));
        assert!(matches!(refusal, Refusal::ApprovalState { .. }), "{refusal}");
    }
}

#[test]
fn one_that_gives_up_leaves_alone_and_the_last_ends_it() {
    let mut world = World::new();
    let id = pool(&mut world, 3);
    assert_eq!(kinds(&world.ok(node("edge-1"), gives_up(&id, 1))), ["approval_left"]);
    assert!(world.ok(node("edge-1"), gives_up(&id, 1)).is_empty());
    assert_eq!(statuses(&world, &id), ["cancelled", "pending", "pending"]);
    world.ok(person("user:ben"), vote_for(&id, true, Some(2)));
    assert_eq!(statuses(&world, &id), ["cancelled", "granted", "granted"]);
    let gone = world.refused(node("edge-1"), uses(&id, 1, 1));
    assert!(matches!(gone, Refusal::ApprovalState { status: "cancelled", .. }), "{gone}");
    world.ok(node("edge-1"), uses(&id, 2, 2));
    assert_eq!(kinds(&world.ok(node("edge-1"), gives_up(&id, 3))), ["approval_left"]);
    assert_eq!(world.state.approvals[&id].status, ApprovalStatus::Used);

    world.ok(node("edge-1"), asks(11));
    world.ok(node("edge-1"), asks(12));
    let last = "apr-11".parse().expect("id");
    world.ok(node("edge-1"), gives_up(&last, 11));
    assert_eq!(kinds(&world.ok(node("edge-1"), gives_up(&last, 12))), ["approval_cancelled"]);
    assert_eq!(world.state.approvals[&last].status, ApprovalStatus::Cancelled);
}

#[test]
fn a_grant_that_some_did_not_use_in_time_can_still_be_revoked_for_those_who_did() {
    let mut world = World::new();
    let id = pool(&mut world, 2);
    world.ok(person("user:ben"), vote_for(&id, true, Some(2)));
    world.ok(node("edge-1"), uses(&id, 1, 1));
    world.later(60_000);
    world.ok(ActorName::System, Command::ExpireDue);
    assert_eq!(statuses(&world, &id), ["used", "expired"]);
    let late = world.refused(node("edge-1"), uses(&id, 2, 2));
    assert!(matches!(late, Refusal::ApprovalState { status: "expired", .. }), "{late}");
    let revoke = Command::RevokeApproval { id: id.clone(), reason: "stop".into() };
    world.ok(person("user:carol"), revoke);
    assert_eq!(statuses(&world, &id), ["revoked", "expired"]);
    assert_eq!(world.state.approvals[&id].status, ApprovalStatus::Revoked);
}

#[test]
fn a_request_is_joined_by_so_many_and_only_while_there_is_time() {
    let mut world = World::new();
    let max = u16::try_from(SESSIONS_JOINED_MAX).expect("a small number");
    let id = pool(&mut world, max);
    assert_eq!(world.state.approvals[&id].seats.joined(), SESSIONS_JOINED_MAX);
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(max + 1))), ["approval_requested"]);
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(max + 2))), ["approval_joined"]);
    world.later(pooled(1).expires.0 * (100 - JOIN_TIME_LEFT_PERCENT_MIN) / 100);
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(max + 3))), ["approval_joined"]);
    world.later(1);
    assert_eq!(kinds(&world.ok(node("edge-1"), asks(max + 4))), ["approval_requested"]);
}

#[test]
fn disabling_the_principal_ends_all_of_it() {
    let mut world = World::new();
    let id = pool(&mut world, 3);
    let disable = Command::DisablePrincipal { id: "user:dana".parse().expect("id") };
    let events = world.ok(person("user:admin"), disable);
    assert_eq!(kinds(&events), ["principal_disabled", "approval_cancelled"]);
    assert_eq!(statuses(&world, &id), ["cancelled"; 3]);
}
