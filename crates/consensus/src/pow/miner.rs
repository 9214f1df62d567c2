//! When this node finds a block: by hashing in small slices, or by chance in virtual time.

use crate::{
    PublicKey,
    common::watch,
    pow::{
        puzzle::{Target, search},
        settings::Settings,
    },
};
use commonware_cryptography::{Hasher as _, Sha256};
use commonware_runtime::reschedule;
use commonware_utils::{channel::mpsc, sync::Mutex};
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use voltmesh_ledger::Digest;

/// Attempts after which a searching task lets others run: some 0.1 ms.
const SLICE: u64 = 2_048;

/// Block that a nonce is searched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// Counts jobs, so that a nonce found for an older one is not taken for this one.
    pub number: u64,
    /// What [`super::puzzle::name`] says of the block; `None` while there is nothing to mine.
    pub name: Option<Digest>,
}

/// Nonce that solves a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub number: u64,
    pub nonce: u64,
}

/// Searches until nobody listens: one nonce for each job.
pub(crate) async fn solve(
    mut jobs: watch::Receiver<Job>,
    found: mpsc::UnboundedSender<Found>,
    target: Target,
    hashes: Arc<AtomicU64>,
) {
    let (mut job, mut first) = (jobs.borrow_and_update(), 0);
    loop {
        let Some(name) = job.name else {
            if jobs.changed().await.is_err() {
                return;
            }
            (job, first) = (jobs.borrow_and_update(), 0);
            continue;
        };
        let (nonce, tried) = search(&name, target, first, SLICE);
        hashes.fetch_add(tried, Ordering::Relaxed);
        first += tried;
        if let Some(nonce) = nonce {
            if found.send(Found { number: job.number, nonce }).is_err() {
                return;
            }
            job.name = None;
        }
        reschedule().await;
        let newest = jobs.borrow_and_update();
        if newest.number != job.number {
            (job, first) = (newest, 0);
        }
    }
}

/// Times between the blocks that one miner finds, without hashing.
pub(crate) struct Chance {
    rng: StdRng,
    mean: Duration,
}

impl Chance {
    /// A miner's own sequence of times: from `seed` and its key, or else from `entropy`.
    pub fn new(
        settings: &Settings,
        target: Target,
        me: &PublicKey,
        seed: Option<u64>,
        entropy: &mut impl Rng,
    ) -> Self {
        let mut bytes = [0; 32];
        match seed {
            Some(seed) => {
                let digest = Sha256::hash(&[b"voltmesh-pow-chance", &seed.to_be_bytes(), me.as_ref()]);
                bytes.copy_from_slice(digest.as_ref());
            }
            None => entropy.fill_bytes(&mut bytes),
        }
        let nanos = target.hashes().saturating_mul(1_000_000_000) / u128::from(settings.hash_rate.max(1));
        let mean = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self { rng: StdRng::from_seed(bytes), mean }
    }

    /// How long the next block takes. Having no memory, it may be asked again whenever mining begins anew.
    pub fn draw(&mut self) -> Duration {
        // In (0, 1], so that the logarithm is finite: at most 37 means.
        let uniform = 1.0 - self.rng.random::<f64>();
        Duration::try_from_secs_f64(-uniform.ln() * self.mean.as_secs_f64()).unwrap_or(Duration::MAX)
    }
}

/// Counter of hashes: those made, or in virtual time those that would have been made while mining.
pub(crate) struct Meter {
    /// Hashes made.
    pub hashes: Arc<AtomicU64>,
    /// Hashes per second of virtual mining; 0 if they are made.
    rate: u64,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    ms: u64,
    since_ms: Option<u64>,
}

impl Meter {
    pub fn new(rate: u64) -> Self {
        Self { hashes: Arc::default(), rate, spent: Mutex::default() }
    }

    /// Mining goes on since `now_ms`.
    pub fn resume(&self, now_ms: u64) {
        self.spent.lock().since_ms.get_or_insert(now_ms);
    }

    /// Mining stops.
    pub fn pause(&self, now_ms: u64) {
        let mut spent = self.spent.lock();
        if let Some(since) = spent.since_ms.take() {
            spent.ms += now_ms.saturating_sub(since);
        }
    }

    pub fn hashes(&self, now_ms: u64) -> u64 {
        let spent = self.spent.lock();
        let ms = spent.ms + spent.since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        let virtually = u128::from(ms) * u128::from(self.rate) / 1_000;
        self.hashes.load(Ordering::Relaxed).saturating_add(u64::try_from(virtually).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use voltmesh_ledger::testing::key;

    #[test]
    fn times_are_exponential_and_repeat_with_their_seed() {
        let settings = Settings { interval: Duration::from_secs(2), ..Settings::default() };
        let times = |miner: u64, seed: u64| {
            let me = key(miner).public_key();
            let mut entropy = StdRng::seed_from_u64(0);
            let mut chance = Chance::new(&settings, settings.target(5), &me, Some(seed), &mut entropy);
            (0..20_000).map(|_| chance.draw().as_secs_f64()).collect::<Vec<_>>()
        };
        let sample = times(1, 1);
        assert_eq!(sample, times(1, 1));
        assert_ne!(sample, times(2, 1));
        assert_ne!(sample, times(1, 2));
        // Five miners with a block each 10 s make one each 2 s.
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        assert!((9.7..10.3).contains(&mean), "mean {mean}");
        let longer = sample.iter().filter(|time| **time > 10.0).count() as f64 / sample.len() as f64;
        assert!((0.35..0.39).contains(&longer), "{longer} exceed the mean, want 1/e");
    }

    #[test]
    fn virtual_hashes_are_time_spent_mining() {
        let meter = Meter::new(5_000);
        assert_eq!(meter.hashes(1_000), 0);
        meter.resume(1_000);
        meter.resume(1_500);
        assert_eq!(meter.hashes(3_000), 10_000);
        meter.pause(3_000);
        assert_eq!(meter.hashes(9_000), 10_000);
        meter.resume(9_000);
        assert_eq!(meter.hashes(9_001), 10_005);
    }
}
