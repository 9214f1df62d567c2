//! The feed of charging stations: a file that is followed, the clock that it keeps, and figures.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use voltmesh_control::Latency;
use voltmesh_stations::recommend::{Request, Roads};
use voltmesh_stations::{Forecaster, PlaceList, Places};

use super::latency::Histogram;
use crate::osrm::Osrm;
use crate::stations::feed::{Feed, MAX_EVSES, Rows, Snapshot};
use crate::stations::{Advice, Adviser, Forecast, Forecasts, Refusal};
use crate::{Error, config};

/// Largest model, in bytes: ten thousand EVSEs.
const MAX_MODEL: u64 = 256 << 20;

/// Largest list of places, in bytes: [`MAX_EVSES`] rows of a kilobyte.
const MAX_PLACES: u64 = 64 << 20;

/// Bytes of the feed that are read at once: some five thousand rows.
const CHUNK: u64 = 256 * 1024;

/// Bytes at a file's beginning by which another one is told from it: the header and the first row.
const BEGINNING: usize = 256;

/// After so many looks that found nothing new, a slot is taken as complete.
const SETTLED: u32 = 2;

/// Longest pause between two snapshots of a replay.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Questions that are answered at once; each keeps a thread busy for milliseconds. Others wait.
const AT_ONCE: usize = 4;

/// The feed's time: that of the newest snapshot, and what has passed since.
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
struct Counted {
    rows: Rows,
    feed_errors: u64,
    osrm_failures: u64,
    drives_unmeasured: u64,
    refused_stale: u64,
    forecast: Histogram,
    recommend: Histogram,
}

