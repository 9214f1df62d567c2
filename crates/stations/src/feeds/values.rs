//! Values of JSON that stand one behind the other.

use serde_json::Value;

/// The values of JSON in a text, one behind the other with blanks or a comma between, and whether they are all of it.
pub(crate) fn several(text: &[u8]) -> (Vec<Value>, bool) {
    let (mut values, mut rest) = (Vec::new(), text.trim_ascii());
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
        let Some(Ok(value)) = stream.next() else { return (values, false) };
        let read = stream.byte_offset();
        values.push(value);
        rest = rest[read..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    (values, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_stand_apart_or_together() {
        let check = |text: &str, expected: (usize, bool)| {
            let (values, is_whole) = several(text.as_bytes());
            assert_eq!((values.len(), is_whole), expected, "{text}");
        };
        check("{}", (1, true));
        check("[1] {\"a\":2}", (2, true));
        check("[1],[2]", (2, true));
        check(" [1][2] , {}\r\n", (3, true));
        check("", (0, true));
        check("[1] x", (1, false));
        check("[1][2", (1, false));
        check("[", (0, false));
    }
}
