//! Asking the control plane for an approval and following it, for one held statement.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::Streaming;
use tonic::transport::Channel;
use writ_edge_core::{ApprovalAsk, ApprovalNews};
use writ_model::{ApprovalId, BindingDigest, DurationMs, Epoch, Timestamp};
use writ_proto::node::{Clock, NodeIdentity};
use writ_proto::v1;
use writ_proto::v1::edge_service_client::EdgeServiceClient;

use crate::estimates::Estimates;
use crate::mailbox::EventSender;
use crate::sessions::SessionEvent;

/// How long after its deadline a request is given up here, where the control plane has not said so.
const DEADLINE_GRACE: Duration = Duration::from_secs(2);
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait before following a request again after the connection broke.
const WATCH_AGAIN: Duration = Duration::from_millis(500);
/// How much of the text an approver sees, in bytes; the digest covers all of it.
const SHOWN_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Who asks, for the approver to see.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The session's profile.
    pub profile: writ_audit::SessionProfile,
    /// Who answers for the database.
    pub database_owner: String,
}

/// Calls to the control plane about approvals.
#[derive(Clone)]
pub struct Approvals {
    control_plane: String,
    identity: watch::Receiver<Arc<NodeIdentity>>,
    clock: Clock,
    background: Handle,
    estimates: Estimates,
}

/// Where a statement's session hears of its request.
pub struct News {
    /// The statement's number.
    pub number: u64,
    /// The session's events.
    pub events: EventSender,
}

impl News {
    fn tell(&self, news: ApprovalNews) {
        // Where nobody listens, the session is over.
        let _ = self.events.send(SessionEvent::Approval(self.number, news));
    }
}

/// What a session wants of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// To hear of it.
    Follow,
    /// To wait for it no more.
    GiveUp(&'static str),
    /// Nothing: what it was for is done.
    Forget,
}

async fn other_than_follow(wishes: &mut watch::Receiver<Wish>) -> Wish {
    let wish = wishes.wait_for(|wish| *wish != Wish::Follow).await;
    wish.map_or(Wish::GiveUp("given up by the session"), |wish| *wish)
}

/// A request under way, for one session; dropping it gives it up.
pub struct Asking {
    /// The statement's number.
    pub number: u64,
    /// The statement id, by which the control plane knows the session's seat in the request.
    pub key: String,
    wish: watch::Sender<Wish>,
}

impl Asking {
    /// The session waits no more. Where others do, the request goes on.
    pub fn give_up(self, reason: &'static str) {
        self.wish.send_replace(Wish::GiveUp(reason));
    }

    /// The statement is over: its request needs to be followed no longer.
    pub fn forget(self) {
        self.wish.send_replace(Wish::Forget);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let open = |wish: &mut Wish| match wish {
            Wish::Follow => {
                *wish = Wish::GiveUp("given up by the session");
                true
            }
            Wish::GiveUp(_) | Wish::Forget => false,
        };
        self.wish.send_if_modified(open);
    }
}

/// A session's seat in a request.
struct Followed {
    id: ApprovalId,
    key: String,
    /// Whether the session was told that it may use its grant.
    granted: bool,
    states: Option<Streaming<v1::Approval>>,
}

impl Approvals {
    /// Calls go to `control_plane` with the newest certificate, and run on `background`.
    #[must_use]
    pub fn new(
        control_plane: String,
        identity: watch::Receiver<Arc<NodeIdentity>>,
        clock: Clock,
        background: Handle,
    ) -> Self {
        Self { control_plane, identity, clock, background, estimates: Estimates::default() }
    }

    fn client(&self) -> Result<EdgeServiceClient<Channel>, String> {
        let identity = Arc::clone(&self.identity.borrow());
        identity.channel(&self.control_plane).map(EdgeServiceClient::new).map_err(|e| e.to_string())
    }

    /// Asks, and tells the session how it goes until it ends.
    pub fn ask(
        &self,
        ask: ApprovalAsk,
        requester: Requester,
        rows_estimate: impl Future<Output = Option<f64>> + Send + 'static,
        news: News,
    ) -> Box<Asking> {
        let (wish, wishes) = watch::channel(Wish::Follow);
        let asking = Box::new(Asking { number: ask.number, key: ask.statement_id.clone(), wish });
        let approvals = self.clone();
        let rows_estimate = self.estimates.share(ask.binding.joint_digest(), rows_estimate);
        self.background.spawn(async move {
            let estimate = rows_estimate.await;
            let request = request(&ask, &requester, estimate);
            let ended = approvals.run(request, wishes, &news).await;
            if let Err(reason) = ended {
                news.tell(ApprovalNews::Ended(reason));
            }
        });
        asking
    }

