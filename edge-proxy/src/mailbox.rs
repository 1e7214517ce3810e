//! What reaches a session from outside its two connections. A session that nothing reaches holds a few words for it: most
//! sessions are idle, and there are many.

use std::task::{Context, Poll};

use futures::StreamExt;
use futures::channel::mpsc;

use crate::sessions::SessionEvent;

/// Tells one session something.
#[derive(Debug, Clone)]
pub struct EventSender(mpsc::UnboundedSender<SessionEvent>);

/// What one session is told.
#[derive(Debug)]
pub struct EventReceiver(mpsc::UnboundedReceiver<SessionEvent>);

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionOver;

/// A new session's events.
#[must_use]
pub fn mailbox() -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::unbounded();
    (EventSender(sender), EventReceiver(receiver))
}

impl EventSender {
    /// Tells the session; never waits.
    pub fn send(&self, event: SessionEvent) -> Result<(), SessionOver> {
        self.0.unbounded_send(event).map_err(|_| SessionOver)
    }
}

impl EventReceiver {
    /// The next event; `None`: nobody can send any more.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        self.0.poll_next_unpin(cx)
    }

    /// The next event, where one is there.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<SessionEvent> {
        self.0.try_recv().ok()
    }
}
