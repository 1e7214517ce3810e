//! What a process does from when it can be taken over until it ends because it was.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cancels::Cancels;
use super::old::Old;
use crate::client::{Door, STARTUP_TIMEOUT};
use crate::drain::Drain;

/// How long clients that came just before the sockets were handed over may use their connection before it ends where it
/// is idle: long enough for a program that connects to run what it connected for.
pub const SETTLE: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody logs in.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process that may be taken over from.
pub struct Retiring {
    /// What is handed over.
    pub old: Arc<Old>,
    /// Where new processes ask; `None`: nowhere, and this process goes on until it is told to end.
    pub socket: Option<UnixListener>,
    /// What cancels reach.
    pub cancels: Arc<Cancels>,
    /// True: no more connections are taken.
    pub stop: watch::Sender<bool>,
    /// Ends the sessions.
    pub drain: Arc<Drain>,
    /// Who comes in.
    pub door: Arc<Door>,
    /// How long sessions may finish what they do.
    pub patience: Duration,
    /// True: another process has taken over, and no session is left.
    pub retired: watch::Sender<bool>,
}

impl Retiring {
    /// Waits for a process that takes over, and drains then.
    pub async fn run(self) {
        let Some(socket) = self.socket else {
            // What would be handed over, the lock of who serves among it, stays.
            return std::future::pending().await;
        };
        let wire = self.old.serve(socket).await;
        self.stop.send_replace(true);
        tracing::info!("another process has taken over; sessions here end");
        let passed_on = Arc::clone(&self.cancels).serve(wire);
        let drained = async {
            settle(&self.door).await;
            self.drain.end(self.patience).await;
        };
        let cancelled = async {
            if let Err(error) = passed_on.await {
                tracing::warn!(%error, "cancels cannot be passed on any more");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = drained => {}
            () = cancelled => {}
        }
        self.retired.send_replace(true);
    }
}

/// Waits until nobody has logged in for [`SETTLE`]. Bounded: a login takes [`STARTUP_TIMEOUT`] at most to begin.
async fn settle(door: &Door) {
    let began = Instant::now();
    let mut quiet_since = began;
    while quiet_since.elapsed() < SETTLE && began.elapsed() < STARTUP_TIMEOUT + SETTLE {
        tokio::time::sleep(LOOK_EVERY).await;
        if door.logging_in() > 0 {
            quiet_since = Instant::now();
        }
    }
}
