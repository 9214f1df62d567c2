//! Files beside the archives that are written whole: snapshots, hand-overs, the epoch until which this node must not vote.
//!
//! Invariants: a file is either whole, by the SHA-256 at its end, or refused; a file is never changed in place, so an older
//! one stays good while a newer one is written. A file whose magic bytes are not all there was being written when the process
//! ended, since they are written last, and so was one that is shorter than it says (versions before wrote them first); one
//! that is long enough and whose SHA-256 is wrong is damaged.

use crate::common::error::StartError;
use bytes::Bytes;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, EncodeSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Hasher as _, Sha256};
use commonware_runtime::{Blob as _, Error, ReadOptions, Storage, WriteOptions};
use voltmesh_ledger::{
    Attestation, Certificate, Handover, MAX_AUTHORITIES, MAX_HANDOVER_BYTES, MAX_HANDOVERS,
    MAX_SNAPSHOT_BYTES,
};

/// What each file begins with.
const MAGIC: &[u8; 8] = b"VMVAULT1";

/// Before the content: magic and the content's length.
const HEAD: u64 = 16;

/// After the content: its SHA-256.
const TAIL: u64 = 32;

/// Bytes of a snapshot in one message to a peer, or in one copy between files.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Longest file: a snapshot with its certificate and attestations.
const MAX_FILE: u64 = MAX_SNAPSHOT_BYTES as u64 + 64 * 1024;

/// Reason why a file cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Not written to its end.
    Incomplete,
    /// Something else than what was written.
    Damaged(String),
    /// The disk.
    Storage(Error),
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        match error {
            Error::BlobCorrupt(..) | Error::InvalidChecksum => Self::Damaged(error.to_string()),
            error => Self::Storage(error),
        }
    }
}

/// A snapshot as it is kept, see [`voltmesh_ledger::Snapshot`].
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub snapshot: Bytes,
    /// `None` if its block was final only through a later one.
    pub certificate: Option<Certificate>,
    pub attestations: Vec<Attestation>,
}

/// The node's part of the disk that this module owns.
pub(crate) struct SnapshotStore<E> {
    storage: E,
    prefix: String,
}

