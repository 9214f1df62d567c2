//! Separator, header and decimal sign of a text, found by its content.

use super::header::Name;
use super::number::{self, Decimal};
use super::options::Options;
use super::text::decode;
use super::{date, foreign, mapping, presets};
use crate::{Error, unit};

/// Lines in which a header is looked for, and rows from which the rest is told.
pub(crate) const HEAD_LINES: usize = 1000;
/// Separators in the order in which they are tried.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Separator of words, any number of which are one; it is tried where no other one finds a header.
pub(crate) const SPACE: u8 = b' ';

/// Dialect of a text: how its fields are written.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub separator: u8,
    /// Lines before the first row of values.
    pub before: usize,
    pub names: Vec<Name>,
    pub decimal: Decimal,
    /// Whether single separators of thousands are read (see [`number::parse`]).
    pub grouped: bool,
    /// Whether the decimal sign is a guess: numbers have one sign that may as well part thousands.
    pub is_guessed: bool,
    pub warnings: Vec<String>,
}

/// Ranges of a line's cells, trimmed and without quotes.
pub(crate) type Ranges = Vec<(u32, u32)>;

/// Finds the cells of a line.
pub(crate) fn split(line: &[u8], separator: u8, out: &mut Ranges) {
    out.clear();
    if separator == SPACE {
        return split_words(line, out);
    }
    let mut from = 0;
    // Cells are short: a plain loop is faster here than a search.
    for (at, &byte) in line.iter().enumerate() {
        if byte == separator {
            out.push(trimmed(line, from, at));
            from = at + 1;
        } else if byte == b'"' {
            out.clear();
            return split_quoted(line, separator, out);
        }
    }
    out.push(trimmed(line, from, line.len()));
}

fn split_words(line: &[u8], out: &mut Ranges) {
    let mut from = 0;
    for word in line.split(u8::is_ascii_whitespace) {
        if !word.is_empty() {
            out.push((from as u32, (from + word.len()) as u32));
        }
        from += word.len() + 1;
    }
}

fn split_quoted(line: &[u8], separator: u8, out: &mut Ranges) {
    let mut from = 0;
    loop {
        let start = from + line[from..].iter().take_while(|b| **b == b' ').count();
        let mut inside = None;
        let mut search = from;
        if line.get(start) == Some(&b'"') {
            let mut at = start + 1;
            // A doubled quote stands for one inside; an open quote ends with the line.
            while let Some(quote) = memchr::memchr(b'"', &line[at..]) {
                at += quote + 1;
                if line.get(at) != Some(&b'"') {
                    inside = Some(trimmed(line, start + 1, at - 1));
                    break;
                }
                at += 1;
            }
            search = if inside.is_some() { at } else { from };
        }
        let end = memchr::memchr(separator, &line[search..]).map(|at| search + at);
        let to = end.unwrap_or(line.len());
        out.push(inside.unwrap_or_else(|| trimmed(line, from, to)));
        match end {
            Some(end) => from = end + 1,
            None => return,
        }
    }
}

#[inline]
fn trimmed(line: &[u8], mut from: usize, mut to: usize) -> (u32, u32) {
    while from < to && line[from].is_ascii_whitespace() {
        from += 1;
    }
    while to > from && line[to - 1].is_ascii_whitespace() {
        to -= 1;
    }
    (from as u32, to as u32)
}

pub(crate) fn cell(line: &[u8], range: (u32, u32)) -> &[u8] {
    &line[range.0 as usize..range.1 as usize]
}

/// Cells without the empty ones at the end.
#[inline]
pub(crate) fn filled(ranges: &Ranges) -> usize {
    ranges.iter().rposition(|(from, to)| to > from).map_or(0, |last| last + 1)
}

/// Tells how a text is written from its first lines.
pub(crate) fn find(lines: &[Vec<u8>], options: &Options, place: &str) -> Result<Dialect, Error> {
    if let Some(problem) = foreign::kind(lines) {
        return Err(Error::format(place, problem));
    }
    let separators: Vec<u8> = match options.separator {
        Some(separator) if separator.is_ascii() => vec![separator as u8],
        Some(_) => return Err(Error::mapping(place, "the separator is no ASCII character")),
        None => SEPARATORS.to_vec(),
    };
    let numbered = !options.mappings.is_empty() && options.mappings.iter().all(|m| m.name.starts_with('#'));
    let best = if numbered { None } else { best_header(lines, &separators, options) };
    let (separator, names, mut before) = match best {
        Some((separator, at)) => (separator, names(&lines[at], separator), at + 1),
        None if numbered => {
            let before = options.skip_lines.unwrap_or(0);
            let mut ranges = Vec::new();
            let mut width = |separator: u8| {
                lines
                    .iter()
                    .skip(before)
                    .take(10)
                    .map(|line| {
                        split(line, separator, &mut ranges);
                        filled(&ranges)
                    })
                    .max()
                    .unwrap_or(0)
            };
            let separator =
                separators.iter().copied().max_by_key(|s| (width(*s), *s == b';')).unwrap_or(b',');
            let names = (1..=width(separator)).map(|n| Name::parse(&format!("#{n}"))).collect();
            (separator, names, before)
        }
        None => {
            let first = lines.iter().find(|line| !line.is_empty());
            let shown: String =
                first.map(|line| decode(line).chars().take(120).collect()).unwrap_or_default();
            let problem = format!(
                "no line of the first {} names the columns (the first is {shown:?}): add a line with names for time, \
                 voltage and current, or name columns by number (--map time=#1 --map pack_voltage=#2 \
                 --map pack_current=#3)",
                lines.len()
            );
            return Err(Error::format(place, problem));
        }
    };
    let mut names = names;
    if let Some(line) = lines.get(before)
        && let Some(units) = units_row(line, separator, names.len())
    {
        for (name, unit) in names.iter_mut().zip(units) {
            name.unit = name.unit.take().or(unit);
        }
        before += 1;
    }
    let rows = &lines[before.min(lines.len())..];
    let mut warnings = Vec::new();
    let (decimal, grouped, is_guessed) =
        decimal(rows, separator, names.len(), options, place, &mut warnings)?;
    Ok(Dialect { separator, before, names, decimal, grouped, is_guessed, warnings })
}

