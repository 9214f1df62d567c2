//! A simulated vehicle on public driving schedules: longitudinal forces give power, an equivalent-circuit pack gives
//! voltages.
//!
//! The car: 1,600 kg, c_d·A 0.62 m², rolling resistance 0.009, 92 % drivetrain efficiency, recuperation of up to 60 kW,
//! 400 W of auxiliaries. The pack: 96 cells in series of 60 Ah, R0 about 0.9 mΩ each, capacity, resistance and initial
//! charge spread over the cells by less than 1 %, 5 % and 0.3 %, one thermal mass. Below 15 % it charges with 50 kW up to
//! 80 %, then drives on. No ageing, no diffusion: a source of plausible data, not a battery model.

use super::pack::uniform;
use super::{Cursor, Cycle, Next, Sampled, Source, fingerprint};
use crate::Error;
use serde::Deserialize;
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

const CELLS: u64 = 96;
const SENSORS: u64 = 8;
const CAPACITY_AS: f64 = 60.0 * 3600.0;
const R0: f64 = 0.0009;
const MASS: f64 = 1600.0;
const DRAG: f64 = 0.5 * 1.2 * 0.62;
const ROLLING: f64 = 0.009 * 9.81;
const EFFICIENCY: f64 = 0.92;
const RECUPERATION_W: f64 = 60_000.0;
const AUXILIARIES_W: f64 = 400.0;
/// Joule per kelvin, and watt per kelvin to the ambient.
const HEAT_CAPACITY: f64 = 220_000.0;
const COOLING: f64 = 15.0;
const CHARGE_BELOW: f64 = 0.15;
const CHARGE_TO: f64 = 0.80;
const CHARGE_W: f64 = 50_000.0;

/// Open-circuit voltage of an NMC cell at 0, 10, … 100 % (typical of the chemistry).
const OCV: [f64; 11] = [3.00, 3.45, 3.53, 3.58, 3.62, 3.67, 3.75, 3.85, 3.95, 4.06, 4.18];

fn ocv(soc: f64) -> f64 {
    let at = soc.clamp(0.0, 1.0) * 10.0;
    let index = (at as usize).min(9);
    OCV[index] + (OCV[index + 1] - OCV[index]) * (at - index as f64)
}

/// The simulation. The same configuration gives the same samples, so that a place is just their number.
pub struct Sim {
    config: SimConfig,
    cursor: Cursor,
    speeds: Vec<f64>,
    step_s: f64,
    step: u64,
    /// Seconds of driving; it stands still while charging.
    driven_s: f64,
    charging: bool,
    soc: f64,
    temperature: f64,
    cells: Vec<Cell>,
}

/// How a cell differs from the mean.
struct Cell {
    soc: f64,
    capacity: f64,
    resistance: f64,
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
        let seed = config.seed;
        let cell = |i: u64| Cell {
            soc: 0.003 * uniform(seed, 3 * i),
            capacity: 1.0 + 0.01 * uniform(seed, 3 * i + 1),
            resistance: 1.0 + 0.05 * uniform(seed, 3 * i + 2),
        };
        let mut sim = Self {
            speeds: config.cycle.speeds(),
            step_s: 1.0 / config.rate_hz,
            step: 0,
            driven_s: 0.0,
            charging: false,
            soc: config.soc / 100.0,
            temperature: config.ambient,
            cells: (0..CELLS).map(cell).collect(),
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
            return AUXILIARIES_W - CHARGE_W;
        }
        let speed = self.speed(self.driven_s);
        let acceleration = (self.speed(self.driven_s + self.step_s) - speed) / self.step_s;
        let rolling = if speed > 0.0 { ROLLING * MASS } else { 0.0 };
        let wheels = (MASS * acceleration + rolling + DRAG * speed * speed) * speed;
        let electric =
            if wheels >= 0.0 { wheels / EFFICIENCY } else { (wheels * EFFICIENCY).max(-RECUPERATION_W) };
        electric + AUXILIARIES_W
    }

    /// One step; returns the current (positive charges).
    fn advance(&mut self) -> f64 {
        if self.soc < CHARGE_BELOW {
            self.charging = true;
        } else if self.soc >= CHARGE_TO {
            self.charging = false;
        }
        let open = ocv(self.soc) * CELLS as f64;
        let resistance = self.resistance() * CELLS as f64;
        // P = (open - R·I)·I, the smaller root; beyond the most that the pack can give, that most.
        let root = (open * open - 4.0 * resistance * self.power()).max(0.0).sqrt();
        let discharge = (open - root) / (2.0 * resistance);
        self.soc = (self.soc - discharge * self.step_s / CAPACITY_AS).clamp(0.0, 1.0);
        let heat = discharge * discharge * resistance - COOLING * (self.temperature - self.config.ambient);
        self.temperature += heat * self.step_s / HEAT_CAPACITY;
        if !self.charging {
            self.driven_s += self.step_s;
        }
        self.step += 1;
        -discharge
    }

    /// Resistance of the mean cell; it grows by about 2 % per kelvin of cold.
    fn resistance(&self) -> f64 {
        R0 * (1.0 + 0.02 * (25.0 - self.temperature).max(-10.0))
    }

    fn sample(&self, time: Timestamp, amperes: f64) -> Sample {
        let base = self.resistance();
        let start = self.config.soc / 100.0;
        let volts = |cell: &Cell| {
            let soc = start + cell.soc + (self.soc - start) / cell.capacity;
            ocv(soc) + amperes * base * cell.resistance
        };
        let cells: Vec<f64> = self.cells.iter().map(volts).collect();
        let seed = self.config.seed;
        let temperature = |i: u64| self.temperature + 0.8 * uniform(seed.wrapping_add(7), i);
        Sample {
            time,
            pack_voltage: Millivolts::from_base(cells.iter().sum()).unwrap_or_default(),
            pack_current: Milliamps::from_base(amperes).unwrap_or_default(),
            cells: cells.iter().map(|v| Millivolts16::from_base(*v).unwrap_or_default()).collect(),
            temperatures: (0..SENSORS).filter_map(|i| Centidegrees::from_base(temperature(i))).collect(),
            soc: CentiPercent::from_base(self.soc * 100.0).unwrap_or(CentiPercent::UNKNOWN),
            contactor: Contactor::Closed,
            charger: if self.charging { Charger::Charging } else { Charger::Unplugged },
        }
    }
}

impl Source for Sim {
    fn poll(&mut self) -> Result<Next, Error> {
        if self.config.samples > 0 && self.step >= self.config.samples {
            return Ok(Next::End);
        }
        let ms = (self.step as f64 * self.step_s * 1000.0).round() as u64;
        let amperes = self.advance();
        let sample = self.sample(Timestamp::from_millis(self.cursor.base_ms.saturating_add(ms)), amperes);
        self.cursor.done = self.step;
        Ok(Next::Sample(Sampled { sample, cursor: self.cursor }))
    }
}
