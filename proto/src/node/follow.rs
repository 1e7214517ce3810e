//! Following the control plane's configuration: one task, which reconnects for ever and never goes back (E5).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use writ_model::config::EdgeConfig;
use writ_model::{EnvironmentName, PrincipalId, Timestamp};

use super::identity::{chain, renew};
use super::{Clock, NodeConfig, NodeError, NodeIdentity, files};
use crate::GRPC_MESSAGE_BYTES_MAX;
use crate::store::{ConfigStore, StoreError};
use crate::v1;
use crate::v1::edge_service_client::EdgeServiceClient;
use v1::control_to_edge::Message as FromControl;
use v1::edge_to_control::Message as ToControl;

/// How often a node tells how it is.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The first wait before connecting again; doubles up to [`RECONNECT_MAX`].
const RECONNECT_MIN: Duration = Duration::from_millis(100);
/// The longest wait before connecting again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Messages waiting to be sent to the control plane.
const OUTGOING_MESSAGES_MAX: usize = 16;
/// Commands waiting to be carried out by the node.
const COMMANDS_MAX: usize = 1_024;

/// Answers waiting to be sent to the control plane; more are dropped, and the control plane gives them up.
const ANSWERS_MAX: usize = 16;

/// What the control plane tells a node to do at once.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeCommand {
    /// End the sessions of this principal and of every agent acting for it.
    EndSessions(PrincipalId),
    /// Say which sessions there are, with [`Answers`].
    ListSessions(v1::ListSessions),
    /// End one session, and say whether it was there, with [`Answers`].
    EndSession(v1::EndSession),
    /// Whether to take new sessions; said at each connection.
    Drain(v1::Drain),
}

/// What the node supplies.
#[derive(Clone)]
pub struct FollowPorts {
    /// The current time.
    pub clock: Clock,
    /// Makes a configuration effective, or says why it cannot be: then it is rejected, and the old one stays.
    pub apply: Arc<dyn Fn(Arc<EdgeConfig>) -> Result<(), String> + Send + Sync>,
    /// How the node is.
    pub heartbeat: Arc<dyn Fn() -> v1::EdgeHeartbeat + Send + Sync>,
}

/// Takes answers to [`NodeCommand`]s.
#[derive(Debug, Clone)]
pub struct Answers(mpsc::Sender<ToControl>);

impl Answers {
    /// Which sessions there are.
    pub fn sessions(&self, sessions: v1::LiveSessions) {
        self.give(ToControl::LiveSessions(sessions));
    }

    /// Whether the session was there.
    pub fn ended(&self, ended: v1::SessionEnded) {
        self.give(ToControl::SessionEnded(ended));
    }

    fn give(&self, answer: ToControl) {
        if self.0.try_send(answer).is_err() {
            tracing::warn!("an answer to the control plane was dropped: too many wait");
        }
    }
}

