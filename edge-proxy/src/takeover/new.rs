//! The side of the process that takes over.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use socket2::SockRef;
use tokio::time::Instant;

use super::wire::Wire;
use super::{
    ANSWER_WITHIN, FromNew, FromOld, Listener, Position, READY_WITHIN, Role, TakeOverError,
    VERSIONS, control,
};

/// How often it is looked whether this process is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a running edge offers; it goes on until [`Offered::finish`].
#[derive(Debug)]
pub struct Offered {
    wire: Wire,
    listeners: Vec<(Listener, TcpListener)>,
    serving: Option<File>,
    at: Position,
}

/// Asks the edge that runs with this data directory; `None`: there is none.
pub async fn begin(data_dir: &Path, edge: &str) -> Result<Option<Offered>, TakeOverError> {
    begin_as(geteuid().as_raw(), data_dir, edge).await
}

/// [`begin`] as this user.
pub(super) async fn begin_as(
    ours: u32,
    data_dir: &Path,
    edge: &str,
) -> Result<Option<Offered>, TakeOverError> {
    let failed = |source| TakeOverError::Socket { path: control::path(data_dir), source };
    let Some(stream) = control::connect(data_dir).await.map_err(failed)? else {
        return Ok(None);
    };
    let mut wire = Wire::new(stream);
    let theirs = wire.peer().map_err(failed)?;
    if ours != theirs {
        return Err(TakeOverError::Stranger { theirs, ours });
    }
    let hello = FromNew::TakeOver {
        oldest: *VERSIONS.start(),
        newest: *VERSIONS.end(),
        edge: edge.to_owned(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    };
    wire.send(&hello, &[]).await.map_err(|error| TakeOverError::Silent(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, wire.receive()).await;
    match answer {
        Ok(Ok(Some((FromOld::Handing { version, listeners, at }, descriptors))))
            if VERSIONS.contains(&version) =>
        {
            let (listeners, serving) = match_up(listeners, descriptors)?;
            Ok(Some(Offered { wire, listeners, serving: Some(serving), at }))
        }
        Ok(Ok(Some((FromOld::Refused { reason }, _)))) => Err(TakeOverError::Refused(reason)),
        Ok(Ok(Some((other, _)))) => Err(TakeOverError::Protocol(format!("{other:?}"))),
        Ok(Ok(None)) => Err(TakeOverError::Silent("it ended the connection".to_owned())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(TakeOverError::Protocol(error.to_string()))
        }
        Ok(Err(error)) => Err(TakeOverError::Silent(error.to_string())),
        Err(_) => Err(TakeOverError::Silent(format!("not within {} s", ANSWER_WITHIN.as_secs()))),
    }
}

type Sockets = Vec<(Listener, TcpListener)>;

/// Each descriptor with what it is for.
fn match_up(
    listeners: Vec<Listener>,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(Sockets, File), TakeOverError> {
    let unexpected = |what: &str| TakeOverError::Protocol(what.to_owned());
    let serving = descriptors.pop().ok_or_else(|| unexpected("no descriptors"))?;
    if descriptors.len() != listeners.len() {
        return Err(unexpected("another number of sockets than it named"));
    }
    let sockets = listeners.into_iter().zip(descriptors).map(|(listener, descriptor)| {
        if !SockRef::from(&descriptor).is_listener().unwrap_or(false) {
            return Err(unexpected("a descriptor that is not a listening socket"));
        }
        Ok((listener, TcpListener::from(descriptor)))
    });
    Ok((sockets.collect::<Result<_, _>>()?, File::from(serving)))
}

impl Offered {
    /// The lock of who serves: the running edge's, which both have until it lets go.
    pub fn serving(&mut self) -> Option<File> {
        self.serving.take()
    }

    /// The running edge's socket for this, where it listens where this process shall.
    pub fn listener(&mut self, role: Role, address: SocketAddr) -> Option<TcpListener> {
        let fits = |(listener, socket): &(Listener, TcpListener)| {
            let same =
                listener.configured == address || socket.local_addr().is_ok_and(|a| a == address);
            listener.role == role && same
        };
        let found = self.listeners.iter().position(fits)?;
        Some(self.listeners.swap_remove(found).1)
    }

    /// Waits until this process is as far as the running edge, then is given everything. Returns the connection to the old
    /// process, for as long as it has sessions; `None`: it ended meanwhile.
    pub async fn finish(
        mut self,
        position: impl Fn() -> Position,
    ) -> Result<Option<Wire>, TakeOverError> {
        for (listener, socket) in &self.listeners {
            let address = socket.local_addr().unwrap_or(listener.configured);
            tracing::warn!(%address, "nobody will listen there any more: it is not in this process's configuration");
        }
        let deadline = Instant::now() + READY_WITHIN;
        while let Some(lacking) = position().lacks(&self.at) {
            if Instant::now() >= deadline {
                return Err(TakeOverError::NotReady(lacking));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // Where it cannot be told, it is gone, as is seen next.
        let _ = self.wire.send(&FromNew::Ready, &[]).await;
        match tokio::time::timeout(ANSWER_WITHIN, self.wire.receive()).await {
            Ok(Ok(Some((FromOld::Yours, _)))) => Ok(Some(self.wire)),
            Ok(Ok(Some((FromOld::Refused { reason }, _)))) => Err(TakeOverError::Refused(reason)),
            Ok(Ok(Some((other, _)))) => Err(TakeOverError::Protocol(format!("{other:?}"))),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(TakeOverError::Protocol(error.to_string()))
            }
            // It says why where it goes on: it has ended, and the sockets are nobody else's.
            Ok(Ok(None) | Err(_)) => {
                tracing::warn!(
                    "the edge that was to be taken over from has ended; serving in its place"
                );
                Ok(None)
            }
            Err(_) => {
                Err(TakeOverError::Silent(format!("not within {} s", ANSWER_WITHIN.as_secs())))
            }
        }
    }
}
