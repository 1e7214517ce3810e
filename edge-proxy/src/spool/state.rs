//! The spool's memory of what the lake has acknowledged and of how the last run ended: two slots in a small
//! mapped file, written in turn, so that a write cut short leaves the other one.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use writ_audit::{ChainHash, ChainState};

use super::map::MapWriter;
use super::segment::{allocate, checksum};

/// The file's size: one page, so that allocating it once is enough.
pub(super) const STATE_BYTES: u64 = 4096;
/// The two slots are this far apart: in different disk sectors.
const SLOT_BYTES: usize = 2048;
/// Generation, acknowledged number and chain, last number of a clean end.
const BODY_BYTES: usize = 8 + 8 + 32 + 8;
const NOT_CLEAN: u64 = u64::MAX;
const FILE: &str = "state";

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// What the lake has.
    pub(super) acked: ChainState,
    /// The last record's number, where the last run ended in order.
    pub(super) clean_at: Option<u64>,
}

/// The mapped file.
pub(super) struct StateFile {
    writer: MapWriter,
    generation: u64,
}

impl StateFile {
    /// Opens or makes it; `None`: nothing is remembered.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, File, Option<State>)> {
        let path = dir.join(FILE);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) if file.metadata()?.len() == STATE_BYTES => file,
            // Killed between making and allocating it: nothing was remembered yet.
            Ok(_) => {
                std::fs::remove_file(&path)?;
                allocate(&path, STATE_BYTES)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => allocate(&path, STATE_BYTES)?,
            Err(error) => return Err(error),
        };
        let writer = MapWriter::new(&file, SLOT_BYTES * 2)?;
        let newest = newest(writer.all());
        let generation = newest.map_or(0, |(generation, _)| generation);
        Ok((Self { writer, generation }, file, newest.map(|(_, state)| state)))
    }

    /// Remembers `state`: from now on a process kill does not lose it; a sync of the file makes it durable.
    pub(super) fn write(&mut self, state: &State) {
        self.generation += 1;
        let mut body = Vec::with_capacity(BODY_BYTES + 32);
        body.extend_from_slice(&self.generation.to_le_bytes());
        body.extend_from_slice(&state.acked.seq.to_le_bytes());
        body.extend_from_slice(&state.acked.chain.0);
        body.extend_from_slice(&state.clean_at.unwrap_or(NOT_CLEAN).to_le_bytes());
        let sum = checksum(&body);
        body.extend_from_slice(&sum.0);
        let slot = if self.generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.writer.write(slot, &body);
    }
}

fn newest(slots: &[u8]) -> Option<(u64, State)> {
    slots.chunks(SLOT_BYTES).filter_map(read_slot).max_by_key(|(generation, _)| *generation)
}

/// Whether the process that had this directory last ended in order, with nothing left that the lake has not. Needs no
/// lock: while a process has it, the answer is no.
#[must_use]
pub fn all_shipped(dir: &Path) -> bool {
    let state = std::fs::read(dir.join(FILE)).ok().and_then(|bytes| newest(&bytes));
    state.is_some_and(|(_, state)| state.clean_at == Some(state.acked.seq))
}

fn read_slot(slot: &[u8]) -> Option<(u64, State)> {
    let (body, rest) = slot.split_at_checked(BODY_BYTES)?;
    let sum: &[u8; 32] = rest.first_chunk()?;
    if checksum(body).0 != *sum {
        return None;
    }
    let (generation, rest) = body.split_first_chunk()?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let clean = u64::from_le_bytes(*rest.first_chunk()?);
    let acked = ChainState { seq: u64::from_le_bytes(*seq), chain: ChainHash(*chain) };
    let clean_at = (clean != NOT_CLEAN).then_some(clean);
    Some((u64::from_le_bytes(*generation), State { acked, clean_at }))
}
