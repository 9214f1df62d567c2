//! The archive on a store whose process dies at one of its writes.

use super::{archive::QUICK, *};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, memory::InMemory,
    path::Path,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Fails the `n`-th write and all after it, as if the process had died there; with `made`, that write still happened.
#[derive(Debug)]
struct Crashing {
    inner: Arc<dyn ObjectStore>,
    left: AtomicI64,
    made: bool,
}

impl fmt::Display for Crashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crashing")
    }
}

fn crashed() -> Error {
    Error::Generic { store: "Crashing", source: "the process is dead".into() }
}

#[async_trait]
impl ObjectStore for Crashing {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return self.inner.put_opts(location, payload, opts).await;
        }
        if left == 0 && self.made {
            self.inner.put_opts(location, payload, opts).await?;
        }
        Err(crashed())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.inner.put_multipart_opts(location, opts).await;
        }
        Err(crashed())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// The process dies at each of a commit's writes in turn, that write made or not. After a restart and a second
/// delivery everything is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_of_a_commit_loses_and_doubles_nothing() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[3, 3, 3, 3, 3]);
    let deliveries: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let mut repaired = false;
    for n in 0.. {
        let mut finished = false;
        for made in [false, true] {
            let disk: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let mut bench = Bench::open(&fleet, &in_memory(disk.clone()), QUICK).await;
            bench.deliver(0, 0, deliveries[0].clone()).await;
            assert!(bench.flush().await);
            drop(bench);

            let dying = Crashing { inner: disk.clone(), left: AtomicI64::new(n), made };
            let mut bench = Bench::open(&fleet, &in_memory(Arc::new(dying)), QUICK).await;
            for delivery in [1, 3] {
                bench.deliver(0, delivery, deliveries[delivery as usize].clone()).await;
            }
            finished = bench.flush().await;
            assert_eq!(bench.accepted.len(), if finished { 2 } else { 0 }, "acknowledged without a commit");
            let [records, batches, _] = bench.archive.versions();
            repaired |= records != batches;
            drop(bench);

            let location = in_memory(disk);
            let mut bench = Bench::open(&fleet, &location, QUICK).await;
            for (token, delivery) in deliveries.iter().enumerate() {
                bench.deliver(0, token as u64, delivery.clone()).await;
            }
            bench.flush().await;
            bench.flush().await;
            assert_eq!(bench.accepted.len(), 5, "write {n}, made: {made}");
            let report = crate::verify_reader(&bench.reader(), &fleet.trust()).await.unwrap();
            assert!(report.is_sound(), "write {n}, made: {made}: {report:#?}");
            assert_eq!((report.verified, report.gaps), (15, 0), "write {n}, made: {made}");
        }
        if finished {
            assert!(n >= 4, "a commit has at least four writes, {n} failed");
            break;
        }
    }
    assert!(repaired, "no crash came between the two tables");
}
