//! Statements beside the tables, and their places in the ledger's log: `statements/<first sequence>` and
//! `statements/places/<first index>`, each file a run of them, their lengths before them.

use crate::delta::{ArchiveError, Location};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path, prefix::PrefixStore};
use std::collections::BTreeSet;
use std::sync::Arc;
use voltmesh_control::{ArchiveStatement, MAX_STATEMENT_BYTES};
use voltmesh_ledger::{AnchoredStatement, MAX_ANCHORED_STATEMENT_BYTES};

/// Statements in one file, which is written anew with each: some 85 KiB.
const RUN: usize = 256;

/// Most statements that [`read_statements`] reads: a year of one a minute, some 180 MB.
pub const MAX_STATEMENTS: usize = 525_600;

/// The folder below the archive's.
const FOLDER: &str = "statements";

/// The folder of places below that.
const PLACES: &str = "statements/places";

/// Places in one file: with four authorities some 64 KiB.
const PLACES_RUN: usize = 32;

/// Places that are remembered, so that what several fog nodes tell is kept once: an hour of one a second.
const RECENT: usize = 3_600;

/// Store of statements, with the places where they were anchored.
pub struct StatementStore {
    statements: Runs,
    places: Runs,
    recent: BTreeSet<u64>,
}

/// Files of entries that are written one after the other.
struct Runs {
    store: Arc<dyn ObjectStore>,
    /// The file that is written to, and its entries.
    path: Option<Path>,
    run: Vec<u8>,
    count: usize,
    most: usize,
}

impl Runs {
    /// Opens a folder of files, and reads the entries of the newest.
    async fn open(
        location: &Location,
        name: &str,
        most: usize,
        limit: usize,
    ) -> Result<(Self, Vec<Bytes>), ArchiveError> {
        let mut this = Self { store: folder(location, name)?, path: None, run: Vec::new(), count: 0, most };
        let Some(path) = paths(&this.store).await?.pop() else { return Ok((this, Vec::new())) };
        let run = read(&this.store, &path, most * (2 + limit)).await?;
        let entries = split(&path, &run)?;
        (this.count, this.run, this.path) = (entries.len(), run.to_vec(), Some(path));
        Ok((this, entries))
    }

    /// Appends an entry, durably or with an error; after that, another may be tried in its place.
    async fn append(&mut self, number: u64, entry: &[u8]) -> Result<(), ArchiveError> {
        let full = self.count >= self.most;
        let (path, mut run, count) = match &self.path {
            Some(path) if !full => (path.clone(), self.run.clone(), self.count),
            _ => (Path::from(format!("{number:020}")), Vec::new(), 0),
        };
        run.extend_from_slice(&(entry.len() as u16).to_le_bytes()); // at most 30 KiB
        run.extend_from_slice(entry);
        let payload = PutPayload::from(Bytes::from(run.clone()));
        self.store.put(&path, payload).await.map_err(ArchiveError::store)?;
        (self.path, self.run, self.count) = (Some(path), run, count + 1);
        Ok(())
    }
}

impl StatementStore {
    /// Opens an archive's statements, and reads the newest.
    pub async fn open(location: &Location) -> Result<(Self, Option<ArchiveStatement>), ArchiveError> {
        let (statements, newest) = Runs::open(location, FOLDER, RUN, MAX_STATEMENT_BYTES).await?;
        let (places, known) = Runs::open(location, PLACES, PLACES_RUN, MAX_ANCHORED_STATEMENT_BYTES).await?;
        let index = |bytes: &Bytes| Some(AnchoredStatement::from_bytes(bytes).ok()?.evidence.inclusion.index);
        let recent = known.iter().filter_map(index).collect();
        let newest = match (newest.last(), &statements.path) {
            (Some(bytes), Some(path)) => Some(ArchiveStatement::peek(bytes).map_err(|_| damaged(path))?),
            _ => None,
        };
        Ok((Self { statements, places, recent }, newest))
    }

    /// Appends a statement, durably or with an error; after that, the same number may be tried again.
    pub async fn append(&mut self, sequence: u64, statement: &[u8]) -> Result<(), ArchiveError> {
        self.statements.append(sequence, statement).await
    }

    /// Keeps where the log holds a statement, if that is not kept already.
    pub async fn keep_place(&mut self, anchored: &AnchoredStatement) -> Result<(), ArchiveError> {
        let index = anchored.evidence.inclusion.index;
        if self.recent.contains(&index) {
            return Ok(());
        }
        self.places.append(index, &anchored.to_bytes()).await?;
        self.recent.insert(index);
        while self.recent.len() > RECENT {
            self.recent.pop_first();
        }
        Ok(())
    }
}

/// All statements beside an archive, oldest first, as they were signed; whoever reads them checks them. An error beyond
/// [`MAX_STATEMENTS`].
pub async fn read_statements(location: &Location) -> Result<Vec<Bytes>, ArchiveError> {
    all(location, FOLDER, RUN * (2 + MAX_STATEMENT_BYTES)).await
}

/// Places of statements in the ledger's log that are kept beside an archive; whoever reads them checks them. As
/// [`read_statements`].
pub async fn read_places(location: &Location) -> Result<Vec<AnchoredStatement>, ArchiveError> {
    let all = all(location, PLACES, PLACES_RUN * (2 + MAX_ANCHORED_STATEMENT_BYTES)).await?;
    // What cannot be read explains no place of the log, and is missed there.
    Ok(all.iter().filter_map(|bytes| AnchoredStatement::from_bytes(bytes).ok()).collect())
}

async fn all(location: &Location, name: &str, limit: usize) -> Result<Vec<Bytes>, ArchiveError> {
    let store = folder(location, name)?;
    let mut all = Vec::new();
    for path in paths(&store).await? {
        let run = read(&store, &path, limit).await?;
        all.extend(split(&path, &run)?);
        if all.len() > MAX_STATEMENTS {
            let what = format!("more than {MAX_STATEMENTS} entries: move the oldest files of {name}/ away");
            return Err(ArchiveError::Damaged { what });
        }
    }
    Ok(all)
}

fn folder(location: &Location, name: &str) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    let mut url = location.url.clone();
    url.set_path(&format!("{}/{name}/", location.url.path().trim_end_matches('/')));
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
            let name = path.as_ref();
            name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect();
    paths.sort_unstable();
    Ok(paths)
}

async fn read(store: &Arc<dyn ObjectStore>, path: &Path, limit: usize) -> Result<Bytes, ArchiveError> {
    let found = store.get(path).await.map_err(ArchiveError::store)?;
    if found.meta.size > limit as u64 {
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
        what: format!(
            "{FOLDER}: file {path} is cut or not ours: restore it, or move it away to begin a new one"
        ),
    }
}
