//! Room in the quarantine table: what is refused is kept with its bytes, so that anyone who may deliver could fill a disk.
//!
//! The archive's statements count what the table holds, so nothing leaves it. Its bytes have a bound; of what is left to
//! the bound, whoever a refused delivery is of may use a sixteenth at once, and a sixteenth a day. What goes beyond is
//! refused as well, and is counted; the fog node that brought it keeps it in its own quarantine. Of a batch that is archived but
//! for a record whose number is taken, that record is only counted then.

use voltmesh_control::Allowance;
use voltmesh_telemetry::Timestamp;

/// Bytes of a row beside the delivery: its reason, digest, times and names, some 300 B, and its part of files and log.
const ROW_BYTES: u64 = 512;

/// Bound on the bytes of the quarantine table, and what is used of it.
#[derive(Debug, Clone)]
pub struct QuarantineRoom {
    bound: u64,
    used: u64,
    allowance: Allowance,
}

impl QuarantineRoom {
    /// Default of the bound: 1 GiB, of which one identity may use 64 MiB at once while nothing is used.
    pub const DEFAULT_BYTES: u64 = 1 << 30;

    /// Room of so many bytes, of which the table takes so many already.
    pub fn new(bound: u64, used: u64) -> Self {
        Self { bound, used, allowance: Allowance::new(bound.saturating_sub(used)) }
    }

    /// Bytes used: what the table took at the start, and since then what was kept, as it came.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The bound, in bytes.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// Takes room for a delivery of so many bytes; false, and nothing is taken, if that would be beyond the share of
    /// whoever it is of.
    pub(super) fn take(&mut self, now: Timestamp, whose: &str, bytes: usize) -> bool {
        let bytes = ROW_BYTES.saturating_add(bytes as u64);
        self.allowance.resize(self.bound.saturating_sub(self.used));
        let taken = self.allowance.take(now, whose, bytes);
        if taken {
            self.used = self.used.saturating_add(bytes);
        }
        taken
    }

    /// Gives back room for a delivery of so many bytes that was not kept after all; its share stays used.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(ROW_BYTES.saturating_add(bytes as u64));
    }
}

impl Default for QuarantineRoom {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_780_300_000_000 + ms)
    }

    proptest! {
        /// Whoever sends how much when: the bound holds, and a newcomer may still use a sixteenth of what is left.
        #[test]
        fn the_bound_holds_and_there_is_room_for_one_more(
            sent in proptest::collection::vec((0_u8..20, 0_u64..400_000_000, 0_usize..200_000), 0..400)
        ) {
            let mut room = QuarantineRoom::new(8 << 20, 1 << 20);
            let mut now = 0;
            for (who, pause, bytes) in sent {
                now += pause;
                let before = room.used();
                let taken = room.take(at(now), &format!("fog {who}"), bytes);
                prop_assert_eq!(room.used() - before, if taken { ROW_BYTES + bytes as u64 } else { 0 });
                prop_assert!(room.used() <= room.bound());
            }
            let share = (room.bound() - room.used()) / 16;
            if share > ROW_BYTES {
                prop_assert!(room.take(at(now), "a newcomer", (share - ROW_BYTES) as usize));
            }
        }
    }

    /// What is left halves in eleven days of this, which the counter of what was dropped shows from the first hour on.
    #[test]
    fn one_who_sends_for_a_month_leaves_room_for_others() {
        let mut room = QuarantineRoom::default();
        for hour in 0..24 * 30 {
            while room.take(at(hour * 3_600_000), "fog mallory", 1 << 16) {}
        }
        let left = room.bound() - room.used();
        assert!(left > room.bound() / 8, "{left} B are left");
        assert!(room.take(at(24 * 30 * 3_600_000), "fog honest", 4 << 20));
    }
}
