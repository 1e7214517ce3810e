//! One control plane with its people and nodes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use writ_control_plane::app::{Config, Ports, Running, StartError, start};
use writ_model::config::{EdgeConfig, PolicyFile};
use writ_proto::node::{FollowPorts, Followed, NodeConfig, NodeIdentity, enroll_or_load, follow};
use writ_proto::v1;
use writ_proto::v1::admin_service_client::AdminServiceClient;
use writ_proto::v1::command::Command;
use writ_proto::v1::edge_service_client::EdgeServiceClient;

/// Longer than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Admin = AdminServiceClient<
    InterceptedService<Channel, Box<dyn FnMut(Request<()>) -> Result<Request<()>, Status> + Send>>,
>;

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) running: Running,
}

pub(crate) fn ports() -> Ports {
    Ports::system(|files: &[PolicyFile]| match files.iter().find(|f| f.text.contains("nonsense")) {
        Some(file) => Err(format!("{}: nonsense", file.name)),
        None => Ok(()),
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let running = Self::start(&dir, 0, None).await.expect("started");
        Self { dir, running }
    }

    pub(crate) async fn start(
        dir: &TempDir,
        port: u16,
        lake_ingest: Option<String>,
    ) -> Result<Running, StartError> {
        let config = Config { lake_ingest, ..Config::loopback(dir.path().join("control"), port) };
        start(config, ports()).await
    }

    /// Stops and starts again on the same port, with the same data.
    pub(crate) async fn restart(self, lake_ingest: Option<String>) -> Self {
        let Self { dir, running } = self;
        let port = running.address.port();
        running.shutdown().await;
        let running = Self::start(&dir, port, lake_ingest).await.expect("started again");
        Self { dir, running }
    }

    pub(crate) fn channel(&self) -> Channel {
        let ca = std::fs::read(&self.running.ca_file).expect("the CA");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        Endpoint::from_shared(self.running.url("localhost"))
            .expect("a url")
            .tls_config(tls)
            .expect("tls")
            .connect_lazy()
    }

    pub(crate) fn with_token(&self, token: &str) -> Admin {
        let value: tonic::metadata::MetadataValue<_> =
            format!("Bearer {token}").parse().expect("a header");
        let add = move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", value.clone());
            Ok(request)
        };
        AdminServiceClient::with_interceptor(self.channel(), Box::new(add) as _)
    }

    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(&self.running.admin_token_file).expect("the token")
    }

    pub(crate) fn admin(&self) -> Admin {
        self.with_token(&self.admin_token())
    }

    pub(crate) async fn run(&self, command: Command) -> v1::SubmitReply {
        submit(&mut self.admin(), command).await.expect("accepted")
    }

    /// Adds a principal and returns a client that speaks as it.
    pub(crate) async fn person(&self, id: &str, groups: &[&str], behind: &str) -> Admin {
        let principal = v1::Principal {
            id: id.to_owned(),
            display_name: id.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            on_behalf_of: behind.to_owned(),
            disabled: false,
        };
        self.run(Command::AddPrincipal(v1::AddPrincipal { principal: Some(principal) })).await;
        let request = v1::IssueTokenRequest { principal: id.to_owned(), valid_ms: 0 };
        let token = self.admin().issue_token(request).await.expect("a token").into_inner().token;
        self.with_token(&token)
    }

    /// The environment `prod` with the database `shop`.
    pub(crate) async fn shop(&self) {
        let environment = v1::Environment {
            name: "prod".into(),
            staleness_max_ms: 60_000,
            when_stale: v1::WhenStale::Refuse.into(),
            logins: None,
        };
        let environment = Some(environment);
        self.run(Command::AddEnvironment(v1::AddEnvironment { environment })).await;
        self.run(Command::AddDatabase(v1::AddDatabase { database: Some(database("shop")) })).await;
    }

    pub(crate) async fn join_token(&self, kind: v1::NodeKind, environment: &str) -> String {
        let request = v1::IssueJoinTokenRequest {
            kind: kind.into(),
            environment: environment.to_owned(),
            valid_ms: 0,
        };
        self.admin().issue_join_token(request).await.expect("a token").into_inner().join_token
    }

    pub(crate) async fn node(&self, name: &str, kind: v1::NodeKind) -> NodeConfig {
        let environment = if kind == v1::NodeKind::Edge { "prod" } else { "" };
        NodeConfig {
            kind,
            name: name.to_owned(),
            environment: environment.parse().ok(),
            host_names: vec!["localhost".into(), "127.0.0.1".into()],
            control_plane: self.running.url("localhost"),
            ca_file: self.running.ca_file.clone(),
            join_token: Some(self.join_token(kind, environment).await),
            data_dir: self.dir.path().join(name),
        }
    }

    pub(crate) async fn edge(&self, name: &str) -> Edge {
        let config = self.node(name, v1::NodeKind::Edge).await;
        let identity = enroll_or_load(&config).await.expect("enrolled");
        Edge::start(config, identity)
    }
}

