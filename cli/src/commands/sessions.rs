//! `writ edges top` and `writ edges kill`: the sessions that are open now.

use serde_json::{Value, json};
use writ_proto::v1;
use writ_proto::v1::SessionState;

use crate::client;
use crate::failure::{Answer, Result};
use crate::output::{Format, age, moment, now_micros, object, rows, sentence};
use crate::settings::Settings;

const COLUMNS: [(&str, &str); 9] = [
    ("SESSION", "session"),
    ("EDGE", "edge"),
    ("PRINCIPAL", "who"),
    ("DATABASE", "database"),
    ("CLIENT", "client"),
    ("SINCE", "age"),
    ("STATE", "shown_state"),
    ("STATEMENTS", "statements"),
    ("TEXT", "statement_text"),
];

/// Prints the sessions of all edges, or of one.
pub(crate) async fn top(settings: &Settings, edge: Option<String>) -> Result<Answer> {
    let request = v1::ListSessionsRequest { edge: edge.clone().unwrap_or_default() };
    let reply = client::connect(settings).await?.list_sessions(request).await?.into_inner();
    let now = now_micros();
    let list: Vec<Value> = reply
        .edges
        .iter()
        .flat_map(|of| of.sessions.iter().map(|session| row(&of.edge, session, now)))
        .collect();
    let notes: Vec<String> = reply.edges.iter().filter_map(note).collect();
    match settings.format {
        Format::Table => {
            rows(settings.format, &COLUMNS, &list, "no sessions");
            notes.iter().for_each(|note| eprintln!("{note}"));
        }
        Format::Json => {
            let edges: Vec<Value> = reply.edges.iter().map(edge_row).collect();
            let all = json!({"sessions": list, "edges": edges, "deadline_ms": reply.deadline_ms});
            object(settings.format, &[], &all);
        }
    }
    // Of the one that was asked for, nothing is known.
    let silent = edge.is_some() && reply.edges.iter().any(|of| !of.problem.is_empty());
    Ok(if silent { Answer::No } else { Answer::Done })
}

/// Ends one session.
pub(crate) async fn kill(settings: &Settings, session: &str, reason: &str) -> Result<Answer> {
    let request = v1::KillSessionRequest { session: session.to_owned(), reason: reason.to_owned() };
    let reply = client::connect(settings).await?.kill_session(request).await?.into_inner();
    let live = reply.session.unwrap_or_default();
    let value = json!({
        "session": live.session, "edge": reply.edge, "principal": live.principal,
        "database": live.database, "event": reply.event,
    });
    let text = format!(
        "{} of {} at {} is ended (event {})",
        live.session,
        who(&live),
        reply.edge,
        reply.event
    );
    sentence(settings.format, &text, &value);
    Ok(Answer::Done)
}

/// What is missing of an edge.
fn note(of: &v1::EdgeSessions) -> Option<String> {
    match (of.problem.as_str(), of.left_off) {
        ("", 0) => None,
        ("", more) => {
            Some(format!("{}: {more} more sessions, which do less, are left off", of.edge))
        }
        (problem, _) => Some(format!("{} {problem}: its sessions are not all listed", of.edge)),
    }
}

fn edge_row(of: &v1::EdgeSessions) -> Value {
    json!({
        "edge": of.edge, "answered": of.problem.is_empty(), "problem": of.problem,
        "left_off": of.left_off,
    })
}

fn who(session: &v1::LiveSession) -> String {
    match session.on_behalf_of.first() {
        None => session.principal.clone(),
        Some(nearest) => format!("{} for {nearest}", session.principal),
    }
}

fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Unspecified => "busy",
        SessionState::Idle => "idle",
        SessionState::InTransaction => "in transaction",
        SessionState::FailedTransaction => "in failed transaction",
        SessionState::Running => "running",
        SessionState::Held => "held",
        SessionState::Recording => "recording",
        SessionState::WaitingForConnection => "waiting for a connection",
    }
}

fn row(edge: &str, session: &v1::LiveSession, now: i64) -> Value {
    let state = state(session.state());
    let mut shown_state = state.to_owned();
    if !session.approval.is_empty() {
        shown_state = format!("{shown_state} by {}", session.approval);
    }
    if session.since_micros != 0 {
        shown_state = format!("{shown_state} for {}", age(session.since_micros, now));
    }
    json!({
        "session": session.session, "edge": edge, "principal": session.principal,
        "on_behalf_of": session.on_behalf_of, "who": who(session), "database": session.database,
        "client": session.client_address, "application_name": session.application_name,
        "opened_at": moment(session.opened_at_micros), "age": age(session.opened_at_micros, now),
        "state": state, "shown_state": shown_state, "since": moment(session.since_micros),
        "approval": session.approval, "statements": session.statements,
        "statement_text": session.statement_text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_who_for_whom_and_since_when() {
        let mut session = v1::LiveSession {
            session: "s-1".into(),
            principal: "agent:copilot".into(),
            on_behalf_of: vec!["user:dana".into()],
            since_micros: 5_000_000,
            approval: "apr-7".into(),
            ..v1::LiveSession::default()
        };
        session.set_state(SessionState::Held);
        let held = row("edge-1", &session, 9_000_000);
        assert_eq!(held["who"], "agent:copilot for user:dana");
        assert_eq!(held["shown_state"], "held by apr-7 for 4 s");
        assert_eq!(held["state"], "held");
    }

    #[test]
    fn what_is_missing_is_said() {
        let of = |problem: &str, left_off| v1::EdgeSessions {
            edge: "edge-1".into(),
            problem: problem.into(),
            left_off,
            sessions: Vec::new(),
        };
        assert_eq!(note(&of("", 0)), None);
        let silent = note(&of("did not answer within 2000 ms", 0)).expect("a note");
        assert!(silent.starts_with("edge-1 did not answer within 2000 ms"), "{silent}");
        assert!(note(&of("", 4)).expect("a note").contains("4 more"), "left off");
    }
}
