//! Records of tables of text, line by line: a quotation mark that is never closed costs its own line, not the rest of the file.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use crate::table::decode;

/// Longest line, in bytes; what is longer is parted.
const MAX_LINE: usize = 16 << 20;

/// Lines of one record at most: addresses have some.
const MAX_LINES: usize = 20;

/// Record of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its first line, from 1.
    pub(crate) line: u64,
    /// Whether each quotation mark that opens a field is closed.
    pub(crate) whole: bool,
}

/// Reader of records, RFC 4180 with any separator and any end of lines.
pub(crate) struct Records<R> {
    from: R,
    separator: u8,
    /// Lines that were read and belong to no record yet, the next first.
    held: VecDeque<Vec<u8>>,
    /// Lines that were given away.
    lines: u64,
    /// The last line ended with a carriage return: a line feed belongs to it.
    returned: bool,
    /// Fields of the first record.
    width: usize,
}

impl<R: BufRead> Records<R> {
    pub(crate) fn new(from: R, separator: u8) -> Self {
        Self { from, separator, held: VecDeque::new(), lines: 0, returned: false, width: 0 }
    }

    /// The number of fields that a record has, where the first is none: what stands before a header.
    pub(crate) fn set_width(&mut self, width: usize) {
        self.width = width;
    }

    /// Reads the next record that is not empty into `fields`, trimmed; `None` at the end.
    pub(crate) fn next(&mut self, fields: &mut Vec<String>) -> io::Result<Option<Record>> {
        let text = loop {
            match self.line()? {
                None => return Ok(None),
                Some(text) if text.is_empty() => {}
                Some(text) => break text,
            }
        };
        let line = self.lines;
        let mut whole = split(&text, self.separator, fields) != Marks::Open;
        if !whole {
            whole = self.join(text.clone(), fields)?;
            if !whole {
                split(&text, self.separator, fields);
            }
        }
        Ok(Some(Record { line, whole }))
    }

    /// Joins an open line with those behind it until it is closed. Returns whether it is then a record as others are: none of the
    /// joined lines is one by itself.
    fn join(&mut self, mut text: Vec<u8>, fields: &mut Vec<String>) -> io::Result<bool> {
        let (mut taken, mut closed) = (Vec::new(), false);
        let mut alone = Vec::new();
        while taken.len() < MAX_LINES && !closed {
            let Some(next) = self.line()? else { break };
            text.push(b'\n');
            text.extend_from_slice(&next);
            let is_record =
                split(&next, self.separator, &mut alone) == Marks::Paired && alone.len() == self.width;
            taken.push(next);
            if is_record {
                break;
            }
            closed = split(&text, self.separator, fields) != Marks::Open;
        }
        let joined = closed && (self.width == 0 || fields.len() == self.width);
        if !joined {
            self.lines -= taken.len() as u64;
            taken.into_iter().rev().for_each(|line| self.held.push_front(line));
        }
        Ok(joined)
    }

    /// The next line without its end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.held.pop_front() {
            self.lines += 1;
            return Ok(Some(line));
        }
        let (mut line, mut any) = (Vec::new(), false);
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            if std::mem::take(&mut self.returned) && buffer[0] == b'\n' {
                self.from.consume(1);
                continue;
            }
            any = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let room = MAX_LINE - line.len();
            let taken = end.unwrap_or(buffer.len()).min(room);
            line.extend_from_slice(&buffer[..taken]);
            let ended = end == Some(taken);
            self.returned = ended && buffer[taken] == b'\r';
            self.from.consume(taken + usize::from(ended));
            if ended || line.len() >= MAX_LINE {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        if self.lines == 0
            && let Some(rest) = line.strip_prefix("\u{feff}".as_bytes())
        {
            line = rest.to_vec();
        }
        self.lines += 1;
        Ok(Some(line))
    }
}

/// Quotation marks of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Each that opens a field is closed.
    Paired,
    /// One only closes: the field may have begun on a line before.
    Closing,
    /// One is never closed.
    Open,
}

