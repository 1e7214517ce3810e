//! Events reach the lake once each, whatever the lake does.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use writ_audit::{Body, ChainHash, ChainState, FramedRef, Record};
use writ_control_plane::ca::Subject;
use writ_proto::node::enroll_or_load;
use writ_proto::v1;
use writ_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};

use crate::world::*;

#[derive(Default)]
struct Held {
    chain: ChainState,
    records: Vec<Vec<u8>>,
    sources: Vec<(String, Option<Subject>)>,
}

/// A lake in memory that checks numbers and chain, and cuts each stream after a few batches.
#[derive(Clone, Default)]
struct Lake(Arc<Mutex<Held>>);

#[tonic::async_trait]
impl IngestService for Lake {
    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeReply>, Status> {
        let peer = request.peer_certs().and_then(|c| c.first().and_then(Subject::of));
        let mut held = self.0.lock();
        held.sources.push((request.into_inner().source, peer));
        let ChainState { seq, chain } = held.chain;
        Ok(Response::new(v1::ResumeReply { seq, chain: chain.0.to_vec() }))
    }

    type ShipStream = ReceiverStream<Result<v1::ShipAck, Status>>;

    async fn ship(
        &self,
        request: Request<Streaming<v1::ShipBatch>>,
    ) -> Result<Response<Self::ShipStream>, Status> {
        let (sender, stream) = tokio::sync::mpsc::channel(1);
        let held = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut batches = request.into_inner().take(3);
            while let Some(Ok(batch)) = batches.next().await {
                let seq = {
                    let mut held = held.lock();
                    for record in batch.records {
                        let chain = ChainHash::from_slice(&record.chain).expect("32 bytes");
                        let framed = FramedRef { seq: record.seq, bytes: &record.record, chain };
                        held.chain.accept(framed).expect("the next record");
                        held.records.push(record.record);
                    }
                    held.chain.seq
                };
                if sender.send(Ok(v1::ShipAck { seq })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_gets_every_event_once() {
    let world = World::new().await;
    world.shop().await;
    let node = world.node("lake-1", v1::NodeKind::Lake).await;
    let identity = enroll_or_load(&node).await.expect("enrolled");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let lake = Lake::default();
    // The lake is not there yet: the control plane goes on and tries again.
    let world = world.restart(Some(format!("localhost:{}", address.port()))).await;
    world.run(policies("permit(principal, action, resource);")).await;
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&identity.certificate_pem, &identity.key_pem))
        .client_ca_root(Certificate::from_pem(&identity.ca_pem));
    let server = Server::builder()
        .tls_config(tls)
        .expect("tls")
        .add_service(IngestServiceServer::new(lake.clone()));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let incoming = TcpListenerStream::new(listener);
    let served = tokio::spawn(server.serve_with_incoming_shutdown(incoming, stopped));
    let mut last = 0;
    for n in 0..10 {
        last = world.run(policies(&format!("// {n}"))).await.last_event;
        eventually(|| async { (lake.0.lock().chain.seq >= last).then_some(()) }).await;
    }
    let held = lake.0.lock();
    assert_eq!(held.chain.seq, last);
    let (source, peer) = held.sources.first().expect("resumed");
    assert_eq!((source.as_str(), peer), ("control-plane:1", &Some(Subject::ControlPlane(1))));
    assert!(held.sources.len() > 1, "the streams were cut, and shipping went on");
    let bytes = held.records.last().expect("records");
    let record = Record::decode(bytes).expect("a record");
    let Body::ControlEvent(event) = record.body else { panic!("{:?}", record.body) };
    assert_eq!((event.event_seq, event.kind.as_str()), (last, "policies_applied"));
    assert_eq!(event.actor, "user:admin");
    drop(held);
    stop.cancel();
    world.running.shutdown().await;
    served.abort();
}
