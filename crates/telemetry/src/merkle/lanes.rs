//! Many SHA-256 computations at once: sixteen by AVX-512, two by the SHA instructions, else one after the other.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

pub(super) use sha256::{Block, LANES};

use crate::Digest;
use sha2::block_api::compress256;
use sha256::INITIAL;

/// SHA-256 of padded messages that lie one after the other and have `stride` blocks each.
///
/// # Panics
/// If `blocks` does not hold `digests.len()` messages.
pub(super) fn digest_all(blocks: &[Block], stride: usize, digests: &mut [Digest]) {
    assert_eq!(blocks.len(), stride * digests.len(), "one message for each digest");
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    #[allow(
        unsafe_code,
        reason = "the one way to call a function compiled for instructions detected at run time"
    )]
    {
        if avx512::is_supported() {
            let messages = blocks.chunks_exact(LANES * stride);
            for (messages, digests) in messages.zip(digests.chunks_exact_mut(LANES)) {
                // SAFETY: the instructions that it uses are there, as the condition above has checked.
                let found = unsafe { avx512::digest_sixteen(messages, stride) };
                digests.copy_from_slice(&found.map(Digest::new));
                done += LANES;
            }
        }
        if sha_ni::is_supported() {
            let messages = blocks[done * stride..].chunks_exact(2 * stride);
            for (messages, digests) in messages.zip(digests[done..].chunks_exact_mut(2)) {
                let mut states = [INITIAL; 2];
                let (one, two) = messages.split_at(stride);
                // SAFETY: as above.
                unsafe { sha_ni::compress(&mut states, [one, two]) };
                digests.copy_from_slice(&states.map(digest));
                done += 2;
            }
        }
    }
    let messages = blocks[done * stride..].chunks_exact(stride);
    for (message, found) in messages.zip(&mut digests[done..]) {
        *found = digest_one(message);
    }
}

/// SHA-256 of one padded message.
pub(super) fn digest_one(message: &[Block]) -> Digest {
    let mut state = INITIAL;
    compress256(&mut state, message);
    digest(state)
}

fn digest(state: [u32; 8]) -> Digest {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    Digest::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever takes a message, sixteen, two or one at a time, finds what one after the other finds.
    #[test]
    fn many_at_once_are_what_they_are_alone() {
        for (stride, count) in (1..5).flat_map(|stride| (0..40).map(move |count| (stride, count))) {
            let blocks: Vec<Block> = (0..stride * count)
                .map(|n| std::array::from_fn(|i| (n * 31 + i * 7 + (n ^ i)) as u8))
                .collect();
            let mut found = vec![Digest::ZERO; count];
            digest_all(&blocks, stride, &mut found);
            let alone: Vec<Digest> = blocks.chunks(stride).map(digest_one).collect();
            assert_eq!(found, alone, "{count} messages of {stride} blocks");
        }
    }
}
