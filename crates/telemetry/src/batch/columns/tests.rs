use super::*;
use crate::batch::{Place, Secret, Signer, seal};
use crate::{Boot, Centidegrees, RecordNumber, Sample, Timestamp, VehicleId};
use proptest::prelude::*;

fn header(foreign: bool, count: u32) -> BatchHeader {
    let place =
        Place { vehicle: VehicleId::example(), boot: Boot::new(1), previous: None, signer: Signer::Vehicle };
    let record = Record { number: RecordNumber::ZERO, sample: Sample::default() };
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let batch = seal(&place, &[record], &Secret::new([2; 32]), &key).expect("a valid record");
    BatchHeader { boot: Boot::new(u64::from(!foreign)), count, ..batch.header().clone() }
}

/// Columns of a steady pack, to be mutated.
fn columns(count: usize, cells: usize) -> Vec<u8> {
    let sample = |i: usize| Sample {
        time: Timestamp::from_millis(1000 * i as u64),
        cells: (0..cells)
            .map(|cell| crate::Millivolts16::new((3700 + (7 * i + 11 * cell) % 90) as u16))
            .collect(),
        temperatures: vec![Centidegrees::new(2000); 3],
        ..Sample::default()
    };
    let records: Vec<Record> =
        (0..count).map(|i| Record { number: RecordNumber::new(i as u64), sample: sample(i) }).collect();
    first::encode(&records, false).finish()
}

proptest! {
    /// The signer may be the attacker: whatever is signed decodes or is refused, without panic.
    #[test]
    fn any_columns_are_safe(foreign: bool, count in 1..40u32, raw in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&raw, count as usize, &header(foreign, count));
    }

    #[test]
    fn mutated_columns_are_safe(
        foreign: bool, count in 1..30usize, cells in 0..10usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut raw = columns(count, cells);
        for (at, value) in changes {
            let at = at.index(raw.len());
            raw[at] = value;
        }
        let compressed = zstd::bulk::compress(&raw, 1).expect("zstd works");
        let decoded = decompress(&compressed, &header(foreign, count as u32));
        prop_assert!(decoded.map_or(true, |records| records.len() == count));
    }
}
