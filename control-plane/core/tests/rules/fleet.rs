//! Environments, databases, classifications and nodes.

use writ_control_core::{Command, EventHash, NodeKind, Refusal};
use writ_model::config::{ClassificationSource, ColumnClassification};
use writ_model::{ColumnRef, DurationMs};

use crate::world::*;

fn column(name: &str) -> ColumnRef {
    ColumnRef { schema: "public".into(), relation: "customers".into(), column: name.into() }
}

fn detected(name: &str, tag: Option<&str>) -> ColumnClassification {
    ColumnClassification {
        column: column(name),
        tag: tag.map(|t| t.parse().expect("tag")),
        confidence_percent: 90,
        reason: "name".into(),
        source: ClassificationSource::Detected,
    }
}

fn report(columns: Vec<ColumnClassification>) -> Command {
    Command::ReportClassification { database: "shop".parse().expect("id"), columns }
}

#[test]
fn what_people_say_of_a_column_stays() {
    let mut world = World::new();
    let columns = vec![detected("ssn", Some("pii.ssn")), detected("email", Some("pii.email"))];
    let epoch = world.state.epoch.0;
    world.ok(node("edge-1"), report(columns.clone()));
    assert_eq!(world.state.epoch.0, epoch + 1);
    let again: Vec<_> = columns.iter().rev().cloned().collect();
    assert!(world.ok(node("edge-1"), report(again)).is_empty(), "order is no news");
    let correct = || Command::OverrideClassification {
        database: "shop".parse().expect("id"),
        column: column("email"),
        tag: None,
        reason: "role accounts".into(),
    };
    assert!(matches!(world.refused(person("user:dana"), correct()), Refusal::Forbidden { .. }));
    world.ok(person("user:ben"), correct());
    world.ok(node("edge-1"), report(vec![detected("email", Some("pii.phone"))]));
    let prod = "prod".parse().expect("id");
    let config = world.state.edge_config(Some(&prod));
    let seen = &config.classifications[&"shop".parse().expect("id")];
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].tag, None);
    assert_eq!(seen[0].source, ClassificationSource::Override);
}

#[test]
fn an_edge_reports_only_what_it_serves_and_saw() {
    let mut world = World::new();
    let staging = Command::SetEnvironment { environment: environment("staging") };
    world.ok(person("user:admin"), staging);
    world.enroll("edge-2", NodeKind::Edge, Some("staging"), EventHash([1; 32])).expect("enrolled");
    for actor in [node("edge-2"), person("user:admin")] {
        assert!(matches!(world.refused(actor, report(vec![])), Refusal::Forbidden { .. }));
    }
    let mut forged = detected("ssn", None);
    forged.source = ClassificationSource::Override;
    assert!(matches!(world.refused(node("edge-1"), report(vec![forged])), Refusal::Invalid(_)));
}

#[test]
fn a_join_token_opens_one_door_once() {
    let mut world = World::new();
    let hash = EventHash([1; 32]);
    let prod = || Some("prod".parse().expect("id"));
    let enroll = |name: &str, kind, environment| enroll_command(name, kind, environment, hash);
    let none = world.refused(node("e"), enroll("e", NodeKind::Edge, prod()));
    assert!(matches!(none, Refusal::JoinToken(_)));
    let expires_at = world.now.plus(DurationMs(1_000));
    let issue =
        Command::IssueJoinToken { hash, kind: NodeKind::Edge, environment: prod(), expires_at };
    assert!(matches!(world.refused(person("user:ben"), issue.clone()), Refusal::Forbidden { .. }));
    world.ok(person("user:admin"), issue.clone());
    let lake = world.refused(node("e"), enroll("e", NodeKind::Lake, None));
    assert!(matches!(lake, Refusal::JoinToken(_)));
    world.ok(node("e"), enroll("e", NodeKind::Edge, prod()));
    let twice = world.refused(node("f"), enroll("f", NodeKind::Edge, prod()));
    assert!(matches!(twice, Refusal::JoinToken(_)));
    world.ok(person("user:admin"), issue);
    world.later(1_000);
    let late = world.refused(node("f"), enroll("f", NodeKind::Edge, prod()));
    assert!(matches!(late, Refusal::JoinToken("has expired")));
}

#[test]
fn a_node_serves_under_plain_names() {
    let mut world = World::new();
    let hash = EventHash([1; 32]);
    let expires_at = world.now.plus(DurationMs(1_000));
    let issue =
        Command::IssueJoinToken { hash, kind: NodeKind::Lake, environment: None, expires_at };
    world.ok(person("user:admin"), issue);
    for names in [vec![], vec!["*.example".to_owned()], vec!["x".repeat(254)]] {
        let mut enroll = enroll_command("l", NodeKind::Lake, None, hash);
        if let Command::Enroll { host_names, .. } = &mut enroll {
            *host_names = names;
        }
        assert!(matches!(world.refused(node("l"), enroll), Refusal::Invalid(_)));
    }
    world.ok(node("l"), enroll_command("l", NodeKind::Lake, None, hash));
}

#[test]
fn a_name_stays_where_it_is() {
    let mut world = World::new();
    let taken = world.enroll("edge-1", NodeKind::Lake, None, EventHash([1; 32]));
    assert!(matches!(taken, Err(Refusal::Conflict(_))));
    let again = world.enroll("edge-1", NodeKind::Edge, Some("prod"), EventHash([2; 32]));
    assert!(again.is_ok(), "a lost disk is no disaster");
    let remove = Command::RemoveNode { name: "edge-1".parse().expect("id") };
    world.ok(person("user:admin"), remove.clone());
    assert!(matches!(world.refused(person("user:admin"), remove), Refusal::NotFound { .. }));
    assert!(matches!(world.refused(node("edge-1"), report(vec![])), Refusal::Forbidden { .. }));
}

#[test]
fn a_database_needs_its_environment_and_stays_in_it() {
    let mut world = World::new();
    let mut elsewhere = database("crm");
    elsewhere.environment = "mars".parse().expect("id");
    let set = |database| Command::SetDatabase { database };
    let refusal = world.refused(person("user:admin"), set(elsewhere));
    assert!(matches!(refusal, Refusal::NotFound { what: "environment", .. }));
    world.ok(person("user:admin"), Command::SetEnvironment { environment: environment("staging") });
    let mut moved = database("shop");
    moved.environment = "staging".parse().expect("id");
    assert!(matches!(world.refused(person("user:admin"), set(moved)), Refusal::Conflict(_)));
    let mut no_port = database("crm");
    no_port.port = 0;
    assert!(matches!(world.refused(person("user:admin"), set(no_port)), Refusal::Invalid(_)));
    // Another environment's edges do not hear of it.
    let staging = "staging".parse().expect("id");
    assert!(world.state.edge_config(Some(&staging)).databases.is_empty());
    let prod = "prod".parse().expect("id");
    assert_eq!(world.state.edge_config(Some(&prod)).databases.len(), 1);
    let lake = world.state.edge_config(None);
    assert!(lake.databases.is_empty() && lake.policies.is_empty() && lake.environment.is_none());
    assert_eq!(lake.principals.len(), world.state.principals.len());
    let remove = Command::RemoveDatabase { name: "shop".parse().expect("id") };
    world.ok(person("user:admin"), remove);
    assert!(world.state.edge_config(Some(&prod)).databases.is_empty());
}
