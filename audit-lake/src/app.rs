//! The composition root: binds the ports, enrols, opens the lake, follows the configuration and serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use writ_audit::PublicKey;
use writ_model::PrincipalId;
use writ_proto::node::{
    Clock, FollowPorts, Followed, NodeCommand, NodeConfig, enroll_or_load, follow,
};
use writ_proto::v1;

use crate::auth::TokenAuthenticator;
use crate::error::LakeError;
use crate::ingest::Cadence;
use crate::lake::LakeStatus;
use crate::pg::PgPorts;
use crate::sql::SqlEngine;
use crate::storage::{Lake, StorageConfig};
use crate::{grpc, listen, pg, tls};

/// Why a lake does not start.
pub type StartError = LakeError;

/// The directory of tables and checkpoints below the data directory: what `writ audit verify` reads.
pub const TABLES_DIRECTORY: &str = "tables";
/// The checkpoint key below the data directory; its public half is beside it with `.pub`.
pub const CHECKPOINT_KEY_FILE: &str = "keys/checkpoint.key";
/// Orders to end sessions that wait for the sessions to see them.
const END_SESSIONS_MAX: usize = 256;

/// Everything that a lake is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The lake's name, as enrolled.
    pub name: String,
    /// Holds the tables, the keys and the certificate.
    pub data_dir: PathBuf,
    /// Where records come in (gRPC, mTLS).
    pub ingest_listen: SocketAddr,
    /// Where auditors connect (PostgreSQL protocol, TLS).
    pub sql_listen: SocketAddr,
    /// Names and addresses that clients reach it under, for its certificate.
    pub host_names: Vec<String>,
    /// `https://host:port` of the control plane.
    pub control_plane: String,
    /// The control plane's CA certificate, PEM.
    pub ca_file: PathBuf,
    /// Needed once, at the first start.
    pub join_token: Option<String>,
    /// How often to commit and to seal.
    pub cadence: Cadence,
}

/// What the outside world supplies.
#[derive(Clone)]
pub struct Ports {
    /// What time it is.
    pub clock: Clock,
}

