//! Mutated recordings of every kind: no panic, no endless loop, every row accounted for.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh-recording --test fuzz_recordings` runs longer or repeats a failure.

#![allow(clippy::unwrap_used, reason = "inputs that are made here")]

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use voltmesh_recording::can::diagnostics::Definition;
use voltmesh_recording::can::{Dbc, Decoder, Frame, Log, Signals};
use voltmesh_recording::{Options, Recording, Stamp};
use voltmesh_testing::{Random, setting};

/// No input of some kilobytes may take longer, even unoptimised on a busy machine.
const SLOWEST: Duration = Duration::from_secs(10);
/// Frames or rows of an input, at most: more is a loop.
const MOST: usize = 1_000_000;
const NOW_MS: u64 = 1_790_000_000_000;

/// One to eight changes of the kinds that parsers of text trip over.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    const SIGNS: &[u8] = b"0129-+.,;:eE\"'#{}[]()@|/\\%*\t\r\n \0\xff\x7f\x80";
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        match random.below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 | 2 if !bytes.is_empty() => bytes[at] = SIGNS[random.below(SIGNS.len())],
            3 if random.below(4) == 0 => bytes.truncate(at),
            4 => bytes.insert(at, SIGNS[random.below(SIGNS.len())]),
            5 if !bytes.is_empty() => drop(bytes.remove(at)),
            6 => {
                let from = random.below(bytes.len());
                let piece = bytes[from..(from + random.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            7 if bytes.len() >= at + 8 => {
                // A length, a number or an address.
                let value = [random.next_u64() >> random.below(64), u64::MAX, 0, 1 << random.below(64)]
                    [random.below(4)];
                let width = [1, 2, 4, 8][random.below(4)];
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            _ => bytes.extend(std::iter::repeat_n(random.next_u64() as u8, random.below(32))),
        }
    }
}

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 23|16@0- (0.1,0) [-1000|1000] \"A\" A\n SG_ Mux M : 32|8@1+ (1,0) [0|0] \"\" A\n \
    SG_ Cell1 m0 : 40|16@1+ (1,0) [0|5000] \"mV\" A\n SG_ Cell2 m1 : 40|16@1+ (1,0) [0|5000] \"mV\" A\n\n\
    CM_ SG_ 256 PackVoltage \"of \\\"all\\\"\";\nBA_ \"GenMsgCycleTime\" BO_ 256 100;\nVAL_ 256 PackVoltage 65535 \"SNA\" 65534 \
    \"Error\";\nSIG_VALTYPE_ 256 PackCurrent : 0;\nSG_MUL_VAL_ 256 Cell1 Mux 0-0, 3-4;\n";

const KONA: &str = include_str!("../vehicles/hyundai-kona-64kwh.toml");

/// An input with the end of its name.
type Input = (&'static str, Vec<u8>);

fn texts() -> Vec<Input> {
    let candump: String = (0..40)
        .map(|n| {
            format!(
                "(170000000{}.{:02}0000) can0 {}#E00D83FF0{}74{:02X}\n",
                n / 10,
                n * 10 % 100,
                100 + n % 3,
                n % 2,
                n
            )
        })
        .collect();
    let table: String =
        (0..40).map(|n| format!("{n},355.{n},-12.5,3.{n},,2{},{}\n", n % 10, n % 2)).collect();
    let asc: String = (0..20).map(|n| format!("{n}.25 1 100 Rx d 8 E0 0D 83 FF 00 74 0E 00\n")).collect();
    let all = [
        ("log", candump),
        ("asc", format!("date Wed Nov 15 10:13:20.500 am 2023\nbase hex timestamps absolute\n{asc}")),
        ("csv", format!("time_s,voltage [V],current (A),cell_1_v,cell_2_v,temp_1 [°C],State\n{table}")),
        ("csv", format!("Zeit;Spannung;Strom\n{}", "16.05.2023 06:59:50;355,2;-12,5\n".repeat(20))),
        ("csv", "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2\n166064000,00000100,false,Rx,0,2,E0,0D\n".repeat(5)),
        ("trc", ";$FILEVERSION=2.1\n;$STARTTIME=45123.5\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n      1      0.100 DT 1  0100 Rx -  2    E0 0D\n".into()),
        ("crtd", "1700000000.100 1R11 100 e0 0d 83 ff\n1700000001.100 1R29 18daf110 01\n".repeat(4)),
        ("toml", KONA.into()),
        ("dbc", DBC.into()),
    ];
    all.map(|(end, text)| (end, text.into_bytes())).into()
}

/// A BLF file of one packed container with data frames.
fn blf() -> Vec<u8> {
    let mut objects = Vec::new();
    for n in 0..10_u64 {
        objects.extend(b"LOBJ");
        objects.extend([32, 0, 1, 0]);
        objects.extend(48_u32.to_le_bytes());
        objects.extend(1_u32.to_le_bytes());
        objects.extend(2_u32.to_le_bytes());
        objects.extend([0; 4]);
        objects.extend((n * 1_000_000_000).to_le_bytes());
        objects.extend([1, 0, 0, 8]);
        objects.extend(0x100_u32.to_le_bytes());
        objects.extend([0xe0, 0x0d, 0x83, 0xff, 0, 0x74, 0x0e, n as u8]);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&objects).unwrap();
    let packed = encoder.finish().unwrap();
    let mut file = b"LOGG".to_vec();
    file.extend(144_u32.to_le_bytes());
    file.resize(144, 0);
    file.extend(b"LOBJ");
    file.extend([16, 0, 1, 0]);
    file.extend((32 + packed.len() as u32).to_le_bytes());
    file.extend(10_u32.to_le_bytes());
    file.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    file.extend((objects.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(packed);
    file
}

/// Reads an input as whatever it is: frames or rows, at most [`MOST`].
fn read(random: &mut Random, folder: &Path, (end, bytes): &Input) {
    match *end {
        "dbc" => {
            if let Ok(dbc) = Dbc::parse(bytes, "a.dbc") {
                let mut names = dbc
                    .messages
                    .iter()
                    .flat_map(|message| &message.signals)
                    .map(|signal| signal.name.clone());
                let Some(name) = names.next_back() else { return };
                let signals: Signals = toml::from_str(&format!("current = {name:?}")).unwrap_or_default();
                if let Ok(mut decoder) = Decoder::new(&dbc, &signals) {
                    let data: Vec<u8> = (0..random.below(65)).map(|_| random.next_u64() as u8).collect();
                    for message in &dbc.messages {
                        decoder.frame(
                            &Frame::new(Stamp::Unix(0), message.id, message.extended).with_data(&data),
                        );
                    }
                    let _ = decoder.row(Stamp::Unix(0));
                }
            }
            return;
        }
        "toml" => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(definition) = Definition::parse(text, "a.toml") {
                let response = definition.unit[0].response;
                let Ok(mut decoder) =
                    Decoder::with_diagnostics(&Dbc::default(), &Signals::default(), Some(definition))
                else {
                    return;
                };
                for n in 0..200 {
                    let data: Vec<u8> =
                        (0..random.below(9)).map(|_| random.next_u64() as u8 & 0x6f).collect();
                    decoder.frame(&Frame::new(Stamp::Unix(n), response, false).with_data(&data));
                    let answer = [&[0x10, 0x3e, 0x62, 0x01, 0x01][..], &data].concat();
                    decoder.frame(&Frame::new(Stamp::Unix(n), response, false).with_data(&answer));
                    decoder.frame(
                        &Frame::new(Stamp::Unix(n), response, false).with_data(&[0x21 + n as u8 % 15; 8]),
                    );
                }
                let _ = decoder.row(Stamp::Unix(0));
            }
            return;
        }
        _ => {}
    }
    if let Ok(mut log) = Log::new(Cursor::new(bytes.clone()), "a") {
        let mut frames = 0;
        while let Ok(Some(_)) = log.next() {
            frames += 1;
            assert!(frames < MOST, "a loop");
        }
    }
    let path = folder.join(format!("a.{end}"));
    std::fs::write(&path, bytes).unwrap();
    let mut options = Options::new(NOW_MS);
    options.dbc = Some(folder.join("whole.dbc"));
    if random.below(2) == 0 {
        for mapping in ["pack_voltage=PackVoltage", "pack_current=PackCurrent"] {
            options.mappings.extend(mapping.parse().ok().filter(|_| *end != "csv"));
        }
    }
    let Ok(mut recording) = Recording::open(&[path], &options) else { return };
    let mut rows = 0;
    while let Ok(Some(_)) = recording.next() {
        rows += 1;
        assert!(rows < MOST as u64, "a loop");
    }
    let report = recording.report();
    assert_eq!(report.samples, rows);
    assert_eq!(report.segments.iter().map(|segment| segment.samples).sum::<u64>(), rows);
    let _ = recording.configuration();
}

/// Files of other tools that the shared folder has, as far as they are small: XLSX, MDF, SQLite and Parquet among them.
fn shared() -> Vec<Input> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().map(|path| ("bin", std::fs::read(path).unwrap())).collect()
}

#[test]
fn mutated_recordings_are_read_or_refused() {
    let seed = setting("FUZZ_SEED", 1);
    let until = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS", 2));
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("whole.dbc"), DBC).unwrap();
    let mut inputs = texts();
    inputs.push(("blf", blf()));
    inputs.extend(shared());
    for input in &inputs {
        read(&mut random, folder.path(), input);
    }
    let mut round = 0u64;
    while Instant::now() < until {
        round += 1;
        let start = Instant::now();
        let (end, mut bytes) = inputs[random.below(inputs.len())].clone();
        mutate(&mut random, &mut bytes);
        let input = (end, bytes);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            read(&mut random, folder.path(), &input)
        }));
        let (took, shown) =
            (start.elapsed(), String::from_utf8_lossy(&input.1).chars().take(2000).collect::<String>());
        assert!(run.is_ok(), "replay: FUZZ_SEED={seed}, round {round}, {end}: {shown:?}");
        assert!(took < SLOWEST, "{took:?}: FUZZ_SEED={seed}, round {round}, {end}: {shown:?}");
    }
}
