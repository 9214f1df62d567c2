//! Prints each frame of a log as `seconds bus id extended fd remote error received data`, for a comparison with python-can:
//! `cargo run --release --example frames -- FILE`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use std::path::PathBuf;
use voltmesh_recording::Stamp;
use voltmesh_recording::can::{Direction, Kind, Log};

fn main() {
    for file in std::env::args().skip(1).map(PathBuf::from) {
        let mut log = match Log::open(&file) {
            Ok(log) => log,
            Err(error) => {
                println!("refused: {error}");
                continue;
            }
        };
        while let Some(frame) = log.next().unwrap() {
            let (Stamp::Unix(ns) | Stamp::Relative(ns)) = frame.time;
            let flag = |is: bool| u8::from(is);
            let bus = frame.bus.map_or_else(|| "-".to_owned(), |bus| bus.to_string());
            let data: String = frame.data().iter().map(|byte| format!("{byte:02x}")).collect();
            println!(
                "{}.{:06} {bus} {:X} {} {} {} {} {} {data}",
                ns.div_euclid(1_000_000_000),
                (ns.rem_euclid(1_000_000_000) + 500) / 1000,
                frame.id,
                flag(frame.extended),
                flag(frame.kind == Kind::Fd),
                flag(frame.kind == Kind::Remote),
                flag(frame.kind == Kind::Error),
                flag(frame.direction != Direction::Sent),
            );
        }
        for (reason, count, place) in log.skipped().iter() {
            println!("skipped {count}: {reason} (first {place})");
        }
    }
}
