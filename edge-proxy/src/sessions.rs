//! The sessions that are open: found by cancel key, by principal, and all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use writ_edge_core::ApprovalNews;
use writ_edge_core::rate::Rate;
use writ_edge_core::startup::CancelRequest;
use writ_model::config::EdgeConfig;
use writ_model::{Actor, PrincipalId, Secret, Timestamp};

use crate::limits::cancel_rate;
use crate::mailbox::EventSender;

/// What reaches a session from outside its two connections.
#[derive(Debug)]
pub enum SessionEvent {
    /// The client asked to cancel, over another connection; whoever asked waits until this is dropped.
    Cancel(oneshot::Sender<()>),
    /// The planner was asked how many rows it expects.
    Estimate(Option<u64>),
    /// The turn of a statement that waits for it has come.
    Wake,
    /// A cancel request of its own is over.
    CancelSent,
    /// News of the approval it waits for.
    Approval(u64, ApprovalNews),
    /// The database was read again.
    DatabaseFresh,
    /// Its principal may not go on.
    Revoked,
    /// The edge is shutting down: end as soon as nothing is under way.
    Drain,
    /// End now.
    Kill,
}

/// How to reach one session.
struct Reach {
    key: Secret<Vec<u8>>,
    actor: Arc<Actor>,
    events: EventSender,
    cancels: Rate,
}

/// What became of a cancel request. Its sender is not told.
#[derive(Debug)]
pub enum Cancelled {
    /// The session knows; this ends when the request is over: the database had it, or there was nothing to cancel.
    Told(oneshot::Receiver<()>),
    /// There is no such session, or that is not its key.
    InVain,
    /// The session had too many in the last second: what they ask for is under way.
    TooMany,
}

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    next: AtomicI32,
    open: Mutex<HashMap<i32, Reach>>,
}

/// A session's place among the open ones; leaving it takes it out.
pub struct Place {
    sessions: Arc<Sessions>,
    /// The number that the client gets as its process id.
    pub process_id: i32,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.open.lock().remove(&self.process_id);
    }
}

