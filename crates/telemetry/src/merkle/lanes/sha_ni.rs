//! Two computations at once by the processor's SHA instructions, which take four cycles each but can start every two:
//! one computation leaves half of the unit idle, two independent ones fill it.

use super::sha256::{Block, K};
use std::arch::x86_64::*;

pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
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
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm_shuffle_epi8(_mm_set_epi64x(half(block, 16 * quarter + 8), half(block, 16 * quarter)), swap)
}

/// Eight bytes in memory order.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn half(block: &Block, at: usize) -> i64 {
    let bytes: &[u8; 8] = block[at..].first_chunk().expect("16 bytes in each quarter");
    i64::from_le_bytes(*bytes)
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
    [next_words(w0[0], w1[0], w2[0], w3[0]), next_words(w0[1], w1[1], w2[1], w3[1])]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words(w0: __m128i, w1: __m128i, w2: __m128i, w3: __m128i) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    _mm_sha256msg2_epu32(sum, w3)
}

/// The instructions want the state as (a b e f) and (c d g h), the first in the highest lane.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn packed([a, b, c, d, e, f, g, h]: [u32; 8]) -> (__m128i, __m128i) {
    (words(a, b, e, f), words(c, d, g, h))
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn unpacked(abef: __m128i, cdgh: __m128i) -> [u32; 8] {
    [
        _mm_extract_epi32(abef, 3) as u32,
        _mm_extract_epi32(abef, 2) as u32,
        _mm_extract_epi32(cdgh, 3) as u32,
        _mm_extract_epi32(cdgh, 2) as u32,
        _mm_extract_epi32(abef, 1) as u32,
        _mm_extract_epi32(abef, 0) as u32,
        _mm_extract_epi32(cdgh, 1) as u32,
        _mm_extract_epi32(cdgh, 0) as u32,
    ]
}

// No closures here: one that is handed to a function without these instructions is a call of its own, and half the time.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) fn compress(states: &mut [[u32; 8]; 2], messages: [&[Block]; 2]) {
    let (one, two) = (packed(states[0]), packed(states[1]));
    let (mut abef, mut cdgh) = ([one.0, two.0], [one.1, two.1]);
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
    *states = [unpacked(abef[0], cdgh[0]), unpacked(abef[1], cdgh[1])];
}