/// Parts a line into its fields.
fn split(line: &[u8], separator: u8, fields: &mut Vec<String>) -> Marks {
    let (mut count, mut at, mut closed) = (0, 0, true);
    let mut marks = Marks::Paired;
    let mut quoted = Vec::new();
    loop {
        let rest = &line[at..];
        let end_from = |from: usize| {
            line[from..].iter().position(|byte| *byte == separator).map_or(line.len(), |end| from + end)
        };
        let blank = rest.iter().take_while(|byte| **byte == b' ').count();
        if rest.get(blank) == Some(&b'"') {
            quoted.clear();
            at += blank + 1;
            closed = false;
            while let Some(end) = line[at..].iter().position(|byte| *byte == b'"') {
                quoted.extend_from_slice(&line[at..at + end]);
                at += end + 1;
                if line.get(at) == Some(&b'"') {
                    quoted.push(b'"');
                    at += 1;
                } else {
                    closed = true;
                    break;
                }
            }
            let end = if closed { end_from(at) } else { line.len() };
            quoted.extend_from_slice(&line[at..end]);
            at = end;
            put(fields, &mut count, decode(&quoted).trim());
        } else {
            let end = end_from(at);
            let text = decode(&line[at..end]);
            let text = text.trim();
            if text.ends_with('"') {
                marks = Marks::Closing;
            }
            put(fields, &mut count, text.trim_end_matches('"'));
            at = end;
        }
        if at >= line.len() {
            break;
        }
        at += 1;
    }
    fields.truncate(count);
    if closed { marks } else { Marks::Open }
}

/// Puts a field into a list whose texts are used again.
fn put(fields: &mut Vec<String>, count: &mut usize, text: &str) {
    match fields.get_mut(*count) {
        Some(known) => {
            known.clear();
            known.push_str(text);
        }
        None => fields.push(text.to_owned()),
    }
    *count += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], separator: u8) -> Vec<(u64, bool, Vec<String>)> {
        let mut records = Records::new(text, separator);
        let (mut found, mut fields) = (Vec::new(), Vec::new());
        while let Some(Record { line, whole }) = records.next(&mut fields).unwrap() {
            if found.is_empty() {
                records.set_width(fields.len());
            }
            found.push((line, whole, fields.clone()));
        }
        found
    }

    #[test]
    fn records_are_those_of_rfc_4180() {
        let check = |text: &str, expected: &[(u64, &str)]| {
            let found = all(text.as_bytes(), b',');
            let found: Vec<(u64, String)> = found.into_iter().map(|(n, _, f)| (n, f.join("|"))).collect();
            let expected: Vec<(u64, String)> = expected.iter().map(|(n, t)| (*n, (*t).to_owned())).collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("a,b\n1,2\n", &[(1, "a|b"), (2, "1|2")]);
        check("\u{feff}a,b\r\n\r\n1,2", &[(1, "a|b"), (3, "1|2")]);
        check("a,b\r1,2\r", &[(1, "a|b"), (2, "1|2")]);
        check("a,b\n\"x,y\",\"1 \"\"2\"\"\"\n", &[(1, "a|b"), (2, "x,y|1 \"2\"")]);
        check("a,b\n\"two\nlines\",2\n3,4\n", &[(1, "a|b"), (2, "two\nlines|2"), (4, "3|4")]);
        check("a,b,\n,,\n", &[(1, "a|b|"), (2, "||")]);
        check("a,b\n5\" pipe,2\n", &[(1, "a|b"), (2, "5\" pipe|2")]);
        check("", &[]);
    }

    #[test]
    fn a_mark_that_is_never_closed_costs_its_own_line() {
        let lines: String = (0..50).map(|n| format!("{n},x\n")).collect();
        let check = |text: String, open: usize, rows: usize| {
            let found = all(text.as_bytes(), b',');
            assert_eq!(found.iter().filter(|(_, whole, _)| !whole).count(), open, "{text}");
            assert_eq!(found.len(), rows, "{text}");
        };
        check(format!("a,b\n\"7,x\n{lines}"), 1, 52);
        check(format!("a,b\n\"7,x\n{lines}\"8,x\n{lines}"), 2, 103);
        check(format!("a,b\n{lines}1,\"x"), 1, 52);
        // What closes it three lines on is none of its own.
        check("a,b\n1,\"x\n2,x\n3,x\n4,x\",\n".to_owned(), 1, 5);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, text in "[a,\"\n\r ]{0,60}") {
            let _ = (all(&bytes, b','), all(text.as_bytes(), b','));
        }
    }
}
