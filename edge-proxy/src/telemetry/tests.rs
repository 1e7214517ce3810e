//! Spans as a collector of traces gets them, over gRPC.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use writ_audit::record::{DecisionKind, StatementProfile, TextValue};
use writ_audit::{
    BindValuesRef, Effect, EncodedSession, EncodedStatement, IntentRef, OutcomeRef, ProtocolKind,
    SessionProfile,
};
use writ_model::server::Server;
use writ_model::sqlstate::SqlState;
use writ_model::{ApprovalId, Epoch, Timestamp};
use writ_proto::otlp::any_value::Value;
use writ_proto::otlp::trace_service_server::{TraceService, TraceServiceServer};
use writ_proto::otlp::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, PartialSuccess, Span,
};

use super::*;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "078-05-1120";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a collector got, and how it answers.
#[derive(Default)]
struct Collected {
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    keys: Mutex<Vec<String>>,
    /// Refused before anything is taken.
    refusals: AtomicU64,
    /// Said to have been rejected, of each request.
    rejected: i64,
}

struct Collector(Arc<Collected>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let refuse = |left: u64| left.checked_sub(1);
        if self.0.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refuse).is_ok() {
            return Err(Status::unavailable(SECRET));
        }
        let key = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
        self.0.keys.lock().extend(key.map(str::to_owned));
        self.0.requests.lock().push(request.into_inner());
        let (rejected_spans, error_message) = (self.0.rejected, SECRET.to_owned());
        let partial_success = Some(PartialSuccess { rejected_spans, error_message });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

async fn collect(collected: Arc<Collected>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = TraceServiceServer::new(Collector(collected));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    address
}

/// An edge's part of it, with a clock that stands still.
struct World {
    now: Arc<AtomicI64>,
    metrics: Metrics,
    telemetry: Telemetry,
    exporter: Exporter,
}

impl World {
    fn new(settings: &Settings) -> Self {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        let count = AtomicU64::new(1);
        let random: Random = Arc::new(move |bytes: &mut [u8]| {
            let next = count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes.iter_mut().rev().zip(next.iter().rev()).for_each(|(to, from)| *to = *from);
        });
        let metrics = Metrics::default();
        let started = Telemetry::start(settings, "edge-1", "prod", (clock, random), &metrics);
        let (telemetry, exporter) = started.expect("settings");
        Self { now, metrics, telemetry, exporter }
    }

    fn at(&self, micros: i64) -> Timestamp {
        self.now.store(micros, Ordering::Relaxed);
        Timestamp(micros)
    }

    fn session(&self) -> SessionTrace {
        let mut trace = self.telemetry.session(&profile());
        trace.at_server("orders", &Server { host: "db1".to_owned(), port: 6543 });
        trace
    }
}

fn settings(address: SocketAddr) -> Settings {
    Settings { delay: Duration::from_millis(10), ..Settings::new(format!("http://{address}")) }
}

fn profile() -> SessionProfile {
    SessionProfile {
        session: "s-1".parse().expect("id"),
        principal: "agent:copilot".parse().expect("id"),
        on_behalf_of: vec!["user:dana".parse().expect("id")],
        client_address: "192.0.2.7:50000".into(),
        application_name: SECRET.into(),
        database: "shop".parse().expect("id"),
        environment: "prod".parse().expect("id"),
        database_role: "app".into(),
    }
}

fn statement_profile(text: &str) -> StatementProfile {
    StatementProfile {
        text: TextValue::Clear(text.to_owned()),
        kinds: vec![],
        reads: vec![],
        writes: vec![],
        functions: vec![],
        opaque: vec![],
        decision: DecisionKind::Allow,
        rules: vec![],
        reason: SECRET.to_owned(),
        epoch: Epoch(7),
        masked_columns: vec![],
        rewritten: false,
    }
}

/// A statement, as the session core tells the journal of it.
struct Statement<'a> {
    id: &'a str,
    text: &'a str,
    decided: &'static str,
    effect: Effect,
    approval: Option<ApprovalId>,
}

impl Default for Statement<'_> {
    fn default() -> Self {
        let (text, effect) = ("SELECT 1", Effect::Forwarded);
        Self { id: "s-1-1", text, decided: "allow", effect, approval: None }
    }
}

