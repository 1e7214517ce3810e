//! Operators look at sessions and end them, over the stream that an edge holds open.

use writ_proto::node::NodeCommand;
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::world::*;

fn live(session: &str) -> v1::LiveSession {
    v1::LiveSession {
        session: session.into(),
        principal: "user:dana".into(),
        database: "shop".into(),
        ..v1::LiveSession::default()
    }
}

/// Answers as an edge with the session `s-1` does, and returns the orders that it got.
async fn serve(mut edge: Edge, told: tokio::sync::mpsc::UnboundedSender<NodeCommand>) {
    while let Some(command) = edge.followed.commands.recv().await {
        match command.clone() {
            NodeCommand::ListSessions(v1::ListSessions { number, session, texts_of: _ }) => {
                let there = session.is_empty() || session == "s-1";
                let sessions = if there { vec![live("s-1")] } else { Vec::new() };
                let answer = v1::LiveSessions { number, sessions, left_off: 0 };
                edge.followed.answers.sessions(answer);
            }
            NodeCommand::EndSession(order) => {
                let ended = v1::SessionEnded { number: order.number, found: true };
                edge.followed.answers.ended(ended);
            }
            // Said at each connection.
            _ => continue,
        }
        let _ = told.send(command);
    }
}

fn kill(session: &str) -> v1::KillSessionRequest {
    v1::KillSessionRequest { session: session.into(), reason: "runs for hours".into() }
}

async fn killed_events(world: &World) -> Vec<v1::Event> {
    let request = v1::ListEventsRequest { from: 1, follow: false };
    let mut events = world.admin().list_events(request).await.expect("listed").into_inner();
    let mut found = Vec::new();
    while let Some(event) = events.message().await.expect("an event") {
        found.extend((event.kind == "session_killed").then_some(event));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_asked_for_at_their_edges_and_ended_there() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.epoch.0 > 0).await;
    let (told, mut orders) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(serve(edge, told));
    let mut admin = world.admin();
    let list = v1::ListSessionsRequest::default();
    let listed = admin.list_sessions(list.clone()).await.expect("listed").into_inner();
    assert_eq!(listed.edges.len(), 1);
    assert_eq!((listed.edges[0].problem.as_str(), listed.edges[0].sessions.len()), ("", 1));
    let asked = orders.recv().await;
    let Some(NodeCommand::ListSessions(asked)) = asked else { panic!("{asked:?}") };
    assert_eq!(asked.texts_of, ["shop"], "an administrator sees texts");

    let unknown = admin.kill_session(kill("s-2")).await.expect_err("there is none");
    assert_eq!(unknown.code(), tonic::Code::NotFound, "{unknown}");
    assert!(killed_events(&world).await.is_empty(), "what is not there is not ended");
    let killed = admin.kill_session(kill("s-1")).await.expect("ended").into_inner();
    let events = killed_events(&world).await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].seq, events[0].actor.as_str()), (killed.event, "user:admin"));
    assert!(events[0].payload_json.contains("runs for hours"), "{}", events[0].payload_json);
    let order = loop {
        match orders.recv().await.expect("an order") {
            NodeCommand::EndSession(order) => break order,
            _ => {}
        }
    };
    assert_eq!((order.session.as_str(), order.by.as_str()), ("s-1", "user:admin"));
    assert_eq!((order.reason.as_str(), order.event), ("runs for hours", killed.event));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_sees_no_sessions_no_texts_and_ends_none() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.epoch.0 > 0).await;
    let (told, mut orders) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(serve(edge, told));
    let list = v1::ListSessionsRequest::default();
    let mut dana = world.person("user:dana", &["developers"], "").await;
    let refused = dana.list_sessions(list.clone()).await.expect_err("not theirs to know");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    let mut ben = world.person("user:ben", &["dba"], "").await;
    let listed = ben.list_sessions(list).await.expect("listed").into_inner();
    assert_eq!(listed.edges[0].sessions.len(), 1, "an approver sees what goes on");
    let asked = orders.recv().await;
    let Some(NodeCommand::ListSessions(asked)) = asked else { panic!("{asked:?}") };
    assert!(asked.texts_of.is_empty(), "and no texts");
    for client in [&mut ben, &mut dana] {
        client.kill_session(kill("s-1")).await.expect_err("not theirs to end");
    }
    assert!(killed_events(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_says_nothing_is_named() {
    let world = World::new().await;
    world.shop().await;
    let mut silent = world.edge("edge-1").await;
    silent.until(|c| c.epoch.0 > 0).await;
    let away = world.edge("edge-2").await;
    drop(away);
    let list = |edge: &str| v1::ListSessionsRequest { edge: edge.into() };
    let listed = world.admin().list_sessions(list("edge-1")).await.expect("listed").into_inner();
    assert_eq!(listed.edges[0].problem, "did not answer within 2000 ms");
    eventually(|| async {
        let listed =
            world.admin().list_sessions(list("edge-2")).await.expect("listed").into_inner();
        listed.edges[0].problem.starts_with("is not connected").then_some(())
    })
    .await;
    let unknown = world.admin().list_sessions(list("edge-3")).await.expect_err("there is none");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    let refused = world.admin().kill_session(kill("s-1")).await.expect_err("not found");
    assert!(refused.message().contains("edge-1 did not answer"), "{refused}");
}

async fn next_drain(edge: &mut Edge) -> v1::Drain {
    let drain = async {
        loop {
            if let Some(NodeCommand::Drain(drain)) = edge.followed.commands.recv().await {
                return drain;
            }
        }
    };
    tokio::time::timeout(PATIENCE, drain).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_hears_of_its_drain_at_once_and_whenever_it_connects() {
    let world = World::new().await;
    world.shop().await;
    let mut edge = world.edge("edge-1").await;
    assert!(!next_drain(&mut edge).await.draining, "said when it connects");
    let id = || "edge-1".to_owned();
    let drain = v1::DrainEdge { id: id(), deadline_ms: 60_000, reason: "new kernel".into() };
    world.run(Command::DrainEdge(drain)).await;
    let said = next_drain(&mut edge).await;
    assert!(said.draining && (50_000..=60_000).contains(&said.ends_in_ms), "{said:?}");
    assert_eq!((said.by.as_str(), said.reason.as_str()), ("user:admin", "new kernel"));
    // Something else changes: nothing is said again.
    world.run(policies("permit(principal, action, resource);")).await;
    let mut again = edge.again().await;
    let said = next_drain(&mut again).await;
    assert!(said.draining && said.ends_in_ms <= 60_000, "a restart forgets nothing: {said:?}");
    world.run(Command::ResumeEdge(v1::ResumeEdge { id: id() })).await;
    assert!(!next_drain(&mut again).await.draining);
    let edges = world.admin().list_edges(v1::Empty {}).await.expect("listed").into_inner().edges;
    assert_eq!(edges[0].drained_by, "");
}