pub(crate) async fn submit(
    client: &mut Admin,
    command: Command,
) -> Result<v1::SubmitReply, Status> {
    let command = v1::Command { command: Some(command) };
    client.submit(command).await.map(tonic::Response::into_inner)
}

/// An enrolled edge that follows its configuration.
pub(crate) struct Edge {
    pub(crate) config: NodeConfig,
    pub(crate) identity: NodeIdentity,
    pub(crate) followed: Followed,
    /// Set to reject configurations, with this reason.
    pub(crate) reject: Arc<Mutex<Option<String>>>,
}

impl Edge {
    fn start(config: NodeConfig, identity: NodeIdentity) -> Self {
        let reject = Arc::new(Mutex::new(None::<String>));
        let rejected = Arc::clone(&reject);
        let follow_ports = FollowPorts {
            clock: ports().clock,
            apply: Arc::new(move |_| rejected.lock().clone().map_or(Ok(()), Err)),
            heartbeat: Arc::new(|| v1::EdgeHeartbeat {
                sessions: 3,
                spool_bytes: 2,
                held: 1,
                draining: false,
            }),
        };
        let followed = follow(config.clone(), identity.clone(), follow_ports).expect("following");
        Self { config, identity, followed, reject }
    }

    /// The same edge in a new process.
    pub(crate) async fn again(self) -> Self {
        let Self { config, identity, followed, .. } = self;
        drop(followed);
        Self::start(config, identity)
    }

    /// Waits until what is in force satisfies `is_so`.
    pub(crate) async fn until(&mut self, is_so: impl Fn(&EdgeConfig) -> bool) -> Arc<EdgeConfig> {
        let config = &mut self.followed.config;
        let found = tokio::time::timeout(PATIENCE, config.wait_for(|c| is_so(c))).await;
        Arc::clone(&found.expect("in time").expect("followed"))
    }

    pub(crate) fn client(&self) -> EdgeServiceClient<Channel> {
        EdgeServiceClient::new(self.identity.channel(&self.config.control_plane).expect("channel"))
    }
}

/// Asks again until `ask` finds what it looks for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("in time")
}

pub(crate) fn database(name: &str) -> v1::Database {
    v1::Database {
        name: name.to_owned(),
        environment: "prod".into(),
        owner: "shop team".into(),
        tags: [("tier".to_owned(), "1".to_owned())].into(),
        host: "127.0.0.1".into(),
        port: 5432,
        dbname: "shop".into(),
        username: "app".into(),
        credential: Some(v1::CredentialRef {
            from: Some(v1::credential_ref::From::Variable("SHOP_PASSWORD".into())),
        }),
        tls: v1::UpstreamTls::Disable.into(),
        shared_connections: 0,
        target_session_attrs: String::new(),
        label: String::new(),
        client_certificate: None,
        roles: Vec::new(),
    }
}

pub(crate) fn policies(text: &str) -> Command {
    let files = vec![v1::PolicyFile { name: "a.cedar".into(), text: text.to_owned() }];
    Command::ApplyPolicies(v1::ApplyPolicies { policies: Some(v1::PolicySet { files }) })
}
