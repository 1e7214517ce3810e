//! The side of people and their tools: who they are is in the bearer token, what they may is in the rules.

use std::sync::Arc;

use openraft::type_config::async_runtime::WatchReceiver;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use writ_control_core::password::ServicePassword;
use writ_control_core::{
    ActorName, Approval, ApprovalStatus, Command, EventHash, GROUP_ADMINS, GROUP_AUDITORS,
    GROUP_DBA, State,
};
use writ_model::{Actor, ApprovalId, DatabaseName, DurationMs, EventSeq, PrincipalId, Timestamp};
use writ_proto::token;
use writ_proto::v1;
use writ_proto::v1::admin_service_server::AdminService;

use crate::app::Ids;
use crate::convert::{self, id, invalid, status, wire_approval};
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::leader::Leader;
use crate::raft::Store;
use crate::watching::{self, Stream};

/// The longest life of a token.
pub const TOKEN_VALID_MAX: DurationMs = DurationMs::from_seconds(7 * 24 * 60 * 60);
/// How long a join token is good for where nobody says.
const JOIN_TOKEN_VALID: DurationMs = DurationMs::from_seconds(60 * 60);
const READERS: [&str; 2] = [GROUP_ADMINS, GROUP_AUDITORS];
const APPROVAL_READERS: [&str; 3] = [GROUP_ADMINS, GROUP_AUDITORS, GROUP_DBA];

/// What the service works with.
pub(crate) struct Admin {
    pub(crate) leader: Arc<Leader>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) store: Arc<Store>,
    pub(crate) ids: Ids,
    pub(crate) token_valid: DurationMs,
    pub(crate) stop: CancellationToken,
}

struct Caller {
    actor: Actor,
    token_expires_at: Timestamp,
}

impl Caller {
    fn id(&self) -> &PrincipalId {
        &self.actor.principal.id
    }

    fn name(&self) -> ActorName {
        ActorName::Principal(self.id().clone())
    }
}

/// Makes a token for a principal.
pub(crate) fn issue_token(
    keys: &Keys,
    ids: &Ids,
    principal: &PrincipalId,
    now: Timestamp,
    valid: DurationMs,
) -> Result<(String, Timestamp), token::TokenError> {
    let expires_at = now.plus(valid);
    let token_id = ids.fresh("tok", now);
    let signer = &keys.token;
    let text =
        token::issue(principal, now, expires_at, &token_id, &signer.id, signer.pkcs8.expose())?;
    Ok((text, expires_at))
}

fn unknown(what: &str, name: &impl std::fmt::Display, list: &str) -> Status {
    Status::not_found(format!("there is no {what} `{name}`; list what there is with `{list}`"))
}

/// Whether `actor` may see `approval`: a reader, someone who may vote on it, or someone it is about.
fn may_see(state: &State, actor: &Actor, approval: &Approval) -> bool {
    let id = &actor.principal.id;
    let request = &approval.request;
    let approvers = || request.approvers.iter().map(|g| g.as_str()).collect::<Vec<_>>();
    state.is_member(id, &APPROVAL_READERS)
        || request.principal == *id
        || approval.involved.contains(id)
        || state.is_member(id, &approvers())
}

