use super::*;
use crate::{
    Boot, CentiKilometersPerHour, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Charger,
    Contactor, Format, Milliamps, Millivolts, Millivolts16, Ohms, RecordNumber, Resolution, Sample,
    Timestamp, VehicleId,
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn place(boot: u64, previous: Option<BatchId>) -> Place {
    let signer = if boot == 0 { Signer::Fog("fog-1".into()) } else { Signer::Vehicle };
    Place { vehicle: VehicleId::example(), boot: Boot::new(boot), previous, signer }
}

fn sealed(place: &Place, records: &[Record]) -> SealedBatch {
    seal(place, records, &Secret::new([2; 32]), &key()).expect("valid records")
}

/// A count of `$unit` or, now and then, an unknown one.
macro_rules! any_of {
    ($unit:ident) => {
        prop_oneof![
            8 => any::<i64>().prop_map(|count| {
                let count = $unit::new(count as _);
                if count.is_known() { count } else { $unit::new(0) }
            }),
            1 => (0..5u8).prop_map(|code| $unit::unknown(crate::Unknown::from_code(code).expect("in range"))),
        ]
    };
}

/// Values of channels that a batch may have together.
fn channels() -> impl Strategy<Value = Vec<ChannelValue>> {
    let value = (0..40u8, 0..2u8, any_of!(ChannelCount)).prop_filter_map(
        "not sent is left out",
        |(name, other, count)| {
            let resolution = Resolution::new([1, 25][usize::from(other)], -2).expect("a resolution");
            let channel =
                Channel::new(&format!("channel-{}", name % 12), "kPa", resolution).expect("a channel");
            let sent = count.cause() != Some(crate::Unknown::NotSent);
            sent.then(|| ChannelValue { channel: Arc::new(channel), count })
        },
    );
    prop::collection::vec(value, 0..6).prop_map(|mut values| {
        values.sort_by(|a, b| a.channel.cmp(&b.channel));
        values.dedup_by(|a, b| a.channel.name() == b.channel.name());
        values
    })
}

/// Any sample that a source may make.
pub(crate) fn any_sample() -> impl Strategy<Value = Sample> {
    let soc = prop_oneof![
        4 => (0..=10_000u16).prop_map(CentiPercent::new),
        1 => (0..5u8).prop_map(|code| CentiPercent::unknown(crate::Unknown::from_code(code).expect("in range"))),
    ];
    let base = (
        0..=Timestamp::MAX.as_millis(),
        any_of!(Millivolts),
        any_of!(Milliamps),
        soc,
        0..5u8,
        0..5u8,
        prop::collection::vec(any_of!(Millivolts16), 0..40),
        prop::collection::vec(any_of!(Centidegrees), 0..10),
    );
    let not_sent = || prop::bool::weighted(0.5);
    let more = (
        (any_of!(Ohms), not_sent()).prop_map(|(value, not)| if not { Ohms::default() } else { value }),
        (any_of!(Centidegrees), not_sent())
            .prop_map(|(value, not)| if not { Centidegrees::default() } else { value }),
        any_of!(Centidegrees),
        any_of!(CentiKilometersPerHour),
        channels(),
    );
    let sample = |(base, more)| {
        let (time, pack_voltage, pack_current, soc, contactor, charger, cells, temperatures) = base;
        let (insulation, ambient, coolant, speed, channels) = more;
        Sample {
            time: Timestamp::from_millis(time),
            pack_voltage,
            pack_current,
            soc,
            contactor: Contactor::from_code(contactor).expect("in range"),
            charger: Charger::from_code(charger).expect("in range"),
            cells,
            temperatures,
            insulation,
            ambient,
            coolant,
            speed,
            channels,
            ..Sample::default()
        }
    };
    (base, more).prop_map(sample)
}

/// Any sample of format 1, numbers that are codes now among them.
fn sample_of_format_1() -> impl Strategy<Value = Sample> {
    let edge = prop_oneof![3 => any::<u16>(), 1 => 65_525..=65_535u16, 1 => 32_760..=32_775u16];
    let ranges = (
        0..=Timestamp::MAX.as_millis(),
        prop_oneof![any::<u32>(), u32::MAX - 9..=u32::MAX],
        prop_oneof![any::<i32>(), i32::MIN..=i32::MIN + 9],
        prop_oneof![0..=10_000u16, Just(u16::MAX)],
        prop::collection::vec(edge.clone(), 0..20),
        prop::collection::vec(edge, 0..10),
    );
    ranges.prop_map(|(time, volts, amps, soc, cells, temperatures)| {
        let numbers = Sample {
            time: Timestamp::from_millis(time),
            pack_voltage: Millivolts::new(volts),
            pack_current: Milliamps::new(amps),
            soc: CentiPercent::new(soc),
            cells: cells.into_iter().map(Millivolts16::new).collect(),
            temperatures: temperatures.into_iter().map(|value| Centidegrees::new(value as i16)).collect(),
            ..Sample::default()
        };
        numbers.of_format_1().expect("a valid state of charge")
    })
}

/// Anything that may be recorded: wild values, or a pack whose cells move together.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let wild = prop::collection::vec(any_sample(), 1..40);
    let old = prop::collection::vec(prop_oneof![1 => any_sample(), 5 => sample_of_format_1()], 1..40);
    let tame = (any::<u64>(), 1..120usize, 1..20usize).prop_map(|(seed, count, cells)| {
        (0..count).map(|second| steady(seed, second as u64, cells)).collect()
    });
    let broken = (any::<u64>(), 1..120usize, 1..20usize).prop_map(|(seed, count, cells)| {
        (0..count).map(|second| broken(seed, second as u64, cells)).collect()
    });
    prop_oneof![wild, old, tame, broken]
}

