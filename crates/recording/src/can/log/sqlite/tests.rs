//! SQLite files that are written here, page by page.

use super::super::super::{Kind, Log};
use crate::Stamp;
use std::io::Cursor;

const PAGE: usize = 512;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![(value & 0x7f) as u8];
    value >>= 7;
    while value > 0 {
        bytes.insert(0, (value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes
}

/// A record of values: whole numbers of 8 bytes, floats, texts, blobs.
enum Value<'a> {
    Whole(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
    Null,
}

fn record(values: &[Value<'_>]) -> Vec<u8> {
    let (mut types, mut body) = (Vec::new(), Vec::new());
    for value in values {
        let (kind, bytes) = match value {
            Value::Whole(value) => (6, value.to_be_bytes().to_vec()),
            Value::Real(value) => (7, value.to_be_bytes().to_vec()),
            Value::Text(text) => (13 + 2 * text.len() as u64, text.as_bytes().to_vec()),
            Value::Blob(bytes) => (12 + 2 * bytes.len() as u64, bytes.to_vec()),
            Value::Null => (0, Vec::new()),
        };
        types.extend(varint(kind));
        body.extend(bytes);
    }
    let mut all = varint(types.len() as u64 + 1);
    all.extend(types);
    all.extend(body);
    all
}

/// A page of a table: cells from its end, their places behind its header, which begins at `header`.
fn page(kind: u8, header: usize, cells: &[Vec<u8>], last: Option<u32>) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[header] = kind;
    page[header + 3..header + 5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
    if let Some(last) = last {
        page[header + 8..header + 12].copy_from_slice(&last.to_be_bytes());
    }
    let (mut end, places) = (PAGE, header + if last.is_some() { 12 } else { 8 });
    for (number, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        page[places + 2 * number..places + 2 * number + 2].copy_from_slice(&(end as u16).to_be_bytes());
    }
    page
}

fn leaf(rows: &[(u64, Vec<u8>)]) -> Vec<Vec<u8>> {
    rows.iter().map(|(id, row)| [varint(row.len() as u64), varint(*id), row.clone()].concat()).collect()
}

const SQL: &str = "CREATE TABLE messages(ts REAL, arbitration_id INTEGER, extended INTEGER, remote INTEGER, error INTEGER, \
                   dlc INTEGER, data BLOB)";

/// A file whose table `sql` defines; its rows on two leaves under one inner page.
fn file(sql: &str, rows: &[Vec<u8>]) -> Vec<u8> {
    let schema = record(&[
        Value::Text("table"),
        Value::Text("messages"),
        Value::Text("messages"),
        Value::Whole(2),
        Value::Text(sql),
    ]);
    let mut first = page(13, 100, &leaf(&[(1, schema)]), None);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    first[59] = 1;
    let rows: Vec<(u64, Vec<u8>)> = (1..).zip(rows.iter().cloned()).collect();
    let (one, two) = rows.split_at(rows.len() / 2);
    let inner = [&3_u32.to_be_bytes()[..], &varint(one.len() as u64)].concat();
    [first, page(5, 0, &[inner], Some(4)), page(13, 0, &leaf(one), None), page(13, 0, &leaf(two), None)]
        .concat()
}

fn row(seconds: f64, id: i64, flags: [i64; 3], data: &[u8]) -> Vec<u8> {
    let [extended, remote, error] = flags.map(Value::Whole);
    let length = Value::Whole(data.len() as i64);
    record(&[Value::Real(seconds), Value::Whole(id), extended, remote, error, length, Value::Blob(data)])
}

fn read(bytes: Vec<u8>) -> Result<(Vec<String>, u64), String> {
    let mut log = Log::new(Cursor::new(bytes), "test").map_err(|error| error.to_string())?;
    let mut frames = Vec::new();
    while let Some(frame) =
        log.next().map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))?
    {
        let Stamp::Unix(ns) = frame.time else { panic!("{frame:?}") };
        let kind = match frame.kind {
            Kind::Data => "",
            Kind::Fd => " fd",
            Kind::Remote => " remote",
            Kind::Error => " error",
        };
        let extended = if frame.extended { "x" } else { "" };
        let data: String = frame.data().iter().map(|byte| format!("{byte:02x}")).collect();
        frames.push(format!("{} {:x}{extended}{kind} {data}", ns / 1_000_000, frame.id));
    }
    Ok((frames, log.skipped().total()))
}

#[test]
fn frames_are_read_in_the_order_of_their_rows() {
    let long = [7; 12];
    let rows = [
        row(1_700_000_000.25, 0x100, [0, 0, 0], &[1, 2]),
        row(1_700_000_000.5, 0x18da_f110, [1, 0, 0], &[3]),
        row(1_700_000_001.0, 0x100, [0, 1, 0], &[]),
        row(1_700_000_002.0, 0x100, [0, 0, 1], &[]),
        row(1_700_000_003.0, 0x101, [0, 0, 0], &long),
        row(1_700_000_004.0, 0x8000_0000, [1, 0, 0], &[]),
        record(&[
            Value::Null,
            Value::Whole(1),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ]),
    ];
    let (frames, skipped) = read(file(SQL, &rows)).unwrap();
    let expected = [
        "1700000000250 100 0102",
        "1700000000500 18daf110x 03",
        "1700000001000 100 remote ",
        "1700000002000 100 error ",
        "1700000003000 101 fd 070707070707070707070707",
    ];
    assert_eq!((frames.as_slice(), skipped), (expected.map(str::to_owned).as_slice(), 2));
}

#[test]
fn what_is_no_table_of_frames_is_refused_by_name() {
    let rows = [row(1_700_000_000.0, 1, [0, 0, 0], &[])];
    let other = read(file("CREATE TABLE messages(a, b)", &rows)).unwrap_err();
    assert!(other.contains("arbitration_id") && other.contains("messages"), "{other}");
    let mut wide = file(SQL, &rows);
    wide[59] = 2;
    assert!(read(wide).unwrap_err().contains("UTF-16"));
    let mut circle = file(SQL, &rows);
    // The inner page's last child is the page itself.
    circle[PAGE + 8..PAGE + 12].copy_from_slice(&2_u32.to_be_bytes());
    assert!(read(circle).unwrap_err().contains("circle"));
    let mut gone = file(SQL, &rows);
    gone.truncate(3 * PAGE);
    assert!(read(gone).unwrap_err().contains("not in the file"));
}
