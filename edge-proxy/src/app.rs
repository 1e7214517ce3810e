//! The edge's composition root: the only place that opens listeners, reads the clock's port and starts tasks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use writ_model::config::ColumnClassification;
use writ_model::{DatabaseName, EdgeId, EnvironmentName, SessionId};
use writ_proto::node::{
    Clock, FollowPorts, Followed, NodeCommand, NodeConfig, NodeError, NodeIdentity, enroll_or_load,
    follow,
};
use writ_proto::v1;

use crate::approvals::Approvals;
use crate::classify;
use crate::client::{Door, OPENINGS_MAX};
use crate::connection::Shared;
use crate::drain::Drain;
use crate::health::EdgeHealth;
use crate::journal::SpoolJournal;
use crate::limits::{Limits, LimitsConfig};
use crate::live;
use crate::login::Authenticator;
use crate::mask_key::{MaskKey, MaskKeyError};
use crate::metrics::{self, Health, Metrics};
use crate::sessions::Sessions;
use crate::ship::{self, ShipPorts, ShipStatus};
use crate::spool::{Spool, SpoolError};
use crate::spools::{self, Spools};
use crate::states::Databases;
use crate::takeover::cancels::Cancels;
use crate::takeover::control::{self, Prepared};
use crate::takeover::new::{self, Offered};
use crate::takeover::old::{Holdings, Old};
use crate::takeover::retire::Retiring;
use crate::takeover::{Role, TakeOverError};
use crate::telemetry::{self, Exporter, Telemetry};
use crate::upstream::{Vault, VaultConfig};
use crate::workers::Workers;

/// How long an edge without a spool waits for the lake to say what its last record was.
const FIRST_CONTACT: Duration = Duration::from_secs(5);
/// How much of the spool one segment file takes, in bytes: the largest record has to fit into one.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// How one edge runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The edge's name; the source of its records.
    pub name: EdgeId,
    /// The environment whose databases it serves.
    pub environment: EnvironmentName,
    /// Certificate, last known good configuration and spool.
    pub data_dir: PathBuf,
    /// Where PostgreSQL clients connect.
    pub listen: SocketAddr,
    /// Names and addresses that clients reach it under.
    pub host_names: Vec<String>,
    /// `https://host:port`.
    pub control_plane: String,
    /// The control plane's CA certificate, PEM.
    pub ca_file: PathBuf,
    /// Needed at the first start only.
    pub join_token: Option<String>,
    /// `host:port` of the lake's ingest; `None`: records stay in the spool.
    pub lake_ingest: Option<String>,
    /// The most that the spool may take, in bytes.
    pub spool_bytes_max: u64,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether clients may come without TLS: for measurements on loopback.
    pub plaintext: bool,
    /// The most sessions at once.
    pub sessions_max: usize,
    /// How long sessions may finish what they do when the process is told to end.
    pub drain_patience: Duration,
    /// Whether to take over from the process that serves with this data directory, where there is one.
    pub take_over: bool,
    /// What principals may take.
    pub limits: LimitsConfig,
    /// Where spans are sent; `None`: none are made.
    pub traces: Option<telemetry::Settings>,
    /// Where passwords are that databases name by `vault`.
    pub vault: Option<VaultConfig>,
    /// Where the secret is that masks hash with; `None`: one of its own, in the data directory.
    pub mask_key_file: Option<PathBuf>,
}

