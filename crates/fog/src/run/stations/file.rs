//! A feed that is a file: followed as it grows and when it is replaced, or played at a pace.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::service::{Service, clock};
use crate::config;
use crate::stations::feed::{Feed, Snapshot};

/// Bytes of the feed that are read at once: some five thousand rows.
const CHUNK: u64 = 256 * 1024;

/// Bytes at a file's beginning by which another one is told from it: the header and the first row.
const BEGINNING: usize = 256;

/// After so many looks that found nothing new, a slot is taken as complete.
const SETTLED: u32 = 2;

/// Longest pause between two snapshots of a replay.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Follows a file until the runtime stops.
pub(super) async fn follow(service: Arc<Service>, feed: Feed, path: PathBuf, config: &config::Stations) {
    let mut follower = Follower { feed, file: Followed::new(path), quiet: 0 };
    let poll = Duration::from_millis(config.feed_poll_ms);
    let mut replay = (config.replay_speed > 0.0).then(|| Replay::new(config.replay_speed, &follower.file));
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
            service.counted().feed_errors += 1;
            if complaint.as_ref() != Some(error) {
                tracing::warn!(feed = %follower.file.path.display(), %error, "the feed cannot be read now");
            }
        }
        complaint = step.as_ref().err().cloned();
        service.counted().rows = follower.feed.rows();
        for snapshot in step.map(|step| step.snapshots).unwrap_or_default() {
            if let Some(replay) = &mut replay {
                tokio::time::sleep(replay.pause(snapshot.at)).await;
            }
            let rate = replay.as_ref().map_or(1.0, |replay| replay.speed);
            if !service.take_apart(snapshot, rate).await {
                return;
            }
        }
        if replay.as_ref().is_some_and(|replay| replay.is_over(&follower.file)) {
            replay = None;
            service.resume();
        }
        if idle {
            tokio::time::sleep(poll).await;
        }
    }
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

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
}
