//! Samples as JSON under the names and units of COVESA VSS v6.
//!
//! One object per sample: full VSS paths as keys, volts, amperes (positive charges), percent and degrees Celsius as values,
//! and a `timestamp` in RFC 3339 or milliseconds since the Unix epoch. Values are rounded to millivolts, milliamps and
//! hundredths. Booleans may be 0 and 1. Keys that are not read here are ignored, unless they differ from one that is in
//! capitals or separators alone: that is refused. VSS knows a contactor only as connected or not, a charger as cable and
//! charging or not.
//!
//! A value that is unknown is `null` (not sent) or an object with its cause, such as `{"unknown": "stale"}` ([`Unknown`]).
//! Where VSS has no signal, a private branch `Voltmesh` has it. Messages of VISS servers and of Kuksa's databroker hold the
//! same signals with a time each; they are read too (`messages`).

mod channels;
mod forms;
mod messages;
mod object;
mod once;
mod read;
mod seeds;
mod write;

#[cfg(doc)]
use crate::Unknown;
pub use read::parse;
pub use write::to_json;

/// Largest JSON sample: 64 KiB, five times the size of one with [`crate::MAX_CELLS`] cells.
pub const MAX_JSON_BYTES: usize = 64 << 10;

/// Key of the sample's time; not a VSS signal.
pub const TIMESTAMP: &str = "timestamp";
/// Pack voltage in volts.
pub const CURRENT_VOLTAGE: &str = "Vehicle.Powertrain.TractionBattery.CurrentVoltage";
/// Pack current in amperes; positive charges.
pub const CURRENT_CURRENT: &str = "Vehicle.Powertrain.TractionBattery.CurrentCurrent";
/// Cell voltages in volts.
pub const CELL_VOLTAGES: &str = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages";
/// Cell temperatures in degrees Celsius.
pub const CELL_TEMPERATURES: &str = "Vehicle.Powertrain.TractionBattery.Temperature.CellTemperature";
/// Mean temperature in degrees Celsius, for packs that report no list.
pub const AVERAGE_TEMPERATURE: &str = "Vehicle.Powertrain.TractionBattery.Temperature.Average";
/// State of charge in percent.
pub const STATE_OF_CHARGE: &str = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current";
/// Whether the contactor is closed.
pub const IS_POWER_CONNECTED: &str = "Vehicle.Powertrain.TractionBattery.IsPowerConnected";
/// Whether energy flows from a charger.
pub const IS_CHARGING: &str = "Vehicle.Powertrain.TractionBattery.Charging.IsCharging";
/// Whether a cable is plugged in.
pub const IS_CABLE_CONNECTED: &str =
    "Vehicle.Powertrain.TractionBattery.Charging.ChargingPort.AnyPosition.IsChargingCableConnected";

/// Insulation resistance in ohms.
pub const INSULATION: &str = "Vehicle.Powertrain.TractionBattery.Voltmesh.InsulationResistance";
/// Temperature of the battery's coolant in degrees Celsius.
pub const COOLANT_TEMPERATURE: &str = "Vehicle.Powertrain.TractionBattery.Voltmesh.CoolantTemperature";
/// Temperature of the air around the vehicle in degrees Celsius.
pub const AIR_TEMPERATURE: &str = "Vehicle.Exterior.AirTemperature";
/// Speed in kilometres per hour.
pub const SPEED: &str = "Vehicle.Speed";
/// Extra channels: an array of objects with `name`, `unit` (UCUM), `resolution` and `value`.
pub const CHANNELS: &str = "Vehicle.Powertrain.TractionBattery.Voltmesh.Channels";

/// Keys of messages that hold a sample's values (`messages`).
const ENVELOPES: [&str; 5] = ["data", "path", "entries", "updates", "error"];

/// Key of an unknown value's cause.
const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests;
