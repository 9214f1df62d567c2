use super::*;
use crate::{
    CentiPercent, Centidegrees, Charger, Contactor, Error, Milliamps, Millivolts, Millivolts16, Sample,
    Timestamp, Unknown,
};
use proptest::prelude::*;

const ROOTED: &str = "Vehicle.Powertrain.TractionBattery";

fn sample() -> Sample {
    Sample {
        time: Timestamp::from_millis(1_767_600_000_000),
        pack_voltage: Millivolts::new(352_100),
        pack_current: Milliamps::new(-12_345),
        cells: vec![Millivolts16::new(3_712), Millivolts16::new(3_700)],
        temperatures: vec![Centidegrees::new(2_350), Centidegrees::new(-5)],
        soc: CentiPercent::new(8_025),
        contactor: Contactor::Closed,
        charger: Charger::Unplugged,
        ..Sample::default()
    }
}

#[test]
fn golden_json() {
    let want = concat!(
        r#"{"timestamp":1767600000000,"#,
        r#""Vehicle.Powertrain.TractionBattery.CurrentVoltage":352.1,"#,
        r#""Vehicle.Powertrain.TractionBattery.CurrentCurrent":-12.345,"#,
        r#""Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages":[3.712,3.7],"#,
        r#""Vehicle.Powertrain.TractionBattery.Temperature.CellTemperature":[23.5,-0.05],"#,
        r#""Vehicle.Powertrain.TractionBattery.StateOfCharge.Current":80.25,"#,
        r#""Vehicle.Powertrain.TractionBattery.IsPowerConnected":true,"#,
        r#""Vehicle.Powertrain.TractionBattery.Charging.IsCharging":false,"#,
        r#""Vehicle.Powertrain.TractionBattery.Charging.ChargingPort.AnyPosition.IsChargingCableConnected":false}"#,
    );
    assert_eq!(to_json(&sample()), want);
    assert_eq!(parse(want.as_bytes()), Ok(sample()));
}

fn check(fields: &str, want: Result<(), &str>) {
    let json = format!(
        r#"{{"timestamp":"2026-01-05T08:00:00Z","{ROOTED}.CurrentVoltage":352.1,"{ROOTED}.CurrentCurrent":-1{fields}}}"#
    );
    refuse_or_accept(&json, want);
}

fn refuse_or_accept(json: &str, want: Result<(), &str>) {
    match (parse(json.as_bytes()), want) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
        (found, want) => panic!("{json}: found {found:?}, want {want:?}"),
    }
}

