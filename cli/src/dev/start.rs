//! `writ dev`: brings everything up in order, writes `dev.env`, and says how to begin.

use std::path::{Path, PathBuf};
use std::process::Command;

use writ_proto::v1;

use super::bootstrap::{self, ENVIRONMENT, SAMPLES};
use super::env::{EnvFile, pid_name};
use super::files::{self, Choices, RunFile, choose};
use super::launch::{self, Planes, config_path};
use super::postgres::Postgres;
use super::{process, progress, ready};
use crate::args::{DevStart, Plane};
use crate::client::Admin;
use crate::failure::{Answer, Failure, Result, file};
use crate::lake_client::Target;
use crate::planes::{self, ControlPlaneFile, EdgeFile, LakeFile};
use crate::settings::Settings;

/// Names and addresses that every plane of `writ dev` serves under.
const HOST_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
/// The name that clients use; `dev.env` holds it.
const HOST: &str = "localhost";
/// The lake's one database.
const LAKE_DATABASE: &str = "lake";
/// How long a detached start may take in all.
const DETACHED_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(180);

/// Runs `writ dev`.
pub(super) async fn run(args: &DevStart) -> Result<Answer> {
    let dir = super::absolute(&args.dir.data_dir)?;
    std::fs::create_dir_all(&dir).map_err(|error| file(&dir, error))?;
    let running = RunFile::load(&dir)?.unwrap_or_default();
    if let Some(pid) = running.pids().find(|pid| process::alive(*pid, &dir)) {
        return Err(Failure::no(format!(
            "writ dev runs in {} already (process {pid}); end it with `writ dev stop --data-dir {}`",
            dir.display(),
            dir.display()
        )));
    }
    let choices = choose(&dir, args.port_base, args.database_url.as_deref())?;
    choices.check_ports()?;
    let _ = std::fs::remove_file(dir.join("dev.env"));
    if args.detach && !args.separate {
        return detach(args, &dir).await;
    }
    eprintln!("Starting Writ in {}", dir.display());
    let mut planes = Planes::new(args.separate);
    let up = tokio::select! {
        up = bring_up(&mut planes, &dir, &choices, args.detach) => up,
        ended = planes::asked_to_end() => ended.and(Err(Failure::no("ended before everything was ready"))),
    };
    if let Err(failure) = up {
        planes.stop(&dir).await;
        let _ = Postgres::new(&dir, &choices).stop();
        return Err(failure);
    }
    print!("{}", guide(&dir, &choices));
    if args.detach {
        return Ok(Answer::Done);
    }
    println!("\nCtrl-C ends it.");
    planes::asked_to_end().await?;
    eprintln!("\nStopping");
    planes.stop(&dir).await;
    Postgres::new(&dir, &choices).stop()?;
    let _ = std::fs::remove_file(dir.join("dev.env"));
    let _ = std::fs::remove_file(dir.join("run.toml"));
    Ok(Answer::Done)
}

