//! Quantities that rules can compare with a limit, and how uncertain each is.

use serde::{Deserialize, Serialize};
use std::fmt;
use voltmesh_battery::estimate::power::Uncertain;
use voltmesh_battery::summary::Summary;

/// Current in A above which a pack is being charged, or discharged: more than the offset of a usual sensor and what a
/// vehicle takes at rest.
pub const FLOWS_A: f64 = 2.0;

/// Standard deviations of sensors, for what is measured and not estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensors {
    /// Of a cell's voltage, in V.
    pub voltage_v: f64,
    /// Of a temperature, in K.
    pub temperature_c: f64,
    /// Of the pack's current, in A.
    pub current_a: f64,
}

/// Quantity of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Highest cell voltage in V.
    CellVoltageHighest,
    /// Lowest cell voltage in V.
    CellVoltageLowest,
    /// Highest cell's state of charge, 0..1.
    ChargeHighest,
    /// Lowest cell's state of charge, 0..1.
    ChargeLowest,
    /// Difference between the highest and the lowest cell's state of charge, 0..1.
    ChargeSpread,
    /// Highest temperature in °C.
    TemperatureHighest,
    /// Lowest temperature in °C.
    TemperatureLowest,
    /// Rise of the highest temperature over 10 s, in K/min.
    TemperatureRise10s,
    /// The same over a minute.
    TemperatureRise60s,
    /// The same over ten minutes.
    TemperatureRise600s,
    /// Charging current relative to what the pack allows; 0 while nothing flows in.
    ChargeCurrentShare,
    /// Discharging current relative to what the pack allows; 0 while nothing flows out.
    DischargeCurrentShare,
    /// Insulation resistance relative to the pack's voltage, in Ω/V.
    InsulationPerVolt,
    /// Difference in charge between the twin's two estimators, 0..1.
    TwinDisagreement,
    /// Time in s since the newest summary of a vehicle that was charging then.
    SilenceWhileCharging,
}

impl Quantity {
    /// As rules have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CellVoltageHighest => "cell-voltage-highest",
            Self::CellVoltageLowest => "cell-voltage-lowest",
            Self::ChargeHighest => "charge-highest",
            Self::ChargeLowest => "charge-lowest",
            Self::ChargeSpread => "charge-spread",
            Self::TemperatureHighest => "temperature-highest",
            Self::TemperatureLowest => "temperature-lowest",
            Self::TemperatureRise10s => "temperature-rise10s",
            Self::TemperatureRise60s => "temperature-rise60s",
            Self::TemperatureRise600s => "temperature-rise600s",
            Self::ChargeCurrentShare => "charge-current-share",
            Self::DischargeCurrentShare => "discharge-current-share",
            Self::InsulationPerVolt => "insulation-per-volt",
            Self::TwinDisagreement => "twin-disagreement",
            Self::SilenceWhileCharging => "silence-while-charging",
        }
    }

    /// Unit, for people.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::CellVoltageHighest | Self::CellVoltageLowest => "V",
            Self::ChargeHighest | Self::ChargeLowest | Self::ChargeSpread | Self::TwinDisagreement => "",
            Self::TemperatureHighest | Self::TemperatureLowest => "°C",
            Self::TemperatureRise10s | Self::TemperatureRise60s | Self::TemperatureRise600s => "K/min",
            Self::ChargeCurrentShare | Self::DischargeCurrentShare => "",
            Self::InsulationPerVolt => "Ω/V",
            Self::SilenceWhileCharging => "s",
        }
    }

    /// Limits outside this range are a mistake of the rule's writer.
    #[must_use]
    pub const fn sensible(self) -> (f64, f64) {
        match self {
            Self::CellVoltageHighest | Self::CellVoltageLowest => (0.5, 6.0),
            Self::ChargeHighest | Self::ChargeLowest | Self::ChargeSpread | Self::TwinDisagreement => {
                (0.0, 1.2)
            }
            Self::TemperatureHighest | Self::TemperatureLowest => (-60.0, 200.0),
            Self::TemperatureRise10s | Self::TemperatureRise60s | Self::TemperatureRise600s => (0.0, 1_000.0),
            Self::ChargeCurrentShare | Self::DischargeCurrentShare => (0.0, 100.0),
            Self::InsulationPerVolt => (0.0, 1e6),
            Self::SilenceWhileCharging => (1.0, 86_400.0),
        }
    }

    /// The value in a summary with its standard deviation; `None` if it is unknown, and for what only passing time says.
    #[must_use]
    pub fn of(self, summary: &Summary, sensors: &Sensors) -> Option<Uncertain> {
        let measured = |value: f64, sd: f64| Uncertain { value, sd };
        let cells = || summary.cells_v;
        let temps = || summary.temps_c;
        let rise = |window: usize| {
            let slope = summary.trends[window].hottest?;
            // What the sensor's resolution can make of a window at most, beside the residuals' scatter.
            let rounding = sensors.temperature_c / summary.trends[window].window_s * 60.0;
            Some(measured(slope.per_min, slope.sd.hypot(rounding)))
        };
        let estimates = || summary.estimates;
        let found = match self {
            Self::CellVoltageHighest => measured(cells()?.highest, sensors.voltage_v),
            Self::CellVoltageLowest => measured(cells()?.lowest, sensors.voltage_v),
            Self::ChargeHighest => measured(estimates()?.soc_range.1, estimates()?.soc.sd),
            Self::ChargeLowest => measured(estimates()?.soc_range.0, estimates()?.soc.sd),
            Self::ChargeSpread => {
                let (lowest, highest) = estimates()?.soc_range;
                measured(highest - lowest, estimates()?.soc.sd)
            }
            Self::TemperatureHighest => measured(temps()?.highest, sensors.temperature_c),
            Self::TemperatureLowest => measured(temps()?.lowest, sensors.temperature_c),
            Self::TemperatureRise10s => rise(0)?,
            Self::TemperatureRise60s => rise(1)?,
            Self::TemperatureRise600s => rise(2)?,
            Self::ChargeCurrentShare => share(summary.current_a?, estimates()?.limits.charge_a, sensors),
            Self::DischargeCurrentShare => {
                share(-summary.current_a?, estimates()?.limits.discharge_a, sensors)
            }
            Self::InsulationPerVolt => {
                let volts = summary.voltage_v.filter(|volts| *volts > 0.0)?;
                measured(summary.insulation_ohm? / volts, 0.0)
            }
            Self::TwinDisagreement => measured(estimates()?.disagreement?, 0.0),
            Self::SilenceWhileCharging => return None,
        };
        (found.value.is_finite() && found.sd.is_finite() && found.sd >= 0.0).then_some(found)
    }
}

/// A current relative to its limit. Where nothing flows that way it is 0; where nothing is allowed, [`FLOWS_A`] counts as the
/// limit, so that what flows nevertheless is beyond it.
fn share(current_a: f64, limit_a: f64, sensors: &Sensors) -> Uncertain {
    let limit = limit_a.max(FLOWS_A);
    Uncertain { value: current_a.max(0.0) / limit, sd: sensors.current_a / limit }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
