//! Room for what is remembered: so much for each who remembers, and so much for all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all together remember, in bytes.
pub(super) const BYTES_OF_ALL_MAX: usize = 256 * 1024 * 1024;
/// So much each may remember however much the others do, in bytes: one who fills the room of all leaves the others this.
pub(super) const BYTES_ALWAYS: usize = 64 * 1024;

/// What all together remember now, in bytes.
pub(super) type OfAll = Arc<AtomicUsize>;

/// What one remembers; what is given up, or dropped, is not counted any more.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    bytes_max: usize,
    of_all: OfAll,
}

impl Room {
    /// Room for `bytes_max` bytes at most, which count with those of all.
    pub(super) fn new(bytes_max: usize, of_all: OfAll) -> Self {
        Self { bytes: 0, bytes_max, of_all }
    }

    /// Whether so many more bytes have room.
    pub(super) fn has(&self, more: usize) -> bool {
        let bytes = self.bytes.saturating_add(more);
        let all = self.of_all.load(Ordering::Relaxed).saturating_add(more);
        bytes <= BYTES_ALWAYS || (bytes <= self.bytes_max && all <= BYTES_OF_ALL_MAX)
    }

    /// Takes so many more bytes.
    pub(super) fn take(&mut self, more: usize) {
        self.bytes += more;
        self.of_all.fetch_add(more, Ordering::Relaxed);
    }

    /// Nothing is remembered any more.
    pub(super) fn clear(&mut self) {
        self.of_all.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_some_room_whatever_the_others_take() {
        let of_all = OfAll::default();
        let most = BYTES_OF_ALL_MAX / 2;
        let mut rooms = [0; 3].map(|_| Room::new(most, Arc::clone(&of_all)));
        assert!(rooms[0].has(most) && !rooms[0].has(most + 1), "its own bound");
        rooms[0].take(most);
        rooms[1].take(most);
        assert!(!rooms[0].has(1) && rooms[2].has(BYTES_ALWAYS), "all is taken but for that");
        assert!(!rooms[2].has(BYTES_ALWAYS + 1));
        rooms[1].clear();
        assert!(rooms[2].has(most), "control: there is room again");
        drop(rooms);
        assert_eq!(of_all.load(Ordering::Relaxed), 0, "what is gone is not counted");
    }
}
