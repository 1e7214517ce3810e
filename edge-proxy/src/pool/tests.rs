//! A pool before a real PostgreSQL.

use std::convert::Infallible;

use super::*;
use crate::upstream::testing::{Postgres, one};

fn pool(max: usize) -> Arc<Pool> {
    pool_waiting(max, QUEUE_WAIT_MAX)
}

fn pool_waiting(max: usize, wait_max: Duration) -> Arc<Pool> {
    Arc::new(Pool::new(max, wait_max, Arc::default(), Handle::current()))
}

fn key(pool: &Pool, principal: &str) -> Key {
    pool.key(vec![("writ.principal".to_owned(), principal.to_owned())])
}

async fn acquire(
    pool: &Arc<Pool>,
    server: &Postgres,
    key: &Key,
) -> Result<Leased, AcquireError<Infallible>> {
    let connect = || async { Ok((server.connect().await, SessionNames::default())) };
    pool.acquire(key, connect).await
}

async fn leased(pool: &Arc<Pool>, server: &Postgres, key: &Key) -> Leased {
    acquire(pool, server, key).await.expect("a connection")
}

fn process_id(leased: &Leased) -> i32 {
    leased.pooled.cancel_key.process_id
}

#[tokio::test]
async fn a_connection_is_used_again_by_its_own_key_alone() {
    let server = Postgres::start();
    let pool = pool(2);
    let (dana, ada) = (key(&pool, "user:dana"), key(&pool, "user:ada"));
    let first = leased(&pool, &server, &dana).await;
    let id = process_id(&first);
    pool.put(&dana, first);
    assert_eq!(process_id(&pool.take(&dana).expect("the same")), id);
    // That one was dropped, not put back.
    assert!(pool.take(&dana).is_none());
    let (one, two) = (leased(&pool, &server, &dana).await, leased(&pool, &server, &dana).await);
    let ids = [process_id(&one), process_id(&two)];
    assert!(!ids.contains(&id));
    pool.put(&dana, one);
    pool.put(&dana, two);
    assert!(pool.take(&ada).is_none(), "nobody else's");
    let other = leased(&pool, &server, &ada).await;
    assert!(!ids.contains(&process_id(&other)), "one of dana's went, and this one is new");
    assert!(pool.take(&dana).is_some());
    assert!(format!("{dana:?}").contains("writ.principal"));
    assert!(!format!("{dana:?}").contains("user:dana"), "values may be secrets");
}

#[tokio::test]
async fn who_waits_is_told_in_time() {
    let server = Postgres::start();
    let pool = pool(1);
    let key = key(&pool, "user:dana");
    let only = leased(&pool, &server, &key).await;
    assert!(!pool.is_contended() && pool.take(&key).is_none());
    let waiting = tokio::spawn({
        let (pool, key) = (Arc::clone(&pool), key.clone());
        async move { pool.acquire(&key, || async { Err("no other may be made") }).await.is_ok() }
    });
    while pool.metrics.pool_waiting.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(pool.is_contended());
    pool.put(&key, only);
    assert!(waiting.await.expect("no panic"), "the connection that was given back");
    let pool = pool_waiting(1, Duration::from_millis(1));
    let _held = leased(&pool, &server, &key).await;
    let refused = acquire(&pool, &server, &key).await;
    assert!(matches!(refused, Err(AcquireError::Busy)));
    assert_eq!((pool.metrics.pool_timeouts.get(), pool.metrics.pool_waiting.get()), (1, 0));
}

/// Waits until so many sessions stand in line.
async fn waiting(pool: &Pool, count: usize) {
    while pool.waiting.load(Ordering::Relaxed) != count {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.metrics.pool_waiting.get(), count as u64);
}

#[tokio::test]
async fn who_comes_first_is_served_first_and_who_leaves_keeps_nothing() {
    let server = Postgres::start();
    let pool = pool(1);
    let key = key(&pool, "user:dana");
    let only = leased(&pool, &server, &key).await;
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut sessions = Vec::new();
    for number in 0..4 {
        let (pool_here, key, told) = (Arc::clone(&pool), key.clone(), told.clone());
        sessions.push(tokio::spawn(async move {
            let connect = || async { Err(()) };
            let leased = pool_here.acquire(&key, connect).await.expect("the one there is");
            let _ = told.send(number);
            pool_here.put(&key, leased);
        }));
        waiting(&pool, number + 1).await;
    }
    sessions.remove(1).abort();
    waiting(&pool, 3).await;
    // The first is given the connection, and goes before it looks: the next one has it then.
    pool.put(&key, only);
    sessions.remove(0).abort();
    for session in sessions {
        session.await.expect("no panic");
    }
    waiting(&pool, 0).await;
    assert_eq!((order.recv().await, order.recv().await), (Some(2), Some(3)));
    assert!(order.is_empty(), "those who left were not served");
    assert!(pool.take(&key).is_some(), "the right to it is free again");
}

#[tokio::test]
async fn a_connection_that_is_dropped_leaves_its_place() {
    let server = Postgres::start();
    let pool = pool(1);
    let key = key(&pool, "user:dana");
    for _ in 0..3 {
        drop(leased(&pool, &server, &key).await);
        assert_eq!(pool.open.load(Ordering::Relaxed), 0);
    }
    let refused = pool.acquire(&key, || async { Err("it is down") }).await;
    assert!(matches!(refused, Err(AcquireError::Connect("it is down"))));
    assert!(leased(&pool, &server, &key).await.pooled.slot.lent, "control: there is room");
}

#[tokio::test]
async fn a_connection_that_ended_is_given_to_nobody() {
    let server = Postgres::start();
    let pool = pool(2);
    let key = key(&pool, "user:dana");
    let leased = leased(&pool, &server, &key).await;
    let ended = process_id(&leased);
    pool.put(&key, leased);
    let mut admin = server.connect().await;
    assert_eq!(one(&mut admin, &format!("SELECT pg_terminate_backend({ended}, 5000)")).await, "t");
    // What the server said reaches the socket's readiness with the next look of the runtime.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(pool.take(&key).is_none());
}

#[tokio::test]
async fn a_connection_waits_for_its_cancel_requests() {
    let server = Postgres::start();
    let pool = pool(1);
    let key = key(&pool, "user:dana");
    let leased = leased(&pool, &server, &key).await;
    let hold = leased.pooled.hold().expect("not on its way");
    pool.put(&key, leased);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(pool.take(&key).is_none(), "a cancel request is on its way to it");
    }
    drop(hold);
    while pool.take(&key).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_a_cancel_request_may_still_reach_is_given_to_nobody() {
    let server = Postgres::start();
    let pool = pool(1);
    let key = key(&pool, "user:dana");
    for lost in [false, true] {
        let leased = leased(&pool, &server, &key).await;
        let id = process_id(&leased);
        let hold = leased.pooled.hold().expect("not on its way");
        pool.put(&key, leased);
        if lost {
            hold.lost();
        }
        drop(hold);
        // There is one place: it is free when the one or the other is done with the connection.
        let next = super::tests::leased(&pool, &server, &key).await;
        assert_eq!(process_id(&next) == id, !lost, "lost: {lost}");
        pool.put(&key, next);
    }
}
