//! Wire ↔ rules: each field by name, what is not known is an error.

use std::collections::BTreeSet;
use std::str::FromStr;

use tonic::Status;
use writ_control_core::decide_approval::STATEMENT_TEXT_BYTES_MAX;
use writ_control_core::password::{Salt, SealedKeys};
use writ_control_core::{
    Approval, ApprovalRequest, ApprovalStatus, Command, EventEnvelope, NodeKind, RefusalKind,
    TouchedColumn, Vote,
};
use writ_model::config::Environment;
use writ_model::ids::IdError;
use writ_model::password::PasswordKeys;
use writ_model::{
    BindingDigest, ColumnRef, DurationMs, EnvironmentName, Epoch, GroupName, PrincipalId,
};
use writ_proto::convert::ConvertError;
use writ_proto::passwords;
use writ_proto::v1;

use crate::client_ca;
use crate::leader::SubmitError;

/// The largest integer that a float holds exactly; estimates beyond it are clamped.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(crate) fn id<T: FromStr<Err = IdError>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|e| invalid(format!("{field}: {e}")))
}

fn ids<T: FromStr<Err = IdError>, C: FromIterator<T>>(
    field: &str,
    texts: &[String],
) -> Result<C, Status> {
    texts.iter().map(|text| id(field, text)).collect()
}

fn some<T>(field: &'static str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(ConvertError::Missing(field)))
}

fn model<W, M: TryFrom<W, Error = ConvertError>>(wire: W) -> Result<M, Status> {
    wire.try_into().map_err(invalid)
}

pub(crate) fn digest(bytes: &[u8]) -> Result<BindingDigest, Status> {
    bytes.try_into().map(BindingDigest).map_err(|_| invalid("binding_digest has 32 bytes"))
}

pub(crate) fn node_kind(wire: i32) -> Result<NodeKind, Status> {
    match v1::NodeKind::try_from(wire) {
        Ok(v1::NodeKind::Edge) => Ok(NodeKind::Edge),
        Ok(v1::NodeKind::Lake) => Ok(NodeKind::Lake),
        Ok(v1::NodeKind::Unspecified) | Err(_) => Err(invalid(format!("kind {wire} is not known"))),
    }
}

pub(crate) fn wire_kind(kind: NodeKind) -> v1::NodeKind {
    match kind {
        NodeKind::Edge => v1::NodeKind::Edge,
        NodeKind::Lake => v1::NodeKind::Lake,
    }
}

pub(crate) fn environment(text: &str) -> Result<Option<EnvironmentName>, Status> {
    if text.is_empty() { Ok(None) } else { id("environment", text).map(Some) }
}

/// What a refused or failed command says over gRPC.
pub(crate) fn status(error: &SubmitError) -> Status {
    let text = error.to_string();
    match error {
        SubmitError::Refused(refusal) => match refusal.kind() {
            RefusalKind::Forbidden => Status::permission_denied(text),
            RefusalKind::NotFound => Status::not_found(text),
            RefusalKind::Conflict => Status::failed_precondition(text),
            RefusalKind::Invalid => Status::invalid_argument(text),
        },
        SubmitError::Unavailable(_) => Status::unavailable(text),
        SubmitError::Unknown(_) => Status::unknown(text),
        SubmitError::Chain(_) => Status::internal(text),
    }
}

