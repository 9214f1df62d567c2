//! Where a temperature goes: its slope by least squares over the last three minutes, and a body of first order that it belongs to.

use voltmesh_guest::state::{Reader, Writer};

use crate::Settings;

/// Time in ms over which the slope is taken.
const WINDOW_MS: u64 = 180_000;

/// Time in ms over which a rapid rise is seen.
const RACE_MS: u64 = 45_000;

/// Least time between two points in ms: 90 points a window.
const SPACING_MS: u64 = 2_000;

/// Points and seconds from which on there is a slope.
const LEAST_POINTS: usize = 5;
const LEAST_MS: u64 = 15_000;

/// Standard deviations by which a slope must differ from none.
const SURE: f64 = 3.0;

/// Quantisation of usual sensors in K, for the slope's uncertainty: half a kelvin, uniform.
const QUANTUM_SD_K: f64 = 0.5 / 3.464;

/// Rise in K over the points below which a slope may be one step of a sensor that shows whole kelvins: the straight line
/// through such a step rises by 1.5 K at most.
const LEAST_RISE_K: f64 = 1.8;

/// A temperature with its last three minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forecast {
    points: Vec<(u64, f64)>,
    /// The last three values as they came: their median has no single outlier.
    raw: Vec<f64>,
    last_ms: Option<u64>,
}

impl Forecast {
    /// Takes a measured value.
    pub fn see(&mut self, time_ms: u64, value_c: f64) {
        if self.raw.len() == 3 {
            self.raw.remove(0);
        }
        self.raw.push(value_c);
        self.last_ms = Some(time_ms);
        if let Some(&(last_ms, _)) = self.points.last()
            && time_ms.saturating_sub(last_ms) < SPACING_MS
        {
            return;
        }
        let value_c = self.median();
        self.points.retain(|(at_ms, _)| time_ms.saturating_sub(*at_ms) < WINDOW_MS);
        self.points.push((time_ms, value_c));
    }

    fn median(&self) -> f64 {
        let mut sorted = self.raw.clone();
        sorted.sort_by(f64::total_cmp);
        // Of two the lower: one value alone never alarms.
        sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
    }

    /// The temperature now in °C, without a single outlier.
    #[must_use]
    pub fn now_c(&self) -> Option<f64> {
        (!self.raw.is_empty()).then(|| self.median())
    }

    /// Time of the last value in ms.
    #[must_use]
    pub const fn last_ms(&self) -> Option<u64> {
        self.last_ms
    }

    /// Slope in K/s over all points.
    fn slope(&self) -> Option<(f64, f64)> {
        Self::slope_of(&self.points)
    }

    /// Slope in K/s of points, once there are enough of them, with its standard deviation.
    fn slope_of(points: &[(u64, f64)]) -> Option<(f64, f64)> {
        let (first, last) = (points.first()?, points.last()?);
        if points.len() < LEAST_POINTS || last.0 - first.0 < LEAST_MS {
            return None;
        }
        let count = points.len() as f64;
        let seconds = |at_ms: u64| (at_ms - first.0) as f64 / 1_000.0;
        let mean_t = points.iter().map(|(at, _)| seconds(*at)).sum::<f64>() / count;
        let mean_c = points.iter().map(|(_, c)| c).sum::<f64>() / count;
        let spread = points.iter().map(|(at, _)| (seconds(*at) - mean_t).powi(2)).sum::<f64>();
        let common = points.iter().map(|(at, c)| (seconds(*at) - mean_t) * (c - mean_c)).sum::<f64>();
        let slope = common / spread;
        let left = points.iter().map(|(at, c)| (c - mean_c - slope * (seconds(*at) - mean_t)).powi(2));
        let noise = (left.sum::<f64>() / (count - 2.0)).max(QUANTUM_SD_K * QUANTUM_SD_K);
        let span_s = seconds(last.0);
        Some((slope, (noise / spread).sqrt().max(LEAST_RISE_K / SURE / span_s)))
    }

    /// Slope in K/s.
    #[must_use]
    pub fn slope_k_per_s(&self) -> Option<f64> {
        self.slope().map(|(slope, _)| slope)
    }

    /// Whether it surely rises by so many K/s or more, over the last points alone.
    #[must_use]
    pub fn races(&self, k_per_s: f64) -> bool {
        let last_ms = self.points.last().map_or(0, |(at_ms, _)| *at_ms);
        let from = self.points.partition_point(|(at_ms, _)| last_ms.saturating_sub(*at_ms) > RACE_MS);
        Self::slope_of(&self.points[from..]).is_some_and(|(slope, sd)| slope >= k_per_s && slope > SURE * sd)
    }

    /// Whether it surely rises.
    #[must_use]
    pub fn rises(&self) -> bool {
        self.slope().is_some_and(|(slope, sd)| slope > SURE * sd)
    }

    /// Temperature in °C after so many seconds, all else equal: a body of first order whose slope is s comes closer to where
    /// it ends by s τ (1 − e^(−t/τ)). Without a sure slope it stays.
    #[must_use]
    pub fn after_c(&self, settings: &Settings, seconds: f64) -> f64 {
        let Some(now_c) = self.now_c() else { return f64::NAN };
        let tau_s = settings.time_constant_s;
        let gain = -(-seconds / tau_s).exp_m1() * tau_s;
        now_c
            + self
                .slope()
                .filter(|(slope, sd)| slope.abs() > SURE * sd)
                .map_or(0.0, |(slope, _)| slope * gain)
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        writer.list(&self.points, |writer, (at_ms, value)| {
            writer.u64(*at_ms);
            writer.f64(*value);
        });
        writer.list(&self.raw, |writer, value| writer.f64(*value));
        writer.bool(self.last_ms.is_some());
        writer.u64(self.last_ms.unwrap_or_default());
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let points = reader.list(|reader| Ok((reader.u64()?, reader.f64()?)))?;
        if points.windows(2).any(|pair: &[(u64, f64)]| pair[0].0 >= pair[1].0) {
            return Err("state: times of temperatures do not ascend".to_owned());
        }
        let raw = reader.list(Reader::f64)?;
        if raw.len() > 3 {
            return Err("state: more than three last temperatures".to_owned());
        }
        let known = reader.bool()?;
        let last_ms = reader.u64()?;
        Ok(Self { points, raw, last_ms: known.then_some(last_ms) })
    }
}
