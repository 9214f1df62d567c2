//! The runtime's storage over a [`Disk`].

use super::{Disk, Entry, FILE_OVERHEAD, File, Sequence};
use bytes::BufMut as _;
use commonware_runtime::{
    Blob, BlobVersion, Clock as _, Error, Handle, IoBufMut, IoBufs, IoBufsMut, ReadOptions, Spawner as _,
    Storage, Supervisor as _, WriteOptions, deterministic,
};
use commonware_utils::sync::Mutex;
use rand::RngExt as _;
use std::{io, ops::RangeInclusive, sync::Arc};

/// A disk as one process of its node uses it. Clones are the same mount.
#[derive(Clone)]
pub struct Mount(Arc<Mounted>);

struct Mounted {
    disk: Disk,
    number: u64,
    context: deterministic::Context,
}

impl Mount {
    pub(super) fn new(disk: Disk, number: u64, context: deterministic::Context) -> Self {
        Self(Arc::new(Mounted { disk, number, context }))
    }

    /// The disk below.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    fn check(&self) -> Result<(), Error> {
        // A process that has died does nothing more, whatever of it is still in memory.
        if self.0.disk.0.lock().mounts == self.0.number { Ok(()) } else { Err(Error::Closed) }
    }
}

impl Storage for Mount {
    type Blob = FileBlob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(FileBlob, u64, BlobVersion), Error> {
        check_partition(partition)?;
        self.check()?;
        let mut inner = self.0.disk.0.lock();
        let free = inner.free();
        let existing = inner.partitions.get(partition).and_then(|files| files.get(name)).cloned();
        let entry = match existing {
            Some(entry) => entry,
            None if free < FILE_OVERHEAD => {
                inner.counters.refused_writes += 1;
                return Err(Error::BlobOpenFailed(partition.into(), hex(name), Arc::new(full())));
            }
            None => {
                let entry = Arc::new(Mutex::new(Entry {
                    file: File::default(),
                    version: *versions.end(),
                    open: false,
                    removed: false,
                    failed: false,
                }));
                inner.partitions.entry(partition.into()).or_default().insert(name.into(), entry.clone());
                entry
            }
        };
        drop(inner);
        let (len, version) = {
            let mut entry = entry.lock();
            if !versions.contains(&entry.version) {
                return Err(Error::BlobVersionMismatch { expected: versions, found: entry.version });
            }
            if entry.open {
                return Err(Error::BlobAlreadyOpen(partition.into(), hex(name)));
            }
            if entry.failed {
                return Err(Error::BlobSyncFailed(partition.into(), hex(name), Arc::new(broken())));
            }
            // An open flushes what the previous handle left, so that all it can read is durable.
            entry.file.settle();
            entry.open = true;
            (entry.file.len(), entry.version)
        };
        let blob = FileBlob { mount: self.clone(), entry, partition: partition.into(), name: name.into() };
        Ok((blob, len, version))
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        check_partition(partition)?;
        self.check()?;
        let mut inner = self.0.disk.0.lock();
        let missing = || Error::PartitionMissing(partition.into());
        match name {
            Some(name) => {
                let files = inner.partitions.get_mut(partition).ok_or_else(missing)?;
                let entry =
                    files.remove(name).ok_or_else(|| Error::BlobMissing(partition.into(), hex(name)))?;
                entry.lock().removed = true;
            }
            None => {
                for entry in inner.partitions.remove(partition).ok_or_else(missing)?.values() {
                    entry.lock().removed = true;
                }
            }
        }
        Ok(())
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        check_partition(partition)?;
        self.check()?;
        let inner = self.0.disk.0.lock();
        let files =
            inner.partitions.get(partition).ok_or_else(|| Error::PartitionMissing(partition.into()))?;
        Ok(files.keys().cloned().collect())
    }
}

/// An open file of a [`Mount`].
pub struct FileBlob {
    mount: Mount,
    entry: Arc<Mutex<Entry>>,
    partition: String,
    name: Vec<u8>,
}

impl Drop for FileBlob {
    fn drop(&mut self) {
        // A handle of a process that has died must not close the file for its successor.
        if self.mount.check().is_ok() {
            self.entry.lock().open = false;
        }
    }
}

impl FileBlob {
    fn sync_failed(&self) -> Error {
        Error::BlobSyncFailed(self.partition.clone(), hex(&self.name), Arc::new(broken()))
    }