/// The adviser with its feed and clock.
pub struct Service {
    adviser: Adviser,
    osrm: Option<Osrm>,
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
        let mapping = config.meaning.clone();
        Ok(Self {
            adviser: Adviser::new(model, places, mapping, config.max_age_s, config.reservation_min),
            osrm,
            clock: Mutex::new(None),
            counted: Mutex::default(),
            model_bytes: bytes.len() as u64,
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// Follows the feed until the runtime stops.
    pub async fn follow(self: Arc<Self>, config: config::Stations) {
        let feed =
            Feed::new(self.adviser.grid(), config.max_age_s, self.adviser.labels(), config.meaning.clone());
        let mut follower = Follower { feed, file: Followed::new(config.feed), quiet: 0 };
        let poll = Duration::from_millis(config.feed_poll_ms);
        let mut replay =
            (config.replay_speed > 0.0).then(|| Replay::new(config.replay_speed, &follower.file));
        let mut complaint = None;
        loop {
            let stepped = tokio::task::spawn_blocking(move || {
                let step = follower.step();
                (follower, step)
            });
            // Only when the runtime stops.
            let Ok((back, step)) = stepped.await else { return };
            follower = back;
            let step = step.map_err(|error| error.to_string());
            let idle = step.as_ref().map_or(true, |step| step.idle);
            if let Some(error) = step.as_ref().err() {
                self.counted().feed_errors += 1;
                if complaint.as_ref() != Some(error) {
                    tracing::warn!(feed = %follower.file.path.display(), %error, "the feed cannot be read now");
                }
            }
            complaint = step.as_ref().err().cloned();
            self.counted().rows = follower.feed.rows();
            for snapshot in step.map(|step| step.snapshots).unwrap_or_default() {
                if let Some(replay) = &mut replay {
                    tokio::time::sleep(replay.pause(snapshot.at)).await;
                }
                let rate = replay.as_ref().map_or(1.0, |replay| replay.speed);
                let this = self.clone();
                if tokio::task::spawn_blocking(move || this.take(&snapshot, rate)).await.is_err() {
                    return;
                }
            }
            if replay.as_ref().is_some_and(|replay| replay.is_over(&follower.file)) {
                replay = None;
                self.resume();
            }
            if idle {
                tokio::time::sleep(poll).await;
            }
        }
    }

    /// Takes a snapshot, since which time passes at that rate.
    pub fn take(&self, snapshot: &Snapshot, rate: f64) {
        if self.adviser.take(snapshot) {
            let newest = snapshot.said.iter().copied().fold(snapshot.at, i64::max);
            let most_s = if rate == 1.0 { i64::MAX } else { self.adviser.grid().step_s };
            *self.clock() = Some(Clock { snapshot: newest, since: Instant::now(), rate, most_s });
        }
    }

    /// The replay is over: time passes as everywhere.
    fn resume(&self) {
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
        match osrm.table(request.position, &to).await {
            Ok(measured) => {
                roads.measured = found.into_iter().map(|(id, _)| id).zip(measured).collect();
                let mut said = "measured by the routing service".to_owned();
                if roads.unmeasured() > 0 {
                    let (unmeasured, all) = (roads.unmeasured(), roads.measured.len());
                    self.counted().drives_unmeasured += unmeasured as u64;
                    said += &format!(", but for {unmeasured} of {all} drives: {estimated}");
                }
                Ok((roads, said))
            }
            Err(error) => {
                self.counted().osrm_failures += 1;
                tracing::debug!(%error, "distances are estimated");
                Ok((roads, format!("{estimated}: {error}")))
            }
        }
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

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
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

/// What the feed had at the start, played at a pace.
struct Replay {
    speed: f64,
    /// The file and how much of it.
    of: Option<((u64, u64), u64)>,
    before: Option<i64>,
}

impl Replay {
    fn new(speed: f64, file: &Followed) -> Self {
        let of = std::fs::metadata(&file.path).ok().map(|found| (identity(&found), found.len()));
        Self { speed, of, before: None }
    }

    fn is_over(&self, file: &Followed) -> bool {
        self.of
            .is_none_or(|(of, length)| file.offset >= length || file.identity.is_some_and(|read| read != of))
    }

    /// How long to wait before a snapshot of that time.
    fn pause(&mut self, at: i64) -> Duration {
        let before = self.before.replace(at).unwrap_or(at);
        let seconds = at.saturating_sub(before).max(0) as f64 / self.speed;
        Duration::try_from_secs_f64(seconds).unwrap_or(MAX_PAUSE).min(MAX_PAUSE)
    }
}

/// What one look found.
struct Step {
    snapshots: Vec<Snapshot>,
    idle: bool,
}

/// The feed and its file.
struct Follower {
    feed: Feed,
    file: Followed,
    quiet: u32,
}

impl Follower {
    /// Looks at the file once.
    fn step(&mut self) -> std::io::Result<Step> {
        let (bytes, another) = match self.file.look() {
            Ok(found) => found,
            Err(error) => {
                // What came before counts all the same.
                self.quiet += 1;
                return match self.settled() {
                    Some(snapshot) => Ok(Step { snapshots: vec![snapshot], idle: true }),
                    None => Err(error),
                };
            }
        };
        if another {
            self.feed.restart();
        }
        if bytes.is_empty() {
            self.quiet += 1;
            let settled = self.settled();
            // What settles comes before what holds.
            let held = if settled.is_none() && self.quiet > SETTLED { self.feed.hold(clock()) } else { None };
            return Ok(Step { snapshots: settled.or(held).into_iter().collect(), idle: true });
        }
        self.quiet = 0;
        let snapshots = self.feed.take(clock(), &bytes);
        Ok(Step { snapshots, idle: false })
    }

    fn settled(&mut self) -> Option<Snapshot> {
        (self.quiet == SETTLED).then(|| self.feed.settle()).flatten()
    }
}

/// This node's clock, in seconds since 1970.
fn clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

/// A file that grows, or is replaced by another.
struct Followed {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    offset: u64,
    /// Its first bytes.
    beginning: Vec<u8>,
    changed: Option<SystemTime>,
}

/// Device and inode.
fn identity(of: &std::fs::Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

impl Followed {
    fn new(path: PathBuf) -> Self {
        Self { path, identity: None, offset: 0, beginning: Vec::new(), changed: None }
    }

    /// What is new, at most [`CHUNK`], and whether that is another file's beginning.
    fn look(&mut self) -> std::io::Result<(Vec<u8>, bool)> {
        let found = std::fs::metadata(&self.path)?;
        if !found.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        let changed = found.modified().ok();
        let same = self.identity == Some(identity(&found));
        if same && found.len() == self.offset && changed == self.changed {
            return Ok((Vec::new(), false));
        }
        let mut file = File::open(&self.path)?;
        // Opened, it may be yet another.
        let found = file.metadata()?;
        let mut first = vec![0; self.beginning.len()];
        let same = self.identity == Some(identity(&found))
            && found.len() >= self.offset
            && file.read_exact(&mut first).is_ok()
            && first == self.beginning;
        let another = !same && self.identity.is_some();
        if !same {
            (self.offset, self.identity) = (0, Some(identity(&found)));
            self.beginning.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(CHUNK).read_to_end(&mut bytes)?;
        if self.beginning.len() < BEGINNING && self.beginning.len() as u64 == self.offset {
            let more = bytes.iter().take(BEGINNING - self.beginning.len());
            self.beginning.extend(more);
        }
        self.offset += bytes.len() as u64;
        self.changed = changed;
        Ok((bytes, another))
    }
}

/// This process's memory in bytes, as far as it is in RAM.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(file: &mut Followed) -> (String, bool) {
        let (bytes, another) = file.look().unwrap();
        (String::from_utf8(bytes).unwrap(), another)
    }

    #[test]
    fn a_file_is_followed_as_it_grows_and_when_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.csv");
        let mut file = Followed::new(path.clone());
        assert!(file.look().is_err());
        let mut written = UNIX_EPOCH;
        let mut check = |file: &mut Followed, content: &str, expected: &str, another: bool| {
            std::fs::write(&path, content).unwrap();
            // The disk's clock may be coarser than this test is quick.
            written += Duration::from_secs(1);
            File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
            assert_eq!(look(file), (expected.to_owned(), another), "{content}");
            assert_eq!(look(file), (String::new(), false));
        };
        check(&mut file, "head\none", "head\none", false);
        check(&mut file, "head\none\ntwo\n", "\ntwo\n", false);
        // Overwritten in place: as long, shorter, longer.
        check(&mut file, "head\n111\n222\n", "head\n111\n222\n", true);
        check(&mut file, "head\n1\n", "head\n1\n", true);
        check(&mut file, "head\n3\n444444444\n", "head\n3\n444444444\n", true);
        let next = folder.path().join("next");
        std::fs::write(&next, "head\n3\n444444444\n5\n").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(look(&mut file), ("head\n3\n444444444\n5\n".to_owned(), true));
    }

    #[test]
    fn a_replay_keeps_its_pace() {
        let mut replay = Replay { speed: 300.0, of: None, before: None };
        let pauses = [1000, 1300, 1900, 1000, 10_000_000].map(|at| replay.pause(at).as_secs_f64());
        assert_eq!(pauses, [0.0, 1.0, 2.0, 0.0, 60.0]);
    }

    #[test]
    fn a_replay_waits_for_its_next_snapshot() {
        let since = Instant::now() - Duration::from_millis(50);
        let clock = |rate, most_s| Clock { snapshot: 1000, since, rate, most_s }.now();
        assert_eq!(clock(1e6, 900), 1900);
        assert!((1000..1010).contains(&clock(1.0, i64::MAX)));
        assert!((51_000..=1_000_000).contains(&clock(1e6, i64::MAX)));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
