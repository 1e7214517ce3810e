//! Both sides in one process, over the real socket in a directory of the test's.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::process::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use writ_edge_core::startup::CancelRequest;
use writ_model::{Secret, Timestamp};

use super::cancels::{Cancels, Outcome};
use super::control::Prepared;
use super::new::{Offered, begin, begin_as};
use super::old::{Holdings, Old};
use super::wire::{MESSAGE_BYTES_MAX, Wire};
use super::*;
use crate::sessions::testing::reach;
use crate::sessions::{SessionEvent, Sessions};
use crate::spools::serve_from;

const DEADLINE: Duration = Duration::from_secs(20);

/// A process that runs, as far as others see it.
struct Runs {
    dir: tempfile::TempDir,
    address: SocketAddr,
    task: JoinHandle<Wire>,
}

fn position(epoch: u64, unready: &[&str]) -> Position {
    let unready = unready.iter().map(|name| (*name).to_owned()).collect();
    Position { epoch, last_heard_micros: 5, unready }
}

async fn runs_as(user: u32) -> Runs {
    let dir = tempfile::tempdir().expect("a directory");
    let serving = serve_from(dir.path()).expect("a file").expect("nobody else");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let mut holdings = Holdings::new(serving);
    holdings.add(Role::Clients, address, &listener).expect("copied");
    let old = Old::new("edge-1".into(), holdings, Arc::new(|| position(7, &["away"])));
    let socket = Prepared::new(dir.path()).and_then(Prepared::put_in_place).expect("a socket");
    let task = tokio::spawn(Arc::new(old.of_user(user)).serve(socket));
    Runs { dir, address, task }
}

async fn runs() -> Runs {
    runs_as(geteuid().as_raw()).await
}

async fn offered(dir: &Path) -> Offered {
    begin(dir, "edge-1").await.expect("answered").expect("an edge runs")
}

/// Says one thing at the socket; returns the answer. `None`: it ends the connection, read or not.
async fn says(runs: &Runs, message: &FromNew) -> Option<FromOld> {
    let mut wire = Wire::new(connected(runs).await);
    wire.send(message, &[]).await.expect("sent");
    let answer = tokio::time::timeout(DEADLINE, wire.receive()).await.expect("in time");
    match answer {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
        answer => answer.expect("an answer").map(|(message, _)| message),
    }
}

async fn connected(runs: &Runs) -> UnixStream {
    control::connect(runs.dir.path()).await.expect("connected").expect("an edge runs")
}

fn hello(oldest: u32, newest: u32, edge: &str) -> FromNew {
    FromNew::TakeOver { oldest, newest, edge: edge.into(), software: "test".into() }
}

#[tokio::test]
async fn who_waits_in_the_queue_is_served_by_the_new_process() {
    let runs = runs().await;
    // Nobody accepts it at the old one any more.
    let mut client = TcpStream::connect(runs.address).await.expect("in the queue");
    client.write_all(b"hello").await.expect("sent");
    let mut offered = offered(runs.dir.path()).await;
    assert!(serve_from(runs.dir.path()).expect("a file").is_none(), "the old one serves");
    let serving = offered.serving().expect("the lock");
    assert!(offered.listener(Role::Metrics, runs.address).is_none(), "that is for clients");
    let other = ([127, 0, 0, 1], 1).into();
    assert!(offered.listener(Role::Clients, other).is_none(), "that is another address");
    let socket = offered.listener(Role::Clients, runs.address).expect("the socket");
    let before = offered.finish(|| position(8, &["away"])).await.expect("taken over");
    assert!(before.is_some(), "it is still there");
    runs.task.await.expect("taken over");
    assert!(serve_from(runs.dir.path()).expect("a file").is_none(), "the new one serves");
    drop(serving);
    assert!(serve_from(runs.dir.path()).expect("a file").is_some(), "nobody does");
    let listener = TcpListener::from_std(socket).expect("usable");
    let (mut accepted, _) = listener.accept().await.expect("accepted");
    let mut said = [0; 5];
    accepted.read_exact(&mut said).await.expect("read");
    assert_eq!(&said, b"hello");
}

