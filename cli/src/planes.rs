//! The planes as processes: a TOML file and `WRIT_*` variables become a validated configuration, which is run until
//! somebody ends it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Answer, Failure, Result, file};

mod glue;
mod notify;

pub(crate) use glue::{Running, compile_policies, default_pack};

/// `control-plane.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlPlaneFile {
    /// This node's number in the cluster.
    pub(crate) node_id: u64,
    /// Keys, log and state.
    pub(crate) data_dir: PathBuf,
    /// Where gRPC is served.
    pub(crate) listen: SocketAddr,
    /// Names and addresses that it is reached under.
    pub(crate) host_names: Vec<String>,
    /// `host:port` of the lake's ingest, for control events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lake_ingest: Option<String>,
    /// How long a token lasts where nobody says, in seconds.
    #[serde(default = "token_valid_seconds")]
    pub(crate) token_valid_seconds: u64,
}

/// `edge.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeFile {
    /// The edge's name.
    pub(crate) name: String,
    /// The environment it serves.
    pub(crate) environment: String,
    /// Certificate, last known good configuration and spool.
    pub(crate) data_dir: PathBuf,
    /// Where PostgreSQL clients connect.
    pub(crate) listen: SocketAddr,
    /// Names and addresses that clients reach it under.
    pub(crate) host_names: Vec<String>,
    /// `https://host:port`.
    pub(crate) control_plane: String,
    /// The control plane's CA.
    pub(crate) ca_file: PathBuf,
    /// Needed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join_token: Option<String>,
    /// `host:port` of the lake's ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lake_ingest: Option<String>,
    /// How much may wait for the lake, in bytes.
    #[serde(default = "spool_bytes_max")]
    pub(crate) spool_bytes_max: u64,
    /// Where /metrics, /livez and /readyz are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Whether clients may come without TLS: for measurements on loopback.
    #[serde(default)]
    pub(crate) plaintext: bool,
    /// The most sessions at once.
    #[serde(default = "sessions_max")]
    pub(crate) sessions_max: usize,
    /// How long sessions may finish what they do when the process is told to end, in seconds.
    #[serde(default = "drain_seconds")]
    pub(crate) drain_seconds: u64,
    /// Whether to take over from the process that serves with the same `data_dir`, where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) take_over: bool,
    /// The most sessions of one user or service at once; 0: no limit.
    #[serde(default)]
    pub(crate) sessions_per_principal_max: usize,
    /// The most sessions of one agent at once; 0: no limit.
    #[serde(default = "sessions_per_agent_max")]
    pub(crate) sessions_per_agent_max: usize,
    /// The most statements of one user or service a second; 0: no limit.
    #[serde(default)]
    pub(crate) statements_per_second: u32,
    /// The most statements of one agent a second; 0: no limit.
    #[serde(default = "statements_per_second_of_agents")]
    pub(crate) statements_per_second_of_agents: u32,
    /// What the buffers of all sessions may take together, in bytes; 0: no limit.
    #[serde(default = "buffer_bytes_max")]
    pub(crate) buffer_bytes_max: usize,
    /// The Vault with databases' passwords: https://host:port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault_address: Option<String>,
    /// A file with the token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault_token_file: Option<PathBuf>,
    /// Whom to trust as the Vault, instead of the system's certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault_ca_file: Option<PathBuf>,
    /// The Vault's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault_namespace: Option<String>,
    /// The secret that masks hash with, the same for every edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mask_key_file: Option<PathBuf>,
    /// `http://host:port` or `https://host:port` of a collector of traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Whether spans say who acted and from which address.
    #[serde(default = "otlp_people")]
    pub(crate) otlp_people: bool,
}

/// `lake.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LakeFile {
    /// The lake's name.
    pub(crate) name: String,
    /// Tables, checkpoints and keys.
    pub(crate) data_dir: PathBuf,
    /// Where edges ship to.
    pub(crate) ingest_listen: SocketAddr,
    /// Where auditors connect.
    pub(crate) sql_listen: SocketAddr,
    /// Names and addresses that it is reached under.
    pub(crate) host_names: Vec<String>,
    /// `https://host:port`.
    pub(crate) control_plane: String,
    /// The control plane's CA.
    pub(crate) ca_file: PathBuf,
    /// Needed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join_token: Option<String>,
}

fn token_valid_seconds() -> u64 {
    12 * 3_600
}

fn otlp_people() -> bool {
    true
}

fn sessions_max() -> usize {
    10_000
}

fn drain_seconds() -> u64 {
    10
}

fn sessions_per_agent_max() -> usize {
    100
}

fn statements_per_second_of_agents() -> u32 {
    500
}

fn buffer_bytes_max() -> usize {
    1024 * 1024 * 1024
}

fn spool_bytes_max() -> u64 {
    1024 * 1024 * 1024
}

/// A configuration file's options and the prefix of the variables that win over it.
pub(crate) trait Options: DeserializeOwned {
    /// `WRIT_EDGE_`: `WRIT_EDGE_LISTEN` is the option `listen`.
    const PREFIX: &'static str;
    /// The options' names.
    const NAMES: &'static [&'static str];
}

impl Options for ControlPlaneFile {
    const PREFIX: &'static str = "WRIT_CONTROL_PLANE_";
    const NAMES: &'static [&'static str] =
        &["node_id", "data_dir", "listen", "host_names", "lake_ingest", "token_valid_seconds"];
}

