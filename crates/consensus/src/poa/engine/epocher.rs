//! Where epochs begin and end, for consensus and marshal: what the ledger's calendar says, shared and changed by decrees.

use commonware_consensus::types::{Epoch, EpochInfo, Epocher};
use commonware_utils::sync::Mutex;
use std::sync::Arc;
use voltmesh_ledger::{Calendar, Height};

/// Calendar of epochs that engine and marshal share. Heights that are final here never change their epoch.
#[derive(Clone)]
pub(crate) struct EpochCalendar(Arc<Mutex<Calendar>>);

impl EpochCalendar {
    pub fn new(calendar: Calendar) -> Self {
        Self(Arc::new(Mutex::new(calendar)))
    }

    /// A decree has cut an epoch short.
    pub fn set(&self, calendar: Calendar) {
        *self.0.lock() = calendar;
    }
}

impl Epocher for EpochCalendar {
    fn containing(&self, height: Height) -> Option<EpochInfo> {
        let calendar = self.0.lock();
        let epoch = calendar.epoch_of(height);
        let (first, last) = calendar.bounds(epoch)?;
        Some(EpochInfo::new(epoch, height, first, last))
    }

    fn first(&self, epoch: Epoch) -> Option<Height> {
        self.0.lock().bounds(epoch).map(|(first, _)| first)
    }

    /// An epoch that a decree left without a block ends where it would have begun: its engine may still ask when it is
    /// being stopped.
    fn last(&self, epoch: Epoch) -> Option<Height> {
        let calendar = self.0.lock();
        let after =
            || calendar.cuts().find(|(_, other)| *other > epoch).and_then(|(first, _)| first.previous());
        calendar.last(epoch).or_else(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_consensus::types::FixedEpocher;
    use commonware_utils::NZU64;

    #[test]
    fn without_decrees_epochs_are_of_one_length() {
        let (ours, fixed) = (EpochCalendar::new(Calendar::new(7)), FixedEpocher::new(NZU64!(7)));
        for height in (0..100).chain([u64::MAX - 1, u64::MAX]).map(Height::new) {
            assert_eq!(ours.containing(height), fixed.containing(height));
        }
        for epoch in (0..20).chain([u64::MAX / 7, u64::MAX]).map(Epoch::new) {
            assert_eq!((ours.first(epoch), ours.last(epoch)), (fixed.first(epoch), fixed.last(epoch)));
        }
    }

    #[test]
    fn an_epoch_without_blocks_has_an_end() {
        let ours = EpochCalendar::new(Calendar::new(7));
        ours.set(Calendar::new(7).cut(Height::new(14), Epoch::new(3)));
        assert_eq!(ours.last(Epoch::new(2)), Some(Height::new(13)));
        assert_eq!(ours.first(Epoch::new(2)), None);
        assert_eq!(ours.containing(Height::new(14)).map(|info| info.epoch()), Some(Epoch::new(3)));
    }
}
