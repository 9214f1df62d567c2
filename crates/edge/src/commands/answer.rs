//! What a command that was taken is answered: the value in force, and why it is not what was asked.

use super::held::{HeldCommand, HeldCommands, chosen, described};
use super::own::{OwnLimits, RATES, TARGETS, amperes};
use super::setpoints::{Setpoints, derated};
use voltmesh_control::{Action, ActionKind, Outcome};

/// The answer to a command that is among those held.
pub(super) fn applied(command: &HeldCommand, held: &HeldCommands, own: &OwnLimits) -> Outcome {
    let setpoints = Setpoints::of(held, own);
    let winner = chosen(held, command.action.kind()).filter(|winner| winner.function != command.function);
    let lost = winner.map(|winner| {
        let why = if super::held::looseness(&winner.action) < super::held::looseness(&command.action) {
            "is stricter"
        } else {
            "came later"
        };
        format!("{} of {} {why}", described(&winner.action), winner.function)
    });
    let (value, why_less) = match &command.action {
        Action::ChargeLimit(asked) => limited(*asked, setpoints.charge_ma, own.charge_ma, held, own, lost),
        Action::DischargeLimit(asked) => {
            limited(*asked, setpoints.discharge_ma, own.discharge_ma, held, own, lost)
        }
        Action::TargetTemperature(asked) => {
            let bounds =
                format!("the pack is kept between {} and {} °C", TARGETS.start() / 100, TARGETS.end() / 100);
            let value = setpoints.target_centidegrees.map(i64::from);
            (value, lost.or_else(|| (value != Some(i64::from(*asked))).then_some(bounds)))
        }
        Action::SamplingRate(asked) => {
            let bounds = format!("the vehicle takes {} to {} samples in 1,000 s", RATES.start(), RATES.end());
            let value = setpoints.samples_per_1000_s.map(i64::from);
            (value, lost.or_else(|| (value != Some(i64::from(*asked))).then_some(bounds)))
        }
        Action::Balance(_) => (i64::try_from(setpoints.balance.len()).ok(), lost),
        Action::Derate(_) => {
            let least = chosen(held, ActionKind::Derate).map(|winner| &winner.action);
            let value = least.and_then(|action| match action {
                Action::Derate(millionths) => Some(i64::from(*millionths)),
                _ => None,
            });
            (value, lost)
        }
        Action::StopCharging => (None, None),
    };
    Outcome::Applied { value, why_less }
}

/// A current limit in force in mA, and what makes it less than asked.
fn limited(
    asked: u32,
    in_force: Option<u32>,
    own_ma: u32,
    held: &HeldCommands,
    own: &OwnLimits,
    lost: Option<String>,
) -> (Option<i64>, Option<String>) {
    let value = in_force.unwrap_or(asked).min(asked);
    let why = || {
        if value == own_ma {
            return Some(format!("{} is {}", own.whose(), amperes(own_ma)));
        }
        let derating = chosen(held, ActionKind::Derate).and_then(|command| match command.action {
            Action::Derate(millionths) if derated(own_ma, millionths) == value => Some(format!(
                "{} of {} leaves {}",
                described(&command.action),
                command.function,
                amperes(value)
            )),
            _ => None,
        });
        derating.or(lost)
    };
    (Some(i64::from(value)), if value < asked { why() } else { None })
}
