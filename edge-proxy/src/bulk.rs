//! Bulk data from a server, taken in larger pieces. A server writes results in pieces of 8 KiB, and being woken for each of
//! them costs more than moving it. Once a result is long, the kernel is told to wake the session only when more is there, and
//! told otherwise as soon as nothing comes for a moment, something is asked, or the connection goes to another session.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A result of so many bytes is bulk data: what a moment at its end costs is little beside it.
const BULK_BYTES_MIN: usize = 4 * 1024 * 1024;
/// The same where the result was found to be bulk data before, and nothing came for a moment.
const MORE_BYTES_MIN: usize = 256 * 1024;
/// What is waited for then, in bytes.
const PIECE_BYTES: usize = 128 * 1024;
/// Who waits for a piece looks again when nothing came for so long.
const LULL: Duration = Duration::from_millis(1);

/// What one connection received since something was last asked in it.
#[derive(Default)]
pub(crate) struct Bulk {
    bytes: usize,
    /// Pieces are waited for, this long.
    lull: Option<Pin<Box<Sleep>>>,
}

impl Bulk {
    /// `count` bytes came.
    pub(crate) fn received(&mut self, tcp: &TcpStream, count: usize) {
        self.bytes = self.bytes.saturating_add(count);
        match &mut self.lull {
            Some(lull) => lull.as_mut().reset(Instant::now() + LULL),
            None if self.bytes < BULK_BYTES_MIN => {}
            None => match wake_at(tcp, PIECE_BYTES) {
                Ok(()) => self.lull = Some(Box::pin(sleep(LULL))),
                // It goes on in small pieces.
                Err(_) => self.bytes = 0,
            },
        }
    }

    /// What comes next is looked at as soon as it is there.
    pub(crate) fn end(&mut self, tcp: &TcpStream) {
        self.bytes = 0;
        if self.lull.take().is_some() {
            // The kernel wakes the session if something is there already. It took the other value, and takes this one.
            let _ = wake_at(tcp, 1);
        }
    }

    /// Ends the wait for a piece where nothing comes.
    pub(crate) fn poll_lull(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) {
        if let Some(lull) = &mut self.lull
            && let Poll::Ready(()) = lull.as_mut().poll(cx)
        {
            self.end(tcp);
            self.bytes = BULK_BYTES_MIN - MORE_BYTES_MIN;
        }
    }
}

/// Has the kernel call the socket readable at so many bytes, or where its end was received.
#[allow(unsafe_code)]
fn wake_at(tcp: &TcpStream, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open as long as `tcp` is borrowed, and the value is an int of the size that is told.
    let set = unsafe {
        libc::setsockopt(
            tcp.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (server, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (server.expect("connected"), accepted.expect("accepted").0)
    }

    /// Reads so many bytes as a session does; returns whether it waited for pieces meanwhile.
    async fn read(bulk: &mut Bulk, tcp: &mut TcpStream, bytes: usize) -> bool {
        let (mut read, mut waited) = (0, false);
        let mut room = vec![0; PIECE_BYTES];
        while read < bytes {
            let count = std::future::poll_fn(|cx| {
                let polled = std::pin::pin!(tcp.read(&mut room)).poll(cx);
                if polled.is_pending() {
                    bulk.poll_lull(tcp, cx);
                }
                polled
            });
            let count = timeout(SOON, count).await.expect("it comes").expect("open");
            assert!(count > 0, "the server is there");
            bulk.received(tcp, count);
            read += count;
            waited |= bulk.lull.is_some();
        }
        waited
    }

    #[tokio::test]
    async fn bulk_data_comes_in_pieces_and_its_end_comes_too() {
        let (mut server, mut tcp) = pair().await;
        let mut bulk = Bulk::default();
        let small = vec![1; 8 * 1024];
        server.write_all(&small).await.expect("sent");
        assert!(!read(&mut bulk, &mut tcp, small.len()).await, "a short answer is not waited for");
        let sends = tokio::spawn(async move {
            for _ in 0..2 * BULK_BYTES_MIN / small.len() {
                server.write_all(&small).await.expect("sent");
            }
            // The end is shorter than a piece, and nothing follows it.
            server.write_all(b"end").await.expect("sent");
            server
        });
        assert!(read(&mut bulk, &mut tcp, 2 * BULK_BYTES_MIN + 3).await, "pieces were waited for");
        bulk.end(&tcp);
        let mut server = sends.await.expect("no panic");
        server.write_all(b"next").await.expect("sent");
        assert!(!read(&mut bulk, &mut tcp, 4).await, "nor is the next one");
    }

    #[tokio::test]
    async fn less_than_a_piece_wakes_only_who_waits_for_no_piece() {
        let (mut server, mut tcp) = pair().await;
        let mut room = [0; 16];
        // The first read of a connection is tried without waiting for the kernel.
        server.write_all(b"hello").await.expect("sent");
        tcp.read(&mut room).await.expect("open");
        wake_at(&tcp, PIECE_BYTES).expect("set");
        server.write_all(b"less").await.expect("sent");
        let early = timeout(LULL * 50, tcp.read(&mut room)).await;
        assert!(early.is_err(), "control: the kernel waits for more");
        wake_at(&tcp, 1).expect("set");
        let count = timeout(SOON, tcp.read(&mut room)).await.expect("woken at once");
        assert_eq!(count.expect("open"), 4);
        // The end of the connection is told whatever is waited for.
        wake_at(&tcp, PIECE_BYTES).expect("set");
        drop(server);
        let count = timeout(SOON, tcp.read(&mut room)).await.expect("woken").expect("closed");
        assert_eq!(count, 0);
    }
}
