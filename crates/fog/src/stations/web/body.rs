//! The body of an answer, unpacked within bounds.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::MAX_PAGE;

/// What a file of gzip begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a body is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// More than [`MAX_PAGE`] bytes.
    TooLarge,
    /// Something else: what it is.
    Nonsense(String),
}

/// Unpacks a body that came in an encoding (`Content-Encoding`), or is a packed file.
pub(super) fn unpacked(bytes: Vec<u8>, encoding: Option<&str>) -> Result<Vec<u8>, Unreadable> {
    match encoding.map(str::trim) {
        None | Some("") => {}
        Some(known) if ["gzip", "x-gzip", "identity"].iter().any(|name| known.eq_ignore_ascii_case(name)) => {
        }
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            return Err(Unreadable::Nonsense(format!("the encoding {other:?}, which was not asked for")));
        }
    }
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(&bytes[..]).take(MAX_PAGE as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| Unreadable::Nonsense(format!("gzip that cannot be unpacked: {error}")))?;
    if plain.len() > MAX_PAGE { Err(Unreadable::TooLarge) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_unpacked_within_bounds() {
        let check = |bytes: Vec<u8>, encoding: Option<&str>, expected: Result<&[u8], &str>| {
            let found = unpacked(bytes, encoding).map_err(|why| format!("{why:?}"));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(words)) => assert!(found.contains(words), "{found}"),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        };
        check(b"[]".to_vec(), None, Ok(b"[]"));
        check(b"[]".to_vec(), Some("identity"), Ok(b"[]"));
        check(packed(b"[]"), Some("gzip"), Ok(b"[]"));
        // A packed file, and two of them behind each other.
        check(packed(b"[]"), None, Ok(b"[]"));
        check([packed(b"a"), packed(b"b")].concat(), Some("GZIP"), Ok(b"ab"));
        check(packed(b"[]")[..10].to_vec(), Some("gzip"), Err("unpacked"));
        check(b"[]".to_vec(), Some("br"), Err("br"));
        check(packed(&vec![0; MAX_PAGE + 1]), Some("gzip"), Err("TooLarge"));
    }
}
