//! A databroker as a source of samples.

use super::super::period::{Period, now_ms};
use super::super::sample::Sampler;
use super::super::{Cursor, LIVE_WAIT_MS, Level, Next, PackLayout, Source, fingerprint};
use super::config::KuksaConfig;
use super::held::Held;
use super::link::{Shared, follow};
use crate::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Reads a databroker.
pub struct LiveKuksa {
    shared: Arc<Shared>,
    sampler: Sampler,
    cursor: Cursor,
    period: Period,
    /// Ends the connection's thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl LiveKuksa {
    /// Begins to follow a databroker. One that cannot be reached is tried again for ever.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Source`].
    pub fn open(config: KuksaConfig) -> Result<Self, Error> {
        config.check()?;
        let held = Held::new(&config.signals.wanted(), config.max_age_ms);
        let shared = Arc::new(Shared { held: Mutex::new(held) });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::source(&config.address, error.to_string()))?;
        let following = follow(config.clone(), shared.clone());
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = following => {}
                    _ = stopped => {}
                }
            });
        };
        let spawned = std::thread::Builder::new().name("kuksa".into()).spawn(work);
        spawned.map_err(|error| Error::source(&config.address, error.to_string()))?;
        let source = fingerprint(&["kuksa", &config.address]);
        Ok(Self {
            shared,
            sampler: Sampler::new(Level::Pack, PackLayout::default()),
            cursor: Cursor { source, ..Cursor::default() },
            period: Period::new(config.period_ms),
            _stop: stop,
        })
    }
}

impl Source for LiveKuksa {
    fn poll(&mut self) -> Result<Next, Error> {
        let now = now_ms();
        if !self.period.is_due(now) {
            std::thread::sleep(self.period.left(now).min(Duration::from_millis(LIVE_WAIT_MS)));
            return Ok(Next::Nothing);
        }
        let Some(row) = self.shared.held().row(now) else { return Ok(Next::Nothing) };
        Ok(self.sampler.next(&row, now, &mut self.cursor))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn skipped(&self) -> u64 {
        self.shared.held().refused() + self.sampler.skipped_total()
    }

    fn said(&self) -> Vec<String> {
        let mut said = vec![format!("{} samples taken", self.cursor.done)];
        said.extend(self.shared.held().said());
        let skipped = self.sampler.skipped().iter();
        said.extend(skipped.map(|(reason, count)| format!("{count} rows skipped: {reason}")));
        said
    }
}
