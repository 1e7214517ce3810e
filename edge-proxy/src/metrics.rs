//! Counters, and the port that shows them: `/metrics`, `/livez`, `/readyz`.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

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
    /// Statements with an intent record.
    pub statements: Counter,
    /// Statements refused because they could not be recorded.
    pub statements_unrecorded: Counter,
    /// Values in which screening hid something.
    pub values_screened: Counter,
    /// Records that found no room.
    pub records_lost: Counter,
}

/// What the port shows besides counters.
pub trait Health: Send + Sync + 'static {
    /// Lines of further metrics.
    fn extra(&self, out: &mut String);
    /// Why the edge is not ready; `None`: it is.
    fn not_ready(&self) -> Option<String>;
}

/// The metrics in Prometheus' text format.
#[must_use]
pub fn render(metrics: &Metrics, health: &dyn Health) -> String {
    let mut out = String::new();
    let mut line = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    let m = metrics;
    line("writ_edge_sessions", "gauge", "Sessions open now.", m.sessions.get());
    line("writ_edge_held_statements", "gauge", "Statements waiting for approval.", m.held.get());
    let shared = m.pool_connections.get();
    line("writ_edge_pool_connections", "gauge", "Connections that sessions share.", shared);
    let waiting = m.pool_waiting.get();
    line("writ_edge_pool_waiting_sessions", "gauge", "Sessions waiting for one.", waiting);
    let in_vain = m.pool_timeouts.get();
    line("writ_edge_pool_timeouts_total", "counter", "Sessions that got none in time.", in_vain);
    line("writ_edge_sessions_total", "counter", "Sessions opened.", m.sessions_opened.get());
    line(
        "writ_edge_connections_refused_total",
        "counter",
        "Clients turned away.",
        m.connections_refused.get(),
    );
    line("writ_edge_statements_total", "counter", "Statements recorded.", m.statements.get());
    line(
        "writ_edge_statements_unrecorded_total",
        "counter",
        "Statements refused because they could not be recorded.",
        m.statements_unrecorded.get(),
    );
    line(
        "writ_edge_values_screened_total",
        "counter",
        "Values in results in which something was hidden.",
        m.values_screened.get(),
    );
    line("writ_edge_records_lost_total", "counter", "Records without room.", m.records_lost.get());
    health.extra(&mut out);
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
                async move { text }
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
