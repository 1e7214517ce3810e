//! The task that sends spans to the collector in batches. A collector that is away costs spans, which are counted, and
//! nothing else.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use writ_proto::otlp::trace_service_client::TraceServiceClient;
use writ_proto::otlp::{
    ExportTraceServiceRequest, Resource, ResourceSpans, Scope, ScopeSpans, Span,
};

use super::settings::Settings;
use super::spans::{Finished, text};
use super::{Random, id};
use crate::metrics::Counter;

/// Spans in one export, at most, but for those of one statement.
const BATCH_SPANS_MAX: usize = 512;
/// How often a batch is sent that the collector may take later.
const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second attempt; it doubles with each further one.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A fault is logged again after so long.
const LOG_AGAIN: Duration = Duration::from_secs(60);
/// How long an edge that ends waits for the collector to take what is left.
pub const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Sends spans until it is told to end.
pub struct Exporter {
    ending: CancellationToken,
    task: JoinHandle<()>,
}

struct Sending {
    client: TraceServiceClient<Channel>,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    timeout: Duration,
    delay: Duration,
    resource: Resource,
    people: bool,
    random: Random,
    finished: mpsc::Receiver<Finished>,
    ending: CancellationToken,
    exported: Counter,
    dropped: Counter,
    /// When a fault was last logged, and how many spans it cost since.
    logged: Option<Instant>,
    lost: u64,
}

impl Exporter {
    pub(super) fn start(
        settings: &Settings,
        resource: Vec<(String, String)>,
        finished: mpsc::Receiver<Finished>,
        random: Random,
        (exported, dropped): (Counter, Counter),
    ) -> Result<Self, String> {
        let ending = CancellationToken::new();
        let attributes = resource.into_iter().map(|(key, value)| text(&key, value)).collect();
        let sending = Sending {
            client: TraceServiceClient::new(settings.connection()?.connect_lazy()),
            headers: settings.metadata()?,
            timeout: settings.timeout,
            delay: settings.delay,
            resource: Resource { attributes },
            people: settings.people,
            random,
            finished,
            ending: ending.clone(),
            exported,
            dropped,
            logged: None,
            lost: 0,
        };
        Ok(Self { ending, task: tokio::spawn(sending.run()) })
    }

    /// Sends what is left, for at most [`FLUSH_MAX`].
    pub async fn end(self) {
        self.ending.cancel();
        let abort = self.task.abort_handle();
        if timeout(FLUSH_MAX, self.task).await.is_err() {
            abort.abort();
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

impl Sending {
    async fn run(mut self) {
        loop {
            let spans = self.batch().await;
            if !spans.is_empty() {
                self.send(spans).await;
            } else if self.finished.is_closed() || self.ending.is_cancelled() {
                return;
            }
        }
    }

    /// What finished; empty where nothing will any more.
    async fn batch(&mut self) -> Vec<Span> {
        let mut spans = Vec::new();
        let ending = self.ending.clone();
        let first = tokio::select! {
            first = self.finished.recv() => first,
            () = ending.cancelled() => self.finished.try_recv().ok(),
        };
        let Some(first) = first else { return spans };
        self.add(first, &mut spans);
        let due = Instant::now() + self.delay;
        while spans.len() < BATCH_SPANS_MAX {
            let next = tokio::select! {
                next = timeout_at(due, self.finished.recv()) => next.ok().flatten(),
                () = ending.cancelled() => self.finished.try_recv().ok(),
            };
            let Some(next) = next else { break };
            self.add(next, &mut spans);
        }
        spans
    }

    fn add(&self, finished: Finished, spans: &mut Vec<Span>) {
        spans.extend(finished.spans(self.people, || id(&self.random)));
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let scope =
            Scope { name: "writ".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource = Some(self.resource.clone());
        let resource_spans = vec![ResourceSpans { resource, scope_spans }];
        let message = ExportTraceServiceRequest { resource_spans };
        let mut again_after = AGAIN_AFTER;
        for attempt in 1.. {
            match self.attempt(message.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.exported.add(count - rejected);
                    if rejected > 0 {
                        self.give_up(rejected, "it rejected some of them");
                    }
                    return;
                }
                Err(status) if attempt == ATTEMPTS_MAX || !may_pass(&status) => {
                    return self.give_up(count, &why(&status));
                }
                Err(_) => {
                    let ending = self.ending.clone();
                    tokio::select! {
                        () = sleep(again_after) => again_after *= 2,
                        () = ending.cancelled() => {}
                    }
                }
            }
        }
    }

    /// How many of the spans the collector did not take.
    async fn attempt(&mut self, message: ExportTraceServiceRequest) -> Result<u64, Status> {
        let mut request = Request::new(message);
        for (key, value) in &self.headers {
            request.metadata_mut().insert(key.clone(), value.clone());
        }
        let answer = timeout(self.timeout, self.client.export(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let rejected = answer.into_inner().partial_success.map_or(0, |part| part.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }

    fn give_up(&mut self, count: u64, reason: &str) {
        self.dropped.add(count);
        self.lost += count;
        if self.logged.is_some_and(|at| at.elapsed() < LOG_AGAIN) {
            return;
        }
        let spans = std::mem::take(&mut self.lost);
        self.logged = Some(Instant::now());
        tracing::warn!(
            spans,
            reason,
            "spans could not be sent to the collector; nothing else is affected"
        );
    }
}

/// Whether the collector may take it another time.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled
    )
}

/// The code, and what went wrong on this side. What the collector says may repeat what it was sent, headers too.
fn why(status: &Status) -> String {
    let mut text = format!("{:?}", status.code());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
