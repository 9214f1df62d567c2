//! Random input for tests of parsers: numbers from a seed, mutations of bytes, and the settings of a run.
//!
//! The invariant: the same seed gives the same input on every machine. Deliberately lacks distributions and cryptography.
//!
//! ```
//! use voltmesh_testing::{Random, setting};
//!
//! let seed = setting("FUZZ_SEED", 1);      // of the environment, so that a failure can be repeated
//! let mut bytes = b"{\"soc\": 50}".to_vec();
//! Random::new(seed).mutate(&mut bytes, b"[]");
//! ```
#![forbid(unsafe_code)]

/// Random numbers from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers that follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in 0..limit; 0 if the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next_u64() % limit.max(1) as u64) as usize
    }

    /// Makes one to eight changes of the kinds that parsers of binary formats trip over; pieces come from `other`.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                // Ends of ranges, and heads of CBOR that announce eight bytes of length.
                1 if !bytes.is_empty() => {
                    bytes[at] = [0, 0x7f, 0x80, 0xff, 0x1b, 0x5b, 0x9b, 0xbb][self.below(8)]
                }
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.next_u64() as u8),
                4 if !bytes.is_empty() => drop(bytes.remove(at)),
                5 => {
                    let from = self.below(other.len());
                    let piece = &other[from..(from + self.below(64)).min(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                6 if bytes.len() >= at + 8 => {
                    bytes[at..at + 8].copy_from_slice(&self.next_u64().to_be_bytes())
                }
                _ => bytes.extend(std::iter::repeat_n(self.next_u64() as u8, self.below(32))),
            }
        }
    }
}

/// The number that an environment variable holds, or `default` where it is not set.
///
/// # Panics
///
/// If it is set to anything else: a test that runs with another seed than was asked for would mislead.
pub fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first.map(|_| random.next_u64()), first);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_seed_gives_the_same_mutations_of_any_input() {
        for seed in 0..1_000 {
            let run = |len| {
                let mut bytes = vec![7; len];
                Random::new(seed).mutate(&mut bytes, &[1, 2, 3]);
                bytes
            };
            assert_eq!((run(0), run(20)), (run(0), run(20)));
        }
    }
}
