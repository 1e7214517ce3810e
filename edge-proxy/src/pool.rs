//! Connections that sessions share, a transaction at a time. A connection is only ever used by sessions of one principal
//! that began with the same settings, so that nothing of one principal can reach another.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use writ_edge_core::{Backend, SessionNames};
use writ_model::config::Database;

use crate::metrics::Metrics;
use crate::side::Side;
use crate::threads;
use crate::upstream::{CancelKey, Upstream, UpstreamStream};

mod line;

use line::Line;

/// How long a session waits for a connection.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(30);
/// A connection that is older than this is not used again: the server's memory for it grows with its age.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// A connection that nobody used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// So many keys are remembered before those without connections are forgotten.
const KEYS_MAX: usize = 1_024;

/// What a connection began with: its start-up parameters, the principal among them.
#[derive(Clone)]
pub struct Key(Arc<Parameters>);

struct Parameters {
    /// Of all of them, worked out once: a key is looked up for each transaction.
    hash: u64,
    all: Vec<(String, String)>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_list().entries(self.0.all.iter().map(|(name, _)| name)).finish()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.all == other.0.all)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// Keys come with their hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key writes one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What is kept of keys.
type ByKey<T> = HashMap<Key, T, BuildHasherDefault<Hashed>>;

impl Key {
    /// The connections that begin with these parameters.
    fn new(hasher: &RandomState, all: Vec<(String, String)>) -> Self {
        Self(Arc::new(Parameters { hash: hasher.hash_one(&all), all }))
    }

    /// The start-up parameters.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.0.all
    }
}

/// What a session learns from a connection when it begins.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The server's ParameterStatus values.
    pub parameters: Arc<Vec<(String, String)>>,
    /// What names mean.
    pub names: Arc<SessionNames>,
}

/// One connection of a pool.
pub struct Pooled {
    /// The connection.
    pub side: Side<UpstreamStream>,
    /// What cancels a statement in it.
    pub cancel_key: CancelKey,
    /// What holds in it.
    pub greeting: Greeting,
    /// What sessions left in it.
    pub backend: Backend,
    /// Cancel requests hold it: the connection is nobody else's before they are over.
    cancelling: Arc<RwLock<Cancels>>,
    since: Instant,
    slot: Slot,
}

/// What became of the cancel requests for a connection.
#[derive(Default)]
struct Cancels {
    /// The server may still get one.
    lost: AtomicBool,
}

/// A cancel request on its way. While it is held, the connection is given to no other session.
pub struct Hold(OwnedRwLockReadGuard<Cancels>);

impl Hold {
    /// It is not known whether the server got it, or gets it yet: no other session's statement may be there then.
    pub fn lost(&self) {
        self.0.lost.store(true, Ordering::Relaxed);
    }
}

/// A connection while a session has it.
pub struct Leased {
    /// The connection, in a place of its own: it goes from hand to hand with each transaction.
    pub pooled: Box<Pooled>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum AcquireError<E> {
    /// All are in use, and none became free in time.
    Busy,
    /// A new one could not be made.
    Connect(E),
}

struct Idle {
    pooled: Box<Pooled>,
    since: Instant,
}

struct Shelf {
    line: Line,
    idle: ByKey<Vec<Idle>>,
    greetings: ByKey<Greeting>,
}

/// The connections to one database.
pub struct Pool {
    connections_max: usize,
    wait_max: Duration,
    shelf: Mutex<Shelf>,
    hasher: RandomState,
    /// Sessions that wait; changes only while the shelf is locked.
    waiting: AtomicUsize,
    /// Connections that exist, in use or not; grows only while the shelf is locked.
    open: AtomicUsize,
    metrics: Arc<Metrics>,
    background: Handle,
}

/// A connection's place in the count; leaves it when dropped, and with it the right to it.
struct Slot {
    pool: Weak<Pool>,
    metrics: Arc<Metrics>,
    /// A session has the connection.
    lent: bool,
    /// The number of the thread on which the connection's events arrive.
    home: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.pool_connections.add(-1);
        if let Some(pool) = self.pool.upgrade() {
            pool.open.fetch_sub(1, Ordering::Relaxed);
            if self.lent {
                pool.give_back(pool.shelf.lock(), self.home);
            }
        }
    }
}

/// The right to a connection before there is one; given back when dropped.
struct Right<'a>(&'a Pool);

impl Right<'_> {
    /// The right goes with the connection from now on.
    fn lend(self, mut pooled: Box<Pooled>) -> Leased {
        pooled.slot.lent = true;
        std::mem::forget(self);
        Leased { pooled }
    }
}

impl Drop for Right<'_> {
    fn drop(&mut self) {
        self.0.give_back(self.0.shelf.lock(), threads::number());
    }
}

/// What is tried after a look at the shelf.
enum Next {
    Take(Idle),
    Connect(Slot, Option<Idle>),
}