/// A name of eight bytes, so that files are in the order of their numbers.
fn name(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Whether a file's first eight bytes are some of [`MAGIC`] and else 0: the write that ends it was not done.
fn is_begun(found: &[u8]) -> bool {
    found != MAGIC && found.iter().zip(MAGIC).all(|(byte, magic)| *byte == 0 || byte == magic)
}

impl<E: Storage> SnapshotStore<E> {
    pub fn new(storage: E, prefix: &str) -> Self {
        Self { storage, prefix: prefix.into() }
    }

    pub fn snapshots(&self) -> String {
        format!("{}-snapshots", self.prefix)
    }

    pub fn handovers(&self) -> String {
        format!("{}-handovers", self.prefix)
    }

    fn abstention(&self) -> String {
        format!("{}-abstention", self.prefix)
    }

    /// Numbers of the files in a partition, in order.
    pub async fn list(&self, partition: &str) -> Result<Vec<u64>, Error> {
        let names = match self.storage.scan(partition).await {
            Ok(names) => names,
            Err(Error::PartitionMissing(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut numbers: Vec<u64> =
            names.into_iter().filter_map(|name| name.try_into().ok()).map(u64::from_be_bytes).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Writes a file and waits until it is durable. The magic bytes are written last, when all that follows them is
    /// durable: whatever part of a write a power cut leaves, a file that begins with them is whole.
    async fn write(&self, partition: &str, number: u64, content: &[u8]) -> Result<(), Error> {
        let (blob, size) = self.storage.open(partition, &name(number)).await?;
        if size > 0 {
            // The magic bytes of an older file must not stand before new content.
            blob.resize(0).await?;
            blob.sync().await?;
        }
        let mut file = Vec::with_capacity(content.len() + (HEAD + TAIL) as usize);
        file.extend_from_slice(&[0; MAGIC.len()]);
        file.extend_from_slice(&(content.len() as u64).to_be_bytes());
        file.extend_from_slice(content);
        file.extend_from_slice(Sha256::hash(&[content]).as_ref());
        blob.write_at(0, file, WriteOptions::default()).await?;
        blob.sync().await?;
        blob.write_at(0, MAGIC.to_vec(), WriteOptions::default()).await?;
        blob.sync().await
    }

    async fn read(&self, partition: &str, number: u64, max: u64) -> Result<Bytes, Unreadable> {
        let (blob, size) = self.storage.open(partition, &name(number)).await?;
        if size < HEAD {
            return Err(Unreadable::Incomplete);
        }
        let head: Bytes =
            blob.read_at(0, HEAD as usize, ReadOptions::default()).await?.coalesce().freeze().into();
        let (magic, len) = head.split_at(8);
        let len = u64::from_be_bytes(len.try_into().unwrap_or_default());
        if is_begun(magic) {
            return Err(Unreadable::Incomplete);
        }
        if magic != MAGIC || len > max {
            return Err(Unreadable::Damaged("offset 0: no such file begins so".into()));
        }
        if size < HEAD + len + TAIL {
            return Err(Unreadable::Incomplete);
        }
        let body: Bytes = blob
            .read_at(HEAD, (len + TAIL) as usize, ReadOptions::DONT_CACHE)
            .await?
            .coalesce()
            .freeze()
            .into();
        let (content, digest) = body.split_at(len as usize);
        if Sha256::hash(&[content]).as_ref() != digest {
            return Err(Unreadable::Damaged(format!(
                "offset {HEAD}: the next {len} bytes have another SHA-256"
            )));
        }
        Ok(body.slice(..len as usize))
    }

    pub async fn remove(&self, partition: &str, number: u64) -> Result<(), Error> {
        match self.storage.remove(partition, Some(&name(number))).await {
            Ok(()) | Err(Error::BlobMissing(..) | Error::PartitionMissing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Copies one file to a partition named `…-damaged` and removes it.
    pub async fn move_away(&self, partition: &str, file: &[u8]) -> Result<(), Error> {
        match self.copy(partition, file, &format!("{partition}-damaged")).await {
            // What cannot even be opened cannot be kept.
            Ok(_) | Err(Error::BlobCorrupt(..)) => {}
            Err(error) => return Err(error),
        }
        self.storage.remove(partition, Some(file)).await
    }

    /// Copies all files of a partition, returns their sizes.
    pub async fn copy_all(&self, from: &str, to: &str) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let names = match self.storage.scan(from).await {
            Ok(names) => names,
            Err(Error::PartitionMissing(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut sizes = Vec::new();
        for file in names {
            let size = self.copy(from, &file, to).await?;
            sizes.push((file, size));
        }
        sizes.sort();
        Ok(sizes)
    }

    /// [`Self::move_away`] for all files of a partition.
    pub async fn move_all_away(&self, partition: &str) -> Result<(), Error> {
        match self.storage.scan(partition).await {
            Ok(names) => {
                for file in names {
                    self.move_away(partition, &file).await?;
                }
                self.storage.remove(partition, None).await
            }
            Err(Error::PartitionMissing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn copy(&self, from: &str, file: &[u8], to: &str) -> Result<u64, Error> {
        let (source, size) = self.storage.open(from, file).await?;
        let (target, _) = self.storage.open(to, file).await?;
        target.resize(0).await?;
        let mut offset = 0;
        while offset < size {
            let len = (size - offset).min(CHUNK as u64);
            let piece = source.read_at(offset, len as usize, ReadOptions::DONT_CACHE).await?.freeze();
            target.write_at(offset, piece, WriteOptions::default()).await?;
            offset += len;
        }
        target.sync().await?;
        Ok(size)
    }

    pub async fn drop_partition(&self, partition: &str) -> Result<(), Error> {
        match self.storage.remove(partition, None).await {
            Ok(()) | Err(Error::PartitionMissing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn write_snapshot(&self, height: u64, stored: &Stored) -> Result<(), Error> {
        self.write(&self.snapshots(), height, &stored.encode()).await
    }

    pub async fn read_snapshot(&self, height: u64) -> Result<Stored, Unreadable> {
        let content = self.read(&self.snapshots(), height, MAX_FILE).await?;
        Stored::decode(Copying(&content)).map_err(|error| Unreadable::Damaged(error.to_string()))
    }

    /// A piece of the encoded snapshot, for a peer. Not checked: whoever takes it checks all of them.
    pub async fn read_chunk(&self, height: u64, index: u32, len: usize) -> Result<Bytes, Error> {
        let at = index as usize * CHUNK;
        let take = len.saturating_sub(at).min(CHUNK);
        let (blob, _) = self.storage.open(&self.snapshots(), &name(height)).await?;
        let offset = HEAD + Stored::PREFIX as u64 + at as u64;
        Ok(blob.read_at(offset, take, ReadOptions::default()).await?.coalesce().freeze().into())
    }

    pub async fn write_handover(&self, handover: &Handover) -> Result<(), Error> {
        self.write(&self.handovers(), handover.height().get(), &handover.to_bytes()).await
    }

    pub async fn read_handover(&self, height: u64) -> Result<Handover, Unreadable> {
        let content = self.read(&self.handovers(), height, MAX_HANDOVER_BYTES as u64).await?;
        Handover::from_bytes(&content).map_err(|error| Unreadable::Damaged(error.to_string()))
    }

    /// All hand-overs in order. One that was being written is removed.
    pub async fn read_handovers(&self) -> Result<Vec<Handover>, StartError> {
        let partition = self.handovers();
        let mut out = Vec::new();
        for height in self.list(&partition).await?.into_iter().take(MAX_HANDOVERS) {
            match self.read_handover(height).await {
                Ok(handover) => out.push(handover),
                Err(Unreadable::Incomplete) => self.remove(&partition, height).await?,
                Err(Unreadable::Damaged(why)) => {
                    let place = format!("file {height:016x}");
                    return Err(StartError::damaged("hand-over", &partition, place, Some(why.into())));
                }
                Err(Unreadable::Storage(error)) => return Err(error.into()),
            }
        }
        Ok(out)
    }

    /// From now on, also after a restart, this node does not vote in `epoch` and those before.
    pub async fn abstain(&self, epoch: u64) -> Result<(), Error> {
        let partition = self.abstention();
        let before = self.list(&partition).await?;
        self.write(&partition, epoch, &[]).await?;
        for old in before.into_iter().filter(|old| *old < epoch) {
            self.remove(&partition, old).await?;
        }
        Ok(())
    }

    /// The last epoch in which this node must not vote. The file's name says it, whatever has become of its content.
    pub async fn abstains(&self) -> Result<Option<u64>, Error> {
        Ok(self.list(&self.abstention()).await?.last().copied())
    }
}

impl Stored {
    /// Before the snapshot itself: its length.
    const PREFIX: usize = 4;
}

// The snapshot comes first, at a known place, so that pieces of it can be read without the rest.
impl Write for Stored {
    fn write(&self, buf: &mut impl bytes::BufMut) {
        (self.snapshot.len() as u32).write(buf);
        buf.put_slice(&self.snapshot);
        self.certificate.write(buf);
        self.attestations.write(buf);
    }
}

impl EncodeSize for Stored {
    fn encode_size(&self) -> usize {
        Self::PREFIX + self.snapshot.len() + self.certificate.encode_size() + self.attestations.encode_size()
    }
}

impl Read for Stored {
    type Cfg = ();

    fn read_cfg(buf: &mut impl commonware_codec::Buf, _: &()) -> Result<Self, commonware_codec::Error> {
        let len = u32::read(buf)? as usize;
        if len > MAX_SNAPSHOT_BYTES {
            return Err(commonware_codec::Error::InvalidLength(len));
        }
        let snapshot = buf.try_take_owned(len).map_err(|_| commonware_codec::Error::EndOfBuffer)?;
        let certificate = Option::<Certificate>::read(buf)?;
        let attestations = Vec::read_cfg(buf, &((0..=MAX_AUTHORITIES).into(), ()))?;
        Ok(Self { snapshot, certificate, attestations })
    }
}

#[cfg(test)]
mod tests;
