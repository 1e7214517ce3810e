//! Events reach the lake once each, whatever the lake does.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use writ_audit::{Body, ChainHash, ChainState, FramedRef, Record};
use writ_control_plane::ca::Subject;
use writ_proto::node::{NodeIdentity, enroll_or_load};
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

/// A place for a lake with its certificate; nothing answers there before [`serve`].
async fn place(world: &World) -> (TcpListener, NodeIdentity) {
    let node = world.node("lake-1", v1::NodeKind::Lake).await;
    let identity = enroll_or_load(&node).await.expect("enrolled");
    (TcpListener::bind("127.0.0.1:0").await.expect("bound"), identity)
}

fn serve(lake: &Lake, listener: TcpListener, identity: &NodeIdentity) {
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&identity.certificate_pem, &identity.key_pem))
        .client_ca_root(Certificate::from_pem(&identity.ca_pem));
    let server = Server::builder()
        .tls_config(tls)
        .expect("tls")
        .add_service(IngestServiceServer::new(lake.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
}

fn address(listener: &TcpListener) -> String {
    format!("localhost:{}", listener.local_addr().expect("an address").port())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_gets_every_event_once() {
    let world = World::new().await;
    let (listener, identity) = place(&world).await;
    let lake = Lake::default();
    // The lake is not there yet: the control plane goes on and tries again.
    let world = world.restart(Some(address(&listener))).await;
    world.run(policies("permit(principal, action, resource);")).await;
    serve(&lake, listener, &identity);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clusters_lake_gets_nothing() {
    let world = World::new().await;
    let (listener, identity) = place(&world).await;
    let lake = Lake::default();
    // It has a first record of this name, but not ours.
    lake.0.lock().chain.append(b"another log's first record");
    let world = world.restart(Some(address(&listener))).await;
    serve(&lake, listener, &identity);
    world.run(policies("permit(principal, action, resource);")).await;
    eventually(|| async { (lake.0.lock().sources.len() >= 3).then_some(()) }).await;
    let held = lake.0.lock();
    assert_eq!((held.chain.seq, held.records.len()), (1, 0));
}
