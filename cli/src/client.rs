//! The control plane's admin service, spoken to as a person: TLS against the CA, bearer token.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use writ_proto::v1::admin_service_client::AdminServiceClient;
use writ_proto::{GRPC_MESSAGE_BYTES_MAX, v1};

use crate::failure::{Failure, Result, chain, file};
use crate::settings::Settings;

/// How long one connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Puts the token into each request.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> std::result::Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A connected admin client.
pub(crate) type Admin = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Connects as `settings` say.
pub(crate) async fn connect(settings: &Settings) -> Result<Admin> {
    let url = settings.control_plane()?;
    let ca_path = settings.ca()?;
    let ca = std::fs::read(ca_path).map_err(|error| file(ca_path, error))?;
    let mut bearer: MetadataValue<Ascii> =
        format!("Bearer {}", settings.token()?).parse().map_err(|_| {
            Failure::usage("the token has characters that no Writ token has; paste it again")
        })?;
    bearer.set_sensitive(true);
    let channel = Endpoint::from_shared(url.to_owned())
        .map_err(|_| Failure::usage(format!("{url} is not a URL; write https://HOST:PORT")))?
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)))
        .map_err(|error| Failure::usage(format!("{}: {}", ca_path.display(), chain(&error))))?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await
        .map_err(|error| {
            Failure::no(format!(
                "the control plane at {url} cannot be reached: {}; check that it runs and that WRIT_CA is its CA",
                chain(&error)
            ))
        })?;
    Ok(AdminServiceClient::with_interceptor(channel, Bearer(bearer))
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
}

/// Submits one command.
pub(crate) async fn submit(
    admin: &mut Admin,
    command: v1::command::Command,
) -> Result<v1::SubmitReply> {
    Ok(admin.submit(v1::Command { command: Some(command) }).await?.into_inner())
}
