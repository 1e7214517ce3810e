//! Running limits: what a statement that is allowed may still not exceed while it runs.

use serde::{Deserialize, Serialize};

use crate::ids::PrincipalId;

/// The most that one principal may take in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourlyLimit {
    /// Who: the principal that is connected, or one that it acts for.
    pub principal: PrincipalId,
    /// Rows returned.
    pub rows_max: Option<u64>,
    /// Bytes of rows returned.
    pub bytes_max: Option<u64>,
}

/// What a principal took in the last hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Rows returned.
    pub rows: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// Limits on one statement; where several rules set one, the smallest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Rows that the statement may return.
    pub rows_max: Option<u64>,
    /// Bytes of rows that the statement may return.
    pub bytes_max: Option<u64>,
    /// Rows that the statement may insert, update, delete or merge.
    pub rows_affected_max: Option<u64>,
    /// What each of the chain may take in an hour; only those that have a limit.
    pub hourly: Vec<HourlyLimit>,
    /// The session may change nothing.
    pub read_only: bool,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether rows or bytes have to be counted on their way to the client.
    #[must_use]
    pub fn counts_rows(&self) -> bool {
        self.rows_max.is_some() || self.bytes_max.is_some() || !self.hourly.is_empty()
    }

    /// Adds `other`: of each limit the smaller stays.
    pub fn tighten(&mut self, other: &Self) {
        self.rows_max = smaller(self.rows_max, other.rows_max);
        self.bytes_max = smaller(self.bytes_max, other.bytes_max);
        self.rows_affected_max = smaller(self.rows_affected_max, other.rows_affected_max);
        self.read_only |= other.read_only;
        for hourly in &other.hourly {
            self.tighten_hourly(hourly);
        }
    }

    /// Adds one principal's limit for an hour.
    pub fn tighten_hourly(&mut self, other: &HourlyLimit) {
        match self.hourly.iter_mut().find(|known| known.principal == other.principal) {
            Some(known) => {
                known.rows_max = smaller(known.rows_max, other.rows_max);
                known.bytes_max = smaller(known.bytes_max, other.bytes_max);
            }
            None => self.hourly.push(other.clone()),
        }
    }
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_holds_and_none_is_no_limit() {
        let hourly = |who: &str, rows: u64| HourlyLimit {
            principal: who.parse().expect("id"),
            rows_max: Some(rows),
            bytes_max: None,
        };
        let mut limits = Limits { rows_max: Some(10), ..Limits::default() };
        limits.tighten(&Limits {
            rows_max: Some(3),
            bytes_max: Some(7),
            hourly: vec![hourly("user:dana", 5)],
            ..Limits::default()
        });
        limits.tighten(&Limits {
            rows_max: Some(4),
            hourly: vec![hourly("user:dana", 9), hourly("agent:a", 2)],
            ..Limits::default()
        });
        assert_eq!((limits.rows_max, limits.bytes_max), (Some(3), Some(7)));
        assert_eq!(limits.rows_affected_max, None);
        assert_eq!(limits.hourly, [hourly("user:dana", 5), hourly("agent:a", 2)]);
        assert!(limits.counts_rows() && !limits.is_none() && Limits::default().is_none());
    }
}
