//! What reaches a session from outside its two connections. A session that nothing reaches holds a few words for it, and
//! looks at one of them at each turn: most sessions are idle, and busy ones are told little.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::sessions::SessionEvent;

#[derive(Debug, Default)]
struct Mail {
    /// Something is in `events`, or the session is over.
    any: AtomicBool,
    /// `None`: the session is over.
    events: Mutex<Option<VecDeque<SessionEvent>>>,
    waker: AtomicWaker,
}

/// Tells one session something.
#[derive(Debug, Clone)]
pub struct EventSender(Arc<Mail>);

/// What one session is told. The session itself can always send: it does not end by itself.
#[derive(Debug)]
pub struct EventReceiver(Arc<Mail>);

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionOver;

/// A new session's events.
#[must_use]
pub fn mailbox() -> (EventSender, EventReceiver) {
    let mail = Arc::new(Mail { events: Mutex::new(Some(VecDeque::new())), ..Mail::default() });
    (EventSender(Arc::clone(&mail)), EventReceiver(mail))
}

impl EventSender {
    /// Tells the session; never waits.
    pub fn send(&self, event: SessionEvent) -> Result<(), SessionOver> {
        self.0.events.lock().as_mut().ok_or(SessionOver)?.push_back(event);
        self.0.any.store(true, Ordering::Release);
        self.0.waker.wake();
        Ok(())
    }
}

impl EventReceiver {
    /// The next event, where one is there.
    pub(crate) fn try_recv(&mut self) -> Option<SessionEvent> {
        if !self.0.any.load(Ordering::Acquire) {
            return None;
        }
        let mut events = self.0.events.lock();
        let event = events.as_mut().and_then(VecDeque::pop_front);
        if events.as_ref().is_none_or(VecDeque::is_empty) {
            self.0.any.store(false, Ordering::Relaxed);
        }
        event
    }

    /// The next event; where none is there, the task is woken when one comes.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<SessionEvent> {
        self.0.waker.register(cx.waker());
        // What was sent before the waker was known is here.
        self.try_recv().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next event.
    #[cfg(test)]
    pub(crate) async fn recv(&mut self) -> Option<SessionEvent> {
        Some(std::future::poll_fn(|cx| self.poll_recv(cx)).await)
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        // What was not received is dropped here, and with it whatever waits for an answer to it.
        self.0.events.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    #[test]
    fn events_come_in_their_order_until_the_session_is_over() {
        let (sender, mut receiver) = mailbox();
        assert!(receiver.try_recv().is_none());
        for event in [SessionEvent::Drain, SessionEvent::Revoked] {
            sender.send(event).expect("open");
        }
        assert!(matches!(receiver.try_recv(), Some(SessionEvent::Drain)));
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(matches!(receiver.poll_recv(&mut cx), Poll::Ready(SessionEvent::Revoked)));
        assert!(receiver.poll_recv(&mut cx).is_pending());
        drop(receiver);
        assert_eq!(sender.send(SessionEvent::Drain), Err(SessionOver));
    }

    #[tokio::test]
    async fn a_waiting_session_is_woken_and_what_it_leaves_is_let_go() {
        let (sender, mut receiver) = mailbox();
        let waits = tokio::spawn(async move {
            let event = std::future::poll_fn(|cx| receiver.poll_recv(cx)).await;
            (event, receiver)
        });
        tokio::task::yield_now().await;
        sender.send(SessionEvent::Drain).expect("open");
        let (event, receiver) = waits.await.expect("no panic");
        assert!(matches!(event, SessionEvent::Drain));
        let (done, over) = tokio::sync::oneshot::channel();
        sender.send(SessionEvent::Cancel(done)).expect("open");
        drop(receiver);
        over.await.expect_err("nobody deals with it any more");
    }
}
