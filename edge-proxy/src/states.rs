//! The databases of this edge's environment: each with its connection for the catalog, and with the newest state that
//! its sessions are decided with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use writ_edge_core::ledger::Ledger;
use writ_edge_core::policy_gate::Current;
use writ_edge_core::policy_gate::sensitivity::KnownColumns;
use writ_edge_core::policy_gate::state::DatabaseState;
use writ_edge_core::screen::Detect;
use writ_model::config::{ColumnClassification, Database, EdgeConfig, PolicyFile};
use writ_model::{DatabaseName, Timestamp};
use writ_policy::Policies;

use crate::database::{Classifier, DatabaseView, DatabaseWatch};
use crate::metrics::Metrics;
use crate::pool::{Pool, QUEUE_WAIT_MAX};
use crate::upstream::{Target, Vault};

/// How long a client waits for a database whose catalog has not been read yet.
pub const CATALOG_WAIT: Duration = Duration::from_secs(5);
/// The wait before a classification is reported again after it could not be.
const REPORT_AGAIN: Duration = Duration::from_secs(2);

/// Reports what was found in a database to the control plane.
pub type ReportPort = Arc<
    dyn Fn(
            DatabaseName,
            Vec<ColumnClassification>,
        ) -> futures::future::BoxFuture<'static, Result<(), String>>
        + Send
        + Sync,
>;

/// What is the same for all databases under one epoch.
#[derive(Clone)]
struct Applied {
    config: Arc<EdgeConfig>,
    policies: Arc<Policies>,
    files: Arc<Vec<PolicyFile>>,
}

/// All databases.
pub struct Databases {
    served: Mutex<HashMap<DatabaseName, Arc<Served>>>,
    applied: Arc<Mutex<Option<Applied>>>,
    last_heard: Arc<AtomicI64>,
    ledger: Arc<Ledger>,
    classify: Classifier,
    detect: Arc<dyn Detect>,
    report: ReportPort,
    metrics: Arc<Metrics>,
    vault: Option<Arc<Vault>>,
    background: Handle,
}