/// What the edge takes from outside besides its configuration.
#[derive(Clone)]
pub struct Ports {
    /// The current time.
    pub clock: Clock,
    /// Makes session ids, unique fleet-wide.
    pub session_id: Arc<dyn Fn() -> SessionId + Send + Sync>,
    /// Fills with secure random bytes.
    pub random: Arc<dyn Fn(&mut [u8]) + Send + Sync>,
}

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is another process there? choose another port in `listen` or `metrics_listen`"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process serves with this data directory.
    #[error(
        "another process of this edge serves from {0}; stop it, replace it with --take-over, or give this edge a directory of its own"
    )]
    Busy(PathBuf),
    /// The running process cannot be taken over from.
    #[error("take-over: {0}")]
    TakeOver(#[from] TakeOverError),
    /// The socket for the next process cannot be made.
    #[error(
        "the socket in {path} for the process that takes over cannot be made: {source}; is it this user's?"
    )]
    Control {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No certificate, or no control plane to get one from.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The spool cannot be opened.
    #[error("the audit spool cannot be opened: {0}")]
    Spool(#[from] SpoolError),
    /// The mask key cannot be had.
    #[error(transparent)]
    MaskKey(#[from] MaskKeyError),
    /// No threads for sessions.
    #[error("the threads that sessions run on cannot be started: {0}; raise the limit on threads")]
    Threads(std::io::Error),
    /// Spans cannot be sent as configured.
    #[error("traces: {0}")]
    Traces(String),
    /// The Vault's configuration is wrong.
    #[error("{0}")]
    Vault(String),
    /// The certificate cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}

/// A running edge.
pub struct Running {
    /// Where PostgreSQL clients connect.
    pub address: SocketAddr,
    /// Where metrics are served.
    pub metrics_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    shipping: CancellationToken,
    drain: Arc<Drain>,
    drain_patience: Duration,
    workers: Arc<Workers>,
    spool: Spool,
    traces: Option<Exporter>,
    retired: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Takes no new clients, lets sessions finish what they do, ships what it can, and ends.
    pub async fn shutdown(mut self) {
        // Until the last session is gone, new clients are told why none is taken.
        self.drain.end(self.drain_patience).await;
        self.stop.send_replace(true);
        self.shipping.cancel();
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        // Sessions that are still there end with their threads, before the spool does.
        drop(self.workers);
        if let Some(traces) = self.traces {
            traces.end().await;
        }
        if let Err(error) = self.spool.close() {
            tracing::error!(%error, "the audit spool could not be closed in order");
        }
    }

    /// Returns when another process has taken over and no session is left here: then [`Running::shutdown`] is due.
    pub async fn retired(&mut self) {
        if self.retired.wait_for(|retired| *retired).await.is_err() {
            // Nothing can take over any more.
            std::future::pending().await
        }
    }

    /// Returns when the edge has ended by itself, which it does only on a fault.
    pub async fn wait(&mut self) {
        self.tasks.join_next().await;
    }
}

/// Starts an edge.
pub async fn start(config: Config, ports: Ports) -> Result<Running, StartError> {
    let mut offered = match config.take_over {
        true => new::begin(&config.data_dir, config.name.as_str()).await?,
        false => None,
    };
    let serving = match offered.as_mut().and_then(Offered::serving) {
        Some(serving) => serving,
        None => spools::serve_from(&config.data_dir)?
            .ok_or_else(|| StartError::Busy(config.data_dir.clone()))?,
    };
    let mut holdings = Holdings::new(serving);
    let listener = listen(&mut offered, &mut holdings, Role::Clients, config.listen).await?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(listen(&mut offered, &mut holdings, Role::Metrics, address).await?),
        None => None,
    };
    let control =
        Prepared::new(&config.data_dir).map_err(|e| control_error(&config.data_dir, e))?;
    let node = node_config(&config);
    let identity = enroll_or_load(&node).await?;
    let mask_key =
        MaskKey::open(config.mask_key_file.as_deref(), &config.data_dir, &*ports.random)?;
    let clock = Arc::clone(&ports.clock);
    let metrics = Arc::new(Metrics::default());
    let spools = Spools {
        data_dir: config.data_dir.clone(),
        source: config.name.to_string(),
        bytes_max: config.spool_bytes_max,
        segment_bytes: SEGMENT_BYTES.min(config.spool_bytes_max / 4),
    };
    let (spool, recovered) = spools.open()?;
    let (telemetry, traces) = start_traces(&config, &ports, &metrics)?;
    let journal = SpoolJournal::new(spool.clone(), Arc::clone(&metrics)).traced(telemetry);
    if recovered.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovered.torn_bytes,
            "the spool's last record was torn and is cut off"
        );
    }
    let sessions = Arc::new(Sessions::default());
    let drain = Arc::new(Drain::open(&config.data_dir, Arc::clone(&sessions))?);
    let (identity_sent, identity_seen) = watch::channel(Arc::new(identity.clone()));
    let vault = config.vault.clone().map(Vault::new).transpose().map_err(StartError::Vault)?;
    let vault = vault.map(Arc::new);
    let databases = Arc::new(Databases::new(
        classify::port(),
        Arc::new(classify::Detector::default()),
        report_port(config.control_plane.clone(), identity_seen.clone()),
        Arc::clone(&metrics),
        vault,
        Handle::current(),
    ));
    let followed = follow(
        node,
        identity,
        follow_ports(&ports, &databases, &sessions, &metrics, &spool, &drain),
    )?;
    databases.heard(*followed.last_heard.borrow());

    let shared = Shared {
        journal: journal.clone(),
        spool: spool.clone(),
        approvals: Approvals::new(
            config.control_plane.clone(),
            identity_seen.clone(),
            Arc::clone(&clock),
            Handle::current(),
        ),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        background: Handle::current(),
    };
    let limits = Arc::new(Limits::new(config.limits));
    let cancels = Arc::new(Cancels::new(Arc::clone(&sessions), Arc::clone(&clock)));
    let door = Arc::new(Door {
        tls: crate::tls::Listener::new(identity_seen.clone()).map_err(StartError::Tls)?,
        authenticator: Authenticator::new(clock.clone(), ports.random.clone(), metrics.clone()),
        plaintext: config.plaintext,
        databases: Arc::clone(&databases),
        sessions: Arc::clone(&sessions),
        cancels: Arc::clone(&cancels),
        drain: Arc::clone(&drain),
        sessions_max: config.sessions_max,
        rooms: Arc::new(Semaphore::new(config.sessions_max.min(Semaphore::MAX_PERMITS))),
        openings: Arc::new(Semaphore::new(OPENINGS_MAX)),
        limits: Arc::clone(&limits),
        mask_key,
        shared,
        session_id: ports.session_id,
        random: ports.random,
    });

    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = Arc::new(Workers::start(cores).map_err(StartError::Threads)?);
    let (stop, stopped) = watch::channel(false);
    let shipping = CancellationToken::new();
    let address = listener.local_addr().map_err(|e| listen_error(config.listen, e))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_following(
        followed,
        identity_sent,
        Arc::clone(&databases),
        Arc::clone(&sessions),
        Arc::clone(&drain),
    ));
    // Numbering starts after what the lake has: a fresh spool must know that before the first record.
    let started = {
        let journal = journal.clone();
        let environment = config.environment.to_string();
        let clean = recovered.clean;
        let clock = Arc::clone(&clock);
        move || journal.started(clock(), &environment, clean)
    };
    match config.lake_ingest {
        Some(lake) => {
            let connect = ship::lake_channel(identity_seen, format!("https://{lake}"));
            let (status, mut status_seen) = watch::channel(ShipStatus::default());
            tasks.spawn(spools::ship_left_behind(spools, connect.clone(), shipping.clone()));
            let ports = ShipPorts { connect, status, metrics: Arc::default() };
            tasks.spawn(ship::run(spool.clone(), ports, shipping.clone()));
            if recovered.fresh {
                let agreed = status_seen.wait_for(|status| *status != ShipStatus::Connecting);
                if tokio::time::timeout(FIRST_CONTACT, agreed).await.is_err() {
                    tracing::warn!("the lake does not answer yet; records are numbered from 1");
                }
            }
            started();
        }
        None => started(),
    }
    let metrics_address = metrics_listener.as_ref().and_then(|l| l.local_addr().ok());
    let health = Arc::new(EdgeHealth {
        databases,
        spool: spool.clone(),
        clock,
        drain: Arc::clone(&drain),
        sessions,
        limits,
    });
    // Everything is there: from here on this process serves.
    if let Some(offered) = offered
        && let Some(before) = offered.finish(|| health.position()).await?
    {
        let cancels = Arc::clone(&cancels);
        tasks.spawn(async move { cancels.pass_on(before).await });
    }
    if let Some(listener) = metrics_listener {
        let router = metrics::router(metrics, Arc::clone(&health) as Arc<dyn Health>);
        tasks.spawn(serve_metrics(listener, router, stopped.clone()));
    }
    tasks.spawn(accept(listener, Arc::clone(&door), Arc::clone(&workers), stopped));
    let drain_patience = config.drain_patience;
    let (retired, retired_seen) = watch::channel(false);
    let retiring = Retiring {
        old: Arc::new(Old::new(
            config.name.to_string(),
            holdings,
            Arc::new(move || health.position()),
        )),
        socket: in_place(control),
        cancels,
        stop: stop.clone(),
        drain: Arc::clone(&drain),
        door,
        patience: drain_patience,
        retired,
    };
    tasks.spawn(retiring.run());
    Ok(Running {
        address,
        metrics_address,
        stop,
        shipping,
        drain,
        drain_patience,
        workers,
        spool,
        traces,
        retired: retired_seen,
        tasks,
    })
}

