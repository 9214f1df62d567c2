//! A pack's sample from the sample of a record: whatever is unknown is no number, for whatever cause.

use super::PackSample;
use voltmesh_telemetry::{Reading, Sample};

impl From<&Sample> for PackSample {
    fn from(sample: &Sample) -> Self {
        let known = |value: Reading<f64>| value.unwrap_or(f64::NAN);
        Self {
            time_s: sample.time.as_millis() as f64 / 1_000.0,
            voltage_v: known(sample.pack_voltage.to_base()),
            current_a: known(sample.pack_current.to_base()),
            cells_v: sample.cells.iter().map(|cell| known(cell.to_base())).collect(),
            temps_c: sample.temperatures.iter().map(|temp| known(temp.to_base())).collect(),
            insulation_ohm: sample.insulation.to_base().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_are_no_numbers() {
        let sample = PackSample::from(&Sample::default());
        assert!(sample.voltage_v.is_nan() && sample.current_a.is_nan() && sample.insulation_ohm.is_none());
    }
}
