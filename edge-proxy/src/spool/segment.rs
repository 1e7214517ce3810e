//! One file of the spool: a header, then entries one after the other, then zeros.
//!
//! Header: magic, number of the first record, chain hash before it, digest of the source's name, checksum.
//! Entry, at a multiple of eight bytes: a word (mark and payload length, stored last), the record's number,
//! the chain hash after it, the payload, zeros up to the next multiple of eight. All numbers little-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use writ_audit::{ChainHash, ChainState, FramedRef};

use super::map::{Map, MapWriter, WORD_BYTES};

const MAGIC: &[u8; 8] = b"WRITSPL1";
/// Magic, first number, chain hash before it, digest of the source, checksum.
pub(super) const SEGMENT_HEADER_BYTES: usize = 8 + 8 + 32 + 32 + 32;
/// Word, number, chain hash.
pub(super) const ENTRY_HEADER_BYTES: usize = WORD_BYTES + 8 + 32;
/// The upper half of the word of every entry: zeros, or old bytes, are not taken for one.
const MARK: u64 = 0x5752_4954 << 32;
/// One in this many entries is remembered with its place.
const INDEX_EVERY: u64 = 64;
/// Only the owner may read: records hold statements.
const PRIVATE_MODE: u32 = 0o600;
/// What one write of zeros covers, in bytes, where the file system cannot allocate.
const ZEROS_BYTES: usize = 64 * 1024;
/// How segment files end.
pub(super) const SEGMENT_SUFFIX: &str = "seg";

/// The bytes an entry takes with a payload of this size.
pub(super) fn entry_bytes(payload: usize) -> usize {
    ENTRY_HEADER_BYTES.saturating_add(payload).next_multiple_of(WORD_BYTES)
}

/// Opens a file for reading and writing, and makes it this long on the disk, or says that the disk is full.
pub(super) fn allocate(path: &Path, bytes: u64) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE_MODE).open(path)?;
    let allocated = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&file, bytes),
        other => other.map_err(io::Error::from),
    };
    // A file that is there in part would be found at the next start: remove it.
    if let Err(error) = allocated.and_then(|()| file.sync_all()).and_then(|()| sync_parent(path)) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; ZEROS_BYTES];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(ZEROS_BYTES as u64);
        file.write_all(zeros.get(..count as usize).unwrap_or(&zeros))?;
        left -= count;
    }
    file.rewind()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Where a segment is in its directory.
pub(super) fn segment_path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{index:020}.{SEGMENT_SUFFIX}"))
}

/// A mapped file that has no place in the chain yet.
pub(super) struct Blank {
    path: PathBuf,
    file: File,
    writer: MapWriter,
}

/// What readers and the committing thread hold of a segment.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) map: Arc<Map>,
    pub(super) bytes: u64,
    /// Up to where the file is known to be on the disk.
    pub(super) synced: AtomicUsize,
}

/// A segment in the spool's order, with what is needed to find a record in it.
pub(super) struct Held {
    pub(super) segment: Arc<Segment>,
    /// The chain before its first record.
    pub(super) before: ChainState,
    /// The last record's number, or `before.seq`.
    pub(super) last_seq: u64,
    index: Vec<usize>,
}

/// The end of the last segment, where records are appended.
pub(super) struct Active {
    writer: MapWriter,
    end: usize,
}

/// What a walk over a file found.
pub(super) struct Walked {
    pub(super) held: Held,
    pub(super) active: Active,
    /// The chain after the last whole record.
    pub(super) last: ChainState,
    /// Bytes of a torn record that were cut off.
    pub(super) torn_bytes: u64,
}

/// What a file at rest is.
pub(super) enum Found {
    /// Allocated, but never used.
    Unused,
    /// It begins with something else than a header; this many bytes are not zero.
    Damaged(u64),
    /// It belongs to another source.
    OtherSource,
    /// Its place in the chain.
    Placed(ChainState),
}

impl Blank {
    /// Makes a new file, in full.
    pub(super) fn create(dir: &Path, index: u64, bytes: u64) -> io::Result<Self> {
        let path = segment_path(dir, index);
        let file = allocate(&path, bytes)?;
        let writer = MapWriter::new(&file, usize::try_from(bytes).map_err(io::Error::other)?)?;
        Ok(Self { path, file, writer })
    }

    /// Opens a file; `None` where it is too short to have ever been used.
    pub(super) fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if bytes < SEGMENT_HEADER_BYTES {
            return Ok(None);
        }
        let writer = MapWriter::new(&file, bytes)?;
        Ok(Some(Self { path, file, writer }))
    }

    /// How large the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.len() as u64
    }

    /// Reads the header.
    pub(super) fn find(&self, source: &str) -> Found {
        let all = self.writer.all();
        let header = all.get(..SEGMENT_HEADER_BYTES).unwrap_or_default();
        let extent = extent(all);
        if extent == 0 {
            return Found::Unused;
        }
        let Some((first, chain)) = read_header(header) else {
            return Found::Damaged(extent as u64);
        };
        let before = ChainState { seq: first.saturating_sub(1), chain };
        if header == header_bytes(before, source) {
            Found::Placed(before)
        } else {
            Found::OtherSource
        }
    }

    /// Gives an unused file its place.
    pub(super) fn place(mut self, before: ChainState, source: &str) -> (Held, Active) {
        self.writer.write(0, &header_bytes(before, source));
        self.split(before, before.seq, SEGMENT_HEADER_BYTES, Vec::new())
    }

    /// Walks the chain from `before` on and cuts off what does not follow.
    pub(super) fn walk(mut self, before: ChainState) -> Walked {
        let mut last = before;
        let mut end = SEGMENT_HEADER_BYTES;
        let mut index = Vec::new();
        let all = self.writer.all();
        while let Some((record, next)) = entry_at(all, end) {
            if last.accept(record).is_err() {
                break;
            }
            note(&mut index, before, record.seq, end);
            end = next;
        }
        let torn = extent(all.get(end..).unwrap_or_default());
        self.writer.zero(end, torn);
        if last.seq > before.seq {
            self.writer.publish_recovered(end);
        }
        let (held, active) = self.split(before, last.seq, end, index);
        Walked { held, active, last, torn_bytes: torn as u64 }
    }

    fn split(
        self,
        before: ChainState,
        last_seq: u64,
        end: usize,
        index: Vec<usize>,
    ) -> (Held, Active) {
        let Self { path, file, writer } = self;
        let (map, bytes) = (writer.reader(), writer.len() as u64);
        let segment = Arc::new(Segment { path, file, map, bytes, synced: AtomicUsize::new(0) });
        (Held { segment, before, last_seq, index }, Active { writer, end })
    }

    /// Removes the file.
    pub(super) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

