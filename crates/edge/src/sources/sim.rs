//! A simulated vehicle on public driving schedules: the forces of the road give power, the model of a pack gives voltages
//! ([`voltmesh_battery::drive`], [`voltmesh_battery::pack`]).
//!
//! The pack: 96 typical NMC cells of 60 Ah in series, a little different from each other. Below 15 % it charges with 50 kW
//! up to 80 %, then drives on. No ageing.
//!
//! It obeys commands from its next sample on, and without them gives the very same samples. Current limits: what the road or
//! the charger would make flow beyond them does not flow; the speed is that of the schedule all the same. An end of charging:
//! the vehicle stays plugged in and takes nothing while it is in force. A target temperature: a coolant loop heats with
//! 5 kW or cools with 4 kW ([`CoolantLoop`]), which the pack gives. Balancing: 0.1 A from each named group. A sampling rate: the
//! step from one sample to the next. After a restart of the agent the pack is as if there had been no commands before.

use super::{Cursor, Cycle, Next, Sampled, Source, fingerprint};
use crate::Error;
use crate::commands::Setpoints;
use serde::Deserialize;
use std::sync::Arc;
use voltmesh_battery::drive::Car;
use voltmesh_battery::pack::{Coolant, CoolantLoop, Layout, Pack};
use voltmesh_battery::{Cell, CellParams, Chemistry};
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, Milliamps, Millivolts, Millivolts16, Sample, Timestamp,
};

/// A simulated vehicle.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimConfig {
    /// Which schedule. Default `udds`.
    #[serde(default)]
    pub cycle: Cycle,
    /// Samples per second, 0.1 to 100. Default 1.
    #[serde(default = "one")]
    pub rate_hz: f64,
    /// Samples after which it ends; 0 for never. Default 0.
    #[serde(default)]
    pub samples: u64,
    /// Makes this pack's cells differ from another's. Default 1.
    #[serde(default = "first")]
    pub seed: u64,
    /// State of charge at the start in percent, 15 to 100. Default 80.
    #[serde(default = "eighty")]
    pub soc: f64,
    /// Ambient temperature in °C, -40 to 60. Default 20.
    #[serde(default = "twenty")]
    pub ambient: f64,
    /// Unix time of the first sample in milliseconds. Default: when the simulation first started.
    pub start_ms: Option<u64>,
}

fn one() -> f64 {
    1.0
}
fn first() -> u64 {
    1
}
fn eighty() -> f64 {
    80.0
}
fn twenty() -> f64 {
    20.0
}

impl SimConfig {
    /// The defaults on a schedule.
    #[must_use]
    pub fn new(cycle: Cycle) -> Self {
        Self { cycle, rate_hz: 1.0, samples: 0, seed: 1, soc: 80.0, ambient: 20.0, start_ms: None }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |name: &str, value: f64, low: f64, high: f64| {
            let problem = format!("wants {low} to {high}, not {value}");
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(format!("source.{name}"), problem))
            }
        };
        within("rate_hz", self.rate_hz, 0.1, 100.0)?;
        within("soc", self.soc, CHARGE_BELOW * 100.0, 100.0)?;
        within("ambient", self.ambient, -40.0, 60.0)
    }
}

const SENSORS: usize = 8;
const CAPACITY_AH: f64 = 60.0;
const CHARGE_BELOW: f64 = 0.15;
const CHARGE_TO: f64 = 0.80;
const CHARGE_W: f64 = 50_000.0;
/// Current of a balancing resistor in A, as `twin.bleed_a`.
const BLEED_A: f64 = 0.1;

/// The simulation. The same configuration gives the same samples, so that a place is just their number.
pub struct Sim {
    config: SimConfig,
    cursor: Cursor,
    car: Car,
    speeds: Vec<f64>,
    step_s: f64,
    step: u64,
    /// Step and its time in ms since when a step is as long as it is now.
    pace_since: (u64, f64),
    /// Seconds of driving; it stands still while charging.
    driven_s: f64,
    charging: bool,
    pack: Pack,
    coolant: Coolant,
    in_force: Setpoints,
}

