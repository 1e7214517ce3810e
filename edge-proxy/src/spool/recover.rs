//! What a start finds in the directory: walks the chain over all segments, cuts a torn end, and says so.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use writ_audit::ChainState;

use super::segment::{Active, Blank, Found, Held, SEGMENT_HEADER_BYTES, SEGMENT_SUFFIX};
use super::state::{State, StateFile};
use super::{Recovered, SpoolConfig, SpoolError};

const LOCK_FILE: &str = "lock";
/// A segment that does not follow is renamed to this, for a person to look at.
const TORN_SUFFIX: &str = "torn";

/// What was found, ready to go on with.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) state: StateFile,
    pub(super) state_file: File,
    pub(super) held: VecDeque<Held>,
    pub(super) active: Option<Active>,
    pub(super) last: ChainState,
    pub(super) acked: ChainState,
    pub(super) next_index: u64,
    pub(super) recovered: Recovered,
}

struct Walk<'a> {
    source: &'a str,
    dir: &'a Path,
    held: VecDeque<Held>,
    active: Option<Active>,
    last: Option<ChainState>,
    /// From here on nothing follows any more.
    torn: bool,
    torn_bytes: u64,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> SpoolError {
    let path = path.to_owned();
    |source| SpoolError::File { path, source }
}

/// Opens the directory for this process alone and reads what is there.
pub(super) fn open(config: &SpoolConfig) -> Result<Opened, SpoolError> {
    let dir = &config.dir;
    fs::create_dir_all(dir).map_err(io(dir))?;
    let lock = File::create(dir.join(LOCK_FILE)).map_err(io(dir))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SpoolError::Locked(dir.clone()))?;
    let (state, state_file, remembered) = StateFile::open(dir).map_err(io(dir))?;
    let files = segment_files(dir)?;
    let next_index = files.last().map_or(0, |(index, _)| index.saturating_add(1));
    let mut walk = Walk {
        source: &config.source,
        dir,
        held: VecDeque::new(),
        active: None,
        last: None,
        torn: false,
        torn_bytes: 0,
    };
    for (_, path) in files {
        walk.file(path)?;
    }
    walk.finish(remembered).map(|found| Opened {
        lock,
        state,
        state_file,
        held: found.held,
        active: found.active,
        last: found.last,
        acked: found.acked,
        next_index,
        recovered: found.recovered,
    })
}

fn segment_files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, SpoolError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        let is_segment = path.extension().is_some_and(|suffix| suffix == SEGMENT_SUFFIX);
        let index = path.file_stem().and_then(|stem| stem.to_str()).and_then(|s| s.parse().ok());
        if let Some(index) = index.filter(|_| is_segment) {
            files.push((index, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

struct Finished {
    held: VecDeque<Held>,
    active: Option<Active>,
    last: ChainState,
    acked: ChainState,
    recovered: Recovered,
}

impl Walk<'_> {
    fn file(&mut self, path: PathBuf) -> Result<(), SpoolError> {
        let Some(blank) = Blank::open(path.clone()).map_err(io(&path))? else {
            return fs::remove_file(&path).map_err(io(&path));
        };
        match blank.find(self.source) {
            Found::Unused => blank.discard().map_err(io(&path)),
            Found::OtherSource => {
                Err(SpoolError::OtherSource { path, source_name: self.source.to_owned() })
            }
            Found::Damaged(bytes) if bytes <= SEGMENT_HEADER_BYTES as u64 => {
                // Ended while it was begun: there is no record in it.
                self.torn = true;
                self.torn_bytes = self.torn_bytes.saturating_add(bytes);
                blank.discard().map_err(io(&path))
            }
            Found::Damaged(bytes) => self.set_aside(&path, bytes),
            Found::Placed(before) if self.torn || self.last.is_some_and(|last| last != before) => {
                self.set_aside(&path, blank.bytes())
            }
            Found::Placed(before) => {
                let walked = blank.walk(before);
                self.torn_bytes = self.torn_bytes.saturating_add(walked.torn_bytes);
                self.torn |= walked.torn_bytes > 0;
                self.last = Some(walked.last);
                self.active = Some(walked.active);
                self.held.push_back(walked.held);
                Ok(())
            }
        }
    }

    fn set_aside(&mut self, path: &Path, bytes: u64) -> Result<(), SpoolError> {
        self.torn = true;
        self.torn_bytes = self.torn_bytes.saturating_add(bytes);
        let aside = path.with_extension(TORN_SUFFIX);
        tracing::error!(file = %aside.display(), "a spool segment does not follow; it is set aside and not shipped");
        fs::rename(path, &aside).map_err(io(path))
    }

    fn finish(mut self, remembered: Option<State>) -> Result<Finished, SpoolError> {
        let first = self.held.front().map(|held| held.before);
        let acked = match (remembered, first) {
            (Some(state), _) => state.acked,
            (None, Some(before)) => before,
            (None, None) => ChainState::default(),
        };
        if let Some(before) = first.filter(|before| before.seq > acked.seq) {
            // L1: records that the lake never had are gone; going on would hide that.
            let dir = self.dir.to_owned();
            return Err(SpoolError::Hole { dir, acked: acked.seq, first: before.seq + 1 });
        }
        let last = match self.last {
            Some(last) if last.seq >= acked.seq => last,
            // The lake has all that is left here, and more.
            _ => {
                self.drop_all()?;
                acked
            }
        };
        let known = self.held.iter().rev().find_map(|held| held.chain_at(acked.seq));
        if known.is_some_and(|chain| chain != acked.chain) {
            return Err(SpoolError::Forked { dir: self.dir.to_owned(), seq: acked.seq });
        }
        let fresh = remembered.is_none() && last.seq == 0;
        let clean_at = remembered.and_then(|state| state.clean_at);
        let recovered = Recovered {
            last_seq: last.seq,
            clean: clean_at == Some(last.seq) && self.torn_bytes == 0,
            torn_bytes: self.torn_bytes,
            fresh,
        };
        Ok(Finished { held: self.held, active: self.active, last, acked, recovered })
    }

    fn drop_all(&mut self) -> Result<(), SpoolError> {
        self.active = None;
        for held in self.held.drain(..) {
            let path = &held.segment.path;
            fs::remove_file(path).map_err(io(path))?;
        }
        Ok(())
    }
}
