//! SQL over the lake: one DataFusion session per connection, all with the same views.

use std::sync::Arc;

use datafusion::arrow::array::{
    BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::setup_pg_catalog;

use writ_audit::ChainHash;

use crate::lake::Shared;
use crate::provider::{Listed, Records, STORE_URL};
use crate::row::bigint;
use crate::views::VIEWS;

/// The database's name as clients see it.
pub const DATABASE: &str = "writ";
/// The most memory that all queries together use, in bytes; beyond it they spill or fail.
pub const QUERY_MEMORY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Makes sessions that share one bounded runtime.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    shared: Arc<Shared>,
    runtime: Arc<RuntimeEnv>,
}

impl SqlEngine {
    /// An engine over the lake that `shared` describes.
    pub fn new(shared: Arc<Shared>) -> Result<Self> {
        let runtime =
            RuntimeEnvBuilder::new().with_memory_limit(QUERY_MEMORY_BYTES_MAX, 1.0).build_arc()?;
        let url = url::Url::parse(STORE_URL).map_err(|e| DataFusionError::External(e.into()))?;
        runtime.register_object_store(&url, Arc::clone(&shared.store));
        Ok(Self { shared, runtime })
    }

    /// A new session with all tables; nothing that one session does is seen by another.
    pub async fn session(&self) -> Result<SessionContext> {
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema(DATABASE, "public")
            .with_create_default_catalog_and_schema(true);
        let context = SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime));
        context.register_table("records", Arc::new(Records::new(Arc::clone(&self.shared))))?;
        context.register_table("checkpoints", checkpoints(Arc::clone(&self.shared))?)?;
        for (name, definition) in VIEWS {
            let view = context.sql(definition).await?.into_view();
            context.register_table(*name, Arc::new(Listed(view)))?;
        }
        setup_pg_catalog(&context, DATABASE, EmptyContextProvider).map_err(|error| *error)?;
        Ok(context)
    }

    /// The chain hash of record `seq` of `source`; `None`: there is no such record.
    pub(crate) async fn chain_at(&self, source: &str, seq: u64) -> Result<Option<ChainHash>> {
        let config = SessionConfig::new();
        let context = SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime));
        let this = col("source").eq(lit(source)).and(col("seq").eq(lit(bigint(seq))));
        let found = context
            .read_table(Arc::new(Records::new(Arc::clone(&self.shared))))?
            .filter(this)?
            .select_columns(&["chain"])?
            .collect()
            .await?;
        let chain = |batch: &RecordBatch| {
            let array = batch.column(0).as_any().downcast_ref::<BinaryArray>()?;
            ChainHash::from_slice(array.iter().next()??)
        };
        Ok(found.iter().find_map(chain))
    }

    /// Runs one query in a session of its own and returns all of its rows.
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.session().await?.sql(sql).await?.collect().await
    }
}

/// The `checkpoints` table: read from memory at the moment of the scan.
#[derive(Debug)]
struct Checkpoints {
    shared: Arc<Shared>,
    schema: SchemaRef,
}

fn checkpoints(shared: Arc<Shared>) -> Result<Arc<dyn TableProvider>> {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let integer = |name| Field::new(name, DataType::Int64, true);
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("time", time, true),
        integer("number"),
        integer("tree_size"),
        text("root"),
        text("hash"),
        text("previous"),
        text("key"),
        text("signature"),
        integer("sources"),
        text("lake"),
    ]));
    let stream = Checkpoints { shared, schema: Arc::clone(&schema) };
    let table = StreamingTable::try_new(schema, vec![Arc::new(stream)])?;
    Ok(Arc::new(Listed(Arc::new(table))))
}

impl Checkpoints {
    fn batch(&self) -> Result<RecordBatch> {
        let all = self.shared.checkpoints();
        let text = |get: fn(&writ_audit::SignedCheckpoint) -> Option<String>| {
            Arc::new(all.iter().map(get).collect::<StringArray>())
        };
        let integer = |get: fn(&writ_audit::SignedCheckpoint) -> u64| {
            Arc::new(all.iter().map(|s| Some(bigint(get(s)))).collect::<Int64Array>())
        };
        let times: TimestampMicrosecondArray =
            all.iter().map(|signed| Some(signed.checkpoint.at.0)).collect();
        let batch = RecordBatch::try_new(
            Arc::clone(&self.schema),
            vec![
                Arc::new(times.with_timezone("UTC")),
                integer(|s| s.checkpoint.number),
                integer(|s| s.checkpoint.tree_size),
                text(|s| Some(s.checkpoint.root.to_string())),
                text(|s| Some(s.checkpoint.hash().to_string())),
                text(|s| s.checkpoint.previous.map(|hash| hash.to_string())),
                text(|s| Some(s.key.to_string())),
                text(|s| Some(hex::encode(&s.signature))),
                integer(|s| s.checkpoint.heads.len() as u64),
                text(|s| Some(s.checkpoint.lake.clone())),
            ],
        )?;
        Ok(batch)
    }
}

impl PartitionStream for Checkpoints {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = futures::stream::iter([self.batch()]);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batch))
    }
}