/// A pack under a changing load, with noise from a hash.
fn steady(seed: u64, second: u64, cells: usize) -> Sample {
    let noise = |i: u64| {
        let digest = Digest::of(&[seed.to_be_bytes(), second.to_be_bytes(), i.to_be_bytes()].concat());
        u16::from(digest.as_bytes()[0] % 4)
    };
    let load = (second % 17) as i32 * 9_000 - 80_000;
    Sample {
        time: Timestamp::from_millis(1_767_600_000_000 + 1000 * second),
        pack_voltage: Millivolts::new(3_700 * cells as u32),
        pack_current: Milliamps::new(load),
        cells: (0..cells as u64)
            .map(|i| Millivolts16::new((3_700 + load / 1000 + i as i32) as u16 + noise(i)))
            .collect(),
        temperatures: vec![Centidegrees::new(2_350), Centidegrees::new(2_400)],
        soc: CentiPercent::new(8_000),
        contactor: Contactor::Closed,
        charger: Charger::Unplugged,
        ..Sample::default()
    }
}

/// The same pack with a cell that is never measured, values that are missing now and then, and all that format 2 has.
fn broken(seed: u64, second: u64, cells: usize) -> Sample {
    let mut sample = steady(seed, second, cells);
    sample.cells[0] = Millivolts16::unknown(crate::Unknown::NotAvailable);
    if second % 7 == 3 {
        sample.pack_voltage = Millivolts::unknown(crate::Unknown::Stale);
        sample.temperatures[1] = Centidegrees::unknown(crate::Unknown::SensorFault);
    }
    sample.insulation = Ohms::new(2_000_000 + 1_000 * (second % 3) as u32);
    sample.speed = CentiKilometersPerHour::new(5_000 + 10 * (second % 50) as u16);
    let resolution = Resolution::new(1, -1).expect("a resolution");
    let channel = Channel::new("cell-pressure", "kPa", resolution).expect("a channel");
    sample.channels = vec![ChannelValue {
        channel: Arc::new(channel),
        count: ChannelCount::new(1_013 + (second % 4) as i32),
    }];
    sample
}

fn numbered(samples: Vec<Sample>, first: u64) -> Vec<Record> {
    samples
        .into_iter()
        .zip(first..)
        .map(|(sample, n)| Record { number: RecordNumber::new(n), sample })
        .collect()
}

fn broken_records(count: u64) -> Vec<Record> {
    numbered((0..count).map(|second| broken(1, second, 4)).collect(), 0)
}

