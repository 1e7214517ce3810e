//! Where segments come from: within the spool's bound, allocated on the disk before they are used, and
//! prepared ahead so that an append seldom waits for the file system.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::SpoolFull;
use super::segment::Blank;

/// Makes segments and counts their bytes.
pub(super) struct Supply {
    pub(super) dir: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) bytes_max: u64,
    used_bytes: AtomicU64,
    // Lock order: the spool's lock, then this one; never the other way round.
    spare: Mutex<Spare>,
}

struct Spare {
    blank: Option<Blank>,
    next_index: u64,
}

impl Supply {
    /// Goes on after the files that are there already.
    pub(super) fn new(
        dir: PathBuf,
        segment_bytes: u64,
        bytes_max: u64,
        used_bytes: u64,
        next_index: u64,
    ) -> Self {
        let spare = Mutex::new(Spare { blank: None, next_index });
        Self { dir, segment_bytes, bytes_max, used_bytes: AtomicU64::new(used_bytes), spare }
    }

    /// Bytes of all files.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Acquire)
    }

    /// Makes the next segment ahead of time, where there is room for it.
    pub(super) fn prepare(&self) -> Result<(), SpoolFull> {
        let mut spare = self.spare.lock();
        if spare.blank.is_none() {
            spare.blank = Some(self.create(&mut spare)?);
        }
        Ok(())
    }

    /// The next segment, in the order of the files' names.
    pub(super) fn take(&self) -> Result<Blank, SpoolFull> {
        let mut spare = self.spare.lock();
        match spare.blank.take() {
            Some(blank) => Ok(blank),
            None => self.create(&mut spare),
        }
    }

    /// A segment's file was removed.
    pub(super) fn give_back(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Removes what was prepared but not used.
    pub(super) fn discard_spare(&self) {
        if let Some(blank) = self.spare.lock().blank.take() {
            let bytes = blank.bytes();
            if blank.discard().is_ok() {
                self.give_back(bytes);
            }
        }
    }

    fn create(&self, spare: &mut Spare) -> Result<Blank, SpoolFull> {
        let more = |used: u64| {
            used.checked_add(self.segment_bytes).filter(|bytes| *bytes <= self.bytes_max)
        };
        self.used_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .map_err(|_| SpoolFull::Full { bytes_max: self.bytes_max })?;
        let index = spare.next_index;
        spare.next_index = index.saturating_add(1);
        Blank::create(&self.dir, index, self.segment_bytes).map_err(|error| {
            self.give_back(self.segment_bytes);
            SpoolFull::Disk(error.to_string())
        })
    }
}
