//! A live bus by SocketCAN (Linux).

use super::period::{Period, now_ms};
use super::sample::Sampler;
use super::{Cursor, LIVE_WAIT_MS, Level, Next, PackLayout, Source, fingerprint, recorded};
use crate::Error;
use serde::Deserialize;
use socketcan::{
    CanAnyFrame, CanFdSocket, CanFrame, EmbeddedFrame as _, ExtendedId, Frame as _, Id, Socket as _,
    StandardId,
};
use std::path::PathBuf;
use std::time::Duration;
use voltmesh_recording::can::diagnostics::{Definition, Requester};
use voltmesh_recording::can::{Decoder, Frame, Kind, Signals};
use voltmesh_recording::{Stamp, dbc};

/// A live bus.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanConfig {
    /// Network interface, as `can0`.
    pub interface: String,
    /// What the frames mean. Default: only answers of control units are read.
    pub dbc: Option<PathBuf>,
    /// What answers of control units mean. Default: they are not read.
    pub diagnostics: Option<PathBuf>,
    /// Sends requests for all that `diagnostics` names, once in so many milliseconds. Default: none are sent, and what others
    /// ask for is read.
    pub request_every_ms: Option<u64>,
    /// Which signals of the DBC file.
    #[serde(default)]
    pub signals: Signals,
    /// A sample every so many milliseconds. Default 1,000.
    #[serde(default = "recorded::second")]
    pub period_ms: u64,
}

impl CanConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        recorded::check_period(self.period_ms)?;
        recorded::check_meaning(self.dbc.as_ref(), self.diagnostics.as_ref())?;
        match self.request_every_ms {
            Some(_) if self.diagnostics.is_none() => {
                Err(Error::config("source.request_every_ms", "needs diagnostics, which says what to ask for"))
            }
            Some(ms) if !REQUESTS_MS.contains(&ms) => {
                let (least, most) = REQUESTS_MS.into_inner();
                Err(Error::config("source.request_every_ms", format!("wants {least} to {most}")))
            }
            _ => Ok(()),
        }
    }
}

/// Times between two rounds of requests, in ms: more often would load a bus that is not the vehicle's own.
const REQUESTS_MS: std::ops::RangeInclusive<u64> = 200..=3_600_000;

/// Reads a live bus.
pub struct LiveCan {
    config: CanConfig,
    decoder: Decoder,
    requester: Option<Requester>,
    sampler: Sampler,
    socket: CanFdSocket,
    cursor: Cursor,
    period: Period,
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
        config.check()?;
        let definition = config.diagnostics.as_deref().map(Definition::open).transpose()?;
        let requester = config.request_every_ms.zip(definition.clone());
        let requester = requester.map(|(every_ms, definition)| Requester::new(definition, every_ms));
        let messages = config.dbc.as_deref().map(dbc).transpose()?.unwrap_or_default();
        let decoder = Decoder::with_diagnostics(&messages, &config.signals, definition)?;
        let socket = CanFdSocket::open(&config.interface).map_err(|e| {
            let problem =
                format!("cannot be opened: {e}; bring it up with `ip link set {} up`", config.interface);
            Error::source(&config.interface, problem)
        })?;
        let source = fingerprint(&["can", &config.interface]);
        Ok(Self {
            decoder,
            requester,
            sampler: Sampler::new(Level::Pack, PackLayout::default()),
            socket,
            cursor: Cursor { source, ..Cursor::default() },
            period: Period::new(config.period_ms),
            fresh: false,
            skipped: 0,
            config,
        })
    }

    /// Sends a frame of diagnostics. What cannot be sent is asked for again in the next round.
    fn send(&mut self, frame: Option<Frame>) {
        let Some(frame) = frame else { return };
        let id = if frame.extended {
            ExtendedId::new(frame.id).map(Id::from)
        } else {
            u16::try_from(frame.id).ok().and_then(StandardId::new).map(Id::from)
        };
        let Some(frame) = id.and_then(|id| CanFrame::new(id, frame.data())) else { return };
        if let Err(error) = self.socket.write_frame(&frame) {
            tracing::debug!(%error, interface = self.config.interface, "a request could not be sent");
            self.skipped += 1;
        }
    }

    fn due(&mut self, now: u64) -> bool {
        let due = self.fresh && self.period.is_due(now);
        self.fresh &= !due;
        due
    }
}

impl Source for LiveCan {
    fn poll(&mut self) -> Result<Next, Error> {
        let now = now_ms();
        let request = self.requester.as_mut().and_then(|requester| requester.poll(now));
        self.send(request);
        let read =
            self.socket.read_frame_timeout(Duration::from_millis(LIVE_WAIT_MS.min(self.config.period_ms)));
        let now = now_ms();
        let time = Stamp::Unix(i64::try_from(now).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        match read {
            Ok(frame @ (CanAnyFrame::Normal(_) | CanAnyFrame::Fd(_))) => {
                let mut taken = Frame::new(time, frame.raw_id(), frame.is_extended()).with_data(frame.data());
                taken.kind = if matches!(frame, CanAnyFrame::Fd(_)) { Kind::Fd } else { Kind::Data };
                self.fresh |= self.decoder.frame(&taken);
                let answer = self.requester.as_mut().and_then(|requester| requester.take(&taken, now));
                self.send(answer);
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
        Ok(self.sampler.next(&row, now, &mut self.cursor))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn skipped(&self) -> u64 {
        self.skipped + self.sampler.skipped_total()
    }

    fn said(&self) -> Vec<String> {
        let mut said = vec![format!("{} samples taken", self.cursor.done)];
        let lost = self.decoder.lost().into_iter().flat_map(|lost| lost.iter());
        said.extend(lost.map(|(reason, count, first)| format!("{count} {reason} (first: {first})")));
        said.extend(
            self.sampler.skipped().iter().map(|(reason, count)| format!("{count} rows skipped: {reason}")),
        );
        let never = self.decoder.never_seen();
        if !never.is_empty() {
            said.push(format!("never seen: {}", never.join(", ")));
        }
        if let Some((name, one, other)) = self.decoder.of_two_senders() {
            said.push(format!(
                "message {name} comes from the source addresses 0x{one:02X} and 0x{other:02X}: only the first one's is read; \
                 state the whole identifier of one in the DBC file"
            ));
        }
        said
    }
}