fn names(line: &[u8], separator: u8) -> Vec<Name> {
    let mut ranges = Vec::new();
    split(line, separator, &mut ranges);
    ranges.truncate(filled(&ranges));
    ranges.iter().map(|range| Name::parse(&decode(cell(line, *range)))).collect()
}

/// Separator and line of the header: the line with most known or mapped names that is followed by rows of as many cells.
fn best_header(lines: &[Vec<u8>], separators: &[u8], options: &Options) -> Option<(u8, usize)> {
    let mut best: Option<(usize, u8, usize)> = None;
    let candidates = match options.skip_lines {
        Some(skip) => skip..lines.len().min(skip + 20),
        None => 0..lines.len().min(400),
    };
    for &separator in separators {
        for at in candidates.clone() {
            let score = score(lines, at, separator, options);
            if score > 0 && best.is_none_or(|(other, ..)| score > other) {
                best = Some((score, separator, at));
            }
            if options.skip_lines.is_some() && score > 0 {
                break;
            }
        }
    }
    if best.is_none() && options.separator.is_none() {
        let scored =
            candidates.map(|at| (score(lines, at, SPACE, options), at)).filter(|(score, _)| *score > 0);
        return scored.max_by_key(|(score, at)| (*score, std::cmp::Reverse(*at))).map(|(_, at)| (SPACE, at));
    }
    best.map(|(_, separator, at)| (separator, at))
}

fn score(lines: &[Vec<u8>], at: usize, separator: u8, options: &Options) -> usize {
    let line = &lines[at];
    let is_parted = separator == SPACE || memchr::memchr(separator, line).is_some();
    if line.len() > 64 << 10 || !is_parted {
        return 0;
    }
    let mut ranges = Vec::new();
    split(line, separator, &mut ranges);
    let width = filled(&ranges);
    let texts: Vec<_> = ranges[..width].iter().map(|range| cell(line, *range)).collect();
    let lettered = texts.iter().filter(|text| is_name(text)).count();
    if width < 2 || lettered * 2 <= texts.iter().filter(|text| !text.is_empty()).count() {
        return 0;
    }
    let names: Vec<Name> = texts.iter().map(|text| Name::parse(&decode(text))).collect();
    let known = names.iter().filter(|name| presets::is_known(name)).count();
    let mapped = names
        .iter()
        .filter(|name| {
            options
                .mappings
                .iter()
                .any(|m| m.name.eq_ignore_ascii_case(&name.text) || mapping::fits(&m.name, &name.text))
        })
        .count();
    let mut followers = 0;
    for row in lines.iter().skip(at + 1).take(6) {
        split(row, separator, &mut ranges);
        let filled = filled(&ranges);
        let values = ranges[..filled].iter().filter(|range| is_value(cell(row, **range))).count();
        let fits = if separator == SPACE { filled == width } else { filled <= width && 2 * filled >= width };
        followers += usize::from(filled >= 2 && fits && values >= 1);
    }
    if separator == SPACE && (followers == 0 || known + mapped < 2) {
        return 0;
    }
    if known + mapped == 0 && followers < 3 {
        return 0;
    }
    // A preamble's line can have a known word; rows below prove a header.
    (4 * known + 8 * mapped) * if followers > 0 { 3 } else { 1 } + followers
}

fn is_name(text: &[u8]) -> bool {
    !is_value(text) && text.iter().any(|b| b.is_ascii_alphabetic() || !b.is_ascii())
}

fn is_value(text: &[u8]) -> bool {
    number::parse(text, Decimal::Point, true).is_some()
        || number::parse(text, Decimal::Comma, true).is_some()
        || date::date(text, None).is_some()
        || date::time_of_day(text).is_some()
}

