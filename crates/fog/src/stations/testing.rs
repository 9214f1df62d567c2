//! A small network for tests: six EVSEs at three chargers, busy by day.

use std::fmt::Write as _;
use std::sync::OnceLock;

use voltmesh_stations::forecaster::train_ours;
use voltmesh_stations::{Covariates, Forecaster, History, Mapping, read_places};

/// How many EVSEs there are.
pub const EVSES: usize = 6;

/// Where they are.
pub const PLACES: &str = "evse_id,station_id,connector_type,latitude,longitude,power_kw,price_kwh,operator
A/1,A,ccs,53.35,-6.26,50,0.4,x
A/2,A,type2,53.35,-6.26,22,0.3,x
B/1,B,ccs,53.36,-6.20,50,0.4,y
B/2,B,chademo,53.36,-6.20,50,0.4,y
C/1,C,ccs,53.30,-6.30,150,0.6,x
C/2,C,ccs,53.30,-6.30,150,0.6,x
";

/// 2025-03-01T00:00:00Z.
const START: i64 = 1_740_787_200;

/// The sampling interval in seconds.
const STEP_S: i64 = 900;

/// Slots that the model is trained on: three days.
const SLOTS: i64 = 288;

/// The first slot that the model has not seen, in seconds since 1970.
pub const END: i64 = START + SLOTS * STEP_S;

/// Rows of so many slots.
pub fn feed(from: i64, slots: i64) -> String {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    for slot in 0..slots {
        let at = from + slot * STEP_S;
        for (n, id) in ["A/1", "A/2", "B/1", "B/2", "C/1", "C/2"].iter().enumerate() {
            // Between eight and twenty, each for two slots of five in its own rhythm; at night hardly.
            let (hour, turn) = (at / 3600 % 24, (at / STEP_S * 3 + n as i64 * 7) % 10);
            let busy = turn < if (8..20).contains(&hour) { 5 } else { 1 };
            let status = if busy { "Occ" } else { "Available" };
            let _ = writeln!(text, "{},{id},{status}", super::adviser::text(at));
        }
    }
    text
}

/// A model, trained once.
pub fn model() -> Forecaster {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let history = History::from_csv(feed(START, SLOTS).as_bytes(), &Mapping::new()).unwrap();
        let places = read_places(PLACES.as_bytes()).unwrap();
        let all = 0..history.slots();
        let none = Covariates::default();
        train_ours(&history, &places, all, &[15, 60], &none, &mut |_| {}).unwrap().write().unwrap()
    });
    Forecaster::read(bytes).unwrap()
}
