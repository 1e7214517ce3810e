//! Spools of processes that live, were killed, and ended; a fake lake keeps a chain for each stream.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use writ_audit::{ChainHash, ChainState, FramedRef};
use writ_model::Timestamp;
use writ_proto::v1;
use writ_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A fake: not the lake, only its protocol. What does not follow in its stream's chain is refused.
#[derive(Default, Clone)]
struct FakeLake(Arc<Mutex<BTreeMap<String, ChainState>>>);

#[tonic::async_trait]
impl IngestService for FakeLake {
    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeReply>, Status> {
        let at = self.0.lock().get(&request.into_inner().source).copied().unwrap_or_default();
        Ok(Response::new(v1::ResumeReply { seq: at.seq, chain: at.chain.0.to_vec() }))
    }

    type ShipStream = Pin<Box<dyn Stream<Item = Result<v1::ShipAck, Status>> + Send>>;

    async fn ship(
        &self,
        request: Request<Streaming<v1::ShipBatch>>,
    ) -> Result<Response<Self::ShipStream>, Status> {
        let (lake, mut batches) = (self.clone(), request.into_inner());
        let (send, acks) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Some(Ok(v1::ShipBatch { source, records })) = batches.next().await {
                let ack = lake.take(source, &records);
                let _ = send.send(ack).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(acks))))
    }
}

impl FakeLake {
    fn take(&self, source: String, records: &[v1::FramedRecord]) -> Result<v1::ShipAck, Status> {
        let mut streams = self.0.lock();
        let state = streams.entry(source).or_default();
        for v1::FramedRecord { seq, record, chain } in records {
            let chain = ChainHash::from_slice(chain).expect("a hash");
            let framed = FramedRef { seq: *seq, bytes: record, chain };
            state.accept(framed).map_err(|error| Status::data_loss(error.to_string()))?;
        }
        Ok(v1::ShipAck { seq: state.seq })
    }

    fn has(&self, stream: &str) -> u64 {
        self.0.lock().get(stream).map_or(0, |at| at.seq)
    }

    async fn serve(self) -> Connect {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = Server::builder()
            .add_service(IngestServiceServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        Arc::new(move || Ok(Endpoint::from_shared(url.clone()).expect("a URL").connect_lazy()))
    }
}

fn spools(dir: &tempfile::TempDir) -> Spools {
    Spools {
        data_dir: dir.path().to_owned(),
        source: "edge-1".into(),
        bytes_max: 1024 * 1024,
        segment_bytes: 64 * 1024,
    }
}

fn append(spool: &Spool, count: usize) {
    for _ in 0..count {
        spool
            .append(Timestamp(1), |header, out| out.extend_from_slice(&header.seq.to_le_bytes()))
            .expect("taken");
    }
}

#[test]
fn each_process_has_a_spool_and_a_stream_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let spools = spools(&dir);
    let (one, _) = spools.open().expect("the first");
    let (two, _) = spools.open().expect("the second");
    assert_eq!((one.source(), two.source()), ("edge-1", "edge-1#2"));
    append(&two, 3);
    drop(one);
    let (again, _) = spools.open().expect("the first again");
    assert_eq!((again.source(), again.last_seq()), ("edge-1", 0), "not the other's records");
    let others: Vec<_> = (3..=STREAMS_MAX).map(|_| spools.open().expect("one more")).collect();
    let full = spools.open().err().expect("no more");
    assert!(matches!(full, SpoolError::Locked(_)), "{full}");
    drop(others);
    spools.open().expect("room again");
}

#[test]
fn one_process_serves() {
    let dir = tempfile::tempdir().expect("a directory");
    let serving = serve_from(dir.path()).expect("a file").expect("nobody else");
    assert!(serve_from(dir.path()).expect("a file").is_none());
    drop(serving);
    assert!(serve_from(dir.path()).expect("a file").is_some());
}

#[tokio::test]
async fn what_was_left_behind_is_shipped_once_and_what_lives_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let spools = spools(&dir);
    let (killed, _) = spools.open().expect("the first");
    append(&killed, 5);
    let (lives, _) = spools.open().expect("the second");
    append(&lives, 2);
    drop(killed);
    let lake = FakeLake::default();
    let shutdown = CancellationToken::new();
    let connect = lake.clone().serve().await;
    let task = tokio::spawn(ship_left_behind(spools.clone(), connect, shutdown.clone()));
    let first = spools.dir(1);
    let shipped = async {
        while !all_shipped(&first) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, shipped).await.expect("shipped");
    assert_eq!((lake.has("edge-1"), lake.has("edge-1#2")), (5, 0));
    assert_eq!(spools.with_records(), [2], "its process ships it");
    shutdown.cancel();
    task.await.expect("ended");
    // Whoever goes on there, once it is let go of, goes on behind what was shipped.
    let opened = async {
        loop {
            match Spool::open(spools.config(1)) {
                Err(SpoolError::Locked(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => break other.expect("the first again"),
            }
        }
    };
    let (next, recovered) = tokio::time::timeout(DEADLINE, opened).await.expect("let go");
    assert_eq!((next.source(), recovered.last_seq, recovered.clean), ("edge-1", 5, true));
    append(&next, 1);
    assert_eq!(next.last_seq(), 6);
}
