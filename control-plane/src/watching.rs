//! Streams of what changes: each is a task that ends with its reader, or with the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use writ_control_core::{Approval, ApprovalStatus, State};
use writ_model::{ApprovalId, EdgeId, EventSeq};
use writ_proto::v1;

use crate::convert::{wire_approval, wire_event, wire_seat};
use crate::raft::Store;

/// Messages that wait for a slow reader.
pub(crate) const WAITING_MESSAGES_MAX: usize = 64;
/// Events that are read at one time.
const PAGE_EVENTS: usize = 256;

pub(crate) type Stream<T> = ReceiverStream<Result<T, Status>>;
type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// Waits for a change of state. False: the reader or the server is gone.
async fn changed<T>(
    state: &mut watch::Receiver<Arc<State>>,
    sender: &Sender<T>,
    stop: &CancellationToken,
) -> bool {
    tokio::select! {
        changed = state.changed() => changed.is_ok(),
        () = sender.closed() => false,
        () = stop.cancelled() => {
            let gone = Status::unavailable("the control plane is stopping; connect again");
            let _ = sender.try_send(Err(gone));
            false
        }
    }
}

/// Where a session waits.
pub(crate) struct Place {
    pub(crate) edge: EdgeId,
    pub(crate) key: String,
    pub(crate) id: ApprovalId,
}

/// What one session sees of its approval: now, and each change until it has ended. Others that join or leave are no change.
pub(crate) fn seat(
    mut place: Place,
    mut state: watch::Receiver<Arc<State>>,
    stop: CancellationToken,
) -> Stream<v1::Approval> {
    let (sender, stream) = mpsc::channel(WAITING_MESSAGES_MAX);
    tokio::spawn(async move {
        let mut sent: Option<(ApprovalId, ApprovalStatus, usize)> = None;
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            let Some((approval, seat)) = now.seat(&place.edge, &place.key, Some(&place.id)) else {
                return;
            };
            let mark = (approval.id.clone(), seat.status, approval.votes.len());
            if sent.as_ref() != Some(&mark) {
                if sender.send(Ok(wire_seat(approval, seat))).await.is_err()
                    || seat.status.is_final()
                {
                    return;
                }
                place.id = approval.id.clone();
                sent = Some(mark);
            }
            if !changed(&mut state, &sender, &stop).await {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}

/// All approvals that `visible` lets through: pending ones now, then each change.
pub(crate) fn approvals(
    mut state: watch::Receiver<Arc<State>>,
    visible: impl Fn(&State, &Approval) -> bool + Send + 'static,
    stop: CancellationToken,
) -> Stream<v1::Approval> {
    let (sender, stream) = mpsc::channel(WAITING_MESSAGES_MAX);
    tokio::spawn(async move {
        let mut seen: BTreeMap<ApprovalId, (ApprovalStatus, usize, u32)> = BTreeMap::new();
        let mut first = true;
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            let mut news = Vec::new();
            for approval in now.approvals.values().filter(|a| visible(&now, a)) {
                let waiting = approval.seats.count(ApprovalStatus::Pending);
                // In a storm, each doubling is news, not each session.
                let many = waiting.checked_ilog2().unwrap_or_default();
                let mark = (approval.status, approval.votes.len(), many);
                let known = seen.insert(approval.id.clone(), mark) == Some(mark);
                if !known && (!first || approval.status == ApprovalStatus::Pending) {
                    news.push(wire_approval(approval));
                }
            }
            for approval in news {
                if sender.send(Ok(approval)).await.is_err() {
                    return;
                }
            }
            seen.retain(|id, _| now.approvals.contains_key(id));
            first = false;
            if !changed(&mut state, &sender, &stop).await {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}

/// The event log from `from` on; with `follow`, for ever.
pub(crate) fn events(
    store: Arc<Store>,
    from: EventSeq,
    follow: bool,
    mut state: watch::Receiver<Arc<State>>,
    stop: CancellationToken,
) -> Stream<v1::Event> {
    let (sender, stream) = mpsc::channel(WAITING_MESSAGES_MAX);
    tokio::spawn(async move {
        let mut next = EventSeq(from.0.max(1));
        loop {
            state.borrow_and_update();
            let page = match store.events(next, PAGE_EVENTS) {
                Ok(page) => page,
                Err(error) => {
                    let _ = sender.send(Err(Status::internal(error.to_string()))).await;
                    return;
                }
            };
            for envelope in &page {
                if sender.send(Ok(wire_event(envelope))).await.is_err() {
                    return;
                }
                next = EventSeq(envelope.seq.0.saturating_add(1));
            }
            if page.is_empty() && (!follow || !changed(&mut state, &sender, &stop).await) {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}
