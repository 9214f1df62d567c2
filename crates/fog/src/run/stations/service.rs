//! The service that answers about charging stations: model, places and roads, the clock that the feed keeps, and figures.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use voltmesh_control::Latency;
use voltmesh_stations::recommend::{Request, Roads};
use voltmesh_stations::{Forecaster, PlaceList, Places};

use crate::config::FeedSource;
use crate::osrm::{Osrm, Table};
use crate::run::latency::Histogram;
use crate::stations::feed::{Feed, MAX_EVSES, Rows, Snapshot};
use crate::stations::web::WebFeed;
use crate::stations::{Advice, Adviser, Forecast, Forecasts, Refusal};
use crate::{Error, config};

/// Largest model, in bytes: ten thousand EVSEs.
const MAX_MODEL: u64 = 256 << 20;

/// Largest list of places, in bytes: [`MAX_EVSES`] rows of a kilobyte.
const MAX_PLACES: u64 = 64 << 20;

/// Questions that are answered at once; each keeps a thread busy for milliseconds. Others wait.
const AT_ONCE: usize = 4;

/// The feed's time when the newest snapshot was taken, and what has passed since.
#[derive(Debug, Clone, Copy)]
struct Clock {
    snapshot: i64,
    since: Instant,
    /// Seconds of the feed a second, and how many at most: a replay goes on when the next snapshot comes, not before.
    rate: f64,
    most_s: i64,
}

impl Clock {
    fn now(self) -> i64 {
        let passed = (self.since.elapsed().as_secs_f64() * self.rate) as i64;
        self.snapshot.saturating_add(passed.min(self.most_s))
    }
}

/// What is counted here.
#[derive(Debug, Default)]
pub struct Counted {
    pub rows: Rows,
    pub feed_errors: u64,
    pub feed_polls: u64,
    pub feed_pages: u64,
    pub feed_unchanged: u64,
    pub feed_bytes: u64,
    osrm_failures: u64,
    drives_unmeasured: u64,
    refused_stale: u64,
    forecast: Histogram,
    recommend: Histogram,
}

/// The adviser with its feed and clock.
pub struct Service {
    adviser: Adviser,
    /// The feed is a recording, whose time is now.
    replays: bool,
    osrm: Option<Osrm>,
    /// Until it is polled.
    web: Mutex<Option<WebFeed>>,
    clock: Mutex<Option<Clock>>,
    counted: Mutex<Counted>,
    model_bytes: u64,
    places: Semaphore,
}

