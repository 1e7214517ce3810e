//! Room for the bytes of busy sessions. Idle ones hold none, and most are idle at any moment: what one gives back the next one
//! on the same thread takes, without the allocator.

use std::cell::RefCell;

use bytes::BytesMut;

/// The room of each, in bytes.
pub(crate) const SPARE_BYTES: usize = 4 * 1024;
/// So many are kept on a thread at most.
const SPARES_MAX: usize = 64;
/// Larger ones, in bytes, are kept by their session while they are empty: bulk data is on its way.
const KEPT_BYTES_MIN: usize = 16 * 1024;

thread_local! {
    static SPARES: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Gives room to a buffer that has none.
pub(crate) fn lend(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        let spare = SPARES.with_borrow_mut(Vec::pop);
        *buffer = spare.unwrap_or_else(|| BytesMut::with_capacity(SPARE_BYTES));
    }
}

/// Takes the room of an empty buffer, where it is soon had again.
pub(crate) fn take_back(buffer: &mut BytesMut) {
    let room = buffer.capacity();
    if !buffer.is_empty() || room == 0 || room > KEPT_BYTES_MIN {
        return;
    }
    let mut spare = std::mem::take(buffer);
    SPARES.with_borrow_mut(|spares| {
        // What was read from it left less: the whole room is had again where nobody else holds a part of it.
        if spares.len() < SPARES_MAX && spare.try_reclaim(SPARE_BYTES) {
            spares.push(spare);
        }
    });
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    fn kept() -> usize {
        SPARES.with_borrow(Vec::len)
    }

    #[test]
    fn room_that_one_gives_back_the_next_one_takes() {
        let mut buffer = BytesMut::new();
        lend(&mut buffer);
        assert_eq!((buffer.capacity(), kept()), (SPARE_BYTES, 0));
        let room = buffer.as_ptr();
        buffer.extend_from_slice(b"secret of one");
        take_back(&mut buffer);
        assert_eq!((kept(), buffer.len()), (0, 13), "it is not empty");
        buffer.advance(13);
        take_back(&mut buffer);
        assert_eq!((kept(), buffer.capacity()), (1, 0));
        let mut next = BytesMut::new();
        lend(&mut next);
        assert_eq!((next.as_ptr(), next.len(), next.capacity()), (room, 0, SPARE_BYTES));
        lend(&mut next);
        assert_eq!(kept(), 0, "it has room");
    }

    #[test]
    fn neither_large_nor_shared_nor_too_many_are_kept() {
        let mut large = BytesMut::with_capacity(KEPT_BYTES_MIN + 1);
        take_back(&mut large);
        assert!(large.capacity() > KEPT_BYTES_MIN && kept() == 0);
        let mut shared = BytesMut::with_capacity(SPARE_BYTES);
        shared.extend_from_slice(b"held elsewhere");
        let held = shared.split();
        take_back(&mut shared);
        assert_eq!((kept(), &held[..]), (0, &b"held elsewhere"[..]));
        for _ in 0..SPARES_MAX + 1 {
            take_back(&mut BytesMut::with_capacity(SPARE_BYTES));
        }
        assert_eq!(kept(), SPARES_MAX);
    }
}
