//! What people ask about the sessions that are open, and ending one. What is open is asked at the edges each time; only
//! that somebody ended one is in the log.

use futures::future::join_all;
use tonic::Status;
use writ_control_core::{Command, NodeKind, SessionToEnd, State};
use writ_model::{EdgeId, PrincipalId};
use writ_proto::v1;
use writ_proto::v1::control_to_edge::Message as ToEdge;
use writ_proto::v1::edge_to_control::Message as FromEdge;

use crate::admin::{APPROVAL_READERS, Admin, Caller, unknown};
use crate::convert::{id, status};
use crate::lines::{ANSWER_WITHIN, Heard};

/// Whose sessions somebody may see.
struct Sight {
    /// Those of every database.
    all: bool,
    /// The databases whose statements' texts they may see, and of which they see the sessions in any case.
    own: Vec<String>,
}

fn sight(state: &State, who: &PrincipalId) -> Sight {
    let own = state.databases.keys().filter(|name| state.answers_for(who, name));
    let own = own.map(ToString::to_string).collect();
    Sight { all: state.is_member(who, &APPROVAL_READERS), own }
}

/// The edges to ask: all, or the named one.
fn targets(state: &State, name: &str) -> Result<Vec<EdgeId>, Status> {
    let edges = state.nodes.iter().filter(|(_, node)| node.kind == NodeKind::Edge);
    if name.is_empty() {
        return Ok(edges.map(|(name, _)| name.clone()).collect());
    }
    let wanted: EdgeId = id("edge", name)?;
    let found = edges.map(|(name, _)| name).find(|name| **name == wanted);
    found.map(|name| vec![name.clone()]).ok_or_else(|| unknown("edge", &wanted, "writ edges list"))
}

fn gathered(edge: &EdgeId, heard: Heard, sight: &Sight) -> v1::EdgeSessions {
    let Heard { answers, problem } = heard;
    let mut all = v1::EdgeSessions { edge: edge.to_string(), problem, ..Default::default() };
    for answer in answers {
        if let FromEdge::LiveSessions(v1::LiveSessions { number: _, sessions, left_off }) = answer {
            let seen = |s: &v1::LiveSession| sight.all || sight.own.contains(&s.database);
            all.sessions.extend(sessions.into_iter().filter(seen));
            all.left_off = all.left_off.saturating_add(left_off);
        }
    }
    all
}

impl Admin {
    async fn live(&self, edges: &[EdgeId], session: &str, sight: &Sight) -> Vec<v1::EdgeSessions> {
        let ask = |number| {
            ToEdge::ListSessions(v1::ListSessions {
                number,
                session: session.to_owned(),
                texts_of: sight.own.clone(),
            })
        };
        let asked = edges
            .iter()
            .map(|edge| async move { gathered(edge, self.lines.ask(edge, ask).await, sight) });
        join_all(asked).await
    }

    pub(crate) async fn sessions(
        &self,
        caller: &Caller,
        edge: &str,
    ) -> Result<v1::ListSessionsReply, Status> {
        let state = self.leader.state();
        let sight = sight(&state, caller.id());
        if !sight.all && sight.own.is_empty() {
            return Err(Status::permission_denied(format!(
                "{} may not see sessions; it takes a member of {}, or of the group that owns a database",
                caller.id(),
                APPROVAL_READERS.join(" or ")
            )));
        }
        let edges = self.live(&targets(&state, edge)?, "", &sight).await;
        let deadline_ms = u64::try_from(ANSWER_WITHIN.as_millis()).unwrap_or(u64::MAX);
        Ok(v1::ListSessionsReply { edges, deadline_ms })
    }

    /// Ends a session: found at its edge, then in the log, then told to its edge.
    pub(crate) async fn kill(
        &self,
        caller: &Caller,
        request: v1::KillSessionRequest,
    ) -> Result<v1::KillSessionReply, Status> {
        let v1::KillSessionRequest { session, reason } = request;
        let state = self.leader.state();
        let sight = sight(&state, caller.id());
        let of_edges = self.live(&targets(&state, "")?, &session, &sight).await;
        let found =
            of_edges.iter().find_map(|of| Some((of.edge.clone(), of.sessions.first()?.clone())));
        let Some((edge, live)) = found else { return Err(no_session(&session, &of_edges)) };
        let target = SessionToEnd {
            session: id("session", &session)?,
            edge: id("edge", &edge)?,
            principal: id("principal", &live.principal)?,
            database: id("database", &live.database)?,
        };
        let at = target.edge.clone();
        let command = Command::KillSession { target, reason: reason.clone() };
        let outcome = self.leader.submit(caller.name(), command).await.map_err(|e| status(&e))?;
        let event = outcome.last.0;
        let by = caller.id().to_string();
        let order = |number| {
            let (session, by, reason) = (session.clone(), by.clone(), reason.clone());
            ToEdge::EndSession(v1::EndSession { number, session, by, reason, event })
        };
        let heard = self.lines.ask(&at, order).await;
        let ended = |answer: &FromEdge| {
            matches!(answer, FromEdge::SessionEnded(v1::SessionEnded { found: true, .. }))
        };
        if heard.answers.iter().any(ended) {
            return Ok(v1::KillSessionReply { edge, session: Some(live), event });
        }
        Err(Status::aborted(if heard.problem.is_empty() {
            format!("session {session} ended by itself before it could be ended (event {event})")
        } else {
            format!(
                "event {event} says that session {session} shall end, but {edge} {}; look with `writ edges top`, and try again",
                heard.problem
            )
        }))
    }
}

/// There is none, as far as the edges say.
fn no_session(session: &str, of_edges: &[v1::EdgeSessions]) -> Status {
    let silent: Vec<String> = of_edges
        .iter()
        .filter(|of| !of.problem.is_empty())
        .map(|of| format!("{} {}", of.edge, of.problem))
        .collect();
    let mut text =
        format!("there is no session `{session}`; list what there is with `writ edges top`");
    if !silent.is_empty() {
        text = format!("{text} (not all edges were heard: {})", silent.join("; "));
    }
    Status::not_found(text)
}
