//! What the sessions of this edge do now, for `writ edges top`: each is asked where it runs, so that nothing is kept up to
//! date that nobody looks at.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use writ_edge_core::{Activity, Doing};
use writ_model::SessionId;
use writ_proto::v1;
use writ_proto::v1::SessionState;

use crate::sessions::{Described, Reach, Sessions};

/// How long sessions may take to answer; one that is busy is listed without what it does.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// The most sessions in one answer; those that do something come first.
pub const SESSIONS_LISTED_MAX: usize = 1_000;
/// How much of a statement's text is shown, in bytes.
pub const SHOWN_TEXT_BYTES_MAX: usize = 200;

/// Answers the control plane's question.
pub async fn list(sessions: &Sessions, ask: v1::ListSessions) -> v1::LiveSessions {
    let v1::ListSessions { number, session, texts_of } = ask;
    let (tell, heard) = mpsc::unbounded_channel();
    let asked = sessions.describe(&session, &tell);
    drop(tell);
    let answers = gather(heard, asked.len()).await;
    let mut listed: Vec<v1::LiveSession> = asked
        .iter()
        .map(|reach| {
            let shows = texts_of.iter().any(|name| name == reach.profile.database.as_str());
            row(reach, answers.get(&reach.profile.session), shows)
        })
        .collect();
    listed
        .sort_by_key(|row| (Reverse(weight(row.state())), row.since_micros, row.opened_at_micros));
    let left_off = listed.len().saturating_sub(SESSIONS_LISTED_MAX);
    listed.truncate(SESSIONS_LISTED_MAX);
    let left_off = u64::try_from(left_off).unwrap_or(u64::MAX);
    v1::LiveSessions { number, sessions: listed, left_off }
}

async fn gather(
    mut heard: mpsc::UnboundedReceiver<Described>,
    count: usize,
) -> HashMap<SessionId, Described> {
    let mut answers = HashMap::with_capacity(count);
    let all = async {
        // The channel closes when the last session has answered or ended.
        while let Some(described) = heard.recv().await {
            answers.insert(described.session.clone(), described);
        }
    };
    let _ = tokio::time::timeout(ANSWER_WITHIN, all).await;
    answers
}

/// What an operator looks for first.
fn weight(state: SessionState) -> u8 {
    match state {
        SessionState::Held => 6,
        SessionState::Unspecified => 5,
        SessionState::WaitingForConnection | SessionState::Recording => 4,
        SessionState::Running => 3,
        SessionState::FailedTransaction | SessionState::InTransaction => 2,
        SessionState::Idle => 1,
    }
}

fn row(reach: &Reach, described: Option<&Described>, shows_text: bool) -> v1::LiveSession {
    let Reach { profile, opened_at, .. } = reach;
    let mut row = v1::LiveSession {
        session: profile.session.to_string(),
        principal: profile.principal.to_string(),
        on_behalf_of: profile.on_behalf_of.iter().map(ToString::to_string).collect(),
        database: profile.database.to_string(),
        client_address: profile.client_address.clone(),
        application_name: profile.application_name.clone(),
        opened_at_micros: opened_at.0,
        ..v1::LiveSession::default()
    };
    let Some(Described { session: _, activity, held_since }) = described else { return row };
    let Activity { doing, statements, text } = activity;
    let (state, since, request) = match doing {
        Doing::Idle => (SessionState::Idle, None, None),
        Doing::InTransaction => (SessionState::InTransaction, None, None),
        Doing::FailedTransaction => (SessionState::FailedTransaction, None, None),
        Doing::Running { since } => (SessionState::Running, Some(*since), None),
        Doing::Held { request } => (SessionState::Held, *held_since, request.as_ref()),
        Doing::Recording => (SessionState::Recording, None, None),
        Doing::WaitingForConnection => (SessionState::WaitingForConnection, None, None),
    };
    row.set_state(state);
    row.since_micros = since.unwrap_or_default().0;
    row.approval = request.map(ToString::to_string).unwrap_or_default();
    row.statements = *statements;
    if shows_text {
        row.statement_text.clone_from(text);
    }
    row
}

