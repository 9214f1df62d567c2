//! Whether a temperature can be that of a cell, or only that of a broken sensor.
//!
//! Rules, each with its constant below:
//! - A cell has heat capacity: what changes faster than [`FASTEST_K_PER_S`], beyond [`STEP_K`], is the sensor. Its value is
//!   not used until it has gone on without a jump for [`SETTLED_S`], or is back where it was; a rise is never taken across a jump.
//! - A first value that is exactly 0 or −40 °C is what electronics send before they have measured. It is not used while other
//!   sensors are elsewhere, or, where there are none, until it has stood for [`FIRST_S`] or has moved a little.
//! - A first value more than [`APART_K`] from the middle of two or more others is not used until it joins them.
//! - A silent sensor is no sensor; when it speaks again after [`SILENT_S`], it begins anew.
//! - A sensor that stands still shows no rise and cannot raise an alarm.

/// Fastest change of a cell's surface in K/s that is followed. A runaway begins with hundredths to tenths of that, and its
/// later course, which may be faster, is found before.
pub const FASTEST_K_PER_S: f64 = 2.0;

/// Change in K that a sensor's resolution and noise may make at any time.
pub const STEP_K: f64 = 2.0;

/// Time in s without a jump after which a sensor is believed again.
pub const SETTLED_S: f64 = 20.0;

/// Time in s after which a first value of exactly 0 or −40 °C is believed where no other sensor contradicts it.
pub const FIRST_S: f64 = 60.0;

/// Difference in K from the middle of the others beyond which a first value is not believed.
pub const APART_K: f64 = 25.0;

/// Time in s after which a sensor that was silent begins anew.
pub const SILENT_S: f64 = 60.0;

/// Values in °C that stand for "not measured yet".
const DEFAULTS_C: [f64; 2] = [0.0, -40.0];

/// One sensor.
#[derive(Debug, Clone, Copy)]
struct Sensor {
    /// Last value and when.
    last_c: f64,
    last_s: f64,
    /// Since when it has gone on without a jump.
    since_s: f64,
    /// Last value that was believed, and when.
    good_c: f64,
    good_s: f64,
    believed: bool,
}

/// Watches the temperature sensors of a pack.
#[derive(Debug, Clone, Default)]
pub struct Plausibility {
    sensors: Vec<Option<Sensor>>,
}

impl Plausibility {
    /// Blanks the temperatures that are a sensor's fault. Returns how many.
    pub fn screen(&mut self, time_s: f64, temps_c: &mut [f64]) -> usize {
        if self.sensors.len() != temps_c.len() {
            self.sensors = vec![None; temps_c.len()];
        }
        let said = temps_c.to_vec();
        let mut blanked = 0;
        for (index, (sensor, temp)) in self.sensors.iter_mut().zip(temps_c).enumerate() {
            if !temp.is_finite() {
                continue;
            }
            let others = Others::of(&said, index);
            let next = match *sensor {
                Some(before) if time_s - before.last_s <= SILENT_S => before.goes_on(time_s, *temp, &others),
                _ => Sensor::first(time_s, *temp, &others),
            };
            if !next.believed {
                *temp = f64::NAN;
                blanked += 1;
            }
            *sensor = Some(next);
        }
        blanked
    }

    /// Since when a sensor has gone on without a jump, in s; never for one that has said nothing.
    #[must_use]
    pub fn since_s(&self, sensor: usize) -> f64 {
        self.sensors.get(sensor).copied().flatten().map_or(f64::INFINITY, |sensor| sensor.since_s)
    }
}

/// Readings of the other sensors.
struct Others {
    middle_c: f64,
    count: usize,
}

impl Others {
    fn of(said: &[f64], index: usize) -> Self {
        let mut known: Vec<f64> = said
            .iter()
            .enumerate()
            .filter(|(other, temp)| *other != index && temp.is_finite() && !is_default(**temp))
            .map(|(_, temp)| *temp)
            .collect();
        known.sort_by(f64::total_cmp);
        let middle_c = known.get(known.len() / 2).copied().unwrap_or(f64::NAN);
        Self { middle_c, count: known.len() }
    }

    fn contradict(&self, temp_c: f64) -> bool {
        let apart_k = (temp_c - self.middle_c).abs();
        if is_default(temp_c) {
            self.count > 0 && apart_k > STEP_K
        } else {
            self.count > 1 && apart_k > APART_K
        }
    }
}

