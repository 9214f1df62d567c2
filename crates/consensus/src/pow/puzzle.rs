//! Seals: what a block needs besides being valid, and how one is found.

use crate::PublicKey;
use bytes::{BufMut, Bytes, BytesMut};
use commonware_codec::{
    Buf, DecodeExt as _, EncodeSize as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write,
};
use commonware_cryptography::{Digestible as _, Hasher as _, Sha256, Signer as _, Verifier as _};
use commonware_runtime::Clock;
use std::sync::Arc;
use voltmesh_ledger::{Block, Digest, MAX_BLOCK_BYTES, PrivateKey, Signature};

/// Longest block with its seal, in bytes.
pub const MAX_SEALED_BYTES: usize = MAX_BLOCK_BYTES + Seal::SIZE;

/// What a seal's signature begins with; the chain's digest follows.
const NAMESPACE: &[u8] = b"voltmesh-pow-1";

/// The largest hash that solves a puzzle: its first eight bytes, as a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(u64);

impl Target {
    /// The target that takes so many hashes on average, at least one.
    pub fn of_hashes(hashes: u64) -> Self {
        // 2^64 / hashes possible values, the largest of them one less.
        let values = (1u128 << 64) / u128::from(hashes.max(1));
        Self(u64::try_from(values - 1).unwrap_or(u64::MAX))
    }

    /// Hashes that it takes on average: 2^64 / (target + 1), rounded down.
    pub fn hashes(self) -> u128 {
        (1 << 64) / (u128::from(self.0) + 1)
    }
}

/// Proof of the work in a block, and its miner's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// What the hash must not exceed; the same for all blocks of a chain.
    pub target: Target,
    /// Who found it.
    pub miner: PublicKey,
    /// What solves the puzzle; any number in virtual time.
    pub nonce: u64,
    /// The miner's, over the block's digest, the target and the nonce.
    pub signature: Signature,
}

/// A block with its seal, and both as they travel. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The block.
    pub block: Arc<Block>,
    /// Its digest. The seal is no part of it: the same block found twice is one block.
    pub digest: Digest,
    /// Its seal.
    pub seal: Seal,
    /// The encoding.
    pub bytes: Bytes,
}

impl Sealed {
    /// Puts both together.
    pub fn new(block: Block, seal: Seal) -> Self {
        let mut bytes = BytesMut::with_capacity(Seal::SIZE + block.encode_size());
        seal.write(&mut bytes);
        block.write(&mut bytes);
        let digest = block.digest();
        Self { block: Arc::new(block), digest, seal, bytes: bytes.freeze() }
    }

    /// Reads what [`Self::new`] wrote, of at most [`MAX_SEALED_BYTES`].
    pub fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        if bytes.len() > MAX_SEALED_BYTES {
            return Err(CodecError::InvalidLength(bytes.len()));
        }
        if bytes.len() < Seal::SIZE {
            return Err(CodecError::EndOfBuffer);
        }
        let seal = Seal::decode(bytes.slice(..Seal::SIZE))?;
        let block = Block::decode(bytes.slice(Seal::SIZE..))?;
        let digest = block.digest();
        Ok(Self { block: Arc::new(block), digest, seal, bytes })
    }
}

/// Reason why a seal does not hold. Whoever sent it is wrong or lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// It was made for another difficulty.
    #[error("target {found:?}, want {want:?}")]
    Target {
        /// The seal's.
        found: Target,
        /// The chain's.
        want: Target,
    },
    /// The puzzle is not solved.
    #[error("hash {0:#018x} is above the target")]
    Work(u64),
    /// The miner did not sign it.
    #[error("the signature is not the miner's")]
    Signature,
}

/// Rules for the seals of one chain.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    namespace: Vec<u8>,
    target: Target,
    /// Whether hashes count; in virtual time only the signature does.
    puzzle: bool,
}

impl Rules {
    pub fn new(chain: &Digest, target: Target, puzzle: bool) -> Self {
        Self { namespace: [NAMESPACE, chain.as_ref()].concat(), target, puzzle }
    }

    #[cfg(test)]
    pub fn target(&self) -> Target {
        self.target
    }