    async fn run(
        &self,
        request: v1::ApprovalRequest,
        mut wishes: watch::Receiver<Wish>,
        news: &News,
    ) -> Result<(), String> {
        if *wishes.borrow() != Wish::Follow {
            return Ok(());
        }
        let mut client = self.client()?;
        let key = request.idempotency_key.clone();
        let ticket = call(client.request_approval(request)).await?;
        let id = approval_id(&ticket.id)?;
        let expires = self.time_until(ticket.expires_at_micros);
        news.tell(ApprovalNews::Pending { id: id.clone(), expires });
        let deadline = tokio::time::sleep(Duration::from_millis(expires.0) + DEADLINE_GRACE);
        tokio::pin!(deadline);
        let mut followed = Followed { id, key, granted: false, states: None };
        loop {
            tokio::select! {
                wish = other_than_follow(&mut wishes) => {
                    if let Wish::GiveUp(reason) = wish {
                        self.cancel(&followed, reason).await;
                    }
                    return Ok(());
                }
                state = self.next(&mut followed) => {
                    if self.hear(&mut followed, &state, news)? {
                        return Ok(());
                    }
                }
                // C4: revoking ends what runs, however long it runs: a grant is followed to its end.
                () = &mut deadline, if !followed.granted => {
                    self.cancel(&followed, "expired").await;
                    return Err("it expired".into());
                }
            }
        }
    }

    fn time_until(&self, at_micros: i64) -> DurationMs {
        Timestamp(at_micros).since((self.clock)())
    }

    /// Tells the session what is new. Returns whether that was the end.
    fn hear(
        &self,
        followed: &mut Followed,
        state: &v1::Approval,
        news: &News,
    ) -> Result<bool, String> {
        let id = approval_id(&state.id)?;
        if id != followed.id {
            // A voter saw fewer sessions than wait: this one is asked for elsewhere.
            followed.id = id.clone();
            let expires = self.time_until(state.expires_at_micros);
            news.tell(ApprovalNews::Pending { id, expires });
        }
        match said(state) {
            Said::Nothing => Ok(false),
            Said::Granted if followed.granted => Ok(false),
            Said::Granted => {
                followed.granted = true;
                news.tell(ApprovalNews::Granted);
                Ok(false)
            }
            // By this session: nobody else has its key.
            Said::Used if followed.granted => Ok(false),
            Said::Used => Err("its grant was used already".into()),
            Said::Ended(reason) => {
                news.tell(ApprovalNews::Ended(reason));
                Ok(true)
            }
        }
    }

    /// What the request has become; a broken connection is taken up again.
    async fn next(&self, followed: &mut Followed) -> v1::Approval {
        loop {
            if followed.states.is_none() {
                followed.states = self.watch(&followed.id, &followed.key).await.ok();
            }
            if let Some(states) = &mut followed.states
                && let Some(Ok(approval)) = states.next().await
            {
                return approval;
            }
            followed.states = None;
            tokio::time::sleep(WATCH_AGAIN).await;
        }
    }

    async fn watch(&self, id: &ApprovalId, key: &str) -> Result<Streaming<v1::Approval>, String> {
        let request =
            v1::WatchApprovalRequest { id: id.to_string(), idempotency_key: key.to_owned() };
        let states = self.client()?.watch_approval(request).await.map_err(text)?;
        Ok(states.into_inner())
    }

    /// Uses the session's grant for exactly this statement.
    pub fn use_grant(&self, using: Using, news: News) {
        let approvals = self.clone();
        self.background.spawn(async move {
            let request = v1::UseGrantRequest {
                id: using.id.to_string(),
                binding_digest: using.digest.0.to_vec(),
                epoch: using.epoch.0,
                idempotency_key: using.key,
            };
            let used = match approvals.client() {
                Ok(mut client) => call(client.use_grant(request)).await.map(|_approvers| ()),
                Err(reason) => Err(reason),
            };
            news.tell(match used {
                Ok(()) => ApprovalNews::Used,
                // Not known whether it was used: it is not used here, and cannot be used again.
                Err(reason) => ApprovalNews::Ended(reason),
            });
        });
    }