/// A running follower. Dropping it ends the task.
pub struct Followed {
    /// The configuration in force; epoch 0 until there is one.
    pub config: watch::Receiver<Arc<EdgeConfig>>,
    /// The current certificate.
    pub identity: watch::Receiver<Arc<NodeIdentity>>,
    /// When the control plane was last heard.
    pub last_heard: watch::Receiver<Timestamp>,
    /// Commands, each to be carried out once.
    pub commands: mpsc::Receiver<NodeCommand>,
    /// Where answers to commands go.
    pub answers: Answers,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follower {
    node: NodeConfig,
    ports: FollowPorts,
    store: ConfigStore,
    last_known_good: PathBuf,
    config: watch::Sender<Arc<EdgeConfig>>,
    identity: watch::Sender<Arc<NodeIdentity>>,
    last_heard: watch::Sender<Timestamp>,
    commands: mpsc::Sender<NodeCommand>,
    answers: mpsc::Receiver<ToControl>,
    renew_at: Timestamp,
}

/// Starts following. A last known good configuration on disk is applied before this returns.
///
/// `last_heard` starts at the moment that configuration was signed, so that staleness counts from then.
pub fn follow(
    node: NodeConfig,
    identity: NodeIdentity,
    ports: FollowPorts,
) -> Result<Followed, NodeError> {
    let environment: Option<&EnvironmentName> = node.environment.as_ref();
    let store = ConfigStore::new(environment, &identity.config_key_id, &identity.config_key);
    let last_known_good = node.data_dir.join("last-known-good.pb");
    let renew_at = identity.renew_at((ports.clock)());
    let (config, config_seen) = watch::channel(Arc::new(EdgeConfig::default()));
    let (identity, identity_seen) = watch::channel(Arc::new(identity));
    let (last_heard, last_heard_seen) = watch::channel(Timestamp::default());
    let (commands, commands_seen) = mpsc::channel(COMMANDS_MAX);
    let (give, answers) = mpsc::channel(ANSWERS_MAX);
    let mut follower = Follower {
        node,
        ports,
        store,
        last_known_good,
        config,
        identity,
        last_heard,
        commands,
        answers,
        renew_at,
    };
    follower.start_from_disk()?;
    let task = tokio::spawn(async move { follower.run().await });
    Ok(Followed {
        config: config_seen,
        identity: identity_seen,
        last_heard: last_heard_seen,
        commands: commands_seen,
        answers: Answers(give),
        task,
    })
}

impl Follower {
    fn start_from_disk(&mut self) -> Result<(), NodeError> {
        let Some(bytes) = files::read(&self.last_known_good)? else { return Ok(()) };
        let loaded = v1::Snapshot::decode(bytes.as_slice())
            .map_err(|e| StoreError::Decode(e.to_string()).to_string())
            .and_then(|snapshot| {
                let issued_at = issued_at(&snapshot);
                self.take(|store| store.accept_snapshot(snapshot)).map(|()| issued_at)
            });
        match loaded {
            Ok(issued_at) => {
                self.last_heard.send_replace(issued_at);
                tracing::info!(epoch = %self.store.epoch(), "started from the last known good configuration");
            }
            // A damaged or forged file is the same as none: closed until the control plane answers.
            Err(reason) => {
                tracing::warn!(%reason, "the last known good configuration is not usable")
            }
        }
        Ok(())
    }