fn steady_records(count: u64) -> Vec<Record> {
    numbered((0..count).map(|second| steady(1, second, 4)).collect(), 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_is_verified(samples in samples(), first in prop_oneof![Just(0u64), 1..u64::MAX / 2]) {
        let records = numbered(samples, first);
        let previous = (first > 0).then_some(BatchId::from([9; 32]));
        let batch = sealed(&place(3, previous), &records);
        let parsed = SealedBatch::parse(batch.wire().clone()).expect("own bytes");
        prop_assert_eq!(&parsed, &batch);
        prop_assert_eq!(parsed.verify(&key().verifying_key()).expect("own batch"), records);
    }

    #[test]
    fn canonical_bytes_are_read(sample in prop_oneof![any_sample(), sample_of_format_1()], number: u64) {
        let record = Record { number: RecordNumber::new(number), sample };
        let bytes = record.to_canonical();
        prop_assert!(bytes.len() <= Record::MAX_BYTES);
        prop_assert_eq!(Record::from_canonical(&bytes), Ok(record));
    }

    /// One encoding: whatever is read is written as the same bytes.
    #[test]
    fn changed_canonical_bytes_are_another_record(
        sample in prop_oneof![any_sample(), sample_of_format_1()],
        at in any::<prop::sample::Index>(), value: u8, cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = Record { number: RecordNumber::new(7), sample }.to_canonical();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(record) = Record::from_canonical(&bytes) {
            prop_assert_eq!(record.to_canonical(), bytes);
        }
    }

    /// What format 1 can say costs nothing more, and old readers go on reading it.
    #[test]
    fn only_what_is_new_is_of_format_2(samples in samples()) {
        let records = numbered(samples, 0);
        let batch = sealed(&place(3, None), &records);
        let plain = |sample: &Sample| sample.format() == Format::One && !sample.original.is_some();
        let first = records.iter().all(|record| plain(&record.sample));
        prop_assert_eq!(batch.header().format, if first { Format::One } else { Format::Two });
    }

    #[test]
    fn foreign_records_come_back(samples in samples()) {
        let mut records: Vec<Record> = samples.into_iter().map(Record::foreign).collect();
        records.sort_by_key(|record| record.number);
        records.dedup_by_key(|record| record.number);
        let batch = sealed(&place(0, None), &records);
        prop_assert_eq!(batch.open().expect("own batch"), records);
    }

    #[test]
    fn any_flipped_bit_is_found(count in 1u64..20, bit in any::<prop::sample::Index>()) {
        let records = if bit.index(2) == 0 { steady_records(count) } else { broken_records(count) };
        let batch = sealed(&place(1, None), &records);
        let mut wire = batch.wire().to_vec();
        let bit = bit.index(8 * wire.len());
        wire[bit / 8] ^= 1 << (bit % 8);
        let verified = SealedBatch::parse(wire.into()).and_then(|batch| batch.verify(&key().verifying_key()));
        prop_assert!(verified.is_err(), "bit {}", bit);
    }

    #[test]
    fn every_record_has_a_receipt(count in 1u64..40, pick in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
        let records = if bit.index(2) == 0 { steady_records(count) } else { broken_records(count) };
        let batch = sealed(&place(1, None), &records);
        let index = pick.index(records.len());
        let receipt = batch.prove(index as u32).expect("own batch").expect("in range");
        let bytes = receipt.encode();
        prop_assert_eq!(&RecordReceipt::decode(&bytes).expect("own bytes"), &receipt);
        let proven = receipt.verify(&key().verifying_key()).expect("own receipt");
        prop_assert_eq!(proven.id.to_string(), format!("vehicle-1/1/{index}"));
        prop_assert_eq!(proven.batch, batch.id());
        prop_assert_eq!(&proven.header, batch.header());
        prop_assert_eq!(&receipt.record, &records[index]);

        let mut flipped = bytes;
        let bit = bit.index(8 * flipped.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        let verified = RecordReceipt::decode(&flipped).and_then(|receipt| receipt.verify(&key().verifying_key()));
        prop_assert!(verified.is_err(), "bit {}", bit);
    }
}

/// Every bit of one small batch, not only a sample of them.
#[test]
fn each_flipped_bit_is_found() {
    for batch in [steady_records(2), broken_records(2)].map(|records| sealed(&place(1, None), &records)) {
        for bit in 0..8 * batch.wire().len() {
            let mut wire = batch.wire().to_vec();
            wire[bit / 8] ^= 1 << (bit % 8);
            let verified =
                SealedBatch::parse(wire.into()).and_then(|batch| batch.verify(&key().verifying_key()));
            assert!(verified.is_err(), "bit {bit}");
        }
    }
}

/// The wire format of version 1. Changing it is a format decision with an ADR, and a batch of version 1 must still be read.
#[test]
fn golden_statement() {
    let batch = sealed(&place(7, None), &steady_records(3));
    let statement = hex::encode(batch.statement().encode());
    assert_eq!(statement, include_str!("tests/statement.hex").trim());
    // The compressed columns depend on zstd's version; what they decode to does not.
    let old = Bytes::from(hex::decode(include_str!("tests/batch.hex").trim()).expect("hex in a test"));
    let old = SealedBatch::parse(old).expect("a batch of version 1");
    assert_eq!(old.verify(&key().verifying_key()).expect("a batch of version 1"), steady_records(3));
}

/// Format 2: unknown values, optional quantities, a channel. Its statement is pinned, and a batch of it must still be read.
#[test]
fn golden_batch_of_format_2() {
    let records = broken_records(8);
    let batch = sealed(&place(7, None), &records);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let file = |name| concat!(env!("CARGO_MANIFEST_DIR"), "/src/batch/tests/").to_owned() + name;
        std::fs::write(file("statement_2.hex"), hex::encode(batch.statement().encode()) + "\n")
            .expect("written");
        std::fs::write(file("batch_2.hex"), hex::encode(batch.wire()) + "\n").expect("written");
    }
    assert_eq!(hex::encode(batch.statement().encode()), include_str!("tests/statement_2.hex").trim());
    let old = hex::decode(include_str!("tests/batch_2.hex").trim()).expect("hex in a test");
    let old = SealedBatch::parse(old.into()).expect("a batch of format 2");
    assert_eq!(old.verify(&key().verifying_key()).expect("a batch of format 2"), records);
}

/// Batches of format 1 that hold numbers which are codes now: they verify, and the numbers are out of range.
#[test]
fn numbers_of_format_1_that_are_codes_now_are_out_of_range() {
    let old = hex::decode(include_str!("tests/batch_with_codes.hex").trim()).expect("hex in a test");
    let old = SealedBatch::parse(old.into()).expect("a batch of format 1");
    assert_eq!(old.header().format, Format::One);
    let records = old.verify(&key().verifying_key()).expect("a batch of format 1");
    let sample = &records[1].sample;
    let unknown = Some(crate::Unknown::OutOfRange);
    assert_eq!([sample.pack_voltage.cause(), sample.pack_current.cause()], [unknown; 2]);
    assert_eq!([sample.cells[2].cause(), sample.temperatures[0].cause()], [unknown; 2]);
    assert_eq!(sample.cells[1].reading(), steady(1, 1, 4).cells[1].reading());
    let numbers = sample.original_numbers();
    assert_eq!(numbers.len(), 4);
    let plain = Sample { original: Default::default(), ..sample.clone() };
    assert_eq!(plain.with_original_numbers(&numbers).as_ref(), Ok(sample));
    // Sealed anew, in columns of format 2, they are still the same records.
    let again = sealed(&place(7, None), &records);
    assert_eq!((again.header().root, again.header().format), (old.header().root, Format::Two));
    assert_eq!(again.open().expect("own batch"), records);
    // Nobody makes one up.
    let forged = Sample { pack_current: Milliamps::new(5), ..sample.clone() };
    assert!(forged.check().is_err());
}

/// The same of version 2, which has a report.
#[test]
fn golden_batch_with_a_report() {
    let said = br#"{"state":{"soc":0.8}}"#.as_slice();
    let old = hex::decode(include_str!("tests/batch_with_report.hex").trim()).expect("hex in a test");
    let old = SealedBatch::parse(old.into()).expect("a batch of version 2");
    assert_eq!(old.verify(&key().verifying_key()).expect("a batch of version 2"), steady_records(3));
    assert_eq!(old.report().expect("untouched").as_deref(), Some(said));
}

/// Another COSE implementation reads and verifies our statements and receipts.
#[test]
fn coset_reads_us() {
    use coset::{CborSerializable as _, TaggedCborSerializable as _};
    let batch = sealed(&place(7, None), &steady_records(5));
    let check = |message: &coset::CoseSign1, payload: &[u8]| {
        let header = &message.protected.header;
        assert_eq!(header.alg, Some(coset::Algorithm::Assigned(coset::iana::Algorithm::EdDSA)));
        assert_eq!(header.key_id, key_id(&key().verifying_key()).as_bytes());
        let signed = coset::CoseSign1 { payload: None, ..message.clone() }.tbs_detached_data(payload, &[]);
        let signature = ed25519_dalek::Signature::from_slice(&message.signature).expect("64 bytes");
        key().verifying_key().verify_strict(&signed, &signature).expect("a valid signature");
    };
    let statement = coset::CoseSign1::from_tagged_slice(&batch.statement().encode()).expect("COSE_Sign1");
    check(&statement, batch.header().root.as_bytes());
    let receipt = batch.prove(2).expect("own batch").expect("in range").receipt.encode();
    let receipt = coset::CoseSign1::from_tagged_slice(&receipt).expect("COSE_Sign1");
    assert_eq!(receipt.payload, None);
    check(&receipt, batch.header().root.as_bytes());
    let (label, proofs) = &receipt.unprotected.rest[0];
    assert_eq!(*label, coset::Label::Int(396));
    let proof =
        proofs.as_map().expect("a map")[0].1.as_array().expect("an array")[0].as_bytes().expect("bytes");
    let proof = ciborium::Value::from_slice(proof).expect("CBOR");
    let proof = proof.as_array().expect("an array");
    assert_eq!((proof[0].as_integer(), proof[1].as_integer()), (Some(5.into()), Some(2.into())));
    assert_eq!(proof[2].as_array().expect("a path").len(), 3);
}

#[test]
fn another_key_is_named() {
    let batch = sealed(&place(1, None), &steady_records(1));
    let other = SigningKey::from_bytes(&[3; 32]).verifying_key();
    let error = batch.verify(&other).expect_err("another key");
    assert!(matches!(error, Error::Key { named, .. } if named == key_id(&key().verifying_key())), "{error}");
}

fn refused(place: &Place, records: &[Record], why: &str) {
    let error = seal(place, records, &Secret::new([2; 32]), &key()).expect_err(why);
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let records = steady_records(3);
    refused(&place(1, None), &[], "no record");
    refused(&place(1, Some(BatchId::from([1; 32]))), &records, "no predecessor");
    refused(&place(1, None), &records[1..], "no predecessor");
    refused(&place(1, None), &[records[0].clone(), records[2].clone()], "where 1 belongs");
    refused(&place(0, None), &records, "belongs");
    refused(&Place { signer: Signer::Vehicle, ..place(0, None) }, &records, "fog nodes");
    refused(&Place { boot: Boot::new(2), ..place(0, None) }, &records, "boot 0 only");
    refused(&place(1, None), &steady_records(MAX_RECORDS as u64 + 1), "limit of 4096");
}

/// What a batch may not be, although its signature is good: the signer itself is the attacker.
fn signed_columns(count: u32, compressed: &[u8]) -> Result<Vec<Record>, Error> {
    let good = sealed(&place(1, None), &steady_records(1));
    let mut header = good.header.clone();
    header.count = count;
    header.content = content_digest(&good.salt, compressed);
    let statement = Sign1::sign(&header.protected(), header.root.as_bytes(), &key());
    SealedBatch::assemble(header, statement, good.salt, compressed, None).verify(&key().verifying_key())
}

fn varints(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut value in values.iter().copied() {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    out
}

#[test]
fn compression_bombs_are_small() {
    let zeros = zstd::bulk::compress(&vec![0; 200 << 20], 3).expect("zstd works");
    assert!(zeros.len() < 64 << 10, "the bomb must fit a batch");
    let error = signed_columns(4096, &zeros).expect_err("200 MiB");
    assert!(
        matches!(error, Error::Oversized { size, limit: MAX_COLUMN_BYTES, .. } if size == 200 << 20),
        "{error}"
    );

    // A frame that hides its size.
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).expect("zstd works");
    encoder.include_contentsize(false).expect("zstd works");
    std::io::Write::write_all(&mut encoder, &vec![0; 64 << 20]).expect("zstd works");
    let hidden = encoder.finish().expect("zstd works");
    assert!(matches!(signed_columns(4096, &hidden), Err(Error::Malformed { .. })));

    // Counts that the columns cannot fill.
    let raw = zstd::bulk::compress(&varints(&[4096, 128, 128]), 3).expect("zstd works");
    assert!(matches!(signed_columns(4096, &raw), Err(Error::Malformed { .. })));
    let raw = zstd::bulk::compress(&varints(&[4096, u64::MAX, 128]), 3).expect("zstd works");
    assert!(matches!(signed_columns(4096, &raw), Err(Error::Malformed { .. })));
}

#[test]
fn values_are_bounded_before_they_are_unpacked() {
    // 4,096 records of 640 values, one run or many: refused by the counts alone, nothing follows them.
    for runs in [vec![4096, 512, 128], [[1, 512, 128]; 4096].concat()] {
        let raw = zstd::bulk::compress(&varints(&runs), 3).expect("zstd works");
        let error = signed_columns(4096, &raw).expect_err("2.6 million values");
        assert!(matches!(error, Error::Oversized { limit: MAX_VALUES, .. }), "{error}");
    }
    // Who seals is told the same, so that it can split.
    let wide = |count: usize, cells| {
        let sample = Sample { cells: vec![Millivolts16::new(3_700); cells], ..Sample::default() };
        numbered(vec![sample; count], 0)
    };
    let most = sealed(&place(1, None), &wide(4096, 256));
    let records = most.verify(&key().verifying_key()).expect("exactly at the bound");
    assert_eq!(decoded_bytes(&records), 4096 * size_of::<Record>() + 2 * MAX_VALUES);
    refused(&place(1, None), &wide(4096, 257), "limit of 1048576");
}

#[test]
fn a_report_that_cannot_be_read_is_refused_with_its_batch() {
    let good = seal_with(&place(1, None), &steady_records(1), Some(b"{}"), &Secret::new([2; 32]), &key());
    let good = good.expect("valid records");
    let bomb = zstd::bulk::compress(&vec![0; 16 << 20], 19).expect("zstd works");
    for report in [bomb.as_slice(), b"no zstd frame"] {
        let mut header = good.header.clone();
        header.report = Some(content_digest(&good.salt, report));
        let statement = Sign1::sign(&header.protected(), header.root.as_bytes(), &key());
        let batch = SealedBatch::assemble(header, statement, good.salt, good.compressed(), Some(report));
        let error = batch.verify(&key().verifying_key()).expect_err("no report");
        assert!(error.to_string().contains("report"), "{error}");
    }
}

#[test]
fn no_door_takes_a_time_that_the_archive_cannot_hold() {
    let at = |ms| Sample { time: Timestamp::from_millis(ms), ..Sample::default() };
    let last = Timestamp::MAX.as_millis();
    assert!(Record::foreign(at(last)).number.get() <= i64::MAX as u64, "its number fits the table");
    at(last).check().expect("the last time");
    let after = numbered(vec![at(last + 1)], 0);
    refused(&place(1, None), &after, "2109");
    // A signer that does not care, and a header alone.
    let good = sealed(&place(1, None), &steady_records(1));
    let mut header = good.header.clone();
    header.last_time = Timestamp::from_millis(last + 1);
    let statement = Sign1::sign(&header.protected(), header.root.as_bytes(), &key());
    let error = BatchHeader::from_statement(&statement).expect_err("after the last time");
    assert!(error.to_string().contains("2109"), "{error}");
}

#[test]
fn cbor_bombs_are_small() {
    let deep = vec![0x81; 100_000];
    assert!(SealedBatch::parse(Bytes::from(deep)).is_err());
    let wide = [&[0x9b][..], &u64::MAX.to_be_bytes()].concat();
    assert!(SealedBatch::parse(Bytes::from(wide)).is_err());
    let long = Bytes::from(vec![0; MAX_WIRE_BYTES + 1]);
    assert!(matches!(SealedBatch::parse(long), Err(Error::Oversized { .. })));
}

#[test]
fn the_secret_hides_siblings() {
    // Equal records have unequal leaves within a batch, and between vehicles with other secrets.
    let same = numbered(vec![steady(1, 1, 4); 2], 0);
    let one = sealed(&place(1, None), &same);
    let other = seal(&place(1, None), &same, &Secret::new([3; 32]), &key()).expect("valid records");
    assert_ne!(one.header().root, other.header().root);
    let salts = [0, 1].map(|index| one.prove(index).expect("own batch").expect("in range").salt);
    assert_ne!(salts[0], salts[1]);
}

fn header(boot: u64, first: u64, count: u32, previous: Option<u8>) -> BatchHeader {
    let good = sealed(&place(1, None), &steady_records(1)).header.clone();
    let previous = previous.map(|byte| BatchId::from([byte; 32]));
    BatchHeader { boot: Boot::new(boot), first: RecordNumber::new(first), count, previous, ..good }
}

fn check_link(head: Option<(u64, u64, u8)>, batch: (u64, u64, u32, Option<u8>, u8), want: Link) {
    let head = head.map(|(boot, next, last)| ChainHead {
        boot: Boot::new(boot),
        next: RecordNumber::new(next),
        last: BatchId::from([last; 32]),
    });
    let (boot, first, count, previous, id) = batch;
    let link =
        ChainHead::classify(head.as_ref(), &header(boot, first, count, previous), BatchId::from([id; 32]));
    assert_eq!(link, want, "{head:?} {batch:?}");
}

#[test]
fn chain_links() {
    let gap = |from, missing| Link::Gap { from: RecordNumber::new(from), missing };
    let head = Some((2, 30, 0xaa));
    check_link(None, (1, 0, 10, None, 1), Link::Next);
    check_link(None, (1, 10, 10, Some(1), 2), gap(0, 10));
    check_link(head, (2, 30, 10, Some(0xaa), 1), Link::Next);
    check_link(head, (2, 30, 10, Some(0xbb), 1), Link::Fork);
    check_link(head, (2, 45, 10, Some(0xbb), 1), gap(30, 15));
    check_link(head, (2, 20, 10, Some(1), 0xaa), Link::Replay);
    check_link(head, (2, 20, 10, Some(1), 0xbb), Link::Fork);
    check_link(head, (2, 25, 10, Some(1), 0xbb), Link::Fork);
    check_link(head, (2, 0, 10, None, 0xbb), Link::Replay);
    check_link(head, (1, 90, 10, Some(1), 1), Link::OldBoot);
    check_link(head, (3, 0, 10, None, 1), Link::Next);
    check_link(head, (3, 10, 10, Some(1), 1), gap(0, 10));
}

#[test]
fn a_report_travels_signed_and_any_change_of_it_is_found() {
    let records: Vec<Record> =
        (0..4).map(|n| Record { number: RecordNumber::new(n), sample: steady(1, n, 8) }).collect();
    let said = br#"{"state":{"soc":0.8}}"#.as_slice();
    let secret = Secret::new([2; 32]);
    let batch = seal_with(&place(1, None), &records, Some(said), &secret, &key()).expect("valid records");
    let parsed = SealedBatch::parse(batch.wire().clone()).expect("its own bytes");
    assert_eq!(parsed, batch);
    assert_eq!(parsed.verify(&key().verifying_key()).expect("untouched"), records);
    assert_eq!(parsed.report().expect("untouched").as_deref(), Some(said));
    let without = sealed(&place(1, None), &records);
    assert_eq!(without.report().expect("untouched"), None);
    for at in 0..batch.wire().len() {
        let mut bytes = batch.wire().to_vec();
        bytes[at] ^= 1;
        let found = SealedBatch::parse(bytes.into()).and_then(|batch| batch.verify(&key().verifying_key()));
        assert!(found.is_err(), "a flipped bit at {at} is not found");
    }
    // Neither taken away nor put beside a batch that speaks of none.
    for (statement, parts) in [(&batch, 3), (&without, 4)] {
        let mut writer = Writer::new();
        writer
            .array(parts)
            .bytes(&statement.statement.encode())
            .bytes(&statement.salt)
            .bytes(statement.compressed());
        if parts == 4 {
            writer.bytes(b"more");
        }
        assert!(SealedBatch::parse(writer.finish().into()).is_err());
    }
    let long = vec![0; MAX_REPORT_BYTES + 1];
    assert!(seal_with(&place(1, None), &records, Some(&long), &secret, &key()).is_err());
}
