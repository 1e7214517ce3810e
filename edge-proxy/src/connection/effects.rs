//! What reaches a session from outside its two connections, and what its core wants done outside of them.

use std::sync::Arc;

use tokio::sync::mpsc;
use writ_edge_core::write::Message;
use writ_edge_core::{Cx, Effect, EndReason};
use writ_model::{Timestamp, sqlstate};

use super::{Connection, Link, Sharing};
use crate::database::expected_rows;
use crate::live::SHOWN_TEXT_BYTES_MAX;
use crate::pool::Hold;
use crate::sessions::{Described, SessionEvent};

impl Connection {
    /// Asks the server to cancel what runs, where something does.
    pub(crate) fn cancel_running(&self) {
        if self.session.running_since().is_some() {
            self.cancel_upstream(|| {});
        }
    }

    /// Deals with one event.
    pub(super) fn on_event(&mut self, event: SessionEvent) {
        if let SessionEvent::Describe(answers) = event {
            return self.describe(&answers);
        }
        if matches!(event, SessionEvent::Revoked | SessionEvent::Killed(_) | SessionEvent::Kill) {
            // C4: what runs is ended, and does not run on behind a connection that is gone.
            self.cancel_running();
        }
        let now = (self.shared.clock)();
        let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
        match event {
            SessionEvent::Cancel(done) => {
                if self.session.on_cancel(&mut cx) {
                    self.cancel_upstream(move || drop(done));
                }
            }
            SessionEvent::Estimate(rows) => self.session.on_estimate(rows),
            SessionEvent::Wake => self.session.on_wake(),
            SessionEvent::CancelSent => self.session.on_cancel_sent(),
            SessionEvent::Approval(number, news) => self.on_approval(number, news),
            SessionEvent::DatabaseFresh => self.session.on_database_fresh(),
            SessionEvent::Revoked => {
                let text = "this principal's access was revoked";
                self.session.end_with(sqlstate::ADMIN_SHUTDOWN, text, EndReason::Revoked, &mut cx);
            }
            SessionEvent::Killed(killed) => {
                let mut message = Message::fatal(
                    sqlstate::ADMIN_SHUTDOWN,
                    format!("this session was ended by {}: {}", killed.by, killed.reason),
                    "ask them before you connect again",
                );
                message.detail = format!("event={}", killed.event);
                self.session.end_saying(&message, EndReason::Killed, &mut cx);
                self.killed = Some(killed);
            }
            // Answered above.
            SessionEvent::Describe(_) => {}
            SessionEvent::Drain => self.draining = true,
            SessionEvent::Resume => self.draining = false,
            SessionEvent::Kill => {
                self.session.end_with(
                    sqlstate::ADMIN_SHUTDOWN,
                    super::DRAINED,
                    EndReason::Drained,
                    &mut cx,
                );
            }
        }
    }

    /// Says what the session does.
    fn describe(&self, answers: &mpsc::UnboundedSender<Described>) {
        let held_since = self.held.map(|since| {
            let micros = i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX);
            Timestamp((self.shared.clock)().0.saturating_sub(micros))
        });
        let activity = self.session.activity(SHOWN_TEXT_BYTES_MAX);
        // Who asked may have given up.
        let session = self.session.id().clone();
        let _ = answers.send(Described { session, activity, held_since });
    }

    /// Does what the core wants done.
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Sync(_) => self.shared.spool.request_sync(),
            Effect::Acquire => self.acquire(),
            Effect::StopAcquiring => self.stop_acquiring(),
            Effect::Wake { at, refused } => self.wake_at(at, refused),
            Effect::RequestApproval(ask) => self.request_approval(*ask),
            Effect::UseGrant { number, id, digest, epoch } => {
                self.use_grant(number, id, digest, epoch);
            }
            Effect::CancelApproval { reason, .. } => self.give_up_approval(reason),
            Effect::Estimate { search_path, text, parameters } => {
                let served = Arc::clone(&self.served);
                let role = self.session.gate_mut().role().map(str::to_owned);
                let events = self.events.clone();
                self.shared.background.spawn(async move {
                    let (target, role) = (served.target(), role.as_deref());
                    let rows = expected_rows(target, role, &search_path, &text, parameters).await;
                    let _ = events.send(SessionEvent::Estimate(rows));
                });
            }
            Effect::CancelUpstream => {
                let events = self.events.clone();
                // Where nobody listens, the session is over.
                self.cancel_upstream(move || {
                    let _ = events.send(SessionEvent::CancelSent);
                });
            }
            Effect::RefreshDatabase => {
                let served = Arc::clone(&self.served);
                let events = self.events.clone();
                self.shared.background.spawn(async move {
                    served.refresh().await;
                    let _ = events.send(SessionEvent::DatabaseFresh);
                });
            }
            Effect::End(reason) => {
                self.end = Some(reason);
                let now = (self.shared.clock)();
                let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
                self.session.note_unrun(&self.client.inbox, &mut cx);
            }
        }
    }

    /// Asks the server to cancel what it runs, and calls `then` afterwards, however that went.
    fn cancel_upstream(&self, then: impl FnOnce() + Send + 'static) {
        let database = self.served.database().clone();
        let (key, hold) = match &self.link {
            Link::Own { cancel_key, .. } => (Some(cancel_key), None),
            Link::Shared(Sharing { leased: Some(leased), .. }) => {
                (Some(&leased.pooled.cancel_key), leased.pooled.hold())
            }
            Link::Shared(_) => (None, None),
        };
        let Some(key) = key.cloned() else { return then() };
        self.shared.background.spawn(async move {
            // The next session in this connection comes after it.
            let hold = hold;
            let asked = crate::upstream::cancel(&database, &key).await;
            if let Err(reason) = asked {
                hold.iter().for_each(Hold::lost);
                tracing::warn!(%reason, "a cancel request could not be passed on");
            }
            then();
        });
    }
}
