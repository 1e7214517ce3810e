//! Principals, groups and rights.

use writ_control_core::{ActorName, Command, Refusal, RefusalKind};
use writ_model::config::{PolicyFile, TokenKey};

use crate::world::*;

#[test]
fn only_administrators_change_things() {
    let mut world = World::new();
    let add = || Command::AddPrincipal { principal: principal("user:eve", &["x"], None) };
    for actor in [person("user:dana"), person("user:ben"), node("edge-1"), ActorName::System] {
        let refusal = world.refused(actor, add());
        assert_eq!(refusal.kind(), RefusalKind::Forbidden, "{refusal}");
    }
    let unknown = world.refused(person("user:nobody"), add());
    assert_eq!(unknown.kind(), RefusalKind::NotFound, "{unknown}");
    let events = world.ok(person("user:admin"), add());
    assert_eq!(kinds(&events), ["group_added", "principal_added"]);
    assert!(world.ok(person("user:admin"), add()).is_empty(), "the same again is no change");
}

#[test]
fn an_agent_has_somebody_behind_it_and_nobody_else_has() {
    let mut world = World::new();
    for (id, behind) in [
        ("agent:x", None),
        ("agent:x", Some("user:nobody")),
        ("agent:x", Some("agent:x")),
        ("user:x", Some("user:dana")),
        ("service:x", Some("user:dana")),
    ] {
        let add = Command::AddPrincipal { principal: principal(id, &[], behind) };
        world.refused(person("user:admin"), add);
    }
}

#[test]
fn delegation_has_a_depth() {
    let mut world = World::new();
    let mut behind = "user:dana".to_owned();
    let mut depth = 0;
    let refusal = loop {
        let id = format!("agent:n{depth}");
        let add = Command::AddPrincipal { principal: principal(&id, &[], Some(&behind)) };
        match world.try_run(person("user:admin"), add) {
            Ok(_) => behind = id,
            Err(refusal) => break refusal,
        }
        depth += 1;
    };
    assert_eq!(depth, writ_model::principal::DELEGATION_DEPTH_MAX);
    assert!(matches!(refusal, Refusal::Actor(_)), "{refusal}");
}

#[test]
fn somebody_must_stay_administrator() {
    let mut world = World::new();
    let id = || "user:admin".parse().expect("id");
    let disable = || Command::DisablePrincipal { id: id() };
    let demote = || Command::SetGroups { id: id(), groups: groups(&["dba"]) };
    assert!(matches!(world.refused(person("user:admin"), disable()), Refusal::Conflict(_)));
    assert!(matches!(world.refused(person("user:admin"), demote()), Refusal::Conflict(_)));
    // An agent of the same person would fall with it.
    let agent = principal("agent:ops", &["admins"], Some("user:admin"));
    world.ok(person("user:admin"), Command::AddPrincipal { principal: agent });
    assert!(matches!(world.refused(person("user:admin"), disable()), Refusal::Conflict(_)));
    let second = Command::SetGroups {
        id: "user:ben".parse().expect("id"),
        groups: groups(&["dba", "admins"]),
    };
    world.ok(person("user:admin"), second);
    world.ok(person("user:admin"), disable());
    let enable = Command::EnablePrincipal { id: id() };
    let refusal = world.refused(person("user:admin"), enable.clone());
    assert!(matches!(refusal, Refusal::Actor(_)), "disabled is refused everywhere: {refusal}");
    world.ok(person("user:ben"), enable);
}

#[test]
fn policies_that_do_not_compile_change_nothing() {
    let mut world = World::new();
    let apply = |text: &str| Command::ApplyPolicies {
        files: vec![PolicyFile { name: "a.cedar".into(), text: text.into() }],
    };
    let refusal = world.refused(person("user:admin"), apply("nonsense"));
    assert_eq!(
        refusal.to_string(),
        "the policies are not accepted: a.cedar: line 1: nonsense; nothing changed"
    );
    let epoch = world.state.epoch;
    world.ok(person("user:admin"), apply("permit(principal, action, resource);"));
    assert_eq!(world.state.epoch.0, epoch.0 + 1);
    let too_large = "x".repeat(writ_control_core::decide::POLICY_BYTES_MAX + 1);
    assert!(matches!(world.refused(person("user:admin"), apply(&too_large)), Refusal::Invalid(_)));
}

#[test]
fn there_is_one_beginning() {
    let mut world = World::new();
    let bootstrap = |actor| {
        (
            actor,
            Command::Bootstrap {
                cluster: "c2".into(),
                admin: principal("user:eve", &["admins"], None),
                token_key: TokenKey { id: "t2".into(), ed25519_public: vec![2; 32] },
            },
        )
    };
    let (actor, command) = bootstrap(ActorName::System);
    assert!(matches!(world.refused(actor, command), Refusal::Conflict(_)));
    let (actor, command) = bootstrap(person("user:admin"));
    assert!(matches!(World::empty().refused(actor, command), Refusal::Forbidden { .. }));
}
