//! The one place that knows the planes' own configuration types and composition roots.

use std::sync::Arc;

use writ_model::Timestamp;
use writ_model::config::PolicyFile;

use crate::failure::{Failure, Result};

use super::{ControlPlaneFile, EdgeFile, LakeFile};

/// A plane that runs in this process.
pub(crate) enum Running {
    #[cfg(feature = "control-plane")]
    ControlPlane(Box<writ_control_plane::app::Running>),
    #[cfg(feature = "edge")]
    Edge(Box<writ_edge_proxy::app::Running>),
    #[cfg(feature = "lake")]
    Lake(Box<writ_audit_lake::app::Running>),
}

impl Running {
    /// Returns when another process has taken this one's place and it has nothing left to do.
    pub(crate) async fn retired(&mut self) {
        match self {
            #[cfg(feature = "edge")]
            Self::Edge(running) => running.retired().await,
            #[allow(unreachable_patterns)]
            _ => std::future::pending().await,
        }
    }

    /// Ends it in order: no new work, what is under way is finished or written down, then the tasks end.
    pub(crate) async fn shutdown(self) {
        match self {
            #[cfg(feature = "control-plane")]
            Self::ControlPlane(running) => running.shutdown().await,
            #[cfg(feature = "edge")]
            Self::Edge(running) => running.shutdown().await,
            #[cfg(feature = "lake")]
            Self::Lake(running) => {
                if let Err(error) = running.shutdown().await {
                    tracing::error!(%error, "the lake did not end in order");
                }
            }
        }
    }
}

#[allow(dead_code)]
fn absent(plane: &str) -> Failure {
    Failure::no(format!("this build has no {plane}; build it with `--features {plane}`"))
}

#[cfg(any(feature = "edge", feature = "lake"))]
fn clock() -> writ_proto::node::Clock {
    Arc::new(now)
}

#[allow(dead_code)]
fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Starts a control-plane node.
#[cfg(feature = "control-plane")]
pub(super) async fn start_control_plane(file: ControlPlaneFile) -> Result<Running> {
    use writ_control_plane::app::{Config, Ports, start};
    let config = Config {
        node_id: file.node_id,
        data_dir: file.data_dir,
        listen: file.listen,
        host_names: file.host_names,
        lake_ingest: file.lake_ingest,
        token_valid: writ_model::DurationMs::from_seconds(file.token_valid_seconds),
    };
    let running = start(config, Ports::standard())
        .await
        .map_err(|e| Failure::no(format!("control plane: {e}")))?;
    Ok(Running::ControlPlane(Box::new(running)))
}

/// Starts a control-plane node.
#[cfg(not(feature = "control-plane"))]
pub(super) async fn start_control_plane(_file: ControlPlaneFile) -> Result<Running> {
    Err(absent("control-plane"))
}

/// Starts an edge.
#[cfg(feature = "edge")]
pub(super) async fn start_edge(file: EdgeFile) -> Result<Running> {
    use writ_edge_proxy::app::{Config, Ports, start};
    use writ_edge_proxy::telemetry::Settings;
    let name = |text: &str| Failure::usage(format!("`{text}` is not a name"));
    let variable = |name: &str| std::env::var(name).ok();
    let traces = Settings::read(file.otlp_endpoint, file.otlp_people, variable)
        .map_err(|problem| Failure::usage(format!("traces: {problem}")))?;
    let vault = match (file.vault_address, file.vault_token_file) {
        (None, None) => None,
        (Some(address), Some(token_file)) => Some(writ_edge_proxy::upstream::VaultConfig {
            address,
            token_file,
            ca_file: file.vault_ca_file,
            namespace: file.vault_namespace,
        }),
        _ => return Err(Failure::usage("vault_address and vault_token_file go together")),
    };
    let config = Config {
        traces,
        name: file.name.parse().map_err(|_| name(&file.name))?,
        environment: file.environment.parse().map_err(|_| name(&file.environment))?,
        data_dir: file.data_dir,
        listen: file.listen,
        host_names: file.host_names,
        control_plane: file.control_plane,
        ca_file: file.ca_file,
        join_token: file.join_token,
        lake_ingest: file.lake_ingest,
        spool_bytes_max: file.spool_bytes_max,
        metrics_listen: file.metrics_listen,
        plaintext: file.plaintext,
        sessions_max: file.sessions_max,
        take_over: file.take_over,
        drain_patience: std::time::Duration::from_secs(file.drain_seconds),
        vault,
        limits: writ_edge_proxy::limits::LimitsConfig {
            sessions_per_principal_max: file.sessions_per_principal_max,
            sessions_per_agent_max: file.sessions_per_agent_max,
            statements_per_second: file.statements_per_second,
            statements_per_second_of_agents: file.statements_per_second_of_agents,
            buffer_bytes_max: file.buffer_bytes_max,
        },
        mask_key_file: file.mask_key_file,
    };
    let ports = Ports {
        clock: clock(),
        session_id: Arc::new(session_id),
        random: Arc::new(|bytes: &mut [u8]| rand::RngCore::fill_bytes(&mut rand::rng(), bytes)),
    };
    let running = start(config, ports).await.map_err(|e| Failure::no(format!("edge: {e}")))?;
    Ok(Running::Edge(Box::new(running)))
}

/// Sorts by time, and is unique without asking anyone.
#[cfg(feature = "edge")]
fn session_id() -> writ_model::SessionId {
    loop {
        let id = format!("s-{}", ulid::Ulid::new().to_string().to_lowercase());
        if let Ok(id) = id.parse() {
            return id;
        }
    }
}

/// Starts an edge.
#[cfg(not(feature = "edge"))]
pub(super) async fn start_edge(_file: EdgeFile) -> Result<Running> {
    Err(absent("edge"))
}

/// Starts a lake.
#[cfg(feature = "lake")]
pub(super) async fn start_lake(file: LakeFile) -> Result<Running> {
    use writ_audit_lake::Cadence;
    use writ_audit_lake::app::{Config, Ports, start};
    let config = Config {
        name: file.name,
        data_dir: file.data_dir,
        ingest_listen: file.ingest_listen,
        sql_listen: file.sql_listen,
        host_names: file.host_names,
        control_plane: file.control_plane,
        ca_file: file.ca_file,
        join_token: file.join_token,
        cadence: Cadence::default(),
    };
    let running = start(config, Ports { clock: clock() })
        .await
        .map_err(|e| Failure::no(format!("lake: {e}")))?;
    Ok(Running::Lake(Box::new(running)))
}

/// Starts a lake.
#[cfg(not(feature = "lake"))]
pub(super) async fn start_lake(_file: LakeFile) -> Result<Running> {
    Err(absent("lake"))
}

/// Compiles a policy set as an edge would, with the default pack beneath it, and says how many files it has then.
pub(crate) fn compile_policies(files: &[PolicyFile]) -> Result<usize> {
    let all = writ_policy::with_default_pack(files);
    writ_policy::Policies::compile(&all).map_err(|e| Failure::no(e.to_string()))?;
    Ok(all.len())
}

/// The Cedar files that are in force beneath every policy set.
pub(crate) fn default_pack() -> Vec<PolicyFile> {
    writ_policy::default_pack()
}
