//! The nodes' side: enrolment, certificates, configuration, and approvals for held statements.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use writ_control_core::{ActorName, Command, EventHash, Node, NodeDrain, NodeKind, State};
use writ_model::{ApprovalId, EdgeId, EnvironmentName, Epoch};
use writ_proto::v1;
use writ_proto::v1::control_to_edge::Message as ToEdge;
use writ_proto::v1::edge_service_server::EdgeService;
use writ_proto::v1::edge_to_control::Message as FromEdge;

use crate::app::Ids;
use crate::ca::{CaError, NODE_CERTIFICATE_VALID, Subject};
use crate::convert::{self, id, invalid, status};
use crate::fleet::{Connected, Fleet};
use crate::keys::Keys;
use crate::leader::Leader;
use crate::lines::Lines;
use crate::push::{Publisher, Pushed};
use crate::watching::{self, Stream, WAITING_MESSAGES_MAX};

/// How often a subscriber hears that the control plane is there; the contract is 5 seconds.
const ALIVE_EVERY: Duration = Duration::from_secs(2);

/// What the service works with.
pub(crate) struct Edges {
    pub(crate) leader: Arc<Leader>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) own_host_names: Vec<String>,
    pub(crate) ids: Ids,
    pub(crate) stop: CancellationToken,
}

/// Everyone is `localhost` to itself; such a name says nothing about who answers.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn certificate_error(error: &CaError) -> Status {
    match error {
        CaError::Request(_) => invalid(error),
        CaError::Authority(_) => Status::internal(error.to_string()),
    }
}

impl Edges {
    /// The enrolled node behind a request: what its certificate says, and the log knows.
    fn node<T>(&self, request: &Request<T>) -> Result<(EdgeId, Node), Status> {
        let certificates = request.peer_certs().ok_or_else(|| {
            Status::unauthenticated(
                "this needs a node's certificate; enrol with a join token first",
            )
        })?;
        let subject = certificates.first().and_then(Subject::of);
        let Some(Subject::Node(kind, name)) = subject else {
            return Err(Status::unauthenticated("this certificate is not a node's"));
        };
        match self.leader.state().nodes.get(&name) {
            Some(node) if node.kind == kind => Ok((name, node.clone())),
            _ => Err(Status::permission_denied(format!(
                "{name} is not enrolled (any more); enrol it again with `writ join-token`"
            ))),
        }
    }

    async fn submit(
        &self,
        name: EdgeId,
        command: Command,
    ) -> Result<crate::leader::Outcome, Status> {
        self.leader.submit(ActorName::Node(name), command).await.map_err(|e| status(&e))
    }

    fn certificate(&self, certificate_pem: String) -> v1::Certificate {
        v1::Certificate {
            certificate_pem,
            ca_pem: self.keys.ca.pem().to_owned(),
            expires_at_micros: self.leader.now().plus(NODE_CERTIFICATE_VALID).0,
            config_key_id: self.keys.config.id.clone(),
            config_key: self.keys.config.public(),
        }
    }

    /// A node's certificate also serves: with our own names in it, it could pass for us to other nodes.
    fn not_ours(&self, host_names: &[String]) -> Result<(), Status> {
        let ours = |name: &&String| !is_loopback(name) && self.own_host_names.contains(name);
        match host_names.iter().find(ours) {
            None => Ok(()),
            Some(name) => Err(Status::permission_denied(format!(
                "{name} is the control plane's own name; give the node another"
            ))),
        }
    }

    /// The approval in which the session that asked under `key` on this edge has a seat.
    fn own_approval(&self, name: &EdgeId, text: &str, key: &str) -> Result<ApprovalId, Status> {
        let id: ApprovalId = id("id", text)?;
        match self.leader.state().seat(name, key, Some(&id)) {
            Some((approval, _)) => Ok(approval.id.clone()),
            None => Err(Status::not_found(format!("{name} has no approval {id}"))),
        }
    }
}

