//! Zone that the name of a column of time states.

/// A stated zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// So many seconds ahead of UTC.
    Ahead(i32),
    /// A name that has no single meaning.
    Named(&'static str),
}

/// Abbreviations of zones: some are of several countries, and each is written in summer and winter alike.
const NAMES: [&str; 14] =
    ["CEST", "CET", "MESZ", "MEZ", "EEST", "EET", "EST", "EDT", "CST", "CDT", "PST", "PDT", "JST", "KST"];

/// The zone in a name as `Time (UTC)`, `time_utc`, `Time (UTC+2)`, `Zeit [MEZ]`.
pub(super) fn stated(name: &str) -> Option<Zone> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | ':' | '\u{2212}');
    let mut words = name.split(|c| !is_part(c)).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        if let Some(known) = NAMES.into_iter().find(|known| *known == word) {
            return Some(Zone::Named(known));
        }
        let head = word.get(..3).unwrap_or_default();
        if !head.eq_ignore_ascii_case("utc") && !head.eq_ignore_ascii_case("gmt") {
            continue;
        }
        let behind = if word.len() == 3 { words.peek().copied().unwrap_or_default() } else { &word[3..] };
        match ahead(behind) {
            Some(seconds) => return Some(Zone::Ahead(seconds)),
            None if word.len() == 3 || behind.starts_with('-') => return Some(Zone::Ahead(0)),
            None => {}
        }
    }
    None
}

/// The abbreviation of a zone among the words of a date, as in `Tue May 16 08:59:10 CEST 2023`.
pub(crate) fn named(date: &str) -> Option<&'static str> {
    let mut words = date.split_whitespace();
    words.find_map(|word| NAMES.into_iter().find(|known| *known == word))
}

/// Seconds of `+2`, `-05:30`, `+0200`.
fn ahead(text: &str) -> Option<i32> {
    let (sign, digits) = match text.chars().next()? {
        '+' => (1, &text[1..]),
        '-' => (-1, &text[1..]),
        '\u{2212}' => (-1, &text['\u{2212}'.len_utf8()..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..15).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_names() {
        for (name, expected) in [
            ("Time (UTC)", Some(Zone::Ahead(0))),
            ("time_utc", Some(Zone::Ahead(0))),
            ("UTC-Zeit", Some(Zone::Ahead(0))),
            ("Time (UTC+2)", Some(Zone::Ahead(7200))),
            ("Time [GMT -05:30]", Some(Zone::Ahead(-19_800))),
            ("Zeit (UTC+0100)", Some(Zone::Ahead(3600))),
            ("Time (CET)", Some(Zone::Named("CET"))),
            ("Zeit [MESZ]", Some(Zone::Named("MESZ"))),
            ("Timestamp", None),
            ("Time (s)", None),
            ("Zeit est", None),
        ] {
            assert_eq!(stated(name), expected, "{name}");
        }
    }
}