/// One database.
pub struct Served {
    database: Database,
    vault: Option<Arc<Vault>>,
    state: ArcSwapOption<DatabaseState>,
    watch: DatabaseWatch,
    applied: Arc<Mutex<Option<Applied>>>,
    last_heard: Arc<AtomicI64>,
    ledger: Arc<Ledger>,
    detect: Arc<dyn Detect>,
    /// What the state in force was built of; locked while another is built.
    built_of: Mutex<Option<(Arc<EdgeConfig>, Arc<DatabaseView>)>>,
    ready: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
    pool: Option<Arc<Pool>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Databases {
    /// No databases yet.
    #[must_use]
    pub fn new(
        classify: Classifier,
        detect: Arc<dyn Detect>,
        report: ReportPort,
        metrics: Arc<Metrics>,
        vault: Option<Arc<Vault>>,
        background: Handle,
    ) -> Self {
        Self {
            metrics,
            vault,
            background,
            served: Mutex::default(),
            applied: Arc::default(),
            last_heard: Arc::default(),
            ledger: Arc::default(),
            classify,
            detect,
            report,
        }
    }

    /// Makes a configuration effective for every database at once, or says why it cannot be (E5).
    pub fn apply(&self, config: Arc<EdgeConfig>) -> Result<(), String> {
        let mut applied = self.applied.lock();
        let (policies, files) = match applied.as_ref() {
            Some(before) if *before.files == config.policies => {
                (Arc::clone(&before.policies), Arc::clone(&before.files))
            }
            _ => (Arc::new(compile(&config.policies)?), Arc::new(config.policies.clone())),
        };
        *applied = Some(Applied { config: Arc::clone(&config), policies, files });
        drop(applied);
        let mut served = self.served.lock();
        served.retain(|name, one| {
            let keep = config.databases.get(name) == Some(&one.database);
            if !keep {
                one.state.store(None);
            }
            keep
        });
        for (name, database) in &config.databases {
            if !served.contains_key(name) {
                served.insert(name.clone(), self.serve(database.clone()));
            }
        }
        let all: Vec<_> = served.values().cloned().collect();
        drop(served);
        for one in all {
            one.rebuild();
        }
        Ok(())
    }

    fn serve(&self, database: Database) -> Arc<Served> {
        let pool = crate::pool::connections_max(&database)
            .map(|max| (max, Arc::clone(&self.metrics), self.background.clone()))
            .map(|(max, metrics, background)| Pool::new(max, QUEUE_WAIT_MAX, metrics, background));
        let served = Arc::new(Served {
            pool: pool.map(Arc::new),
            watch: DatabaseWatch::start(
                database.clone(),
                self.vault.clone(),
                Arc::clone(&self.classify),
            ),
            vault: self.vault.clone(),
            database,
            state: ArcSwapOption::empty(),
            applied: Arc::clone(&self.applied),
            last_heard: Arc::clone(&self.last_heard),
            ledger: Arc::clone(&self.ledger),
            detect: Arc::clone(&self.detect),
            built_of: Mutex::new(None),
            ready: watch::channel(false).0,
            task: Mutex::new(None),
        });
        let task = tokio::spawn(follow(
            Arc::downgrade(&served),
            served.watch.view(),
            Arc::clone(&self.report),
        ));
        *served.task.lock() = Some(task);
        served
    }

    /// The database called `name`.
    #[must_use]
    pub fn get(&self, name: &DatabaseName) -> Option<Arc<Served>> {
        self.served.lock().get(name).cloned()
    }

    /// The control plane was heard.
    pub fn heard(&self, at: Timestamp) {
        self.last_heard.fetch_max(at.0, Ordering::Relaxed);
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Option<Arc<EdgeConfig>> {
        self.applied.lock().as_ref().map(|a| Arc::clone(&a.config))
    }

    /// When the control plane was last heard.
    #[must_use]
    pub fn last_heard(&self) -> Timestamp {
        Timestamp(self.last_heard.load(Ordering::Relaxed))
    }
}

/// Compiles a policy set on top of the default pack.
pub fn compile(files: &[PolicyFile]) -> Result<Policies, String> {
    Policies::compile(&writ_policy::with_default_pack(files)).map_err(|e| e.to_string())
}

/// Rebuilds the state at each new view, and reports what was found.
async fn follow(
    served: std::sync::Weak<Served>,
    mut views: watch::Receiver<Option<Arc<DatabaseView>>>,
    report: ReportPort,
) {
    let mut reported: Option<Arc<Vec<ColumnClassification>>> = None;
    loop {
        let findings = views.borrow_and_update().as_ref().map(|view| Arc::clone(&view.findings));
        let Some(one) = served.upgrade() else { return };
        one.rebuild();
        let name = one.database.name.clone();
        drop(one);
        let due = findings.clone().filter(|f| reported.as_ref() != Some(f));
        if let Some(findings) = due {
            match report(name.clone(), findings.to_vec()).await {
                Ok(()) => reported = Some(findings),
                Err(reason) => {
                    tracing::warn!(database = %name, %reason, "the classification could not be reported yet");
                    tokio::select! {
                        () = tokio::time::sleep(REPORT_AGAIN) => continue,
                        changed = views.changed() => if changed.is_err() { return },
                    }
                    continue;
                }
            }
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

impl Served {
    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The same, with what its credential may have to be asked of.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target { database: &self.database, vault: self.vault.as_ref() }
    }

    /// The connections that its sessions share, where they do.
    #[must_use]
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        self.pool.as_ref()
    }

    fn rebuild(&self) {
        let mut built_of = self.built_of.lock();
        let applied = self.applied.lock().clone();
        let view = self.watch.view().borrow().clone();
        let (Some(applied), Some(view)) = (applied, view) else { return };
        if !applied.config.databases.contains_key(&self.database.name) {
            return;
        }
        // The same again would only forget what was decided.
        let same = |of: &(Arc<EdgeConfig>, Arc<DatabaseView>)| {
            Arc::ptr_eq(&of.0, &applied.config) && Arc::ptr_eq(&of.1, &view)
        };
        if built_of.as_ref().is_some_and(same) {
            return;
        }
        *built_of = Some((Arc::clone(&applied.config), Arc::clone(&view)));
        let configured = applied.config.classifications.get(&self.database.name);
        let known = KnownColumns::new(configured.map_or(&[], Vec::as_slice), &view.findings);
        let state = DatabaseState::new(
            applied.config,
            applied.policies,
            self.database.clone(),
            Arc::clone(&view.catalog),
            known,
        );
        self.state.store(Some(Arc::new(state)));
        self.ready.send_replace(true);
    }

    /// Reads the catalog and classifies again; afterwards the new state is in force.
    pub async fn refresh(&self) {
        match self.watch.refresh().await {
            Ok(_view) => self.rebuild(),
            // Names that are not known stay closed (E2).
            Err(reason) => {
                tracing::warn!(database = %self.database.name, %reason, "the catalog could not be read");
            }
        }
    }

    /// Waits until there is a state. `false`: there is none in time.
    pub async fn wait_ready(&self) -> bool {
        let mut ready = self.ready.subscribe();
        let waited = tokio::time::timeout(CATALOG_WAIT, ready.wait_for(|ready| *ready)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Whether there is a state.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }
}

impl Current for Served {
    fn state(&self) -> Option<Arc<DatabaseState>> {
        self.state.load_full()
    }

    fn is_newest(&self, state: &Arc<DatabaseState>) -> bool {
        self.state.load().as_ref().is_some_and(|newest| Arc::ptr_eq(newest, state))
    }

    fn last_heard(&self) -> Timestamp {
        Timestamp(self.last_heard.load(Ordering::Relaxed))
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    fn detect(&self) -> Option<Arc<dyn Detect>> {
        Some(Arc::clone(&self.detect))
    }
}
