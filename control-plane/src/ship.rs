//! The control plane's own events on their way into the lake. Record N is event N, so that the lake's
//! acknowledgement is all the state there is: nothing is kept here, and nothing can be lost or sent twice.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use writ_audit::{Body, ChainState, ControlEvent, Record};
use writ_control_core::{EventEnvelope, State};
use writ_model::EventSeq;
use writ_proto::node::Clock;
use writ_proto::v1;
use writ_proto::v1::ingest_service_client::IngestServiceClient;

use crate::ca::Subject;
use crate::convert::payload_json;
use crate::keys::Keys;
use crate::raft::Store;

/// Records in one message.
const BATCH_RECORDS_MAX: usize = 256;
/// The first wait before trying again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait before trying again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long one connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the lake may take to commit a batch.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Ships for ever.
pub(crate) struct Shipper {
    pub(crate) node_id: u64,
    pub(crate) lake: String,
    pub(crate) keys: Arc<Keys>,
    pub(crate) store: Arc<Store>,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) clock: Clock,
    /// The chain up to what was read last, so that reading starts there again.
    pub(crate) chain: ChainState,
}

fn record(source: &str, envelope: &EventEnvelope) -> Record {
    let event = ControlEvent {
        event_seq: envelope.seq.0,
        kind: envelope.event.kind(),
        actor: envelope.actor.to_string(),
        payload: payload_json(envelope),
        hash: envelope.hash.0,
    };
    let body = Body::ControlEvent(event);
    Record { source: source.to_owned(), seq: envelope.seq.0, at: envelope.at, body }
}

fn frame(chain: &mut ChainState, source: &str, envelope: &EventEnvelope) -> v1::FramedRecord {
    let mut bytes = Vec::new();
    record(source, envelope).encode(&mut bytes);
    let (seq, hash) = chain.append(&bytes);
    v1::FramedRecord { seq, record: bytes, chain: hash.0.to_vec() }
}

impl Shipper {
    fn source(&self) -> String {
        format!("control-plane:{}", self.node_id)
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut wait = RETRY_MIN;
        loop {
            let before = self.chain.seq;
            if let Err(reason) = self.connected().await {
                tracing::warn!(%reason, lake = %self.lake, "events are not shipped; will try again");
            }
            // Progress means that the lake was there.
            wait = if self.chain.seq > before { RETRY_MIN } else { (wait * 2).min(RETRY_MAX) };
            tokio::time::sleep(wait).await;
        }
    }

    fn channel(&self) -> Result<Channel, String> {
        let subject = Subject::ControlPlane(self.node_id);
        let own = self.keys.ca.own(&subject, &[], (self.clock)()).map_err(|e| e.to_string())?;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.keys.ca.pem()))
            .identity(Identity::from_pem(own.certificate_pem, own.key_pem));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.lake))
            .map_err(|e| e.to_string())?
            .tls_config(tls)
            .map_err(|e| e.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        Ok(endpoint.connect_lazy())
    }

    async fn connected(&mut self) -> Result<(), String> {
        let mut lake = IngestServiceClient::new(self.channel()?);
        let source = self.source();
        let resume = v1::ResumeRequest { source: source.clone() };
        let v1::ResumeReply { seq, chain } =
            lake.resume(resume).await.map_err(|e| e.message().to_owned())?.into_inner();
        self.rewind(seq, &chain).map_err(|e| e.to_string())?;
        let (batches, outgoing) = mpsc::channel(1);
        let ship = lake.ship(ReceiverStream::new(outgoing));
        // The lake may answer only after the first batch: both are waited for together.
        let mut acks = None;
        tokio::pin!(ship);
        loop {
            self.state.borrow_and_update();
            let next = EventSeq(self.chain.seq.saturating_add(1));
            let events = self.store.events(next, BATCH_RECORDS_MAX).map_err(|e| e.to_string())?;
            if events.is_empty() {
                tokio::select! {
                    changed = self.state.changed() => changed.map_err(|e| e.to_string())?,
                    answer = &mut ship, if acks.is_none() => {
                        acks = Some(answer.map_err(|e| e.message().to_owned())?.into_inner());
                    }
                }
                continue;
            }
            let mut chain = self.chain;
            let records = events.iter().map(|e| frame(&mut chain, &source, e)).collect();
            let batch = v1::ShipBatch { source: source.clone(), records };
            batches.send(batch).await.map_err(|_| "the lake closed the stream".to_owned())?;
            if acks.is_none() {
                let answer = tokio::time::timeout(COMMIT_TIMEOUT, &mut ship).await;
                let answer = answer.map_err(|_| "the lake does not answer".to_owned())?;
                acks = Some(answer.map_err(|e| e.message().to_owned())?.into_inner());
            }
            let Some(acks) = &mut acks else { continue };
            while self.chain.seq < chain.seq {
                let ack = tokio::time::timeout(COMMIT_TIMEOUT, acks.next()).await;
                let ack = ack.map_err(|_| "the lake does not acknowledge".to_owned())?;
                let ack = ack.ok_or("the lake closed the stream")?;
                let v1::ShipAck { seq } = ack.map_err(|e| e.message().to_owned())?;
                if seq >= chain.seq {
                    self.chain = chain;
                }
            }
        }
    }

    /// Goes to what the lake has; its chain must be ours.
    fn rewind(&mut self, seq: u64, chain: &[u8]) -> io::Result<()> {
        if seq < self.chain.seq {
            self.chain = ChainState::default();
        }
        let source = self.source();
        while self.chain.seq < seq {
            let next = EventSeq(self.chain.seq.saturating_add(1));
            let missing = usize::try_from(seq - self.chain.seq).unwrap_or(usize::MAX);
            let page = self.store.events(next, missing.min(BATCH_RECORDS_MAX))?;
            if page.is_empty() {
                return Err(io::Error::other(format!(
                    "the lake has event {seq}, this log ends before it: is it another cluster's lake?"
                )));
            }
            for envelope in &page {
                frame(&mut self.chain, &source, envelope);
            }
        }
        if seq > 0 && self.chain.chain.0 != chain {
            self.chain = ChainState::default();
            return Err(io::Error::other(format!(
                "the lake's records up to {seq} are not this log's: is it another cluster's lake?"
            )));
        }
        Ok(())
    }
}