/// Ends the session that the control plane names.
pub fn end(sessions: &Sessions, order: v1::EndSession) -> v1::SessionEnded {
    let v1::EndSession { number, session, by, reason, event } = order;
    let killed = Arc::new(crate::sessions::Killed { by, reason, event });
    let found = session.parse().is_ok_and(|id: SessionId| sessions.kill(&id, &killed));
    v1::SessionEnded { number, found }
}

#[cfg(test)]
mod tests {
    use writ_model::Timestamp;

    use super::*;
    use crate::sessions::SessionEvent;
    use crate::sessions::testing::enter;

    fn says(event: Option<SessionEvent>, doing: Doing, text: &str) {
        let Some(SessionEvent::Describe(tell)) = event else { panic!("{event:?}") };
        let session: SessionId = text.parse().expect("an id");
        let activity = Activity { doing, statements: 3, text: format!("text of {text}") };
        tell.send(Described { session, activity, held_since: Some(Timestamp(8)) })
            .expect("awaited");
    }

    #[tokio::test]
    async fn what_does_something_comes_first_and_silence_is_no_state() {
        let sessions = Arc::new(Sessions::default());
        let (_a, mut a) = enter(&sessions, "user:ada", "idle");
        let (_b, mut b) = enter(&sessions, "user:ada", "held");
        let (_c, _silent) = enter(&sessions, "user:ada", "busy");
        let ask =
            v1::ListSessions { number: 4, session: String::new(), texts_of: vec!["shop".into()] };
        let answering = async {
            let request = Some("apr-1".parse().expect("an id"));
            says(b.recv().await, Doing::Held { request }, "held");
            says(a.recv().await, Doing::Idle, "idle");
        };
        let (listed, ()) = tokio::join!(list(&sessions, ask), answering);
        let rows: Vec<_> =
            listed.sessions.iter().map(|s| (s.session.as_str(), s.state())).collect();
        assert_eq!(
            rows,
            [
                ("held", SessionState::Held),
                ("busy", SessionState::Unspecified),
                ("idle", SessionState::Idle)
            ]
        );
        let held = &listed.sessions[0];
        assert_eq!((held.approval.as_str(), held.since_micros, held.statements), ("apr-1", 8, 3));
        assert_eq!((listed.number, listed.left_off), (4, 0));
    }

    #[tokio::test]
    async fn a_text_is_shown_where_the_caller_answers_for_the_database() {
        for (texts_of, shown) in [(vec![], ""), (vec!["other"], ""), (vec!["shop"], "text of one")]
        {
            let sessions = Arc::new(Sessions::default());
            let (_one, mut one) = enter(&sessions, "user:ada", "one");
            let (_two, mut two) = enter(&sessions, "user:ada", "two");
            let texts_of = texts_of.into_iter().map(str::to_owned).collect();
            let ask = v1::ListSessions { number: 1, session: "one".into(), texts_of };
            let answering =
                async { says(one.recv().await, Doing::Running { since: Timestamp(9) }, "one") };
            let (listed, ()) = tokio::join!(list(&sessions, ask), answering);
            assert_eq!(listed.sessions.len(), 1, "only the one");
            assert_eq!(listed.sessions[0].statement_text, shown);
            assert_eq!(listed.sessions[0].since_micros, 9);
            assert!(two.try_recv().is_none(), "nobody else was asked");
        }
    }

    #[tokio::test]
    async fn one_session_is_ended_and_no_other() {
        let sessions = Arc::new(Sessions::default());
        let (_one, mut one) = enter(&sessions, "user:ada", "one");
        let (_two, mut two) = enter(&sessions, "user:ada", "two");
        let order = |session: &str| v1::EndSession {
            number: 5,
            session: session.to_owned(),
            by: "user:ben".into(),
            reason: "too long".into(),
            event: 17,
        };
        assert!(!end(&sessions, order("three")).found);
        assert!(!end(&sessions, order("")).found);
        assert!(one.try_recv().is_none() && two.try_recv().is_none());
        assert_eq!(end(&sessions, order("two")), v1::SessionEnded { number: 5, found: true });
        let Some(SessionEvent::Killed(killed)) = two.try_recv() else { panic!("not told") };
        assert_eq!(killed.to_string(), "killed by user:ben: too long");
        assert!(one.try_recv().is_none(), "control");
    }
}
