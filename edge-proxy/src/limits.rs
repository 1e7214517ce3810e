//! What one edge lets its principals take: sessions, statements a second, and room in the buffers of all sessions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use writ_edge_core::rate::Rate;
use writ_model::sqlstate::SqlState;
use writ_model::{PrincipalId, PrincipalKind, Timestamp};

use crate::client::Refused;

/// Sessions of one agent at once, at most, where nothing else is said.
pub const SESSIONS_PER_AGENT_MAX: usize = 100;
/// Statements of one agent a second, at most, where nothing else is said.
pub const STATEMENTS_PER_SECOND_OF_AGENTS: u32 = 500;
/// What the buffers of all sessions may take together, in bytes, where nothing else is said.
pub const BUFFER_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Principals that are remembered before those without sessions are forgotten.
const PRINCIPALS_MAX: usize = 10_000;
/// A session's buffers are counted in units of so many bytes: what a short statement needs is not counted at all.
pub(crate) const COUNTED_BYTES: usize = 64 * 1024;
/// Cancel requests of one session a second that are looked at; and those of one address that name no session or not its key.
const CANCELS_PER_SECOND: u32 = 10;
/// Addresses whose vain cancel requests are counted, at most.
const ADDRESSES_MAX: usize = 4_096;

/// The limits of one edge; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Sessions of one user or service at once.
    pub sessions_per_principal_max: usize,
    /// Sessions of one agent at once.
    pub sessions_per_agent_max: usize,
    /// Statements of one user or service a second.
    pub statements_per_second: u32,
    /// Statements of one agent a second.
    pub statements_per_second_of_agents: u32,
    /// Bytes in the buffers of all sessions.
    pub buffer_bytes_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            sessions_per_principal_max: 0,
            sessions_per_agent_max: SESSIONS_PER_AGENT_MAX,
            statements_per_second: 0,
            statements_per_second_of_agents: STATEMENTS_PER_SECOND_OF_AGENTS,
            buffer_bytes_max: BUFFER_BYTES_MAX,
        }
    }
}

/// A limit that somebody met, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `sessions_max`.
    Sessions,
    /// `sessions_per_principal_max` or `sessions_per_agent_max`.
    PrincipalSessions,
    /// `statements_per_second` or `statements_per_second_of_agents`.
    Statements,
    /// `buffer_bytes_max`.
    Buffers,
    /// Cancel requests.
    Cancels,
}

impl Limit {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::PrincipalSessions => "principal_sessions",
            Self::Statements => "statements",
            Self::Buffers => "buffers",
            Self::Cancels => "cancels",
        }
    }
}

/// What one principal has of the edge.
#[derive(Debug)]
struct Account {
    sessions: AtomicUsize,
    rate: Option<Arc<Rate>>,
}

/// A session's place among those of its principal; leaves it when dropped.
#[derive(Debug)]
pub struct Seat(Arc<Account>);

