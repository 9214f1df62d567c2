//! A live bus by SocketCAN (Linux).

use super::{Cursor, Decoder, LIVE_WAIT_MS, Next, Sampled, Signals, Source, candump, fingerprint};
use crate::Error;
use serde::Deserialize;
use socketcan::{CanAnyFrame, CanFdSocket, EmbeddedFrame as _, Frame as _, Socket as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use voltmesh_telemetry::Timestamp;

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
    #[serde(default = "candump::second")]
    pub period_ms: u64,
}

/// Reads a live bus.
pub struct LiveCan {
    config: CanConfig,
    decoder: Decoder,
    socket: CanFdSocket,
    cursor: Cursor,
    next_ms: u64,
    skipped: u64,
}

impl LiveCan {
    /// Opens the interface.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::File`] or [`Error::Source`].
    pub fn open(config: CanConfig) -> Result<Self, Error> {
        candump::check_period(config.period_ms)?;
        let decoder = Decoder::open(&config.dbc, &config.signals)?;
        let socket = CanFdSocket::open(&config.interface).map_err(|e| {
            let problem =
                format!("cannot be opened: {e}; bring it up with `ip link set {} up`", config.interface);
            Error::source(&config.interface, problem)
        })?;
        let source = fingerprint(&["can", &config.interface]);
        Ok(Self {
            decoder,
            socket,
            cursor: Cursor { source, ..Cursor::default() },
            next_ms: 0,
            skipped: 0,
            config,
        })
    }

    fn due(&mut self, now: u64) -> bool {
        let due = now >= self.next_ms;
        if due {
            self.next_ms = (now / self.config.period_ms + 1) * self.config.period_ms;
        }
        due
    }
}

impl Source for LiveCan {
    fn poll(&mut self) -> Result<Next, Error> {
        match self.socket.read_frame_timeout(Duration::from_millis(LIVE_WAIT_MS.min(self.config.period_ms))) {
            Ok(frame @ (CanAnyFrame::Normal(_) | CanAnyFrame::Fd(_))) => {
                self.decoder.frame(frame.raw_id(), frame.is_extended(), frame.data());
            }
            Ok(_) => self.skipped += 1,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Ok(Next::Nothing); // a silent bus gives no samples: old values would look new
            }
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        if !self.due(now) {
            return Ok(Next::Nothing);
        }
        let Some(sample) = self.decoder.sample(Timestamp::from_millis(now)) else { return Ok(Next::Nothing) };
        self.cursor.done += 1;
        Ok(Next::Sample(Sampled { sample, cursor: self.cursor }))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}
