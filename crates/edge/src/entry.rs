//! A batch as it lies in the spool, with the place in its source.

use crate::sources::Cursor;
use bytes::{BufMut as _, Bytes, BytesMut};
use voltmesh_spool::Position;
use voltmesh_telemetry::{SealedBatch, Timestamp};

/// Version, time, cursor: `u8 = 1, spooled ms u64, cursor 3 × u64` (big-endian), then the batch's wire bytes.
const HEAD: usize = 1 + 8 + Cursor::BYTES;
const VERSION: u8 = 1;

/// A batch that the spool holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the spool.
    pub position: Position,
    /// When it was sealed, by the vehicle's clock.
    pub spooled: Timestamp,
    /// Where the source stood after its last record.
    pub cursor: Cursor,
    /// The batch.
    pub batch: SealedBatch,
}

/// The bytes to spool.
#[must_use]
pub fn encode(spooled: Timestamp, cursor: &Cursor, batch: &SealedBatch) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD + batch.wire().len());
    out.put_u8(VERSION);
    out.put_u64(spooled.as_millis());
    cursor.encode(&mut out);
    out.put_slice(batch.wire());
    out.freeze()
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// What is wrong with it: another version's entry, or a damaged batch.
pub fn decode(position: Position, entry: &Bytes) -> Result<Stored, String> {
    let (Some(VERSION), Some(head)) = (entry.first().copied(), entry.get(1..HEAD)) else {
        return Err(format!("spool entry {position} has an unknown format"));
    };
    let (time, cursor) = head.split_at(8);
    let millis = time.try_into().map(u64::from_be_bytes).unwrap_or_default();
    let cursor = Cursor::decode(cursor).ok_or_else(|| format!("spool entry {position} has no cursor"))?;
    let batch =
        SealedBatch::parse(entry.slice(HEAD..)).map_err(|e| format!("spool entry {position}: {e}"))?;
    Ok(Stored { position, spooled: Timestamp::from_millis(millis), cursor, batch })
}
