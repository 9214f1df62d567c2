//! Cost of a commit: nothing that grows with the commits before it.

use super::*;
use crate::{ArchiveError, delta::durable::DurableFolder};
use async_trait::async_trait;
use futures::{TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    local::LocalFileSystem, memory::InMemory, path::Path,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Counts reads, and what listings show.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    read: AtomicUsize,
    listed: Arc<AtomicUsize>,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

impl Counting {
    fn count(
        &self,
        entries: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.listed.clone();
        Box::pin(entries.inspect_ok(move |_| {
            listed.fetch_add(1, Ordering::SeqCst);
        }))
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

const NO_UPKEEP: Settings =
    Settings { checkpoint_every: 1_000, compact_files: 0, vacuum_hours: 168, log_hours: 720 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_reads_nothing_and_lists_only_the_newest_entry() {
    let store = Arc::new(Counting::default());
    let location = Location { store: store.clone(), url: "memory:///archive/".parse().unwrap() };
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[1; 20]);
    let mut bench = Bench::open(&fleet, &location, NO_UPKEEP).await;
    for (n, batch) in batches.iter().enumerate() {
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, n as u64, delivery).await;
        store.read.store(0, Ordering::SeqCst);
        store.listed.store(0, Ordering::SeqCst);
        assert!(bench.flush().await);
        let (read, listed) = (store.read.load(Ordering::SeqCst), store.listed.load(Ordering::SeqCst));
        // One listing for each of `batches` and `records`.
        assert_eq!((read, listed), (0, 2), "commit {n}");
    }
    let report = crate::verify_reader(&bench.reader(), &fleet.trust()).await.unwrap();
    assert_eq!((report.verified, report.gaps, report.duplicates), (20, 0, 0));
}

/// Another writer's entry, or a log that was rolled back, is noticed even where the next version is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_end_with_our_entry_takes_no_commit() {
    for (gone, ahead) in [(1, None), (9, Some(3))] {
        let store = Arc::new(InMemory::new());
        let location = Location { store: store.clone(), url: "memory:///archive/".parse().unwrap() };
        let mut fleet = Fleet::new(1);
        let batches = fleet.boot(0, 1, &[1, 1]);
        let mut bench = Bench::open(&fleet, &location, NO_UPKEEP).await;
        let delivery = fleet.envelope(0, &batches[0]);
        bench.deliver(0, 0, delivery).await;
        assert!(bench.flush().await);
        let entry = |version: u64| Path::from(format!("archive/batches/_delta_log/{version:020}.json"));
        match ahead {
            Some(version) => drop(store.put(&entry(version), "{}".into()).await.unwrap()),
            None => store.delete(&entry(gone)).await.unwrap(),
        }
        let delivery = fleet.envelope(0, &batches[1]);
        bench.deliver(0, 1, delivery).await;
        let out = bench.core.handle(at(20_000), Input::Tick);
        let [Output::Commit(commit)] = &out[..] else { panic!("{out:?}") };
        let error = bench.archive.commit(commit).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Conflict), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_lists_what_comes_after_a_name_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("_delta_log");
    std::fs::create_dir(&log).unwrap();
    for name in [
        "00001.json",
        "00002.json",
        "00002.checkpoint.parquet",
        "00003.json",
        "00003.json#1",
        "_last_checkpoint",
    ] {
        std::fs::write(log.join(name), name).unwrap();
    }
    let prefix = Path::from_absolute_path(&log).unwrap();
    let list = async |store: &dyn ObjectStore, name: &str| {
        let offset = Path::from(format!("{prefix}/{name}"));
        let found: Vec<_> = store.list_with_offset(Some(&prefix), &offset).try_collect().await.unwrap();
        let mut found: Vec<_> =
            found.into_iter().map(|meta| (meta.location, meta.size, meta.last_modified)).collect();
        found.sort();
        found
    };
    let (ours, theirs) = (DurableFolder::new(), LocalFileSystem::new());
    for name in ["00000.json", "00002.checkpoint.parquet", "00002.json", "00003.json", "~"] {
        assert_eq!(list(&ours, name).await, list(&theirs, name).await, "after {name}");
    }
    assert_eq!(list(&ours, "00002.json").await.len(), 2);
    // Where there are folders below, or other names, the library lists.
    std::fs::create_dir(log.join("_sidecars")).unwrap();
    std::fs::write(log.join("_sidecars/a b.parquet"), "x").unwrap();
    assert_eq!(list(&ours, "00002.json").await, list(&theirs, "00002.json").await);
    assert_eq!(list(&ours, "00002.json").await.len(), 3);
    std::fs::remove_dir_all(&log).unwrap();
    assert!(list(&ours, "00002.json").await.is_empty());
}
