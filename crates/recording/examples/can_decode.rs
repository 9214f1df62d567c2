//! Decodes lines `file message-index hex-data` from standard input to one JSON object of physical values per line; with
//! `list FILE` as arguments, prints name, identifier and size of each message. Used by the comparison with cantools;
//! with `speed LOG DBC SIGNAL`, measures frames per second; with `rows FILE [DBC VOLTAGE CURRENT]`, rows as a vehicle reads them.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use voltmesh_recording::can::{Dbc, Decoder, Log, Signals};
use voltmesh_recording::{Options, Recording};

fn open(path: &str) -> Dbc {
    Dbc::parse(&std::fs::read(path).unwrap(), path).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list", file] => {
            for message in open(file).messages {
                println!("{} {} {} {}", message.name, message.id, u8::from(message.extended), message.size);
            }
        }
        ["speed", log, dbc, signal] => speed(log, &open(dbc), signal),
        ["rows", file, ref more @ ..] => rows(file, more),
        _ => decode(),
    }
}

fn speed(log: &str, dbc: &Dbc, signal: &str) {
    let signals: Signals = toml::from_str(&format!("current = '{signal}'")).unwrap();
    let mut decoder = Decoder::new(dbc, &signals).unwrap();
    let mut log = Log::open(Path::new(log)).unwrap();
    let begin = std::time::Instant::now();
    let mut frames = 0u64;
    while let Some(frame) = log.next().unwrap() {
        decoder.frame(&frame);
        frames += 1;
    }
    println!("{frames} frames, {:.2} M/s", frames as f64 / begin.elapsed().as_secs_f64() / 1e6);
}

/// Reads a recording as a vehicle does, with `DBC VOLTAGE CURRENT` for a log of a bus.
fn rows(file: &str, more: &[&str]) {
    let mut options = Options::new(1_790_000_000_000);
    if let [dbc, voltage, current] = more {
        options.dbc = Some(dbc.into());
        options.mappings.push(format!("pack_voltage={voltage}").parse().unwrap());
        options.mappings.push(format!("pack_current={current}").parse().unwrap());
    }
    let size = std::fs::metadata(file).unwrap().len();
    let begin = std::time::Instant::now();
    let mut recording = Recording::open(&[file.into()], &options).unwrap();
    while recording.next().unwrap().is_some() {}
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} rows, {:.0} MB/s, {seconds:.2} s", recording.report().samples, size as f64 / seconds / 1e6);
}

fn decode() {
    let mut files: BTreeMap<String, Dbc> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut parts = line.split(' ');
        let file = parts.next().unwrap();
        let dbc = files.entry(file.to_owned()).or_insert_with(|| open(file));
        let index: usize = parts.next().unwrap().parse().unwrap();
        let hex = parts.next().unwrap();
        let data: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let message = &dbc.messages[index];
        let present = (0..message.signals.len()).filter(|i| message.is_present(*i, &data));
        let values: BTreeMap<&str, String> = present
            .filter_map(|i| {
                Some((message.signals[i].name.as_str(), format!("{:e}", message.signals[i].physical(&data)?)))
            })
            .collect();
        println!("{}", serde_json::to_string(&values).unwrap());
    }
}
