//! Many SHA-256 computations at once: sixteen by AVX-512, two by the SHA instructions, else one after the other.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use crate::Digest;
use sha2::block_api::compress256;

/// Block of SHA-256: 16 words of message.
pub(super) type Block = [u8; 64];

/// Messages that are worth gathering: as many as the widest unit takes at once.
pub(super) const LANES: usize = 16;

/// FIPS 180-4 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// FIPS 180-4 4.2.2.
#[cfg(target_arch = "x86_64")]
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

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