#[tonic::async_trait]
impl EdgeService for Edges {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let v1::EnrollRequest { join_token, csr_pem, kind, name, environment, host_names } =
            request.into_inner();
        let kind = convert::node_kind(kind)?;
        let name: EdgeId = id("name", &name)?;
        let now = self.leader.now();
        self.not_ours(&host_names)?;
        // Signed first: a request that cannot be signed must not use up the token.
        let signed = self
            .keys
            .ca
            .sign(&csr_pem, &Subject::Node(kind, name.clone()), &host_names, now)
            .map_err(|e| certificate_error(&e))?;
        let command = Command::Enroll {
            token_hash: EventHash::of(join_token.as_bytes()),
            name: name.clone(),
            kind,
            environment: convert::environment(&environment)?,
            host_names,
            certificate_expires_at: now.plus(NODE_CERTIFICATE_VALID),
        };
        self.submit(name, command).await?;
        Ok(Response::new(self.certificate(signed)))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let (name, node) = self.node(&request)?;
        let v1::RenewRequest { csr_pem } = request.into_inner();
        let now = self.leader.now();
        let subject = Subject::Node(node.kind, name.clone());
        let signed = self
            .keys
            .ca
            .sign(&csr_pem, &subject, &node.host_names, now)
            .map_err(|e| certificate_error(&e))?;
        let certificate_expires_at = now.plus(NODE_CERTIFICATE_VALID);
        self.submit(name, Command::RenewNode { certificate_expires_at }).await?;
        Ok(Response::new(self.certificate(signed)))
    }

    type SubscribeStream = Stream<v1::ControlToEdge>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::EdgeToControl>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (name, node) = self.node(&request)?;
        let (sender, stream) = mpsc::channel(WAITING_MESSAGES_MAX);
        let subscriber = Subscriber {
            name,
            environment: node.environment,
            leader: Arc::clone(&self.leader),
            fleet: Arc::clone(&self.fleet),
            lines: Arc::clone(&self.lines),
            publisher: Arc::clone(&self.publisher),
            sender,
            held: None,
            drain_told: None,
        };
        let stop = self.stop.clone();
        let incoming = request.into_inner();
        tokio::spawn(async move {
            tokio::select! {
                () = subscriber.run(incoming) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Response::new(Stream::new(stream)))
    }

    async fn report_classification(
        &self,
        request: Request<v1::ReportClassificationRequest>,
    ) -> Result<Response<v1::ReportClassificationReply>, Status> {
        let (name, _) = self.node(&request)?;
        let command = convert::report_classification(request.into_inner())?;
        let epoch = self.submit(name, command).await?.epoch.0;
        Ok(Response::new(v1::ReportClassificationReply { epoch }))
    }

    async fn request_approval(
        &self,
        request: Request<v1::ApprovalRequest>,
    ) -> Result<Response<v1::ApprovalTicket>, Status> {
        let (name, _) = self.node(&request)?;
        let request = Box::new(convert::approval_request(request.into_inner())?);
        let key = request.idempotency_key.clone();
        let id: ApprovalId = convert::id("id", &self.ids.fresh("apr", self.leader.now()))?;
        self.submit(name.clone(), Command::RequestApproval { id, request }).await?;
        let state = self.leader.state();
        let (approval, _) = state
            .seat(&name, &key, None)
            .ok_or_else(|| Status::internal("the request is not in the state"))?;
        Ok(Response::new(v1::ApprovalTicket {
            id: approval.id.to_string(),
            expires_at_micros: approval.expires_at.0,
        }))
    }

    type WatchApprovalStream = Stream<v1::Approval>;

    async fn watch_approval(
        &self,
        request: Request<v1::WatchApprovalRequest>,
    ) -> Result<Response<Self::WatchApprovalStream>, Status> {
        let (name, _) = self.node(&request)?;
        let v1::WatchApprovalRequest { id, idempotency_key: key } = request.into_inner();
        let id = self.own_approval(&name, &id, &key)?;
        let place = watching::Place { edge: name, key, id };
        Ok(Response::new(watching::seat(place, self.leader.watch(), self.stop.clone())))
    }

    async fn use_grant(
        &self,
        request: Request<v1::UseGrantRequest>,
    ) -> Result<Response<v1::UseGrantReply>, Status> {
        let (name, _) = self.node(&request)?;
        let v1::UseGrantRequest { id, binding_digest, epoch, idempotency_key: key } =
            request.into_inner();
        let id = self.own_approval(&name, &id, &key)?;
        let binding_digest = convert::digest(&binding_digest)?;
        let epoch = Epoch(epoch);
        let command = Command::UseGrant { id: id.clone(), key, binding_digest, epoch };
        self.submit(name, command).await?;
        let state = self.leader.state();
        let votes = state.approvals.get(&id).map(|a| a.votes.as_slice()).unwrap_or_default();
        let approvers = votes.iter().filter(|v| v.approve).map(|v| v.approver.to_string());
        Ok(Response::new(v1::UseGrantReply { approvers: approvers.collect() }))
    }

    async fn cancel_approval(
        &self,
        request: Request<v1::CancelApprovalRequest>,
    ) -> Result<Response<v1::CancelApprovalReply>, Status> {
        let (name, _) = self.node(&request)?;
        let v1::CancelApprovalRequest { id, reason, idempotency_key: key } = request.into_inner();
        let id = self.own_approval(&name, &id, &key)?;
        self.submit(name, Command::CancelApproval { id, key, reason }).await?;
        Ok(Response::new(v1::CancelApprovalReply {}))
    }
}

