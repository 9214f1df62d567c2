//! Live feeds of charging stations against a real fog node: the process that people run, its file and its clock.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use voltmesh::deploy::{Site, Size};
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::{Covariates, History, Mapping, Places};

const PATIENCE: Duration = Duration::from_secs(90);

const EVSES: [&str; 6] =
    ["XX*OP1*E100*1", "XX*OP1*E100*2", "XX*OP1*E101*1", "XX*OP1*E101*2", "XX*OP1*E102*1", "XX*OP1*E102*2"];

/// This machine's clock, in seconds since 1970.
fn clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A model of six EVSEs each quarter of an hour, of days that are long over.
fn model() -> Vec<u8> {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    for slot in 0..192 {
        for (n, evse) in EVSES.iter().enumerate() {
            let status = if (slot / 5 + n) % 3 == 0 { "CHARGING" } else { "AVAILABLE" };
            writeln!(text, "{},{evse},{status}", 1_740_960_000 + slot * 900).unwrap();
        }
    }
    let history = History::from_csv(text.as_bytes(), &Mapping::new()).unwrap();
    let (none, places) = (Covariates::default(), Places::new());
    let school = School::new(&history, &places, &none, 0..192, &[15, 60], &Held::Last).unwrap();
    school.train("markov".parse().unwrap(), &mut |_| {}).unwrap().write().unwrap()
}

/// A fog node with a feed, and its folder.
struct Fog {
    site: Site,
    folder: tempfile::TempDir,
}

impl Fog {
    async fn start(feed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
        let size =
            Size { fogs: 4, vehicles: 0, cloud: false, epoch_length: 1000, election: Default::default() };
        let mut site = Site::prepare(program, folder.path(), size, true).await.unwrap();
        let own = folder.path().join("fog-1");
        std::fs::write(own.join("stations.model"), model()).unwrap();
        std::fs::write(own.join("feed.csv"), feed).unwrap();
        let mut text = std::fs::read_to_string(own.join("fog.toml")).unwrap();
        // As docs/operate.md shows it, all else by default.
        text.push_str("\n[stations]\nmodel = \"stations.model\"\nfeed = \"feed.csv\"\nfeed_poll_ms = 50\n");
        std::fs::write(own.join("fog.toml"), text).unwrap();
        site.start().await.unwrap();
        Self { site, folder }
    }

    fn append(&self, rows: &str) {
        use std::io::Write as _;
        let path = self.folder.path().join("fog-1/feed.csv");
        std::fs::File::options().append(true).open(path).unwrap().write_all(rows.as_bytes()).unwrap();
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let body = self.site.http.get(self.site.fogs[0].http, path).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    async fn stop(mut self) {
        self.site.stop().await;
    }

    /// Waits until a counter has at least a value.
    async fn until(&self, counter: &str, value: u64) {
        let start = Instant::now();
        loop {
            let status = self.get("/status").await;
            let found = status.as_ref().and_then(|status| status["counters"][counter].as_u64());
            if found.is_some_and(|found| found >= value) {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{counter} is {found:?}: {status:?}\n{}",
                self.site.last_words()
            );
            tokio::task::yield_now().await;
        }
    }

    /// How many EVSEs have a status, once so many snapshots were taken.
    async fn known(&self, snapshots: u64) -> (usize, Value) {
        self.until("stations_snapshots", snapshots).await;
        let all = self.get("/stations/forecast").await.unwrap_or_default();
        let known = all["evses"].as_array().into_iter().flatten().filter(|evse| evse["status"].is_string());
        (known.count(), all)
    }
}

fn snapshot(at: i64) -> String {
    EVSES.iter().fold(String::new(), |mut text, evse| {
        writeln!(text, "{at},{evse},AVAILABLE").unwrap();
        text
    })
}

/// `feed-one-clock-ahead.sh` of the shared cases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clock_that_is_ahead_blinds_no_real_node() {
    let now = clock();
    let header = "timestamp,evse_id,status\n";
    let feed: String = [now - 1800, now - 900, now].into_iter().map(snapshot).collect();
    let fog = Fog::start(&format!("{header}{feed}")).await;
    let (known, all) = fog.known(3).await;
    assert_eq!(known, 6, "{all}");
    fog.append(&format!("{},{},AVAILABLE\n", clock() + 7200, EVSES[2]));
    fog.until("stations_rows_ahead", 1).await;
    fog.append(&snapshot(clock()));
    fog.until("stations_rows", 25).await;
    let (known, all) = fog.known(3).await;
    assert_eq!(known, 6, "{all}");
    let status = fog.get("/status").await.unwrap();
    assert_eq!(status["counters"]["stations_rows_late"], 0, "{status}");
    fog.stop().await;
}

/// `feed-changes-only.sh` of the shared cases, with the default `max_age_s`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_of_changes_only_is_known_to_a_real_node() {
    let now = clock();
    let mut feed = "timestamp,evse_id,status\n".to_owned();
    feed.push_str(&snapshot(now - 7200));
    for k in (0..8).rev() {
        let status = if k % 2 == 0 { "CHARGING" } else { "AVAILABLE" };
        writeln!(feed, "{},{},{status}", now - 900 * k, EVSES[0]).unwrap();
    }
    let fog = Fog::start(&feed).await;
    fog.until("stations_rows", 14).await;
    let start = Instant::now();
    loop {
        let all = fog.get("/stations/forecast").await.unwrap_or_default();
        let statuses: Vec<&str> = all["evses"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|evse| evse["status"].as_str())
            .collect();
        if statuses.len() == 6 && statuses[0] == "CHARGING" {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{all}");
        tokio::task::yield_now().await;
    }
    fog.stop().await;
}
