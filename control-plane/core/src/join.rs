//! One request for all sessions that wait with the same statement, without approving more than a voter saw (C4).

use writ_model::{ApprovalId, Timestamp};

use crate::approval::{Approval, ApprovalRequest, ApprovalStatus};
use crate::decide_approval::APPROVAL_EXPIRES_MAX;
use crate::event::Event;
use crate::refusal::Refusal;
use crate::seats::WaitingSession;
use crate::state::State;

/// The most sessions that ever join one request; the next one makes a new request, which others join.
pub const SESSIONS_JOINED_MAX: usize = 500;
/// How much of its time to wait a request must have left to be joined, so that nobody who joins waits less than
/// that share of what policy says.
pub const JOIN_TIME_LEFT_PERCENT_MIN: u64 = 50;

/// The request that a session may join instead of making one of its own.
///
/// A request that somebody said yes to is joined by nobody: what was approved does not grow.
pub(crate) fn open_for<'s>(
    state: &'s State,
    at: Timestamp,
    who: &WaitingSession,
    request: &ApprovalRequest,
) -> Option<&'s Approval> {
    request.joint_digest?;
    let expires = request.expires.0.min(APPROVAL_EXPIRES_MAX.0);
    let time_left_min = expires.saturating_mul(JOIN_TIME_LEFT_PERCENT_MIN) / 100;
    state
        .approvals
        .values()
        .filter(|a| a.status == ApprovalStatus::Pending && a.votes.is_empty())
        .filter(|a| a.request.joint_digest == request.joint_digest)
        .filter(|a| a.seats.joined() < SESSIONS_JOINED_MAX)
        .filter(|a| a.expires_at > at && a.expires_at.since(at).0 >= time_left_min)
        // Digests are the edge's word: everything that approvers are shown is the same too.
        .find(|a| who.request(&a.request) == *request)
}

/// How many waiting sessions a yes is for. Who does not say saw one.
pub(crate) fn seen(approval: &Approval, said: Option<u32>) -> Result<usize, Refusal> {
    let waiting = approval.seats.count(ApprovalStatus::Pending);
    match said {
        None if waiting > 1 => Err(Refusal::HowMany { id: approval.id.to_string(), waiting }),
        None => Ok(1),
        Some(0) => Err(Refusal::Invalid("an approval is for at least one session".to_owned())),
        Some(said) => Ok(usize::try_from(said).unwrap_or(usize::MAX)),
    }
}

/// Moves those behind the first `seen` into `follow_up`, which nobody has voted on and which waits no longer.
pub(crate) fn move_unseen(
    state: &State,
    approval: &Approval,
    seen: usize,
    follow_up: &ApprovalId,
) -> Result<Vec<Event>, Refusal> {
    let Some((first, seat)) = approval.seats.unseen(seen) else { return Ok(Vec::new()) };
    if state.approvals.contains_key(follow_up) {
        return Err(Refusal::Conflict(format!("approval {follow_up} exists already; try again")));
    }
    let requested = Event::ApprovalRequested {
        id: follow_up.clone(),
        edge: seat.who.edge.clone(),
        request: Box::new(seat.who.request(&approval.request)),
        involved: approval.involved.clone(),
        expires_at: approval.expires_at,
    };
    let moved = Event::ApprovalMoved {
        id: approval.id.clone(),
        to: follow_up.clone(),
        first_seat: u32::try_from(first).unwrap_or(u32::MAX),
    };
    Ok(vec![requested, moved])
}
