//! Reads a log and checks its chain.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use crate::entry::MAX_LINE;
use crate::{Entry, Error, Hash, files};

/// Problems that are named; more are counted.
const MAX_NAMED: usize = 100;

/// Number and hash of a log's last entry: note it elsewhere, and a log that was replaced or cut shows against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The entry's number.
    pub seq: u64,
    /// The entry's hash.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed =
            text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.parse().ok()?)));
        let (seq, hash) = parsed.ok_or_else(|| Error::Head { text: text.chars().take(120).collect() })?;
        Ok(Head { seq, hash })
    }
}

/// A place at which the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which file.
    pub file: String,
    /// Which line of it, from 1 on.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// Result of reading a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries whose own hash holds.
    pub entries: u64,
    /// Number of the first entry that is here: those before went with the oldest files.
    pub first: Option<u64>,
    /// The last entry.
    pub head: Option<Head>,
    /// Places at which the chain does not hold; the first 100 are named.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub problem_count: u64,
    /// Bytes of a last line that was being written.
    pub torn_bytes: u64,
}

impl Report {
    fn problem(&mut self, file: &Path, line: u64, what: String) {
        self.problem_count += 1;
        if self.problems.len() < MAX_NAMED {
            let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.problems.push(Problem { file, line, what });
        }
    }
}

/// Reads all entries of a log, oldest first, hands each to `each`, and says where the chain does not hold.
pub fn read(folder: &Path, mut each: impl FnMut(&Entry)) -> Result<Report, Error> {
    if !folder.is_dir() {
        return Err(Error::Absent { path: folder.to_path_buf() });
    }
    let files = files::list(folder)?;
    if files.is_empty() {
        return Err(Error::Absent { path: folder.to_path_buf() });
    }
    let mut report = Report::default();
    let last = files.len() - 1;
    for (place, (first, path)) in files.iter().enumerate() {
        let file = File::open(path).map_err(Error::file("read", path))?;
        let mut lines = BufReader::new(file);
        let (mut number, mut text) = (0, Vec::new());
        loop {
            text.clear();
            let limit = MAX_LINE as u64 + 1;
            let got =
                lines.by_ref().take(limit).read_until(b'\n', &mut text).map_err(Error::file("read", path))?;
            if got == 0 {
                break;
            }
            number += 1;
            if text.pop_if(|last| *last == b'\n').is_none() {
                if got as u64 == limit {
                    report.problem(path, number, format!("a line of more than {MAX_LINE} bytes"));
                    break;
                }
                // The writer was interrupted; it cuts this off when it opens the log again.
                match place == last {
                    true => report.torn_bytes = got as u64,
                    false => report.problem(path, number, "the line has no end".to_owned()),
                }
                break;
            }
            let line = std::str::from_utf8(&text).map_err(|_| "the line is no text".to_owned());
            match line.and_then(Entry::from_line) {
                Ok((entry, hash)) => {
                    if number == 1 && entry.seq != *first {
                        report.problem(
                            path,
                            number,
                            format!("it begins with entry {}, not {first}", entry.seq),
                        );
                    }
                    follow(&mut report, path, number, &entry);
                    report.head = Some(Head { seq: entry.seq, hash });
                    report.entries += 1;
                    report.first.get_or_insert(entry.seq);
                    each(&entry);
                }
                Err(what) => report.problem(path, number, what),
            }
        }
    }
    Ok(report)
}

/// Checks that an entry follows the one before it.
fn follow(report: &mut Report, path: &Path, line: u64, entry: &Entry) {
    let Some(before) = report.head else {
        if entry.seq == 0 && entry.previous != Hash::default() {
            report.problem(path, line, "the first entry of all names one before it".to_owned());
        }
        return;
    };
    if entry.seq != before.seq.wrapping_add(1) {
        report.problem(path, line, format!("entry {} follows entry {}", entry.seq, before.seq));
    } else if entry.previous != before.hash {
        let what = format!(
            "entry {} names {} as the one before it, which is {}",
            entry.seq, entry.previous, before.hash
        );
        report.problem(path, line, what);
    }
}