/// `seal` keeps from everyone what passwords are checked against.
pub(crate) fn command(wire: v1::Command, seal: Seal<'_>) -> Result<Command, Status> {
    use v1::command::Command as Wire;
    Ok(match some("command", wire.command)? {
        Wire::AddPrincipal(v1::AddPrincipal { principal }) => {
            Command::AddPrincipal { principal: model(some("principal", principal)?)? }
        }
        Wire::DisablePrincipal(v1::DisablePrincipal { id: text }) => {
            Command::DisablePrincipal { id: id("id", &text)? }
        }
        Wire::EnablePrincipal(v1::EnablePrincipal { id: text }) => {
            Command::EnablePrincipal { id: id("id", &text)? }
        }
        Wire::SetGroups(v1::SetGroups { id: text, groups }) => {
            let groups: BTreeSet<GroupName> = ids("groups", &groups)?;
            Command::SetGroups { id: id("id", &text)?, groups }
        }
        Wire::AddEnvironment(v1::AddEnvironment { environment }) => {
            let environment: Environment = model(some("environment", environment)?)?;
            if let Some(certificates) = &environment.logins.certificates {
                client_ca::check(&certificates.ca_pem)
                    .map_err(|reason| invalid(format!("the CA for clients: {reason}")))?;
            }
            Command::SetEnvironment { environment }
        }
        Wire::AddDatabase(v1::AddDatabase { database }) => {
            Command::SetDatabase { database: model(some("database", database)?)? }
        }
        Wire::RemoveDatabase(v1::RemoveDatabase { name }) => {
            Command::RemoveDatabase { name: id("name", &name)? }
        }
        Wire::OverrideClassification(wire) => override_classification(wire)?,
        Wire::ApplyPolicies(v1::ApplyPolicies { policies }) => {
            let v1::PolicySet { files } = some("policies", policies)?;
            Command::ApplyPolicies { files: files.into_iter().map(Into::into).collect() }
        }
        Wire::VoteApproval(v1::VoteApproval { id: text, approve, reason }) => {
            Command::Vote { id: id("id", &text)?, approve, reason }
        }
        Wire::RevokeApproval(v1::RevokeApproval { id: text, reason }) => {
            Command::RevokeApproval { id: id("id", &text)?, reason }
        }
        Wire::SetPassword(wire) => set_password(wire, seal)?,
        Wire::RemovePassword(v1::RemovePassword { id: text, number }) => {
            Command::RemovePassword { id: id("id", &text)?, number }
        }
        Wire::RemoveEdge(v1::RemoveEdge { id: text }) => {
            Command::RemoveNode { name: id("id", &text)? }
        }
    })
}

/// Seals the keys of a principal's password under a salt.
pub(crate) type Seal<'a> =
    &'a dyn Fn(&PrincipalId, Salt, &PasswordKeys) -> Result<SealedKeys, Status>;

fn set_password(wire: v1::SetPassword, seal: Seal<'_>) -> Result<Command, Status> {
    let v1::SetPassword { id: text, salt, keys } = wire;
    let id = id("id", &text)?;
    let salt = Salt(passwords::salt("salt", &salt).map_err(invalid)?);
    let keys = passwords::keys(some("keys", keys)?).map_err(invalid)?;
    let keys = seal(&id, salt, &keys)?;
    Ok(Command::SetPassword { id, salt, keys })
}

fn override_classification(wire: v1::OverrideClassification) -> Result<Command, Status> {
    let v1::OverrideClassification { database, schema, relation, column, tag, reason } = wire;
    if schema.is_empty() || relation.is_empty() || column.is_empty() {
        return Err(invalid("a column is named by its schema, relation and column"));
    }
    let tag = if tag.is_empty() { None } else { Some(id("tag", &tag)?) };
    let column = ColumnRef { schema, relation, column };
    Ok(Command::OverrideClassification {
        database: id("database", &database)?,
        column,
        tag,
        reason,
    })
}

pub(crate) fn report_classification(
    wire: v1::ReportClassificationRequest,
) -> Result<Command, Status> {
    let v1::ReportClassificationRequest { classification } = wire;
    let v1::DatabaseClassification { database, columns } = some("classification", classification)?;
    let columns = columns.into_iter().map(model).collect::<Result<_, _>>()?;
    Ok(Command::ReportClassification { database: id("database", &database)?, columns })
}

