//! Edges enrol, follow, and say what they think of it.

use writ_proto::node::{NodeCommand, NodeError, enroll_or_load};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_follows_each_change_as_one_epoch() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    let first = edge.until(|c| c.databases.len() == 1).await;
    assert_eq!(first.environment.as_ref().map(|e| e.name.as_str()), Some("prod"));
    assert!(first.principals.contains_key(&"user:admin".parse().expect("id")));
    assert!(!first.token_keys.is_empty());
    let applied = world.run(policies("permit(principal, action, resource);")).await;
    assert_eq!(applied.epoch, first.epoch.0 + 1);
    let second = edge.until(|c| c.epoch.0 >= applied.epoch).await;
    assert_eq!(second.policies.len(), 1);
    let classification = v1::DatabaseClassification {
        database: "shop".into(),
        columns: vec![v1::ColumnClassification {
            schema: "public".into(),
            relation: "customers".into(),
            column: "ssn".into(),
            tag: "pii.ssn".into(),
            confidence_percent: 99,
            reason: "name and values".into(),
            source: v1::ClassificationSource::Detected.into(),
        }],
    };
    let report = v1::ReportClassificationRequest { classification: Some(classification) };
    let reported = edge.client().report_classification(report).await.expect("reported");
    let third = edge.until(|c| !c.classifications.is_empty()).await;
    assert_eq!(third.epoch.0, reported.into_inner().epoch);
    world.run(Command::RemoveDatabase(v1::RemoveDatabase { name: "shop".into() })).await;
    let fourth = edge.until(|c| c.databases.is_empty()).await;
    assert!(fourth.classifications.is_empty());
    let status = eventually(|| async {
        let edges = world.admin().list_edges(v1::Empty {}).await.expect("listed").into_inner();
        let edge = edges.edges.into_iter().find(|e| e.id == "edge-1")?;
        (edge.epoch_acknowledged == edges.epoch && edge.sessions == 3).then_some(edge)
    })
    .await;
    assert!(status.connected && status.certificate_expires_at_micros > status.last_seen_micros);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_configuration_is_seen_and_the_next_one_heals() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    let before = edge.until(|c| c.databases.len() == 1).await;
    *edge.reject.lock() = Some("rule 3 names an unknown tag".into());
    let applied = world.run(policies("permit(principal, action, resource);")).await;
    let status = eventually(|| async {
        let edges = world.admin().list_edges(v1::Empty {}).await.expect("listed").into_inner();
        edges.edges.into_iter().find(|e| e.epoch_rejected == applied.epoch)
    })
    .await;
    assert_eq!(status.reject_reason, "rule 3 names an unknown tag");
    assert_eq!(status.epoch_acknowledged, before.epoch.0);
    assert_eq!(edge.followed.config.borrow().epoch, before.epoch, "the old one stays in force");
    *edge.reject.lock() = None;
    let healed = world.run(policies("forbid(principal, action, resource);")).await;
    let config = edge.until(|c| c.epoch.0 >= healed.epoch).await;
    assert_eq!(config.policies[0].text, "forbid(principal, action, resource);");
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_somebody_ends_their_sessions() {
    let world = World::new().await;
    world.shop().await;
    world.person("user:dana", &["developers"], "").await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.databases.len() == 1).await;
    let disable = v1::DisablePrincipal { id: "user:dana".into() };
    world.run(Command::DisablePrincipal(disable)).await;
    let dana = "user:dana".parse().expect("id");
    let told = async {
        loop {
            let command = edge.followed.commands.recv().await;
            // Whether it is drained is said first.
            if !matches!(command, Some(NodeCommand::Drain(_))) {
                return command;
            }
        }
    };
    let command = tokio::time::timeout(PATIENCE, told).await.expect("in time");
    assert_eq!(command, Some(NodeCommand::EndSessions(dana)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_hears_that_the_control_plane_is_there() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.epoch.0 > 0).await;
    let heard = &mut edge.followed.last_heard;
    let first = tokio::time::timeout(PATIENCE, heard.wait_for(|at| at.0 > 0)).await;
    first.expect("in time").expect("alive");
    for _ in 0..2 {
        let before = *heard.borrow_and_update();
        let next = heard.wait_for(|at| *at > before);
        let next = *tokio::time::timeout(PATIENCE, next).await.expect("in time").expect("alive");
        assert!(next.since(before).0 <= 5_000, "at least every five seconds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_gets_identities_and_nothing_else() {
    let world = World::new().await;
    world.shop().await;
    let config = world.node("lake-1", v1::NodeKind::Lake).await;
    let identity = enroll_or_load(&config).await.expect("enrolled");
    let ports = writ_proto::node::FollowPorts {
        clock: ports().clock,
        apply: std::sync::Arc::new(|_| Ok(())),
        heartbeat: std::sync::Arc::new(v1::EdgeHeartbeat::default),
    };
    let mut followed = writ_proto::node::follow(config, identity, ports).expect("following");
    let wait = followed.config.wait_for(|c| c.epoch.0 > 0);
    let config = tokio::time::timeout(PATIENCE, wait).await.expect("in time").expect("one").clone();
    assert!(!config.principals.is_empty() && !config.token_keys.is_empty());
    assert!(config.databases.is_empty() && config.environment.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_used_up() {
    let world = World::new().await;
    world.shop().await;
    let first = world.node("edge-1", v1::NodeKind::Edge).await;
    enroll_or_load(&first).await.expect("enrolled");
    let mut second = world.node("edge-2", v1::NodeKind::Edge).await;
    second.join_token.clone_from(&first.join_token);
    let refused = enroll_or_load(&second).await;
    assert!(matches!(refused, Err(NodeError::Refused(_))), "{refused:?}");
    second.join_token = Some("hunter2".into());
    let refused = enroll_or_load(&second).await;
    assert!(matches!(refused, Err(NodeError::Refused(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_edge_is_shut_out_and_a_renewed_one_stays() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.epoch.0 > 0).await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let csr = rcgen::CertificateParams::default().serialize_request(&key).expect("a request");
    let renew = || v1::RenewRequest { csr_pem: csr.pem().expect("pem") };
    let renewed = edge.client().renew(renew()).await.expect("renewed").into_inner();
    edge.identity.certificate_pem = renewed.certificate_pem;
    edge.identity.key_pem = key.serialize_pem();
    edge.client().renew(renew()).await.expect("the new certificate works");
    world.run(Command::RemoveEdge(v1::RemoveEdge { id: "edge-1".into() })).await;
    let refused = edge.client().renew(renew()).await.expect_err("shut out");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
}