/// The units of a row that has nothing else.
fn units_row(line: &[u8], separator: u8, width: usize) -> Option<Vec<Option<String>>> {
    let mut ranges = Vec::new();
    split(line, separator, &mut ranges);
    let mut known = 0;
    let mut units = Vec::with_capacity(width);
    for range in ranges.iter().take(width) {
        let text = decode(cell(line, *range)).into_owned();
        let inner = text.trim_matches(|c| matches!(c, '[' | ']' | '(' | ')')).trim();
        if text.is_empty() || inner == "-" {
            units.push(None);
            continue;
        }
        let is_unit =
            unit::parse(inner).is_some() && number::parse(inner.as_bytes(), Decimal::Point, false).is_none();
        if !is_unit && inner.len() == text.len() && !inner.to_lowercase().contains("mm") {
            return None;
        }
        known += usize::from(is_unit);
        units.push(is_unit.then(|| inner.to_owned()));
    }
    (known >= 2).then_some(units)
}

fn decimal(
    rows: &[Vec<u8>],
    separator: u8,
    width: usize,
    options: &Options,
    place: &str,
    warnings: &mut Vec<String>,
) -> Result<(Decimal, bool, bool), Error> {
    match options.decimal {
        Some('.') => return Ok((Decimal::Point, true, false)),
        Some(',') => return Ok((Decimal::Comma, true, false)),
        Some(other) => {
            return Err(Error::mapping(place, format!("the decimal sign {other:?} is neither '.' nor ','")));
        }
        None => {}
    }
    let (mut points, mut commas, mut open_points, mut open_commas) = (0, 0, 0, 0);
    let mut ranges = Vec::new();
    for row in rows {
        split(row, separator, &mut ranges);
        if filled(&ranges) > width {
            continue;
        }
        for range in &ranges {
            let text = cell(row, *range);
            match number::evidence(text) {
                (Some(Decimal::Point), _) => points += 1,
                (Some(Decimal::Comma), _) => commas += 1,
                (None, true) if memchr::memchr(b',', text).is_some() => open_commas += 1,
                (None, true) => open_points += 1,
                (None, false) => {}
            }
        }
    }
    match (points, commas) {
        (0, 0) if open_commas > 0 && open_points > 0 => Err(Error::mapping(
            place,
            "the decimal sign cannot be told: cells have points and commas; give decimal = \".\" or \",\"",
        )),
        // Where cells are parted by commas, decimals with one are as rare as thousands.
        (0, 0) if open_commas > 0 && separator == b',' => Err(Error::mapping(
            place,
            "the decimal sign cannot be told: commas in cells can part decimals or thousands; give decimal = \".\" or \",\"",
        )),
        (0, 0) if open_commas > 0 => {
            warnings.push("commas are taken for decimal signs, not for separators of thousands".into());
            Ok((Decimal::Comma, false, true))
        }
        (0, 0) => Ok((Decimal::Point, false, open_points > 0)),
        (_, 0) => Ok((Decimal::Point, true, false)),
        (0, _) => Ok((Decimal::Comma, true, false)),
        _ if points > 50 * commas => Ok((Decimal::Point, true, false)),
        _ if commas > 50 * points => Ok((Decimal::Comma, true, false)),
        _ => Err(Error::mapping(
            place,
            format!(
                "the decimal sign cannot be told: {points} cells have a point, {commas} a comma; give decimal = \".\" \
                 or \",\""
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (char, usize, &[&str], Decimal)) {
        let lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        let found = find(&lines, &Options::default(), "a").expect("a dialect");
        let keys: Vec<&str> = found.names.iter().map(|name| name.text.as_str()).collect();
        assert_eq!((char::from(found.separator), found.before, keys.as_slice(), found.decimal), expected);
    }

    #[test]
    fn dialects() {
        use Decimal::{Comma, Point};
        check("t,u,i\n0,355.2,-12.5\n", (',', 1, &["t", "u", "i"], Point));
        check("Zeit;Spannung;Strom\n0;355,2;-12,5\n", (';', 1, &["Zeit", "Spannung", "Strom"], Comma));
        check(
            "a note, by hand\n\ntime\tvoltage\tcurrent\ns\tV\tA\n0\t3.7\t1\n",
            ('\t', 4, &["time", "voltage", "current"], Point),
        );
        check("time|voltage|current\n0|1,234.5|1\n", ('|', 1, &["time", "voltage", "current"], Point));
        check("\"time\";\"voltage\"\n\"0\";\"3,7\"\n", (';', 1, &["time", "voltage"], Comma));
        check("time,voltage\n\"0\",\"355,2\"\n", (',', 1, &["time", "voltage"], Comma));
        check(
            "a note, by hand\n  Time/s   U[V]  I/A\n  0.0  3.700   -1.5\n 10.0  3.6  -1.5\n",
            (' ', 2, &["Time/s", "U[V]", "I/A"], Point),
        );
    }

    #[test]
    fn quotes() {
        let mut ranges = Vec::new();
        let line = br#""a ""b"", c" , 5" ,"open"#;
        split(line, b',', &mut ranges);
        let cells: Vec<_> = ranges.iter().map(|range| decode(cell(line, *range)).into_owned()).collect();
        assert_eq!(cells, [r#"a ""b"", c"#, r#"5""#, r#""open"#]);
    }
}
