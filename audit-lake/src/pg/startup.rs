//! Authentication of auditors: TLS first, then a token as the password.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::{
    DefaultServerParameterProvider, LoginInfo, StartupHandler, finish_authentication,
    protocol_negotiation, save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, ConnectionManager, PgWireConnectionState,
    PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::Authentication;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::{Sink, SinkExt};
use writ_model::sqlstate::{AUTHENTICATION, BAD_PASSWORD, PROTOCOL_VIOLATION, SqlState};
use writ_proto::node::Clock;

use super::{AuthError, Authenticator, Identity, PgPorts};

pub(super) struct Startup {
    authenticator: Arc<dyn Authenticator>,
    clock: Clock,
    manager: Arc<ConnectionManager>,
    user: Arc<OnceLock<Identity>>,
    parameters: DefaultServerParameterProvider,
    secrets: RandomPidSecretKeyGenerator,
}

impl Startup {
    /// Who logs in is put into `user`.
    pub(super) fn new(
        ports: &PgPorts,
        manager: Arc<ConnectionManager>,
        user: Arc<OnceLock<Identity>>,
    ) -> Self {
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.is_superuser = false;
        parameters.default_transaction_read_only = true;
        Self {
            authenticator: Arc::clone(&ports.authenticator),
            clock: Arc::clone(&ports.clock),
            manager,
            user,
            parameters,
            secrets: RandomPidSecretKeyGenerator::default(),
        }
    }
}

fn fatal(state: SqlState, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".into(), state.0.into(), message)))
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(ref startup) => {
                protocol_negotiation(client, startup).await?;
                save_startup_parameters_to_metadata(client, startup);
                if !client.is_secure() {
                    let text = "the lake takes tokens only over TLS; connect with sslmode=require or stricter";
                    return Err(fatal(AUTHENTICATION, text.to_owned()));
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let ask = PgWireBackendMessage::Authentication(Authentication::CleartextPassword);
                client.send(ask).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(password) => {
                let password = password.into_password()?;
                let user = LoginInfo::from_client_info(client).user().unwrap_or("").to_owned();
                let identity = self
                    .authenticator
                    .authenticate(&user, &password.password, (self.clock)())
                    .map_err(|error| match &error {
                        AuthError::BadToken(_) => fatal(BAD_PASSWORD, error.to_string()),
                        AuthError::NotAllowed(_) => fatal(AUTHENTICATION, error.to_string()),
                    })?;
                tracing::info!(principal = %identity.principal, peer = %client.socket_addr(), "auditor connected");
                if self.user.set(identity).is_err() {
                    return Err(fatal(PROTOCOL_VIOLATION, "a second password".to_owned()));
                }
                let (pid, secret) = self.secrets.generate(client);
                client.set_pid_and_secret_key(pid, secret.clone());
                let (handle, guard) = self.manager.register(pid, secret);
                client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
                client.session_extensions().insert::<ConnectionGuard>(guard);
                finish_authentication(client, &self.parameters).await?;
            }
            _ => {}
        }
        Ok(())
    }
}
