//! Frames to rows: one row for each period in which a wanted signal came.

use super::{Decoder, Frame};
use crate::clock::Placed;
use crate::{Row, Stamp};

/// Makes rows of a bus' frames. A row has the time of the period's last wanted frame and the newest readings then; a
/// period in which no wanted signal came has no row, so that a bus that falls silent makes none.
pub struct Sampler {
    decoder: Decoder,
    period_ns: i64,
    /// Segment and period that are open, and the time of the last wanted frame in it.
    open: Option<(u32, i64, Stamp)>,
    segment: u32,
}

impl Sampler {
    /// A row at most every `period_ms`, which is at least 1.
    #[must_use]
    pub fn new(decoder: Decoder, period_ms: u64) -> Self {
        let period_ns = i64::try_from(period_ms.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Self { decoder, period_ns, open: None, segment: 0 }
    }

    /// Takes a frame that the clock has placed; the row of the period before, if that has ended.
    pub fn take(&mut self, placed: Placed<Frame>) -> Option<Placed<Row>> {
        let Placed { item: mut frame, segment, time } = placed;
        let period = nanoseconds(time).div_euclid(self.period_ns);
        let ended = self.open.is_some_and(|(other, open, _)| other != segment || open != period);
        let row = if ended { self.end() } else { None };
        if segment != self.segment {
            self.segment = segment;
            self.decoder.restart();
        }
        frame.time = time;
        if self.decoder.frame(&frame) {
            self.open = Some((segment, period, time));
        }
        row
    }

    /// The row of the period that is open.
    pub fn end(&mut self) -> Option<Placed<Row>> {
        let (segment, _, time) = self.open.take()?;
        Some(Placed { item: self.decoder.row(time)?, segment, time })
    }

    /// What decodes the frames.
    #[must_use]
    pub const fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

const fn nanoseconds(time: Stamp) -> i64 {
    match time {
        Stamp::Unix(ns) | Stamp::Relative(ns) => ns,
    }
}