    /// Checks that the bytes fit; if not, writes what fits and reports a full disk, as a short write does.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<Sequence, Error> {
        self.mount.check()?;
        let end = offset.checked_add(bytes.len() as u64).ok_or(Error::OffsetOverflow)?;
        let mut inner = self.mount.0.disk.0.lock();
        let free = inner.free();
        let mut entry = self.entry.lock();
        let growth = end.saturating_sub(entry.file.len());
        if entry.removed || growth <= free {
            return Ok(entry.file.write(offset, bytes));
        }
        let fits = (bytes.len() as u64).saturating_sub(growth - free) as usize;
        if offset <= entry.file.len() {
            entry.file.write(offset, &bytes[..fits]);
        }
        drop(entry);
        inner.counters.refused_writes += 1;
        Err(Error::Io(Arc::new(full())))
    }

    /// What a sync does once its time has passed. `range` limits it to one write.
    fn complete(&self, upto: Sequence, range: Option<(u64, usize)>) -> Result<(), Error> {
        complete(&self.mount, &self.entry, upto, range).unwrap_or_else(|| Err(self.sync_failed()))
    }
}

/// `None` says the sync failed.
fn complete(
    mount: &Mount,
    entry: &Mutex<Entry>,
    upto: Sequence,
    range: Option<(u64, usize)>,
) -> Option<Result<(), Error>> {
    if let Err(error) = mount.check() {
        return Some(Err(error));
    }
    let mut inner = mount.0.disk.0.lock();
    let failures = inner.behaviour.sync_failures_per_mille;
    let fails = failures > 0 && inner.rng.random_range(0..1000) < failures;
    let mut entry = entry.lock();
    if fails || entry.failed {
        if !entry.failed {
            entry.file.commit_some(upto, &mut inner.rng);
        }
        entry.failed = true;
        inner.counters.failed_syncs += 1;
        return None;
    }
    match range {
        Some((offset, len)) => entry.file.commit_range(offset, len, upto),
        None => entry.file.commit(upto),
    }
    inner.counters.syncs += 1;
    Some(Ok(()))
}

impl Blob for FileBlob {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let bufs = bufs.into();
        assert!(len <= bufs.capacity(), "read of {len} bytes into a buffer of {}", bufs.capacity());
        self.mount.check()?;
        let entry = self.entry.lock();
        let data = entry.file.read(offset, len).ok_or(Error::BlobInsufficientLength)?;
        Ok(fill(bufs, data))
    }

    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        self.mount.check()?;
        // Checked before the allocation: a damaged length must not take the memory.
        if self.entry.lock().file.read(offset, len).is_none() {
            return Err(Error::BlobInsufficientLength);
        }
        self.read_at_buf(offset, len, IoBufMut::with_capacity(len), options).await
    }

    async fn write_at(
        &self,
        offset: u64,
        bufs: impl Into<IoBufs> + Send,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        let bytes = bytes.as_ref();
        let upto = self.write(offset, bytes)?;
        if options.contains(WriteOptions::SYNC) && !bytes.is_empty() {
            self.mount.0.context.sleep(self.mount.0.disk.sync_delay()).await;
            self.complete(upto, Some((offset, bytes.len())))?;
        }
        Ok(())
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        self.mount.check()?;
        let mut inner = self.mount.0.disk.0.lock();
        let free = inner.free();
        let mut entry = self.entry.lock();
        if !entry.removed && len.saturating_sub(entry.file.len()) > free {
            drop(entry);
            inner.counters.refused_writes += 1;
            return Err(Error::BlobResizeFailed(self.partition.clone(), hex(&self.name), Arc::new(full())));
        }
        entry.file.resize(len);
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        self.mount.check()?;
        let upto = self.entry.lock().file.sequence();
        self.mount.0.context.sleep(self.mount.0.disk.sync_delay()).await;
        self.complete(upto, None)
    }

    async fn start_sync(&self) -> Handle<()> {
        if let Err(error) = self.mount.check() {
            return Handle::ready(Err(error));
        }
        let upto = self.entry.lock().file.sequence();
        let (mount, entry, delay) = (self.mount.clone(), self.entry.clone(), self.mount.0.disk.sync_delay());
        let failed = self.sync_failed();
        // The task goes on when the caller drops the handle; it dies with the process.
        let task = self.mount.0.context.child("sync").spawn(move |context| async move {
            context.sleep(delay).await;
            complete(&mount, &entry, upto, None).unwrap_or(Err(failed))
        });
        Handle::from_future(async move { task.await? })
    }
}

/// Puts data into the caller's buffers and keeps their chunks where the public interface allows it.
fn fill(mut bufs: IoBufsMut, data: &[u8]) -> IoBufsMut {
    if bufs.len() == data.len() {
        bufs.copy_from_slice(data);
        return bufs;
    }
    if let Some(single) = bufs.as_single_mut() {
        single.clear();
        single.put_slice(data);
        return bufs;
    }
    if bufs.is_empty() {
        bufs.put_slice(data);
        return bufs;
    }
    IoBufsMut::from(data.to_vec())
}

fn check_partition(partition: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if partition.is_empty() || !partition.chars().all(allowed) {
        return Err(Error::PartitionNameInvalid(partition.into()));
    }
    Ok(())
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

fn hex(name: &[u8]) -> String {
    name.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
impl FileBlob {
    pub(super) fn entry_is_dirty(&self) -> bool {
        self.entry.lock().file.is_dirty()
    }
}
