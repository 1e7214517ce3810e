//! Asking the control plane for an approval and following it, for one held statement.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use writ_edge_core::{ApprovalAsk, ApprovalNews};
use writ_model::{ApprovalId, BindingDigest, DurationMs, Epoch, Timestamp};
use writ_proto::node::{Clock, NodeIdentity};
use writ_proto::v1;
use writ_proto::v1::edge_service_client::EdgeServiceClient;

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

/// A request under way; dropping it gives it up.
pub struct Asking {
    given_up: CancellationToken,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.given_up.cancel();
    }
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
        Self { control_plane, identity, clock, background }
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
    ) -> Asking {
        let given_up = CancellationToken::new();
        let asking = Asking { given_up: given_up.clone() };
        let approvals = self.clone();
        self.background.spawn(async move {
            let estimate = rows_estimate.await;
            let request = request(&ask, &requester, estimate);
            let ended = approvals.run(request, &given_up, &news).await;
            if let Err(reason) = ended {
                news.tell(ApprovalNews::Ended(reason));
            }
        });
        asking
    }

    async fn run(
        &self,
        request: v1::ApprovalRequest,
        given_up: &CancellationToken,
        news: &News,
    ) -> Result<(), String> {
        let mut client = self.client()?;
        let ticket = call(client.request_approval(request)).await?;
        let id: ApprovalId =
            ticket.id.parse().map_err(|_| "the control plane gave no usable id".to_owned())?;
        let expires_at = Timestamp(ticket.expires_at_micros);
        let expires = DurationMs(expires_at.since((self.clock)()).0);
        news.tell(ApprovalNews::Pending { id: id.clone(), expires });
        let deadline = Duration::from_millis(expires.0) + DEADLINE_GRACE;
        tokio::select! {
            () = given_up.cancelled() => {
                self.cancel(&id, "given up by the session").await;
                Ok(())
            }
            end = self.follow(&id) => {
                news.tell(end);
                Ok(())
            }
            () = tokio::time::sleep(deadline) => {
                self.cancel(&id, "expired").await;
                Err("it expired".into())
            }
        }
    }

    /// Follows a request to its end; a broken connection is taken up again.
    async fn follow(&self, id: &ApprovalId) -> ApprovalNews {
        loop {
            if let Ok(Some(news)) = self.follow_once(id).await {
                return news;
            }
            tokio::time::sleep(WATCH_AGAIN).await;
        }
    }

    async fn follow_once(&self, id: &ApprovalId) -> Result<Option<ApprovalNews>, String> {
        let request = v1::WatchApprovalRequest { id: id.to_string() };
        let mut states = self.client()?.watch_approval(request).await.map_err(text)?.into_inner();
        while let Some(approval) = states.next().await {
            if let Some(news) = news(&approval.map_err(text)?) {
                return Ok(Some(news));
            }
        }
        Ok(None)
    }

    /// Uses the grant for exactly this statement.
    pub fn use_grant(&self, id: ApprovalId, digest: BindingDigest, epoch: Epoch, news: News) {
        let approvals = self.clone();
        self.background.spawn(async move {
            let request = v1::UseGrantRequest {
                id: id.to_string(),
                binding_digest: digest.0.to_vec(),
                epoch: epoch.0,
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

    /// Tells the control plane that nobody waits any more.
    pub async fn cancel(&self, id: &ApprovalId, reason: &str) {
        let request = v1::CancelApprovalRequest { id: id.to_string(), reason: reason.to_owned() };
        let told = match self.client() {
            Ok(mut client) => call(client.cancel_approval(request)).await.map(|_| ()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = told {
            // It expires by itself; until then nobody here would use its grant.
            tracing::warn!(approval = %id, %reason, "could not cancel an approval request");
        }
    }
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

fn news(approval: &v1::Approval) -> Option<ApprovalNews> {
    let who = |approve: bool| {
        let names: Vec<&str> = approval
            .votes
            .iter()
            .filter(|v| v.approve == approve)
            .map(|v| v.approver.as_str())
            .collect();
        names.join(", ")
    };
    let ended = |text: String| Some(ApprovalNews::Ended(text));
    let because = |what: &str| match approval.ended_reason.as_str() {
        "" => what.to_owned(),
        reason => format!("{what}: {reason}"),
    };
    match approval.status() {
        v1::ApprovalStatus::Pending => None,
        v1::ApprovalStatus::Granted => Some(ApprovalNews::Granted),
        v1::ApprovalStatus::Denied => ended(because(&format!("denied by {}", who(false)))),
        v1::ApprovalStatus::Expired => ended("it expired".into()),
        v1::ApprovalStatus::Cancelled => ended(because("it was cancelled")),
        v1::ApprovalStatus::Revoked => ended(because("it was revoked")),
        v1::ApprovalStatus::Used => ended("its grant was used already".into()),
        v1::ApprovalStatus::Unspecified => {
            ended("the control plane sent a state that this version does not know".into())
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