impl Sim {
    /// Opens at a place of this source, or at its beginning.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn open(config: SimConfig, found: Cursor, now_ms: u64) -> Result<Self, Error> {
        config.check()?;
        let source = fingerprint(&["sim", &format!("{config:?}")]);
        let cursor = Cursor::resume(found, source, config.start_ms.unwrap_or(now_ms));
        let cell = Cell::new(CellParams::generic(Chemistry::Nmc, CAPACITY_AH))
            .map_err(|error| Error::config("source.kind", error.to_string()))?;
        let layout = Layout { seed: config.seed, ..Layout::default() };
        let mut sim = Self {
            car: Car::default(),
            speeds: config.cycle.speeds(),
            step_s: 1.0 / config.rate_hz,
            step: 0,
            pace_since: (0, 0.0),
            driven_s: 0.0,
            charging: false,
            pack: Pack::new(Arc::new(cell), &layout, config.soc / 100.0, config.ambient),
            coolant: Coolant::new(CoolantLoop::default(), config.ambient),
            in_force: Setpoints::default(),
            cursor,
            config,
        };
        while sim.step < sim.cursor.done {
            sim.advance();
        }
        Ok(sim)
    }

    fn speed(&self, at_s: f64) -> f64 {
        let at = at_s % (self.speeds.len() - 1) as f64;
        let index = at as usize;
        self.speeds[index] + (self.speeds[index + 1] - self.speeds[index]) * (at - index as f64)
    }

    /// Power at the pack's terminals; positive discharges.
    fn power(&self) -> f64 {
        if self.charging {
            let charger_w = if self.in_force.stop_charging { 0.0 } else { CHARGE_W };
            return self.car.auxiliaries_w - charger_w;
        }
        let speed = self.speed(self.driven_s);
        let acceleration = (self.speed(self.driven_s + self.step_s) - speed) / self.step_s;
        self.car.power_w(speed, acceleration)
    }

    fn soc(&self) -> f64 {
        let socs = self.pack.socs();
        socs.iter().sum::<f64>() / socs.len() as f64
    }

    /// One step; returns the current (positive charges).
    fn advance(&mut self) -> f64 {
        let soc = self.soc();
        if soc < CHARGE_BELOW {
            self.charging = true;
        } else if soc >= CHARGE_TO {
            self.charging = false;
        }
        let wanted = self.pack.current_at_w(self.power() + self.coolant.electric_w());
        let amperes = self.limited(wanted);
        let target_c = self.in_force.target_centidegrees.map(|c100| f64::from(c100) / 100.0);
        self.coolant.step(&mut self.pack, target_c, amperes, self.config.ambient, self.step_s);
        if !self.charging {
            self.driven_s += self.step_s;
        }
        self.step += 1;
        amperes
    }

    /// What flows of a current (positive charges) within what is in force.
    fn limited(&self, amperes: f64) -> f64 {
        let limit = |limit: Option<u32>| limit.map_or(f64::INFINITY, |ma| f64::from(ma) / 1_000.0);
        amperes.min(limit(self.in_force.charge_ma)).max(-limit(self.in_force.discharge_ma))
    }

    /// Time in ms of a step since the start.
    fn time_ms(&self, step: u64) -> f64 {
        let (since, at_ms) = self.pace_since;
        at_ms + step.saturating_sub(since) as f64 * self.step_s * 1_000.0
    }

    fn sample(&self, time: Timestamp, amperes: f64) -> Sample {
        let cells = self.pack.voltages_v(amperes);
        let temperatures = self.pack.temps_c();
        let sensors = temperatures.chunks(temperatures.len().div_ceil(SENSORS));
        let mean = |sensor: &[f64]| sensor.iter().sum::<f64>() / sensor.len() as f64;
        Sample {
            time,
            pack_voltage: Millivolts::from_base(cells.iter().sum()).unwrap_or_default(),
            pack_current: Milliamps::from_base(amperes).unwrap_or_default(),
            cells: cells.iter().map(|v| Millivolts16::from_base(*v).unwrap_or_default()).collect(),
            temperatures: sensors.filter_map(|sensor| Centidegrees::from_base(mean(sensor))).collect(),
            soc: CentiPercent::from_base((self.soc() * 100.0).clamp(0.0, 100.0))
                .unwrap_or(CentiPercent::UNKNOWN),
            contactor: Contactor::Closed,
            charger: match self.charging {
                true if self.in_force.stop_charging => Charger::Plugged,
                true => Charger::Charging,
                false => Charger::Unplugged,
            },
            ..Sample::default()
        }
    }
}

impl Source for Sim {
    fn poll(&mut self) -> Result<Next, Error> {
        if self.config.samples > 0 && self.step >= self.config.samples {
            return Ok(Next::End);
        }
        let ms = self.time_ms(self.step).round() as u64;
        let amperes = self.advance();
        let sample = self.sample(Timestamp::from_millis(self.cursor.base_ms.saturating_add(ms)), amperes);
        self.cursor.done = self.step;
        Ok(Next::Sample(Sampled { sample, cursor: self.cursor }))
    }

    fn obey(&mut self, setpoints: &Setpoints) {
        let step_s =
            setpoints.samples_per_1000_s.map_or(1.0 / self.config.rate_hz, |rate| 1_000.0 / f64::from(rate));
        if step_s != self.step_s {
            self.pace_since = (self.step, self.time_ms(self.step));
            self.step_s = step_s;
        }
        self.pack.bleed(&setpoints.balance, BLEED_A);
        self.in_force.clone_from(setpoints);
    }
}
