//! Taking records in. One writer holds the table: it checks each batch, gathers batches of all sources, and
//! commits them together. Order: receive → check → Parquet → commit → acknowledge.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use writ_audit::{
    ChainError, ChainHash, ChainState, Checkpoint, CheckpointHash, Framed, Record, SigningKey,
    merkle,
};
use writ_proto::node::Clock;

use crate::checkpoints;
use crate::columns;
use crate::error::{IngestError, StoreError};
use crate::lake::Shared;
use crate::row::Row;
use crate::sql::SqlEngine;
use crate::table::{Position, Table};

/// How many batches may wait for the writer; more make their senders wait.
pub const QUEUE_BATCHES_MAX: usize = 256;
/// A commit is made at the latest when this many records wait.
pub const COMMIT_RECORDS_MAX: usize = 8_192;

/// Up to this number, a source's records are committed.
pub type AckedSeq = u64;

/// Where a source's records go in.
#[async_trait]
pub trait IngestPort: Send + Sync {
    /// Takes records of `source` in; returns when they are committed and durable. Records that the lake
    /// has already are acknowledged and dropped; a hole is refused, naming the number that must come next.
    async fn append(&self, source: &str, framed: Vec<Framed>) -> Result<AckedSeq, IngestError>;

    /// Where the lake is with `source`; seq 0: nothing yet.
    async fn resume(&self, source: &str) -> Result<ChainState, IngestError>;
}

pub(crate) struct Append {
    source: String,
    framed: Vec<Framed>,
    reply: oneshot::Sender<Result<AckedSeq, IngestError>>,
}

/// The way in to the writer; cheap to clone. The writer stops when all of them are gone.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Append>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}

/// A batch that the writer has, and whose commit is still to come.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<AckedSeq, IngestError>>);

impl Pending {
    /// Waits for the commit.
    pub async fn committed(self) -> Result<AckedSeq, IngestError> {
        self.0.await.map_err(|_| IngestError::Stopping)?
    }
}

impl Ingest {
    /// Queues a batch; batches that are queued one after the other are taken in that order.
    pub async fn submit(&self, source: &str, framed: Vec<Framed>) -> Result<Pending, IngestError> {
        let (reply, answer) = oneshot::channel();
        let append = Append { source: source.to_owned(), framed, reply };
        self.queue.send(append).await.map_err(|_| IngestError::Stopping)?;
        Ok(Pending(answer))
    }
}

#[async_trait]
impl IngestPort for Ingest {
    async fn append(&self, source: &str, framed: Vec<Framed>) -> Result<AckedSeq, IngestError> {
        self.submit(source, framed).await?.committed().await
    }

    async fn resume(&self, source: &str) -> Result<ChainState, IngestError> {
        Ok(self.shared.position().heads.get(source).copied().unwrap_or_default())
    }
}

/// From the first waiting record to its commit, at most, unless configured.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(300);
/// From the first unsealed commit to its checkpoint, at most, unless configured.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

impl Default for Cadence {
    fn default() -> Self {
        Self { commit: COMMIT_INTERVAL, checkpoint: CHECKPOINT_INTERVAL }
    }
}

/// How often the writer commits and seals.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// From the first waiting record to its commit, at most.
    pub commit: Duration,
    /// From the first unsealed commit to its checkpoint, at most.
    pub checkpoint: Duration,
}

/// The one task that writes.
pub(crate) struct Writer {
    table: Table,
    shared: Arc<Shared>,
    engine: SqlEngine,
    key: SigningKey,
    lake_id: String,
    clock: Clock,
    cadence: Cadence,
    committed: Position,
    staged: Position,
    rows: Vec<Row>,
    waiting: Vec<(oneshot::Sender<Result<AckedSeq, IngestError>>, AckedSeq)>,
    commit_at: Option<Instant>,
    checkpoint_at: Option<Instant>,
}

/// What a writer starts from.
pub(crate) struct WriterParts {
    pub(crate) table: Table,
    pub(crate) position: Position,
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: SqlEngine,
    pub(crate) key: SigningKey,
    pub(crate) lake_id: String,
    pub(crate) clock: Clock,
    pub(crate) cadence: Cadence,
}

