//! What a function may command: kinds within ranges, and how often. The controller signs it with the lease; the fog node holds the
//! function to it before it signs a command, and the vehicle holds the command to it. The vehicle's own limits count beside it.

use crate::{Action, ActionKind, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_telemetry::cbor::{Reader, Writer};

/// What a function may command; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allowed {
    /// Least and most of each kind, in the units of [`Action`]: of a balancing mask its groups, of an end of charging nothing. A
    /// kind that is absent may not be commanded.
    pub ranges: BTreeMap<ActionKind, (i64, i64)>,
    /// Commands a minute, and at once.
    pub commands_per_min: u32,
}

impl Allowed {
    /// Every command, 60 a minute: for tests and tools, which have no policy.
    #[must_use]
    pub fn everything() -> Self {
        let all = ActionKind::ALL.into_iter().map(|kind| (kind, (i64::MIN, i64::MAX)));
        Self { ranges: all.collect(), commands_per_min: 60 }
    }

    /// Whether a command may be given.
    ///
    /// # Errors
    /// What is beyond which bound.
    pub fn admit(&self, action: &Action) -> Result<(), String> {
        let (kind, value) = (action.kind(), action.amount());
        match self.ranges.get(&kind) {
            None => Err(format!("its lease allows this function no {kind}")),
            Some((least, most)) if (least..=most).contains(&&value) => Ok(()),
            Some((least, most)) => {
                Err(format!("{kind} of {value} is outside {least}..{most}, which its lease allows"))
            }
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.array(2 + 3 * self.ranges.len());
        writer.uint(u64::from(self.commands_per_min)).uint(self.ranges.len() as u64);
        for (kind, (least, most)) in &self.ranges {
            writer.uint(*kind as u64).uint(shifted(*least)).uint(shifted(*most));
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let wrong = |problem: &'static str| Error::inconsistent("lease", problem);
        let len = reader.array()?;
        let commands_per_min =
            u32::try_from(reader.uint()?).map_err(|_| wrong("its rate of commands is beyond 32 bits"))?;
        let kinds = usize::try_from(reader.uint()?).unwrap_or(usize::MAX);
        if kinds > ActionKind::ALL.len() || len != 2 + 3 * kinds {
            return Err(wrong("it allows more kinds of commands than there are"));
        }
        let mut ranges = BTreeMap::new();
        for _ in 0..kinds {
            let kind = usize::try_from(reader.uint()?).ok().and_then(|at| ActionKind::ALL.get(at).copied());
            let kind = kind.ok_or_else(|| wrong("it allows an unknown kind of command"))?;
            if ranges.last_key_value().is_some_and(|(last, _)| *last >= kind) {
                return Err(wrong("the kinds that it allows do not ascend"));
            }
            ranges.insert(kind, (unshifted(reader.uint()?), unshifted(reader.uint()?)));
        }
        Ok(Self { ranges, commands_per_min })
    }
}

/// Signed numbers in order as unsigned ones: the codec has no negative numbers here.
fn shifted(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

fn unshifted(value: u64) -> i64 {
    (value ^ (1 << 63)).cast_signed()
}

/// A fog node's share of the commands that the whole fleet may get; by default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetShare {
    /// Commands a minute.
    pub per_min: u32,
    /// Commands at once.
    pub burst: u32,
}

impl FleetShare {
    /// One of so many equal shares, at least one command a minute.
    #[must_use]
    pub fn of(commands_per_s: f64, burst: u32, nodes: usize) -> Self {
        let nodes = u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
        let per_min = (commands_per_s * 60.0 / f64::from(nodes)).clamp(1.0, f64::from(u32::MAX));
        Self { per_min: per_min as u32, burst: (burst / nodes).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_may_not_be_commanded() {
        let limit = Allowed { ranges: [(ActionKind::ChargeLimit, (0, 60_000))].into(), commands_per_min: 6 };
        for (action, admitted) in [
            (Action::ChargeLimit(60_000), true),
            (Action::ChargeLimit(60_001), false),
            (Action::DischargeLimit(1), false),
            (Action::StopCharging, false),
        ] {
            assert_eq!(limit.admit(&action).is_ok(), admitted, "{action:?}");
            assert!(Allowed::default().admit(&action).is_err(), "{action:?}");
            assert!(Allowed::everything().admit(&action).is_ok(), "{action:?}");
        }
        let why = limit.admit(&Action::ChargeLimit(60_001)).unwrap_err();
        assert_eq!(why, "charge-limit of 60001 is outside 0..60000, which its lease allows");
    }

    #[test]
    fn numbers_keep_their_order_on_the_wire() {
        let values = [i64::MIN, -100_000, -1, 0, 1, i64::MAX];
        assert!(values.map(shifted).is_sorted());
        assert_eq!(values.map(|value| unshifted(shifted(value))), values);
    }

    #[test]
    fn shares_of_all_nodes_are_at_most_the_fleets() {
        for (per_s, burst, nodes) in [(50.0, 500, 4), (50.0, 500, 7), (0.5, 2, 1), (1.0, 10, 0)] {
            let share = FleetShare::of(per_s, burst, nodes);
            let nodes = nodes.max(1) as f64;
            assert!(f64::from(share.per_min) * nodes <= per_s * 60.0 && share.per_min > 0, "{share:?}");
            assert!(f64::from(share.burst) * nodes <= f64::from(burst), "{share:?}");
        }
    }
}
