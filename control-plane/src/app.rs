//! The composition root: the only place that opens listeners, files and clocks.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openraft::BasicNode;
use openraft::type_config::async_runtime::WatchReceiver;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use writ_audit::ChainState;
use writ_control_core::{ActorName, Command, GROUP_ADMINS};
use writ_model::config::PolicyFile;
use writ_model::ids::IdError;
use writ_model::{DurationMs, Principal, PrincipalId, Timestamp};
use writ_proto::GRPC_MESSAGE_BYTES_MAX;
use writ_proto::node::Clock;
use writ_proto::token::TokenError;
use writ_proto::v1::admin_service_server::AdminServiceServer;
use writ_proto::v1::edge_service_server::EdgeServiceServer;

use crate::admin::{Admin, issue_token};
use crate::ca::{CaError, Presented, Subject};
use crate::edges::Edges;
use crate::fleet::Fleet;
use crate::keys::{Keys, write_private};
use crate::leader::{Leader, PolicyPort, SubmitError};
use crate::push::Publisher;
use crate::raft::{Alone, Durability, LogStore, Machine, Raft, Store, StoreError};
use crate::server;
use crate::ship::Shipper;

pub use crate::admin::TOKEN_VALID_MAX;
pub use crate::keys::KeysError;

/// How long a token lasts where nobody says.
pub const TOKEN_VALID: DurationMs = DurationMs::from_seconds(12 * 60 * 60);
/// How long the log may take to find its leader and catch up at a start.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// A node campaigns after this long without a leader, at the earliest, in milliseconds.
const ELECTION_MS_MIN: u64 = 150;
/// And at the latest.
const ELECTION_MS_MAX: u64 = 300;
/// How often a leader says that it is there, in milliseconds.
const HEARTBEAT_MS: u64 = 50;
/// How often an idle connection is checked.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long open streams have to end at a shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often this process gives itself a new certificate; each lasts for 24 hours.
const OWN_CERTIFICATE_EVERY: Duration = Duration::from_secs(8 * 60 * 60);
/// The longest that an expiry is waited for without looking at the clock again.
const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(5);
const ADMIN: &str = "user:admin";

/// Fills a buffer with random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Where and how to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's number in the cluster, from 1.
    pub node_id: u64,
    /// Everything that is kept.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names and addresses that clients use, for the certificate.
    pub host_names: Vec<String>,
    /// `host:port` of the lake that events are shipped to; `None`: nowhere.
    pub lake_ingest: Option<String>,
    /// How long a token lasts where nobody says, in milliseconds.
    pub token_valid: DurationMs,
}

impl Config {
    /// One node on loopback with its data under `data_dir`.
    #[must_use]
    pub fn loopback(data_dir: PathBuf, port: u16) -> Self {
        Self {
            node_id: 1,
            data_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            host_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            lake_ingest: None,
            token_valid: TOKEN_VALID,
        }
    }
}

/// What the outside supplies.
#[derive(Clone)]
pub struct Ports {
    /// The current time.
    pub clock: Clock,
    /// Random bytes.
    pub random: Random,
    /// Says whether a policy set compiles, and where not.
    pub check_policies: PolicyPort,
}

impl Ports {
    /// What a real control plane uses: the system's clock and randomness, and the policy compiler.
    #[must_use]
    pub fn standard() -> Self {
        Self::system(compiles)
    }

    /// The system's clock and randomness, with another check of policies.
    #[must_use]
    pub fn system(
        check_policies: impl Fn(&[PolicyFile]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let clock = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        };
        Self {
            clock: Arc::new(clock),
            random: Arc::new(|bytes: &mut [u8]| rand::RngCore::fill_bytes(&mut rand::rng(), bytes)),
            check_policies: Arc::new(check_policies),
        }
    }
}

