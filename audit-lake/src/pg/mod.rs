//! The auditors' PostgreSQL port: our accept loop, TLS and authentication in front of the SQL engine.

mod read_only;
mod startup;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use datafusion_postgres::hooks::cursor::CursorStatementHook;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::pgwire::api::auth::StartupHandler;
use datafusion_postgres::pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::{ConnectionManager, PgWireServerHandlers};
use datafusion_postgres::pgwire::tokio::process_socket;
use datafusion_postgres::{DfSessionService, QueryHook};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use writ_model::PrincipalId;
use writ_proto::node::Clock;

use crate::listen;
use crate::sql::SqlEngine;
use read_only::ReadOnlyHook;
use startup::Startup;

/// How many auditors' connections are served at once; more are closed at once.
pub const CONNECTIONS_MAX: usize = 64;

/// How long a client may take from its connection to its password.
pub const LOGIN_MAX: Duration = Duration::from_secs(15);

/// Who an auditor has proven to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The principal, for the log.
    pub principal: String,
    /// The principal and everyone it acts for: the session ends with any of them.
    pub involved: Vec<PrincipalId>,
}

/// Why somebody may not read the lake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token is not valid.
    #[error("{0}")]
    BadToken(String),
    /// The token is valid; its holder may not read the lake.
    #[error("{0}")]
    NotAllowed(String),
}

/// Says who may read the lake. The password is a token.
pub trait Authenticator: Send + Sync {
    /// Checks `password` for `user` at `now`.
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        now: writ_model::Timestamp,
    ) -> Result<Identity, AuthError>;
}

/// What the server needs beside its listener.
#[derive(Clone)]
pub struct PgPorts {
    /// Where queries run.
    pub engine: SqlEngine,
    /// Who may.
    pub authenticator: Arc<dyn Authenticator>,
    /// What time it is.
    pub clock: Clock,
    /// The certificate; a new one is used from the next connection on.
    pub tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    /// Whose sessions end now.
    pub end_sessions: broadcast::Sender<PrincipalId>,
}

impl std::fmt::Debug for PgPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgPorts").finish_non_exhaustive()
    }
}

struct Connection {
    service: Arc<DfSessionService>,
    startup: Arc<Startup>,
    cancel: Arc<DefaultCancelHandler>,
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.service)
    }
    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.service)
    }
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }
    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancel)
    }
}

/// Serves auditors until `stop`; then waits for no one.
pub async fn serve(listener: TcpListener, ports: PgPorts, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let manager = Arc::new(ConnectionManager::new());
    loop {
        let (socket, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listen::accept(&listener) => accepted,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, "closed: {CONNECTIONS_MAX} auditors are connected already");
            continue;
        };
        let (ports, manager, stop) = (ports.clone(), Arc::clone(&manager), stop.clone());
        let (user, ended) = (Arc::new(OnceLock::new()), ports.end_sessions.subscribe());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = revoked(Arc::clone(&user), ended) => tracing::info!(%peer, "session ended by an administrator"),
                () = too_slow(Arc::clone(&user)) => tracing::info!(%peer, "closed: no login in time"),
                () = connection(socket, peer, ports, manager, user) => {}
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Returns when nobody has logged in within [`LOGIN_MAX`].
async fn too_slow(user: Arc<OnceLock<Identity>>) {
    tokio::time::sleep(LOGIN_MAX).await;
    if user.get().is_some() {
        std::future::pending::<()>().await;
    }
}

/// Returns when the principal who has logged in here, or one it acts for, is to be logged out.
async fn revoked(user: Arc<OnceLock<Identity>>, mut ended: broadcast::Receiver<PrincipalId>) {
    loop {
        match ended.recv().await {
            Ok(id) if user.get().is_some_and(|user| user.involved.contains(&id)) => return,
            Ok(_) => {}
            // Missed some: it may have been one of them.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    ports: PgPorts,
    manager: Arc<ConnectionManager>,
    user: Arc<OnceLock<Identity>>,
) {
    let context = match ports.engine.session().await {
        Ok(context) => Arc::new(context),
        Err(error) => {
            tracing::error!(%error, "no SQL session");
            return;
        }
    };
    let hooks: Vec<Arc<dyn QueryHook>> = vec![
        Arc::new(ReadOnlyHook),
        Arc::new(CursorStatementHook),
        Arc::new(SetShowHook),
        Arc::new(TransactionStatementHook),
    ];
    let acceptor = TlsAcceptor::from(Arc::clone(&ports.tls.borrow()));
    let handlers = Connection {
        service: Arc::new(DfSessionService::new_with_hooks(context, hooks)),
        startup: Arc::new(Startup::new(&ports, Arc::clone(&manager), user)),
        cancel: Arc::new(DefaultCancelHandler::new(manager)),
    };
    if let Err(error) = process_socket(socket, Some(acceptor), handlers).await {
        tracing::info!(%peer, %error, "connection ended");
    }
}
