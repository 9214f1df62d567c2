//! Encodings of texts, told by their first bytes.

use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Encodings of East Asia, each with words of which one proves it: voltage, current, charge, discharge, rest. No text in
/// Latin letters has their bytes.
const EAST_ASIAN: [(&Encoding, &[&str]); 4] = [
    (GB18030, &["电压", "电流", "充电", "放电", "静置", "搁置"]),
    (SHIFT_JIS, &["電圧", "電流", "充電", "放電"]),
    (BIG5, &["電壓", "電流", "充電", "放電"]),
    (EUC_KR, &["전압", "전류", "충전", "방전"]),
];

/// The encoding of a text that begins so: Windows-1252 where nothing tells another.
pub(super) fn of(head: &[u8]) -> &'static Encoding {
    match head {
        [0xff, 0xfe, ..] => return UTF_16LE,
        [0xfe, 0xff, ..] => return UTF_16BE,
        _ => {}
    }
    if let Some(wide) = wide_without_mark(head) {
        return wide;
    }
    if is_utf8(head) {
        return UTF_8;
    }
    EAST_ASIAN
        .into_iter()
        .find(|(encoding, words)| {
            words.iter().any(|word| memchr::memmem::find(head, &encoding.encode(word).0).is_some())
                && decodes(encoding, head)
        })
        .map_or(WINDOWS_1252, |(encoding, _)| encoding)
}

/// Whether all is of an encoding, but for a character that is cut off at the end.
fn decodes(encoding: &'static Encoding, head: &[u8]) -> bool {
    (0..4).any(|cut| {
        let whole = &head[..head.len().saturating_sub(cut)];
        encoding.decode_without_bom_handling_and_without_replacement(whole).is_some()
    })
}

/// Whether it is UTF-8, but for a character that is cut off at the end.
fn is_utf8(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// UTF-16 by its bytes of value 0: every second byte of Latin letters and digits, of which a table has many in any language.
fn wide_without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = head.len() / 2;
    let (even, odd) = (zeros(0), zeros(1));
    let encoding = match half {
        0..4 => return None,
        _ if odd * 10 > half * 4 && even * 50 < half => UTF_16LE,
        _ if even * 10 > half * 4 && odd * 50 < half => UTF_16BE,
        _ => return None,
    };
    decodes(encoding, &head[..head.len() & !1]).then_some(encoding)
}
