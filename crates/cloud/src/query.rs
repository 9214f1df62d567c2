//! SQL over the archive by DataFusion: tables `records`, `batches` and `quarantine`.
//!
//! Provided: reading only (SELECT, EXPLAIN, SHOW, DESCRIBE over these three tables and `information_schema`), a limit of time, a limit of memory for
//! operators and one of the same size for the answer, no temporary files. Not provided: tables from files or URLs, settings by SQL.

use crate::delta::{ArchiveError, Location, schema};
use arrow::{array::RecordBatch, json::LineDelimitedWriter, util::pretty::pretty_format_batches};
use deltalake::{
    DeltaTable,
    datafusion::{
        execution::{
            context::SQLOptions,
            disk_manager::{DiskManagerBuilder, DiskManagerMode},
            runtime_env::RuntimeEnvBuilder,
        },
        prelude::{SessionConfig, SessionContext},
    },
    logstore::StorageConfig,
    logstore::default_logstore,
};
use futures::StreamExt as _;
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use std::{sync::Arc, time::Duration};

/// Limits of one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// From the opening of the tables to the last row (default 60 s).
    pub time: Duration,
    /// Bytes that joins, sorts and groups may hold, and bytes of the answer (default 512 MiB each: a million records of 100 cells).
    pub memory: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 512 << 20 }
    }
}

/// Reason why a query gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The query is wrong, wants to change something, or needs more memory than it may: the message says where.
    #[error("the query failed")]
    Query(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long: ask for less, or allow more time.
    #[error("the query took longer than {} s: narrow it, or allow more with --timeout", limit.as_secs_f64())]
    Time {
        /// What was allowed.
        limit: Duration,
    },
    /// Its answer is too large: ask for fewer rows.
    #[error("the answer has more than {limit} bytes: narrow the query, such as by LIMIT")]
    Answer {
        /// What was allowed, in bytes.
        limit: usize,
    },
}

/// The rows that a query has found.
#[derive(Debug)]
pub struct Rows(pub Vec<RecordBatch>);

impl Rows {
    /// A table of text.
    pub fn to_table(&self) -> Result<String, QueryError> {
        let table = pretty_format_batches(&self.0).map_err(|error| QueryError::Query(error.into()))?;
        Ok(table.to_string())
    }

    /// One JSON object per line.
    pub fn to_json_lines(&self) -> Result<String, QueryError> {
        let mut writer = LineDelimitedWriter::new(Vec::new());
        let batches: Vec<&RecordBatch> = self.0.iter().collect();
        writer
            .write_batches(&batches)
            .and_then(|()| writer.finish())
            .map_err(|e| QueryError::Query(e.into()))?;
        Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
    }
}

/// Runs one SQL query over the archive as it is now, within the default limits.
pub async fn query(location: &Location, sql: &str) -> Result<Rows, QueryError> {
    query_within(location, sql, &QueryLimits::default()).await
}

/// Runs one SQL query over the archive as it is now.
pub async fn query_within(location: &Location, sql: &str, limits: &QueryLimits) -> Result<Rows, QueryError> {
    match tokio::time::timeout(limits.time, run(location, sql, limits)).await {
        Ok(rows) => rows,
        Err(_) => Err(QueryError::Time { limit: limits.time }),
    }
}

async fn run(location: &Location, sql: &str, limits: &QueryLimits) -> Result<Rows, QueryError> {
    let context = session(limits)?;
    for name in [schema::RECORDS, schema::BATCHES, schema::QUARANTINE] {
        let mut url = location.url.clone();
        url.set_path(&format!("{}/{name}/", location.url.path().trim_end_matches('/')));
        let prefix = Path::from_url_path(url.path()).map_err(ArchiveError::store)?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(location.store.clone(), prefix));
        let log = default_logstore(store, location.store.clone(), &url, &StorageConfig::default());
        let mut table = DeltaTable::new(log);
        table.load().await.map_err(ArchiveError::store)?;
        table.update_datafusion_session(&context.state()).map_err(ArchiveError::store)?;
        let provider = table.table_provider().await.map_err(wrong)?;
        context.register_table(name, provider).map_err(wrong)?;
    }
    // What is left are plans that read. A table is one of those above: others can neither be created nor named by a path.
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(sql, reading).await.map_err(wrong)?;
    let mut stream = frame.execute_stream().await.map_err(wrong)?;
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(wrong)?;
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        if bytes > limits.memory {
            return Err(QueryError::Answer { limit: limits.memory });
        }
        rows.push(batch);
    }
    Ok(Rows(rows))
}

/// A session that holds no more memory than it may, and writes no temporary files.
fn session(limits: &QueryLimits) -> Result<SessionContext, QueryError> {
    let no_files = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime =
        RuntimeEnvBuilder::new().with_memory_limit(limits.memory, 1.0).with_disk_manager_builder(no_files);
    let runtime = runtime.build_arc().map_err(wrong)?;
    Ok(SessionContext::new_with_config_rt(SessionConfig::new().with_information_schema(true), runtime))
}

fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> QueryError {
    QueryError::Query(error.into())
}
