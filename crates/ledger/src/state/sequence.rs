//! Which of an authority's numbered anchors were applied.

use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, ReadExt as _, Write as _};

/// How many numbers below the highest are remembered. At ten anchors a second, more than 100 s of reordering.
pub const SEQUENCE_WINDOW: u64 = 1024;

const WORDS: usize = SEQUENCE_WINDOW as usize / 64;

/// The highest number applied and a bit for each of the numbers below it, as RFC 4303 does against replay.
/// Older numbers count as applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// One more than the highest number applied; 0 before the first.
    pub end: u64,
    /// Bit n % [`SEQUENCE_WINDOW`] of number n, for the last [`SEQUENCE_WINDOW`] numbers below `end`.
    pub seen: [u64; WORDS],
}

impl Window {
    /// Whether `number` is applied already, or too old to tell.
    pub fn contains(&self, number: u64) -> bool {
        if number >= self.end {
            return false;
        }
        if self.end - number > SEQUENCE_WINDOW {
            return true;
        }
        let bit = (number % SEQUENCE_WINDOW) as usize;
        self.seen[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// Remembers `number`; false if it is applied already, too old to tell, or the last of all (so that `end` exists).
    pub fn insert(&mut self, number: u64) -> bool {
        if number == u64::MAX || self.contains(number) {
            return false;
        }
        if number >= self.end {
            let skipped = number - self.end;
            if skipped >= SEQUENCE_WINDOW {
                self.seen = [0; WORDS];
            } else {
                (self.end..number).for_each(|n| self.set(n, false));
            }
            self.end = number + 1;
        }
        self.set(number, true);
        true
    }

    pub fn write(&self, buf: &mut impl BufMut) {
        self.end.write(buf);
        self.seen.iter().for_each(|word| word.write(buf));
    }

    pub fn read(buf: &mut impl Buf) -> Result<Self, CodecError> {
        let mut window = Self { end: u64::read(buf)?, ..Self::default() };
        for word in &mut window.seen {
            *word = u64::read(buf)?;
        }
        Ok(window)
    }

    fn set(&mut self, number: u64, to: bool) {
        let bit = (number % SEQUENCE_WINDOW) as usize;
        let mask = 1 << (bit % 64);
        if to {
            self.seen[bit / 64] |= mask;
        } else {
            self.seen[bit / 64] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_number_is_applied_at_most_once(numbers in prop::collection::vec(
            prop_oneof![0u64..4000, (u64::MAX - 2000)..=u64::MAX], 0..400,
        )) {
            let (mut window, mut applied, mut highest) = (Window::default(), BTreeSet::new(), None);
            for n in numbers {
                let new = !applied.contains(&n);
                let recent = highest.is_none_or(|h: u64| n > h || h - n < SEQUENCE_WINDOW);
                prop_assert_eq!(window.insert(n), new && recent && n != u64::MAX, "number {}", n);
                if new && recent && n != u64::MAX {
                    applied.insert(n);
                    highest = highest.max(Some(n));
                }
                prop_assert!(window.contains(n) || n == u64::MAX);
            }
        }
    }
}
