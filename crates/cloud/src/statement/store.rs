//! Statements beside the tables: `statements/<first sequence>`, each file a run of them, their lengths before them.

use crate::delta::{ArchiveError, Location};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path, prefix::PrefixStore};
use std::sync::Arc;
use voltmesh_control::{ArchiveStatement, MAX_STATEMENT_BYTES};

/// Statements in one file, which is written anew with each: some 85 KiB.
const RUN: usize = 256;

/// Most statements that [`read_statements`] reads: a year of one a minute, some 180 MB.
pub const MAX_STATEMENTS: usize = 525_600;

/// The folder below the archive's.
const FOLDER: &str = "statements";

/// Where statements are appended.
pub struct StatementStore {
    store: Arc<dyn ObjectStore>,
    /// The file that is written to, and its statements.
    path: Option<Path>,
    run: Vec<u8>,
    count: usize,
}

impl StatementStore {
    /// Opens an archive's statements, and reads the newest.
    pub async fn open(location: &Location) -> Result<(Self, Option<ArchiveStatement>), ArchiveError> {
        let store = folder(location)?;
        let mut this = Self { store, path: None, run: Vec::new(), count: 0 };
        let Some(path) = paths(&this.store).await?.pop() else { return Ok((this, None)) };
        let run = read(&this.store, &path).await?;
        let statements = split(&path, &run)?;
        let newest = match statements.last() {
            Some(bytes) => Some(ArchiveStatement::peek(bytes).map_err(|_| damaged(&path))?),
            None => None,
        };
        (this.count, this.run, this.path) = (statements.len(), run.to_vec(), Some(path));
        Ok((this, newest))
    }

    /// Appends a statement, durably or with an error; after that, the same number may be tried again.
    pub async fn append(&mut self, sequence: u64, statement: &[u8]) -> Result<(), ArchiveError> {
        let full = self.count >= RUN;
        let (path, mut run, count) = match &self.path {
            Some(path) if !full => (path.clone(), self.run.clone(), self.count),
            _ => (Path::from(format!("{sequence:020}")), Vec::new(), 0),
        };
        run.extend_from_slice(&(statement.len() as u16).to_le_bytes()); // at most 1 KiB
        run.extend_from_slice(statement);
        let payload = PutPayload::from(Bytes::from(run.clone()));
        self.store.put(&path, payload).await.map_err(ArchiveError::store)?;
        (self.path, self.run, self.count) = (Some(path), run, count + 1);
        Ok(())
    }
}

/// All statements beside an archive, oldest first, as they were signed; whoever reads them checks them. An error beyond
/// [`MAX_STATEMENTS`].
pub async fn read_statements(location: &Location) -> Result<Vec<Bytes>, ArchiveError> {
    let store = folder(location)?;
    let mut all = Vec::new();
    for path in paths(&store).await? {
        let run = read(&store, &path).await?;
        all.extend(split(&path, &run)?);
        if all.len() > MAX_STATEMENTS {
            let what =
                format!("more than {MAX_STATEMENTS} statements: move the oldest files of statements/ away");
            return Err(ArchiveError::Damaged { what });
        }
    }
    Ok(all)
}

fn folder(location: &Location) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    let mut url = location.url.clone();
    url.set_path(&format!("{}/{FOLDER}/", location.url.path().trim_end_matches('/')));
    let prefix = Path::from_url_path(url.path()).map_err(ArchiveError::store)?;
    Ok(Arc::new(PrefixStore::new(location.store.clone(), prefix)))
}

/// Files whose names are numbers, in order.
async fn paths(store: &Arc<dyn ObjectStore>) -> Result<Vec<Path>, ArchiveError> {
    let listed: Vec<_> = store.list(None).try_collect().await.map_err(ArchiveError::store)?;
    let mut paths: Vec<Path> = listed
        .into_iter()
        .map(|entry| entry.location)
        .filter(|path| {
            path.filename()
                .is_some_and(|name| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    paths.sort_unstable();
    Ok(paths)
}

async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Bytes, ArchiveError> {
    let found = store.get(path).await.map_err(ArchiveError::store)?;
    if found.meta.size > (RUN * (2 + MAX_STATEMENT_BYTES)) as u64 {
        return Err(damaged(path));
    }
    found.bytes().await.map_err(ArchiveError::store)
}

fn split(path: &Path, run: &Bytes) -> Result<Vec<Bytes>, ArchiveError> {
    let (mut rest, mut statements) = (run.clone(), Vec::new());
    while !rest.is_empty() {
        let length = rest.first_chunk::<2>().map(|length| usize::from(u16::from_le_bytes(*length)));
        let length = length.filter(|length| rest.len() >= 2 + length).ok_or_else(|| damaged(path))?;
        statements.push(rest.slice(2..2 + length));
        rest = rest.slice(2 + length..);
    }
    Ok(statements)
}

fn damaged(path: &Path) -> ArchiveError {
    ArchiveError::Damaged {
        what: format!("{FOLDER}/{path} holds no statements: restore it, or move it away to begin a new file"),
    }
}