/// Runs the same again without us, and waits until it is ready.
async fn detach(args: &DevStart, dir: &Path) -> Result<Answer> {
    let log = dir.join("log/dev.log");
    let program = std::env::current_exe().map_err(|e| file(Path::new("writ"), e))?;
    let mut command = Command::new(program);
    command.arg("dev").arg("--data-dir").arg(dir);
    if let Some(url) = &args.database_url {
        command.args(["--database-url", url]);
    }
    if let Some(port) = args.port_base {
        command.args(["--port-base", &port.to_string()]);
    }
    launch::detached(&mut command, &log)?;
    let mut child = command.spawn().map_err(|error| file(Path::new("writ"), error))?;
    let deadline = std::time::Instant::now() + DETACHED_TIMEOUT;
    while !dir.join("dev.env").exists() {
        if !matches!(child.try_wait(), Ok(None)) {
            return Err(launch::ended("writ dev", &log));
        }
        if std::time::Instant::now() >= deadline {
            process::end(child.id(), dir);
            return Err(launch::ended("writ dev was too slow and", &log));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    print!("{}", guide(dir, &files::choices(dir)?));
    Ok(Answer::Done)
}

async fn bring_up(planes: &mut Planes, dir: &Path, choices: &Choices, detach: bool) -> Result<()> {
    if choices.database_url.is_none() {
        Postgres::new(dir, choices).start().await?;
    }
    let mut admin = start_control_plane(planes, dir, choices).await?;
    progress("people, environment and database: adding");
    let database = bootstrap::run(&mut admin, dir, choices).await?;
    let tokens = bootstrap::tokens(&mut admin).await?;

    let lake = lake_file(dir, choices, join(&mut admin, dir, Plane::Lake).await?);
    files::write(&config_path(dir, Plane::Lake), &lake)?;
    planes.start(dir, Plane::Lake).await?;
    let node = |kind| (admin.clone(), kind);
    let lake_node = node(v1::NodeKind::Lake);
    ready::until(
        "the lake",
        || planes.check(dir),
        || ready::node(lake_node.0.clone(), lake_node.1),
    )
    .await?;

    let edge = edge_file(dir, choices, join(&mut admin, dir, Plane::Edge).await?);
    files::write(&config_path(dir, Plane::Edge), &edge)?;
    planes.start(dir, Plane::Edge).await?;
    progress(&format!("edge: looking at the columns of {database}"));
    ready::until(
        "the edge",
        || planes.check(dir),
        || ready::classified(admin.clone(), database.clone()),
    )
    .await?;
    ready::until(
        "the edge",
        || planes.check(dir),
        || ready::node(admin.clone(), v1::NodeKind::Edge),
    )
    .await?;

    let targets = Targets { dir, choices, database: &database, tokens: &tokens };
    let (developer, auditor) = (targets.edge("DEVELOPER")?, targets.lake("AUDITOR")?);
    ready::until("the edge", || planes.check(dir), || ready::answers(&developer)).await?;
    ready::until("the lake's SQL", || planes.check(dir), || ready::answers(&auditor)).await?;
    let run = planes.run_file(detach);
    run.save(dir)?;
    targets.env(run)?.write(dir)
}

async fn start_control_plane(planes: &mut Planes, dir: &Path, choices: &Choices) -> Result<Admin> {
    let config = ControlPlaneFile {
        node_id: 1,
        data_dir: dir.join("control-plane"),
        listen: choices.control_plane(),
        host_names: host_names(),
        lake_ingest: Some(choices.lake_ingest().to_string()),
        token_valid_seconds: 12 * 3_600,
    };
    files::write(&config_path(dir, Plane::ControlPlane), &config)?;
    planes.start(dir, Plane::ControlPlane).await?;
    ready::until("the control plane", || planes.check(dir), || ready::admin(dir, choices)).await
}

/// A join token where the node has no certificate yet.
async fn join(admin: &mut Admin, dir: &Path, plane: Plane) -> Result<Option<String>> {
    let kind = if plane == Plane::Edge { v1::NodeKind::Edge } else { v1::NodeKind::Lake };
    match dir.join(launch::name(plane)).join("identity.pb").exists() {
        true => Ok(None),
        false => bootstrap::join_token(admin, kind).await.map(Some),
    }
}

fn host_names() -> Vec<String> {
    HOST_NAMES.iter().map(|name| (*name).to_owned()).collect()
}

fn control_plane_url(choices: &Choices) -> String {
    format!("https://{HOST}:{}", choices.control_plane().port())
}

fn ca_file(dir: &Path) -> PathBuf {
    dir.join("control-plane/ca.pem")
}

/// Settings of the administrator that every control plane has.
pub(super) fn admin_settings(dir: &Path, choices: &Choices) -> Result<Settings> {
    let path = dir.join("control-plane/admin.token");
    let token = std::fs::read_to_string(&path).map_err(|error| file(&path, error))?;
    Ok(Settings::of(control_plane_url(choices), ca_file(dir), token.trim().to_owned()))
}

fn lake_file(dir: &Path, choices: &Choices, join_token: Option<String>) -> LakeFile {
    LakeFile {
        name: "lake-1".to_owned(),
        data_dir: dir.join("lake"),
        ingest_listen: choices.lake_ingest(),
        sql_listen: choices.lake_sql(),
        host_names: host_names(),
        control_plane: control_plane_url(choices),
        ca_file: ca_file(dir),
        join_token,
    }
}

fn edge_file(dir: &Path, choices: &Choices, join_token: Option<String>) -> EdgeFile {
    EdgeFile {
        name: "edge-1".to_owned(),
        environment: ENVIRONMENT.to_owned(),
        data_dir: dir.join("edge"),
        listen: choices.edge(),
        host_names: host_names(),
        control_plane: control_plane_url(choices),
        ca_file: ca_file(dir),
        join_token,
        lake_ingest: Some(format!("{HOST}:{}", choices.lake_ingest().port())),
        spool_bytes_max: 1024 * 1024 * 1024,
        metrics_listen: Some(choices.edge_metrics()),
        plaintext: false,
        sessions_max: 10_000,
        drain_seconds: 10,
        take_over: false,
        sessions_per_principal_max: 0,
        sessions_per_agent_max: 100,
        statements_per_second: 0,
        statements_per_second_of_agents: 500,
        buffer_bytes_max: 1024 * 1024 * 1024,
        vault_address: None,
        vault_token_file: None,
        vault_ca_file: None,
        vault_namespace: None,
        mask_key_file: None,
        otlp_endpoint: None,
        otlp_people: true,
    }
}

/// Who can connect where.
struct Targets<'a> {
    dir: &'a Path,
    choices: &'a Choices,
    database: &'a str,
    tokens: &'a [String],
}

impl Targets<'_> {
    fn target(&self, role: &str, port: u16, dbname: &str) -> Result<Target> {
        let found = SAMPLES.iter().zip(self.tokens).find(|(sample, _)| sample.role == role);
        let (sample, token) =
            found.ok_or_else(|| Failure::no(format!("no sample principal {role}")))?;
        Ok(Target {
            host: HOST.to_owned(),
            port,
            user: sample.id.rsplit(':').next().unwrap_or(sample.id).to_owned(),
            password: token.clone(),
            dbname: dbname.to_owned(),
            ca: Some(ca_file(self.dir)),
        })
    }

    fn edge(&self, role: &str) -> Result<Target> {
        self.target(role, self.choices.edge().port(), self.database)
    }

    fn lake(&self, role: &str) -> Result<Target> {
        self.target(role, self.choices.lake_sql().port(), LAKE_DATABASE)
    }

    fn env(&self, run: RunFile) -> Result<EnvFile> {
        let Self { dir, choices, .. } = self;
        let mut env = EnvFile::default();
        env.set("WRIT_CONTROL_PLANE", control_plane_url(choices));
        env.set("WRIT_CONSOLE", control_plane_url(choices));
        env.set("WRIT_EDGE", format!("{HOST}:{}", choices.edge().port()));
        env.set("WRIT_LAKE", format!("{HOST}:{}", choices.lake_sql().port()));
        env.set("WRIT_CA", ca_file(dir).display());
        let direct = match &choices.database_url {
            Some(url) => url.clone(),
            None => Postgres::new(dir, choices).direct()?.url(),
        };
        env.set("WRIT_DIRECT_URL", direct);
        for (sample, token) in SAMPLES.iter().zip(self.tokens) {
            env.set(format!("WRIT_TOKEN_{}", sample.role), token);
            env.set(format!("WRIT_URL_{}", sample.role), self.edge(sample.role)?.url());
        }
        env.set("WRIT_LAKE_URL", self.lake("AUDITOR")?.url());
        env.set("WRIT_LAKE_DIR", dir.join("lake").display());
        env.set("WRIT_DATA_DIR", dir.display());
        let mut run = run;
        for plane in [Plane::ControlPlane, Plane::Edge, Plane::Lake] {
            if let Some(pid) = *run.plane(plane) {
                env.set(pid_name(plane), pid);
            }
        }
        Ok(env)
    }
}