/// A serving lake. Dropping it stops it without order; [`Running::shutdown`] stops it in order.
pub struct Running {
    ingest_address: SocketAddr,
    sql_address: SocketAddr,
    lake: Option<Lake>,
    public_key: PublicKey,
    engine: SqlEngine,
    followed: Followed,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("ingest_address", &self.ingest_address)
            .field("sql_address", &self.sql_address)
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a lake; returns when both ports serve.
pub async fn start(config: Config, ports: Ports) -> Result<Running, StartError> {
    // Another part of the same process may have installed it already: the same one.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ingest_listener = listen::bind(config.ingest_listen, "ingest_listen").await?;
    let sql_listener = listen::bind(config.sql_listen, "sql_listen").await?;
    let node = node_config(&config);
    let identity = enroll_or_load(&node).await?;
    let lake = Lake::open(&storage_config(&config), Arc::clone(&ports.clock)).await?;
    let configs = tls::configs(&identity)?;
    let followed = follow(node, identity, follow_ports(&ports))?;
    let mut running = Running {
        ingest_address: address(&ingest_listener, "ingest_listen")?,
        sql_address: address(&sql_listener, "sql_listen")?,
        public_key: lake.public_key(),
        engine: lake.engine(),
        lake: Some(lake),
        followed,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    running.serve(ingest_listener, sql_listener, configs, ports.clock);
    Ok(running)
}

fn node_config(config: &Config) -> NodeConfig {
    NodeConfig {
        kind: v1::NodeKind::Lake,
        name: config.name.clone(),
        environment: None,
        host_names: config.host_names.clone(),
        control_plane: config.control_plane.clone(),
        ca_file: config.ca_file.clone(),
        join_token: config.join_token.clone(),
        data_dir: config.data_dir.clone(),
    }
}

fn storage_config(config: &Config) -> StorageConfig {
    StorageConfig {
        directory: config.data_dir.join(TABLES_DIRECTORY),
        key_file: config.data_dir.join(CHECKPOINT_KEY_FILE),
        cadence: config.cadence,
    }
}

fn follow_ports(ports: &Ports) -> FollowPorts {
    FollowPorts {
        clock: Arc::clone(&ports.clock),
        apply: Arc::new(|_| Ok(())),
        heartbeat: Arc::new(v1::EdgeHeartbeat::default),
    }
}

fn address(listener: &TcpListener, option: &'static str) -> Result<SocketAddr, LakeError> {
    listener.local_addr().map_err(|source| LakeError::Listen {
        address: "a bound port".to_owned(),
        option,
        source,
    })
}

impl Running {
    fn serve(
        &mut self,
        ingest_listener: TcpListener,
        sql_listener: TcpListener,
        configs: tls::Configs,
        clock: Clock,
    ) {
        let (ingest_tls, ingest_tls_seen) = watch::channel(configs.ingest);
        let (sql_tls, sql_tls_seen) = watch::channel(configs.sql);
        let (end_sessions, _) = broadcast::channel(END_SESSIONS_MAX);
        let commands = std::mem::replace(&mut self.followed.commands, mpsc::channel(1).1);
        self.spawn(end_sessions_on_command(commands, end_sessions.clone()));
        let identity = self.followed.identity.clone();
        self.tasks.spawn(tls::follow(identity, ingest_tls, sql_tls, self.stop.clone()));
        if let Some(lake) = &self.lake {
            let serving =
                grpc::serve(ingest_listener, lake.ingest(), ingest_tls_seen, self.stop.clone());
            self.tasks.spawn(serving);
        }
        let authenticator = Arc::new(TokenAuthenticator { config: self.followed.config.clone() });
        let engine = self.engine.clone();
        let ports = PgPorts { engine, authenticator, clock, tls: sql_tls_seen, end_sessions };
        self.tasks.spawn(pg::serve(sql_listener, ports, self.stop.clone()));
        self.tasks.close();
    }

    /// Runs `task` until it ends or the lake stops.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }

    /// Where records come in.
    #[must_use]
    pub fn ingest_address(&self) -> SocketAddr {
        self.ingest_address
    }

    /// Where auditors connect.
    #[must_use]
    pub fn sql_address(&self) -> SocketAddr {
        self.sql_address
    }

    /// The key that verifies this lake's checkpoints.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The SQL engine, for queries in the same process.
    #[must_use]
    pub fn engine(&self) -> SqlEngine {
        self.engine.clone()
    }

    /// The numbers at this moment, for metrics and health.
    #[must_use]
    pub fn status(&self) -> Option<LakeStatus> {
        self.lake.as_ref().map(Lake::status)
    }

    /// Whether a configuration is in force: before that nobody can log in.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.followed.config.borrow().epoch.0 > 0
    }

    /// Returns when the lake has stopped serving.
    pub async fn wait(&self) {
        self.tasks.wait().await;
    }

    /// Stops in order: takes nothing more, acknowledges what it has, commits and seals it.
    pub async fn shutdown(mut self) -> Result<(), LakeError> {
        self.stop.cancel();
        self.tasks.wait().await;
        match self.lake.take() {
            Some(lake) => lake.close().await,
            None => Ok(()),
        }
    }

    /// Stops at once, as a kill would: nothing more is committed or sealed.
    pub async fn abort(mut self) {
        if let Some(lake) = self.lake.take() {
            lake.abort().await;
        }
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn end_sessions_on_command(
    mut commands: mpsc::Receiver<NodeCommand>,
    end_sessions: broadcast::Sender<PrincipalId>,
) {
    while let Some(command) = commands.recv().await {
        // What operators ask of edges is not asked of a lake.
        let NodeCommand::EndSessions(principal) = command else { continue };
        // No session is there: nothing to end.
        let _none = end_sessions.send(principal);
    }
}
