//! A pack on its way through a script, second by second.

use super::script::{OPENS, Script, Sees, Work};
use super::tally::{Tally, Toll};
use crate::act::current_limits;
use crate::drive::{Car, Schedule};
use crate::pack::{Coolant, CoolantLoop, Fault, Layout, Pack, PackSample, Sensors};
use crate::{Cell, CellParams, Chemistry, Error};
use std::sync::Arc;

/// Capacity of a group in Ah.
const CAPACITY_AH: f64 = 60.0;

/// Length of a step in s.
const STEP_S: f64 = 1.0;

/// Current of a balancing resistor in A.
const BLEED_A: f64 = 0.1;

/// Part of the charger's current by which it changes in a second while it holds a voltage.
const REGULATES: f64 = 0.02;

/// Current in C at which holding a voltage ends.
const ENDS_C: f64 = 0.02;

/// State of charge at which limits by temperature are looked up: near the end the charger's voltage limits the current.
const AT_SOC: f64 = 0.5;

/// The pack's own regulation: °C above which it cools, to which it does; below which it heats, to which it does.
const COOLS_C: (f64, f64) = (40.0, 30.0);
const HEATS_C: (f64, f64) = (5.0, 12.0);

/// Voltage above the chemistry's lowest at which a management ends a drive, under load.
const EMPTY_MARGIN_V: f64 = 0.2;

/// Demands on the pack from outside; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Most current into the pack in A.
    pub charge_a: Option<f64>,
    /// Most current out of it in A.
    pub discharge_a: Option<f64>,
    /// Temperature to heat or cool to, in °C.
    pub target_c: Option<f64>,
    /// Groups to bleed, from 0.
    pub bleed: Vec<u16>,
    /// Whether charging is to end.
    pub stop_charging: bool,
}

/// Outcome of a second.
#[derive(Debug, Clone, PartialEq)]
pub struct Second {
    /// What the sensors say.
    pub sample: PackSample,
    /// Whether the charger is plugged in.
    pub plugged: bool,
    /// Whether the management has opened the contactors.
    pub open: bool,
    /// Current that flowed, in A (discharge negative).
    pub current_a: f64,
    /// Mean state of charge, as the management counts it.
    pub soc: f64,
}

/// A pack on its way through a script. Deterministic by script and seed.
pub struct Run {
    script: Script,
    pack: Pack,
    coolant: Coolant,
    sensors: Sensors,
    fault: Option<Fault>,
    frozen: Option<f64>,
    tally: Tally,
    time_s: f64,
    /// What the charger would give now, in A.
    charger_a: f64,
    /// Which part of the work is under way, and for how many seconds; beyond the last it rests.
    part: usize,
    part_s: f64,
    /// Whether the contactors are open for good.
    open: bool,
    regulating_c: Option<f64>,
    last: Option<PackSample>,
    car: Car,
    speeds: Vec<f64>,
}

