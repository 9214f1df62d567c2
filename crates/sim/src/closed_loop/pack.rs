//! Simulated packs on their way into trouble, as bodies of vehicles.

use super::vehicle::{Body, Moment};
use std::cell::RefCell;
use std::rc::Rc;
use voltmesh_battery::trouble::{Asked, Run, Second, Toll};
use voltmesh_edge::commands::Setpoints;
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, Milliamps, Millivolts, Millivolts16, Ohms, Sample,
    Timestamp,
};

/// Current that counts as charging, in A.
const CHARGING_A: f64 = 0.2;

/// A second of a run, for plots.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Time since the start in s.
    pub time_s: f64,
    /// Current in A, discharge negative.
    pub current_a: f64,
    /// Lowest and highest cell that sensors show, in V.
    pub cells_v: (f64, f64),
    /// Coldest and hottest sensor in °C.
    pub temps_c: (f64, f64),
    /// Mean state of charge.
    pub soc: f64,
}

/// A run that a vehicle drives and others look at.
#[derive(Clone)]
pub struct SharedRun(Rc<RefCell<Inner>>);

struct Inner {
    run: Run,
    points: Vec<Point>,
}

impl SharedRun {
    /// Of a run.
    pub fn new(run: Run) -> Self {
        Self(Rc::new(RefCell::new(Inner { run, points: Vec::new() })))
    }

    /// What the run has done to the pack.
    pub fn toll(&self) -> Toll {
        self.0.borrow().run.toll()
    }

    /// Every second so far.
    pub fn points(&self) -> Vec<Point> {
        self.0.borrow().points.clone()
    }

    /// Goes on by a second within what is asked.
    pub fn step(&self, asked: &Asked) -> Option<Second> {
        let mut inner = self.0.borrow_mut();
        let second = inner.run.step(asked)?;
        let range = |values: &[f64]| {
            let start = (f64::INFINITY, f64::NEG_INFINITY);
            values.iter().fold(start, |(low, high), value| (low.min(*value), high.max(*value)))
        };
        let point = Point {
            time_s: second.sample.time_s,
            current_a: second.current_a,
            cells_v: range(&second.sample.cells_v),
            temps_c: range(&second.sample.temps_c),
            soc: second.soc,
        };
        inner.points.push(point);
        Some(second)
    }
}

impl Body for SharedRun {
    fn second(&mut self, now: Timestamp, setpoints: &Setpoints) -> Moment {
        match self.step(&asked(setpoints)) {
            Some(second) => Moment::Sample(Box::new(sample(now, &second))),
            None => Moment::End,
        }
    }
}

/// What is in force, for a simulated pack.
pub fn asked(setpoints: &Setpoints) -> Asked {
    let amperes = |ma: Option<u32>| ma.map(|ma| f64::from(ma) / 1_000.0);
    Asked {
        charge_a: amperes(setpoints.charge_ma),
        discharge_a: amperes(setpoints.discharge_ma),
        target_c: setpoints.target_centidegrees.map(|c100| f64::from(c100) / 100.0),
        bleed: setpoints.balance.clone(),
        stop_charging: setpoints.stop_charging,
    }
}

/// What the vehicle's sensors say, as its agent records it.
pub fn sample(time: Timestamp, second: &Second) -> Sample {
    let seen = &second.sample;
    Sample {
        time,
        pack_voltage: Millivolts::from_base(seen.voltage_v).unwrap_or_default(),
        pack_current: Milliamps::from_base(seen.current_a).unwrap_or_default(),
        cells: seen.cells_v.iter().map(|v| Millivolts16::from_base(*v).unwrap_or_default()).collect(),
        temperatures: seen.temps_c.iter().filter_map(|temp_c| Centidegrees::from_base(*temp_c)).collect(),
        soc: CentiPercent::from_base((second.soc * 100.0).clamp(0.0, 100.0)).unwrap_or(CentiPercent::UNKNOWN),
        contactor: if second.open { Contactor::Open } else { Contactor::Closed },
        charger: match second.plugged {
            true if second.current_a > CHARGING_A => Charger::Charging,
            true => Charger::Plugged,
            false => Charger::Unplugged,
        },
        insulation: seen.insulation_ohm.and_then(Ohms::from_base).unwrap_or_default(),
        ..Sample::default()
    }
}