    /// Seals a block with a nonce that was found.
    pub fn seal(&self, key: &PrivateKey, block: &Digest, nonce: u64) -> Seal {
        let signature = key.sign(&self.namespace, &signed(block, self.target, nonce));
        Seal { target: self.target, miner: key.public_key(), nonce, signature }
    }

    /// Checks everything that needs no state: the cheap first.
    pub fn check(&self, sealed: &Sealed) -> Result<(), Forged> {
        let Seal { target, miner, nonce, signature } = &sealed.seal;
        if *target != self.target {
            return Err(Forged::Target { found: *target, want: self.target });
        }
        if self.puzzle {
            let hash = hash(&name(&sealed.digest, miner), *nonce);
            if hash > self.target.0 {
                return Err(Forged::Work(hash));
            }
        }
        let message = signed(&sealed.digest, *target, *nonce);
        if !miner.verify(&self.namespace, &message, signature) {
            return Err(Forged::Signature);
        }
        Ok(())
    }
}

fn signed(block: &Digest, target: Target, nonce: u64) -> Vec<u8> {
    [block.as_ref(), &target.0.to_be_bytes(), &nonce.to_be_bytes()].concat()
}

/// What a miner searches a nonce for: nobody else can use what it finds, nor for another block.
///
/// Hashed once before the search, so that each attempt is one compression: Bitcoin's miners get there by keeping the
/// state after a header's first 64 bytes.
pub(crate) fn name(block: &Digest, miner: &PublicKey) -> Digest {
    Sha256::hash(&[block.as_ref(), miner.as_ref()])
}

