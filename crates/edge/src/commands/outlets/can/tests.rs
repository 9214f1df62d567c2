//! CAN frames of what is in force, read back by the same DBC.

use super::*;
use crate::commands::own::OwnLimits;
use crate::commands::setpoints::Setpoints;
use voltmesh_recording::can::{Dbc, Log};

const ORDER: &str = "BO_ 1040 Order: 8 Gateway\n SG_ ChargeLimit : 0|12@1+ (0.1,0) [0|400] \"A\" Bms\n \
    SG_ DischargeLimit : 23|12@0+ (0.5,0) [0|0] \"A\" Bms\n SG_ Target : 32|8@1+ (0.5,-40) [-40|80] \"degC\" Bms\n \
    SG_ Condition : 40|1@1+ (1,0) [0|1] \"\" Bms\n SG_ Stop : 41|1@1+ (1,0) [0|1] \"\" Bms\n \
    SG_ Alive : 60|4@1+ (1,0) [0|15] \"\" Bms\n";

const KEYS: &str = "log = 'order.log'\ndbc = 'order.dbc'\nmessage = 'Order'\nperiod_ms = 10\n[signals]\ncharge_limit = 'ChargeLimit'\n\
    discharge_limit = 'DischargeLimit'\ntarget_temperature = 'Target'\ntarget_active = 'Condition'\nstop_charging = 'Stop'\n\
    counter = 'Alive'\n";

fn config(keys: &str) -> Result<CanOutletConfig, String> {
    let config: CanOutletConfig = toml::from_str(keys).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

fn writer(keys: &str, dbc: &str) -> Result<FrameWriter, String> {
    let dbc = Dbc::parse(dbc.as_bytes(), "order.dbc").expect("a DBC file");
    FrameWriter::new(&config(keys)?, &dbc.messages).map_err(|error| error.to_string())
}

fn in_force(setpoints: Setpoints) -> InForce {
    let own = OwnLimits { charge_ma: 90_000, discharge_ma: 240_000, estimated: true };
    InForce { setpoints, own, until: None }
}

/// Physical values of a frame: charge, discharge, target, condition, stop, alive.
fn read(data: &[u8]) -> Vec<f64> {
    let dbc = Dbc::parse(ORDER.as_bytes(), "order.dbc").expect("a DBC file");
    dbc.messages[0].signals.iter().filter_map(|signal| signal.physical(data)).collect()
}

#[test]
fn a_frame_says_what_is_in_force_and_the_vehicles_own_limits_otherwise() {
    let writer = writer(KEYS, ORDER).expect("all signals are there");
    let idle = writer.data(&in_force(Setpoints::default()), 17).expect("own limits");
    assert_eq!(read(&idle), [90.0, 240.0, 20.0, 0.0, 0.0, 1.0]);
    let setpoints = Setpoints {
        charge_ma: Some(12_390),
        discharge_ma: Some(99_999),
        target_centidegrees: Some(3_140),
        stop_charging: true,
        ..Setpoints::default()
    };
    let data = writer.data(&in_force(setpoints), 3).expect("a frame");
    assert_eq!(read(&data), [12.3, 99.5, 31.0, 1.0, 1.0, 3.0], "limits are rounded down");
}

#[test]
fn silence_is_kept_while_nothing_is_in_force() {
    let writer = writer(&KEYS.replace("period_ms = 10", "idle = 'silence'"), ORDER).expect("all is there");
    assert_eq!(writer.data(&in_force(Setpoints::default()), 0), None);
    assert!(writer.data(&in_force(Setpoints { stop_charging: true, ..Setpoints::default() }), 0).is_some());
}

#[test]
fn what_a_bms_could_misread_is_refused_when_it_is_configured() {
    let keys = |from: &str, to: &str| writer(&KEYS.replace(from, to), ORDER);
    let dbc = |from: &str, to: &str| writer(KEYS, &ORDER.replace(from, to));
    for (found, said) in [
        (keys("log = 'order.log'", ""), "one of interface and log"),
        (keys("period_ms = 10", "period_ms = 1"), "10 to 10000"),
        (keys("'Order'", "'Ordre'"), "has no message \"Ordre\""),
        (keys("'Stop'", "'Halt'"), "has no signal Halt"),
        (keys("target_active = 'Condition'", ""), "needs target_active"),
        (dbc("\"A\" Bms\n SG_ D", "\"mA\" Bms\n SG_ D"), "is in \"mA\", A or Amp is wanted"),
        (dbc("(0.1,0) [0|400]", "(0.1,5) [5|400]"), "cannot say 0"),
        (dbc("[-40|80]", "[-40|30]"), "cannot say 45"),
        (dbc("Order: 8", "Order: 64"), "64 bytes are not 1 to 8"),
    ] {
        let error = found.expect_err(said);
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
    let none = KEYS.split("[signals]").next().expect("a head").to_owned() + "[signals]\n";
    assert!(config(&none).expect_err("no signals").contains("names no signal"));
}

/// The thread writes a log that is read again as any other.
#[test]
fn frames_come_in_their_period_until_the_outlet_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(KEYS).expect("a configuration");
    for path in config.paths() {
        *path = folder.path().join(&*path);
    }
    std::fs::write(&config.dbc, ORDER).expect("a DBC file");
    let log = config.log.clone().expect("a log");
    let outlet = CanOutlet::open(&config).expect("it opens");
    let latest = std::sync::Arc::new(Latest::default());
    latest.put(in_force(Setpoints { charge_ma: Some(5_000), ..Setpoints::default() }));
    let thread = std::thread::spawn({
        let latest = latest.clone();
        move || outlet.run(&latest)
    });
    let written = |frames: usize| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().count() >= frames
    };
    while !written(5) {
        std::thread::yield_now();
    }
    latest.close();
    thread.join().expect("it ends");
    let mut log = Log::open(&log).expect("a candump log");
    let mut alive = Vec::new();
    while let Some(frame) = log.next().expect("it is read") {
        assert_eq!(frame.id, 1040);
        let values = read(frame.data());
        assert_eq!(values[0], 5.0);
        alive.push(values[5] as u64);
    }
    assert!(alive.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 16), "{alive:?}");
}