#[tokio::test]
async fn one_that_ends_before_it_is_ready_changes_nothing() {
    let runs = runs().await;
    for _ in 0..3 {
        let mut offered = offered(runs.dir.path()).await;
        drop(offered.listener(Role::Clients, runs.address).expect("the socket"));
        drop(offered);
    }
    assert!(!runs.task.is_finished(), "it goes on");
    TcpStream::connect(runs.address).await.expect("it listens");
    assert!(serve_from(runs.dir.path()).expect("a file").is_none(), "it serves");
    offered(runs.dir.path()).await.finish(|| position(7, &[])).await.expect("the next one can");
    runs.task.await.expect("taken over");
}

#[tokio::test]
async fn one_process_at_a_time_takes_over() {
    let runs = runs().await;
    let first = offered(runs.dir.path()).await;
    let second = begin(runs.dir.path(), "edge-1").await.expect_err("one is enough");
    assert!(second.to_string().contains("another process is taking over"), "{second}");
    first.finish(|| position(7, &[])).await.expect("taken over");
    runs.task.await.expect("taken over");
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_told_so_and_changes_nothing() {
    let runs = runs().await;
    for (message, why) in [
        (hello(2, 3, "edge-1"), "speaks versions 1 to 1 of the take-over, the new one 2 to 3"),
        (hello(0, 0, "edge-1"), "the new one 0 to 0"),
        (hello(1, 1, "edge-2"), "this is edge edge-1, not edge-2"),
        (FromNew::Ready, "said Ready first"),
    ] {
        let Some(FromOld::Refused { reason }) = says(&runs, &message).await else {
            panic!("{message:?} is not refused");
        };
        assert!(reason.contains(why), "{reason}");
    }
    let too_long = u32::try_from(MESSAGE_BYTES_MAX + 1).expect("small").to_be_bytes();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"\0\0\0\x02{}", &too_long] {
        let mut stream = connected(&runs).await;
        stream.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("it ends the connection").expect("read");
        assert!(String::from_utf8_lossy(&answer).contains("refused"), "{answer:?}");
    }
    assert!(!runs.task.is_finished(), "it goes on");
    let newer = says(&runs, &hello(1, 9, "edge-1")).await;
    assert!(matches!(newer, Some(FromOld::Handing { version: 1, .. })), "control: {newer:?}");
}

#[tokio::test]
async fn another_user_gets_nothing() {
    let user = geteuid().as_raw();
    let runs = runs_as(user + 1).await;
    assert_eq!(says(&runs, &hello(1, 1, "edge-1")).await, None);
    let error = begin_as(user + 1, runs.dir.path(), "edge-1").await.expect_err("a stranger");
    assert!(matches!(error, TakeOverError::Stranger { .. }), "{error}");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let socket = control::path(runs.dir.path());
    assert_eq!((mode(&socket), mode(socket.parent().expect("a directory"))), (0o600, 0o700));
}

#[tokio::test]
async fn where_no_edge_runs_there_is_nothing_to_take_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep =
        dir.path().join("a directory with a name ".repeat(8)).join("and another one ".repeat(8));
    assert!(begin(&deep, "edge-1").await.expect("asked").is_none(), "nothing ever ran");
    let socket = Prepared::new(&deep).and_then(Prepared::put_in_place).expect("a long path");
    drop(socket);
    assert!(begin(&deep, "edge-1").await.expect("asked").is_none(), "the last one was killed");
}

#[tokio::test]
async fn where_the_old_one_ends_meanwhile_the_new_one_serves_in_its_place() {
    let runs = runs().await;
    let mut offered = offered(runs.dir.path()).await;
    let socket = offered.listener(Role::Clients, runs.address).expect("the socket");
    runs.task.abort();
    let _ = runs.task.await;
    let client = TcpStream::connect(runs.address).await.expect("still listened on");
    assert!(offered.finish(|| position(7, &[])).await.expect("goes on").is_none());
    let (_, from) =
        TcpListener::from_std(socket).expect("usable").accept().await.expect("accepted");
    assert_eq!(from, client.local_addr().expect("an address"));
}

