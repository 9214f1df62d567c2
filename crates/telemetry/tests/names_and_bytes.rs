//! Names, CBOR and canonical bytes as others see them.

use proptest::prelude::*;
use voltmesh_telemetry::{
    BatchId, Boot, CentiPercent, Centidegrees, Charger, Contactor, Digest, Milliamps, Millivolts,
    Millivolts16, Record, RecordId, RecordNumber, Sample, Timestamp, VehicleId,
    cbor::{Reader, Writer},
};

fn record() -> Record {
    let sample = Sample {
        time: Timestamp::from_millis(1_767_600_000_000),
        pack_voltage: Millivolts::new(352_100),
        pack_current: Milliamps::new(-12_345),
        cells: vec![Millivolts16::new(3_712), Millivolts16::new(3_700)],
        temperatures: vec![Centidegrees::new(-5)],
        soc: CentiPercent::new(8_025),
        contactor: Contactor::Closed,
        charger: Charger::Plugged,
        ..Sample::default()
    };
    Record { number: RecordNumber::new(258), sample }
}

/// What is hashed. Changing it is a format decision with an ADR.
#[test]
fn golden_record() {
    let golden = concat!(
        "01",
        "0201000000000000", // number
        "008c2b8d9b010000", // time
        "645f0500",         // pack voltage
        "c7cfffff",         // pack current
        "591f",             // state of charge
        "02",               // contactor
        "02",               // charger
        "0200",             // cells
        "0100",             // temperatures
        "800e740e",
        "fbff",
    );
    assert_eq!(hex::encode(record().to_canonical()), golden);
    assert_eq!(Record::from_canonical(&record().to_canonical()), Ok(record()));
}

#[test]
fn other_bytes_are_no_record() {
    let bytes = record().to_canonical();
    for len in 0..bytes.len() {
        assert!(Record::from_canonical(&bytes[..len]).is_err(), "{len} bytes");
    }
    assert!(Record::from_canonical(&[&bytes[..], &[0]].concat()).is_err());
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Record::from_canonical(&bytes)
    };
    assert!(with(0, 2).is_err(), "version");
    assert!(with(27, 9).is_err(), "contactor");
    assert!(with(28, 9).is_err(), "charger");
    assert!(with(26, 0x7f).is_err(), "state of charge");
    assert!(with(16, 1).is_err(), "time");
}

/// The number of a foreign record: time and content, nothing else.
#[test]
fn foreign_numbers() {
    let record = record();
    let number = Record::foreign(record.sample.clone()).number;
    assert_eq!(number.get() >> 21, 1_767_600_000_000);
    assert_eq!(Record::foreign(record.sample.clone()).number, number, "delivered again");
    let other = Sample { pack_current: Milliamps::new(1), ..record.sample };
    assert_ne!(Record::foreign(other).number, number);
}

#[test]
fn ids_have_one_text() {
    let id: RecordId = "bus-7/17/4711".parse().expect("an id");
    assert_eq!((id.vehicle.as_str(), id.boot, id.number), ("bus-7", Boot::new(17), RecordNumber::new(4711)));
    assert_eq!(id.to_string(), "bus-7/17/4711");
    let wrong =
        ["", "a/1", "a/1/2/3", "a/01/2", "a/+1/2", "a/1/-2", "a b/1/2", "/1/2", "a/1/18446744073709551616"];
    for wrong in wrong {
        let error = wrong.parse::<RecordId>().expect_err(wrong);
        assert!(error.to_string().contains("is no"), "{error}");
    }
    assert!("x".repeat(64).parse::<VehicleId>().is_ok());
    assert!("x".repeat(65).parse::<VehicleId>().is_err());
    assert!("ä".parse::<VehicleId>().is_err());
}

#[test]
fn ids_in_json_are_text() {
    let id: RecordId = "bus-7/17/4711".parse().expect("an id");
    let json = serde_json::to_string(&(&id, BatchId::from([0xab; 32]))).expect("JSON");
    assert_eq!(json, format!("[\"bus-7/17/4711\",\"{}\"]", "ab".repeat(32)));
    let back: (RecordId, BatchId) = serde_json::from_str(&json).expect("own JSON");
    assert_eq!(back, (id, BatchId::from([0xab; 32])));
}

/// RFC 8949 appendix A.
#[test]
fn known_cbor() {
    let check = |written: &mut Writer, want: &str| assert_eq!(hex::encode(written.finish()), want);
    check(Writer::new().uint(0), "00");
    check(Writer::new().uint(23), "17");
    check(Writer::new().uint(24), "1818");
    check(Writer::new().uint(1000), "1903e8");
    check(Writer::new().uint(1_000_000), "1a000f4240");
    check(Writer::new().uint(u64::MAX), "1bffffffffffffffff");
    check(Writer::new().int(-1), "20");
    check(Writer::new().int(-100), "3863");
    check(Writer::new().int(-1000), "3903e7");
    check(Writer::new().bytes(&[1, 2, 3, 4]), "4401020304");
    check(Writer::new().text("IETF"), "6449455446");
    check(Writer::new().array(2).uint(1).array(2).uint(2).uint(3), "8201820203");
    check(Writer::new().map(2).uint(1).uint(2).uint(3).uint(4), "a201020304");
    check(Writer::new().tag(1).uint(1_363_896_240), "c11a514b67b0");
    check(Writer::new().null(), "f6");
}

#[test]
fn loose_cbor_is_refused() {
    for loose in [
        "1817",
        "190017",
        "1a00000017",
        "1b0000000000000017",
        "5f4101ff",
        "9f01ff",
        "1c",
        "f97c00",
        "ff",
        "f7",
    ] {
        let bytes = hex::decode(loose).expect("hex in a test");
        assert!(Reader::new("test", &bytes).item().is_err(), "{loose}");
    }
}

proptest! {
    #[test]
    fn digests_have_one_text(bytes: [u8; 32]) {
        let digest = Digest::new(bytes);
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn integers_survive_cbor(unsigned: u64, signed: i64) {
        let bytes = Writer::new().uint(unsigned).int(signed).finish();
        let mut reader = Reader::new("test", &bytes);
        prop_assert_eq!((reader.uint(), reader.int()), (Ok(unsigned), Ok(signed)));
        prop_assert!(reader.finish().is_ok());
    }

    /// Whatever item is read was written deterministically: skipping it takes all of its bytes and no more.
    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new("test", &bytes);
        if let Ok(item) = reader.item() {
            prop_assert_eq!(item.len() + reader.remaining(), bytes.len());
        }
    }

    #[test]
    fn units_round(millivolts: u16) {
        let cell = Millivolts16::new(millivolts);
        prop_assert_eq!(Millivolts16::from_reading(cell.to_base()), cell);
        prop_assert_eq!(Millivolts16::from_base(f64::from(millivolts) / 1000.0), cell.is_known().then_some(cell));
    }
}
