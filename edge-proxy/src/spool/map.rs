//! A file in memory: one writer, any number of readers of what was published. The only unsafe code of the
//! spool; everything else works with the slices that this gives out.
//!
//! Why it is sound:
//! - `Map` is made together with its only `MapWriter`, which cannot be cloned. Writing needs `&mut MapWriter`
//!   and is refused below `published`.
//! - A reader gets the bytes below `published`, and those are never written again: no `&[u8]` that was given
//!   out ever changes. The writer's own view borrows the writer, so that it cannot write meanwhile.
//! - The file is allocated in full before it is mapped and is never shortened by us; the spool directory is
//!   locked against a second process. Someone who truncates the file by hand gets this process a SIGBUS,
//!   which is an end, not a wrong record.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// The size of a word that is published atomically, in bytes; entries begin at multiples of it.
pub(super) const WORD_BYTES: usize = 8;

/// What readers hold.
pub(super) struct Map {
    raw: MmapRaw,
    published: AtomicUsize,
}

/// The one that may write.
pub(super) struct MapWriter {
    map: Arc<Map>,
}

impl Map {
    /// The bytes that will not change any more.
    pub(super) fn published(&self) -> &[u8] {
        let end = self.published.load(Ordering::Acquire);
        // SAFETY: `end` is at most the mapping's length (see `publish`), the mapping lives as long as `self`,
        // and bytes below `end` are not written again (see the module documentation).
        unsafe { slice::from_raw_parts(self.raw.as_ptr(), end) }
    }
}

impl MapWriter {
    /// Maps a file that is `bytes` long.
    pub(super) fn new(file: &File, bytes: usize) -> io::Result<Self> {
        let raw = MmapOptions::new().len(bytes).map_raw(file)?;
        Ok(Self { map: Arc::new(Map { raw, published: AtomicUsize::new(0) }) })
    }

    /// The readers' side.
    pub(super) fn reader(&self) -> Arc<Map> {
        Arc::clone(&self.map)
    }

    /// How many bytes are mapped.
    pub(super) fn len(&self) -> usize {
        self.map.raw.len()
    }

    /// Everything, published or not.
    pub(super) fn all(&self) -> &[u8] {
        // SAFETY: the pointer and the length are the mapping's own; writing needs `&mut self`, which this
        // borrow excludes.
        unsafe { slice::from_raw_parts(self.map.raw.as_ptr(), self.map.raw.len()) }
    }

    /// Copies `bytes` to `offset`, which must lie above what is published.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the range is inside the mapping and above what readers can see (`check`), `&mut self`
        // excludes other writers, and `bytes` cannot overlap it because no `&[u8]` of this range exists.
        unsafe {
            let to = self.map.raw.as_mut_ptr().add(offset);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// Sets `count` bytes from `offset` on to zero.
    pub(super) fn zero(&mut self, offset: usize, count: usize) {
        self.check(offset, count);
        // SAFETY: as in `write`.
        unsafe { ptr::write_bytes(self.map.raw.as_mut_ptr().add(offset), 0, count) }
    }

    /// Stores `word` at `offset` after everything written before it, then shows readers all up to `end`.
    ///
    /// The release order keeps the compiler and the CPU from moving the payload behind the word: a process
    /// that is killed in between leaves a zero word, never a word in front of half a payload.
    pub(super) fn publish(&mut self, offset: usize, word: u64, end: usize) {
        self.check(offset, WORD_BYTES);
        assert!(offset.is_multiple_of(WORD_BYTES) && end <= self.len(), "a word at its place");
        // SAFETY: in range and above what readers see (`check`), aligned because mappings begin at a page and
        // the offset is a multiple of the word; only this writer touches it.
        let place = unsafe { AtomicU64::from_ptr(self.map.raw.as_mut_ptr().add(offset).cast()) };
        place.store(word.to_le(), Ordering::Release);
        self.map.published.store(end, Ordering::Release);
    }

    /// Shows readers what a former process had written, up to `end`.
    pub(super) fn publish_recovered(&mut self, end: usize) {
        assert!(end <= self.len(), "inside the file");
        self.map.published.store(end, Ordering::Release);
    }

    fn check(&self, offset: usize, count: usize) {
        let published = self.map.published.load(Ordering::Relaxed);
        let end = offset.checked_add(count);
        assert!(
            offset >= published && end.is_some_and(|end| end <= self.len()),
            "published bytes never change"
        );
    }
}
