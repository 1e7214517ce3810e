//! A session that meets a limit: it waits for its turn, or has no room for what it was sent.

use std::time::Duration;

use writ_edge_core::write::Message;
use writ_edge_core::{Cx, EndReason};
use writ_model::Timestamp;

use crate::connection::Connection;
use crate::limits::Limit;
use crate::sessions::SessionEvent;

/// What a session may hold where all together have no more room, in bytes: enough for messages on their way through.
const ROOM_BYTES: usize = 1024 * 1024;

impl Connection {
    /// Comes back to the session's next statement at `at`.
    pub(crate) fn wake_at(&self, at: Timestamp, refused: bool) {
        let metrics = &self.shared.metrics;
        if refused {
            metrics.limited(Limit::Statements);
        } else {
            metrics.statements_delayed.add(1);
        }
        let wait = u64::try_from(at.0.saturating_sub((self.shared.clock)().0)).unwrap_or(0);
        let events = self.events.clone();
        self.shared.background.spawn(async move {
            tokio::time::sleep(Duration::from_micros(wait)).await;
            // Where nobody listens, the session is over.
            let _ = events.send(SessionEvent::Wake);
        });
    }

    /// Counts what the session's buffers hold. Where all sessions hold what they may, larger messages are refused from
    /// here on, and a session that holds one of the server's ends.
    pub(crate) fn note_buffers(&mut self) {
        let from_upstream = self.link.side().map_or(0, |side| side.inbox.capacity());
        let bytes = self.client.inbox.capacity()
            + from_upstream
            + self.outbox.to_client.capacity()
            + self.outbox.to_upstream().capacity();
        let grows = self.buffers.set(bytes);
        let full = self.buffers.all().is_full();
        self.session.set_message_room(if full { ROOM_BYTES } else { usize::MAX });
        let ends = full && grows && from_upstream > ROOM_BYTES;
        if !ends || self.session.ended().is_some() {
            return;
        }
        self.shared.metrics.limited(Limit::Buffers);
        let crate::client::Refused { code, reason, hint } = self.buffers.all().refusal();
        let message = Message::fatal(code, reason, hint);
        let now = (self.shared.clock)();
        let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
        self.session.end_saying(&message, EndReason::Unavailable, &mut cx);
    }
}