impl Pool {
    /// A pool of so many connections, for each of which a session waits for `wait_max`; `background` runs what sessions do not wait for.
    #[must_use]
    pub fn new(
        connections_max: usize,
        wait_max: Duration,
        metrics: Arc<Metrics>,
        background: Handle,
    ) -> Self {
        let line = Line::new(connections_max);
        Self {
            connections_max,
            wait_max,
            shelf: Mutex::new(Shelf { line, idle: ByKey::default(), greetings: ByKey::default() }),
            hasher: RandomState::new(),
            waiting: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            metrics,
            background,
        }
    }

    /// The key of connections that begin with these parameters: the same one for all sessions, as long as it is known, so
    /// that finding it compares no parameters.
    #[must_use]
    pub fn key(&self, parameters: Vec<(String, String)>) -> Key {
        let key = Key::new(&self.hasher, parameters);
        let shelf = self.shelf.lock();
        shelf.greetings.get_key_value(&key).map_or(key, |(known, _)| known.clone())
    }

    /// What connections of this key tell, where one was made before.
    #[must_use]
    pub fn greeting(&self, key: &Key) -> Option<Greeting> {
        self.shelf.lock().greetings.get(key).cloned()
    }

    /// Whether a session waits for a connection that another one has.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn note_waiting(&self, shelf: &Shelf) {
        let (before, now) = (self.waiting.load(Ordering::Relaxed), shelf.line.len());
        if before != now {
            self.waiting.store(now, Ordering::Relaxed);
            let more = i64::try_from(now).unwrap_or(i64::MAX);
            self.metrics.pool_waiting.add(more.saturating_sub_unsigned(before as u64));
        }
    }

    /// Gives a right back, and wakes the one whose it is now: rather one on thread `home`.
    fn give_back(&self, mut shelf: MutexGuard<'_, Shelf>, home: usize) {
        let next = shelf.line.give_back(home);
        self.note_waiting(&shelf);
        drop(shelf);
        if let Some(next) = next {
            next.wake();
        }
    }

    /// A connection that is there already, without waiting.
    pub fn take(self: &Arc<Self>, key: &Key) -> Option<Leased> {
        loop {
            let mut shelf = self.shelf.lock();
            let idle = shelf.line.is_free().then(|| shelf.take_near(key, threads::number()))??;
            shelf.line.take();
            drop(shelf);
            let right = Right(self);
            if let Some(pooled) = idle.into_fresh() {
                return Some(right.lend(pooled));
            }
        }
    }

    /// A connection: one that is there, or a new one that `connect` makes, in the order in which they are asked for.
    pub async fn acquire<E, F: Future<Output = Result<(Upstream, SessionNames), E>>>(
        self: &Arc<Self>,
        key: &Key,
        connect: impl Fn() -> F,
    ) -> Result<Leased, AcquireError<E>> {
        let began = Instant::now();
        let served = self.wait_in_line().await;
        self.metrics.pool_wait.observe_since(began);
        if !served {
            self.metrics.pool_timeouts.add(1);
            return Err(AcquireError::Busy);
        }
        let right = Right(self);
        loop {
            match self.next(key) {
                Next::Take(idle) => {
                    if let Some(pooled) = idle.into_fresh() {
                        return Ok(right.lend(pooled));
                    }
                }
                Next::Connect(slot, evicted) => {
                    self.part(evicted);
                    let (upstream, names) = connect().await.map_err(AcquireError::Connect)?;
                    return Ok(right.lend(self.welcome(key, upstream, names, slot)));
                }
            }
        }
    }

    fn next(self: &Arc<Self>, key: &Key) -> Next {
        let mut shelf = self.shelf.lock();
        if let Some(idle) = shelf.take_near(key, threads::number()) {
            return Next::Take(idle);
        }
        if self.open.load(Ordering::Relaxed) < self.connections_max {
            return Next::Connect(self.slot(), None);
        }
        if let Some(idle) = shelf.take_any(key) {
            return Next::Take(idle);
        }
        // Whoever holds a permit has a place: another key's connection that nobody uses goes.
        let evicted = shelf.take_oldest();
        Next::Connect(self.slot(), evicted)
    }

    fn slot(self: &Arc<Self>) -> Slot {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.pool_connections.add(1);
        let (pool, metrics) = (Arc::downgrade(self), Arc::clone(&self.metrics));
        Slot { pool, metrics, lent: false, home: threads::number() }
    }

    fn welcome(
        &self,
        key: &Key,
        upstream: Upstream,
        names: SessionNames,
        slot: Slot,
    ) -> Box<Pooled> {
        let Upstream { stream, leftover, parameters, cancel_key } = upstream;
        let mut shelf = self.shelf.lock();
        let known = shelf.greetings.get(key);
        let same = known.filter(|g| *g.names == names && *g.parameters == parameters).cloned();
        let greeting = same.unwrap_or_else(|| Greeting {
            parameters: Arc::new(parameters),
            names: Arc::new(names),
        });
        shelf.greetings.insert(key.clone(), greeting.clone());
        shelf.forget_keys();
        Box::new(Pooled {
            side: Side::new(stream, leftover),
            cancel_key,
            greeting,
            backend: Backend::default(),
            cancelling: Arc::default(),
            since: Instant::now(),
            slot,
        })
    }

    /// Takes back a connection in which nothing is left.
    pub fn put(self: &Arc<Self>, key: &Key, leased: Leased) {
        let mut pooled = leased.pooled;
        // Who cancels has the lock, and with it a share of it.
        match Arc::get_mut(&mut pooled.cancelling) {
            Some(cancels) => {
                let lost = *cancels.get_mut().lost.get_mut();
                self.shelve(key, pooled, lost);
            }
            None => {
                let (pool, key) = (Arc::clone(self), key.clone());
                self.background.spawn(async move {
                    let cancels = Arc::clone(&pooled.cancelling).write_owned().await;
                    let lost = cancels.lost.load(Ordering::Relaxed);
                    drop(cancels);
                    pool.shelve(&key, pooled, lost);
                });
            }
        }
    }

    fn shelve(&self, key: &Key, mut pooled: Box<Pooled>, lost: bool) {
        let now = Instant::now();
        let age = |since| now.saturating_duration_since(since);
        pooled.slot.lent = false;
        let home = pooled.slot.home;
        let worn = lost || pooled.backend.is_worn() || age(pooled.since) > AGE_MAX;
        let idle = Idle { pooled, since: now };
        let mut shelf = self.shelf.lock();
        if worn {
            self.give_back(shelf, home);
            return self.part(Some(idle));
        }
        let of_key = match shelf.idle.get_mut(key) {
            Some(of_key) => of_key,
            None => shelf.idle.entry(key.clone()).or_default(),
        };
        of_key.push(idle);
        let stale = of_key.first().is_some_and(|first| age(first.since) > IDLE_MAX);
        let stale = stale.then(|| of_key.remove(0));
        self.give_back(shelf, home);
        self.part(stale);
    }

    /// Says goodbye, where nobody waits for it.
    fn part(&self, idle: Option<Idle>) {
        if let Some(idle) = idle {
            self.background.spawn(async move { idle.pooled.close().await });
        }
    }
}

