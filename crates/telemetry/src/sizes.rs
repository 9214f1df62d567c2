//! Sizes of records in our encoding and in others.

use crate::{Error, Place, Record, Secret, Signer, VehicleId, seal, vss};
use ed25519_dalek::SigningKey;

/// Bytes that the same records take in each encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Number of records.
    pub records: usize,
    /// Signed batches as they travel: statements, salts, columns.
    pub batches: usize,
    /// Canonical bytes, which are hashed and never travel.
    pub canonical: usize,
    /// One JSON object of VSS names for each record.
    pub json: usize,
    /// Those JSON objects, one on each line, compressed together with zstd.
    pub json_zstd: usize,
    /// One message in Protocol Buffers' encoding for each record: varints, packed lists.
    pub protobuf: usize,
    /// Those messages compressed together with zstd.
    pub protobuf_zstd: usize,
}

impl Sizes {
    /// Bytes for each record of one of the sums.
    pub fn per_record(&self, bytes: usize) -> f64 {
        bytes as f64 / self.records.max(1) as f64
    }
}

/// Encodes consecutive records in batches of `batch` and in other encodings, and counts bytes.
pub fn encoding_sizes(records: &[Record], batch: usize) -> Result<Sizes, Error> {
    let key = SigningKey::from_bytes(&[1; 32]);
    let secret = Secret::new([2; 32]);
    let mut place = Place {
        vehicle: VehicleId::example(),
        boot: crate::Boot::new(1),
        previous: None,
        signer: Signer::Vehicle,
    };
    let mut sizes = Sizes { records: records.len(), ..Sizes::default() };
    for records in records.chunks(batch.max(1)) {
        let sealed = seal(&place, records, &secret, &key)?;
        sizes.batches += sealed.wire().len();
        place.previous = Some(sealed.id());
        let mut canonical = Vec::new();
        let (mut json, mut protobuf) = (Vec::new(), Vec::new());
        for record in records {
            record.canonical(&mut canonical);
            json.extend_from_slice(vss::to_json(&record.sample).as_bytes());
            json.push(b'\n');
            write_protobuf(record, &mut protobuf);
        }
        sizes.canonical += canonical.len();
        sizes.json += json.len() - records.len();
        sizes.protobuf += protobuf.len();
        sizes.json_zstd += zstd_len(&json);
        sizes.protobuf_zstd += zstd_len(&protobuf);
    }
    Ok(sizes)
}

fn zstd_len(bytes: &[u8]) -> usize {
    zstd::bulk::compress(bytes, 3).map_or(bytes.len(), |compressed| compressed.len())
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The message that a `.proto` with integer fields 1 to 9 would give.
fn write_protobuf(record: &Record, out: &mut Vec<u8>) {
    let sample = &record.sample;
    let fields = [
        record.number.get(),
        sample.time.as_millis(),
        u64::from(sample.pack_voltage.get()),
        zigzag(i64::from(sample.pack_current.get())),
        u64::from(sample.soc.get()),
        sample.contactor as u64,
        sample.charger as u64,
    ];
    for (value, field) in fields.into_iter().zip(1u8..) {
        out.push(field << 3);
        varint(value, out);
    }
    let mut packed = |field: u8, values: &mut dyn Iterator<Item = u64>| {
        let mut list = Vec::new();
        values.for_each(|value| varint(value, &mut list));
        out.push(field << 3 | 2);
        varint(list.len() as u64, out);
        out.extend_from_slice(&list);
    };
    packed(8, &mut sample.cells.iter().map(|cell| u64::from(cell.get())));
    packed(9, &mut sample.temperatures.iter().map(|value| zigzag(i64::from(value.get()))));
}
