//! Decodes lines `file message-index hex-data` from standard input to one JSON object of physical values per line; with
//! `list FILE` as arguments, prints name, identifier and size of each message; with `encode`, reads lines `file message-index
//! JSON` with physical values and prints the frame's data in hex, or why there is none. Used by the comparison with cantools.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::BufRead;
use voltmesh_recording::can::Dbc;

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
        ["encode"] => encode(),
        _ => decode(),
    }
}

fn encode() {
    let mut files: BTreeMap<String, Dbc> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut parts = line.splitn(3, ' ');
        let file = parts.next().unwrap();
        let dbc = files.entry(file.to_owned()).or_insert_with(|| open(file));
        let index: usize = parts.next().unwrap().parse().unwrap();
        let values: BTreeMap<&str, f64> = serde_json::from_str(parts.next().unwrap()).unwrap();
        match dbc.messages[index].encode(&values) {
            Ok(data) => println!("{}", data.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            Err(error) => println!("refused: {error}"),
        }
    }
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
