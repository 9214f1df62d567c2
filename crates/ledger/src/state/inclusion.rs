//! Inclusion proofs in the binary form that evidence and proofs of events hold.

use crate::codec::{read_hash, write_hash};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read as _, ReadExt as _, Write as _};
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Inclusion, MAX_PATH},
};

pub(crate) fn write_inclusion(inclusion: &Inclusion, buf: &mut impl BufMut) {
    inclusion.size.write(buf);
    inclusion.index.write(buf);
    write_path(&inclusion.path, buf);
}

pub(crate) fn inclusion_size(inclusion: &Inclusion) -> usize {
    16 + path_size(&inclusion.path)
}

pub(crate) fn read_inclusion(buf: &mut impl Buf) -> Result<Inclusion, CodecError> {
    let (size, index) = (u64::read(buf)?, u64::read(buf)?);
    Ok(Inclusion { size, index, path: read_path(buf)? })
}

pub(crate) fn write_path(path: &[Hash], buf: &mut impl BufMut) {
    path.len().write(buf);
    path.iter().for_each(|hash| write_hash(hash, buf));
}

pub(crate) fn path_size(path: &[Hash]) -> usize {
    path.len().encode_size() + 32 * path.len()
}

pub(crate) fn read_path(buf: &mut impl Buf) -> Result<Vec<Hash>, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=MAX_PATH))?;
    (0..len).map(|_| read_hash(buf)).collect()
}
