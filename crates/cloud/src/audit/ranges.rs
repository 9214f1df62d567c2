//! Ranges of numbers: which are absent, how many, and their text.

/// The ranges, first and last number, that `held` (in order) leaves out of `first..next`.
pub(super) fn absent(held: impl Iterator<Item = u64>, first: u64, next: u64) -> Vec<(u64, u64)> {
    let mut expected = first;
    let mut absent = Vec::new();
    for number in held.chain(std::iter::once(next)).filter(|number| *number <= next) {
        if number > expected {
            absent.push((expected, number - 1));
        }
        expected = expected.max(number.saturating_add(1));
    }
    absent
}

/// How many numbers ranges hold, at most `u64::MAX`.
pub(super) fn count(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add(last - first).saturating_add(1))
}

/// Numbers in order as `17, 30..=35`, at most `most` pieces.
pub(super) fn ranges_text(ranges: &[(u64, u64)], most: usize) -> String {
    let mut pieces: Vec<String> = ranges
        .iter()
        .take(most)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}..={last}") })
        .collect();
    if ranges.len() > most {
        pieces.push(format!("and {} more ranges", ranges.len() - most));
    }
    pieces.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_briefly() {
        assert_eq!(ranges_text(&[(17, 17), (30, 35), (40, 41)], 2), "17, 30..=35, and 1 more ranges");
    }
}
