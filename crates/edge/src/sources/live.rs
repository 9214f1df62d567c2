//! A live bus by SocketCAN (Linux).

use super::sample::Sampler;
use super::{Cursor, LIVE_WAIT_MS, Level, Next, PackLayout, Sampled, Source, fingerprint, recorded};
use crate::Error;
use serde::Deserialize;
use socketcan::{CanAnyFrame, CanFdSocket, EmbeddedFrame as _, Frame as _, Socket as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use voltmesh_recording::can::{Decoder, Frame, Kind, Signals};
use voltmesh_recording::{Stamp, dbc};

/// A live bus.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanConfig {
    /// Network interface, as `can0`.
    pub interface: String,
    /// What the frames mean.
    pub dbc: PathBuf,
    /// Which signals.
    pub signals: Signals,
    /// A sample every so many milliseconds. Default 1,000.
    #[serde(default = "recorded::second")]
    pub period_ms: u64,
}

/// Reads a live bus.
pub struct LiveCan {
    config: CanConfig,
    decoder: Decoder,
    sampler: Sampler,
    socket: CanFdSocket,
    cursor: Cursor,
    next_ms: u64,
    /// Whether a wanted signal came since the last sample: old values get no new time.
    fresh: bool,
    skipped: u64,
}

impl LiveCan {
    /// Opens the interface.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Recording`] or [`Error::Source`].
    pub fn open(config: CanConfig) -> Result<Self, Error> {
        recorded::check_period(config.period_ms)?;
        let decoder = Decoder::new(&dbc(&config.dbc)?, &config.signals)?;
        let socket = CanFdSocket::open(&config.interface).map_err(|e| {
            let problem =
                format!("cannot be opened: {e}; bring it up with `ip link set {} up`", config.interface);
            Error::source(&config.interface, problem)
        })?;
        let source = fingerprint(&["can", &config.interface]);
        Ok(Self {
            decoder,
            sampler: Sampler::new(Level::Pack, PackLayout::default()),
            socket,
            cursor: Cursor { source, ..Cursor::default() },
            next_ms: 0,
            fresh: false,
            skipped: 0,
            config,
        })
    }

    fn due(&mut self, now: u64) -> bool {
        let due = self.fresh && now >= self.next_ms;
        if due {
            self.next_ms = (now / self.config.period_ms + 1) * self.config.period_ms;
            self.fresh = false;
        }
        due
    }
}

impl Source for LiveCan {
    fn poll(&mut self) -> Result<Next, Error> {
        let read =
            self.socket.read_frame_timeout(Duration::from_millis(LIVE_WAIT_MS.min(self.config.period_ms)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let time = Stamp::Unix(i64::try_from(now).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        match read {
            Ok(frame @ (CanAnyFrame::Normal(_) | CanAnyFrame::Fd(_))) => {
                let mut taken = Frame::new(time, frame.raw_id(), frame.is_extended()).with_data(frame.data());
                taken.kind = if matches!(frame, CanAnyFrame::Fd(_)) { Kind::Fd } else { Kind::Data };
                self.fresh |= self.decoder.frame(&taken);
            }
            Ok(_) => self.skipped += 1,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => {
                // The bus may come back: an ended source would end the vehicle's recording.
                tracing::warn!(%error, interface = self.config.interface, "the bus cannot be read; trying again");
                self.skipped += 1;
                std::thread::sleep(Duration::from_millis(LIVE_WAIT_MS));
                if let Ok(socket) = CanFdSocket::open(&self.config.interface) {
                    self.socket = socket;
                }
                return Ok(Next::Nothing);
            }
        }
        if !self.due(now) {
            return Ok(Next::Nothing);
        }
        let Some(row) = self.decoder.row(time) else { return Ok(Next::Nothing) };
        let Some(sample) = self.sampler.sample(&row, now) else { return Ok(Next::Nothing) };
        self.cursor.done += 1;
        Ok(Next::Sample(Sampled { sample, cursor: self.cursor }))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn skipped(&self) -> u64 {
        self.skipped + self.sampler.skipped_total()
    }

    fn said(&self) -> Vec<String> {
        let mut said = vec![format!("{} samples taken", self.cursor.done)];
        said.extend(
            self.sampler.skipped().iter().map(|(reason, count)| format!("{count} rows skipped: {reason}")),
        );
        let never = self.decoder.never_seen();
        if !never.is_empty() {
            said.push(format!("never seen: {}", never.join(", ")));
        }
        said
    }
}
