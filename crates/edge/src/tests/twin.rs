//! The battery's twin in the agent: on every sample, in every batch, over restarts.

use crate::agent::{Agent, Credentials, Found, Rules};
use crate::sources::{Cursor, Cycle, Next, Sim, SimConfig, Source as _};
use crate::twin::{TwinConfig, remember};
use crate::{Input, Output, entry};
use voltmesh_ledger::testing;
use voltmesh_telemetry::{Boot, Secret, Timestamp};

fn agent(config: &TwinConfig, data: &std::path::Path) -> Agent {
    agent_with(Vec::new()).with_twin(config.open(data).unwrap().expect("it is enabled"), false)
}

/// An agent without a twin whose recording was accepted against these doubts.
fn agent_with(accepted_doubts: Vec<String>) -> Agent {
    let trust = testing::Chain::new(4).trust();
    let signing = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let credentials = Credentials { signing, secret: Secret::new([2; 32]), salt: [3; 32], trust };
    let rules = Rules {
        max_records: 50,
        max_age_ms: 3_600_000,
        accepted_doubts,
        ..Rules::new("car-1".parse().unwrap(), Boot::new(1), vec!["fog-1".into()])
    };
    Agent::new(rules, credentials, Found::default())
}

/// Drives a simulated vehicle; returns the batches' reports and the last memory.
fn drive(
    agent: &mut Agent,
    samples: u64,
    spoil: impl Fn(u64, &mut Input),
) -> (Vec<serde_json::Value>, Option<String>) {
    drive_from(agent, Timestamp::from_millis(1_700_000_000_000), samples, spoil)
}

/// As [`drive`], from a moment on.
fn drive_from(
    agent: &mut Agent,
    start: Timestamp,
    samples: u64,
    spoil: impl Fn(u64, &mut Input),
) -> (Vec<serde_json::Value>, Option<String>) {
    let config = SimConfig { samples, ..SimConfig::new(Cycle::WltcClass3b) };
    let mut source = Sim::open(config, Cursor::default(), start.as_millis()).unwrap();
    let (mut reports, mut memory, mut count) = (Vec::new(), None, 0);
    let mut act = |outputs: Vec<Output>| {
        for output in outputs {
            match output {
                Output::Persist { position, entry } => {
                    let batch = entry::decode(position, &entry).unwrap().batch;
                    let report = batch.report().unwrap().expect("every batch has one");
                    reports.push(serde_json::from_slice(&report).unwrap());
                }
                Output::SaveTwin { json } => memory = Some(json),
                _ => {}
            }
        }
    };
    while let Next::Sample(sampled) = source.poll().unwrap() {
        let now = sampled.sample.time;
        let mut input = Input::Sample { sample: sampled.sample, cursor: sampled.cursor };
        spoil(count, &mut input);
        count += 1;
        act(agent.handle(now, input));
    }
    act(agent.handle(Timestamp::from_millis(1_800_000_000_000), Input::SourceEnded));
    (reports, memory)
}

#[test]
fn accepted_doubts_are_signed_with_every_batch_with_and_without_a_twin() {
    let doubts = vec!["pack_voltage_v: 5 of 5 values are beyond 192 to 403 V".to_owned()];
    let folder = tempfile::tempdir().unwrap();
    for with_twin in [true, false] {
        let mut agent = agent_with(doubts.clone());
        if with_twin {
            let twin = TwinConfig::default().open(folder.path()).unwrap().expect("it is enabled");
            agent = agent.with_twin(twin, false);
        }
        let (reports, _) = drive(&mut agent, 120, |_, _| {});
        assert_eq!(reports.len(), 3);
        assert!(
            reports.iter().all(|report| report["accepted_doubts"] == serde_json::json!(doubts)),
            "{reports:?}"
        );
        assert_eq!(reports[2]["state"].is_object(), with_twin);
    }
    let mut agent = agent(&TwinConfig::default(), folder.path());
    let (reports, _) = drive(&mut agent, 60, |_, _| {});
    assert!(reports[0].get("accepted_doubts").is_none(), "nothing was accepted");
}

#[test]
fn what_is_unknown_is_left_out_and_said() {
    use voltmesh_telemetry::{Milliamps, Millivolts, Millivolts16, Ohms, Unknown};
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(&TwinConfig::default(), folder.path());
    let (reports, _) = drive(&mut agent, 200, |count, input| {
        let Input::Sample { sample, .. } = input else { return };
        sample.cells[7] = Millivolts16::unknown(Unknown::SensorFault);
        sample.pack_voltage = Millivolts::unknown(Unknown::Stale);
        sample.insulation = Ohms::new(2_000_000);
        if (60..70).contains(&count) {
            sample.pack_current = Milliamps::unknown(Unknown::NotAvailable);
        }
    });
    assert_eq!(reports.len(), 4);
    assert_eq!(reports[1]["checks"], serde_json::json!({"current": 10}));
    for report in reports {
        assert!((0.7..0.85).contains(&report["state"]["soc"]["value"].as_f64().unwrap()), "{report}");
        assert_eq!(report["events"], serde_json::json!([]));
    }
    // The pack's energy was unknown all the time: neither its voltage nor all its cells were known.
    let unknown_h = agent.twin().unwrap()["passport"]["timeUnknownH"].as_f64().unwrap();
    assert!((unknown_h - 199.0 / 3_600.0).abs() < 1e-3, "{unknown_h}");
}

