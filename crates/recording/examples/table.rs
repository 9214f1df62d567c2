//! Reads tables and prints what was found, with the speed: `cargo run --release --example table -- FILE…`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::time::Instant;
use voltmesh_recording::table::{Options, Table};

fn main() {
    let mut options = Options::default();
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--map" => match arguments.next().unwrap_or_default().parse() {
                Ok(mapping) => options.mappings.push(mapping),
                Err(error) => println!("{error}"),
            },
            _ => files.push(PathBuf::from(argument)),
        }
    }
    for file in files {
        println!("{}", file.display());
        if let Err(error) = show(&file, &options) {
            println!("  refused: {error}");
        }
    }
}

fn show(file: &std::path::Path, options: &Options) -> Result<(), voltmesh_recording::Error> {
    let begin = Instant::now();
    let mut table = Table::open(file, options)?;
    println!("  {}, {:?}, time {:?}", table.format(), table.level(), table.time());
    for found in table.mapping() {
        println!("  {} = {:?} [{}]", found.quantity, found.source, found.unit);
    }
    let (mut first, mut last, mut rows) = (None, None, 0_u64);
    while let Some(row) = table.next()? {
        rows += 1;
        if first.is_none() {
            first = Some(row);
        } else {
            last = Some(row);
        }
    }
    for row in first.iter().chain(&last) {
        println!(
            "  {:?} {:?} V {:?} A soc {:?} cells {:?} temperatures {:?} ambient {:?}",
            row.time, row.pack_voltage, row.pack_current, row.soc, row.cells, row.temperatures, row.ambient
        );
    }
    for (reason, count, place) in table.skipped().iter() {
        println!("  skipped {count}: {reason} (first {place})");
    }
    for text in table.warnings().iter().chain(&table.doubts()) {
        println!("  ! {text}");
    }
    println!("  unused: {}", table.unused_columns().join(", ").chars().take(200).collect::<String>());
    let seconds = begin.elapsed().as_secs_f64();
    let size = std::fs::metadata(file).map_or(0, |data| data.len());
    println!("  {rows} rows, {:.0} MB/s of the file", size as f64 / seconds / 1e6);
    Ok(())
}