impl Shelf {
    /// Keys come and go with principals and settings.
    fn forget_keys(&mut self) {
        let Self { idle, greetings, .. } = self;
        if greetings.len() > KEYS_MAX {
            idle.retain(|_, of_key| !of_key.is_empty());
            greetings.retain(|key, _| idle.contains_key(key));
        }
    }

    fn take_where(&mut self, key: &Key, wanted: impl Fn(&Idle) -> bool) -> Option<Idle> {
        let of_key = self.idle.get_mut(key)?;
        let at = of_key.iter().rposition(wanted)?;
        Some(of_key.remove(at))
    }

    /// One whose events arrive on this thread: another's would wake two.
    fn take_near(&mut self, key: &Key, here: usize) -> Option<Idle> {
        self.take_where(key, |idle| idle.pooled.slot.home == here)
    }

    fn take_any(&mut self, key: &Key) -> Option<Idle> {
        self.take_where(key, |_| true)
    }

    fn take_oldest(&mut self) -> Option<Idle> {
        let since = |idle: &Vec<Idle>| idle.first().map(|first| first.since);
        let (_, oldest) = self
            .idle
            .iter_mut()
            .filter(|(_, idle)| !idle.is_empty())
            .min_by_key(|(_, idle)| since(idle))?;
        Some(oldest.remove(0))
    }
}

impl Idle {
    /// The connection, where the server has said nothing since: what it says unasked is that it ends or changed.
    fn into_fresh(mut self) -> Option<Box<Pooled>> {
        let mut byte = [std::mem::MaybeUninit::uninit(); 1];
        let mut buffer = ReadBuf::uninit(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        match std::pin::Pin::new(&mut self.pooled.side.stream).poll_read(&mut cx, &mut buffer) {
            Poll::Pending => Some(self.pooled),
            Poll::Ready(_) => None,
        }
    }
}

impl Pooled {
    /// Says goodbye to the server.
    pub async fn close(self) {
        let Pooled { side, cancel_key, .. } = self;
        let upstream = Upstream {
            stream: side.stream,
            leftover: BytesMut::new(),
            parameters: Vec::new(),
            cancel_key,
        };
        upstream.close().await;
    }

    /// Before a cancel request is sent. `None`: it is on its way to another session.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        Arc::clone(&self.cancelling).try_read_owned().ok().map(Hold)
    }
}

/// How sessions of a database share connections; `None`: they do not.
#[must_use]
pub fn connections_max(database: &Database) -> Option<usize> {
    match database.pooling {
        writ_model::config::Pooling::Session => None,
        writ_model::config::Pooling::Transaction { connections_max } => {
            Some(usize::from(connections_max.max(1)))
        }
    }
}

#[cfg(test)]
mod tests;