/// Text for people is cut to what is kept; the digest covers all of it.
fn cut(mut text: String) -> String {
    if text.len() > STATEMENT_TEXT_BYTES_MAX {
        let room = STATEMENT_TEXT_BYTES_MAX - '…'.len_utf8();
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

// The value is between 0 and 2^53, so no bit is lost.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rows(estimate: f64) -> u64 {
    if estimate.is_nan() { 0 } else { estimate.round().clamp(0.0, EXACT_FLOAT_MAX) as u64 }
}

pub(crate) fn approval_request(wire: v1::ApprovalRequest) -> Result<ApprovalRequest, Status> {
    let v1::ApprovalRequest {
        idempotency_key,
        principal,
        on_behalf_of,
        session,
        environment,
        database,
        database_owner,
        client_address,
        application_name,
        statement_text,
        bind_summary,
        kinds,
        columns,
        rows_estimate,
        approvers,
        quorum,
        expires_ms,
        reason,
        rules,
        epoch,
        binding_digest,
    } = wire;
    let columns = columns.into_iter().map(|column| {
        let v1::TouchedColumn { schema, relation, column, tag, written } = column;
        TouchedColumn { schema, relation, column, tag, written }
    });
    Ok(ApprovalRequest {
        idempotency_key,
        principal: id("principal", &principal)?,
        on_behalf_of: ids("on_behalf_of", &on_behalf_of)?,
        session: id("session", &session)?,
        environment: id("environment", &environment)?,
        database: id("database", &database)?,
        database_owner,
        client_address,
        application_name,
        statement_text: cut(statement_text),
        bind_summary: cut(bind_summary),
        kinds,
        columns: columns.collect(),
        rows_estimate: rows_estimate.map(rows),
        approvers: ids("approvers", &approvers)?,
        quorum,
        expires: DurationMs(expires_ms),
        reason,
        rules: ids("rules", &rules)?,
        epoch: Epoch(epoch),
        binding_digest: digest(&binding_digest)?,
    })
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

// Estimates are clamped to what a float holds exactly where they come in.
#[allow(clippy::cast_precision_loss)]
fn wire_request(request: &ApprovalRequest) -> v1::ApprovalRequest {
    let columns = request.columns.iter().map(|c| v1::TouchedColumn {
        schema: c.schema.clone(),
        relation: c.relation.clone(),
        column: c.column.clone(),
        tag: c.tag.clone(),
        written: c.written,
    });
    v1::ApprovalRequest {
        idempotency_key: request.idempotency_key.clone(),
        principal: request.principal.to_string(),
        on_behalf_of: texts(&request.on_behalf_of),
        session: request.session.to_string(),
        environment: request.environment.to_string(),
        database: request.database.to_string(),
        database_owner: request.database_owner.clone(),
        client_address: request.client_address.clone(),
        application_name: request.application_name.clone(),
        statement_text: request.statement_text.clone(),
        bind_summary: request.bind_summary.clone(),
        kinds: request.kinds.clone(),
        columns: columns.collect(),
        rows_estimate: request.rows_estimate.map(|rows| rows as f64),
        approvers: texts(&request.approvers),
        quorum: request.quorum,
        expires_ms: request.expires.0,
        reason: request.reason.clone(),
        rules: texts(&request.rules),
        epoch: request.epoch.0,
        binding_digest: request.binding_digest.0.to_vec(),
    }
}

fn wire_status(status: ApprovalStatus) -> v1::ApprovalStatus {
    match status {
        ApprovalStatus::Pending => v1::ApprovalStatus::Pending,
        ApprovalStatus::Granted => v1::ApprovalStatus::Granted,
        ApprovalStatus::Denied => v1::ApprovalStatus::Denied,
        ApprovalStatus::Expired => v1::ApprovalStatus::Expired,
        ApprovalStatus::Cancelled => v1::ApprovalStatus::Cancelled,
        ApprovalStatus::Used => v1::ApprovalStatus::Used,
        ApprovalStatus::Revoked => v1::ApprovalStatus::Revoked,
    }
}

pub(crate) fn wire_approval(approval: &Approval) -> v1::Approval {
    let votes = approval.votes.iter().map(|vote| {
        let Vote { approver, approve, reason, at } = vote;
        v1::Vote {
            approver: approver.to_string(),
            approve: *approve,
            reason: reason.clone(),
            at_micros: at.0,
        }
    });
    v1::Approval {
        id: approval.id.to_string(),
        request: Some(wire_request(&approval.request)),
        status: wire_status(approval.status).into(),
        votes: votes.collect(),
        requested_at_micros: approval.requested_at.0,
        expires_at_micros: approval.expires_at.0,
        ended_reason: approval.ended_reason.clone(),
    }
}

/// The event as the log has it.
pub(crate) fn payload_json(envelope: &EventEnvelope) -> String {
    serde_json::to_string(&envelope.event).unwrap_or_default()
}

pub(crate) fn wire_event(envelope: &EventEnvelope) -> v1::Event {
    v1::Event {
        seq: envelope.seq.0,
        at_micros: envelope.at.0,
        actor: envelope.actor.to_string(),
        kind: envelope.event.kind(),
        payload_json: payload_json(envelope),
        previous_hash: envelope.previous_hash.0.to_vec(),
        hash: envelope.hash.0.to_vec(),
    }
}
