//! Maintenance of a pack: what has to be done, when, and why.

use crate::{
    Chemistry,
    ageing::{Ageing, Loss, Rest, Use},
    watch::{Kind, Stage},
};
use serde::Serialize;

/// Capacity at which a pack is at the end of its life in a vehicle.
const END_OF_LIFE: f64 = 0.7;

/// Furthest look ahead, in days.
const HORIZON_DAYS: f64 = 20.0 * 365.0;

/// Input of a maintenance schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Active materials.
    pub chemistry: Chemistry,
    /// What is lost by now.
    pub loss: Loss,
    /// Capacity that is measured, relative to new, and its standard deviation; overrides the law's where it is surer.
    pub capacity: Option<(f64, f64)>,
    /// How the pack is stored, in the mean.
    pub rest: Rest,
    /// How it is used, in the mean.
    pub cycle: Use,
    /// Equivalent full cycles a day.
    pub full_cycles_per_day: f64,
    /// What is found now.
    pub active: Vec<(Kind, Stage)>,
    /// Seconds of bleeding that balancing takes at the worst group.
    pub balance_s: f64,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// What.
    pub what: String,
    /// In how many days at the latest; 0 is now.
    pub due_days: f64,
    /// Why.
    pub why: String,
}

/// The schedule, most urgent first.
#[must_use]
pub fn schedule(outlook: &Outlook) -> Vec<Item> {
    let mut items: Vec<Item> = outlook.active.iter().map(|(kind, stage)| of_finding(*kind, *stage)).collect();
    if outlook.balance_s > 7.0 * 86_400.0 {
        items.push(Item {
            what: "balance the pack in a workshop".into(),
            due_days: 90.0,
            why: format!(
                "bleeding would take {:.0} days: cells differ by more than the vehicle can even out",
                outlook.balance_s / 86_400.0
            ),
        });
    }
    items.push(end_of_life(outlook));
    items.sort_by(|a, b| a.due_days.total_cmp(&b.due_days));
    items
}

fn of_finding(kind: Kind, stage: Stage) -> Item {
    let what = match kind {
        Kind::InternalShort => "replace the module with the shorted cell",
        Kind::ConnectionResistance => "check the torque and welds of the cell's connection",
        Kind::SensorBias => "recalibrate the current sensor",
        Kind::SensorFreeze => "check the cell's sense wire and its converter",
        Kind::CapacityOutlier => "measure the capacity of the weak cell's module",
        Kind::SelfDischarge => "measure the self-discharge of the cell's module",
        Kind::ThermalRunaway => "leave the vehicle, keep a distance, call the fire service",
        Kind::Insulation => "find the insulation fault before the vehicle is charged again",
    };
    let due_days = match stage {
        Stage::Protect => 0.0,
        Stage::Warning => 7.0,
        Stage::Information => 180.0,
    };
    Item { what: what.into(), due_days, why: format!("{kind} was found ({stage:?})").to_lowercase() }
}

/// When the capacity falls below [`END_OF_LIFE`] if use goes on as it was.
fn end_of_life(outlook: &Outlook) -> Item {
    let mut loss = outlook.loss;
    if let Some((capacity, sd)) = outlook.capacity.filter(|(_, sd)| *sd < 0.05) {
        // The law's split between calendar and cycles, the measurement's sum.
        let lost = (1.0 - capacity).max(0.0);
        let by_law = (loss.calendar + loss.cycle).max(1e-9);
        loss.calendar *= lost / by_law;
        loss.cycle *= lost / by_law;
        debug_assert!(sd >= 0.0);
    }
    let mut ageing = Ageing::with(outlook.chemistry, loss);
    const STEP_DAYS: f64 = 7.0;
    let mut days = 0.0;
    while days < HORIZON_DAYS && ageing.loss().capacity() > END_OF_LIFE {
        ageing.rest(&outlook.rest, STEP_DAYS);
        ageing.cycle(&Use { full_cycles: outlook.full_cycles_per_day * STEP_DAYS, ..outlook.cycle });
        days += STEP_DAYS;
    }
    let after = ageing.loss();
    Item {
        what: "plan the pack's second life".into(),
        due_days: days,
        why: format!(
            "capacity reaches {:.0} % then: {:.0} % lost by the calendar, {:.0} % by cycles{}",
            100.0 * after.capacity(),
            100.0 * after.calendar,
            100.0 * after.cycle,
            if after.outside > 0.2 { "; in part outside what the laws were measured at" } else { "" }
        ),
    }
}