impl Run {
    /// At the beginning of a script, with a pack whose cells differ by the seed.
    ///
    /// # Errors
    /// [`Error::Parameters`] if the cell's parameters are senseless.
    pub fn new(script: Script, seed: u64) -> Result<Self, Error> {
        let cell = Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, CAPACITY_AH))?);
        let layout = Layout { series: script.series, soc_sd: script.soc_sd, seed, ..Layout::default() };
        let pack = Pack::new(cell, &layout, script.soc, script.temp_c);
        let fault = script.fault.map(|(kind, group, severity)| Fault { kind, group, since_s: 0.0, severity });
        Ok(Self {
            coolant: Coolant::new(CoolantLoop::default(), script.ambient_c),
            sensors: Sensors { seed, ..Sensors::default() },
            tally: Tally::new(&pack, script.charged),
            fault,
            frozen: None,
            time_s: 0.0,
            charger_a: f64::INFINITY,
            part: 0,
            part_s: 0.0,
            open: false,
            regulating_c: None,
            last: None,
            car: Car::default(),
            speeds: Schedule::WltcClass3b.speeds(),
            pack,
            script,
        })
    }

    /// The pack.
    #[must_use]
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// What the run has done to the pack so far.
    #[must_use]
    pub fn toll(&self) -> Toll {
        self.tally.toll(&self.pack)
    }

    /// Goes on by a second, within what is asked. Nothing at the end of the script.
    pub fn step(&mut self, asked: &Asked) -> Option<Second> {
        if self.time_s >= self.script.seconds {
            return None;
        }
        if let Some(fault) = &self.fault {
            fault.act(&mut self.pack, self.time_s);
        }
        self.open |= self.is_beyond_all();
        let current_a = self.current_a(asked);
        let target_c = asked.target_c.or_else(|| self.regulates());
        self.pack.bleed(&asked.bleed, BLEED_A);
        self.coolant.step(&mut self.pack, target_c, current_a, self.script.ambient_c, STEP_S);
        self.time_s += STEP_S;
        let plugged = matches!(self.work(), Some(Work::Charge { .. }));
        self.tally.push(&self.pack, current_a, plugged, STEP_S);
        let mut sample = self.sensors.read(&self.pack, self.time_s, current_a);
        if let Some(fault) = &self.fault {
            fault.distort(&mut sample, CAPACITY_AH, &mut self.frozen);
        }
        self.last = Some(sample.clone());
        Some(Second { sample, plugged, open: self.open, current_a, soc: self.soc() })
    }

    fn soc(&self) -> f64 {
        let socs = self.pack.socs();
        socs.iter().sum::<f64>() / socs.len().max(1) as f64
    }

    /// Part of the work that is under way.
    fn work(&self) -> Option<Work> {
        self.script.work.get(self.part).copied()
    }

    fn next_part(&mut self) {
        self.part += 1;
        self.part_s = 0.0;
        self.charger_a = f64::INFINITY;
    }

    /// Current of the pack, positive into it.
    fn current_a(&mut self, asked: &Asked) -> f64 {
        let most_in = asked.charge_a.unwrap_or(f64::INFINITY).max(0.0);
        let most_out = asked.discharge_a.unwrap_or(f64::INFINITY).max(0.0);
        self.part_s += STEP_S;
        // Heater and chiller are fed by the charger where there is one, and by the pack on the road.
        let current_a = match self.work() {
            _ if self.open => 0.0,
            None => 0.0,
            Some(Work::Rest { seconds }) => {
                if self.part_s >= seconds {
                    self.next_part();
                }
                0.0
            }
            Some(Work::Charge { c_rate, hold_v, until }) => {
                let done = self.regulate_charger(c_rate, hold_v, until);
                if done {
                    self.next_part();
                }
                if asked.stop_charging || done { 0.0 } else { self.charger_a.min(self.allowed_a()) }
            }
            Some(Work::Drive { seconds }) => {
                if self.part_s > seconds || self.is_empty() {
                    self.next_part();
                    0.0
                } else {
                    self.driving_a()
                }
            }
        };
        current_a.clamp(-most_out, most_in)
    }

    /// Lowers the charger's current while the seen voltage is above what it holds, and raises it again below. Returns whether
    /// charging is over.
    fn regulate_charger(&mut self, c_rate: f64, hold_v: f64, until: f64) -> bool {
        let most_a = c_rate * CAPACITY_AH;
        let Some((_, highest_v)) = self.seen_v() else {
            self.charger_a = most_a;
            return false;
        };
        let factor = if highest_v > hold_v { 1.0 - REGULATES } else { 1.0 + REGULATES };
        self.charger_a = (self.charger_a * factor).min(most_a);
        self.charger_a < ENDS_C * CAPACITY_AH || self.soc() >= until
    }

    /// Whether what the management sees is beyond its last protection.
    fn is_beyond_all(&self) -> bool {
        let (low_v, high_v) = self.pack.cell().params().chemistry.voltage_window_v();
        let (below_v, above_v, hot_c) = OPENS;
        let volts = self
            .seen_v()
            .is_some_and(|(lowest_v, highest_v)| lowest_v < low_v - below_v || highest_v > high_v + above_v);
        volts || self.last.as_ref().is_some_and(|last| last.temps_c.iter().any(|temp_c| *temp_c > hot_c))
    }

    /// What the management allows by temperature.
    fn allowed_a(&self) -> f64 {
        if !self.script.management.minds_temperature {
            return f64::INFINITY;
        }
        let coldest_c = self.last.as_ref().map_or(self.script.temp_c, |sample| {
            sample.temps_c.iter().copied().fold(f64::INFINITY, f64::min)
        });
        let hottest_c = self.last.as_ref().map_or(self.script.temp_c, |sample| {
            sample.temps_c.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        });
        let chemistry = self.pack.cell().params().chemistry;
        let at = |temp_c: f64| current_limits(chemistry, AT_SOC, temp_c, 1.0).charge_c * CAPACITY_AH;
        at(coldest_c).min(at(hottest_c))
    }

    /// Lowest and highest voltage that the management sees.
    fn seen_v(&self) -> Option<(f64, f64)> {
        let sample = self.last.as_ref()?;
        Some(match self.script.management.sees {
            Sees::All => {
                let cells = || sample.cells_v.iter().copied();
                (cells().fold(f64::INFINITY, f64::min), cells().fold(f64::NEG_INFINITY, f64::max))
            }
            Sees::Mean => {
                let mean_v = sample.mean_cell_v()?;
                (mean_v, mean_v)
            }
            Sees::One(group) => {
                let volts = *sample.cells_v.get(group)?;
                (volts, volts)
            }
        })
    }

    /// Whether the management ends the drive.
    fn is_empty(&self) -> bool {
        let (low_v, _) = self.pack.cell().params().chemistry.voltage_window_v();
        let seen = self.seen_v();
        self.script.management.ends_drives
            && seen.is_some_and(|(lowest_v, _)| lowest_v < low_v + EMPTY_MARGIN_V)
    }

    fn driving_a(&self) -> f64 {
        let at = self.part_s as usize % (self.speeds.len() - 1);
        let (speed, next) = (self.speeds[at], self.speeds[at + 1]);
        self.pack.current_at_w(self.car.power_w(speed, next - speed) + self.coolant.electric_w())
    }

    /// Target of the pack's own regulation.
    fn regulates(&mut self) -> Option<f64> {
        if !self.script.management.regulates {
            return None;
        }
        let temps_c = &self.last.as_ref()?.temps_c;
        let hottest_c = temps_c.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let coldest_c = temps_c.iter().copied().fold(f64::INFINITY, f64::min);
        self.regulating_c = match self.regulating_c {
            None if hottest_c > COOLS_C.0 => Some(COOLS_C.1),
            None if coldest_c < HEATS_C.0 => Some(HEATS_C.1),
            Some(target) if target == COOLS_C.1 && hottest_c < COOLS_C.1 + 1.0 => None,
            Some(target) if target == HEATS_C.1 && coldest_c > HEATS_C.1 - 1.0 => None,
            other => other,
        };
        self.regulating_c
    }
}
