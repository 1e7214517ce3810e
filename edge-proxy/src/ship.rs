//! Ships the spool to the lake: asks where the lake is, goes on from there, and frees what is acknowledged.
//! Reconnects for ever; where the two chains disagree it stops shipping and says so, loudly.
//!
//! Only records that are durable here are sent: after a power loss the lake is never ahead of this disk, so
//! that no number is ever given twice (L1).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use writ_audit::{ChainHash, ChainState, Framed};
use writ_proto::GRPC_MESSAGE_BYTES_MAX;
use writ_proto::node::NodeIdentity;
use writ_proto::v1;
use writ_proto::v1::ingest_service_client::IngestServiceClient;

use crate::spool::{ReadLimits, Spool, SpoolError};

/// The most bytes of records in one batch; a larger record is a batch by itself.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The most records in one batch.
pub const BATCH_RECORDS_MAX: usize = 4_096;
/// Batches sent and not yet acknowledged.
pub const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// How long the first record of a batch waits for others: each batch costs a sync, and the lake needs it within a second.
const LINGER: Duration = Duration::from_millis(50);
/// The first wait before connecting again; doubles up to [`RECONNECT_MAX`].
const RECONNECT_MIN: Duration = Duration::from_millis(100);
/// The longest wait before connecting again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// How long the lake may take to say where it is.
const RESUME_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a channel to the lake, with the certificate of the moment.
pub type Connect = Arc<dyn Fn() -> Result<Channel, String> + Send + Sync>;

/// What shipping needs and where it reports.
#[derive(Clone)]
pub struct ShipPorts {
    /// How to reach the lake; called for every connection.
    pub connect: Connect,
    /// How it goes.
    pub status: watch::Sender<ShipStatus>,
    /// What was done so far.
    pub metrics: Arc<ShipMetrics>,
}

/// Mutual TLS to `https://host:port`, with the newest certificate.
#[must_use]
pub fn lake_channel(identity: watch::Receiver<Arc<NodeIdentity>>, lake_url: String) -> Connect {
    Arc::new(move || identity.borrow().channel(&lake_url).map_err(|error| error.to_string()))
}

/// How shipping goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ShipStatus {
    /// Not connected yet, or not any more.
    #[default]
    Connecting,
    /// The lake and the spool agree; records flow. A fresh spool is numbered from now on.
    Shipping,
    /// The lake and the spool disagree: nothing is shipped until a person settles it.
    Diverged(Divergence),
}

/// How the lake's chain of this source and the spool's disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The lake lost records that it had acknowledged (L2).
    #[error(
        "the lake has this edge's records up to {lake}, but it acknowledged {acked}: the lake was rolled \
         back; restore it, or give this edge a new name"
    )]
    LakeBehind {
        /// What the lake has now.
        lake: u64,
        /// What it had acknowledged.
        acked: u64,
    },
    /// The lake has records that this spool never wrote.
    #[error(
        "the lake has this edge's records up to {lake}, but the spool ends at {last}: the spool was rolled \
         back, or two edges use one name; restore the spool, or give this edge a new name"
    )]
    LakeAhead {
        /// What the lake has.
        lake: u64,
        /// The spool's last record.
        last: u64,
    },
    /// The same number, another content.
    #[error(
        "record {seq} is not the same in the lake and in the spool: one of them was altered, or two edges \
         use one name; compare them with `writ verify`"
    )]
    Forked {
        /// The record.
        seq: u64,
    },
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct ShipMetrics {
    /// Connections on which the lake and the spool agreed.
    pub connections: AtomicU64,
    /// Connections that failed or ended.
    pub failures: AtomicU64,
    /// Times that the lake and the spool disagreed.
    pub divergences: AtomicU64,
    /// Batches sent.
    pub batches: AtomicU64,
    /// Records sent.
    pub records: AtomicU64,
    /// Bytes of records sent.
    pub bytes: AtomicU64,
    /// Batches acknowledged.
    pub acknowledged: AtomicU64,
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error("{0}")]
    Connection(String),
    #[error(transparent)]
    Diverged(#[from] Divergence),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(
        "the lake acknowledged record {acked}, but only {sent} was sent; it must not be trusted"
    )]
    FalseAck { acked: u64, sent: u64 },
}

impl From<tonic::Status> for ShipError {
    fn from(status: tonic::Status) -> Self {
        let cause = std::error::Error::source(&status).map(|cause| format!(": {cause}"));
        Self::Connection(format!("{}{}", status.message(), cause.unwrap_or_default()))
    }
}

/// Ships until `shutdown`.
pub async fn run(spool: Spool, ports: ShipPorts, shutdown: CancellationToken) {
    let mut wait = RECONNECT_MIN;
    loop {
        let agreed = ports.metrics.connections.load(Ordering::Relaxed);
        let ended = tokio::select! {
            () = shutdown.cancelled() => return,
            ended = connected(&spool, &ports) => ended,
        };
        if ports.metrics.connections.load(Ordering::Relaxed) > agreed {
            wait = RECONNECT_MIN;
        }
        report(ended, &ports);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(RECONNECT_MAX);
    }
}

fn report(ended: Result<(), ShipError>, ports: &ShipPorts) {
    count(&ports.metrics.failures, 1);
    let status = match ended {
        Err(ShipError::Diverged(divergence)) => {
            // L1, L2: never go on over a disagreement.
            count(&ports.metrics.divergences, 1);
            tracing::error!(%divergence, "audit records are not shipped");
            ShipStatus::Diverged(divergence)
        }
        Err(error) => {
            tracing::warn!(%error, "not connected to the lake; records wait in the spool");
            ShipStatus::Connecting
        }
        Ok(()) => ShipStatus::Connecting,
    };
    ports.status.send_replace(status);
}

