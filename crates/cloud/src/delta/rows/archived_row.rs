//! A row of `records`, and reading rows from their columns.

use super::{
    channels_column::{ArchivedChannel, channels},
    columns::{Columns, unsigned},
    older_layouts::of_today,
    schema::{CAUSES, from_micros},
};
use crate::delta::ArchiveError;
use arrow::{
    array::{Array, Float64Array, RecordBatch, StringArray, cast::AsArray},
    datatypes::{Float64Type, Int32Type},
};
use serde::Serialize;

/// A row of `records`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArchivedRow {
    /// Whose.
    pub vehicle: String,
    /// In which boot.
    pub boot: u64,
    /// Which one.
    pub number: u64,
    /// When the source took it, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// At the pack's terminals; `None`, here and below, if it is unknown.
    pub pack_voltage_v: Option<f64>,
    /// Positive charges.
    pub pack_current_a: Option<f64>,
    /// Reported state of charge.
    pub soc_percent: Option<f64>,
    /// Each cell.
    pub cells_mv: Vec<Option<i32>>,
    /// Each sensor.
    pub temperatures_c: Vec<Option<f64>>,
    /// Main contactor.
    pub contactor: String,
    /// Charger.
    pub charger: String,
    /// Insulation resistance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insulation_ohm: Option<i64>,
    /// Of the air around the vehicle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambient_c: Option<f64>,
    /// Of the battery's coolant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coolant_c: Option<f64>,
    /// Of the vehicle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_kmh: Option<f64>,
    /// Extra channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ArchivedChannel>,
    /// Why values are unknown: `COLUMN=CAUSE`, `COLUMN[N]=CAUSE` and so on, with a space between; what is unknown without
    /// a cause was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<String>,
    /// The fog node that vouches for it, if not the vehicle itself.
    pub attested_by: Option<String>,
    /// The batch that holds it.
    pub batch_id: String,
    /// Height of the block that holds the batch.
    pub height: u64,
}

impl ArchivedRow {
    /// Its place in a vehicle's history.
    pub fn cursor(&self) -> Cursor {
        Cursor { time_ms: self.time_ms, boot: self.boot, number: self.number }
    }
}

/// A place in a vehicle's history, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The record's time.
    pub time_ms: u64,
    /// Its boot.
    pub boot: u64,
    /// Its number.
    pub number: u64,
}

/// Reads rows of `records`.
pub fn archived_rows(rows: &RecordBatch) -> Result<Vec<ArchivedRow>, ArchiveError> {
    let rows = &of_today(rows.clone())?;
    let columns = Columns(rows);
    let (vehicle, batch_id) = (columns.text("vehicle")?, columns.text("batch_id")?);
    let (boot, number, height) = (columns.long("boot")?, columns.long("number")?, columns.long("height")?);
    let time = columns.long("time")?;
    let (voltage, current) = (columns.double("pack_voltage_v")?, columns.double("pack_current_a")?);
    let soc = columns.double("soc_percent")?;
    let (cells, temperatures) = (columns.list("cells_mv")?, columns.list("temperatures_c")?);
    let (contactor, charger) = (columns.text("contactor")?, columns.text("charger")?);
    let insulation = columns.long("insulation_ohm")?;
    let (ambient, coolant) = (columns.double("ambient_c")?, columns.double("coolant_c")?);
    let (speed, causes) = (columns.double("speed_kmh")?, columns.text(CAUSES)?);
    let attested = columns.text("attested_by")?;
    let wrong =
        |name: &str| ArchiveError::Damaged { what: format!("column {name} has another type than ours") };
    let mut channels = channels(columns.list("channels")?).ok_or_else(|| wrong("channels"))?;
    let double = |column: &Float64Array, row| column.is_valid(row).then(|| column.value(row));
    let text = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
    (0..rows.num_rows())
        .map(|row| {
            let cells = cells.value(row);
            let cells = cells.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong("cells_mv"))?;
            let temperatures = temperatures.value(row);
            let temperatures =
                temperatures.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong("temperatures_c"))?;
            Ok(ArchivedRow {
                vehicle: vehicle.value(row).to_owned(),
                boot: unsigned(boot.value(row)),
                number: unsigned(number.value(row)),
                time_ms: from_micros(time.value(row)).as_millis(),
                pack_voltage_v: double(voltage, row),
                pack_current_a: double(current, row),
                soc_percent: double(soc, row),
                cells_mv: cells.iter().collect(),
                temperatures_c: temperatures.iter().collect(),
                contactor: contactor.value(row).to_owned(),
                charger: charger.value(row).to_owned(),
                insulation_ohm: insulation.is_valid(row).then(|| insulation.value(row)),
                ambient_c: double(ambient, row),
                coolant_c: double(coolant, row),
                speed_kmh: double(speed, row),
                channels: std::mem::take(&mut channels[row]),
                causes: text(causes, row),
                attested_by: text(attested, row),
                batch_id: batch_id.value(row).to_owned(),
                height: unsigned(height.value(row)),
            })
        })
        .collect()
}
