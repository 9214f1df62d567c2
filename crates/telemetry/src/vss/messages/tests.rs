use crate::vss::{parse, to_json};
use crate::{Charger, Contactor, Milliamps, Millivolts, Millivolts16, Sample, Timestamp, Unknown};
use proptest::prelude::*;
use serde_json::{Value, json};

const PACK: &str = "Vehicle.Powertrain.TractionBattery";
const AT: &str = "2026-01-05T08:00:00Z";
const AT_MS: u64 = 1_767_600_000_000;

fn sample() -> Sample {
    Sample {
        time: Timestamp::from_millis(AT_MS),
        pack_voltage: Millivolts::new(352_100),
        pack_current: Milliamps::new(-12_500),
        ..Sample::default()
    }
}

fn read(message: &Value) -> Result<Sample, String> {
    parse(message.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn refused(message: &Value, why: &str) {
    let error = read(message).expect_err(&message.to_string());
    assert!(error.contains(why), "{message}: {error}");
}

#[test]
fn every_form_has_its_value() {
    let (volts, amperes) = (format!("{PACK}.CurrentVoltage"), format!("{PACK}.CurrentCurrent"));
    let slashes = volts.replace('.', "/");
    let viss = |path: &str, value: &str| json!({"path": path, "dp": {"value": value, "ts": AT}});
    let client = |path: &str, value: f64| json!({"path": path, "value": {"value": value, "timestamp": AT}});
    let v1 = |path: &str, value: f64| json!({"entry": {"path": path, "value": {"timestamp": AT, "float": value}}, "fields": ["FIELD_VALUE"]});
    for message in [
        json!({"action": "get", "requestId": "8756", "data": [viss(&volts, "352.1"), viss(&amperes, "-12.5")], "ts": AT}),
        json!({"action": "subscription", "subscriptionId": "1", "data": [viss(&slashes, "352.1"), viss(&amperes, " -12.5 ")]}),
        json!([client(&volts, 352.1), client(&amperes, -12.5)]),
        json!({"updates": [v1(&volts, 352.1), v1(&amperes, -12.5)]}),
        json!({"entries": {
            &volts: {"timestamp": AT, "value": {"float": 352.100_006_103_515_6}},
            &amperes: {"timestamp": AT, "value": {"double": -12.5}},
        }}),
    ] {
        assert_eq!(read(&message), Ok(sample()), "{message}");
    }
    let one = Sample { pack_current: Milliamps::default(), ..sample() };
    assert_eq!(
        read(&json!({"action": "subscription", "data": viss(&volts, "352.1"), "ts": AT})),
        Ok(one.clone())
    );
    assert_eq!(read(&client(&volts, 352.1)), Ok(one));
}

#[test]
fn lists_booleans_and_signals_without_a_value() {
    let dp = |path: &str, value: Value| json!({"path": format!("{PACK}.{path}"), "dp": {"value": value, "ts": AT}});
    let found = read(&json!({"data": [
        dp("CellVoltage.CellVoltages", json!(["3.712", "3.7"])),
        dp("IsPowerConnected", json!("true")),
        dp("Charging.IsCharging", json!("0")),
        dp("StateOfCharge.Current", Value::Null),
        {"path": format!("{PACK}.CurrentVoltage"), "dp": {}},
        {"path": "Vehicle.VehicleIdentification.VIN", "dp": {"value": "WBY8P210X07D12345", "ts": AT}},
        {"path": "Vehicle.Body.Lights.IsHighBeamOn", "metadata": {}},
    ]}));
    let want = Sample {
        time: Timestamp::from_millis(AT_MS),
        cells: vec![Millivolts16::new(3_712), Millivolts16::new(3_700)],
        contactor: Contactor::Closed,
        charger: Charger::Unknown,
        ..Sample::default()
    };
    assert_eq!(found, Ok(want));
    let typed = json!({"entries": {
        format!("{PACK}.CellVoltage.CellVoltages"): {"timestamp": AT, "value": {"floatArray": {"values": [3.712, 3.7]}}},
        format!("{PACK}.IsPowerConnected"): {"timestamp": AT, "value": {"bool": true}},
    }});
    let found = read(&typed).expect("typed values");
    assert_eq!((found.cells.len(), found.contactor), (2, Contactor::Closed));
}

#[test]
fn values_of_other_times_are_stale() {
    let at = |ms: &str, path: &str, value: Value| json!({"path": format!("{PACK}.{path}"), "dp": {"value": value, "ts": format!("2026-01-05T08:00:0{ms}Z")}});
    let found = read(&json!({"data": [
        at("0.000", "CurrentVoltage", json!("352.1")),
        at("0.000", "CellVoltage.CellVoltages", json!(["3.7", "3.7"])),
        at("0.000", "IsPowerConnected", json!("true")),
        at("0.001", "StateOfCharge.Current", json!("80")),
        at("1.001", "CurrentCurrent", json!("-12.5")),
    ]}))
    .expect("a sample");
    assert_eq!(found.time, Timestamp::from_millis(AT_MS + 1_001));
    assert_eq!(found.pack_voltage.cause(), Some(Unknown::Stale));
    assert!(found.cells.len() == 2 && found.cells.iter().all(|cell| cell.cause() == Some(Unknown::Stale)));
    assert_eq!(found.contactor, Contactor::Unknown);
    assert_eq!(found.soc.cause(), None);
    assert_eq!(found.pack_current, Milliamps::new(-12_500));
}

#[test]
fn what_is_no_sample_is_refused_with_its_reason() {
    let volts = format!("{PACK}.CurrentVoltage");
    let dp = |value: Value| json!({"data": {"path": &volts, "dp": value}});
    refused(&dp(json!({"value": "352.1"})), "without its time");
    refused(&dp(json!({"value": "352.1", "ts": "2026-01-05T08:00:00"})), "no offset");
    refused(&dp(json!({"value": "much", "ts": AT})), "CurrentVoltage");
    refused(&dp(json!({"value": "NaN", "ts": AT})), "CurrentVoltage");
    refused(&dp(json!({"value": "99999999", "ts": AT})), "out of range");
    refused(&dp(json!("352.1")), "object of value and time");
    let earlier = "2026-01-05T07:59:00Z";
    refused(&dp(json!([{"value": "352.1", "ts": AT}, {"value": "352", "ts": earlier}])), "several values");
    refused(&dp(json!({"quality": 1, "volts": "352.1", "ts": AT})), "several fields");
    let twice =
        format!(r#"{{"data":{{"path":"{volts}","dp":{{"value":"352.1","value":"3","ts":"{AT}"}}}}}}"#);
    let said = parse(twice.as_bytes()).map(drop).expect_err("a value twice").to_string();
    assert!(said.contains("value is there twice"), "{said}");
    refused(&json!({"data": {"path": 27, "dp": {"value": "352.1", "ts": AT}}}), "compressed");
    refused(&json!({"data": []}), "no value");
    refused(&json!([]), "no value");
    refused(
        &json!({"action": "get", "error": {"number": "404", "reason": "unavailable_data"}, "ts": AT}),
        "unavailable_data",
    );
    refused(
        &json!({"data": {"path": "Vehicle.Speed", "dp": {"value": "50", "ts": AT}}}),
        "none of the quantities",
    );
    let misspelled = json!({"data": {"path": volts.to_lowercase(), "dp": {"value": "352.1", "ts": AT}}});
    refused(&misspelled, "spelled");
    refused(&json!({"data": [[[[1]]]]}), "neither an object");
}

#[test]
fn what_stands_beside_a_value_is_not_the_value() {
    let volts = |point: Value| json!({"data": {"path": format!("{PACK}.CurrentVoltage"), "dp": point}});
    let want = read(&volts(json!({"value": "352.1", "ts": AT})));
    assert!(want.is_ok());
    for more in ["quality", "unit", "status", "Z"] {
        assert_eq!(read(&volts(json!({"value": "352.1", "ts": AT, more: 1}))), want, "{more}");
    }
    let never = json!([{"path": format!("{PACK}.CurrentCurrent"), "value": null},
        {"path": format!("{PACK}.CurrentVoltage"), "value": {"value": 352.1, "timestamp": AT}}]);
    assert_eq!(read(&never), want);
}

#[test]
fn a_sample_may_have_such_keys() {
    let json = json!({"timestamp": AT, format!("{PACK}.CurrentVoltage"): 352.1, format!("{PACK}.CurrentCurrent"): -12.5, "data": 1, "path": "x"});
    assert_eq!(read(&json), Ok(sample()));
}

proptest! {
    /// What a sample says as one object, it says as a message of any form.
    #[test]
    fn a_message_says_what_the_object_says(volts in 0u32..1_000_000, amperes in -500_000i32..500_000, cells in prop::collection::vec(0u16..5_000, 0..8), form in 0u8..3) {
        let sample = Sample {
            pack_voltage: Millivolts::new(volts),
            pack_current: Milliamps::new(amperes),
            cells: cells.into_iter().map(Millivolts16::new).collect(),
            ..sample()
        };
        let object: Value = serde_json::from_str(&to_json(&sample)).expect("JSON");
        let values = object.as_object().expect("an object").iter().filter(|(key, _)| *key != "timestamp");
        let text = |value: &Value| match value {
            Value::Array(values) => values.iter().map(|value| json!(value.to_string())).collect(),
            value => json!(value.to_string()),
        };
        let message = match form {
            0 => json!({"data": values.map(|(path, value)| json!({"path": path, "dp": {"value": text(value), "ts": AT}})).collect::<Vec<_>>()}),
            1 => values.map(|(path, value)| json!({"path": path, "value": {"value": value, "timestamp": AT_MS}})).collect(),
            _ => json!({"entries": values.map(|(path, value)| (path.clone(), json!({"timestamp": AT, "value": {"double": value}}))).collect::<serde_json::Map<_, _>>()}),
        };
        prop_assert_eq!(read(&message), Ok(sample));
    }

    /// No text makes it panic.
    #[test]
    fn any_json_is_read_or_refused(text in r#"[\[\{]("(data|dp|path|value|entries|updates|entry|ts|error)"[:,]|[\[\]\{\},:]|"x"|1|null){0,24}"#) {
        let _ = parse(text.as_bytes());
    }
}
