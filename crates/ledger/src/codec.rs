//! Reading and writing that several modules share: bounded lists, maps in order, hashes.

use crate::{error::Error, types::PublicKey};
use bytes::BufMut;
use commonware_codec::{Buf, Copying, Decode, Error as CodecError, RangeCfg, Read, ReadExt as _, Write};
use std::collections::BTreeMap;
use voltmesh_telemetry::Digest as Hash;

/// Checks that a list of `len` is within its bounds.
pub(crate) fn count(what: &'static str, len: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&len) { Ok(()) } else { Err(Error::Count { what, len, min, max }) }
}

pub(crate) fn write_hash(hash: &Hash, buf: &mut impl BufMut) {
    buf.put_slice(hash.as_bytes());
}

pub(crate) fn read_hash(buf: &mut impl Buf) -> Result<Hash, CodecError> {
    <[u8; 32]>::read(buf).map(Hash::new)
}

/// Decodes exactly `bytes`, which may be at most `max` long.
pub(crate) fn decode_bounded<T: Read>(
    what: &'static str,
    bytes: &[u8],
    max: usize,
    cfg: &T::Cfg,
) -> Result<T, Error> {
    if bytes.len() > max {
        return Err(Error::TooLong { what, len: bytes.len(), max });
    }
    Decode::decode_cfg(Copying(bytes), cfg).map_err(|source| Error::Codec { what, source })
}

/// Writes a map's length and its entries in order.
pub(crate) fn write_map<K: Write, V, B: BufMut>(
    map: &BTreeMap<K, V>,
    buf: &mut B,
    value: impl Fn(&V, &mut B),
) {
    map.len().write(buf);
    for (key, held) in map {
        key.write(buf);
        value(held, buf);
    }
}

/// Reads at most `max` entries whose keys must go up.
pub(crate) fn read_map<V, B: Buf>(
    buf: &mut B,
    max: usize,
    value: impl Fn(&mut B) -> Result<V, CodecError>,
) -> Result<BTreeMap<PublicKey, V>, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=max))?;
    let mut map = BTreeMap::new();
    for _ in 0..len {
        let key = PublicKey::read(buf)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(unordered());
        }
        map.insert(key, value(buf)?);
    }
    Ok(map)
}

pub(crate) fn unordered() -> CodecError {
    CodecError::Invalid("voltmesh_ledger::Snapshot", "entries out of order")
}