impl Options for EdgeFile {
    const PREFIX: &'static str = "WRIT_EDGE_";
    const NAMES: &'static [&'static str] = &[
        "name",
        "environment",
        "data_dir",
        "listen",
        "host_names",
        "control_plane",
        "ca_file",
        "join_token",
        "lake_ingest",
        "spool_bytes_max",
        "metrics_listen",
        "plaintext",
        "sessions_max",
        "drain_seconds",
        "take_over",
        "sessions_per_principal_max",
        "sessions_per_agent_max",
        "statements_per_second",
        "statements_per_second_of_agents",
        "buffer_bytes_max",
        "vault_address",
        "vault_token_file",
        "vault_ca_file",
        "vault_namespace",
        "mask_key_file",
        "otlp_endpoint",
        "otlp_people",
    ];
}

impl Options for LakeFile {
    const PREFIX: &'static str = "WRIT_LAKE_";
    const NAMES: &'static [&'static str] = &[
        "name",
        "data_dir",
        "ingest_listen",
        "sql_listen",
        "host_names",
        "control_plane",
        "ca_file",
        "join_token",
    ];
}

/// Reads a configuration file, with variables over it.
pub(crate) fn load<T: Options>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(file(path, error).to_string()))?;
    parse(&text, |name| std::env::var(name).ok())
        .map_err(|problem| Failure::usage(format!("{}: {problem}", path.display())))
}

fn parse<T: Options>(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> std::result::Result<T, String> {
    let mut table: toml::Table = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    for name in T::NAMES {
        if let Some(value) = variable(&format!("{}{}", T::PREFIX, name.to_uppercase())) {
            table.insert((*name).to_owned(), scalar(value));
        }
    }
    table.try_into().map_err(|e: toml::de::Error| e.message().to_owned())
}

/// A variable's text as TOML where it is TOML (numbers, lists), else as the text itself.
fn scalar(text: String) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or(toml::Value::String(text))
}

/// Runs a control-plane node until it is told to end.
pub(crate) async fn run_control_plane(config: &Path) -> Result<Answer> {
    until_ended(glue::start_control_plane(load(config)?).await?).await
}

/// Runs an edge until it is told to end.
pub(crate) async fn run_edge(config: &Path, take_over: bool) -> Result<Answer> {
    let mut file: EdgeFile = load(config)?;
    file.take_over |= take_over;
    until_ended(glue::start_edge(file).await?).await
}

/// Runs a lake until it is told to end.
pub(crate) async fn run_lake(config: &Path) -> Result<Answer> {
    until_ended(glue::start_lake(load(config)?).await?).await
}

/// Starts the plane of a configuration file in this process.
pub(crate) async fn start(plane: crate::args::Plane, config: &Path) -> Result<Running> {
    match plane {
        crate::args::Plane::ControlPlane => glue::start_control_plane(load(config)?).await,
        crate::args::Plane::Edge => glue::start_edge(load(config)?).await,
        crate::args::Plane::Lake => glue::start_lake(load(config)?).await,
    }
}

async fn until_ended(mut running: Running) -> Result<Answer> {
    notify::ready();
    tokio::select! {
        asked = asked_to_end() => asked?,
        () = running.retired() => {}
    }
    running.shutdown().await;
    Ok(Answer::Done)
}

/// Returns when Ctrl-C or SIGTERM comes.
pub(crate) async fn asked_to_end() -> Result<()> {
    let failed = |error: std::io::Error| Failure::no(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAKE: &str = r#"
        name = "lake-1"
        data_dir = "/d"
        ingest_listen = "127.0.0.1:1"
        sql_listen = "127.0.0.1:2"
        host_names = ["localhost"]
        control_plane = "https://127.0.0.1:3"
        ca_file = "/ca.pem"
    "#;

    #[test]
    fn variables_win_over_the_file() {
        let variable = |name: &str| match name {
            "WRIT_LAKE_SQL_LISTEN" => Some("127.0.0.1:9".to_owned()),
            "WRIT_LAKE_HOST_NAMES" => Some(r#"["a", "b"]"#.to_owned()),
            // What `dev.env` sets for clients is no option, and changes nothing.
            "WRIT_LAKE_URL" => Some("postgresql://…".to_owned()),
            _ => None,
        };
        let lake: LakeFile = parse(LAKE, variable).expect("a configuration");
        assert_eq!(lake.sql_listen.port(), 9);
        assert_eq!(lake.host_names, ["a", "b"]);
        assert_eq!(lake.ingest_listen.port(), 1);
    }

    #[test]
    fn an_unknown_option_is_an_error_that_names_it() {
        let text = format!("{LAKE}\nsql_lisen = \"x\"");
        let problem = parse::<LakeFile>(&text, |_| None).expect_err("a typing error");
        assert!(problem.contains("sql_lisen"), "{problem}");
    }

    #[test]
    fn every_option_of_a_file_can_be_set_by_a_variable() {
        let edge = EdgeFile {
            name: "e".into(),
            environment: "prod".into(),
            data_dir: "/d".into(),
            listen: ([127, 0, 0, 1], 1).into(),
            host_names: vec![],
            control_plane: "https://h:1".into(),
            ca_file: "/c".into(),
            join_token: Some("j".into()),
            lake_ingest: Some("h:2".into()),
            spool_bytes_max: 1,
            metrics_listen: Some(([127, 0, 0, 1], 2).into()),
            plaintext: false,
            sessions_max: 1,
            drain_seconds: 1,
            take_over: true,
            sessions_per_principal_max: 1,
            sessions_per_agent_max: 1,
            statements_per_second: 1,
            statements_per_second_of_agents: 1,
            buffer_bytes_max: 1,
            vault_address: Some("https://h:3".into()),
            vault_token_file: Some("/t".into()),
            vault_ca_file: Some("/v".into()),
            vault_namespace: Some("n".into()),
            mask_key_file: Some("/m".into()),
            otlp_endpoint: Some("http://h:3".into()),
            otlp_people: true,
        };
        let table = toml::Table::try_from(&edge).expect("a table");
        let mut names: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut known = EdgeFile::NAMES.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
