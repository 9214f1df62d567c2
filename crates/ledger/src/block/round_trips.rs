//! Round-trip times that one authority has measured to the others, signed by it.

use crate::{
    keys::transaction_namespace,
    types::{Digest, Epoch, MAX_AUTHORITIES, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};

/// A round trip that could not be measured: the peer did not answer.
pub const UNREACHABLE: u32 = u32::MAX;

const ROUND_TRIPS: &[u8] = b"-round-trips-";

/// Report of the round trips that an authority measured in an epoch; one such transaction counts per authority and
/// epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundTrips {
    /// Who measured.
    pub authority: PublicKey,
    /// The epoch of the block that may hold it; the authorities below are that epoch's.
    pub epoch: Epoch,
    /// Microseconds to each authority of the epoch in the order of their keys, [`UNREACHABLE`] if it did not answer.
    /// What it says of itself does not count.
    pub micros: Vec<u32>,
    /// The authority's signature over all of the above on one chain.
    pub signature: Signature,
}

impl RoundTrips {
    /// Signs measurements.
    pub fn sign(chain: &Digest, key: &PrivateKey, epoch: Epoch, micros: Vec<u32>) -> Self {
        let authority = key.public_key();
        let message = message(&authority, epoch, &micros);
        let signature = key.sign(&transaction_namespace(ROUND_TRIPS, chain), &message);
        Self { authority, epoch, micros, signature }
    }

    /// Whether the signature is the authority's, on this chain.
    pub fn verify(&self, chain: &Digest) -> bool {
        let message = message(&self.authority, self.epoch, &self.micros);
        self.authority.verify(&transaction_namespace(ROUND_TRIPS, chain), &message, &self.signature)
    }
}

fn message(authority: &PublicKey, epoch: Epoch, micros: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48 + 4 * micros.len());
    authority.write(&mut out);
    epoch.get().write(&mut out);
    write_micros(micros, &mut out);
    out
}

fn write_micros(micros: &[u32], buf: &mut impl BufMut) {
    micros.len().write(buf);
    for value in micros {
        value.write(buf);
    }
}

impl Write for RoundTrips {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.epoch.get().write(buf);
        write_micros(&self.micros, buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for RoundTrips {
    fn encode_size(&self) -> usize {
        32 + 8 + self.micros.len().encode_size() + 4 * self.micros.len() + 64
    }
}

impl Read for RoundTrips {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            authority: PublicKey::read(buf)?,
            epoch: Epoch::new(u64::read(buf)?),
            micros: Vec::read_cfg(buf, &(RangeCfg::from(1..=MAX_AUTHORITIES), ()))?,
            signature: Signature::read(buf)?,
        })
    }
}
