//! Values of JSON that stand one behind the other.

use serde_json::Value;

/// The values of JSON in a text, one behind the other with blanks or a comma between, as far as they are complete; read one by one.
#[derive(Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    /// Of a text, perhaps with a byte order mark before it.
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii_start() }
    }

    /// What stands behind the last value that was read, without the comma that follows it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Values<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut stream = serde_json::Deserializer::from_slice(self.rest).into_iter();
        let value = stream.next()?.ok()?;
        let rest = self.rest[stream.byte_offset()..].trim_ascii_start();
        self.rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        Some(value)
    }
}

/// All of them, and whether they are all of the text.
pub(crate) fn several(text: &[u8]) -> (Vec<Value>, bool) {
    let mut values = Values::new(text);
    let all = values.by_ref().collect();
    (all, values.rest().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_stand_apart_or_together() {
        let check = |text: &str, expected: (usize, &str)| {
            let mut values = Values::new(text.as_bytes());
            let found = values.by_ref().count();
            assert_eq!((found, std::str::from_utf8(values.rest()).unwrap()), expected, "{text}");
            assert_eq!(several(text.as_bytes()).1, expected.1.is_empty(), "{text}");
        };
        check("{}", (1, ""));
        check("\u{feff}[1] {\"a\":2}", (2, ""));
        check("[1],[2]", (2, ""));
        check(" [1][2] , {}\r\n", (3, ""));
        check("", (0, ""));
        check("[1] x", (1, "x"));
        // What is cut may go on with blanks.
        check("[1] [\"a] ", (1, "[\"a] "));
        check("[1],[2 ", (1, "[2 "));
        check("[1], ", (1, ""));
        check("[", (0, "["));
        check("}", (0, "}"));
    }
}
