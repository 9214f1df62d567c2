//! What a fog node is told of charging stations.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use voltmesh_stations::Mapping;
use voltmesh_stations::history::shape::CHANGES_HOLD_S;

use crate::Error;
use crate::stations::feed::{CHANGES_SILENCE_S, Kind, Validity};
use crate::stations::web::{self, Address};

/// Charging stations that this node forecasts and recommends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stations {
    /// A model of `voltmesh stations train`, at most 256 MiB. No default.
    pub model: PathBuf,
    /// What is observed: a table `timestamp,evse_id,status` to which another program appends, or which it replaces, or what a network
    /// publishes (docs/stations.md); a file, which need not exist yet, or an address, `https://…`. No default.
    pub feed: FeedSource,
    /// What the feed's rows are: `auto`, `snapshots` or `changes`. Default `auto`, told by the rows.
    #[serde(default)]
    pub feed_kind: Kind,
    /// How a feed at an address is asked. Default: each minute, without a token.
    #[serde(default)]
    pub web: Option<web::Options>,
    /// Time between two looks at the feed, if it is a file, milliseconds, 10..=600000. Default 1000.
    #[serde(default = "default_feed_poll_ms")]
    pub feed_poll_ms: u64,
    /// Plays what the feed, if it is a file, has at the start so many times faster than it happened, 0..=1000000; 0: all at once.
    /// Default 0.
    #[serde(default)]
    pub replay_speed: f64,
    /// Where the EVSEs stand and what they offer: what `--evse` of `voltmesh stations recommend` takes, at most 64 MiB.
    /// Default: what the model knows.
    #[serde(default)]
    pub places: Option<PathBuf>,
    /// An OSRM server for distances and times by road, `http://host:port`. Default: estimated from the straight line.
    #[serde(default)]
    pub osrm: Option<String>,
    /// Time after which OSRM is not waited for, milliseconds, 10..=60000. Default 1000.
    #[serde(default = "default_osrm_ms")]
    pub osrm_ms: u64,
    /// How long a reading counts, in seconds, 1..=604800, unless the feed tells changes only; without a newer snapshot for so long, and
    /// two sampling intervals at least, nothing is forecast. Default 3600.
    #[serde(default = "default_max_age_s")]
    pub max_age_s: i64,
    /// How long a status of a feed of changes holds without news of its EVSE, and how old a status may be that a document says is so
    /// now, in seconds, 1..=2592000. Default 604800, a week.
    #[serde(default = "default_changes_hold_s")]
    pub changes_hold_s: i64,
    /// How long a feed of changes may be silent as a whole, in seconds, 1..=2592000. Default 86400, a day.
    #[serde(default = "default_changes_silence_s")]
    pub changes_silence_s: i64,
    /// How long after its arrival the network shows a vehicle that was sent somewhere, in minutes, 0..=240: until then its plug
    /// counts as taken. Default 20.
    #[serde(default = "default_reservation_min")]
    pub reservation_min: u32,
    /// What statuses mean where that is not usual: free, partly-free, busy, out-of-order or unknown. Default: none.
    #[serde(default)]
    pub meaning: Mapping,
}

fn default_feed_poll_ms() -> u64 {
    1_000
}
fn default_osrm_ms() -> u64 {
    1_000
}
fn default_max_age_s() -> i64 {
    3_600
}
fn default_reservation_min() -> u32 {
    20
}
fn default_changes_hold_s() -> i64 {
    CHANGES_HOLD_S
}
fn default_changes_silence_s() -> i64 {
    CHANGES_SILENCE_S
}

/// Where a feed is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum FeedSource {
    /// A file that grows or is replaced.
    File(PathBuf),
    /// An address that is polled.
    Web(Address),
}

impl TryFrom<String> for FeedSource {
    type Error = web::WebError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if Address::is_one(&text) {
            Address::parse(&text).map(Self::Web)
        } else {
            Ok(Self::File(text.into()))
        }
    }
}

impl Stations {
    /// How long what the feed says counts.
    pub fn validity(&self) -> Validity {
        let &Self { feed_kind: kind, max_age_s, changes_hold_s, changes_silence_s, .. } = self;
        Validity { kind, max_age_s, changes_hold_s, changes_silence_s }
    }