impl Seat {
    /// What counts the principal's statements; `None`: they are not limited.
    #[must_use]
    pub fn rate(&self) -> Option<Arc<Rate>> {
        self.0.rate.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The limits, and how much of them is taken.
#[derive(Debug)]
pub struct Limits {
    config: LimitsConfig,
    principals: Mutex<HashMap<PrincipalId, Arc<Account>>>,
    buffers: Arc<Buffers>,
    vain_cancels: Mutex<HashMap<IpAddr, Rate>>,
}

impl Limits {
    /// Nothing is taken yet.
    #[must_use]
    pub fn new(config: LimitsConfig) -> Self {
        let max = if config.buffer_bytes_max == 0 { usize::MAX } else { config.buffer_bytes_max };
        Self {
            config,
            principals: Mutex::default(),
            buffers: Arc::new(Buffers { max, held: AtomicUsize::new(0) }),
            vain_cancels: Mutex::default(),
        }
    }

    /// A place for one more session of `principal`.
    pub fn enter(&self, principal: &PrincipalId) -> Result<Seat, (Limit, Refused)> {
        if self.buffers.is_full() {
            return Err((Limit::Buffers, self.buffers.refusal()));
        }
        let (max, per_second) = match principal.kind() {
            PrincipalKind::Agent => {
                (self.config.sessions_per_agent_max, self.config.statements_per_second_of_agents)
            }
            PrincipalKind::User | PrincipalKind::Service => {
                (self.config.sessions_per_principal_max, self.config.statements_per_second)
            }
        };
        let mut principals = self.principals.lock();
        if principals.len() >= PRINCIPALS_MAX {
            principals.retain(|_, account| account.sessions.load(Ordering::Relaxed) > 0);
        }
        let account = principals.entry(principal.clone()).or_insert_with(|| {
            let rate = (per_second > 0).then(|| Arc::new(Rate::new(per_second)));
            Arc::new(Account { sessions: AtomicUsize::new(0), rate })
        });
        // Sessions come only while the map is locked.
        if max > 0 && account.sessions.load(Ordering::Relaxed) >= max {
            let refused = Refused::new(
                SqlState("53300"),
                format!("{principal} has {max} sessions on this edge, its most"),
                "close some, or share connections in the application",
            );
            return Err((Limit::PrincipalSessions, refused));
        }
        account.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Seat(Arc::clone(account)))
    }

    /// What counts the buffers of all sessions.
    #[must_use]
    pub fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// Whether a cancel request from `address` is looked at: not where many of the last were in vain.
    #[must_use]
    pub fn hears_cancel(&self, address: IpAddr, now: Timestamp) -> bool {
        self.vain_cancels.lock().get(&address).is_none_or(|rate| rate.has_room(now))
    }

    /// A cancel request from `address` named no session, or not its key.
    pub fn note_vain_cancel(&self, address: IpAddr, now: Timestamp) {
        let mut vain = self.vain_cancels.lock();
        if vain.len() >= ADDRESSES_MAX {
            vain.retain(|_, rate| !rate.is_full(now));
        }
        if vain.len() >= ADDRESSES_MAX {
            // Somebody has more addresses than that: the others are not kept waiting for it.
            vain.clear();
        }
        let _ = vain.entry(address).or_insert_with(cancel_rate).take_now(now);
    }
}

/// What counts the cancel requests of one session.
#[must_use]
pub fn cancel_rate() -> Rate {
    Rate::new(CANCELS_PER_SECOND)
}

/// What the buffers of all sessions hold, in bytes.
#[derive(Debug)]
pub struct Buffers {
    max: usize,
    held: AtomicUsize,
}

impl Buffers {
    /// Bytes that sessions hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that they may hold; [`usize::MAX`]: no limit.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.max
    }

    pub(crate) fn refusal(&self) -> Refused {
        Refused::new(
            SqlState("53200"),
            format!(
                "the buffers of this edge's sessions have all that they may, {} bytes",
                self.max
            ),
            "try again in a moment, or use another edge; an operator can raise buffer_bytes_max",
        )
    }
}

/// What one session holds of them; gives it back when dropped.
#[derive(Debug)]
pub struct BufferShare {
    all: Arc<Buffers>,
    /// In units of [`COUNTED_BYTES`].
    units: usize,
}

impl BufferShare {
    /// Nothing at first.
    #[must_use]
    pub fn new(all: &Arc<Buffers>) -> Self {
        Self { all: Arc::clone(all), units: 0 }
    }

    /// The session's buffers hold so many bytes now. Says whether that is more than before.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let units = bytes / COUNTED_BYTES;
        let grows = units > self.units;
        if units != self.units {
            let held = &self.all.held;
            if grows {
                held.fetch_add((units - self.units) * COUNTED_BYTES, Ordering::Relaxed);
            } else {
                held.fetch_sub((self.units - units) * COUNTED_BYTES, Ordering::Relaxed);
            }
            self.units = units;
        }
        grows
    }

    pub(crate) fn all(&self) -> &Arc<Buffers> {
        &self.all
    }
}

