//! The ingest port: mTLS in front of the writer. A client ships only as the source that its certificate names,
//! or as one of its streams.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use writ_audit::{ChainHash, Framed};
use writ_proto::GRPC_MESSAGE_BYTES_MAX;
use writ_proto::v1;
use writ_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};

use crate::error::IngestError;
use crate::ingest::{Ingest, IngestPort, Pending};
use crate::listen::{self, HANDSHAKE_MAX};
use crate::peer;

/// How many TLS handshakes are under way at once; more are closed at once.
const HANDSHAKES_MAX: usize = 256;
/// How many batches of one source wait for their commit; more make the source wait.
const BATCHES_IN_FLIGHT_MAX: usize = 32;
/// Accepted connections on their way to the server.
const ACCEPTED_MAX: usize = 64;

struct Service {
    ingest: Ingest,
    stop: CancellationToken,
    tasks: TaskTracker,
}

fn status(error: &IngestError) -> Status {
    let text = error.to_string();
    match error {
        IngestError::Chain { .. } | IngestError::Forked { .. } => Status::failed_precondition(text),
        IngestError::Malformed { .. } | IngestError::Mislabelled { .. } => {
            Status::invalid_argument(text)
        }
        IngestError::Commit(_) | IngestError::Stopping => Status::unavailable(text),
    }
}

/// The source that this request's certificate names.
fn source<T>(request: &Request<T>) -> Result<String, Status> {
    let certificates = request.peer_certs().unwrap_or_default();
    let leaf = certificates.first().ok_or_else(|| {
        Status::unauthenticated("no client certificate; connect with the one from enrolment")
    })?;
    peer::source_of(leaf).map_err(|error| Status::permission_denied(error.to_string()))
}

fn check_source(certified: &str, said: &str) -> Result<(), Status> {
    if peer::may_ship_as(certified, said) {
        return Ok(());
    }
    let text = format!("the certificate is {certified}'s; it cannot ship as `{said}`");
    Err(Status::permission_denied(text))
}

fn framed(record: v1::FramedRecord) -> Result<Framed, Status> {
    let v1::FramedRecord { seq, record, chain } = record;
    let chain = ChainHash::from_slice(&chain).ok_or_else(|| {
        let text = format!("record {seq}: its chain hash has {} bytes, not 32", chain.len());
        Status::invalid_argument(text)
    })?;
    Ok(Framed { seq, bytes: record, chain })
}

/// Hands one batch to the writer.
async fn submit(ingest: &Ingest, source: &str, batch: v1::ShipBatch) -> Result<Pending, Status> {
    let v1::ShipBatch { source: said, records } = batch;
    check_source(source, &said)?;
    let records = records.into_iter().map(framed).collect::<Result<Vec<_>, _>>()?;
    ingest.submit(&said, records).await.map_err(|error| status(&error))
}

/// Reads batches until the client or the lake stops. Nothing is read ahead of [`BATCHES_IN_FLIGHT_MAX`].
async fn read_batches(
    ingest: Ingest,
    source: String,
    mut batches: Streaming<v1::ShipBatch>,
    pending: mpsc::Sender<Result<Pending, Status>>,
    stop: CancellationToken,
) {
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => return,
            batch = batches.message() => batch,
        };
        let next = match batch {
            Ok(Some(batch)) => submit(&ingest, &source, batch).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = next.is_err();
        if pending.send(next).await.is_err() || failed {
            return;
        }
    }
}

/// Acknowledges in the order of shipping, each batch after its commit; the first error ends the stream.
async fn acknowledge(
    mut pending: mpsc::Receiver<Result<Pending, Status>>,
    acks: mpsc::Sender<Result<v1::ShipAck, Status>>,
) {
    while let Some(next) = pending.recv().await {
        let ack = match next {
            Ok(pending) => pending.committed().await.map_err(|error| status(&error)),
            Err(error) => Err(error),
        };
        let failed = ack.is_err();
        if acks.send(ack.map(|seq| v1::ShipAck { seq })).await.is_err() || failed {
            return;
        }
    }
}

#[tonic::async_trait]
impl IngestService for Service {
    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeReply>, Status> {
        let said = &request.get_ref().source;
        check_source(&source(&request)?, said)?;
        let state = self.ingest.resume(said).await.map_err(|error| status(&error))?;
        Ok(Response::new(v1::ResumeReply { seq: state.seq, chain: state.chain.0.to_vec() }))
    }

    type ShipStream = ReceiverStream<Result<v1::ShipAck, Status>>;

    async fn ship(
        &self,
        request: Request<Streaming<v1::ShipBatch>>,
    ) -> Result<Response<Self::ShipStream>, Status> {
        let source = source(&request)?;
        let (pending, waiting) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let (acks, replies) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let (ingest, stop) = (self.ingest.clone(), self.stop.clone());
        self.tasks.spawn(read_batches(ingest, source, request.into_inner(), pending, stop));
        self.tasks.spawn(acknowledge(waiting, acks));
        Ok(Response::new(ReceiverStream::new(replies)))
    }
}

/// Serves record sources until `stop`; every batch that was taken in is still acknowledged.
pub(crate) async fn serve(
    listener: TcpListener,
    ingest: Ingest,
    tls: watch::Receiver<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let service = Service { ingest, stop: stop.clone(), tasks: tasks.clone() };
    let service =
        IngestServiceServer::new(service).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let (accepted, incoming) = mpsc::channel(ACCEPTED_MAX);
    let accepting = accept(listener, tls, accepted, stop.clone());
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.cancelled_owned());
    let (served, ()) = tokio::join!(serving, accepting);
    if let Err(error) = served {
        tracing::error!(%error, "the ingest server ended");
    }
    tasks.close();
    tasks.wait().await;
}

async fn accept(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    accepted: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
    stop: CancellationToken,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let (socket, peer) = tokio::select! {
            () = stop.cancelled() => return,
            next = listen::accept(&listener) => next,
        };
        let Ok(place) = Arc::clone(&handshakes).try_acquire_owned() else {
            tracing::warn!(%peer, "closed: {HANDSHAKES_MAX} handshakes are under way already");
            continue;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        let accepted = accepted.clone();
        // Ends by itself within the handshake's limit; its place is given back then.
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => {
                    // A server that stopped needs no more connections.
                    let _stopped = accepted.send(Ok(stream)).await;
                }
                Ok(Err(error)) => tracing::info!(%peer, %error, "TLS handshake refused"),
                Err(_) => tracing::info!(%peer, "no TLS handshake in time"),
            }
        });
    }
}