    /// Makes relative paths count from `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        let feed = if let FeedSource::File(path) = &mut self.feed { Some(path) } else { None };
        let web = self.web.iter_mut().flat_map(|web| web.token_file.iter_mut().chain(&mut web.roots));
        for path in feed.into_iter().chain([&mut self.model]).chain(&mut self.places).chain(web) {
            *path = base.join(&*path);
        }
    }

    /// Checks every bound with `within`.
    pub(super) fn check(
        &self,
        within: impl Fn(&str, u64, RangeInclusive<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
        within("stations.feed_poll_ms", self.feed_poll_ms, 10..=600_000)?;
        within("stations.osrm_ms", self.osrm_ms, 10..=60_000)?;
        within("stations.max_age_s", seconds(self.max_age_s), 1..=604_800)?;
        within("stations.changes_hold_s", seconds(self.changes_hold_s), 1..=2_592_000)?;
        within("stations.changes_silence_s", seconds(self.changes_silence_s), 1..=2_592_000)?;
        within("stations.reservation_min", self.reservation_min.into(), 0..=240)?;
        if !(0.0..=1e6).contains(&self.replay_speed) {
            let given = self.replay_speed;
            return Err(Error::config(format!("stations.replay_speed = {given} is outside 0..=1000000")));
        }
        let Some(web) = &self.web else { return Ok(()) };
        within("stations.web.interval_s", web.interval_s, 1..=86_400)?;
        within("stations.web.timeout_ms", web.timeout_ms, 10..=600_000)?;
        if let FeedSource::File(path) = &self.feed {
            let path = path.display();
            return Err(Error::config(format!(
                "stations.web is for a feed at an address, and stations.feed is the file {path}; leave one of them out"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, DEFAULTS};
    use super::*;

    fn refuse(text: &str) -> String {
        Config::parse(text, Path::new("/")).unwrap_err().to_string()
    }

    /// The commented table of the defaults file, with the keys that have no default.
    fn stated_stations() -> String {
        let table = DEFAULTS.split_once("# [stations]").expect("there is a table").1;
        let lines = table.lines().skip(1).map_while(|line| line.strip_prefix("# "));
        let lines =
            lines.filter(|line| !["places", "osrm =", "meaning"].iter().any(|key| line.starts_with(key)));
        format!("[stations]\n{}", lines.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn stations_have_defaults_and_bounds() {
        let base = "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n";
        let parse = |text: &str| {
            Config::parse(&format!("{base}{text}"), Path::new("/etc")).map(|config| config.stations)
        };
        assert!(parse("").unwrap().is_none());
        let least = parse("[stations]\nmodel='stations.model'\nfeed='feed.csv'\n").unwrap().unwrap();
        assert_eq!((least.model.as_path(), least.max_age_s), (Path::new("/etc/stations.model"), 3_600));
        let stated = parse(&stated_stations()).unwrap().unwrap();
        assert_eq!(format!("{stated:?}"), format!("{least:?}"));
        let table = DEFAULTS.split_once("# [stations.web]").expect("there is a table").1;
        let lines = table.lines().skip(1).map_while(|line| line.strip_prefix("# "));
        let lines = lines.filter(|line| !["token_file", "roots"].iter().any(|key| line.starts_with(key)));
        let stated: web::Options = toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(stated, web::Options::default());
        let web = "[stations]\nmodel='m'\nfeed='https://cpo.example/locations'\nfeed_kind='snapshots'\n[stations.web]\n\
                   token_file='t'\nscheme='Token'\n";
        let asked = parse(web).unwrap().unwrap();
        let options = asked.web.unwrap();
        assert_eq!(options.token_file.as_deref(), Some(Path::new("/etc/t")));
        assert_eq!((options.interval_s, &*options.scheme, asked.feed_kind), (60, "Token", Kind::Snapshots));
        let all = "[stations]\nmodel='m'\nfeed='f'\nplaces='p.csv'\nosrm='http://127.0.0.1:5000'\nreplay_speed=300\n\
                   meaning={ RESERVED = 'busy' }\n";
        let all = parse(all).unwrap().unwrap();
        assert_eq!(all.places.as_deref(), Some(Path::new("/etc/p.csv")));
        assert_eq!(all.meaning["RESERVED"], voltmesh_stations::Meaning::Busy);
        let refused = |text: &str| refuse(&format!("{base}[stations]\n{text}"));
        assert!(refused("model='m'").contains("feed"));
        for (key, value) in [
            ("feed_poll_ms", "1"),
            ("max_age_s", "0"),
            ("changes_hold_s", "0"),
            ("changes_silence_s", "9999999"),
            ("reservation_min", "999"),
            ("replay_speed", "-1.0"),
            ("replay_speed", "nan"),
        ] {
            let said = refused(&format!("model='m'\nfeed='f'\n{key}={value}"));
            assert!(said.contains(&format!("stations.{key} = ")), "{said}");
        }
        assert!(refused("model='m'\nfeed='f'\nmeaning={ A = 'nice' }").contains("nice"));
        assert!(refused("model='m'\nfeed='f'\n[stations.web]\ninterval_s=60").contains("the file /f"));
        assert!(
            refused("model='m'\nfeed='http://a/'\n[stations.web]\ninterval_s=0")
                .contains("web.interval_s = 0")
        );
        assert!(refused("model='m'\nfeed='http://me:secret@a/'").contains("token file"));
    }
}
