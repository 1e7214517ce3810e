//! What an edge counts and how long things take, and the port that shows it: `/metrics`, `/livez`, `/readyz`.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry, Unit};
use writ_model::{DatabaseName, PrincipalId};

use crate::limits::Limit;
use crate::threads;

/// The format's own name for itself.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of a histogram's buckets, in microseconds: from what a cached decision takes to what people wait for
/// an approval.
const BOUNDS_US: [u64; 18] = [
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
    3_600_000_000,
];

/// Threads that add to a part of their own; those beyond share one.
const STRIPES: usize = 16;

/// What each thread adds to by itself: a core that adds to what another one added to just before waits for it. Aligned to
/// two cache lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// One of each for the threads.
#[derive(Debug, Default)]
struct Striped<T>([Apart<T>; STRIPES]);

impl<T> Striped<T> {
    fn mine(&self) -> &T {
        let [first, ..] = &self.0;
        &self.0.get(threads::number() % STRIPES).unwrap_or(first).0
    }

    fn sum(&self, of: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|part| of(&part.0)).fold(0, u64::wrapping_add)
    }
}

/// A number that only grows.
#[derive(Debug, Default, Clone)]
pub struct Counter(Arc<Striped<AtomicU64>>);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.mine().fetch_add(count, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.sum(|part| part.load(Ordering::Relaxed))
    }
}