/// Spans are made where a collector is named.
fn start_traces(
    config: &Config,
    ports: &Ports,
    metrics: &Metrics,
) -> Result<(Option<Telemetry>, Option<Exporter>), StartError> {
    let Some(settings) = &config.traces else { return Ok((None, None)) };
    let ports = (Arc::clone(&ports.clock), Arc::clone(&ports.random));
    let (edge, environment) = (config.name.as_str(), config.environment.as_str());
    let started = Telemetry::start(settings, edge, environment, ports, metrics);
    let (telemetry, exporter) = started.map_err(StartError::Traces)?;
    Ok((Some(telemetry), Some(exporter)))
}

fn listen_error(address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Listen { address, source }
}

/// The socket for the next process, in its place. Without it this one serves all the same: clients count on it by now.
fn in_place(control: Prepared) -> Option<UnixListener> {
    let placed = control.put_in_place();
    let failed = |error: &_| tracing::error!(%error, "no process can take over from this one");
    placed.inspect_err(failed).ok()
}

fn control_error(data_dir: &std::path::Path, source: std::io::Error) -> StartError {
    StartError::Control { path: control::path(data_dir), source }
}

/// The running edge's socket for this address, where one is offered, or a new one; a copy goes to the next process.
async fn listen(
    offered: &mut Option<Offered>,
    holdings: &mut Holdings,
    role: Role,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    let failed = |e| listen_error(address, e);
    let listener = match offered.as_mut().and_then(|offered| offered.listener(role, address)) {
        Some(listener) => TcpListener::from_std(listener).map_err(failed)?,
        None => bind(address).await?,
    };
    holdings.add(role, address, &listener).map_err(failed)?;
    Ok(listener)
}