impl Admin {
    fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let text = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
            Status::unauthenticated("send a token as `authorization: Bearer …`; see `writ login`")
        })?;
        let state = self.leader.state();
        let verified = token::verify(text.trim(), &state.token_keys, self.leader.now())
            .map_err(|e| Status::unauthenticated(e.to_string()))?;
        let actor = state
            .actor(verified.principal())
            .map_err(|e| Status::unauthenticated(e.to_string()))?;
        Ok(Caller { actor, token_expires_at: verified.expires_at() })
    }

    fn member(&self, metadata: &MetadataMap, groups: &[&str]) -> Result<Caller, Status> {
        let caller = self.caller(metadata)?;
        if self.leader.state().is_member(caller.id(), groups) {
            return Ok(caller);
        }
        let needs = groups.join(" or ");
        let text = format!("{} may not do this; it takes a member of {needs}", caller.id());
        Err(Status::permission_denied(text))
    }

    fn visible_approval(
        &self,
        metadata: &MetadataMap,
        text: &str,
    ) -> Result<(Arc<State>, ApprovalId), Status> {
        let caller = self.caller(metadata)?;
        let id: ApprovalId = id("id", text)?;
        let state = self.leader.state();
        let seen = state.approvals.get(&id).is_some_and(|a| may_see(&state, &caller.actor, a));
        // The same answer for what is not there and for what is not theirs to know.
        if seen { Ok((state, id)) } else { Err(unknown("approval", &id, "writ approvals list")) }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn submit(
        &self,
        request: Request<v1::Command>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let caller = self.caller(request.metadata())?;
        let seal = |id: &PrincipalId, salt, keys: &_| {
            let sealed = self.keys.vault.seal(id, salt, keys, &self.ids.random);
            sealed.map_err(|_| Status::internal("the keys could not be sealed"))
        };
        let command = convert::command(request.into_inner(), &seal)?;
        let outcome = self.leader.submit(caller.name(), command).await.map_err(|e| status(&e))?;
        let count = u64::try_from(outcome.events.len()).unwrap_or(u64::MAX);
        let first_event = if count == 0 { 0 } else { outcome.last.0.saturating_sub(count - 1) };
        let last_event = if count == 0 { 0 } else { outcome.last.0 };
        Ok(Response::new(v1::SubmitReply { first_event, last_event, epoch: outcome.epoch.0 }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::WhoAmIReply>, Status> {
        let caller = self.caller(request.metadata())?;
        Ok(Response::new(v1::WhoAmIReply {
            principal: Some((&caller.actor.principal).into()),
            on_behalf_of: caller.actor.chain_ids().map(ToString::to_string).collect(),
            token_expires_at_micros: caller.token_expires_at.0,
        }))
    }

    async fn issue_token(
        &self,
        request: Request<v1::IssueTokenRequest>,
    ) -> Result<Response<v1::IssueTokenReply>, Status> {
        let caller = self.caller(request.metadata())?;
        let v1::IssueTokenRequest { principal, valid_ms } = request.into_inner();
        let valid = if valid_ms == 0 { self.token_valid } else { DurationMs(valid_ms) };
        if valid > TOKEN_VALID_MAX {
            let hours = TOKEN_VALID_MAX.0 / 3_600_000;
            return Err(invalid(format!("a token is valid for at most {hours} hours")));
        }
        let state = self.leader.state();
        let target: PrincipalId =
            if principal.is_empty() { caller.id().clone() } else { id("principal", &principal)? };
        let known = state.principals.get(&target);
        let own = target == *caller.id()
            || known.is_some_and(|p| p.on_behalf_of.as_ref() == Some(caller.id()));
        if !own && !state.is_member(caller.id(), &[GROUP_ADMINS]) {
            return Err(Status::permission_denied(format!(
                "{} gets tokens for itself and for agents that act on its behalf; for {target} ask a member of {GROUP_ADMINS}",
                caller.id()
            )));
        }
        if known.is_none() {
            return Err(unknown("principal", &target, "writ identities list"));
        }
        state.actor(&target).map_err(|e| Status::failed_precondition(e.to_string()))?;
        let (token, expires_at) =
            issue_token(&self.keys, &self.ids, &target, self.leader.now(), valid)
                .map_err(|e| Status::internal(e.to_string()))?;
        tracing::info!(by = %caller.id(), %target, "issued a token");
        Ok(Response::new(v1::IssueTokenReply { token, expires_at_micros: expires_at.0 }))
    }

    async fn issue_join_token(
        &self,
        request: Request<v1::IssueJoinTokenRequest>,
    ) -> Result<Response<v1::IssueJoinTokenReply>, Status> {
        let caller = self.caller(request.metadata())?;
        let v1::IssueJoinTokenRequest { kind, environment, valid_ms } = request.into_inner();
        let valid = if valid_ms == 0 { JOIN_TOKEN_VALID } else { DurationMs(valid_ms) };
        let join_token = self.ids.secret("writ-join");
        let expires_at = self.leader.now().plus(valid);
        let command = Command::IssueJoinToken {
            hash: EventHash::of(join_token.as_bytes()),
            kind: convert::node_kind(kind)?,
            environment: convert::environment(&environment)?,
            expires_at,
        };
        self.leader.submit(caller.name(), command).await.map_err(|e| status(&e))?;
        let expires_at_micros = expires_at.0;
        Ok(Response::new(v1::IssueJoinTokenReply { join_token, expires_at_micros }))
    }

    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsReply>, Status> {
        let caller = self.caller(request.metadata())?;
        let all = request.into_inner().all;
        let state = self.leader.state();
        let mut seen: Vec<&Approval> = state
            .approvals
            .values()
            .filter(|a| all || a.status == ApprovalStatus::Pending)
            .filter(|a| may_see(&state, &caller.actor, a))
            .collect();
        seen.sort_by_key(|a| a.requested_at);
        let approvals = seen.into_iter().map(wire_approval).collect();
        Ok(Response::new(v1::ListApprovalsReply { approvals }))
    }

    async fn show_approval(
        &self,
        request: Request<v1::ShowApprovalRequest>,
    ) -> Result<Response<v1::Approval>, Status> {
        let (state, id) = self.visible_approval(request.metadata(), &request.get_ref().id)?;
        let approval = state.approvals.get(&id).map(wire_approval);
        approval.map(Response::new).ok_or_else(|| unknown("approval", &id, "writ approvals list"))
    }

    type WatchApprovalsStream = Stream<v1::Approval>;

    async fn watch_approvals(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        let id = self.caller(request.metadata())?.id().clone();
        // Looked up at each change: rights can go while the stream is open.
        let visible = move |state: &State, approval: &Approval| {
            state.actor(&id).is_ok_and(|actor| may_see(state, &actor, approval))
        };
        Ok(Response::new(watching::approvals(self.leader.watch(), visible, self.stop.clone())))
    }

    type ListEventsStream = Stream<v1::Event>;

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        self.member(request.metadata(), &READERS)?;
        let v1::ListEventsRequest { from, follow } = request.into_inner();
        let store = Arc::clone(&self.store);
        let state = self.leader.watch();
        let stop = self.stop.clone();
        Ok(Response::new(watching::events(store, EventSeq(from), follow, state, stop)))
    }

    async fn list_edges(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::ListEdgesReply>, Status> {
        self.member(request.metadata(), &APPROVAL_READERS)?;
        let state = self.leader.state();
        let edges = self.fleet.list(&state);
        Ok(Response::new(v1::ListEdgesReply { edges, epoch: state.epoch.0 }))
    }

    async fn list_databases(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::ListDatabasesReply>, Status> {
        self.caller(request.metadata())?;
        let databases = self.leader.state().databases.values().map(Into::into).collect();
        Ok(Response::new(v1::ListDatabasesReply { databases }))
    }

    async fn list_identities(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::ListIdentitiesReply>, Status> {
        self.member(request.metadata(), &READERS)?;
        let principals = self.leader.state().principals.values().map(Into::into).collect();
        Ok(Response::new(v1::ListIdentitiesReply { principals }))
    }

    async fn list_passwords(
        &self,
        request: Request<v1::ListPasswordsRequest>,
    ) -> Result<Response<v1::ListPasswordsReply>, Status> {
        self.member(request.metadata(), &READERS)?;
        let id: PrincipalId = id("id", &request.into_inner().id)?;
        let state = self.leader.state();
        if !state.principals.contains_key(&id) {
            return Err(unknown("principal", &id, "writ identities list"));
        }
        let known = state.passwords.get(&id).filter(|known| !known.list.is_empty());
        let list = known.map_or(&[][..], |known| known.list.as_slice()).iter();
        let status = |p: &ServicePassword| v1::PasswordStatus {
            number: p.number,
            set_at_micros: p.set_at.0,
        };
        Ok(Response::new(v1::ListPasswordsReply {
            salt: known.map(|known| known.salt.0.to_vec()).unwrap_or_default(),
            passwords: list.map(status).collect(),
        }))
    }

    async fn show_classification(
        &self,
        request: Request<v1::ShowClassificationRequest>,
    ) -> Result<Response<v1::DatabaseClassification>, Status> {
        self.member(request.metadata(), &APPROVAL_READERS)?;
        let name: DatabaseName = id("database", &request.into_inner().database)?;
        let state = self.leader.state();
        if !state.databases.contains_key(&name) {
            return Err(unknown("database", &name, "writ databases list"));
        }
        let known = state.classifications.get(&name).map(|c| c.effective()).unwrap_or_default();
        let columns = known.iter().map(Into::into).collect();
        Ok(Response::new(v1::DatabaseClassification { database: name.to_string(), columns }))
    }

    async fn show_policies(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::PolicySet>, Status> {
        self.member(request.metadata(), &READERS)?;
        let files = self.leader.state().policies.iter().map(Into::into).collect();
        Ok(Response::new(v1::PolicySet { files }))
    }

    async fn cluster_status(
        &self,
        request: Request<v1::Empty>,
    ) -> Result<Response<v1::ClusterStatusReply>, Status> {
        self.member(request.metadata(), &READERS)?;
        let state = self.leader.state();
        let metrics = self.leader.raft().metrics().borrow_watched().clone();
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let members = metrics.membership_config.nodes().map(|(id, node)| v1::Member {
            id: *id,
            address: node.addr.clone(),
            voter: voters.contains(id),
        });
        Ok(Response::new(v1::ClusterStatusReply {
            node: metrics.id,
            leader: metrics.current_leader.unwrap_or_default(),
            term: metrics.current_term,
            last_applied: metrics.last_applied.map_or(0, |id| id.index),
            last_event: state.last.0,
            last_event_hash: state.last_hash.0.to_vec(),
            epoch: state.epoch.0,
            members: members.collect(),
        }))
    }
}
