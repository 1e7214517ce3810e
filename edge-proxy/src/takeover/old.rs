//! The side of the process that is taken over: it answers at the edge's socket, and goes on as if nothing had happened
//! until the new one has everything.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::geteuid;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::wire::Wire;
use super::{ANSWER_WITHIN, FromNew, FromOld, Listener, Position, READY_WITHIN, Role, VERSIONS};

/// Processes that talk at the socket at once; more are not heard.
const TALKS_MAX: usize = 8;
/// How long to wait after the socket could not be listened on.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// What goes to the new process: copies of the descriptors, closed here once they are there.
pub struct Holdings {
    listeners: Vec<(Listener, OwnedFd)>,
    serving: File,
}

impl Holdings {
    /// The lock of who serves.
    #[must_use]
    pub fn new(serving: File) -> Self {
        Self { listeners: Vec::new(), serving }
    }

    /// A socket that is listened on.
    pub fn add(
        &mut self,
        role: Role,
        configured: SocketAddr,
        listener: &TcpListener,
    ) -> std::io::Result<()> {
        let copy = listener.as_fd().try_clone_to_owned()?;
        self.listeners.push((Listener { role, configured }, copy));
        Ok(())
    }
}

/// What a process needs to be taken over from.
pub struct Old {
    edge: String,
    position: Arc<dyn Fn() -> Position + Send + Sync>,
    holdings: Mutex<Option<Arc<Holdings>>>,
    /// One process takes over.
    turn: Semaphore,
    /// The user that may.
    user: u32,
}

impl Old {
    /// Of this edge; `position` says where it is.
    pub fn new(
        edge: String,
        holdings: Holdings,
        position: Arc<dyn Fn() -> Position + Send + Sync>,
    ) -> Self {
        let holdings = Mutex::new(Some(Arc::new(holdings)));
        Self { edge, position, holdings, turn: Semaphore::new(1), user: geteuid().as_raw() }
    }

    /// The same, for processes of another user.
    #[cfg(test)]
    pub(super) fn of_user(self, user: u32) -> Self {
        Self { user, ..self }
    }

    /// Answers at the socket until a process has taken over; returns the connection to it.
    pub async fn serve(self: Arc<Self>, socket: UnixListener) -> Wire {
        let mut talks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) if talks.len() < TALKS_MAX => {
                        talks.spawn(Arc::clone(&self).talk(stream));
                    }
                    Ok(_) => tracing::warn!("too many processes talk at the edge's socket"),
                    Err(error) => {
                        tracing::warn!(%error, "the edge's socket cannot be listened on");
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                },
                Some(talk) = talks.join_next() => if let Ok(Some(wire)) = talk {
                    return wire;
                },
            }
        }
    }

    async fn talk(self: Arc<Self>, stream: UnixStream) -> Option<Wire> {
        let mut wire = Wire::new(stream);
        match wire.peer() {
            Ok(theirs) if theirs == self.user => {}
            other => {
                tracing::warn!(user = ?other.ok(), "somebody else is at the edge's socket: not answered");
                return None;
            }
        }
        match self.negotiate(&mut wire).await {
            Ok(()) => Some(wire),
            Err(reason) => {
                tracing::warn!(%reason, "not taken over; this process goes on");
                // It may be gone, or may not have asked for anything.
                let _ = wire.send(&FromOld::Refused { reason }, &[]).await;
                None
            }
        }
    }

    async fn negotiate(&self, wire: &mut Wire) -> Result<(), String> {
        let version = self.check(heard(wire, ANSWER_WITHIN).await?)?;
        let busy = "another process is taking over; wait until it has, or end it";
        let _turn = self.turn.try_acquire().map_err(|_| busy.to_owned())?;
        let holdings = self.holdings.lock().clone().ok_or("another process has taken over")?;
        let listeners = holdings.listeners.iter().map(|(listener, _)| *listener).collect();
        let mut descriptors: Vec<BorrowedFd<'_>> =
            holdings.listeners.iter().map(|(_, socket)| socket.as_fd()).collect();
        descriptors.push(holdings.serving.as_fd());
        let handing = FromOld::Handing { version, listeners, at: (self.position)() };
        wire.send(&handing, &descriptors).await.map_err(|error| error.to_string())?;
        match heard(wire, READY_WITHIN + ANSWER_WITHIN).await? {
            FromNew::Ready => {}
            other => return Err(format!("it said {other:?} before it was ready")),
        }
        // From here on both take connections for a moment: what this one takes it serves to the end.
        wire.send(&FromOld::Yours, &[]).await.map_err(|error| error.to_string())?;
        self.holdings.lock().take();
        Ok(())
    }

    /// Whether to be taken over by this process; returns the protocol's version.
    fn check(&self, said: FromNew) -> Result<u32, String> {
        let FromNew::TakeOver { oldest, newest, edge, software } = said else {
            return Err(format!("it said {said:?} first"));
        };
        if edge != self.edge {
            return Err(format!("this is edge {}, not {edge}; look at data_dir", self.edge));
        }
        let version = newest.min(*VERSIONS.end());
        if version < oldest || version < *VERSIONS.start() {
            return Err(format!(
                "this process speaks versions {} to {} of the take-over, the new one {oldest} to {newest}; stop this \
                 process, then start the new one",
                VERSIONS.start(),
                VERSIONS.end()
            ));
        }
        tracing::info!(%software, "another process starts, to take over from this one");
        Ok(version)
    }
}

async fn heard(wire: &mut Wire, within: Duration) -> Result<FromNew, String> {
    match tokio::time::timeout(within, wire.receive()).await {
        Ok(Ok(Some((message, _)))) => Ok(message),
        Ok(Ok(None)) => Err("the new process ended before it was ready".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the new process said nothing for {} s", within.as_secs())),
    }
}