/// What is on its way.
struct InFlight {
    room: Semaphore,
    /// The last numbers of batches that are not acknowledged.
    sent: Mutex<VecDeque<u64>>,
}

/// One connection, until it ends.
async fn connected(spool: &Spool, ports: &ShipPorts) -> Result<(), ShipError> {
    let channel = (ports.connect)().map_err(ShipError::Connection)?;
    let mut client = IngestServiceClient::new(channel)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let request = v1::ResumeRequest { source: spool.source().to_owned() };
    let reply = tokio::time::timeout(RESUME_TIMEOUT, client.resume(request))
        .await
        .map_err(|_| ShipError::Connection("the lake does not answer".to_owned()))??
        .into_inner();
    let from = settle(spool, &reply)?;
    count(&ports.metrics.connections, 1);
    ports.status.send_replace(ShipStatus::Shipping);

    let (send, batches) = mpsc::channel(1);
    let room = Semaphore::new(BATCHES_IN_FLIGHT_MAX);
    let flight = InFlight { room, sent: Mutex::new(VecDeque::new()) };
    // The lake may answer only after the first batch: both run at once.
    tokio::select! {
        ended = feed(spool, ports, from, &send, &flight) => ended,
        ended = async {
            let mut acks = client.ship(ReceiverStream::new(batches)).await?.into_inner();
            while let Some(v1::ShipAck { seq }) = acks.next().await.transpose()? {
                acknowledged(spool, ports, seq, &flight)?;
            }
            Ok(())
        } => ended,
    }
}

/// Compares the lake's chain with the spool's; returns the number to ship from.
fn settle(spool: &Spool, reply: &v1::ResumeReply) -> Result<u64, ShipError> {
    let v1::ResumeReply { seq, chain } = reply;
    let lake = match ChainHash::from_slice(chain) {
        Some(chain) => ChainState { seq: *seq, chain },
        None if *seq == 0 => ChainState::default(),
        None => return Err(Divergence::Forked { seq: *seq }.into()),
    };
    if spool.last_seq() == 0 && lake.seq > 0 {
        spool.resume_from(lake.seq, lake.chain)?;
        tracing::info!(seq = lake.seq, "the spool is empty; numbering goes on after the lake's");
        return Ok(lake.seq);
    }
    let (acked, last) = (spool.acknowledged().seq, spool.last_seq());
    if lake.seq < acked {
        return Err(Divergence::LakeBehind { lake: lake.seq, acked }.into());
    }
    if lake.seq > last {
        return Err(Divergence::LakeAhead { lake: lake.seq, last }.into());
    }
    if spool.chain_at(lake.seq) != Some(lake.chain) {
        return Err(Divergence::Forked { seq: lake.seq }.into());
    }
    // L1: an acknowledgement that was lost on the way is made up for here, not by sending again.
    spool.acknowledge(lake.seq);
    Ok(lake.seq)
}

/// Sends what becomes durable after `from`, for ever.
async fn feed(
    spool: &Spool,
    ports: &ShipPorts,
    from: u64,
    send: &mpsc::Sender<v1::ShipBatch>,
    flight: &InFlight,
) -> Result<(), ShipError> {
    let mut durable = spool.durable();
    let mut sent = from;
    loop {
        let up_to = next_durable(spool, sent, &mut durable).await;
        while sent < up_to {
            let Ok(permit) = flight.room.acquire().await else { return Ok(()) };
            permit.forget(); // given back by the acknowledgement
            let limits =
                ReadLimits { up_to, bytes_max: BATCH_BYTES_MAX, records_max: BATCH_RECORDS_MAX };
            let records = spool.read_within(sent, limits)?;
            let Some(last) = records.last() else { break };
            sent = last.seq;
            flight.sent.lock().push_back(sent);
            if send.send(batch(spool.source(), records, &ports.metrics)).await.is_err() {
                return Err(ShipError::Connection("the lake ended the stream".to_owned()));
            }
        }
    }
}

/// Waits until records after `sent` are durable; returns up to where. Once the spool makes nothing durable
/// any more and all that is durable was sent, there is nothing to wait for.
async fn next_durable(spool: &Spool, sent: u64, durable: &mut watch::Receiver<u64>) -> u64 {
    if *durable.borrow() <= sent {
        let wanted = spool.appended_after(sent).await;
        tokio::time::sleep(LINGER).await;
        spool.request_sync();
        let _ = durable.wait_for(|seq| *seq >= wanted).await;
    }
    let seq = *durable.borrow();
    if seq > sent {
        return seq;
    }
    std::future::pending().await
}

fn batch(source: &str, records: Vec<Framed>, metrics: &ShipMetrics) -> v1::ShipBatch {
    count(&metrics.batches, 1);
    count(&metrics.records, records.len());
    count(&metrics.bytes, records.iter().map(|record| record.bytes.len()).sum());
    let framed = |Framed { seq, bytes, chain }| v1::FramedRecord {
        seq,
        record: bytes,
        chain: chain.0.to_vec(),
    };
    v1::ShipBatch { source: source.to_owned(), records: records.into_iter().map(framed).collect() }
}

fn acknowledged(
    spool: &Spool,
    ports: &ShipPorts,
    acked: u64,
    flight: &InFlight,
) -> Result<(), ShipError> {
    let mut sent = flight.sent.lock();
    let newest = sent.back().copied().unwrap_or(0).max(spool.acknowledged().seq);
    if acked > newest {
        return Err(ShipError::FalseAck { acked, sent: newest });
    }
    let done = sent.partition_point(|last| *last <= acked);
    sent.drain(..done);
    drop(sent);
    flight.room.add_permits(done);
    count(&ports.metrics.acknowledged, done);
    spool.acknowledge(acked);
    Ok(())
}
