//! Shipping against a fake lake: it keeps records in memory, over plain HTTP/2, and misbehaves when told to.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use writ_audit::FramedRef;
use writ_model::Timestamp;
use writ_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};

use super::*;
use crate::spool::{SpoolConfig, SyncPort};

const DEADLINE: Duration = Duration::from_secs(20);

/// A fake: not the lake, only its protocol.
#[derive(Default)]
struct FakeLake {
    state: Mutex<ChainState>,
    batches: Mutex<Vec<(usize, usize)>>,
    /// Records that came although the fake had them.
    duplicates: AtomicUsize,
    streams: AtomicUsize,
    /// Acknowledgements held back until this many batches came.
    acks_after: AtomicUsize,
    /// The next stream ends after its first commit, before the acknowledgement.
    loses_an_ack: AtomicBool,
    /// Says at resume that it has nothing, whatever it has.
    forgets: AtomicBool,
    changed: Notify,
}

struct Fake(Arc<FakeLake>);

#[tonic::async_trait]
impl IngestService for Fake {
    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeReply>, Status> {
        assert_eq!(request.into_inner().source, "edge-1");
        let ChainState { seq, chain } = *self.0.state.lock();
        let forgets = self.0.forgets.load(Ordering::SeqCst);
        let (seq, chain) = if forgets { (0, vec![]) } else { (seq, chain.0.to_vec()) };
        Ok(Response::new(v1::ResumeReply { seq, chain }))
    }

    type ShipStream = Pin<Box<dyn Stream<Item = Result<v1::ShipAck, Status>> + Send>>;

    async fn ship(
        &self,
        request: Request<Streaming<v1::ShipBatch>>,
    ) -> Result<Response<Self::ShipStream>, Status> {
        let fake = Arc::clone(&self.0);
        fake.streams.fetch_add(1, Ordering::SeqCst);
        let mut batches = request.into_inner();
        let (send, acks) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut held_back = Vec::new();
            while let Some(Ok(batch)) = batches.next().await {
                let committed = fake.commit(&batch);
                fake.changed.notify_waiters();
                if fake.loses_an_ack.swap(false, Ordering::SeqCst) {
                    return;
                }
                held_back.push(committed);
                if fake.batches.lock().len() >= fake.acks_after.load(Ordering::SeqCst) {
                    for ack in held_back.drain(..) {
                        let _ = send.send(ack).await;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(acks))))
    }
}

impl FakeLake {
    fn commit(&self, batch: &v1::ShipBatch) -> Result<v1::ShipAck, Status> {
        let mut state = self.state.lock();
        let bytes = batch.records.iter().map(|record| record.record.len()).sum();
        self.batches.lock().push((batch.records.len(), bytes));
        for v1::FramedRecord { seq, record, chain } in &batch.records {
            if *seq <= state.seq {
                self.duplicates.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let chain = ChainHash::from_slice(chain).expect("a hash");
            let record = FramedRef { seq: *seq, bytes: record, chain };
            state.accept(record).map_err(|error| Status::data_loss(error.to_string()))?;
        }
        Ok(v1::ShipAck { seq: state.seq })
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

/// A spool, a fake lake and a shipper between them.
struct Rig {
    spool: Spool,
    lake: Arc<FakeLake>,
    status: watch::Receiver<ShipStatus>,
    metrics: Arc<ShipMetrics>,
    shutdown: CancellationToken,
    shipper: tokio::task::JoinHandle<()>,
    server: tokio::task::JoinHandle<()>,
    _dir: Option<TempDir>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shipper.abort();
        self.server.abort();
    }
}

fn config(dir: &TempDir) -> SpoolConfig {
    SpoolConfig {
        dir: dir.path().to_owned(),
        source: "edge-1".into(),
        bytes_max: 64 * 1024 * 1024,
        segment_bytes: 1024 * 1024,
    }
}

fn append(spool: &Spool, count: u64, bytes: usize) {
    for _ in 0..count {
        let appended = spool.append(Timestamp(0), |header, out| {
            out.extend_from_slice(&header.seq.to_be_bytes());
            out.resize(bytes, b'x');
        });
        appended.expect("room");
    }
}

fn new_spool() -> (TempDir, Spool) {
    let dir = TempDir::new().expect("dir");
    let spool = Spool::open(config(&dir)).expect("open").0;
    (dir, spool)
}

impl Rig {
    async fn start(spool: Spool, lake: Arc<FakeLake>, dir: Option<TempDir>) -> Self {
        Self::start_unreachable(spool, lake, dir, 0).await
    }

    /// The first `refused` connections fail.
    async fn start_unreachable(
        spool: Spool,
        lake: Arc<FakeLake>,
        dir: Option<TempDir>,
        refused: usize,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let service = IngestServiceServer::new(Fake(Arc::clone(&lake)))
            .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX);
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async { serving.await.expect("serve") });
        let tries = AtomicUsize::new(0);
        let connect: Connect = Arc::new(move || {
            if tries.fetch_add(1, Ordering::SeqCst) < refused {
                return Err("no route".to_owned());
            }
            let endpoint = Endpoint::from_shared(format!("http://{address}"));
            endpoint.map(|endpoint| endpoint.connect_lazy()).map_err(|error| error.to_string())
        });
        let (send, status) = watch::channel(ShipStatus::Connecting);
        let metrics = Arc::new(ShipMetrics::default());
        let ports = ShipPorts { connect, status: send, metrics: Arc::clone(&metrics) };
        let shutdown = CancellationToken::new();
        let shipper = tokio::spawn(run(spool.clone(), ports, shutdown.clone()));
        Self { spool, lake, status, metrics, shutdown, shipper, server, _dir: dir }
    }

