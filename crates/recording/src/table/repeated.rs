//! Headers in the midst of a file, as loggers write that append to it.

use super::cell::Cell;
use super::source::Cells;
use super::text::decode;

/// Whether a row is a header: true where it names the columns as the first one does, false where it names others.
pub(super) fn header(names: &[String], cells: Cells<'_>) -> Option<bool> {
    let is = |name: &String, text: &str| name.eq_ignore_ascii_case(text);
    let (mut filled, mut known, mut same) = (0, 0, 0);
    for (index, name) in names.iter().enumerate() {
        let Cell::Text(text) = cells.get(index) else { continue };
        let text = decode(text);
        let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\u{feff}' | '#'));
        filled += 1;
        known += usize::from(names.iter().any(|other| is(other, text)));
        same += usize::from(is(name, text));
    }
    (known >= 2 && 2 * known >= filled).then_some(same == filled)
}
