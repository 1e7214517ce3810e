//! Keeps one connection per database, and the view of what the database contains up to date.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use writ_classify::follow_keys;
use writ_edge_core::catalog::{CATALOG_FINGERPRINT_QUERY, CATALOG_QUERY, parse_catalog};
use writ_model::Catalog;
use writ_model::config::Database;

use super::sample::Findings;
use super::{Classifier, DatabaseView, ReadFailure, ask, only_text, open};
use crate::upstream::{ConnectLimits, Target, Upstream, Vault};

/// How often the database is asked whether its catalog changed.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often tables that had no rows are looked at again.
const EMPTY_TABLES_AGAIN: Duration = Duration::from_secs(60);
/// The server's own bound on our statements.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take; a refresh waits for it.
const CONNECT: ConnectLimits = ConnectLimits { connect: Duration::from_secs(5) };
/// How many refreshes may wait for the reader.
const REFRESH_QUEUE_MAX: usize = 1_024;

type Answer = Result<Arc<DatabaseView>, String>;
type Reply = oneshot::Sender<Answer>;

/// A database under watch, until this is dropped.
#[derive(Debug)]
pub struct DatabaseWatch {
    view: watch::Receiver<Option<Arc<DatabaseView>>>,
    refreshes: mpsc::Sender<Reply>,
    task: JoinHandle<()>,
}

impl Drop for DatabaseWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DatabaseWatch {
    /// Starts watching `database`. Needs a tokio runtime. Errors only show in the log: the watch goes on for ever.
    #[must_use]
    pub fn start(database: Database, vault: Option<Arc<Vault>>, classifier: Classifier) -> Self {
        let (publish, view) = watch::channel(None);
        let (refreshes, requests) = mpsc::channel(REFRESH_QUEUE_MAX);
        let reader = Reader {
            database,
            vault,
            classifier,
            connection: None,
            fingerprint: String::new(),
            findings: Findings::default(),
            looked_at_empty: Instant::now(),
            publish,
        };
        Self { view, refreshes, task: tokio::spawn(reader.run(requests)) }
    }

    /// The newest view; `None` until the database has been read once. It stays while the database is away.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Option<Arc<DatabaseView>>> {
        self.view.clone()
    }

    /// A view at least as new as this call. Calls that come while the reader works share its next reading.
    pub async fn refresh(&self) -> Result<Arc<DatabaseView>, String> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| "the watch over the database has ended".to_owned();
        self.refreshes.send(reply).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

/// The one task that talks to the database.
struct Reader {
    database: Database,
    vault: Option<Arc<Vault>>,
    classifier: Classifier,
    connection: Option<Upstream>,
    /// Of the published view; empty before the first.
    fingerprint: String,
    findings: Findings,
    looked_at_empty: Instant,
    publish: watch::Sender<Option<Arc<DatabaseView>>>,
}

impl Reader {
    async fn run(mut self, mut requests: mpsc::Receiver<Reply>) {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble: Option<String> = None;
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                _ = ticks.tick() => {}
                request = requests.recv() => match request {
                    Some(reply) => waiting.push(reply),
                    None => return,
                },
            }
            // Whoever asks from here on gets the next reading: this one may already be past their change.
            while let Ok(reply) = requests.try_recv() {
                waiting.push(reply);
            }
            let answer = self.read().await.map_err(|error| error.to_string());
            let now = answer.as_ref().err().cloned();
            if now != trouble {
                let database = self.database.name.as_str();
                match &now {
                    Some(error) => tracing::warn!(database, error, "the database cannot be read"),
                    None => tracing::info!(database, "the database can be read again"),
                }
                trouble = now;
            }
            for reply in waiting {
                // Whoever no longer waits does not need the answer.
                let _ = reply.send(answer.clone());
            }
        }
    }

    /// The current view, read anew where the database changed.
    async fn read(&mut self) -> Result<Arc<DatabaseView>, ReadFailure> {
        let mut upstream = match self.connection.take() {
            Some(upstream) => upstream,
            None => {
                let target = Target { database: &self.database, vault: self.vault.as_ref() };
                open(target, &CONNECT, STATEMENT_TIMEOUT).await?
            }
        };
        let view = self.read_from(&mut upstream).await?;
        // Only after success: an error may have left the session anywhere.
        self.connection = Some(upstream);
        Ok(view)
    }

    async fn read_from(
        &mut self,
        upstream: &mut Upstream,
    ) -> Result<Arc<DatabaseView>, ReadFailure> {
        // Before the catalog: a change in between then shows as a new fingerprint next time.
        let fingerprint = only_text(ask(upstream, CATALOG_FINGERPRINT_QUERY).await?)?;
        let mut again = false;
        if self.looked_at_empty.elapsed() >= EMPTY_TABLES_AGAIN {
            self.looked_at_empty = Instant::now();
            again = self.findings.forget_empty();
        }
        let known = self.publish.borrow().clone();
        let unchanged = known.clone().filter(|_| fingerprint == self.fingerprint);
        if let Some(view) = unchanged.clone().filter(|_| !again) {
            return Ok(view);
        }
        let catalog = Arc::new(read_catalog(upstream).await?);
        self.findings.update(upstream, &catalog, &self.classifier).await?;
        let mut findings = self.findings.all();
        follow_keys(&mut findings, &catalog);
        let findings = Arc::new(findings);
        // Tables that are still empty must not make a new view: whoever holds results of the old one would drop them.
        if let Some(view) = unchanged.filter(|view| view.findings == findings) {
            return Ok(view);
        }
        let version = known.map_or(0, |view| view.version) + 1;
        let view = Arc::new(DatabaseView { version, catalog, findings });
        self.publish.send_replace(Some(Arc::clone(&view)));
        self.fingerprint = fingerprint;
        Ok(view)
    }
}

async fn read_catalog(upstream: &mut Upstream) -> Result<Catalog, ReadFailure> {
    let json = only_text(ask(upstream, CATALOG_QUERY).await?)?;
    // Megabytes in a large database: not on a thread that serves clients.
    let parsed = tokio::task::spawn_blocking(move || parse_catalog(&json)).await;
    Ok(parsed.map_err(|_| ReadFailure::Shape)??)
}
