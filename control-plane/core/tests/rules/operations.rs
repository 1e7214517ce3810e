//! What operators may do to what runs.

use writ_control_core::decide_operations::DRAIN_MAX;
use writ_control_core::{Command, Event, EventHash, NodeKind, Refusal, SessionToEnd};
use writ_model::DurationMs;

use crate::world::*;

fn kill(reason: &str) -> Command {
    let target = SessionToEnd {
        session: "s-1".parse().expect("id"),
        edge: "edge-1".parse().expect("id"),
        principal: "user:dana".parse().expect("id"),
        database: "shop".parse().expect("id"),
    };
    Command::KillSession { target, reason: reason.into() }
}

#[test]
fn administrators_and_the_owners_group_end_sessions() {
    let mut world = World::new();
    let epoch = world.state.epoch;
    let events = world.ok(person("user:admin"), kill("runs for hours"));
    assert_eq!(kinds(&events), ["session_killed"]);
    let Some(Event::SessionKilled { session, reason, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!((session.as_str(), reason.as_str()), ("s-1", "runs for hours"));
    assert_eq!(world.state.epoch, epoch, "nobody's configuration changes");
    for actor in [person("user:ben"), person("user:dana"), node("edge-1")] {
        let refused = world.refused(actor, kill("mine now"));
        assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused:?}");
    }
    let mut owned = database("shop");
    owned.owner = "dba".into();
    world.ok(person("user:admin"), Command::SetDatabase { database: owned });
    world.ok(person("user:ben"), kill("it is our database"));
    let refused = world.refused(person("user:dana"), kill("mine now"));
    assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused:?}");
}

#[test]
fn ending_a_session_takes_a_reason() {
    let mut world = World::new();
    for reason in ["", " \n"] {
        assert!(matches!(world.refused(person("user:admin"), kill(reason)), Refusal::Invalid(_)));
    }
    let long = "x".repeat(10_000);
    assert!(matches!(world.refused(person("user:admin"), kill(&long)), Refusal::Invalid(_)));
}

fn drain(name: &str, deadline_ms: u64) -> Command {
    let deadline = DurationMs(deadline_ms);
    Command::DrainEdge { name: name.parse().expect("id"), deadline, reason: "new kernel".into() }
}

#[test]
fn an_edge_is_drained_until_it_is_resumed() {
    let mut world = World::new();
    let epoch = world.state.epoch;
    let edge = "edge-1".parse().expect("id");
    let resume = || Command::ResumeEdge { name: "edge-1".parse().expect("id") };
    assert!(world.ok(person("user:admin"), resume()).is_empty(), "it is not drained");
    for command in [drain("edge-1", 1_000), resume()] {
        let refused = world.refused(person("user:ben"), command);
        assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused:?}");
    }
    world.ok(person("user:admin"), drain("edge-1", 1_000));
    let said = world.state.nodes[&edge].drain.clone().expect("drained");
    assert_eq!(said.by, person("user:admin"));
    assert_eq!(
        (said.reason.as_str(), said.deadline),
        ("new kernel", world.now.plus(DurationMs(1_000)))
    );
    world.later(500);
    world.ok(person("user:admin"), drain("edge-1", 1_000));
    let again = world.state.nodes[&edge].drain.clone().expect("drained");
    assert_eq!(again.deadline, said.deadline.plus(DurationMs(500)), "another deadline");
    world
        .enroll("edge-1", NodeKind::Edge, Some("prod"), EventHash([9; 32]))
        .expect("enrolled again");
    assert_eq!(world.state.nodes[&edge].drain, Some(again), "a lost disk changes nothing");
    world.ok(person("user:admin"), resume());
    assert_eq!(world.state.nodes[&edge].drain, None);
    assert_eq!(world.state.epoch, epoch, "nobody's configuration changes");
}

#[test]
fn only_edges_are_drained_and_not_for_ever() {
    let mut world = World::new();
    let lake = EventHash([8; 32]);
    world.enroll("lake-1", NodeKind::Lake, None, lake).expect("enrolled");
    for name in ["lake-1", "edge-9"] {
        let refused = world.refused(person("user:admin"), drain(name, 1_000));
        assert!(matches!(refused, Refusal::NotFound { .. }), "{refused:?}");
    }
    let refused = world.refused(person("user:admin"), drain("edge-1", DRAIN_MAX.0 + 1));
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");
    world.ok(person("user:admin"), drain("edge-1", DRAIN_MAX.0));
}