#[test]
fn optional_fields() {
    check("", Ok(()));
    check(r#","Vehicle.Body.Horn":[{"any":"thing"}]"#, Ok(()));
    check(&format!(r#","{ROOTED}.Temperature.Average":21.5"#), Ok(()));
    check(r#","vin":"XX0000000000000XX","speed":1"#, Ok(()));
    check(
        r#","vehicle/powertrain/tractionbattery/stateofcharge/current":50"#,
        Err("is not read; it is spelled Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"),
    );
    // What rounds into the range is in it.
    check(&format!(r#","{ROOTED}.StateOfCharge.Current":100.004"#), Ok(()));
    check(&format!(r#","{ROOTED}.StateOfCharge.Current":-0.004"#), Ok(()));
    check(&format!(r#","{ROOTED}.StateOfCharge.Current":100.006"#), Err("100.006 is out of range"));
    check(&format!(r#","{ROOTED}.CurrentVoltage":1"#), Err("CurrentVoltage: is there twice"));
    check(
        &format!(r#","{ROOTED}.StateOfCharge.Current":101"#),
        Err("StateOfCharge.Current: 101 is out of range"),
    );
    check(&format!(r#","{ROOTED}.CellVoltage.CellVoltages":[66]"#), Err("CellVoltages: 66 is out of range"));
    check(&format!(r#","{ROOTED}.CellVoltage.CellVoltages":["3.7"]"#), Err("expected a number"));
    check(&format!(r#","{ROOTED}.IsPowerConnected":1,"{ROOTED}.Charging.IsCharging":0"#), Ok(()));
    check(
        &format!(r#","{ROOTED}.IsPowerConnected":2"#),
        Err("IsPowerConnected: 2 is not true, false, 0 or 1"),
    );
    check(&format!(r#","{ROOTED}.IsPowerConnected":"yes""#), Err("IsPowerConnected: invalid type"));
    check(&format!(r#","{ROOTED}.CellVoltage.CellVoltages":[{}1]"#, "1,".repeat(512)), Err("more than 512"));
    check(
        &format!(
            r#","{ROOTED}.Charging.IsCharging":true,"{ROOTED}.Charging.ChargingPort.AnyPosition.IsChargingCableConnected":false"#
        ),
        Err("no cable"),
    );
}

#[test]
fn required_fields() {
    let refuse = |json: &str, want| refuse_or_accept(json, Err(want));
    refuse("{}", "timestamp: is missing");
    refuse(r#"{"timestamp":1767600000000}"#, "holds none of the quantities of a battery");
    refuse(
        r#"{"timestamp":1767600000000,"Vehicle.Speed":50,"Vehicle.Curent":1}"#,
        "holds none of the quantities",
    );
    refuse(r#"{"timestamp":1767600000}"#, "looks like seconds");
    refuse(r#"{"timestamp":1767600000000.5}"#, "no whole number");
    refuse(r#"{"timestamp":-1}"#, "timestamp: invalid");
    refuse(r#"{"timestamp":99999999999999999}"#, "2109");
    refuse(r#"{"timestamp":"2126-01-01T00:00:00Z"}"#, "2109");
    refuse(r#"{"timestamp":"yesterday"}"#, "\"yesterday\" is not RFC 3339");
    refuse(r#"{"timestamp":"1969-12-31T23:59:59Z"}"#, "before 1970");
    refuse("[]", "JSON object");
    refuse("{} {}", "trailing");
    refuse(&"[".repeat(60_000), "JSON sample");
    let long = " ".repeat(MAX_JSON_BYTES + 1);
    assert!(matches!(parse(long.as_bytes()), Err(Error::Oversized { .. })));
}

#[test]
fn times_agree() {
    let with = |time: &str| {
        parse(
            format!(r#"{{"timestamp":{time},"{ROOTED}.CurrentVoltage":1,"{ROOTED}.CurrentCurrent":0}}"#)
                .as_bytes(),
        )
        .map(|sample| sample.time.as_millis())
    };
    assert_eq!(with("1767600000250"), Ok(1_767_600_000_250));
    assert_eq!(with("1.76760000025e12"), Ok(1_767_600_000_250));
    assert_eq!(with("\"2026-01-05T08:00:00.25Z\""), Ok(1_767_600_000_250));
    for time in
        ["2026-01-05T09:00:00.250+01:00", "2026-01-05T09:00:00.250+0100", "2026-01-05T09:00:00.250+01"]
    {
        assert_eq!(with(&format!("\"{time}\"")), Ok(1_767_600_000_250), "{time}");
    }
    let error = with("\"2026-01-05T08:00:00.250\"").unwrap_err().to_string();
    assert!(error.contains("has no offset from UTC: add Z"), "{error}");
}

/// What is optional is left out or has a cause; nothing that is unknown costs the sample.
#[test]
fn unknown_values_are_read_with_their_cause() {
    let read = |fields: &str| {
        let json = format!(r#"{{"timestamp":1767600000000{fields}}}"#);
        parse(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
    };
    let cell = read(&format!(r#","{ROOTED}.CellVoltage.CellVoltages":[3.7]"#));
    assert_eq!((cell.pack_voltage, cell.pack_current), Default::default());
    let sample = read(&format!(
        r#","{ROOTED}.CurrentVoltage":null,"{ROOTED}.CurrentCurrent":{{"unknown":"stale"}},
        "{ROOTED}.CellVoltage.CellVoltages":[3.7,null,{{"unknown":"sensor_fault"}}],
        "{ROOTED}.IsPowerConnected":null,"{ROOTED}.StateOfCharge.Current":null,
        "Vehicle.Speed":-3,"Vehicle.Exterior.AirTemperature":-12.5"#
    ));
    assert_eq!(sample.pack_voltage.reading(), Err(Unknown::NotSent));
    assert_eq!(sample.pack_current.reading(), Err(Unknown::Stale));
    let cells: Vec<_> = sample.cells.iter().map(|cell| cell.reading()).collect();
    assert_eq!(cells, [Ok(3_700), Err(Unknown::NotSent), Err(Unknown::SensorFault)]);
    assert_eq!((sample.contactor, sample.soc), (Contactor::Unknown, CentiPercent::UNKNOWN));
    assert_eq!(sample.speed.reading(), Err(Unknown::OutOfRange));
    assert_eq!(sample.ambient.reading(), Ok(-1_250));
    check(r#","Vehicle.Speed":{"unknown":"asleep"}"#, Err("Speed: unknown variant"));
    check(r#","Vehicle.Speed":{"is":"stale"}"#, Err("wants a number, null"));
}

#[test]
fn channels_have_names_units_and_resolutions() {
    let check = |channels: &str, want| check(&format!(r#","{CHANNELS}":{channels}"#), want);
    check("[]", Ok(()));
    check(r#"[{"name":"gas","unit":"[ppm]","resolution":0.5,"value":12.5}]"#, Ok(()));
    check(r#"[{"name":"gas","unit":"[ppm]","resolution":0.5,"value":{"unknown":"sensor_fault"}}]"#, Ok(()));
    check(r#"[{"name":"gas","unit":"bpm","resolution":0.5,"value":1}]"#, Err("no unit of UCUM"));
    check(r#"[{"name":"gas","unit":"1","resolution":0,"value":1}]"#, Err("resolution"));
    check(r#"[{"name":"gas","unit":"1","value":1}]"#, Err("missing field `resolution`"));
    let two = r#"{"name":"gas","unit":"1","resolution":1,"value":1}"#;
    check(&format!("[{two},{two}]"), Err("is there twice"));
    check(&format!("[{}{two}]", format!("{two},").repeat(32)), Err("more than 32 channels"));
}

proptest! {
    #[test]
    fn written_samples_are_read(sample in crate::batch::any_sample()) {
        // JSON has fewer states of a contactor, takes times of today, and no original.
        let contactor = match sample.contactor {
            Contactor::Closed | Contactor::Unknown => sample.contactor,
            _ => Contactor::Open,
        };
        let charger = if sample.charger == Charger::Fault { Charger::Plugged } else { sample.charger };
        let time = sample.time.max(Timestamp::from_millis(PLAUSIBLE));
        let sample = Sample { contactor, charger, time, ..sample };
        prop_assert_eq!(parse(to_json(&sample).as_bytes()), Ok(sample));
    }

    #[test]
    fn text_never_panics(text in "[\\[{\"}:,\\]a-z0-9 .-]{0,200}") {
        let _ = parse(text.as_bytes());
    }
}

/// Smaller timestamps look like seconds.
const PLAUSIBLE: u64 = 100_000_000_000;
