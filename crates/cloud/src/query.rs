//! SQL over the archive by DataFusion: tables `records`, `batches` and `quarantine`.

use crate::delta::{ArchiveError, Location, schema};
use arrow::{array::RecordBatch, json::LineDelimitedWriter, util::pretty::pretty_format_batches};
use deltalake::{
    DeltaTable, datafusion::prelude::SessionContext, logstore::StorageConfig, logstore::default_logstore,
};
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use std::sync::Arc;

/// Why a query gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The query is wrong: the message says where.
    #[error("the query failed")]
    Query(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// Runs one SQL query over the archive as it is now.
pub async fn query(location: &Location, sql: &str) -> Result<Rows, QueryError> {
    let context = SessionContext::new();
    for name in [schema::RECORDS, schema::BATCHES, schema::QUARANTINE] {
        let mut url = location.url.clone();
        url.set_path(&format!("{}/{name}/", location.url.path().trim_end_matches('/')));
        let prefix = Path::from_url_path(url.path()).map_err(ArchiveError::store)?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(location.store.clone(), prefix));
        let log = default_logstore(store, location.store.clone(), &url, &StorageConfig::default());
        let mut table = DeltaTable::new(log);
        table.load().await.map_err(ArchiveError::store)?;
        table.update_datafusion_session(&context.state()).map_err(ArchiveError::store)?;
        let provider = table.table_provider().await.map_err(|error| QueryError::Query(error.into()))?;
        context.register_table(name, provider).map_err(|error| QueryError::Query(error.into()))?;
    }
    let frame = context.sql(sql).await.map_err(|error| QueryError::Query(error.into()))?;
    Ok(Rows(frame.collect().await.map_err(|error| QueryError::Query(error.into()))?))
}