/// Makes the way in and the writer; the caller runs [`Writer::run`] in a task of its own.
pub(crate) fn writer(parts: WriterParts) -> (Ingest, Writer, mpsc::Receiver<Append>) {
    let WriterParts { table, position, shared, engine, key, lake_id, clock, cadence } = parts;
    let (queue, receiver) = mpsc::channel(QUEUE_BATCHES_MAX);
    let ingest = Ingest { queue, shared: Arc::clone(&shared) };
    let unsealed = shared.status().unsealed_records > 0;
    let writer = Writer {
        table,
        shared,
        engine,
        key,
        lake_id,
        clock,
        cadence,
        staged: position.clone(),
        committed: position,
        rows: Vec::new(),
        waiting: Vec::new(),
        commit_at: None,
        checkpoint_at: unsealed.then(Instant::now),
    };
    (ingest, writer, receiver)
}

/// Runs work that waits for the disk without holding up the other tasks of this thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Waits until `at`; for ever where there is none.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Writer {
    /// Runs until every [`Ingest`] is gone, then commits and seals what is left.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Append>) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                biased;
                () = until(self.commit_at) => blocking(|| self.commit()),
                () = until(self.checkpoint_at) => blocking(|| self.checkpoint_or_log()),
                append = queue.recv() => match append {
                    Some(append) => self.receive(append).await,
                    None => break,
                },
            }
        }
        blocking(|| {
            self.commit();
            self.checkpoint()
        })
    }

    async fn receive(&mut self, append: Append) {
        let Append { source, framed, reply } = append;
        let staged = match self.check_known(&source, &framed).await {
            Ok(()) => self.stage(&source, framed),
            Err(error) => Err(error),
        };
        match staged {
            Err(error) => {
                tracing::warn!(%source, %error, "batch refused");
                // A sender that went away will ship again.
                let _gone = reply.send(Err(error));
            }
            Ok(seq) => self.waiting.push((reply, seq)),
        }
        if self.rows.is_empty() {
            // Nothing new: all of it is committed already.
            self.answer(&Ok(()));
        } else if self.rows.len() >= COMMIT_RECORDS_MAX {
            blocking(|| self.commit());
        } else if self.commit_at.is_none() {
            self.commit_at = Some(Instant::now() + self.cadence.commit);
        }
        self.shared.set_pending(self.rows.len());
    }

    /// What is shipped again must be what is there already: else acknowledging it would lose a record (L1).
    async fn check_known(&self, source: &str, framed: &[Framed]) -> Result<(), IngestError> {
        let head = self.staged.heads.get(source).copied().unwrap_or_default();
        // Its chain hash covers all before it.
        let Some(last) = framed.iter().rev().find(|frame| frame.seq <= head.seq) else {
            return Ok(());
        };
        if last.seq == 0 {
            let error = ChainError::Hole { expected: head.seq + 1, found: 0 };
            return Err(IngestError::Chain { source_name: source.to_owned(), error });
        }
        let there = self.chain_at(source, last.seq, head).await?;
        if there == last.chain {
            return Ok(());
        }
        Err(IngestError::Forked {
            source_name: source.to_owned(),
            seq: last.seq,
            committed: there,
            shipped: last.chain,
        })
    }

    async fn chain_at(
        &self,
        source: &str,
        seq: u64,
        head: ChainState,
    ) -> Result<ChainHash, IngestError> {
        if seq == head.seq {
            return Ok(head.chain);
        }
        if let Some(row) = self.rows.iter().find(|row| row.is(source, seq)) {
            return Ok(row.chain_hash());
        }
        let unreadable = |reason: String| {
            IngestError::Commit(format!("record {seq} of {source} cannot be compared: {reason}"))
        };
        let found = self.engine.chain_at(source, seq).await;
        found
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| unreadable("it is not there; run `writ audit verify`".to_owned()))
    }

    /// Checks a batch as a whole, then stages it as a whole (L1).
    fn stage(&mut self, source: &str, framed: Vec<Framed>) -> Result<AckedSeq, IngestError> {
        let mut head = self.staged.heads.get(source).copied().unwrap_or_default();
        let known = head.seq;
        let before = framed.len();
        let fresh: Vec<Framed> = framed.into_iter().filter(|f| f.seq > known).collect();
        self.shared.dropped_duplicates((before - fresh.len()) as u64);
        let mut records = Vec::with_capacity(fresh.len());
        for frame in &fresh {
            head.accept(frame.as_ref())
                .map_err(|error| IngestError::Chain { source_name: source.to_owned(), error })?;
            records.push(decode(source, frame)?);
        }
        for (frame, record) in fresh.into_iter().zip(&records) {
            let index = self.staged.frontier.size();
            self.staged.frontier.push(merkle::leaf(&frame.bytes));
            self.rows.push(Row::new(index, record, frame.bytes, &frame.chain.0));
        }
        if head.seq > known {
            self.staged.heads.insert(source.to_owned(), head);
        }
        Ok(head.seq)
    }

    fn commit(&mut self) {
        self.commit_at = None;
        if self.rows.is_empty() {
            return;
        }
        let result = self.write();
        self.rows.clear();
        self.shared.set_pending(0);
        if let Err(error) = &result {
            tracing::error!(%error, "commit failed");
            self.recover();
        } else {
            self.committed = self.staged.clone();
            let checkpoint_at = Instant::now() + self.cadence.checkpoint;
            self.checkpoint_at.get_or_insert(checkpoint_at);
        }
        self.answer(&result.map_err(|error| IngestError::Commit(error.to_string())));
        self.merge();
    }

    /// Keeps the number of files small, so that queries stay quick. After the answers: nobody waits for it.
    fn merge(&mut self) {
        let checkpoint = self.last_checkpoint();
        match self.table.merge(&self.shared.files(), checkpoint, (self.clock)()) {
            Ok(None) => {}
            Ok(Some(files)) => self.shared.merged(files),
            Err(error) => {
                tracing::error!(%error, "small files could not be merged");
                self.recover();
            }
        }
    }

    fn last_checkpoint(&self) -> u64 {
        self.shared.checkpoints().last().map_or(0, |last| last.checkpoint.number)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let first = self.committed.frontier.size();
        let batch = columns::batch(&self.rows)?;
        let pending = self.table.put(first, &batch)?;
        let checkpoint = self.last_checkpoint();
        let at = (self.clock)();
        let file = self.table.commit(pending, &self.staged, checkpoint, at)?;
        self.shared.committed(file, &self.staged);
        Ok(())
    }

    /// A failed commit may have happened all the same: only the table knows.
    fn recover(&mut self) {
        match self.table.reload() {
            Ok((files, position)) => {
                self.shared.reloaded(files, &position);
                self.committed = position;
            }
            Err(error) => tracing::error!(%error, "the table cannot be read"),
        }
        self.staged = self.committed.clone();
    }

    fn answer(&mut self, result: &Result<(), IngestError>) {
        for (reply, seq) in self.waiting.drain(..) {
            let _gone = reply.send(result.clone().map(|()| seq));
        }
    }

    fn checkpoint_or_log(&mut self) {
        if let Err(error) = self.checkpoint() {
            tracing::error!(%error, "checkpoint failed");
            self.checkpoint_at = Some(Instant::now() + self.cadence.checkpoint);
        }
    }

    /// Seals what is committed. The commit comes first: a checkpoint never promises what is not there.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.checkpoint_at = None;
        let all = self.shared.checkpoints();
        let last = all.last().map(|signed| &signed.checkpoint);
        let size = self.committed.frontier.size();
        if last.map_or(0, |last| last.tree_size) == size {
            return Ok(());
        }
        let previous: Option<CheckpointHash> = last.map(Checkpoint::hash);
        let checkpoint = Checkpoint {
            lake: self.lake_id.clone(),
            number: last.map_or(1, |last| last.number + 1),
            tree_size: size,
            root: self.committed.frontier.root(),
            heads: self.committed.source_heads(),
            at: (self.clock)(),
            previous,
        };
        let signed = checkpoint.sign(&self.key);
        checkpoints::write(&self.shared.directory, &signed)?;
        self.shared.checkpointed(signed);
        Ok(())
    }
}

fn decode(source: &str, frame: &Framed) -> Result<Record, IngestError> {
    let record = Record::decode(&frame.bytes).map_err(|error| IngestError::Malformed {
        source_name: source.to_owned(),
        seq: frame.seq,
        error,
    })?;
    if record.source == source && record.seq == frame.seq {
        return Ok(record);
    }
    Err(IngestError::Mislabelled {
        source_name: source.to_owned(),
        seq: frame.seq,
        said_source: record.source,
        said_seq: record.seq,
    })
}