#[test]
fn every_batch_carries_state_limits_and_signals() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(&TwinConfig::default(), folder.path());
    let (reports, memory) = drive(&mut agent, 420, |_, _| {});
    assert_eq!(reports.len(), 9, "420 samples, 50 a batch");
    for report in &reports {
        let soc = report["state"]["soc"]["value"].as_f64().unwrap();
        assert!((0.7..0.85).contains(&soc), "{report}");
        assert!(report["state"]["limits"]["charge_a"].as_f64().unwrap() > 0.0);
        assert!(report["vss"]["Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"].is_f64());
        assert_eq!(report["events"], serde_json::json!([]));
        assert_eq!(report["checks"], serde_json::json!({}));
    }
    let view = agent.twin().unwrap();
    let moved = view["passport"]["capacityThroughputAh"].as_f64().unwrap();
    assert!(moved > 0.1);
    // What was learnt is there after a restart; what is damaged is set aside.
    remember(folder.path(), &memory.expect("it is saved at the end")).unwrap();
    let again = self::agent(&TwinConfig::default(), folder.path()).twin().unwrap();
    assert_eq!(again["passport"]["capacityThroughputAh"].as_f64(), Some(moved));
    std::fs::write(folder.path().join("twin.json"), "{").unwrap();
    let fresh = self::agent(&TwinConfig::default(), folder.path()).twin().unwrap();
    assert_eq!(fresh["passport"]["capacityThroughputAh"].as_f64(), Some(0.0));
    assert!(folder.path().join("twin.json.unreadable").exists());
}

#[test]
fn a_vehicle_that_is_behind_lets_its_twin_see_fewer_samples_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(&TwinConfig::default(), folder.path());
    // Every sample is taken a second after the one before: after four of them the twin sees one of 16.
    agent.handle(Timestamp::from_millis(1_700_000_000_000), Input::Behind { behind: true });
    let (reports, _) = drive(&mut agent, 400, |_, _| {});
    let skipped: Vec<u64> =
        reports.iter().map(|report| report["samples_skipped"].as_u64().unwrap_or(0)).collect();
    assert!(skipped[1..].iter().all(|count| (46..=47).contains(count)), "{skipped:?}");
    assert_eq!(agent.counters()["twin_skipped"], skipped.iter().sum::<u64>());
    assert_eq!(agent.counters()["sampled"], 400, "records are all there");
    // It still estimates.
    let soc = reports.last().unwrap()["state"]["soc"]["value"].as_f64().unwrap();
    assert!((0.7..0.85).contains(&soc), "{soc}");

    let now = Timestamp::from_millis(1_700_000_400_000);
    agent.handle(now, Input::Behind { behind: false });
    let (reports, _) = drive_from(&mut agent, now, 200, |_, _| {});
    assert!(reports.last().unwrap().get("samples_skipped").is_none(), "it keeps up again");
    assert_eq!(agent.twin().unwrap()["sees_one_of"], 1);
}

#[test]
fn what_a_sensor_says_wrongly_is_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(&TwinConfig::default(), folder.path());
    // A cell's sense wire comes off: its voltage stands still.
    let stuck = std::cell::Cell::new(None);
    let (reports, _) = drive(&mut agent, 700, |count, input| {
        if let Input::Sample { sample, .. } = input
            && count > 100
        {
            sample.cells[17] = stuck.get().unwrap_or(sample.cells[17]);
            stuck.set(Some(sample.cells[17]));
        }
    });
    let events: Vec<_> = reports.iter().flat_map(|report| report["events"].as_array().unwrap()).collect();
    let found = events.iter().find(|event| event["kind"] == "sensor-freeze").expect("it is found");
    assert_eq!(found["cells"], serde_json::json!([17]));
    assert!(agent.counters()["twin_events"] > 0);
}

#[test]
fn another_chemistry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lfp = TwinConfig { chemistry: voltmesh_battery::Chemistry::Lfp, ..TwinConfig::default() };
    let mut agent = agent(&lfp, folder.path());
    let (reports, _) = drive(&mut agent, 100, |_, _| {});
    let last = reports.last().unwrap();
    assert_eq!(
        (&last["refused"], &last["state"]),
        (&serde_json::json!(true), &serde_json::Value::Null),
        "{last}"
    );
    assert!(last["checks"]["chemistry"].as_u64().unwrap() > 0);
}