async fn serve_metrics(
    listener: TcpListener,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) {
    let until = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
        tracing::error!(%error, "the metrics port ended");
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|e| listen_error(address, e))
}

fn node_config(config: &Config) -> NodeConfig {
    NodeConfig {
        kind: v1::NodeKind::Edge,
        name: config.name.to_string(),
        environment: Some(config.environment.clone()),
        host_names: config.host_names.clone(),
        control_plane: config.control_plane.clone(),
        ca_file: config.ca_file.clone(),
        join_token: config.join_token.clone(),
        data_dir: config.data_dir.clone(),
    }
}

fn follow_ports(
    ports: &Ports,
    databases: &Arc<Databases>,
    sessions: &Arc<Sessions>,
    metrics: &Arc<Metrics>,
    spool: &Spool,
    drain: &Arc<Drain>,
) -> FollowPorts {
    let drain = Arc::clone(drain);
    let (databases, sessions) = (Arc::clone(databases), Arc::clone(sessions));
    let (metrics, spool, swept) = (Arc::clone(metrics), spool.clone(), Arc::clone(&sessions));
    FollowPorts {
        clock: Arc::clone(&ports.clock),
        apply: Arc::new(move |config| {
            databases.apply(Arc::clone(&config))?;
            swept.sweep(&config);
            Ok(())
        }),
        heartbeat: Arc::new(move || v1::EdgeHeartbeat {
            sessions: sessions.count() as u64,
            spool_bytes: spool.stats().bytes_used,
            held: metrics.held.get(),
            draining: drain.reason().is_some(),
        }),
    }
}

/// Passes on what the control plane says, for as long as the edge runs.
async fn keep_following(
    mut followed: Followed,
    identity: watch::Sender<Arc<NodeIdentity>>,
    databases: Arc<Databases>,
    sessions: Arc<Sessions>,
    drain: Arc<Drain>,
) {
    let mut asked = JoinSet::new();
    loop {
        while asked.try_join_next().is_some() {}
        tokio::select! {
            changed = followed.last_heard.changed() => {
                if changed.is_err() { return; }
                databases.heard(*followed.last_heard.borrow_and_update());
            }
            changed = followed.identity.changed() => {
                if changed.is_err() { return; }
                identity.send_replace(Arc::clone(&followed.identity.borrow_and_update()));
            }
            command = followed.commands.recv() => match command {
                Some(NodeCommand::EndSessions(principal)) => sessions.revoke(&principal),
                Some(NodeCommand::ListSessions(ask)) => {
                    // Beside the loop: whoever is revoked meanwhile must not wait for it.
                    let (sessions, answers) = (Arc::clone(&sessions), followed.answers.clone());
                    asked.spawn(async move { answers.sessions(live::list(&sessions, ask).await) });
                }
                Some(NodeCommand::Drain(said)) => drain.follow(said),
                Some(NodeCommand::EndSession(order)) => {
                    followed.answers.ended(live::end(&sessions, order));
                }
                None => return,
            },
        }
    }
}

async fn accept(
    listener: TcpListener,
    door: Arc<Door>,
    workers: Arc<Workers>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, address)) => match stream.into_std() {
                Ok(stream) => {
                    let door = Arc::clone(&door);
                    workers.spawn(async move {
                        // The socket's events belong to the thread that the session runs on.
                        match TcpStream::from_std(stream) {
                            Ok(stream) => door.receive(stream, address).await,
                            Err(error) => {
                                tracing::warn!(%error, "a connection could not be taken over")
                            }
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
            },
            Err(error) => {
                // Out of file descriptors: wait for sessions to end rather than spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn report_port(
    control_plane: String,
    identity: watch::Receiver<Arc<NodeIdentity>>,
) -> crate::states::ReportPort {
    Arc::new(move |database: DatabaseName, columns: Vec<ColumnClassification>| {
        let channel = identity.borrow().channel(&control_plane);
        Box::pin(async move {
            let channel = channel.map_err(|e| e.to_string())?;
            let classification = v1::DatabaseClassification {
                database: database.to_string(),
                columns: columns.iter().map(Into::into).collect(),
            };
            v1::edge_service_client::EdgeServiceClient::new(channel)
                .report_classification(v1::ReportClassificationRequest {
                    classification: Some(classification),
                })
                .await
                .map(|_| ())
                .map_err(|status| status.message().to_owned())
        })
    })
}
