//! Waiting until everything answers: conditions that are asked again, never a sleep and a hope.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use writ_proto::v1;

use super::files::Choices;
use super::start::admin_settings;
use crate::args::Plane;
use crate::client::{self, Admin};
use crate::failure::{Failure, Result};
use crate::lake_client::{self, Target};

/// How long a plane may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often to ask.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Asks until `ask` gives something; fails where `alive` does, or with what `ask` last said.
pub(super) async fn until<T, F>(
    what: &str,
    mut alive: impl FnMut() -> Result<()>,
    mut ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        alive()?;
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if Instant::now() >= deadline => {
                let seconds = READY_TIMEOUT.as_secs();
                return Err(Failure::no(format!(
                    "{what} is not ready after {seconds} s: {failure}"
                )));
            }
            Err(_) => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}

/// A client of the control plane with the administrator's token of its current run.
pub(super) async fn admin(dir: &Path, choices: &Choices) -> Result<Admin> {
    let mut admin = client::connect(&admin_settings(dir, choices)?).await?;
    admin.who_am_i(v1::Empty {}).await?;
    Ok(admin)
}

/// Whether the node of this kind is connected and has acknowledged the newest epoch.
pub(super) async fn node(mut admin: Admin, kind: v1::NodeKind) -> Result<()> {
    let reply = admin.list_edges(v1::Empty {}).await?.into_inner();
    let found = reply.edges.iter().find(|edge| edge.kind() == kind);
    match found {
        Some(edge) if edge.connected && edge.epoch_acknowledged >= reply.epoch => Ok(()),
        Some(edge) if !edge.reject_reason.is_empty() => {
            Err(Failure::no(format!("it rejects its configuration: {}", edge.reject_reason)))
        }
        _ => Err(Failure::no("it has not taken its configuration yet")),
    }
}

/// Whether the edge has looked at the database's columns.
pub(super) async fn classified(mut admin: Admin, database: String) -> Result<()> {
    let request = v1::ShowClassificationRequest { database };
    match admin.show_classification(request).await?.into_inner().columns.is_empty() {
        true => {
            Err(Failure::no("its columns are not classified yet; can the edge reach the database?"))
        }
        false => Ok(()),
    }
}

/// Whether a statement comes through.
pub(super) async fn answers(target: &Target) -> Result<()> {
    let client = lake_client::connect(target).await?;
    client.simple_query("SELECT 1").await.map_err(|e| Failure::no(lake_client::explain(&e)))?;
    Ok(())
}

/// Waits for a plane that was started again: the control plane answers, a node is connected and listens.
pub(super) async fn restarted(
    dir: &Path,
    choices: &Choices,
    plane: Plane,
    mut alive: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (kind, address) = match plane {
        Plane::ControlPlane => (None, choices.control_plane()),
        Plane::Edge => (Some(v1::NodeKind::Edge), choices.edge()),
        Plane::Lake => (Some(v1::NodeKind::Lake), choices.lake_sql()),
    };
    let listens = || async move {
        let connected = tokio::net::TcpStream::connect(address).await;
        connected.map(drop).map_err(|error| Failure::no(format!("{address}: {error}")))
    };
    until(super::launch::name(plane), &mut alive, listens).await?;
    match kind {
        None => until("the control plane", &mut alive, || admin(dir, choices)).await.map(drop),
        // An edge serves without its control plane; so being away is no reason to wait for it.
        Some(kind) => match admin(dir, choices).await {
            Ok(admin) => {
                until(super::launch::name(plane), &mut alive, || node(admin.clone(), kind)).await
            }
            Err(_) => Ok(()),
        },
    }
}
