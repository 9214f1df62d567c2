//! What people and machines read: tables and plain lines on stdout, one JSON object on its last line with `--json`, logs
//! and errors on stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing_subscriber::EnvFilter;

/// Logs go to stderr: compact for a terminal, one JSON object a line otherwise. What is asked for comes first, then
/// `RUST_LOG`, then `default`.
pub fn init_logging(asked: Option<&str>, default: &str) {
    let filter = match asked {
        Some(asked) => EnvFilter::try_new(asked),
        None => EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(default)),
    };
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.compact().init();
    } else {
        log.json().init();
    }
}

/// Most characters of one cause of an error: some parsers repeat the whole line of a document that they refuse.
const MAX_CAUSE: usize = 2_000;

/// Text without what commands a terminal or turns the order of letters: an answer of a server, a file's column or the subject of an
/// entry may hold it. Written as JSON writes it, so that an object on a line stays the same object.
fn plain(text: &str) -> Cow<'_, str> {
    let commands = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match commands(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A line for people; a closed pipe is not an error of ours.
pub fn line(text: impl AsRef<str>) {
    let _ = try_line(text.as_ref());
}

/// A line of many; an error if nobody reads any more.
pub fn try_line(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{}", plain(text))
}

/// A remark for people, beside the result.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

/// One object on one line: the last of stdout.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// The whole chain of causes, once.
pub fn error(error: &anyhow::Error) {
    note(&error_text(error));
}

fn error_text(error: &anyhow::Error) -> String {
    let causes = error.chain().enumerate().map(|(at, cause)| {
        let text = cause.to_string();
        let (cut, dots) = match text.char_indices().nth(MAX_CAUSE) {
            Some((end, _)) => (&text[..end], "…"),
            None => (&text[..], ""),
        };
        format!("{}{cut}{dots}", if at == 0 { "error: " } else { "\n  because: " })
    });
    causes.collect()
}

/// Seconds since 1970 as RFC 3339 in UTC; the bare number where there is no such year.
pub fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// A row of a [`table`] of names and figures.
pub fn row(name: &str, figure: impl Display) -> Vec<String> {
    vec![name.to_owned(), figure.to_string()]
}

/// A table with aligned columns; those of numbers (cells that start with a digit) to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    // A cell is one line, whoever has filled it: rows that are none would look like figures.
    let one_line = |row: &Vec<String>| row.iter().map(|cell| cell.replace('\n', "\\n")).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(one_line).collect();
    table_lines(header, &rows).iter().for_each(line);
}

fn table_lines(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let column = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let width = |at: usize| {
        let cells = column(at).map(|cell| cell.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    // A cell without a value says nothing about its column.
    let is_number = |cell: &&String| cell.starts_with(|c: char| c.is_ascii_digit());
    let has_value = |cell: &&String| !cell.is_empty() && *cell != "–";
    let to_the_right = |at: usize| column(at).filter(has_value).all(|cell| is_number(&cell));
    let columns: Vec<(usize, bool)> = (0..header.len()).map(|at| (width(at), to_the_right(at))).collect();
    let print = |cells: &[String]| {
        let padded = cells.iter().zip(&columns).map(|(cell, (width, right))| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let names: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let rule: Vec<String> = columns.iter().map(|(width, _)| "─".repeat(*width)).collect();
    [names, rule].iter().chain(rows).map(|row| print(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_commands_the_terminal() {
        let all = (0..=0x2100).filter_map(char::from_u32).collect::<String>();
        let shown = plain(&all);
        assert!(shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')), "{shown:?}");
        for hidden in ['\u{1b}', '\r', '\u{7}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}'] {
            assert!(!shown.contains(hidden), "{hidden:?}");
        }
        for kept in ["ä €, 25 °C – “…”", "two\nlines\tand a tab", "─────", "日本語"]
        {
            assert_eq!(plain(kept), kept);
        }
        // An object on a line stays the object that it is.
        let object = serde_json::json!({ "what": all });
        let line = plain(&serde_json::to_string(&object).unwrap()).into_owned();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), object);
    }

    #[test]
    fn an_error_repeats_no_document() {
        let huge = anyhow::anyhow!("TOML: {}", "ä[".repeat(1 << 20)).context("this is no trust file");
        let text = error_text(&huge);
        assert!(text.starts_with("error: this is no trust file\n  because: TOML: ä["), "{text}");
        assert!(text.chars().count() < MAX_CAUSE + 100 && text.ends_with('…'), "{}", text.len());
        let short = error_text(&anyhow::anyhow!("inner").context("outer"));
        assert_eq!(short, "error: outer\n  because: inner");
    }

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let rows = [("fog-1", "7", "9 of 9"), ("a", "1234", "all"), ("b", "–", "")];
        let rows = rows.map(|(a, b, c)| vec![a.to_owned(), b.to_owned(), c.to_owned()]);
        let expected = [
            "node   height  value",
            "─────  ──────  ──────",
            "fog-1       7  9 of 9",
            "a        1234  all",
            "b           –",
        ];
        assert_eq!(table_lines(&["node", "height", "value"], &rows), expected);
    }
}
