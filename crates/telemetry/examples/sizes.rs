//! Bytes per record of our batches, JSON and Protocol Buffers, on a made-up drive (the same with unknown values, and with
//! all optional quantities and four channels) and on recorded trips.
//!
//! ```sh
//! cargo run --release -p voltmesh-telemetry --example sizes -- [TRIP.csv ...]
//! ```
//! A trip is `;`-separated with the columns `Time [s]`, `Battery Voltage [V]`, `Battery Current [A]`, `SoC [%]` and
//! `Battery Temperature [°C]`, 10 lines a second, as in doi:10.21227/6jr9-5235. Its pack values are taken as they are;
//! its cells, which it does not have, are modelled.

#![allow(clippy::print_stdout, reason = "it reports to a terminal")]

mod drive;

use std::{error::Error, fs};
use voltmesh_telemetry::{CentiPercent, Centidegrees, Millivolts, Record, encoding_sizes};

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "| drive | records | per batch | canonical | JSON | JSON zstd | protobuf | protobuf zstd | signed batch |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    show("made up", &drive::synthetic(3600))?;
    show("values unknown", &drive::with_unknown(drive::synthetic(3600)))?;
    show("and more quantities", &drive::with_everything(drive::synthetic(3600)))?;
    for path in std::env::args().skip(1) {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        show(&name, &trip(&fs::read(&path)?)?)?;
    }
    Ok(())
}

fn show(name: &str, records: &[Record]) -> Result<(), Box<dyn Error>> {
    for batch in [10, 60, 600] {
        let sizes = encoding_sizes(records, batch)?;
        let each = |bytes| sizes.per_record(bytes);
        println!(
            "| {name} | {} | {batch} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | **{:.1}** |",
            sizes.records,
            each(sizes.canonical),
            each(sizes.json),
            each(sizes.json_zstd),
            each(sizes.protobuf),
            each(sizes.protobuf_zstd),
            each(sizes.batches),
        );
    }
    Ok(())
}

fn trip(csv: &[u8]) -> Result<Vec<Record>, Box<dyn Error>> {
    // Latin-1: only the degree sign is not ASCII.
    let text: String = csv.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or("empty file")?.split(';').collect();
    let column =
        |name: &str| header.iter().position(|h| h.starts_with(name)).ok_or(format!("no column {name}"));
    let (volts, amps) = (column("Battery Voltage")?, column("Battery Current")?);
    let (soc, celsius) = (column("SoC [%]")?, column("Battery Temperature")?);
    let mut records: Vec<Record> = Vec::new();
    let mut pack = None;
    for line in lines.step_by(10) {
        let fields: Vec<&str> = line.split(';').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (Some(volts), Some(amps), Some(soc)) = (number(volts), number(amps), number(soc)) else {
            continue;
        };
        let pack = pack.get_or_insert_with(|| drive::Pack::new(3, soc / 100.0));
        let mut record = pack.record(records.len() as u64, amps);
        record.sample.pack_voltage = Millivolts::from_base(volts).ok_or("voltage")?;
        record.sample.soc = CentiPercent::from_base(soc).ok_or("SoC")?;
        if let Some(value) = number(celsius).and_then(Centidegrees::from_base) {
            record.sample.temperatures = vec![value];
        }
        records.push(record);
    }
    Ok(records)
}
