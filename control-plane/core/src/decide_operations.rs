//! What operators do to what runs: ending a session, and draining an edge.

use writ_model::{DatabaseName, DurationMs, EdgeId, PrincipalId, SessionId, Timestamp};

use crate::GROUP_ADMINS;
use crate::decide::{needs, short};
use crate::event::{ActorName, Event, NodeKind};
use crate::refusal::Refusal;
use crate::state::{Node, State};

/// The longest that sessions of a drained edge may go on.
pub const DRAIN_MAX: DurationMs = DurationMs::from_seconds(24 * 60 * 60);

/// A session as its edge described it to whoever asks to end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToEnd {
    /// The session.
    pub session: SessionId,
    /// Its edge.
    pub edge: EdgeId,
    /// Whose it is.
    pub principal: PrincipalId,
    /// The database that it is connected to.
    pub database: DatabaseName,
}

/// Who may see and end what goes on in a database: those who administer everything, and its owner's group.
fn answering_groups<'s>(state: &'s State, database: &DatabaseName) -> Vec<&'s str> {
    let owner = state.databases.get(database).map(|database| database.owner.as_str());
    [GROUP_ADMINS].into_iter().chain(owner).collect()
}

impl State {
    /// Whether the principal administers everything, or is in the group that owns the database.
    #[must_use]
    pub fn answers_for(&self, id: &PrincipalId, database: &DatabaseName) -> bool {
        self.is_member(id, &answering_groups(self, database))
    }
}

pub(crate) fn kill(
    state: &State,
    actor: &ActorName,
    target: &SessionToEnd,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    said("the reason", reason)?;
    needs(state, actor, &answering_groups(state, &target.database))?;
    let SessionToEnd { session, edge, principal, database } = target.clone();
    Ok(vec![Event::SessionKilled { session, edge, principal, database, reason: reason.to_owned() }])
}

fn known_edge<'s>(state: &'s State, name: &EdgeId) -> Result<&'s Node, Refusal> {
    let found = state.nodes.get(name).filter(|node| node.kind == NodeKind::Edge);
    found.ok_or_else(|| Refusal::NotFound {
        what: "edge",
        name: name.to_string(),
        list: "writ edges list",
    })
}

pub(crate) fn drain(
    state: &State,
    at: Timestamp,
    name: &EdgeId,
    deadline: DurationMs,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    known_edge(state, name)?;
    short("the reason", reason)?;
    if deadline > DRAIN_MAX {
        let hours = DRAIN_MAX.0 / 3_600_000;
        return Err(Refusal::Invalid(format!(
            "sessions of a drained edge go on for at most {hours} hours"
        )));
    }
    // Again is no repetition: the deadline is another one.
    let (name, reason) = (name.clone(), reason.to_owned());
    Ok(vec![Event::EdgeDrained { name, deadline: at.plus(deadline), reason }])
}

pub(crate) fn resume(state: &State, name: &EdgeId) -> Result<Vec<Event>, Refusal> {
    if known_edge(state, name)?.drain.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Event::EdgeResumed { name: name.clone() }])
}

/// A text for people that has to be there.
fn said(what: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::Invalid(format!(
            "{what} is empty; say why, for those who read it later"
        )));
    }
    short(what, text)
}
