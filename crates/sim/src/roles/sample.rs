//! What a simulated pack measures.

use std::sync::Arc;
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Charger, Contactor, Milliamps,
    Millivolts, Millivolts16, Ohms, Resolution, Sample, Timestamp, Unknown, VehicleId,
};

/// What a small pack of four cells says at step `step`: now and then a cell or the current is unknown, or there is more to
/// say.
pub fn sample(vehicle: &VehicleId, step: u64, time: Timestamp) -> Sample {
    let mix = vehicle.as_str().bytes().fold(step, |mix, byte| mix.wrapping_mul(31).wrapping_add(byte.into()));
    let swing = (mix % 97) as u16;
    let mut sample = Sample {
        time,
        pack_voltage: Millivolts::new(14_800 + u32::from(swing)),
        pack_current: Milliamps::new(i32::from(swing) * 100 - 5_000),
        cells: (0..4).map(|cell| Millivolts16::new(3_700 + swing + cell)).collect(),
        temperatures: vec![Centidegrees::new(2_500 + swing as i16)],
        soc: CentiPercent::new(5_000 + swing),
        contactor: Contactor::Closed,
        charger: Charger::Unplugged,
        ..Sample::default()
    };
    let cause = Unknown::ALL[step as usize % Unknown::ALL.len()];
    match mix % 8 {
        0 => sample.cells[1] = Millivolts16::unknown(cause),
        1 => sample.pack_current = Milliamps::unknown(cause),
        2 => sample.insulation = Ohms::new(2_000_000 + u32::from(swing)),
        3 => sample.channels.extend(gas(swing)),
        _ => {}
    }
    sample
}

/// An extra channel; there is one, since its name and unit are valid.
fn gas(swing: u16) -> Option<ChannelValue> {
    let channel = Channel::new("gas", "[ppm]", Resolution::ONE).ok()?;
    Some(ChannelValue { channel: Arc::new(channel), count: ChannelCount::new(swing.into()) })
}