fn is_default(temp_c: f64) -> bool {
    DEFAULTS_C.contains(&temp_c)
}

impl Sensor {
    fn first(time_s: f64, temp_c: f64, others: &Others) -> Self {
        let alone = is_default(temp_c) && others.count == 0;
        let believed = !alone && !others.contradict(temp_c);
        let good_c = if believed { temp_c } else { f64::NAN };
        Self { last_c: temp_c, last_s: time_s, since_s: time_s, good_c, good_s: time_s, believed }
    }

    fn goes_on(self, time_s: f64, temp_c: f64, others: &Others) -> Self {
        let near = |from_c: f64, since_s: f64| {
            (temp_c - from_c).abs() <= STEP_K + FASTEST_K_PER_S * (time_s - since_s).max(0.0)
        };
        let mut next = Self { last_c: temp_c, last_s: time_s, ..self };
        let jumped = !near(self.last_c, self.last_s);
        if jumped {
            next.since_s = time_s;
        }
        let steady_s = time_s - next.since_s;
        next.believed = if self.believed {
            !jumped
        } else if !self.good_c.is_nan() {
            // After a jump: back again, or settled where the others do not contradict it.
            (temp_c - self.good_c).abs() <= STEP_K || steady_s >= SETTLED_S && !others.contradict(temp_c)
        } else {
            // Never believed so far: a value that only stood for "not measured yet" has gone, or has proven to be one.
            !others.contradict(temp_c) && (!is_default(temp_c) || steady_s >= FIRST_S)
        };
        if next.believed {
            if !self.believed {
                // No rise is taken from what was not believed.
                next.since_s = time_s;
            }
            (next.good_c, next.good_s) = (temp_c, time_s);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the first sensor's values are used, a second apart.
    fn used(first: &[f64], others: &[f64]) -> String {
        let mut plausibility = Plausibility::default();
        let mut seen = String::new();
        for (second, temp) in first.iter().enumerate() {
            let mut temps: Vec<f64> = [*temp].iter().chain(others).copied().collect();
            plausibility.screen(second as f64, &mut temps);
            seen.push(if temps[0].is_finite() { 'x' } else { '-' });
        }
        seen
    }

    #[test]
    fn what_no_cell_does_is_the_sensor() {
        let nan = f64::NAN;
        for (first, others, expected) in [
            (&[20.0, 20.1, 20.2][..], &[][..], "xxx"),
            (&[0.0, 20.5, 20.5], &[20.5, 20.5], "-xx"),
            (&[-40.0, 20.5, 20.5], &[20.5], "-xx"),
            (&[0.0, 20.5, 20.5], &[], "-xx"),
            (&[0.0, 0.0, 0.1], &[0.5, -0.5], "xxx"),
            (&[20.0, 0.0, 20.0], &[20.0, 20.0], "x-x"),
            (&[20.0, -40.0, -40.0, 20.1], &[], "x--x"),
            (&[20.0, nan, 20.2], &[], "x-x"),
            (&[20.0, 60.0, 60.0, 60.0], &[20.0, 20.0], "x---"),
            (&[70.0, 70.0, 21.0], &[20.0, 20.5], "--x"),
            // A runaway's first minute: a kelvin a second.
            (&[20.0, 21.0, 22.0, 23.0, 24.0], &[20.0, 20.0], "xxxxx"),
        ] {
            assert_eq!(used(first, others), expected, "{first:?} beside {others:?}");
        }
        let stands = [0.0; 62];
        assert!(used(&stands, &[]).ends_with("-xx"), "freezing weather is believed after a minute");
        let mut higher = vec![20.0];
        higher.extend([33.0; 21]);
        assert!(used(&higher, &[20.0, 20.0]).ends_with("-x"), "a new level that others do not contradict");
    }

    #[test]
    fn no_rise_is_taken_across_a_jump() {
        let mut plausibility = Plausibility::default();
        for second in 0..60u32 {
            let mut temps = [if second == 0 { 10.0 } else { 30.0 }];
            plausibility.screen(f64::from(second), &mut temps);
        }
        assert!(plausibility.since_s(0) > 20.0 && plausibility.since_s(7) == f64::INFINITY);
    }
}