    /// Waits until the lake's acknowledgement of everything has come back.
    async fn shipped(&self) {
        let done = || self.spool.stats().records_unshipped == 0;
        until("shipping", done).await;
        let lake = *self.lake.state.lock();
        assert_eq!(lake, self.spool.acknowledged(), "the same chain on both sides");
    }

    async fn diverged(&mut self) -> Divergence {
        let found = |status: &ShipStatus| matches!(status, ShipStatus::Diverged(_));
        let waited = tokio::time::timeout(DEADLINE, self.status.wait_for(found)).await;
        match waited.expect("in time").expect("running").clone() {
            ShipStatus::Diverged(divergence) => divergence,
            other => panic!("waited for a divergence, got {other:?}"),
        }
    }

    async fn shipping(&mut self) {
        let found = |status: &ShipStatus| *status == ShipStatus::Shipping;
        tokio::time::timeout(DEADLINE, self.status.wait_for(found))
            .await
            .expect("in time")
            .expect("running");
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

#[tokio::test]
async fn records_are_shipped_in_order_and_freed() {
    let (dir, spool) = new_spool();
    append(&spool, 10_000, 300);
    let rig = Rig::start(spool, Arc::default(), Some(dir)).await;
    rig.shipped().await;
    append(&rig.spool, 5, 300);
    rig.shipped().await;
    assert_eq!(rig.lake.state.lock().seq, 10_005);
    assert_eq!(FakeLake::count(&rig.lake.duplicates), 0);
    until("freeing", || rig.spool.stats().bytes_used <= 2 * 1024 * 1024).await;
    let batches = rig.lake.batches.lock().clone();
    assert!(batches.iter().all(|(n, bytes)| *n <= BATCH_RECORDS_MAX && *bytes <= BATCH_BYTES_MAX));
    assert_eq!(rig.metrics.records.load(Ordering::Relaxed), 10_005);
    rig.shutdown.cancel();
    until("the end", || rig.shipper.is_finished()).await;
}

#[tokio::test]
async fn a_record_larger_than_a_batch_is_shipped_by_itself() {
    let dir = TempDir::new().expect("dir");
    let config = SpoolConfig { segment_bytes: 4 * 1024 * 1024, ..config(&dir) };
    let spool = Spool::open(config).expect("open").0;
    append(&spool, 3, 2 * BATCH_BYTES_MAX - 1_000);
    let rig = Rig::start(spool, Arc::default(), Some(dir)).await;
    rig.shipped().await;
    assert_eq!(rig.lake.batches.lock().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test]
async fn several_batches_are_in_flight_without_an_acknowledgement() {
    let (dir, spool) = new_spool();
    append(&spool, 40_000, 100);
    let lake = Arc::new(FakeLake::default());
    lake.acks_after.store(BATCHES_IN_FLIGHT_MAX, Ordering::SeqCst);
    let rig = Rig::start(spool, lake, Some(dir)).await;
    // The fake acknowledges nothing before it has as many batches as may be in flight.
    until("batches", || rig.lake.batches.lock().len() >= BATCHES_IN_FLIGHT_MAX).await;
    rig.shipped().await;
}

#[tokio::test]
async fn a_lost_acknowledgement_does_not_make_a_duplicate() {
    let (dir, spool) = new_spool();
    append(&spool, 100, 300);
    let lake = Arc::new(FakeLake::default());
    lake.loses_an_ack.store(true, Ordering::SeqCst);
    let rig = Rig::start(spool, lake, Some(dir)).await;
    rig.shipped().await;
    append(&rig.spool, 100, 300);
    rig.shipped().await;
    assert_eq!(rig.lake.state.lock().seq, 200);
    assert_eq!(FakeLake::count(&rig.lake.duplicates), 0, "L1");
    assert!(rig.metrics.failures.load(Ordering::Relaxed) >= 1, "the stream did end");
}

#[tokio::test]
async fn control_a_lake_that_forgets_what_it_has_gets_duplicates() {
    let (dir, spool) = new_spool();
    append(&spool, 100, 300);
    let lake = Arc::new(FakeLake::default());
    lake.loses_an_ack.store(true, Ordering::SeqCst);
    lake.forgets.store(true, Ordering::SeqCst);
    let rig = Rig::start(spool, lake, Some(dir)).await;
    rig.shipped().await;
    assert!(FakeLake::count(&rig.lake.duplicates) > 0, "the count can see a duplicate");
}

#[tokio::test]
async fn an_empty_spool_goes_on_after_the_lake() {
    let (dir, spool) = new_spool();
    let lake = Arc::new(FakeLake::default());
    *lake.state.lock() = ChainState { seq: 700, chain: ChainHash([3; 32]) };
    let mut rig = Rig::start(spool, lake, Some(dir)).await;
    rig.shipping().await;
    append(&rig.spool, 3, 300);
    rig.shipped().await;
    assert_eq!(rig.lake.state.lock().seq, 703);
}

/// A spool whose records up to `acked` are acknowledged by a lake, and that lake.
async fn shipped_spool(count: u64) -> (TempDir, Spool, Arc<FakeLake>) {
    let (dir, spool) = new_spool();
    append(&spool, count, 300);
    let rig = Rig::start(spool.clone(), Arc::default(), None).await;
    rig.shipped().await;
    let lake = Arc::clone(&rig.lake);
    (dir, spool, lake)
}

async fn diverges(spool: Spool, lake: Arc<FakeLake>, dir: TempDir) -> Divergence {
    let batches = lake.batches.lock().len();
    let mut rig = Rig::start(spool, Arc::clone(&lake), Some(dir)).await;
    append(&rig.spool, 1, 300);
    let divergence = rig.diverged().await;
    assert!(rig.metrics.divergences.load(Ordering::Relaxed) >= 1);
    assert_eq!(rig.metrics.batches.load(Ordering::Relaxed), 0);
    assert_eq!(lake.batches.lock().len(), batches, "nothing is shipped over a disagreement");
    divergence
}

#[tokio::test]
async fn a_lake_that_lost_what_it_acknowledged_is_not_shipped_to() {
    let (dir, spool, lake) = shipped_spool(20).await;
    *lake.state.lock() = ChainState::default();
    let divergence = diverges(spool, lake, dir).await;
    assert_eq!(divergence, Divergence::LakeBehind { lake: 0, acked: 20 });
}

#[tokio::test]
async fn a_lake_with_records_that_the_spool_never_wrote_is_not_shipped_to() {
    let (dir, spool, lake) = shipped_spool(20).await;
    lake.state.lock().seq = 1_000;
    let divergence = diverges(spool, lake, dir).await;
    assert!(matches!(divergence, Divergence::LakeAhead { lake: 1_000, .. }), "{divergence}");
}

#[tokio::test]
async fn a_lake_with_another_chain_is_not_shipped_to() {
    let (dir, spool, lake) = shipped_spool(20).await;
    lake.state.lock().chain = ChainHash([9; 32]);
    assert_eq!(diverges(spool, lake, dir).await, Divergence::Forked { seq: 20 });
}

/// Syncs nothing while `holds`.
struct HeldSync {
    holds: Mutex<bool>,
    released: parking_lot::Condvar,
    entered: AtomicUsize,
}

impl SyncPort for HeldSync {
    fn sync(&self, file: &std::fs::File) -> std::io::Result<()> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let mut holds = self.holds.lock();
        while *holds {
            self.released.wait(&mut holds);
        }
        file.sync_data()
    }
}

#[tokio::test]
async fn only_durable_records_are_shipped() {
    let dir = TempDir::new().expect("dir");
    let port = Arc::new(HeldSync {
        holds: Mutex::new(false),
        released: parking_lot::Condvar::new(),
        entered: AtomicUsize::new(0),
    });
    let spool = Spool::open_with(config(&dir), port.clone()).expect("open").0;
    let mut rig = Rig::start(spool, Arc::default(), Some(dir)).await;
    rig.shipping().await;
    *port.holds.lock() = true;
    let entered = port.entered.load(Ordering::SeqCst);
    append(&rig.spool, 10, 300);
    until("a sync", || port.entered.load(Ordering::SeqCst) > entered).await;
    assert_eq!(rig.metrics.batches.load(Ordering::Relaxed), 0, "not on this disk yet");
    *port.holds.lock() = false;
    port.released.notify_all();
    rig.shipped().await;
    assert_eq!(rig.lake.state.lock().seq, 10);
}

#[tokio::test]
async fn shipping_waits_for_a_lake_that_cannot_be_reached_yet() {
    let (dir, spool) = new_spool();
    append(&spool, 10, 300);
    let rig = Rig::start_unreachable(spool, Arc::default(), Some(dir), 3).await;
    rig.shipped().await;
    assert_eq!(rig.metrics.failures.load(Ordering::Relaxed), 3);
}
