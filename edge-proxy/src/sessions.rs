//! The sessions that are open: found by cancel key, by principal, and all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use writ_audit::SessionProfile;
use writ_edge_core::rate::Rate;
use writ_edge_core::startup::CancelRequest;
use writ_edge_core::{Activity, ApprovalNews, EndReason};
use writ_model::config::EdgeConfig;
use writ_model::{Actor, PrincipalId, Secret, SessionId, Timestamp};

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
    /// Somebody asks what it does.
    Describe(mpsc::UnboundedSender<Described>),
    /// Its principal may not go on.
    Revoked,
    /// An operator ends it.
    Killed(Arc<Killed>),
    /// The edge is drained or shuts down: end as soon as nothing is under way.
    Drain,
    /// It is drained no more.
    Resume,
    /// End now.
    Kill,
}

/// What a session says of itself.
#[derive(Debug, Clone)]
pub struct Described {
    /// Which.
    pub session: SessionId,
    /// What it does.
    pub activity: Activity,
    /// Since when its statement waits for an approval, where one does.
    pub held_since: Option<Timestamp>,
}

/// Who ended a session, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// The principal.
    pub by: String,
    /// In its words.
    pub reason: String,
    /// The event in the control plane's log.
    pub event: u64,
}

impl fmt::Display for Killed {
    /// As the session's record has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}: {}", EndReason::Killed.as_str(), self.by, self.reason)
    }
}

/// One session: whose it is, and how to reach it.
#[derive(Clone)]
pub struct Reach {
    /// Lets its client cancel; from a secure source of randomness.
    pub key: Secret<Vec<u8>>,
    /// Whose it is, with everyone it acts for.
    pub actor: Arc<Actor>,
    /// Who and from where, as records have it.
    pub profile: Arc<SessionProfile>,
    /// When it began.
    pub opened_at: Timestamp,
    /// What reaches it.
    pub events: EventSender,
}

/// A session that is open.
struct Open {
    reach: Reach,
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
    open: Mutex<HashMap<i32, Open>>,
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
    /// Takes a session in.
    pub fn enter(self: &Arc<Self>, reach: Reach) -> Place {
        let mut open = self.open.lock();
        let process_id = loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if id != 0 && !open.contains_key(&id) {
                break id;
            }
        };
        open.insert(process_id, Open { reach, cancels: cancel_rate() });
        Place { sessions: Arc::clone(self), process_id }
    }

    /// Cancels what the session with this key runs. A wrong key does nothing, and nobody is told.
    pub fn cancel(&self, request: &CancelRequest, now: Timestamp) -> Cancelled {
        let open = self.open.lock();
        let Some(Open { reach, cancels }) = open.get(&request.process_id) else {
            return Cancelled::InVain;
        };
        // In constant time, and as a whole: the beginning of a key is none.
        let (key, given) = (reach.key.expose(), request.key.expose());
        if aws_lc_rs::constant_time::verify_slices_are_equal(key, given).is_err() {
            return Cancelled::InVain;
        }
        // Each is a connection to the database of its own.
        if !cancels.take_now(now) {
            return Cancelled::TooMany;
        }
        let (done, over) = oneshot::channel();
        let _ = reach.events.send(SessionEvent::Cancel(done));
        Cancelled::Told(over)
    }

    /// Ends the sessions of `principal` and of everyone who acts for it.
    pub fn revoke(&self, principal: &PrincipalId) {
        for Open { reach, .. } in
            self.open.lock().values().filter(|o| o.reach.actor.involves(principal))
        {
            let _ = reach.events.send(SessionEvent::Revoked);
        }
    }

    /// Ends the sessions of everyone whom `config` lets in no more, whatever was missed of what was said about it (E5).
    pub fn sweep(&self, config: &EdgeConfig) {
        for Open { reach, .. } in self.open.lock().values() {
            if config.actor(&reach.actor.principal.id).is_err() {
                let _ = reach.events.send(SessionEvent::Revoked);
            }
        }
    }

    /// Asks the session of this id, or every one where it is empty, what it does: they tell `answers`. Returns whom it asked.
    pub fn describe(
        &self,
        session: &str,
        answers: &mpsc::UnboundedSender<Described>,
    ) -> Vec<Reach> {
        let open = self.open.lock();
        let wanted =
            |reach: &&Reach| session.is_empty() || reach.profile.session.as_str() == session;
        let asked: Vec<Reach> =
            open.values().map(|open| &open.reach).filter(wanted).cloned().collect();
        for reach in &asked {
            // One that is ending says nothing, and is listed without what it does.
            let _ = reach.events.send(SessionEvent::Describe(answers.clone()));
        }
        asked
    }

    /// Ends one session. False: there is none of this id.
    pub fn kill(&self, session: &SessionId, killed: &Arc<Killed>) -> bool {
        let open = self.open.lock();
        let found =
            open.values().map(|open| &open.reach).find(|reach| reach.profile.session == *session);
        found.is_some_and(|reach| {
            reach.events.send(SessionEvent::Killed(Arc::clone(killed))).is_ok()
        })
    }

    /// Tells every session.
    pub fn tell_all(&self, event: impl Fn() -> SessionEvent) {
        for Open { reach, .. } in self.open.lock().values() {
            let _ = reach.events.send(event());
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }
}