/// One attempt: the first eight bytes of SHA-256(nonce ‖ SHA-256(block ‖ miner)).
fn hash(name: &Digest, nonce: u64) -> u64 {
    let digest = Sha256::hash(&[nonce.to_be_bytes().as_slice(), name.as_ref()]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// Tries `count` nonces from `first` on. Returns the one that solves it, if any, and how many were tried.
pub(crate) fn search(name: &Digest, target: Target, first: u64, count: u64) -> (Option<u64>, u64) {
    for tried in 0..count {
        let nonce = first.wrapping_add(tried);
        if hash(name, nonce) <= target.0 {
            return (Some(nonce), tried + 1);
        }
    }
    (None, count)
}

/// Hashes per second that this thread makes, from trying so many. `None` if the clock did not move meanwhile, as in a
/// simulation.
pub fn hash_rate(clock: &impl Clock, attempts: u64) -> Option<u64> {
    let start = clock.current();
    let name = Sha256::hash(&[]);
    let (_, tried) = std::hint::black_box(search(&name, Target(0), 0, attempts));
    let nanos = clock.current().duration_since(start).ok()?.as_nanos();
    u64::try_from((u128::from(tried) * 1_000_000_000).checked_div(nanos)?).ok()
}

impl Write for Seal {
    fn write(&self, buf: &mut impl BufMut) {
        self.target.0.write(buf);
        self.miner.write(buf);
        self.nonce.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for Seal {
    const SIZE: usize = 8 + PublicKey::SIZE + 8 + Signature::SIZE;
}

impl Read for Seal {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            target: Target(u64::read(buf)?),
            miner: PublicKey::read(buf)?,
            nonce: u64::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voltmesh_ledger::{State, Timestamp, testing::Network};

    fn block(network: &Network, ms: u64) -> Block {
        State::new(network.genesis()).build([], Timestamp::from_millis(ms)).block
    }

    fn solved(rules: &Rules, key: &PrivateKey, block: Block) -> Sealed {
        let (nonce, _) = search(&name(&block.digest(), &key.public_key()), rules.target(), 0, u64::MAX);
        let seal = rules.seal(key, &block.digest(), nonce.unwrap());
        Sealed::new(block, seal)
    }

    #[test]
    fn a_target_is_as_hard_as_it_says() {
        for hashes in [0, 1, 2, 3, 1_000, 1 << 20, 10_000_000 * 20, u64::MAX] {
            let want = u128::from(hashes.max(1));
            let found = Target::of_hashes(hashes).hashes();
            assert!(found >= want && found - want <= want / 1_000_000, "{found} for {want}");
        }
        let target = Target::of_hashes(256);
        let mut first = 0;
        let solutions = 400;
        for _ in 0..solutions {
            first = search(&Sha256::hash(&[b"any"]), target, first, u64::MAX).0.unwrap() + 1;
        }
        let mean = first / solutions;
        assert!((220..=290).contains(&mean), "{mean} hashes a solution");
    }

    #[test]
    fn only_the_miners_own_work_counts() {
        let network = Network::new(4);
        let chain = network.genesis().digest();
        let rules = Rules::new(&chain, Target::of_hashes(4_096), true);
        let (key, other) = (network.authority(0), network.authority(1));
        let sealed = solved(&rules, key, block(&network, 5));
        assert_eq!(rules.check(&sealed), Ok(()));

        let with = |seal: Seal| Sealed { seal, ..sealed.clone() };
        let easier = Rules::new(&chain, Target::of_hashes(1), true);
        let easy = with(easier.seal(key, &sealed.digest, 0));
        assert!(matches!(rules.check(&easy), Err(Forged::Target { .. })));
        let unsolved = with(rules.seal(key, &sealed.digest, sealed.seal.nonce + 1));
        assert!(matches!(rules.check(&unsolved), Err(Forged::Work(_))));
        let stolen = with(rules.seal(other, &sealed.digest, sealed.seal.nonce));
        assert!(matches!(rules.check(&stolen), Err(Forged::Work(_))));
        let unsigned = with(Seal { signature: stolen.seal.signature.clone(), ..sealed.seal.clone() });
        assert_eq!(rules.check(&unsigned), Err(Forged::Signature));
        let elsewhere = Rules::new(&Sha256::hash(&[b"another chain"]), rules.target(), true);
        assert_eq!(elsewhere.check(&sealed), Err(Forged::Signature));
    }

    #[test]
    fn in_virtual_time_the_signature_counts_alone() {
        let network = Network::new(4);
        let rules = Rules::new(&network.genesis().digest(), Target::of_hashes(u64::MAX), false);
        let block = block(&network, 5);
        let seal = rules.seal(network.authority(0), &block.digest(), 0);
        let forged = Seal { miner: network.authority(1).public_key(), ..seal.clone() };
        assert_eq!(rules.check(&Sealed::new(block.clone(), seal)), Ok(()));
        assert_eq!(rules.check(&Sealed::new(block, forged)), Err(Forged::Signature));
    }

    #[test]
    fn a_sealed_block_has_one_encoding() {
        let network = Network::new(4);
        let rules = Rules::new(&network.genesis().digest(), Target::of_hashes(1), false);
        let block = block(&network, 5);
        let seal = rules.seal(network.authority(0), &block.digest(), 7);
        let sealed = Sealed::new(block, seal);
        let again = Sealed::decode(sealed.bytes.clone()).unwrap();
        assert_eq!((again.digest, &again.seal, &again.block), (sealed.digest, &sealed.seal, &sealed.block));
        assert_eq!(&sealed.bytes[..8], [0xff; 8]);
        for len in 0..sealed.bytes.len() {
            assert!(Sealed::decode(sealed.bytes.slice(..len)).is_err(), "cut at {len}");
        }
        let mut long = sealed.bytes.to_vec();
        long.push(0);
        assert!(Sealed::decode(long.into()).is_err(), "with a byte more");
        let oversized = Bytes::from(vec![0; MAX_SEALED_BYTES + 1]);
        assert!(matches!(Sealed::decode(oversized), Err(CodecError::InvalidLength(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_flipped_bit_is_found(bit in 0usize..(Seal::SIZE * 8)) {
            let network = Network::new(4);
            let rules = Rules::new(&network.genesis().digest(), Target::of_hashes(16), true);
            let sealed = solved(&rules, network.authority(0), block(&network, 5));
            let mut bytes = sealed.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Sealed::decode(bytes.into()).map_or(true, |forged| rules.check(&forged).is_err()));
        }
    }
}
