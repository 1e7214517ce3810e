//! Running limits as annotations of rules that permit: what they say, checked where they stand.

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy};
use writ_model::{HourlyLimit, Limits, PrincipalId};

use crate::compile::UNMASKED;

/// The annotations that limit what a permitted statement may do while it runs.
pub(crate) const LIMITS: [&str; 6] = [
    "max_rows",
    "max_bytes",
    "max_rows_affected",
    "rows_per_hour",
    "bytes_per_hour",
    "access_mode",
];

/// What one rule limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleLimits {
    limits: Limits,
    rows_per_hour: Option<u64>,
    bytes_per_hour: Option<u64>,
}

impl RuleLimits {
    /// Reads a rule's annotations.
    pub(crate) fn of(policy: &Policy) -> Result<Self, String> {
        let Some(first) = LIMITS.iter().find(|key| policy.annotation(key).is_some()) else {
            return Ok(Self::default());
        };
        if policy.effect() == Effect::Forbid {
            return Err(format!(
                "@{first} limits what a rule permits; write it on a `permit`, such as \
                 `permit (principal, action == Action::\"WithoutApproval\", resource)`"
            ));
        }
        if !covers_any(policy, |action| action != UNMASKED) {
            return Err(format!(
                "@{first} means nothing on Action::\"{UNMASKED}\"; write it on a rule about Connect, \
                 Read, Write, Export or WithoutApproval"
            ));
        }
        let count = |key: &str| policy.annotation(key).map(|text| number(key, text)).transpose();
        let size = |key: &str| policy.annotation(key).map(|text| bytes(key, text)).transpose();
        let read_only = match policy.annotation("access_mode") {
            None => false,
            Some("read_only") if covers(policy, "Connect") => true,
            Some("read_only") => {
                return Err("@access_mode is a session's; write it on a rule that permits \
                            Action::\"Connect\""
                    .to_owned());
            }
            Some(other) => {
                return Err(format!("@access_mode(\"{other}\") is not known; write \"read_only\""));
            }
        };
        Ok(Self {
            limits: Limits {
                rows_max: count("max_rows")?,
                bytes_max: size("max_bytes")?,
                rows_affected_max: count("max_rows_affected")?,
                hourly: Vec::new(),
                read_only,
            },
            rows_per_hour: count("rows_per_hour")?,
            bytes_per_hour: size("bytes_per_hour")?,
        })
    }

    /// Whether what principals take in an hour has to be counted.
    pub(crate) fn is_hourly(&self) -> bool {
        self.rows_per_hour.is_some() || self.bytes_per_hour.is_some()
    }

    /// Adds these limits to `limits`, where the rule permitted `who`.
    pub(crate) fn add_to(&self, limits: &mut Limits, who: &PrincipalId) {
        limits.tighten(&self.limits);
        if self.is_hourly() {
            limits.tighten_hourly(&HourlyLimit {
                principal: who.clone(),
                rows_max: self.rows_per_hour,
                bytes_max: self.bytes_per_hour,
            });
        }
    }
}

/// Whether a rule is about `action`, by name or because it is about all.
pub(crate) fn covers(policy: &Policy, action: &str) -> bool {
    covers_any(policy, |name| name == action)
}

fn covers_any(policy: &Policy, wanted: impl Fn(&str) -> bool) -> bool {
    let is_wanted = |action: &EntityUid| wanted(action.id().unescaped());
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => is_wanted(&action),
        ActionConstraint::In(actions) => actions.iter().any(is_wanted),
    }
}

fn number(key: &str, text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
        format!("@{key}(\"{text}\") is not a number of rows; write 1 or more, such as \"1000\"")
    })
}

/// A number of bytes; the units are PostgreSQL's own, powers of 1024.
fn bytes(key: &str, text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let factor: Option<u64> = match unit {
        "" | "B" => Some(1),
        "kB" => Some(1 << 10),
        "MB" => Some(1 << 20),
        "GB" => Some(1 << 30),
        _ => None,
    };
    let count: Option<u64> = digits.parse().ok().filter(|n| *n > 0);
    count.zip(factor).and_then(|(count, factor)| count.checked_mul(factor)).ok_or_else(|| {
        format!("@{key}(\"{text}\") is not a size; write such as \"65536\", \"64kB\" or \"10MB\"")
    })
}
