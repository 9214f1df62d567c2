//! Text of a DBC file as words, numbers and strings.

/// A place in a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Number of the line, from 1.
    pub(super) fn line(&self) -> usize {
        1 + self.text[..self.at].bytes().filter(|b| *b == b'\n').count()
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes past this character if it is the next after white space.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let rest = self.rest().trim_start();
        let Some(after) = rest.strip_prefix(wanted) else { return false };
        self.at = self.text.len() - after.len();
        true
    }

    pub(super) fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) {
            return Ok(());
        }
        let found: String = self.rest().trim_start().chars().take(12).collect();
        Err(format!("{wanted:?} is missing before {found:?}"))
    }

    /// A word of letters, digits, `_` and what else tools let pass in names.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        self.skip_space();
        let rest = self.rest();
        let end = rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, ':' | ';' | ',' | '|' | '@' | '(' | ')' | '[' | ']' | '"')
            })
            .unwrap_or(rest.len());
        self.at += end;
        (end > 0).then(|| &rest[..end])
    }

    pub(super) fn need_word(&mut self) -> Result<&'a str, String> {
        self.word().ok_or_else(|| "a name is missing".to_owned())
    }

    /// The word that follows, without going past it.
    pub(super) fn peek_word(&self) -> Option<&'a str> {
        self.clone().word()
    }

    /// A number; `1.#INF` and the like are infinite.
    pub(super) fn number(&mut self) -> Result<f64, String> {
        let word = self.word().ok_or("a number is missing")?;
        number(word).ok_or_else(|| format!("{word:?} is no number"))
    }

    /// A whole number.
    pub(super) fn integer(&mut self) -> Result<i64, String> {
        let word = self.word().ok_or("a number is missing")?;
        word.parse()
            .ok()
            .or_else(|| number(word).filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64))
            .ok_or_else(|| format!("{word:?} is no whole number"))
    }

    /// A text in quotes, over several lines too; `\"` is a quote in it. At its end a lone backslash is one.
    pub(super) fn string(&mut self) -> Option<String> {
        let mut ahead = self.clone();
        if !ahead.eat('"') {
            return None;
        }
        let rest = ahead.rest();
        let mut from = 0;
        loop {
            let quote = from + rest[from..].find('"')?;
            let escaped = rest[..quote].ends_with('\\') && !ends_statement(&rest[quote + 1..]);
            from = quote + 1;
            if !escaped {
                self.at = ahead.at + from;
                return Some(rest[..quote].replace("\\\"", "\""));
            }
        }
    }

    /// Goes to the end of the line.
    pub(super) fn skip_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |end| end + 1);
    }

    /// Goes past the next `;` outside quotes, but not into a line that begins with a known keyword.
    pub(super) fn skip_statement(&mut self, is_keyword: impl Fn(&str) -> bool) {
        loop {
            let Some(next) = self.rest().find(['"', ';', '\n']) else {
                self.at = self.text.len();
                return;
            };
            let sign = self.rest().as_bytes()[next];
            match sign {
                b'"' => {
                    self.at += next;
                    if self.string().is_none() {
                        self.at += 1;
                    }
                }
                b';' => {
                    self.at += next + 1;
                    return;
                }
                _ => {
                    self.at += next + 1;
                    if self.peek_word().is_some_and(&is_keyword) {
                        return;
                    }
                }
            }
        }
    }
}

/// Whether a backslash before a quote is a sign of its own: what follows ends the statement.
fn ends_statement(after: &str) -> bool {
    after.trim_start_matches([' ', '\t']).starts_with(';')
}

fn number(word: &str) -> Option<f64> {
    if let Ok(number) = word.parse() {
        return Some(number);
    }
    word.to_ascii_uppercase().contains("#INF").then_some(if word.starts_with('-') {
        f64::NEG_INFINITY
    } else {
        f64::INFINITY
    })
}

/// Bytes as text whose lines end in LF: UTF-8, UTF-16 with its mark, else Windows-1252 with the five bytes that it leaves
/// open as U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => encoding_rs::UTF_16LE.decode(bytes).0.into_owned(),
        bytes => decode_bytes(bytes),
    };
    // Old tools end lines in CR alone.
    if text.contains('\n') { text } else { text.replace('\r', "\n") }
}

fn decode_bytes(bytes: &[u8]) -> String {
    const C1: [char; 32] = [
        '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}',
        '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
    ];
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .map(|byte| match byte {
                0x80..=0x9f => C1[usize::from(byte - 0x80)],
                byte => char::from(*byte),
            })
            .collect(),
    }
}
