//! Texts that are no tables, and logs of a bus in forms that are not read: each with its remedy.

use super::header::Name;

const CONVERT: &str = "record with `candump -L`, or convert it to Vector ASC or BLF, which are read";

/// The kind of a text that is no table, as a problem for a person.
pub(crate) fn kind(lines: &[Vec<u8>]) -> Option<String> {
    let first = lines.iter().map(|line| line.trim_ascii()).find(|line| !line.is_empty())?;
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    if matches!(first, [b'{', ..] | [b'[', b'{' | b'[', ..] | b"[") {
        return Some("this is JSON, which is no table: write its records as lines of CSV".into());
    }
    if [b"<?xml".as_slice(), b"<!DOCTYPE", b"<!doctype", b"<html"].iter().any(|head| first.starts_with(head))
    {
        return Some("this is XML or HTML, which is no table: save it as CSV or XLSX".into());
    }
    if first.starts_with(b"***BUSMASTER") {
        return Some(format!("this is a log of BUSMASTER, which is not read: {CONVERT}"));
    }
    if first.starts_with(b"Chn Identifier") {
        return Some(format!("this is a log of Kvaser's text form, which is not read: {CONVERT}"));
    }
    if is_slcan(first) {
        return Some(format!("these seem to be frames of SLCAN, which state no times: {CONVERT}"));
    }
    None
}

/// `t1008E00D83FF00000000`, `T18FF50E58…`: identifier, length, and as many bytes.
fn is_slcan(line: &[u8]) -> bool {
    let digits = match line {
        [b't' | b'r', rest @ ..] if rest.len() > 3 => &rest[3..],
        [b'T' | b'R', rest @ ..] if rest.len() > 8 => &rest[8..],
        _ => return false,
    };
    let length = usize::from(digits[0].wrapping_sub(b'0'));
    length <= 8 && digits.len() > 2 * length && line[1..].iter().all(u8::is_ascii_hexdigit)
}

/// The problem of a table whose columns are those of frames of a bus.
pub(crate) fn frames(names: &[Name]) -> Option<String> {
    let has = |keys: &[&str]| names.iter().any(|name| keys.contains(&name.key.as_str()));
    let is_addressed = has(&["addr", "address"]) && has(&["bus", "src", "channel"]);
    let is_named = has(&["id", "can id", "arb id", "arbitration id", "identifier", "msg id", "message id"]);
    let is_frames = (is_named || is_addressed)
        && has(&["data", "payload", "data bytes", "b 0", "b 1", "d 0", "d 1", "byte 0", "byte 1", "data 0"]);
    is_frames.then(|| {
        "its columns are those of frames of a bus, in a form that is not known: write them as python-can or SavvyCAN do \
         (docs/sources.md), or as candump or Vector ASC"
            .to_owned()
    })
}

/// The problem of a table that has one value in each row, and says beside it which.
pub(crate) fn one_value(names: &[Name]) -> Option<String> {
    const VALUES: [&str; 4] = ["value", "values", "wert", "valeur"];
    const WHICH: [&str; 12] = [
        "signal",
        "signal name",
        "name",
        "pid",
        "parameter",
        "channel",
        "variable",
        "sensor",
        "metric",
        "measurement",
        "entity id",
        "tag",
    ];
    let find = |keys: &[&str]| names.iter().find(|name| keys.contains(&name.key.as_str()));
    let (value, which) = (find(&VALUES)?, find(&WHICH)?);
    Some(format!(
        "each row has one value ({:?}), and column {:?} says which: write a table with a column for each signal and a row for \
         each time",
        value.text, which.text
    ))
}

/// Whether names are of a text in another encoding than it was read in, as GBK in Latin-1.
pub(crate) fn are_of_another_encoding(names: &[Name]) -> bool {
    let is_foreign = |name: &Name| {
        let letters = name.key.chars().filter(|c| !c.is_ascii());
        name.key.chars().filter(|c| !c.is_whitespace()).count() >= 4
            && letters.clone().all(|c| ('\u{80}'..='\u{ff}').contains(&c))
            && letters.count() * 2 > name.key.chars().filter(|c| !c.is_whitespace()).count()
    };
    names.iter().filter(|name| is_foreign(name)).count() >= 2
}