impl Segment {
    /// Whether something was published that is not known to be on the disk.
    pub(super) fn is_dirty(&self) -> bool {
        self.synced.load(Ordering::Acquire) < self.map.published().len()
    }
}

impl Held {
    /// The place of the record, or of the first one after it.
    pub(super) fn place_of(&self, seq: u64) -> usize {
        let nth = seq.saturating_sub(self.before.seq).saturating_sub(1) / INDEX_EVERY;
        let nth = usize::try_from(nth).unwrap_or(usize::MAX);
        let start = self.index.get(nth).or(self.index.last()).copied();
        let mut at = start.unwrap_or(SEGMENT_HEADER_BYTES);
        let bytes = self.segment.map.published();
        while let Some((record, next)) = entry_at(bytes, at) {
            if record.seq >= seq {
                break;
            }
            at = next;
        }
        at
    }

    /// The chain after the record of this number; `None` where it is not in this segment.
    pub(super) fn chain_at(&self, seq: u64) -> Option<ChainHash> {
        if seq == self.before.seq {
            return Some(self.before.chain);
        }
        let (record, _) = entry_at(self.segment.map.published(), self.place_of(seq))?;
        (record.seq == seq).then_some(record.chain)
    }

    /// Remembers a record that was just appended at `at`.
    pub(super) fn appended(&mut self, seq: u64, at: usize) {
        note(&mut self.index, self.before, seq, at);
        self.last_seq = seq;
    }
}

impl Active {
    /// Whether a payload of this size still has room.
    pub(super) fn fits(&self, payload: usize) -> bool {
        self.writer.len().saturating_sub(self.end) >= entry_bytes(payload)
    }

    /// Whether it is time to prepare the next segment.
    pub(super) fn half_full(&self) -> bool {
        self.end > self.writer.len() / 2
    }

    /// Appends a record that fits; returns its place.
    pub(super) fn push(&mut self, seq: u64, chain: &ChainHash, payload: &[u8]) -> usize {
        let at = self.end;
        self.writer.write(at + ENTRY_HEADER_BYTES, payload);
        self.writer.write(at + WORD_BYTES, &seq.to_le_bytes());
        self.writer.write(at + WORD_BYTES + 8, &chain.0);
        self.end = at + entry_bytes(payload.len());
        // E6: the word goes last; until then a walk ends before this entry.
        self.writer.publish(at, MARK | payload.len() as u64, self.end);
        at
    }

    /// Gives a segment that has no record yet another place in the chain.
    pub(super) fn place_again(&mut self, before: ChainState, source: &str) {
        self.writer.write(0, &header_bytes(before, source));
    }
}

/// Reads the entry at `at`, and where the next one begins; `None` where there is no whole entry.
pub(super) fn entry_at(bytes: &[u8], at: usize) -> Option<(FramedRef<'_>, usize)> {
    let rest = bytes.get(at..)?;
    let (word, rest) = rest.split_first_chunk()?;
    let word = u64::from_le_bytes(*word);
    if word & (u64::MAX << 32) != MARK {
        return None;
    }
    let length = usize::try_from(word & u64::from(u32::MAX)).ok()?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let payload = rest.get(..length)?;
    let next = at.checked_add(entry_bytes(length)).filter(|next| *next <= bytes.len())?;
    let record =
        FramedRef { seq: u64::from_le_bytes(*seq), bytes: payload, chain: ChainHash(*chain) };
    Some((record, next))
}

fn note(index: &mut Vec<usize>, before: ChainState, seq: u64, at: usize) {
    if seq.saturating_sub(before.seq).saturating_sub(1).is_multiple_of(INDEX_EVERY) {
        index.push(at);
    }
}

/// How many bytes there are up to the last one that is not zero.
fn extent(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// A checksum that tells a torn write from a whole one; not a secret.
pub(super) fn checksum(bytes: &[u8]) -> ChainHash {
    ChainHash::START.next(bytes)
}

fn header_bytes(before: ChainState, source: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&before.seq.saturating_add(1).to_le_bytes());
    out.extend_from_slice(&before.chain.0);
    out.extend_from_slice(&checksum(source.as_bytes()).0);
    let sum = checksum(&out);
    out.extend_from_slice(&sum.0);
    out
}

fn read_header(header: &[u8]) -> Option<(u64, ChainHash)> {
    let (body, sum) = header.split_last_chunk::<32>()?;
    let rest = body.strip_prefix(MAGIC)?;
    let (first, rest) = rest.split_first_chunk()?;
    let (chain, _source) = rest.split_first_chunk()?;
    (checksum(body).0 == *sum).then_some((u64::from_le_bytes(*first), ChainHash(*chain)))
}
