//! Two SHA-256 computations at once.
//!
//! The processor's SHA instructions take four cycles each but can start every two: one computation leaves half of the
//! unit idle, two independent ones fill it. Where these instructions are missing, one computation follows the other.

use sha2::block_api::compress256;

/// What SHA-256 works on: 16 words of message.
pub(super) type Block = [u8; 64];

/// FIPS 180-4 5.3.3.
pub(super) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 states after two messages of equally many padded blocks.
pub(super) fn compress_two(messages: [&[Block]; 2]) -> [[u32; 8]; 2] {
    assert_eq!(messages[0].len(), messages[1].len(), "the two lanes must be equally long");
    let mut states = [INITIAL; 2];
    #[cfg(target_arch = "x86_64")]
    if x86::is_supported() {
        // SAFETY: the instructions that `compress` uses are there, as the line above has checked.
        #[allow(
            unsafe_code,
            reason = "the one way to call a function compiled for instructions detected at run time"
        )]
        unsafe {
            x86::compress(&mut states, messages)
        };
        return states;
    }
    for (state, message) in states.iter_mut().zip(messages) {
        compress256(state, message);
    }
    states
}

/// The SHA-256 state after one message.
pub(super) fn compress_one(message: &[Block]) -> [u32; 8] {
    let mut state = INITIAL;
    compress256(&mut state, message);
    state
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Block;
    use std::arch::x86_64::*;

    /// FIPS 180-4 4.2.2.
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

    pub(super) fn is_supported() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn words(a: u32, b: u32, c: u32, d: u32) -> __m128i {
        _mm_set_epi32(a as i32, b as i32, c as i32, d as i32)
    }

    /// Four big-endian message words, the first in the lowest lane.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load(block: &Block, quarter: usize) -> __m128i {
        let half = |at: usize| {
            let bytes: &[u8; 8] = block[16 * quarter + at..].first_chunk().expect("16 bytes in each quarter");
            i64::from_le_bytes(*bytes)
        };
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm_shuffle_epi8(_mm_set_epi64x(half(8), half(0)), swap)
    }

    /// The same quarter of both lanes.
    type Both = [__m128i; 2];

    /// Four rounds of both lanes, the `step`-th of sixteen.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn rounds(abef: &mut Both, cdgh: &mut Both, w: Both, step: usize) {
        let [a, b, c, d] = K[step];
        let k = words(d, c, b, a);
        let wk = [_mm_add_epi32(w[0], k), _mm_add_epi32(w[1], k)];
        cdgh[0] = _mm_sha256rnds2_epu32(cdgh[0], abef[0], wk[0]);
        cdgh[1] = _mm_sha256rnds2_epu32(cdgh[1], abef[1], wk[1]);
        abef[0] = _mm_sha256rnds2_epu32(abef[0], cdgh[0], _mm_shuffle_epi32(wk[0], 0x0e));
        abef[1] = _mm_sha256rnds2_epu32(abef[1], cdgh[1], _mm_shuffle_epi32(wk[1], 0x0e));
    }

    /// The next four words of both message schedules from the last sixteen.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn schedule(w0: Both, w1: Both, w2: Both, w3: Both) -> Both {
        let next = |lane: usize| {
            let sum = _mm_add_epi32(
                _mm_sha256msg1_epu32(w0[lane], w1[lane]),
                _mm_alignr_epi8(w3[lane], w2[lane], 4),
            );
            _mm_sha256msg2_epu32(sum, w3[lane])
        };
        [next(0), next(1)]
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn compress(states: &mut [[u32; 8]; 2], messages: [&[Block]; 2]) {
        // The instructions want the state as (a b e f) and (c d g h), the first in the highest lane.
        let mut abef = [0, 1].map(|lane: usize| {
            let [a, b, _, _, e, f, _, _] = states[lane];
            words(a, b, e, f)
        });
        let mut cdgh = [0, 1].map(|lane: usize| {
            let [_, _, c, d, _, _, g, h] = states[lane];
            words(c, d, g, h)
        });
        for (one, two) in messages[0].iter().zip(messages[1]) {
            let blocks = [one, two];
            let before = (abef, cdgh);
            // The last 16 words of each lane's message schedule, four to a register.
            let mut w0 = [load(blocks[0], 0), load(blocks[1], 0)];
            rounds(&mut abef, &mut cdgh, w0, 0);
            let mut w1 = [load(blocks[0], 1), load(blocks[1], 1)];
            rounds(&mut abef, &mut cdgh, w1, 1);
            let mut w2 = [load(blocks[0], 2), load(blocks[1], 2)];
            rounds(&mut abef, &mut cdgh, w2, 2);
            let mut w3 = [load(blocks[0], 3), load(blocks[1], 3)];
            rounds(&mut abef, &mut cdgh, w3, 3);
            for step in [4, 8, 12] {
                w0 = schedule(w0, w1, w2, w3);
                rounds(&mut abef, &mut cdgh, w0, step);
                w1 = schedule(w1, w2, w3, w0);
                rounds(&mut abef, &mut cdgh, w1, step + 1);
                w2 = schedule(w2, w3, w0, w1);
                rounds(&mut abef, &mut cdgh, w2, step + 2);
                w3 = schedule(w3, w0, w1, w2);
                rounds(&mut abef, &mut cdgh, w3, step + 3);
            }
            for lane in 0..2 {
                abef[lane] = _mm_add_epi32(abef[lane], before.0[lane]);
                cdgh[lane] = _mm_add_epi32(cdgh[lane], before.1[lane]);
            }
        }
        for (lane, state) in states.iter_mut().enumerate() {
            let word = |value: i32| value as u32;
            *state = [
                word(_mm_extract_epi32(abef[lane], 3)),
                word(_mm_extract_epi32(abef[lane], 2)),
                word(_mm_extract_epi32(cdgh[lane], 3)),
                word(_mm_extract_epi32(cdgh[lane], 2)),
                word(_mm_extract_epi32(abef[lane], 1)),
                word(_mm_extract_epi32(abef[lane], 0)),
                word(_mm_extract_epi32(cdgh[lane], 1)),
                word(_mm_extract_epi32(cdgh[lane], 0)),
            ];
        }
    }
}