/// Whether a policy set compiles, and where not.
pub fn compiles(files: &[PolicyFile]) -> Result<(), String> {
    writ_policy::Policies::compile(&writ_policy::with_default_pack(files))
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// Makes ids and secrets.
#[derive(Clone)]
pub(crate) struct Ids {
    pub(crate) random: Random,
}

impl Ids {
    /// `prefix-` and a ULID: sorts by time, unique without asking anyone.
    pub(crate) fn fresh(&self, prefix: &str, now: Timestamp) -> String {
        let mut bytes = [0; 16];
        (self.random)(&mut bytes);
        let millis = u64::try_from(now.0 / 1_000).unwrap_or(0);
        let ulid = ulid::Ulid::from_parts(millis, u128::from_be_bytes(bytes));
        format!("{prefix}-{}", ulid.to_string().to_lowercase())
    }

    /// `prefix-` and 256 random bits.
    pub(crate) fn secret(&self, prefix: &str) -> String {
        let mut bytes = [0; 32];
        (self.random)(&mut bytes);
        format!("{prefix}-{}", hex::encode(bytes))
    }
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or the address is not ours.
    #[error(
        "cannot listen on {address}: {source}; stop what uses the port, or set another `listen`"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A directory or file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The administrator's token.
    #[error("the administrator's token cannot be signed: {0}")]
    Token(#[from] TokenError),
    /// A name in the first state is not one.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The log does not replay.
    #[error("the event log does not replay: {0}; restore it from a backup")]
    Replay(io::Error),
    /// The replicated log does not come up.
    #[error("the replicated log does not start: {0}")]
    Raft(String),
    /// The first state could not be made.
    #[error("the first state could not be made: {0}")]
    Bootstrap(#[from] SubmitError),
    /// The keys on disk are not those that the log names.
    #[error("the keys under {0} are not those of the log; restore both from one backup")]
    ForeignKeys(PathBuf),
}

/// A running control plane.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The CA's certificate, PEM.
    pub ca_file: PathBuf,
    /// A token for `user:admin`.
    pub admin_token_file: PathBuf,
    raft: Raft,
    closed: watch::Receiver<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Running {
    /// `https://localhost:port`-like URL under the first host name that clients use.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// Returns when the control plane has stopped, by itself or by [`Running::shutdown`].
    pub async fn wait(&self) {
        self.stop.cancelled().await;
    }

    /// Stops in order: no new connections, streams end, the log closes.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the replicated log did not stop in order");
        }
        drop(self.raft);
        // The store's lock is free once its last user is gone; then the same process may start again.
        let mut closed = self.closed;
        let closed = async { while closed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, closed).await;
    }
}

async fn start_raft(
    config: &Config,
    address: SocketAddr,
    store: &Arc<Store>,
) -> Result<(Raft, watch::Receiver<Arc<writ_control_core::State>>), StartError> {
    let failed = |e: &dyn fmt::Display| StartError::Raft(e.to_string());
    let settings = openraft::Config {
        cluster_name: "writ".to_owned(),
        election_timeout_min: ELECTION_MS_MIN,
        election_timeout_max: ELECTION_MS_MAX,
        heartbeat_interval: HEARTBEAT_MS,
        ..openraft::Config::default()
    };
    let settings = settings.validate().map_err(|e| failed(&e))?;
    let machine = Machine::open(Arc::clone(store)).map_err(StartError::Replay)?;
    let state = machine.watch();
    let log = LogStore::new(Arc::clone(store));
    let raft = Raft::new(config.node_id, Arc::new(settings), Alone, log, machine)
        .await
        .map_err(|e| failed(&e))?;
    if !raft.is_initialized().await.map_err(|e| failed(&e))? {
        let host = config.host_names.first().map_or("localhost", String::as_str);
        let node = BasicNode { addr: format!("{host}:{}", address.port()) };
        let members = std::collections::BTreeMap::from([(config.node_id, node)]);
        raft.initialize(members).await.map_err(|e| failed(&e))?;
    }
    raft.wait(Some(RECOVERY_TIMEOUT))
        .current_leader(config.node_id, "this node leads")
        .await
        .map_err(|e| failed(&e))?;
    // Everything that was acknowledged before this start is in the state after this.
    raft.ensure_linearizable(openraft::raft::ReadPolicy::ReadIndex)
        .await
        .map_err(|e| failed(&e))?;
    Ok((raft, state))
}

/// Makes the first state where there is none, and writes the files that people start from.
async fn bootstrap(
    config: &Config,
    keys: &Keys,
    ids: &Ids,
    leader: &Leader,
) -> Result<(PathBuf, PathBuf), StartError> {
    let admin: PrincipalId = ADMIN.parse()?;
    if leader.state().last.0 == 0 {
        let group = GROUP_ADMINS.parse()?;
        let principal = Principal {
            id: admin.clone(),
            display_name: "Administrator".to_owned(),
            groups: [group].into(),
            on_behalf_of: None,
            disabled: false,
        };
        let command = Command::Bootstrap {
            cluster: ids.fresh("writ", leader.now()),
            admin: principal,
            token_key: keys.token.token_key(),
        };
        leader.submit(ActorName::System, command).await?;
    }
    if !leader.state().token_keys.contains(&keys.token.token_key()) {
        return Err(StartError::ForeignKeys(config.data_dir.join("keys")));
    }
    let (token, _) = issue_token(keys, ids, &admin, leader.now(), config.token_valid)?;
    let admin_token_file = config.data_dir.join("admin.token");
    write_private(&admin_token_file, token.as_bytes())?;
    let ca_file = config.data_dir.join("ca.pem");
    std::fs::write(&ca_file, keys.ca.pem())
        .map_err(|source| StartError::File { path: ca_file.clone(), source })?;
    Ok((ca_file, admin_token_file))
}

/// Starts everything; returns once it answers.
pub async fn start(config: Config, ports: Ports) -> Result<Running, StartError> {
    // Another part of this process may have been first: the same provider then.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).map_err(|source| StartError::File { path: dir, source })?;
    // The port first: a second control plane must not touch anything.
    let listen = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let store = Arc::new(Store::open(&config.data_dir.join("raft"), Durability::Synced)?);
    let now = (ports.clock)();
    let keys = Arc::new(Keys::load_or_make(&config.data_dir.join("keys"), now, &ports.random)?);
    let ids = Ids { random: Arc::clone(&ports.random) };
    let (raft, state) = start_raft(&config, address, &store).await?;
    let leader =
        Arc::new(Leader::new(raft.clone(), state, ports.clock.clone(), ports.check_policies));
    let (ca_file, admin_token_file) = bootstrap(&config, &keys, &ids, &leader).await?;
    let stop = CancellationToken::new();
    let parts = Parts {
        config,
        keys,
        ids,
        leader,
        store,
        clock: ports.clock,
        stop,
        tasks: TaskTracker::new(),
    };
    parts.serve(listener)?;
    parts.keep_going();
    tracing::info!(%address, "the control plane answers");
    let Parts { store, stop, tasks, .. } = parts;
    let closed = store.closed();
    Ok(Running { address, ca_file, admin_token_file, raft, closed, stop, tasks })
}

struct Parts {
    config: Config,
    keys: Arc<Keys>,
    ids: Ids,
    leader: Arc<Leader>,
    store: Arc<Store>,
    clock: Clock,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Parts {
    /// Runs `task` until it ends or everything stops.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    fn serve(&self, listener: TcpListener) -> Result<(), StartError> {
        let subject = Subject::ControlPlane(self.config.node_id);
        let own = self.keys.ca.own(&subject, &self.config.host_names, (self.clock)())?;
        let presented = Arc::new(Presented::new(own)?);
        let tls = server::tls(&self.keys.ca, Arc::clone(&presented))?;
        let incoming = server::incoming(listener, tls, self.stop.clone());
        let fleet = Arc::new(Fleet::default());
        let edges = Edges {
            leader: Arc::clone(&self.leader),
            keys: Arc::clone(&self.keys),
            fleet: Arc::clone(&fleet),
            publisher: Arc::new(Publisher::new(Arc::clone(&self.keys))),
            own_host_names: self.config.host_names.clone(),
            ids: self.ids.clone(),
            stop: self.stop.clone(),
        };
        let admin = Admin {
            leader: Arc::clone(&self.leader),
            keys: Arc::clone(&self.keys),
            fleet,
            store: Arc::clone(&self.store),
            ids: self.ids.clone(),
            token_valid: self.config.token_valid,
            stop: self.stop.clone(),
        };
        let limit = GRPC_MESSAGE_BYTES_MAX;
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .add_service(EdgeServiceServer::new(edges).max_decoding_message_size(limit))
            .add_service(AdminServiceServer::new(admin).max_decoding_message_size(limit));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let stopped = stop.clone().cancelled_owned();
            if let Err(error) = server.serve_with_incoming_shutdown(incoming, stopped).await {
                tracing::error!(%error, "the listener ended");
            }
            stop.cancel();
        });
        self.renew_own(presented, subject);
        Ok(())
    }

    fn renew_own(&self, presented: Arc<Presented>, subject: Subject) {
        let (keys, clock) = (Arc::clone(&self.keys), self.clock.clone());
        let host_names = self.config.host_names.clone();
        self.spawn(async move {
            loop {
                tokio::time::sleep(OWN_CERTIFICATE_EVERY).await;
                let own = keys.ca.own(&subject, &host_names, clock());
                if let Err(error) = own.and_then(|own| presented.replace(own)) {
                    tracing::error!(%error, "our own certificate could not be renewed");
                }
            }
        });
    }

    /// Everything that goes on beside requests.
    fn keep_going(&self) {
        let leader = Arc::clone(&self.leader);
        self.spawn(expire(leader));
        let (raft, stop) = (self.leader.raft().clone(), self.stop.clone());
        self.spawn(async move {
            let mut metrics = raft.metrics();
            loop {
                let failure = metrics.borrow_and_update().running_state.clone().err();
                if let Some(error) = failure {
                    // C3: a log that cannot write must not look as if it could.
                    tracing::error!(%error, "the replicated log failed; stopping");
                    stop.cancel();
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        });
        let Some(lake) = self.config.lake_ingest.clone() else { return };
        let shipper = Shipper {
            node_id: self.config.node_id,
            lake,
            keys: Arc::clone(&self.keys),
            store: Arc::clone(&self.store),
            state: self.leader.watch(),
            clock: self.clock.clone(),
            chain: ChainState::default(),
        };
        self.spawn(shipper.run());
    }
}

/// Ends approvals when their time is up (C4).
async fn expire(leader: Arc<Leader>) {
    let mut state = leader.watch();
    loop {
        let next = state.borrow_and_update().next_expiry();
        let now = leader.now();
        match next {
            None => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            Some(at) if at <= now => {
                if let Err(error) = leader.submit(ActorName::System, Command::ExpireDue).await {
                    tracing::warn!(%error, "approvals could not be expired; will try again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Some(at) => {
                let micros = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
                let wait = Duration::from_micros(micros).min(EXPIRY_LOOK_MAX);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    changed = state.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_check_is_the_compilers() {
        assert_eq!(compiles(&writ_policy::default_pack()), Ok(()));
        let file = PolicyFile { name: "mine.cedar".to_owned(), text: "permit (".to_owned() };
        let problem = compiles(&[file]).expect_err("does not parse");
        assert!(problem.contains("mine.cedar"), "{problem}");
    }
}
