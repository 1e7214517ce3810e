//! The spools of one edge: one for each of its processes, of which there are two while one takes over from another. Each
//! is a stream of its own towards the lake ([`writ_audit::stream`]) in a directory of its own, locked by its process.
//!
//! What a process leaves behind (it was killed, or the lake was away when it ended) the next one ships: whoever has the
//! directory's lock may, so nothing is shipped twice (L1).

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use writ_audit::{STREAMS_MAX, stream_name};

use crate::ship::{self, Connect, ShipPorts, ShipStatus};
use crate::spool::{Recovered, Spool, SpoolConfig, SpoolError, all_shipped};

/// Locked by the process that serves: of several with one data directory, one takes connections.
const SERVING_FILE: &str = "serving.lock";
/// How often it is looked for what other processes left behind.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether all of it is shipped.
const SHIPPED_EVERY: Duration = Duration::from_millis(100);

/// Makes this process the one that serves with this data directory, as long as the file is open; `None`: another is.
pub fn serve_from(data_dir: &Path) -> Result<Option<File>, SpoolError> {
    let path = data_dir.join(SERVING_FILE);
    let opened = std::fs::create_dir_all(data_dir).and_then(|()| File::create(&path));
    let file = opened.map_err(|source| SpoolError::File { path, source })?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

/// Where an edge's spools are and how much each may take.
#[derive(Debug, Clone)]
pub struct Spools {
    /// The edge's data directory.
    pub data_dir: PathBuf,
    /// The edge's name.
    pub source: String,
    /// The bound of each, in bytes.
    pub bytes_max: u64,
    /// The size of a segment, in bytes.
    pub segment_bytes: u64,
}

impl Spools {
    fn dir(&self, number: u8) -> PathBuf {
        let first = self.data_dir.join("spool");
        if number == 1 { first } else { self.data_dir.join(format!("spool-{number}")) }
    }

    fn config(&self, number: u8) -> SpoolConfig {
        SpoolConfig {
            dir: self.dir(number),
            source: stream_name(&self.source, number),
            bytes_max: self.bytes_max,
            segment_bytes: self.segment_bytes,
        }
    }

    /// Opens the first that no process has.
    pub fn open(&self) -> Result<(Spool, Recovered), SpoolError> {
        let mut locked = None;
        for number in 1..=STREAMS_MAX {
            match Spool::open(self.config(number)) {
                Err(error @ SpoolError::Locked(_)) => locked = Some(error),
                other => return other,
            }
        }
        // All have a process: the last one's error says what to do.
        Err(locked.unwrap_or_else(|| SpoolError::Locked(self.dir(1))))
    }

    /// Those that hold, or may hold, records that the lake has not, whoever has them.
    fn with_records(&self) -> Vec<u8> {
        let left = |number: &u8| {
            let dir = self.dir(*number);
            dir.is_dir() && !all_shipped(&dir)
        };
        (1..=STREAMS_MAX).filter(left).collect()
    }
}

/// Ships what processes that are gone left behind, for as long as this one runs.
pub async fn ship_left_behind(spools: Spools, connect: Connect, shutdown: CancellationToken) {
    let mut failed = BTreeSet::new();
    let mut shipping = JoinSet::new();
    loop {
        while shipping.try_join_next().is_some() {}
        for number in spools.with_records() {
            let config = spools.config(number);
            let dir = config.dir.clone();
            match tokio::task::spawn_blocking(move || Spool::open(config)).await {
                Ok(Ok((spool, recovered))) => {
                    let records = recovered.last_seq.saturating_sub(spool.acknowledged().seq);
                    tracing::info!(dir = %dir.display(), records, "a process left records behind; shipping them");
                    shipping.spawn(ship_all(spool, connect.clone(), shutdown.child_token()));
                }
                // Its process lives, or it is this one's or being shipped.
                Ok(Err(SpoolError::Locked(_))) => {}
                Ok(Err(error)) if failed.insert(number) => {
                    tracing::error!(%error, "records that a process left behind cannot be shipped");
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Ships one spool until the lake has all of it, then closes it.
async fn ship_all(spool: Spool, connect: Connect, shutdown: CancellationToken) {
    let (status, seen) = watch::channel(ShipStatus::default());
    let ports = ShipPorts { connect, status, metrics: std::sync::Arc::default() };
    let all = async {
        // An empty spool, too, asks the lake where it is first: numbers must not be given twice.
        while *seen.borrow() != ShipStatus::Shipping || spool.stats().records_unshipped > 0 {
            tokio::time::sleep(SHIPPED_EVERY).await;
        }
    };
    tokio::select! {
        () = ship::run(spool.clone(), ports, shutdown) => return,
        () = all => {}
    }
    let closed = tokio::task::spawn_blocking(move || spool.close()).await;
    match closed {
        Ok(Ok(())) => tracing::info!("the lake has all that was left behind"),
        Ok(Err(error)) => tracing::error!(%error, "a spool that was shipped could not be closed"),
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