impl TypedMetric for Counter {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Counter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_counter::<NoLabelSet, u64, f64>(&self.get(), None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// A number that goes up and down.
#[derive(Debug, Default, Clone)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds `count`, which may be negative.
    pub fn add(&self, count: i64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number, not below zero.
    #[must_use]
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl EncodeMetric for Gauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_gauge(&self.get())
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// How long something took, in buckets; sessions of all threads add to it without waiting for each other.
#[derive(Debug, Default, Clone)]
pub struct Histogram(Arc<Striped<Buckets>>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Adds one that took so many microseconds.
    pub fn observe_us(&self, took: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < took);
        let mine = self.0.mine();
        if let Some(count) = mine.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        mine.sum_us.fetch_add(took, Ordering::Relaxed);
    }

    /// The same of the time since `start`.
    pub fn observe_since(&self, start: std::time::Instant) {
        self.observe_us(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let count = |bucket: usize| {
            let of = |part: &Buckets| part.counts.get(bucket).map(|n| n.load(Ordering::Relaxed));
            self.0.sum(|part| of(part).unwrap_or(0))
        };
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> =
            bounds.enumerate().map(|(at, bound)| (bound, count(at))).collect();
        let all = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum(|part| part.sum_us.load(Ordering::Relaxed)) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A database and what kind of principal: few, whatever the number of people and agents.
type ClassLabels = [(&'static str, String); 2];
/// The same, and what was decided.
type DecisionLabels = [(&'static str, String); 3];
/// Which limit was met.
type LimitLabels = [(&'static str, &'static str); 1];

/// What is counted of one class of sessions: of one database, and of users, services or agents.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Statements that were allowed as they came.
    pub allowed: Counter,
    /// Statements whose results are masked.
    pub masked: Counter,
    /// Statements that went on with an approval, or wait for one.
    pub held: Counter,
    /// Statements that were refused.
    pub denied: Counter,
    /// From the decision to the last byte.
    pub statement: Histogram,
    /// From the client's bytes to the decision and its record.
    pub decide: Histogram,
}

/// What an edge counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions open now.
    pub sessions: Gauge,
    /// Statements that wait for an approval now.
    pub held: Gauge,
    /// Connections that sessions share now.
    pub pool_connections: Gauge,
    /// Sessions that wait for one now.
    pub pool_waiting: Gauge,
    /// Sessions that waited for one in vain.
    pub pool_timeouts: Counter,
    /// Sessions since the start.
    pub sessions_opened: Counter,
    /// Clients turned away.
    pub connections_refused: Counter,
    /// Passwords and tokens that were not right.
    pub logins_failed: Counter,
    /// Logins that were not looked at, because too many failed before.
    pub logins_limited: Counter,
    /// Statements with an intent record.
    pub statements: Counter,
    /// Statements refused because they could not be recorded.
    pub statements_unrecorded: Counter,
    /// Values in which screening hid something.
    pub values_screened: Counter,
    /// Records that found no room.
    pub records_lost: Counter,
    /// Spans that a collector of traces took.
    pub spans_exported: Counter,
    /// Spans that found no room, or that no collector took.
    pub spans_dropped: Counter,
    /// From the first byte to the session, logging in and the database's connection included.
    pub login: Histogram,
    /// What sessions waited for a shared connection.
    pub pool_wait: Histogram,
    /// What statements waited for their approval, whatever came of it.
    pub approval_wait: Histogram,
    /// Statements that waited for their turn.
    pub statements_delayed: Counter,
    limited: Family<LimitLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    statement: Family<ClassLabels, Histogram>,
    decide: Family<ClassLabels, Histogram>,
}

impl Metrics {
    /// What a session of `principal` in `database` adds to: looked up once.
    #[must_use]
    pub fn class(&self, database: &DatabaseName, principal: &PrincipalId) -> Class {
        let class: ClassLabels = [
            ("database", database.to_string()),
            ("principal_kind", principal.kind().as_str().to_owned()),
        ];
        let decided = |decision: &str| {
            let [database, kind] = class.clone();
            let labels = [database, kind, ("decision", decision.to_owned())];
            self.decisions.get_or_create(&labels).deref().clone()
        };
        Class {
            allowed: decided("allow"),
            masked: decided("mask"),
            held: decided("hold"),
            denied: decided("deny"),
            statement: self.statement.get_or_create(&class).deref().clone(),
            decide: self.decide.get_or_create(&class).deref().clone(),
        }
    }

    /// Counts somebody who was refused something for a limit.
    pub fn limited(&self, limit: Limit) {
        self.limited.get_or_create(&[("limit", limit.as_str())]).add(1);
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("writ_edge");
        let mut add =
            |name: &str, help: &str, metric: &dyn Shown| metric.add(&mut registry, name, help);
        add("sessions", "Sessions open now", &self.sessions);
        add("held_statements", "Statements waiting for approval", &self.held);
        add("pool_connections", "Connections that sessions share", &self.pool_connections);
        add("pool_waiting_sessions", "Sessions waiting for one", &self.pool_waiting);
        add("pool_timeouts", "Sessions that got none in time", &self.pool_timeouts);
        add("sessions_opened", "Sessions opened", &self.sessions_opened);
        add("connections_refused", "Clients turned away", &self.connections_refused);
        add("logins_failed", "Passwords and tokens that were not right", &self.logins_failed);
        let limited = "Logins not looked at, because too many failed before";
        add("logins_limited", limited, &self.logins_limited);
        add("statements", "Statements recorded", &self.statements);
        let unrecorded = "Statements refused because they could not be recorded";
        add("statements_unrecorded", unrecorded, &self.statements_unrecorded);
        let screened = "Values in results in which something was hidden";
        add("values_screened", screened, &self.values_screened);
        add("records_lost", "Records without room", &self.records_lost);
        let delayed = "Statements that waited for their turn";
        add("statements_delayed", delayed, &self.statements_delayed);
        add("limit_refusals", "What was refused for a limit", &self.limited);
        add("spans_exported", "Spans that a collector took", &self.spans_exported);
        add("spans_dropped", "Spans without room or collector", &self.spans_dropped);
        add("decisions", "Statements by what was decided", &self.decisions);
        add("login", "From the first byte to the session", &self.login);
        add("pool_wait", "Waiting for a shared connection", &self.pool_wait);
        add("approval_wait", "Waiting for an approval", &self.approval_wait);
        add("statement", "From the decision to the last byte", &self.statement);
        add("decide", "From the client's bytes to the decision and its record", &self.decide);
        registry
    }
}

/// A metric of any type, to be registered.
trait Shown {
    fn add(&self, registry: &mut Registry, name: &str, help: &str);
}

impl<M: Metric + Clone> Shown for M {
    fn add(&self, registry: &mut Registry, name: &str, help: &str) {
        match self.metric_type() {
            MetricType::Histogram => {
                registry.register_with_unit(name, help, Unit::Seconds, self.clone());
            }
            _ => registry.register(name, help, self.clone()),
        }
    }
}

/// What the port shows besides counters.
pub trait Health: Send + Sync + 'static {
    /// Further gauges: name without prefix, help, value.
    fn gauges(&self) -> Vec<(&'static str, &'static str, u64)>;
    /// Why the edge is not ready; `None`: it is.
    fn not_ready(&self) -> Option<String>;
}

/// The metrics in OpenMetrics' text format, which Prometheus reads.
#[must_use]
pub fn render(metrics: &Metrics, health: &dyn Health) -> String {
    let mut registry = metrics.registry();
    for (name, help, value) in health.gauges() {
        let gauge = Gauge::default();
        gauge.add(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = encode_registry(&mut out, &registry).and_then(|()| encode_eof(&mut out));
    out
}

/// The port's routes.
pub fn router(metrics: Arc<Metrics>, health: Arc<dyn Health>) -> Router {
    let ready = Arc::clone(&health);
    Router::new()
        .route(
            "/metrics",
            get(move || {
                let text = render(&metrics, health.as_ref());
                async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], text) }
            }),
        )
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || {
                let answer = match ready.not_ready() {
                    None => (StatusCode::OK, "ok\n".to_owned()),
                    Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
                };
                async move { answer }
            }),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fine;

    impl Health for Fine {
        fn gauges(&self) -> Vec<(&'static str, &'static str, u64)> {
            vec![("epoch", "The configuration's epoch", 7)]
        }
        fn not_ready(&self) -> Option<String> {
            None
        }
    }

    #[test]
    fn what_is_counted_is_shown_by_database_kind_and_decision() {
        let metrics = Metrics::default();
        let shop = "shop".parse().expect("a name");
        let class = |who: &str| metrics.class(&shop, &who.parse().expect("an id"));
        class("user:dana").masked.add(2);
        class("user:ada").masked.add(1);
        class("agent:copilot").denied.add(1);
        metrics.limited(Limit::Cancels);
        class("user:dana").statement.observe_us(50);
        class("user:dana").statement.observe_us(51);
        class("user:dana").statement.observe_us(u64::MAX / 4);
        metrics.sessions.add(3);
        metrics.statements.add(4);
        let text = render(&metrics, &Fine);
        for line in [
            "# TYPE writ_edge_decisions counter",
            r#"writ_edge_decisions_total{database="shop",principal_kind="user",decision="mask"} 3"#,
            r#"writ_edge_decisions_total{database="shop",principal_kind="agent",decision="deny"} 1"#,
            r#"writ_edge_limit_refusals_total{limit="cancels"} 1"#,
            "writ_edge_sessions 3",
            "writ_edge_statements_total 4",
            "writ_edge_epoch 7",
            "# TYPE writ_edge_statement_seconds histogram",
            r#"writ_edge_statement_seconds_bucket{le="0.00005",database="shop",principal_kind="user"} 1"#,
            r#"writ_edge_statement_seconds_bucket{le="0.0001",database="shop",principal_kind="user"} 2"#,
            r#"writ_edge_statement_seconds_bucket{le="+Inf",database="shop",principal_kind="user"} 3"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn what_all_threads_add_is_counted_once() {
        let (counter, histogram) = (Counter::default(), Histogram::default());
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| {
                    counter.add(2);
                    histogram.observe_us(11);
                });
            }
        });
        assert_eq!(counter.get(), 4 * STRIPES as u64);
        let mut registry = Registry::default();
        registry.register("took", "", histogram);
        let mut text = String::new();
        encode_registry(&mut text, &registry).expect("encoded");
        let (count, sum) = (2 * STRIPES, 22.0 * STRIPES as f64 / 1e6);
        for line in [format!("took_count {count}"), format!("took_sum {sum}")] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        let within = |le: &str| text.contains(&format!("took_bucket{{le=\"{le}\"}} {count}"));
        assert!(within("0.000025") && !within("0.00001"), "{text}");
    }
}