#[test]
fn who_takes_over_is_not_behind() {
    let old = position(7, &["away"]);
    for (new, lacking) in [
        (position(7, &[]), None),
        (position(9, &["away"]), None),
        (position(6, &[]), Some("it has epoch 6 of the configuration, the running edge 7")),
        (
            Position { last_heard_micros: 4, ..position(7, &[]) },
            Some("it has not heard the control plane yet"),
        ),
        (position(7, &["away", "shop"]), Some("it has not read the catalog of shop yet")),
    ] {
        assert_eq!(new.lacks(&old).as_deref(), lacking, "{new:?}");
    }
}

#[tokio::test]
async fn a_message_arrives_whole_with_its_descriptors() {
    let (one, two) = UnixStream::pair().expect("a pair");
    let (mut one, mut two) = (Wire::new(one), Wire::new(two));
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"x").expect("written");
    let long = FromOld::Refused { reason: "long ".repeat(10_000) };
    let sending = async {
        one.send(&long, &[file.as_fd()]).await.expect("sent");
        one.send(&FromOld::Yours, &[]).await.expect("sent");
        let too_long = FromOld::Refused { reason: "x".repeat(MESSAGE_BYTES_MAX) };
        assert!(one.send(&too_long, &[]).await.is_err());
    };
    let receiving = async {
        let (message, descriptors) = two.receive::<FromOld>().await.expect("read").expect("one");
        assert_eq!((message, descriptors.len()), (long.clone(), 1));
        let came = std::fs::File::from(descriptors.into_iter().next().expect("one"));
        assert_eq!(came.metadata().expect("a file").len(), 1);
        let (message, descriptors) = two.receive::<FromOld>().await.expect("read").expect("one");
        assert_eq!((message, descriptors.len()), (FromOld::Yours, 0));
    };
    tokio::join!(sending, receiving);
    drop(one);
    assert!(two.receive::<FromOld>().await.expect("read").is_none());
}

#[tokio::test]
async fn a_cancel_reaches_the_process_before_the_one_before() {
    let processes: Vec<_> = (0..3)
        .map(|_| {
            let sessions = Arc::new(Sessions::default());
            let cancels = Cancels::new(Arc::clone(&sessions), Arc::new(|| Timestamp(1)));
            (sessions, Arc::new(cancels))
        })
        .collect();
    let mut serving = Vec::new();
    for pair in processes.windows(2) {
        let [(_, old), (_, new)] = pair else { panic!("a pair") };
        let (one, two) = UnixStream::pair().expect("a pair");
        serving.push(tokio::spawn(Arc::clone(old).serve(Wire::new(one))));
        let new = Arc::clone(new);
        serving.push(tokio::spawn(async move {
            new.pass_on(Wire::new(two)).await;
            Ok(())
        }));
    }
    tokio::task::yield_now().await;
    let (reached, mut events) = reach("user:dana", "s", b"right");
    let place = processes[0].0.enter(reached);
    let request =
        |key: &[u8]| CancelRequest { process_id: place.process_id, key: Secret::new(key.to_vec()) };
    let newest = &processes[2].1;
    let right = request(b"right");
    let (outcome, event) = tokio::join!(newest.cancel(&right), async {
        let event = events.recv().await;
        // Its end tells whoever asked.
        matches!(event, Some(SessionEvent::Cancel(_)))
    });
    assert_eq!((outcome, event), (Outcome::Reached, true));
    assert_eq!(newest.cancel(&request(b"wrong")).await, Outcome::InVain);
    assert!(events.try_recv().is_none(), "with a wrong key it hears nothing");
    for task in serving {
        task.abort();
        let _ = task.await;
    }
    assert_eq!(newest.cancel(&right).await, Outcome::InVain, "they are gone");
}