    /// Tells the control plane that the session waits no more.
    async fn cancel(&self, followed: &Followed, reason: &str) {
        let request = v1::CancelApprovalRequest {
            id: followed.id.to_string(),
            reason: reason.to_owned(),
            idempotency_key: followed.key.clone(),
        };
        let told = match self.client() {
            Ok(mut client) => call(client.cancel_approval(request)).await.map(|_| ()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = told {
            // It expires by itself; until then nobody here would use its grant.
            tracing::warn!(approval = %followed.id, %reason, "could not cancel an approval request");
        }
    }
}

/// A grant that a session is about to use.
pub struct Using {
    /// The request.
    pub id: ApprovalId,
    /// The statement id.
    pub key: String,
    /// What is about to run.
    pub digest: BindingDigest,
    /// Under which epoch.
    pub epoch: Epoch,
}

fn approval_id(text: &str) -> Result<ApprovalId, String> {
    text.parse().map_err(|_| "the control plane gave no usable id".to_owned())
}

async fn call<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(text(status)),
        Err(_) => Err("the control plane did not answer in time".into()),
    }
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn text(status: tonic::Status) -> String {
    match status.code() {
        tonic::Code::Unavailable => "the control plane cannot be reached".into(),
        _ => status.message().to_owned(),
    }
}

/// What a state of the request means for the session.
enum Said {
    Nothing,
    Granted,
    Used,
    Ended(String),
}

fn said(approval: &v1::Approval) -> Said {
    let denied_by = || {
        let no = approval.votes.iter().filter(|vote| !vote.approve);
        no.map(|vote| vote.approver.as_str()).collect::<Vec<_>>().join(", ")
    };
    let because = |what: &str| match approval.ended_reason.as_str() {
        "" => Said::Ended(what.to_owned()),
        reason => Said::Ended(format!("{what}: {reason}")),
    };
    match approval.status() {
        v1::ApprovalStatus::Pending => Said::Nothing,
        v1::ApprovalStatus::Granted => Said::Granted,
        v1::ApprovalStatus::Used => Said::Used,
        v1::ApprovalStatus::Denied => because(&format!("denied by {}", denied_by())),
        v1::ApprovalStatus::Expired => Said::Ended("it expired".into()),
        v1::ApprovalStatus::Cancelled => because("it was cancelled"),
        v1::ApprovalStatus::Revoked => because("it was revoked"),
        v1::ApprovalStatus::Unspecified => {
            Said::Ended("the control plane sent a state that this version does not know".into())
        }
    }
}

fn request(
    ask: &ApprovalAsk,
    requester: &Requester,
    rows_estimate: Option<f64>,
) -> v1::ApprovalRequest {
    let profile = &requester.profile;
    let statement = &ask.binding.statement;
    let shown = statement.get(..SHOWN_TEXT_BYTES_MAX).unwrap_or(statement);
    v1::ApprovalRequest {
        idempotency_key: ask.statement_id.clone(),
        principal: profile.principal.to_string(),
        on_behalf_of: profile.on_behalf_of.iter().map(ToString::to_string).collect(),
        session: profile.session.to_string(),
        environment: profile.environment.to_string(),
        database: profile.database.to_string(),
        database_owner: requester.database_owner.clone(),
        client_address: profile.client_address.clone(),
        application_name: profile.application_name.clone(),
        statement_text: String::from_utf8_lossy(shown).into_owned(),
        bind_summary: bind_summary(ask),
        kinds: ask.kinds.iter().map(ToString::to_string).collect(),
        columns: ask
            .touched
            .iter()
            .map(|c| v1::TouchedColumn {
                schema: c.schema.clone(),
                relation: c.relation.clone(),
                column: c.column.clone(),
                tag: c.tag.clone(),
                written: c.written,
            })
            .collect(),
        rows_estimate,
        approvers: ask.terms.approvers.iter().map(ToString::to_string).collect(),
        quorum: ask.terms.quorum,
        expires_ms: ask.terms.expires.0,
        reason: ask.terms.reason.clone(),
        rules: ask.rules.clone(),
        epoch: ask.binding.epoch.0,
        binding_digest: ask.digest.0.to_vec(),
        joint_digest: ask.binding.joint_digest().0.to_vec(),
    }
}

/// Bind values for people: texts in short, or how many there are.
fn bind_summary(ask: &ApprovalAsk) -> String {
    const SHOWN_VALUE_CHARS: usize = 80;
    if ask.binding.bind.is_empty() {
        return String::new();
    }
    let mut shown = Vec::new();
    let count = writ_edge_core::frame::walk_values(&ask.binding.bind, |binary, value| {
        shown.push(match value {
            None => "NULL".to_owned(),
            Some(bytes) if binary => format!("({} bytes)", bytes.len()),
            Some(bytes) => {
                let text: String =
                    String::from_utf8_lossy(bytes).chars().take(SHOWN_VALUE_CHARS).collect();
                format!("{text:?}")
            }
        });
    });
    if ask.redact_binds {
        return format!(
            "{} values, not shown because sensitive columns are involved",
            count.unwrap_or(0)
        );
    }
    shown
        .iter()
        .enumerate()
        .map(|(at, v)| format!("${} = {v}", at + 1))
        .collect::<Vec<_>>()
        .join(", ")
}