/// Sessions for tests.
#[cfg(test)]
pub(crate) mod testing {
    use writ_model::Principal;

    use super::*;
    use crate::mailbox::{EventReceiver, mailbox};

    pub(crate) fn config(who: &str, disabled: bool) -> EdgeConfig {
        let id: PrincipalId = who.parse().expect("an id");
        let principal = Principal {
            id: id.clone(),
            display_name: who.to_owned(),
            groups: [].into(),
            on_behalf_of: None,
            disabled,
        };
        EdgeConfig { principals: [(id, principal)].into(), ..EdgeConfig::default() }
    }

    pub(crate) fn reach(who: &str, session: &str, key: &[u8]) -> (Reach, EventReceiver) {
        let (events, incoming) = mailbox();
        let principal: PrincipalId = who.parse().expect("an id");
        let actor = config(who, false).actor(&principal).expect("an actor");
        let profile = SessionProfile {
            session: session.parse().expect("an id"),
            principal,
            on_behalf_of: vec![],
            client_address: "127.0.0.1:1".into(),
            application_name: "test".into(),
            database: "shop".parse().expect("a name"),
            environment: "prod".parse().expect("a name"),
            database_role: "app".into(),
        };
        let reach = Reach {
            key: Secret::new(key.to_vec()),
            actor: Arc::new(actor),
            profile: Arc::new(profile),
            opened_at: Timestamp(1),
            events,
        };
        (reach, incoming)
    }

    pub(crate) fn enter(
        sessions: &Arc<Sessions>,
        who: &str,
        session: &str,
    ) -> (Place, EventReceiver) {
        let (reach, incoming) = reach(who, session, &[0; 4]);
        (sessions.enter(reach), incoming)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::testing::{config, enter, reach};
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn key(bytes: &[u8]) -> Secret<Vec<u8>> {
        Secret::new(bytes.to_vec())
    }

    #[test]
    fn only_the_whole_key_of_the_session_cancels() {
        let sessions = Arc::new(Sessions::default());
        let long: Vec<u8> = (0..32).collect();
        for own in [&long[..], &long[..4]] {
            let (reach, mut incoming) = reach("user:ada", "s", own);
            let place = sessions.enter(reach);
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
        let sessions = Arc::new(Sessions::default());
        let flooding = |session| {
            let (reach, incoming) = reach("user:ada", session, &[7; 4]);
            (sessions.enter(reach), incoming)
        };
        let ((flooded, mut incoming), (other, _incoming)) = (flooding("a"), flooding("b"));
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
        let sessions = Arc::new(Sessions::default());
        let (_ada, mut of_ada) = enter(&sessions, "user:ada", "a");
        let (_dana, mut of_dana) = enter(&sessions, "user:dana", "d");
        let config = |disabled| {
            let mut both = config("user:ada", false);
            both.principals.extend(config("user:dana", disabled).principals);
            both
        };
        sessions.sweep(&config(false));
        assert!(of_dana.try_recv().is_none(), "control: enabled");
        sessions.sweep(&config(true));
        assert!(matches!(of_dana.try_recv(), Some(SessionEvent::Revoked)));
        assert!(of_ada.try_recv().is_none(), "nobody else");
    }
}