    async fn run(&mut self) {
        let mut wait = RECONNECT_MIN;
        loop {
            match self.connected().await {
                Ok(()) => wait = RECONNECT_MIN,
                Err(reason) => {
                    tracing::warn!(%reason, "not connected to the control plane; going on with what is held");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RECONNECT_MAX);
        }
    }

    /// One connection, until it ends: `Ok` where it worked for a while.
    async fn connected(&mut self) -> Result<(), String> {
        self.renew_if_due().await;
        let channel =
            self.identity.borrow().channel(&self.node.control_plane).map_err(|e| e.to_string())?;
        let (send, outgoing) = mpsc::channel(OUTGOING_MESSAGES_MAX);
        let hello = v1::EdgeHello {
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.store.epoch().0,
        };
        tell(&send, ToControl::Hello(hello)).await?;
        let mut incoming = EdgeServiceClient::new(channel)
            .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
            .subscribe(ReceiverStream::new(outgoing))
            .await
            .map_err(|status| chain(&status))?
            .into_inner();
        let mut beat = tokio::time::interval(HEARTBEAT);
        // What was asked over the last connection, nobody waits for any more.
        while self.answers.try_recv().is_ok() {}
        loop {
            tokio::select! {
                message = incoming.next() => match message {
                    None => return Ok(()),
                    Some(Err(status)) => return Err(chain(&status)),
                    Some(Ok(v1::ControlToEdge { message })) => self.receive(message, &send).await?,
                },
                Some(answer) = self.answers.recv() => tell(&send, answer).await?,
                _ = beat.tick() => {
                    tell(&send, ToControl::Heartbeat((self.ports.heartbeat)())).await?;
                    if (self.ports.clock)() >= self.renew_at {
                        self.renew_if_due().await;
                        return Ok(()); // connects again with the new certificate
                    }
                }
            }
        }
    }

    async fn receive(
        &mut self,
        message: Option<FromControl>,
        send: &mpsc::Sender<v1::EdgeToControl>,
    ) -> Result<(), String> {
        let answer = match message {
            Some(FromControl::Snapshot(snapshot)) => {
                let offered = snapshot.signed.as_ref().map_or(0, offered_epoch);
                Some((offered, self.take(|store| store.accept_snapshot(snapshot))))
            }
            Some(FromControl::Delta(delta)) => {
                let offered = delta.signed.as_ref().map_or(0, offered_epoch);
                Some((offered, self.take(|store| store.accept_delta(delta))))
            }
            Some(FromControl::Alive(v1::Alive { epoch: _ })) => None,
            Some(FromControl::EndSessions(v1::EndSessions { principal })) => {
                let principal = principal.parse().map_err(|e| format!("end_sessions: {e}"))?;
                let _ = self.commands.send(NodeCommand::EndSessions(principal)).await;
                None
            }
            Some(FromControl::ListSessions(ask)) => {
                let _ = self.commands.send(NodeCommand::ListSessions(ask)).await;
                None
            }
            Some(FromControl::EndSession(order)) => {
                let _ = self.commands.send(NodeCommand::EndSession(order)).await;
                None
            }
            Some(FromControl::Drain(drain)) => {
                let _ = self.commands.send(NodeCommand::Drain(drain)).await;
                None
            }
            None => {
                return Err(
                    "the control plane sent a message that this version does not know".into()
                );
            }
        };
        self.last_heard.send_replace((self.ports.clock)());
        match answer {
            None => Ok(()),
            Some((epoch, Ok(()))) => {
                self.keep()?;
                tell(send, ToControl::Ack(v1::EpochAck { epoch })).await
            }
            Some((epoch, Err(reason))) => {
                tracing::warn!(epoch, %reason, "rejected a configuration");
                tell(send, ToControl::Reject(v1::EpochReject { epoch, reason })).await
            }
        }
    }

    /// Accepts into a copy and applies it; only then is it what is held.
    fn take(
        &mut self,
        accept: impl FnOnce(&mut ConfigStore) -> Result<EdgeConfig, StoreError>,
    ) -> Result<(), String> {
        let mut store = self.store.clone();
        let config = Arc::new(accept(&mut store).map_err(|e| e.to_string())?);
        (self.ports.apply)(Arc::clone(&config))?;
        self.store = store;
        self.config.send_replace(config);
        Ok(())
    }

    fn keep(&self) -> Result<(), String> {
        let Some(snapshot) = self.store.to_snapshot() else { return Ok(()) };
        files::write(&self.last_known_good, &snapshot.encode_to_vec()).map_err(|e| e.to_string())
    }

    async fn renew_if_due(&mut self) {
        let now = (self.ports.clock)();
        if now < self.renew_at {
            return;
        }
        let identity = Arc::clone(&self.identity.borrow());
        match renew(&self.node, &identity).await {
            Ok(fresh) => {
                self.renew_at = fresh.renew_at(now);
                self.identity.send_replace(Arc::new(fresh));
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate could not be renewed; will try again")
            }
        }
    }
}

fn offered_epoch(signed: &v1::SignedEpoch) -> u64 {
    v1::EpochStatement::decode(signed.statement.as_slice()).map_or(0, |s| s.epoch)
}

fn issued_at(snapshot: &v1::Snapshot) -> Timestamp {
    let statement = snapshot
        .signed
        .as_ref()
        .and_then(|signed| v1::EpochStatement::decode(signed.statement.as_slice()).ok());
    Timestamp(statement.map_or(0, |s| s.issued_at_micros))
}

async fn tell(send: &mpsc::Sender<v1::EdgeToControl>, message: ToControl) -> Result<(), String> {
    send.send(v1::EdgeToControl { message: Some(message) })
        .await
        .map_err(|_| "the connection to the control plane ended".to_owned())
}