/// One node's subscription. Order: what it says is recorded first, then it gets the newest set.
struct Subscriber {
    name: EdgeId,
    environment: Option<EnvironmentName>,
    leader: Arc<Leader>,
    fleet: Arc<Fleet>,
    lines: Arc<Lines>,
    publisher: Arc<Publisher>,
    sender: mpsc::Sender<Result<v1::ControlToEdge, Status>>,
    /// What the node holds; `None`: only a snapshot will do.
    held: Option<Arc<Pushed>>,
    /// What the node was told of its drain; `None`: nothing yet.
    drain_told: Option<Option<NodeDrain>>,
}

impl Subscriber {
    async fn run(mut self, mut incoming: Streaming<v1::EdgeToControl>) {
        let (fleet, name) = (Arc::clone(&self.fleet), self.name.clone());
        let connected = fleet.connected(&name, self.leader.now());
        let (_line, mut messages) = self.lines.open(&self.name);
        let mut state = self.leader.watch();
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        state.mark_changed();
        loop {
            let done = tokio::select! {
                message = incoming.next() => match message {
                    Some(Ok(v1::EdgeToControl { message })) => {
                        // None: a message of a newer version, not for us.
                        if let Some(message) = message {
                            self.hear(message, &connected);
                        }
                        Some(())
                    }
                    Some(Err(_)) | None => None,
                },
                changed = state.changed() => {
                    if changed.is_err() { return }
                    state.borrow_and_update();
                    self.push().await
                },
                Some(message) = messages.recv() => self.tell(message).await,
                _ = alive.tick() => {
                    let epoch = self.leader.state().epoch.0;
                    self.tell(ToEdge::Alive(v1::Alive { epoch })).await
                },
                () = self.sender.closed() => None,
            };
            if done.is_none() {
                return;
            }
        }
    }

    fn hear(&mut self, message: FromEdge, connected: &Connected<'_>) {
        let (name, now) = (&self.name, self.leader.now());
        match message {
            FromEdge::Hello(hello) => connected.hello(hello, now),
            FromEdge::Ack(v1::EpochAck { epoch }) => connected.acknowledged(epoch, now),
            FromEdge::Reject(reject) => {
                tracing::warn!(node = %name, epoch = reject.epoch, reason = %reject.reason, "configuration rejected");
                connected.rejected(reject, now);
                // It did not take the last one, so the next change has no ground to stand on.
                self.held = None;
            }
            FromEdge::LiveSessions(answer) => {
                self.lines.hear(name, answer.number, FromEdge::LiveSessions(answer));
            }
            FromEdge::SessionEnded(answer) => {
                self.lines.hear(name, answer.number, FromEdge::SessionEnded(answer));
            }
            FromEdge::Heartbeat(heartbeat) => connected.heartbeat(heartbeat, now),
        }
    }

    /// Sends what the node does not hold yet.
    async fn push(&mut self) -> Option<()> {
        let state = self.leader.state();
        if !state.nodes.contains_key(&self.name) {
            let text = format!("{} was removed from the fleet", self.name);
            let _ = self.sender.send(Err(Status::permission_denied(text))).await;
            return None;
        }
        self.push_drain(&state).await?;
        if self.held.as_ref().is_some_and(|held| held.epoch == state.epoch) {
            return Some(());
        }
        let now = self.leader.now();
        let pushed = self.publisher.current(&state, self.environment.as_ref(), now);
        let held = self.held.replace(Arc::clone(&pushed));
        let Some(held) = held else {
            return self.tell(ToEdge::Snapshot(pushed.snapshot())).await;
        };
        self.tell(ToEdge::Delta(pushed.delta(&held))).await?;
        for principal in pushed.ended(&held) {
            let principal = principal.to_string();
            self.tell(ToEdge::EndSessions(v1::EndSessions { principal })).await?;
        }
        Some(())
    }

    /// Tells an edge whether it takes new sessions, where it was told otherwise or nothing.
    async fn push_drain(&mut self, state: &State) -> Option<()> {
        let edge = state.nodes.get(&self.name).filter(|node| node.kind == NodeKind::Edge);
        let Some(node) = edge else { return Some(()) };
        if self.drain_told.as_ref() == Some(&node.drain) {
            return Some(());
        }
        let message = match &node.drain {
            None => v1::Drain::default(),
            Some(NodeDrain { by, deadline, reason }) => v1::Drain {
                draining: true,
                ends_in_ms: deadline.since(self.leader.now()).0,
                by: by.to_string(),
                reason: reason.clone(),
            },
        };
        self.drain_told = Some(node.drain.clone());
        self.tell(ToEdge::Drain(message)).await
    }

    async fn tell(&self, message: ToEdge) -> Option<()> {
        self.sender.send(Ok(v1::ControlToEdge { message: Some(message) })).await.ok()
    }
}
