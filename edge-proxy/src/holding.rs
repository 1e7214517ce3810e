//! A session whose statement waits for an approval, or runs with one.

use std::sync::Arc;
use std::time::Instant;

use writ_edge_core::{ApprovalAsk, ApprovalNews, Cx, EndReason};
use writ_model::{ApprovalId, BindingDigest, Epoch, sqlstate};

use crate::approvals::{News, Requester, Using};
use crate::connection::Connection;
use crate::database::estimate_rows;

impl Connection {
    fn news_of(&self, number: u64) -> News {
        News { number, events: self.events.clone() }
    }

    pub(crate) fn request_approval(&mut self, ask: ApprovalAsk) {
        let requester = Requester {
            profile: self.session.profile().clone(),
            database_owner: self.served.database().owner.clone(),
        };
        let served = Arc::clone(&self.served);
        let role = self.session.gate_mut().role().map(str::to_owned);
        let path = ask.binding.search_path.clone();
        let text = String::from_utf8_lossy(&ask.binding.statement).into_owned();
        let bind = ask.binding.bind.clone();
        let rows = async move {
            let tail = (!bind.is_empty()).then_some(bind.as_slice());
            estimate_rows(served.target(), role.as_deref(), &path, &text, tail).await
        };
        let news = self.news_of(ask.number);
        self.asking = Some(self.shared.approvals.ask(ask, requester, rows, news));
    }

    pub(crate) fn use_grant(
        &self,
        number: u64,
        id: ApprovalId,
        digest: BindingDigest,
        epoch: Epoch,
    ) {
        let key = self.asking.as_ref().map(|asking| asking.key.clone()).unwrap_or_default();
        let using = Using { id, key, digest, epoch };
        self.shared.approvals.use_grant(using, self.news_of(number));
    }

    pub(crate) fn give_up_approval(&mut self, reason: &'static str) {
        if let Some(asking) = self.asking.take() {
            asking.give_up(reason);
        }
    }

    pub(crate) fn on_approval(&mut self, number: u64, news: ApprovalNews) {
        let ended = match &news {
            ApprovalNews::Ended(reason) => Some(reason.clone()),
            _ => None,
        };
        // Where another statement is held, the news are its own.
        let runs = !self.session.is_held() && self.session.runs_approved(number);
        if runs && ended.is_some() {
            // C4: revoking ends what is running, also where the answer to the cancel would come too late.
            self.cancel_running();
        }
        let now = (self.shared.clock)();
        let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
        match ended {
            Some(reason) if runs => {
                let text = format!("the approval of what this session runs has ended: {reason}");
                let code = sqlstate::ADMIN_SHUTDOWN;
                self.session.end_with(code, &text, EndReason::Revoked, &mut cx);
            }
            _ => self.session.on_approval(number, news, &mut cx),
        }
    }

    /// Counts statements that wait for an approval, and how long they did; stops following one that is over.
    pub(crate) fn note_held(&mut self) {
        let metrics = &self.shared.metrics;
        let held = self.session.is_held();
        match (held, self.held) {
            (true, None) => {
                self.held = Some(Instant::now());
                metrics.held.add(1);
            }
            (false, Some(since)) => {
                self.held = None;
                metrics.held.add(-1);
                metrics.approval_wait.observe_since(since);
            }
            (true, Some(_)) | (false, None) => {}
        }
        let over = |number| !held && !self.session.runs_approved(number);
        if self.asking.as_ref().is_some_and(|asking| over(asking.number))
            && let Some(asking) = self.asking.take()
        {
            asking.forget();
        }
    }
}
