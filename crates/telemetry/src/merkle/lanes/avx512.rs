//! Sixteen computations at once: word `i` of all messages in one register.
//!
//! A round costs 17 instructions for sixteen messages (rotations and three-input logic are one each), half of what the
//! SHA instructions need.

#![allow(clippy::many_single_char_names, reason = "the names of FIPS 180-4 6.2.2")]

use super::sha256::{Block, INITIAL, K, LANES};
use std::arch::x86_64::*;

pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// SHA-256 of sixteen padded messages of `stride` blocks each, one after the other.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn digest_sixteen(blocks: &[Block], stride: usize) -> [[u8; 32]; LANES] {
    let mut state = INITIAL.map(|word| _mm512_set1_epi32(word as i32));
    for at in 0..stride {
        compress(&mut state, transposed(&std::array::from_fn(|lane| &blocks[lane * stride + at])));
    }
    let words = state.map(|word| lanes(big_endian(word)));
    std::array::from_fn(|lane| {
        let mut digest = [0; 32];
        for (bytes, words) in digest.chunks_exact_mut(4).zip(&words) {
            bytes.copy_from_slice(&words[lane].to_ne_bytes());
        }
        digest
    })
}

/// Sixteen rounds; `$w` says where a round's message word comes from. The registers change names, not places.
macro_rules! sixteen_rounds {
    ($s:ident, $k:expr, $w:expr) => {{
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $s;
        let k = |t: usize| _mm512_set1_epi32(K[$k + t / 4][t % 4] as i32);
        round(a, b, c, &mut d, e, f, g, &mut h, k(0), $w(0));
        round(h, a, b, &mut c, d, e, f, &mut g, k(1), $w(1));
        round(g, h, a, &mut b, c, d, e, &mut f, k(2), $w(2));
        round(f, g, h, &mut a, b, c, d, &mut e, k(3), $w(3));
        round(e, f, g, &mut h, a, b, c, &mut d, k(4), $w(4));
        round(d, e, f, &mut g, h, a, b, &mut c, k(5), $w(5));
        round(c, d, e, &mut f, g, h, a, &mut b, k(6), $w(6));
        round(b, c, d, &mut e, f, g, h, &mut a, k(7), $w(7));
        round(a, b, c, &mut d, e, f, g, &mut h, k(8), $w(8));
        round(h, a, b, &mut c, d, e, f, &mut g, k(9), $w(9));
        round(g, h, a, &mut b, c, d, e, &mut f, k(10), $w(10));
        round(f, g, h, &mut a, b, c, d, &mut e, k(11), $w(11));
        round(e, f, g, &mut h, a, b, c, &mut d, k(12), $w(12));
        round(d, e, f, &mut g, h, a, b, &mut c, k(13), $w(13));
        round(c, d, e, &mut f, g, h, a, &mut b, k(14), $w(14));
        round(b, c, d, &mut e, f, g, h, &mut a, k(15), $w(15));
        $s = [a, b, c, d, e, f, g, h];
    }};
}

/// FIPS 180-4 6.2.2 for one block of each message.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: &mut [__m512i; 8], mut w: [__m512i; 16]) {
    let mut s = *state;
    sixteen_rounds!(s, 0, |t: usize| w[t]);
    for k in [4, 8, 12] {
        let mut next = |t: usize| {
            w[t] = scheduled(w[t], w[(t + 1) % 16], w[(t + 9) % 16], w[(t + 14) % 16]);
            w[t]
        };
        sixteen_rounds!(s, k, next);
    }
    for (word, new) in state.iter_mut().zip(s) {
        *word = _mm512_add_epi32(*word, new);
    }
}

/// One round: `d` becomes the next `e`, `h` the next `a`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(clippy::too_many_arguments, reason = "the eight working variables, the constant and the word")]
fn round(
    a: __m512i,
    b: __m512i,
    c: __m512i,
    d: &mut __m512i,
    e: __m512i,
    f: __m512i,
    g: __m512i,
    h: &mut __m512i,
    k: __m512i,
    w: __m512i,
) {
    let sum1 = xor3(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
    let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
    let t1 = _mm512_add_epi32(_mm512_add_epi32(*h, _mm512_add_epi32(k, w)), _mm512_add_epi32(sum1, choice));
    let sum0 = xor3(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
    let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
    *d = _mm512_add_epi32(*d, t1);
    *h = _mm512_add_epi32(t1, _mm512_add_epi32(sum0, majority));
}

/// The word of the message schedule sixteen after `w0`. FIPS 180-4 6.2.2 step 1.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn scheduled(w0: __m512i, w1: __m512i, w9: __m512i, w14: __m512i) -> __m512i {
    let small0 = xor3(_mm512_ror_epi32::<7>(w1), _mm512_ror_epi32::<18>(w1), _mm512_srli_epi32::<3>(w1));
    let small1 = xor3(_mm512_ror_epi32::<17>(w14), _mm512_ror_epi32::<19>(w14), _mm512_srli_epi32::<10>(w14));
    _mm512_add_epi32(_mm512_add_epi32(w0, small0), _mm512_add_epi32(w9, small1))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

/// Swaps the bytes of every word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn big_endian(words: __m512i) -> __m512i {
    let order = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(words, order)
}

/// Word `i` of all sixteen blocks in register `i`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(blocks: &[&Block; LANES]) -> [__m512i; 16] {
    let rows: [__m512i; 16] = std::array::from_fn(|lane| big_endian(row(blocks[lane])));
    // First 4 × 4 words within each quarter of the registers, then the quarters.
    let mut pairs = rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in [0, 4, 8, 12] {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    let mut words = fours;
    for k in 0..4 {
        let even = |i: usize| _mm512_shuffle_i32x4::<0x88>(fours[i + k], fours[i + 4 + k]);
        let odd = |i: usize| _mm512_shuffle_i32x4::<0xdd>(fours[i + k], fours[i + 4 + k]);
        words[k] = _mm512_shuffle_i32x4::<0x88>(even(0), even(8));
        words[4 + k] = _mm512_shuffle_i32x4::<0x88>(odd(0), odd(8));
        words[8 + k] = _mm512_shuffle_i32x4::<0xdd>(even(0), even(8));
        words[12 + k] = _mm512_shuffle_i32x4::<0xdd>(odd(0), odd(8));
    }
    words
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "a register's bytes have no safe constructor")]
fn row(block: &Block) -> __m512i {
    // SAFETY: both are 64 bytes, and any bytes are a valid register.
    unsafe { std::mem::transmute::<Block, __m512i>(*block) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "as above")]
fn lanes(words: __m512i) -> [u32; LANES] {
    // SAFETY: both are 64 bytes, and any bytes are valid words.
    unsafe { std::mem::transmute::<__m512i, [u32; LANES]>(words) }
}