impl Service {
    /// Reads model and places.
    pub fn open(config: &config::Stations) -> Result<Self, Error> {
        let bytes = read(&config.model, MAX_MODEL)?;
        let of_stations = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Stations { path, source }
        };
        let model = Forecaster::read(&bytes).map_err(of_stations(&config.model))?;
        let places = match &config.places {
            Some(path) => {
                let list = PlaceList::read(&read(path, MAX_PLACES)?[..]).map_err(of_stations(path))?;
                let (places, joined) = list.join(model.tracker().ids.iter().map(|id| &**id));
                for line in list.report.lines().iter().chain(&joined.line()) {
                    tracing::warn!(places = %path.display(), "{line}");
                }
                places
            }
            None => Places::new(),
        };
        if places.len() > MAX_EVSES {
            let (found, limit) = (places.len() as u64, MAX_EVSES as u64);
            let path = config.places.clone().unwrap_or_default();
            let source =
                voltmesh_stations::Error::TooMuch { what: "EVSEs in the list of places", found, limit };
            return Err(Error::Stations { path, source });
        }
        let patience = Duration::from_millis(config.osrm_ms);
        let osrm = config.osrm.as_deref().map(|url| Osrm::new(url, patience)).transpose()?;
        let web = match &config.feed {
            FeedSource::File(_) => None,
            FeedSource::Web(address) => {
                let options = config.web.clone().unwrap_or_default();
                let opened = WebFeed::new(address.clone(), options);
                Some(opened.map_err(|source| Error::Feed { address: address.to_string(), source })?)
            }
        };
        let mapping = config.meaning.clone();
        Ok(Self {
            adviser: Adviser::new(model, places, mapping, config.max_age_s, config.reservation_min),
            replays: config.replay_speed > 0.0,
            osrm,
            web: Mutex::new(web),
            clock: Mutex::new(None),
            counted: Mutex::default(),
            model_bytes: bytes.len() as u64,
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// An empty feed in the grid and with the meanings of this service.
    pub(super) fn feed(&self, config: &config::Stations) -> Feed {
        Feed::new(self.adviser.grid(), config.validity(), self.adviser.labels(), config.meaning.clone())
    }

    /// The feed's address, once.
    pub(super) fn take_web(&self) -> Option<WebFeed> {
        self.web.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes a snapshot on a thread that nobody waits for. False if the runtime stops.
    pub(super) async fn take_apart(self: &Arc<Self>, snapshot: Snapshot, rate: f64) -> bool {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.take(&snapshot, rate)).await.is_ok()
    }

    /// Takes a snapshot, since which time passes at that rate. Of a live feed it is now what this node's clock says, however old its newest
    /// status is: one that has stood still is stale.
    pub fn take(&self, snapshot: &Snapshot, rate: f64) {
        if self.adviser.take(snapshot) {
            let now = if self.replays { snapshot.newest } else { snapshot.newest.max(clock()) };
            let most_s = if rate == 1.0 { i64::MAX } else { self.adviser.grid().step_s };
            *self.clock() = Some(Clock { snapshot: now, since: Instant::now(), rate, most_s });
        }
    }

    /// The replay is over: time passes as everywhere.
    pub(super) fn resume(&self) {
        if let Some(clock) = &mut *self.clock() {
            *clock = Clock { since: Instant::now(), rate: 1.0, most_s: i64::MAX, ..*clock };
        }
    }

    /// Lets so many seconds pass at once.
    #[cfg(test)]
    pub fn pass(&self, seconds: i64) {
        if let Some(clock) = &mut *self.clock() {
            clock.snapshot += seconds;
        }
    }

    /// A forecast of one EVSE.
    pub async fn forecast(self: &Arc<Self>, evse: String, minutes: Option<u32>) -> Result<Forecast, Refusal> {
        let asked = Instant::now();
        let answer = self.blocking(move |this| this.adviser.forecast(this.now(), &evse, minutes)).await;
        self.answered(asked, answer, |counted| &mut counted.forecast)
    }

    /// Forecasts of all EVSEs.
    pub async fn forecasts(self: &Arc<Self>, minutes: Option<u32>) -> Result<Forecasts, Refusal> {
        let asked = Instant::now();
        let answer = self.blocking(move |this| this.adviser.forecasts(this.now(), minutes)).await;
        self.answered(asked, answer, |counted| &mut counted.forecast)
    }

    /// Where to charge.
    pub async fn recommend(self: &Arc<Self>, request: Request, reserve: bool) -> Result<Advice, Refusal> {
        let asked = Instant::now();
        let answer = async {
            let (roads, said) = self.roads(&request).await?;
            let rank = move |this: &Self| this.adviser.recommend(this.now(), &request, &roads, said, reserve);
            self.blocking(rank).await
        };
        let answer = answer.await;
        self.answered(asked, answer, |counted| &mut counted.recommend)
    }

    /// Distances as well as they can be had, and how.
    async fn roads(self: &Arc<Self>, request: &Request) -> Result<(Roads, String), Refusal> {
        let mut roads = Roads::default();
        let estimated = format!("great circle × {}", roads.detour_factor);
        let Some(osrm) = &self.osrm else { return Ok((roads, estimated)) };
        let asked = request.clone();
        let found = self.blocking(move |this| this.adviser.candidates(this.now(), &asked)).await?;
        let to: Vec<_> = found.iter().map(|(_, position)| *position).collect();
        let table = osrm
            .table(request.position, &to)
            .await
            .unwrap_or_else(|error| Table { drives: vec![None; to.len()], refusal: Some(error.to_string()) });
        roads.measured = found.into_iter().map(|(id, _)| id).zip(table.drives).collect();
        let (unmeasured, all) = (roads.unmeasured(), roads.measured.len());
        let mut counted = self.counted();
        counted.drives_unmeasured += unmeasured as u64;
        if let Some(refusal) = &table.refusal {
            counted.osrm_failures += 1;
            tracing::debug!(%refusal, "distances are estimated");
        }
        let measured = "measured by the routing service";
        let said = match table.refusal {
            Some(refusal) if unmeasured == all => format!("{estimated}: {refusal}"),
            Some(refusal) => {
                format!("{measured}, but for {unmeasured} of {all} drives: {estimated}: {refusal}")
            }
            None if unmeasured > 0 => {
                format!("{measured}, but for {unmeasured} of {all} drives: {estimated}")
            }
            None => measured.to_owned(),
        };
        Ok((roads, said))
    }

    /// Figures for `/status` and `/metrics`.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let mut figures = self.adviser.figures().to_vec();
        figures.push(("stations_model_bytes", self.model_bytes));
        if let Some(clock) = *self.clock() {
            figures
                .push(("stations_snapshot_age_s", u64::try_from(clock.now() - clock.snapshot).unwrap_or(0)));
        }
        let counted = self.counted();
        figures.extend(counted.rows.figures());
        figures.extend([
            ("stations_feed_errors", counted.feed_errors),
            ("stations_feed_polls", counted.feed_polls),
            ("stations_feed_pages", counted.feed_pages),
            ("stations_feed_unchanged", counted.feed_unchanged),
            ("stations_feed_bytes", counted.feed_bytes),
            ("stations_osrm_failures", counted.osrm_failures),
            ("stations_drives_unmeasured", counted.drives_unmeasured),
            ("stations_refused_stale", counted.refused_stale),
        ]);
        figures
    }

    /// How long answers took, from the question on.
    pub fn latencies(&self) -> [(&'static str, Latency); 2] {
        let counted = self.counted();
        [
            ("stations_forecast", counted.forecast.latency()),
            ("stations_recommend", counted.recommend.latency()),
        ]
    }

    fn now(&self) -> i64 {
        self.clock().map_or(0, Clock::now)
    }

    /// Thinks on a thread that nobody waits for.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        answer: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _place = self.places.acquire().await;
        let this = self.clone();
        match tokio::task::spawn_blocking(move || answer(&this)).await {
            Ok(answer) => answer,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime stops.
            Err(_) => Err(Refusal::NotYet),
        }
    }

    fn answered<T>(
        &self,
        asked: Instant,
        answer: Result<T, Refusal>,
        histogram: impl FnOnce(&mut Counted) -> &mut Histogram,
    ) -> Result<T, Refusal> {
        let mut counted = self.counted();
        match &answer {
            Ok(_) => histogram(&mut counted).record(asked.elapsed().as_micros() as u64),
            Err(Refusal::Stale { .. }) => counted.refused_stale += 1,
            Err(_) => {}
        }
        answer
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Option<Clock>> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A whole file of at most so many bytes.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    if bytes.len() as u64 > most {
        return Err(Error::config(format!("{} has more than {most} bytes", path.display())));
    }
    Ok(bytes)
}

/// This node's clock, in seconds since 1970.
pub fn clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_waits_for_its_next_snapshot() {
        let since = Instant::now() - Duration::from_millis(50);
        let clock = |rate, most_s| Clock { snapshot: 1000, since, rate, most_s }.now();
        assert_eq!(clock(1e6, 900), 1900);
        assert!((1000..1010).contains(&clock(1.0, i64::MAX)));
        assert!((51_000..=1_000_000).contains(&clock(1e6, i64::MAX)));
    }
}
