//! What is in force now, in absolute values.

use super::held::{HeldCommands, chosen};
use super::own::{OwnLimits, RATES, TARGETS};
use serde::Serialize;
use voltmesh_control::{Action, ActionKind};

/// What a vehicle's battery is to obey now; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Setpoints {
    /// Most current into the pack in mA, where it is limited: at most the vehicle's own limit.
    pub charge_ma: Option<u32>,
    /// Most current out of the pack in mA, where it is limited: at most the vehicle's own limit.
    pub discharge_ma: Option<u32>,
    /// Temperature to heat or cool to in hundredths of °C.
    pub target_centidegrees: Option<i32>,
    /// Groups to bleed, ascending.
    pub balance: Vec<u16>,
    /// Samples per 1,000 s.
    pub samples_per_1000_s: Option<u32>,
    /// Whether charging is ended.
    pub stop_charging: bool,
}

impl Setpoints {
    /// Whether nothing is asked of the battery.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    /// What these commands come to within the vehicle's own limits.
    pub(super) fn of(held: &HeldCommands, own: &OwnLimits) -> Self {
        let mut setpoints = Self::default();
        let mut share = None;
        for kind in ActionKind::ALL {
            match chosen(held, kind).map(|command| &command.action) {
                Some(Action::ChargeLimit(ma)) => setpoints.charge_ma = Some((*ma).min(own.charge_ma)),
                Some(Action::DischargeLimit(ma)) => {
                    setpoints.discharge_ma = Some((*ma).min(own.discharge_ma))
                }
                Some(Action::TargetTemperature(c100)) => {
                    setpoints.target_centidegrees = Some((*c100).clamp(*TARGETS.start(), *TARGETS.end()));
                }
                Some(Action::Balance(groups)) => setpoints.balance.clone_from(groups),
                Some(Action::SamplingRate(rate)) => {
                    setpoints.samples_per_1000_s = Some((*rate).clamp(*RATES.start(), *RATES.end()));
                }
                Some(Action::Derate(millionths)) => share = Some(*millionths),
                Some(Action::StopCharging) => setpoints.stop_charging = true,
                None => {}
            }
        }
        if let Some(share) = share {
            let lower = |limit: &mut Option<u32>, own_ma: u32| {
                let left = derated(own_ma, share);
                *limit = Some(limit.map_or(left, |limit| limit.min(left)));
            };
            lower(&mut setpoints.charge_ma, own.charge_ma);
            lower(&mut setpoints.discharge_ma, own.discharge_ma);
        }
        setpoints
    }
}

/// So many millionths of a limit, downwards.
pub(super) fn derated(own_ma: u32, millionths: u32) -> u32 {
    // At most `own_ma`, since a command has at most 1,000,000 of them.
    (u64::from(own_ma) * u64::from(millionths.min(1_000_000)) / 1_000_000) as u32
}