impl Drop for BufferShare {
    fn drop(&mut self) {
        self.all.held.fetch_sub(self.units * COUNTED_BYTES, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn id(text: &str) -> PrincipalId {
        text.parse().expect("an id")
    }

    fn limit(found: Result<Seat, (Limit, Refused)>) -> (Limit, &'static str) {
        let (limit, refused) = found.expect_err("a refusal");
        (limit, refused.code.0)
    }

    #[test]
    fn each_principal_has_its_own_number_of_sessions() {
        let config = LimitsConfig {
            sessions_per_principal_max: 2,
            sessions_per_agent_max: 1,
            ..LimitsConfig::default()
        };
        let limits = Limits::new(config);
        let ada = id("user:ada");
        let first = limits.enter(&ada).expect("a place");
        let _second = limits.enter(&ada).expect("a place");
        assert_eq!(limit(limits.enter(&ada)), (Limit::PrincipalSessions, "53300"));
        let _other = limits.enter(&id("user:bob")).expect("control: another principal");
        let _agent = limits.enter(&id("agent:a")).expect("a place");
        assert_eq!(limit(limits.enter(&id("agent:a"))), (Limit::PrincipalSessions, "53300"));
        drop(first);
        let _third = limits.enter(&ada).expect("a place that became free");
        let unlimited = Limits::new(LimitsConfig { sessions_per_principal_max: 0, ..config });
        let all: Vec<_> = (0..1_000).map(|_| unlimited.enter(&ada)).collect();
        assert!(all.iter().all(Result::is_ok), "control: no limit");
    }

    #[test]
    fn coming_again_does_not_fill_the_bucket() {
        let limits = Limits::new(LimitsConfig::default());
        let agent = id("agent:a");
        let rate = || limits.enter(&agent).expect("a place").rate().expect("a rate");
        while rate().take_now(NOW) {}
        assert!(!rate().take_now(NOW), "a new session has the old bucket");
        assert!(
            limits.enter(&id("agent:b")).expect("a place").rate().expect("a rate").take_now(NOW)
        );
        assert!(
            limits.enter(&id("user:ada")).expect("a place").rate().is_none(),
            "users have none"
        );
    }

    #[test]
    fn buffers_are_counted_over_all_sessions() {
        let config =
            LimitsConfig { buffer_bytes_max: 4 * COUNTED_BYTES, ..LimitsConfig::default() };
        let limits = Limits::new(config);
        let mut small = BufferShare::new(limits.buffers());
        assert!(!small.set(COUNTED_BYTES - 1), "a short statement is not counted");
        assert!(small.set(3 * COUNTED_BYTES));
        assert!(!small.set(3 * COUNTED_BYTES + 1), "the same again");
        let mut large = BufferShare::new(limits.buffers());
        assert!(!large.all().is_full());
        assert!(large.set(COUNTED_BYTES));
        assert!(large.all().is_full(), "all that they may");
        assert_eq!(limit(limits.enter(&id("user:ada"))), (Limit::Buffers, "53200"));
        assert!(!small.set(0));
        assert_eq!(limits.buffers().held(), COUNTED_BYTES);
        drop((small, large));
        assert_eq!(limits.buffers().held(), 0);
        limits.enter(&id("user:ada")).expect("control: room again");
    }

    #[test]
    fn guessing_keys_makes_an_address_unheard_for_a_while() {
        let limits = Limits::new(LimitsConfig::default());
        let (guesser, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..CANCELS_PER_SECOND {
            assert!(limits.hears_cancel(guesser, NOW));
            limits.note_vain_cancel(guesser, NOW);
        }
        assert!(!limits.hears_cancel(guesser, NOW));
        assert!(limits.hears_cancel(other, NOW), "control: another address");
        assert!(limits.hears_cancel(guesser, Timestamp(NOW.0 + 100_000)), "a while later");
    }

    #[test]
    fn addresses_are_remembered_up_to_a_number() {
        let limits = Limits::new(LimitsConfig::default());
        for n in 0..u32::try_from(ADDRESSES_MAX).expect("small") * 2 {
            limits.note_vain_cancel(IpAddr::from(n.to_be_bytes()), NOW);
            assert!(limits.vain_cancels.lock().len() <= ADDRESSES_MAX);
        }
    }
}
