//! Records to measure with: a 96-cell pack on the road at 1 Hz, made up or after a real trip.
//!
//! Cells differ as cells do: capacity by 1 %, resistance by 4 %, state of charge by 0.5 %; the sensor adds noise of
//! 0.5 mV (one standard deviation) and reports whole millivolts. Temperatures come in steps of 0.5 °C.

use std::sync::Arc;
use voltmesh_telemetry::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Charger,
    Contactor, Milliamps, Millivolts, Millivolts16, Ohms, Record, RecordNumber, Resolution, Sample,
    Timestamp, Unknown,
};

/// 2026-01-05T08:00:00Z.
const START_MS: u64 = 1_767_600_000_000;
const CELLS: usize = 96;
const TEMPERATURES: usize = 8;

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

struct Cell {
    capacity_ah: f64,
    resistance_ohm: f64,
    soc: f64,
    polarisation_v: f64,
}

/// A pack of cells with an open-circuit voltage, a resistance and one slow polarisation.
pub struct Pack {
    random: Random,
    cells: Vec<Cell>,
    temperature: f64,
}

impl Pack {
    /// A pack at `soc` (0 to 1).
    pub fn new(seed: u64, soc: f64) -> Self {
        let mut random = Random(seed);
        let cells = (0..CELLS)
            .map(|_| Cell {
                capacity_ah: 60.0 * (1.0 + 0.01 * random.normal()),
                resistance_ohm: 0.0008 * (1.0 + 0.04 * random.normal()),
                soc: soc + 0.005 * random.normal(),
                polarisation_v: 0.0,
            })
            .collect();
        Self { random, cells, temperature: 24.0 }
    }

    /// One second with this current (positive charges); volts of each cell as its sensor reports them.
    pub fn step(&mut self, current: f64) -> Vec<f64> {
        self.temperature += 1e-8 * current * current;
        let random = &mut self.random;
        let volts = |cell: &mut Cell| {
            cell.soc += current / 3600.0 / cell.capacity_ah;
            let polarised = 0.6 * cell.resistance_ohm * current;
            cell.polarisation_v += (polarised - cell.polarisation_v) / 30.0;
            let s = cell.soc.clamp(0.0, 1.0);
            let rest = 3.4 + 0.75 * s - 0.35 * (1.0 - s).powi(8) + 0.03 * (9.0 * s).sin();
            rest + cell.resistance_ohm * current + cell.polarisation_v + 0.0005 * random.normal()
        };
        self.cells.iter_mut().map(volts).collect()
    }

    /// A record of second `second`.
    pub fn record(&mut self, second: u64, current: f64) -> Record {
        let volts = self.step(current);
        let soc = self.cells.iter().map(|cell| cell.soc).sum::<f64>() / CELLS as f64;
        let cells: Vec<Millivolts16> =
            volts.iter().map(|volts| Millivolts16::new((volts * 1000.0).round() as u16)).collect();
        let pack = volts.iter().sum::<f64>() + 0.05 * self.random.normal();
        let temperatures = (0..TEMPERATURES)
            .map(|i| self.temperature + 0.3 * i as f64 + 0.1 * self.random.normal())
            .map(|celsius| Centidegrees::new((celsius * 2.0).round() as i16 * 50))
            .collect();
        let sample = Sample {
            time: Timestamp::from_millis(START_MS + 1000 * second),
            pack_voltage: Millivolts::new((pack * 10.0).round() as u32 * 100),
            pack_current: Milliamps::new((current * 100.0).round() as i32 * 10),
            cells,
            temperatures,
            soc: CentiPercent::new((soc * 1000.0).round() as u16 * 10),
            contactor: Contactor::Closed,
            charger: Charger::Unplugged,
            ..Sample::default()
        };
        Record { number: RecordNumber::new(second), sample }
    }
}

/// A drive of which values are unknown: a cell that is never measured, one in a hundred cells, sensors and currents now and
/// then.
#[allow(dead_code, reason = "each example uses its part")]
pub fn with_unknown(mut records: Vec<Record>) -> Vec<Record> {
    let mut random = Random(3);
    let mut rarely = || random.uniform() < 0.01;
    for Record { sample, .. } in &mut records {
        sample.cells[17] = Millivolts16::unknown(Unknown::SensorFault);
        if rarely() {
            let cell = sample.time.as_millis() as usize / 1000 % CELLS;
            sample.cells[cell] = Millivolts16::unknown(Unknown::Stale);
        }
        if rarely() {
            sample.temperatures[1] = Centidegrees::unknown(Unknown::NotAvailable);
        }
        if rarely() {
            sample.pack_current = Milliamps::unknown(Unknown::NotSent);
        }
    }
    records
}

/// A drive with all optional quantities and four channels.
///
/// # Panics
/// Never: the channels are valid.
#[allow(dead_code, reason = "each example uses its part")]
pub fn with_everything(mut records: Vec<Record>) -> Vec<Record> {
    let mut random = Random(4);
    let units =
        [("cell-pressure-1", "kPa"), ("cell-pressure-2", "kPa"), ("gas", "[ppm]"), ("time-of-flight", "us")];
    let channels = units.map(|(name, unit)| {
        let resolution = Resolution::new(1, -1).expect("a resolution");
        Arc::new(Channel::new(name, unit, resolution).expect("a channel"))
    });
    for Record { sample, .. } in &mut records {
        sample.insulation = Ohms::new(2_000_000 + 10_000 * (random.normal() as i32).unsigned_abs());
        sample.ambient = Centidegrees::new(1_250);
        sample.coolant = Centidegrees::new(2_100 + 50 * random.normal() as i16);
        sample.speed = CentiKilometersPerHour::new(5_000 + 10 * (20.0 * random.uniform()) as u16);
        let count = |channel: &Arc<Channel>| ChannelValue {
            channel: channel.clone(),
            count: ChannelCount::new(1_000 + (3.0 * random.normal()) as i32),
        };
        sample.channels = channels.iter().map(count).collect();
    }
    records
}

/// A made-up drive: accelerations, cruising, recuperation and stops.
#[allow(dead_code, reason = "each example uses its part")]
pub fn synthetic(seconds: u64) -> Vec<Record> {
    let mut pack = Pack::new(1, 0.85);
    let mut noise = Random(2);
    let mut current = 0.0;
    let mut wanted = 0.0;
    let mut step = |second| {
        if second % 8 == 0 {
            wanted = match noise.uniform() {
                u if u < 0.2 => -1.0,
                u if u < 0.35 => 40.0 * noise.uniform(),
                u if u < 0.8 => -30.0 * noise.uniform(),
                _ => -150.0 * noise.uniform(),
            };
        }
        current += (wanted - current) * 0.4 + 0.8 * noise.normal();
        pack.record(second, current)
    };
    (0..seconds).map(&mut step).collect()
}