impl Statement<'_> {
    fn begin(&self, trace: &mut SessionTrace, at: Timestamp) {
        let intent = IntentRef {
            statement: self.id,
            session: &EncodedSession::from(&profile()),
            profile: &EncodedStatement::from(&statement_profile(self.text)),
            protocol: ProtocolKind::Execute,
            effect: self.effect,
            decided: self.decided,
            epoch: Epoch(7),
            text: self.text.as_bytes(),
            approval: self.approval.as_ref(),
            binds: BindValuesRef::Clear(1, SECRET.as_bytes()),
        };
        trace.intent(at, &intent);
    }

    fn end(&self, trace: &mut SessionTrace, at: Timestamp, how: (&str, Option<&str>, u64)) {
        let (command_tag, sqlstate, duration_us) = how;
        let (rows, bytes_out, cancelled) = (3, 300, false);
        let statement = self.id;
        let outcome = OutcomeRef {
            statement,
            sqlstate,
            rows,
            bytes_out,
            duration_us,
            cancelled,
            command_tag,
        };
        trace.outcome(at, &outcome);
    }
}

/// All spans that came, by name.
fn spans(collected: &Collected) -> Vec<Span> {
    let requests = collected.requests.lock();
    let scopes = requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn value(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn microseconds(span: &Span) -> (u64, u64) {
    (span.start_time_unix_nano / 1_000, span.end_time_unix_nano / 1_000)
}

/// Whether a text is anywhere in what came.
fn holds(requests: &[ExportTraceServiceRequest], text: &str) -> bool {
    let bytes: Vec<u8> = requests.iter().flat_map(prost::Message::encode_to_vec).collect();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_held_statement_says_what_it_waited_for() {
    let collected = Arc::new(Collected::default());
    let world = World::new(&settings(collect(Arc::clone(&collected)).await));
    let mut trace = world.session();
    let text = format!("DELETE FROM t WHERE ssn = '{SECRET}' /*traceparent='{PARENT}'*/");
    let approval = Some("apr-9".parse().expect("id"));
    let delete = Statement { text: &text, decided: "hold", approval, ..Statement::default() };
    // It comes and is held, is approved, waits for a connection, is recorded, and runs.
    let began = world.at(2_000_000);
    world.at(2_005_000);
    trace.turn_ended(began, Waits { in_line: true, held: true, connection: false });
    trace.turn_ended(world.at(3_000_000), Waits { in_line: true, held: true, connection: false });
    trace.turn_ended(world.at(4_000_000), Waits { in_line: true, held: true, connection: true });
    let looked = world.at(4_500_000);
    world.at(4_500_050);
    delete.begin(&mut trace, looked);
    trace.turn_ended(looked, Waits::default());
    delete.end(&mut trace, world.at(5_000_000), ("DELETE 3", None, 400_000));
    world.exporter.end().await;

    let spans = spans(&collected);
    let seen: Vec<_> = spans.iter().map(|s| (s.name.as_str(), microseconds(s))).collect();
    assert_eq!(
        seen,
        [
            ("DELETE shop", (2_000_000, 5_000_000)),
            ("wait for approval", (2_005_000, 4_000_000)),
            ("wait for connection", (4_000_000, 4_500_000)),
            ("decide", (2_000_000, 2_005_000)),
            ("wait for record", (4_500_050, 4_600_000)),
            ("database", (4_600_000, 5_000_000)),
        ]
    );
    let whole = &spans[0];
    assert_eq!(hex::encode(&whole.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex::encode(&whole.parent_span_id), "b7ad6b7169203331");
    assert_eq!(whole.flags & 0x300, 0x300, "its parent is in another process");
    for part in &spans[1..] {
        assert_eq!((&part.trace_id, &part.parent_span_id), (&whole.trace_id, &whole.span_id));
        assert!(part.span_id.len() == 8 && part.span_id != whole.span_id);
    }
    for (key, expected) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "shop"),
        ("db.operation.name", "DELETE"),
        ("server.address", "db1"),
        ("server.port", "IntValue(6543)"),
        ("client.address", "192.0.2.7"),
        ("writ.principal", "agent:copilot"),
        ("writ.principal.kind", "agent"),
        ("writ.session.id", "s-1"),
        ("writ.statement.id", "s-1-1"),
        ("writ.decision", "hold"),
        ("writ.effect", "forwarded"),
        ("writ.protocol", "execute"),
        ("writ.approval.id", "apr-9"),
        ("writ.epoch", "IntValue(7)"),
        ("writ.rows", "IntValue(3)"),
        ("writ.bytes_out", "IntValue(300)"),
    ] {
        assert_eq!(value(whole, key).as_deref(), Some(expected), "{key}");
    }
    assert!(value(whole, "writ.on_behalf_of").is_some_and(|list| list.contains("user:dana")));
    assert_eq!((whole.status.clone(), value(whole, "error.type")), (None, None));
    assert_eq!(value(&spans[5], "db.namespace").as_deref(), Some("orders"), "its name there");
    let mut requests = collected.requests.lock().clone();
    assert!(!holds(&requests, SECRET), "texts, values and reasons stay here");
    requests[0].resource_spans[0].scope_spans[0].spans[0].name.push_str(SECRET);
    assert!(holds(&requests, SECRET), "control: it would be seen");
}

#[tokio::test]
async fn an_error_is_its_code_and_nothing_that_is_no_code() {
    let collected = Arc::new(Collected::default());
    let world = World::new(&settings(collect(Arc::clone(&collected)).await));
    let mut trace = world.session();
    let refused = Statement { decided: "deny", effect: Effect::Withheld, ..Statement::default() };
    refused.begin(&mut trace, world.at(2_000_000));
    refused.end(&mut trace, world.at(2_100_000), ("", Some("42501"), 100_000));
    let strange = Statement { id: "s-1-2", ..Statement::default() };
    strange.begin(&mut trace, world.at(3_000_000));
    strange.end(&mut trace, world.at(3_000_010), (SECRET, Some(SECRET), 10));
    // Neither has the first one's waits, nor is it found twice.
    strange.end(&mut trace, world.at(3_000_020), ("SELECT 1", None, 10));
    world.exporter.end().await;
    let spans = spans(&collected);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["shop", "shop", "database"], "nothing ran of what was refused");
    assert_eq!(value(&spans[0], "db.response.status_code").as_deref(), Some("42501"));
    assert_eq!(value(&spans[0], "error.type").as_deref(), Some("42501"));
    assert_eq!(spans[0].status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(value(&spans[1], "error.type").as_deref(), Some("_OTHER"));
    assert_eq!(value(&spans[1], "db.response.status_code"), None);
    assert!(!holds(&collected.requests.lock(), SECRET));
    assert_ne!(spans[0].trace_id, spans[1].trace_id, "each has a trace of its own");
}

#[tokio::test]
async fn a_login_is_told_by_its_steps() {
    let collected = Arc::new(Collected::default());
    let world = World::new(&settings(collect(Arc::clone(&collected)).await));
    let client = SocketAddr::from(([192, 0, 2, 7], 50_000));
    world.at(1_000_000);
    let mut login = Login::begin(Some(&world.telemetry), client);
    for (at, step) in
        [(1_002_000, Step::Tls), (1_010_000, Step::Authentication), (1_030_000, Step::Connection)]
    {
        world.at(at);
        login.step(step);
    }
    world.at(1_031_000);
    login.opened(&profile(), "token", true);
    login.refused(SqlState("28000"), true);
    let mut refused = Login::begin(Some(&world.telemetry), client);
    refused.refused(SqlState("28P01"), false);
    let mut off = Login::begin(None, client);
    off.step(Step::Tls);
    off.opened(&profile(), "token", true);
    world.exporter.end().await;
    let spans = spans(&collected);
    let seen: Vec<_> = spans.iter().map(|s| (s.name.as_str(), microseconds(s))).collect();
    assert_eq!(
        seen,
        [
            ("login", (1_000_000, 1_031_000)),
            ("tls", (1_000_000, 1_002_000)),
            ("authenticate", (1_002_000, 1_010_000)),
            ("wait for connection", (1_010_000, 1_030_000)),
            ("login", (1_031_000, 1_031_000)),
        ]
    );
    assert_eq!(value(&spans[0], "writ.authentication").as_deref(), Some("token"));
    assert_eq!(value(&spans[0], "writ.principal").as_deref(), Some("agent:copilot"));
    assert_eq!(value(&spans[4], "db.response.status_code").as_deref(), Some("28P01"));
    assert_eq!(value(&spans[4], "client.address").as_deref(), Some("192.0.2.7"));
    assert!(!holds(&collected.requests.lock(), SECRET));
}

#[tokio::test]
async fn nobody_is_named_where_nobody_is_to_be() {
    let collected = Arc::new(Collected::default());
    let address = collect(Arc::clone(&collected)).await;
    let world = World::new(&Settings { people: false, ..settings(address) });
    let mut trace = world.session();
    let statement = Statement::default();
    statement.begin(&mut trace, world.at(2_000_000));
    statement.end(&mut trace, world.at(2_000_010), ("SELECT 1", None, 10));
    let mut login = Login::begin(Some(&world.telemetry), ([192, 0, 2, 7], 1).into());
    login.opened(&profile(), "token", true);
    world.exporter.end().await;
    assert_eq!(spans(&collected).len(), 3);
    let requests = collected.requests.lock();
    for who in ["copilot", "dana", "192.0.2.7"] {
        assert!(!holds(&requests, who), "{who}");
    }
    assert!(holds(&requests, "s-1-1") && holds(&requests, "edge-1"), "control");
}

#[tokio::test]
async fn what_the_sampler_drops_is_not_sent() {
    let collected = Arc::new(Collected::default());
    let address = collect(Arc::clone(&collected)).await;
    let sampler = Sampler { root: Root::Never, parent_based: true };
    let world = World::new(&Settings { sampler, ..settings(address) });
    let mut trace = world.session();
    let kept = format!("SELECT 1 /*traceparent='{PARENT}'*/");
    let not_kept = kept.replace("-01'", "-00'");
    for (id, text) in [("s-1-1", "SELECT 1"), ("s-1-2", &kept), ("s-1-3", &not_kept)] {
        let statement = Statement { id, text, ..Statement::default() };
        statement.begin(&mut trace, world.at(2_000_000));
        statement.end(&mut trace, world.at(2_000_010), ("SELECT 1", None, 10));
    }
    world.exporter.end().await;
    let spans = spans(&collected);
    let ids: Vec<_> = spans.iter().filter_map(|span| value(span, "writ.statement.id")).collect();
    assert_eq!(ids, ["s-1-2"], "the client keeps its trace");
    assert_eq!(world.metrics.spans_dropped.get(), 0);
}

#[tokio::test]
async fn a_collector_that_is_busy_gets_them_later_and_one_that_is_away_costs_spans_alone() {
    let collected = Arc::new(Collected { rejected: 1, ..Collected::default() });
    collected.refusals.store(2, Ordering::Relaxed);
    let address = collect(Arc::clone(&collected)).await;
    let headers = vec![("api-key".to_owned(), writ_model::Secret::new("k-1".to_owned()))];
    let world = World::new(&Settings { headers, ..settings(address) });
    let mut trace = world.session();
    let statement = Statement::default();
    statement.begin(&mut trace, world.at(2_000_000));
    statement.end(&mut trace, world.at(2_000_010), ("SELECT 1", None, 10));
    world.exporter.end().await;
    assert_eq!(spans(&collected).len(), 2);
    assert_eq!(*collected.keys.lock(), ["k-1"]);
    let counted = (world.metrics.spans_exported.get(), world.metrics.spans_dropped.get());
    assert_eq!(counted, (1, 1), "one was rejected");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let away = listener.local_addr().expect("an address");
    drop(listener);
    let world = World::new(&settings(away));
    let mut trace = world.session();
    statement.begin(&mut trace, world.at(2_000_000));
    statement.end(&mut trace, world.at(2_000_010), ("SELECT 1", None, 10));
    tokio::time::timeout(PATIENCE, world.exporter.end()).await.expect("it ends");
    let counted = (world.metrics.spans_exported.get(), world.metrics.spans_dropped.get());
    assert_eq!(counted, (0, 2));
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts_and_waits_for_nobody() {
    // Accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let world = World::new(&settings(address));
    let mut trace = world.session();
    let statement = Statement::default();
    let more = FINISHED_MAX as u64 + 10;
    // Nothing else runs on this thread meanwhile: nothing is taken from the queue.
    for at in 0..more {
        let at = 2_000_000 + i64::try_from(at).expect("small");
        statement.begin(&mut trace, world.at(at));
        statement.end(&mut trace, world.at(at), ("SELECT 1", None, 0));
    }
    assert_eq!(world.metrics.spans_dropped.get(), 20, "ten statements of two spans each");
    let began = std::time::Instant::now();
    tokio::time::timeout(PATIENCE, world.exporter.end()).await.expect("it ends");
    assert!(began.elapsed() < FLUSH_MAX + Duration::from_secs(2));
}