fn guide(dir: &Path, choices: &Choices) -> String {
    let at = dir.join("dev.env");
    let at = at.display();
    let ports = [
        ("edge", choices.edge()),
        ("lake", choices.lake_sql()),
        ("control plane", choices.control_plane()),
    ];
    let ports: String = ports
        .iter()
        .map(|(name, address)| format!("    {name:<14} {HOST}:{}\n", address.port()))
        .collect();
    format!(
        r#"
Writ is ready.
{ports}
In another terminal:

    set -a; . {at}; set +a

    # A developer reads: personal data is masked.
    psql "$WRIT_URL_DEVELOPER" -c 'SELECT id, full_name, ssn, email, loyalty_tier FROM customers LIMIT 3'
    # An administrator reads the same, unmasked.
    psql "$WRIT_URL_ADMIN" -c 'SELECT id, full_name, ssn, email, loyalty_tier FROM customers LIMIT 3'
    # An agent drops a table: refused, and the session goes on.
    psql "$WRIT_URL_AGENT" -c 'DROP TABLE orders' -c 'SELECT count(*) FROM orders'
    # A developer deletes everything: it waits for a DBA ...
    psql "$WRIT_URL_DEVELOPER" -c 'DELETE FROM order_items'
    # ... who sees it and decides, in a third terminal.
    WRIT_TOKEN=$WRIT_TOKEN_DBA1 writ approvals list
    # Who read customers.ssn?
    writ audit sql "SELECT * FROM access WHERE column_name = 'ssn' LIMIT 10"

"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_env_has_everything_that_is_promised() {
        let dir = tempfile::tempdir().expect("a directory");
        let choices = choose(dir.path(), Some(9000), None).expect("chosen");
        let tokens: Vec<String> = SAMPLES.iter().map(|s| format!("token-of-{}", s.role)).collect();
        let targets =
            Targets { dir: dir.path(), choices: &choices, database: "shop", tokens: &tokens };
        let run =
            RunFile { supervisor: None, control_plane: Some(1), edge: Some(2), lake: Some(3) };
        targets.env(run).expect("made").write(dir.path()).expect("written");
        let text = std::fs::read_to_string(dir.path().join("dev.env")).expect("read");
        let mut names = vec![
            "WRIT_CONTROL_PLANE",
            "WRIT_CONSOLE",
            "WRIT_EDGE",
            "WRIT_LAKE",
            "WRIT_CA",
            "WRIT_DIRECT_URL",
            "WRIT_LAKE_URL",
            "WRIT_PID_CONTROL_PLANE",
            "WRIT_PID_EDGE",
            "WRIT_PID_LAKE",
        ]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
        for role in ["DEVELOPER", "ADMIN", "DBA1", "DBA2", "AUDITOR", "AGENT"] {
            names.extend([format!("WRIT_TOKEN_{role}"), format!("WRIT_URL_{role}")]);
        }
        for name in names {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{name}='"))),
                "{name} in {text}"
            );
        }
        let agent = targets.edge("AGENT").expect("a target").url();
        assert!(
            agent.starts_with(
                "postgresql://copilot:token-of-AGENT@localhost:9001/shop?sslmode=verify-full"
            ),
            "{agent}"
        );
    }
}
