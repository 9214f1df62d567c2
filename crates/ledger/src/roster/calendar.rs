//! Which heights belong to which epoch: epochs of one length, except where a decree has cut one short.

use crate::types::{Epoch, Height};
use std::{collections::BTreeMap, sync::Arc};

/// Most decrees that a chain follows: one a day for almost three years. 1,024 × 16 B.
pub const MAX_CUTS: usize = 1_024;

/// Epochs by height. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    length: u64,
    /// First height and epoch after each decree. Epochs between that one and the one that was cut have no blocks.
    cuts: Arc<BTreeMap<u64, u64>>,
}

impl Calendar {
    /// Epochs of so many blocks, from height 0 on.
    pub fn new(epoch_length: u64) -> Self {
        Self { length: epoch_length.max(1), cuts: Arc::default() }
    }

    /// This calendar, whose epoch `epoch` begins with `first` instead of what was to come. Cuts at or after `first` are
    /// forgotten: they never came to be.
    pub fn cut(&self, first: Height, epoch: Epoch) -> Self {
        let mut cuts = BTreeMap::clone(&self.cuts);
        cuts.split_off(&first.get());
        cuts.insert(first.get(), epoch.get());
        Self { length: self.length, cuts: Arc::new(cuts) }
    }

    /// First heights and epochs after decrees, in order.
    pub fn cuts(&self) -> impl ExactSizeIterator<Item = (Height, Epoch)> {
        self.cuts.iter().map(|(height, epoch)| (Height::new(*height), Epoch::new(*epoch)))
    }

    /// Where the segment that holds `height` begins.
    fn segment(&self, height: u64) -> (u64, u64) {
        self.cuts.range(..=height).next_back().map_or((0, 0), |(first, epoch)| (*first, *epoch))
    }

    /// The epoch of a height.
    pub fn epoch_of(&self, height: Height) -> Epoch {
        let (first, epoch) = self.segment(height.get());
        Epoch::new(epoch + (height.get() - first) / self.length)
    }

    /// First and last height of an epoch; `None` if it has no blocks, or none that can be numbered.
    pub fn bounds(&self, epoch: Epoch) -> Option<(Height, Height)> {
        let epoch = epoch.get();
        let (start, from) =
            self.cuts.iter().rev().find(|(_, from)| **from <= epoch).map_or((0, 0), |(h, e)| (*h, *e));
        let first = (epoch - from).checked_mul(self.length)?.checked_add(start)?;
        let last = first.checked_add(self.length - 1)?;
        match self.cuts.range(start + 1..).next() {
            Some((next, _)) if *next <= first => None,
            Some((next, _)) => Some((Height::new(first), Height::new(last.min(next - 1)))),
            None => Some((Height::new(first), Height::new(last))),
        }
    }

    /// The last height of an epoch that has blocks.
    pub fn last(&self, epoch: Epoch) -> Option<Height> {
        self.bounds(epoch).map(|(_, last)| last)
    }

    /// Whether `height` is the last of its epoch.
    pub fn ends_epoch(&self, height: Height) -> bool {
        self.last(self.epoch_of(height)) == Some(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(calendar: &Calendar, epoch: u64) -> Option<(u64, u64)> {
        calendar.bounds(Epoch::new(epoch)).map(|(first, last)| (first.get(), last.get()))
    }

    #[test]
    fn decrees_cut_epochs_short() {
        let calendar = Calendar::new(10);
        assert_eq!(bounds(&calendar, 2), Some((20, 29)));
        // In the middle of epoch 1, and at its end: then epoch 2 never begins.
        let middle = calendar.cut(Height::new(14), Epoch::new(2));
        assert_eq!(
            [1, 2, 3].map(|epoch| bounds(&middle, epoch)),
            [Some((10, 13)), Some((14, 23)), Some((24, 33))]
        );
        let end = calendar.cut(Height::new(20), Epoch::new(3));
        assert_eq!([1, 2, 3].map(|epoch| bounds(&end, epoch)), [Some((10, 19)), None, Some((20, 29))]);
        assert!(middle.ends_epoch(Height::new(13)) && !middle.ends_epoch(Height::new(19)));
        // A later decree takes the place of one that led to nothing.
        assert_eq!(middle.cut(Height::new(14), Epoch::new(5)).cuts().len(), 1);
        assert_eq!(middle.cut(Height::new(15), Epoch::new(5)).cuts().len(), 2);
        assert_eq!(bounds(&calendar, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn every_height_lies_within_its_epoch(
            length in 1..20u64,
            cuts in prop::collection::vec((1..30u64, 1..4u64), 0..6),
            height in 0..300u64,
        ) {
            let (mut calendar, mut at) = (Calendar::new(length), Height::zero());
            for (blocks, skipped) in cuts {
                at = Height::new(at.get() + blocks);
                let stalled = calendar.epoch_of(at).get();
                calendar = calendar.cut(at, Epoch::new(stalled + skipped));
            }
            let height = Height::new(height);
            let (first, last) = calendar.bounds(calendar.epoch_of(height)).expect("it has this block");
            prop_assert!(first <= height && height <= last);
            prop_assert_eq!(calendar.ends_epoch(height), height == last);
            prop_assert_eq!(calendar.epoch_of(last.next()) > calendar.epoch_of(last), true);
        }
    }
}