impl Sessions {
    /// Takes a session in. `key` lets its client cancel, and must come from a secure source of randomness.
    pub fn enter(
        self: &Arc<Self>,
        key: Secret<Vec<u8>>,
        actor: Arc<Actor>,
        events: EventSender,
    ) -> Place {
        let mut open = self.open.lock();
        let process_id = loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if id != 0 && !open.contains_key(&id) {
                break id;
            }
        };
        open.insert(process_id, Reach { key, actor, events, cancels: cancel_rate() });
        Place { sessions: Arc::clone(self), process_id }
    }

    /// Cancels what the session with this key runs. A wrong key does nothing, and nobody is told.
    pub fn cancel(&self, request: &CancelRequest, now: Timestamp) -> Cancelled {
        let open = self.open.lock();
        let Some(reach) = open.get(&request.process_id) else { return Cancelled::InVain };
        // In constant time, and as a whole: the beginning of a key is none.
        let (key, given) = (reach.key.expose(), request.key.expose());
        if aws_lc_rs::constant_time::verify_slices_are_equal(key, given).is_err() {
            return Cancelled::InVain;
        }
        // Each is a connection to the database of its own.
        if !reach.cancels.take_now(now) {
            return Cancelled::TooMany;
        }
        let (done, over) = oneshot::channel();
        let _ = reach.events.send(SessionEvent::Cancel(done));
        Cancelled::Told(over)
    }

    /// Ends the sessions of `principal` and of everyone who acts for it.
    pub fn revoke(&self, principal: &PrincipalId) {
        for reach in self.open.lock().values().filter(|r| r.actor.involves(principal)) {
            let _ = reach.events.send(SessionEvent::Revoked);
        }
    }

    /// Ends the sessions of everyone whom `config` lets in no more, whatever was missed of what was said about it (E5).
    pub fn sweep(&self, config: &EdgeConfig) {
        for reach in self.open.lock().values() {
            if config.actor(&reach.actor.principal.id).is_err() {
                let _ = reach.events.send(SessionEvent::Revoked);
            }
        }
    }

    /// Tells every session.
    pub fn tell_all(&self, event: impl Fn() -> SessionEvent) {
        for reach in self.open.lock().values() {
            let _ = reach.events.send(event());
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;
    use writ_model::Principal;

    use super::*;
    use crate::mailbox::mailbox;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn key(bytes: &[u8]) -> Secret<Vec<u8>> {
        Secret::new(bytes.to_vec())
    }

    #[test]
    fn only_the_whole_key_of_the_session_cancels() {
        let sessions = Arc::new(Sessions::default());
        let principal = Principal {
            id: "user:ada".parse().expect("an id"),
            display_name: "ada".to_owned(),
            groups: [].into(),
            on_behalf_of: None,
            disabled: false,
        };
        let config = EdgeConfig {
            principals: [(principal.id.clone(), principal)].into(),
            ..EdgeConfig::default()
        };
        let actor = config.actor(&"user:ada".parse().expect("an id")).expect("an actor");
        let long: Vec<u8> = (0..32).collect();
        for own in [&long[..], &long[..4]] {
            let (events, mut incoming) = mailbox();
            let place = sessions.enter(key(own), Arc::new(actor.clone()), events);
            let mut cancels = |process_id, given: &[u8]| {
                let request = CancelRequest { process_id, key: key(given) };
                let cancelled = sessions.cancel(&request, NOW);
                let asked = incoming.try_recv();
                match cancelled {
                    // Who asked waits as long as the session deals with it.
                    Cancelled::Told(mut over) => {
                        assert_eq!(over.try_recv(), Err(TryRecvError::Empty));
                        assert!(asked.is_some());
                        true
                    }
                    Cancelled::InVain | Cancelled::TooMany => {
                        assert!(asked.is_none());
                        false
                    }
                }
            };
            let mut last_differs = own.to_vec();
            *last_differs.last_mut().expect("a byte") ^= 1;
            let too_long = [own, &[0]].concat();
            for wrong in [&own[..own.len() - 1], &own[..3], &last_differs, &too_long, &[]] {
                assert!(!cancels(place.process_id, wrong), "{wrong:?} of {own:?}");
            }
            assert_eq!(cancels(place.process_id, &long[..4]), own.len() == 4, "the beginning");
            assert!(!cancels(place.process_id + 1, own), "another session");
            assert!(cancels(place.process_id, own), "control");
        }
    }

    #[test]
    fn a_flood_of_cancel_requests_reaches_the_database_at_a_bounded_rate() {
        let (sessions, id) = (Arc::new(Sessions::default()), "user:ada".parse().expect("an id"));
        let principal = Principal {
            id,
            display_name: "ada".to_owned(),
            groups: [].into(),
            on_behalf_of: None,
            disabled: false,
        };
        let actor = Arc::new(Actor { principal, chain: vec![] });
        let enter = || {
            let (events, incoming) = mailbox();
            (sessions.enter(key(&[7; 4]), Arc::clone(&actor), events), incoming)
        };
        let ((flooded, mut incoming), (other, _incoming)) = (enter(), enter());
        let cancel = |place: &Place, now| {
            let request = CancelRequest { process_id: place.process_id, key: key(&[7; 4]) };
            sessions.cancel(&request, now)
        };
        let told = |place, now| matches!(cancel(place, now), Cancelled::Told(_));
        assert_eq!((0..1_000).filter(|_| told(&flooded, NOW)).count(), 10);
        assert_eq!(std::iter::from_fn(|| incoming.try_recv()).count(), 10);
        assert!(matches!(cancel(&flooded, NOW), Cancelled::TooMany));
        assert!(told(&other, NOW), "control: another session");
        assert!(told(&flooded, Timestamp(NOW.0 + 1_000_000)), "later");
    }

    #[test]
    fn a_configuration_ends_the_sessions_of_those_whom_it_lets_in_no_more() {
        let principal = |id: &str, disabled| Principal {
            id: id.parse().expect("an id"),
            display_name: id.to_owned(),
            groups: [].into(),
            on_behalf_of: None,
            disabled,
        };
        let config = |disabled| {
            let all = [principal("user:ada", false), principal("user:dana", disabled)];
            let principals = all.map(|p| (p.id.clone(), p)).into();
            EdgeConfig { principals, ..EdgeConfig::default() }
        };
        let sessions = Arc::new(Sessions::default());
        let enter = |id: &str| {
            let (events, incoming) = mailbox();
            let actor = config(false).actor(&id.parse().expect("an id")).expect("an actor");
            (sessions.enter(key(&[0; 4]), Arc::new(actor), events), incoming)
        };
        let (_ada, mut of_ada) = enter("user:ada");
        let (_dana, mut of_dana) = enter("user:dana");
        sessions.sweep(&config(false));
        assert!(of_dana.try_recv().is_none(), "control: enabled");
        sessions.sweep(&config(true));
        assert!(matches!(of_dana.try_recv(), Some(SessionEvent::Revoked)));
        assert!(of_ada.try_recv().is_none(), "nobody else");
    }
}
