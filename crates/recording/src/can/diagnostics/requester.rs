//! Requests for identifiers on a live bus: one at a time, each until it is answered or its time is over.

use super::transport::{self, Control, Lost, Receiver};
use super::{Definition, NEGATIVE, PENDING, RESPONSE, behind_address};
use crate::Stamp;
use crate::can::Frame;

/// Time that an answer may take before it begins (ISO 14229-2, P2 of a client, with a gateway between), in ms.
const ANSWER_MS: u64 = 500;
/// The same after a unit has said that it takes longer (P2*), in ms.
const PENDING_MS: u64 = 5000;

/// A request that is open.
struct Open {
    unit: usize,
    until_ms: u64,
}

/// Sender of requests.
///
/// It decides what to send; the bus is its caller's. A round asks for every identifier once.
pub struct Requester {
    definition: Definition,
    receivers: Vec<Receiver>,
    /// Unit and place of each identifier.
    round: Vec<(usize, usize)>,
    next: usize,
    open: Option<Open>,
    every_ms: u64,
    /// When the next round begins.
    due_ms: u64,
}

impl Requester {
    /// A sender of a round each so many ms.
    #[must_use]
    pub fn new(definition: Definition, every_ms: u64) -> Self {
        let units = definition.unit.iter().enumerate();
        let round: Vec<_> =
            units.flat_map(|(at, unit)| (0..unit.read.len()).map(move |read| (at, read))).collect();
        let receivers = vec![Receiver::default(); definition.unit.len()];
        let next = round.len();
        Self { definition, receivers, round, next, open: None, every_ms: every_ms.max(1), due_ms: 0 }
    }

    /// The frame to send now, if there is one.
    pub fn poll(&mut self, now_ms: u64) -> Option<Frame> {
        if self.open.as_ref().is_some_and(|open| now_ms < open.until_ms) {
            return None;
        }
        self.open = None;
        if self.next >= self.round.len() {
            if now_ms < self.due_ms {
                return None;
            }
            (self.next, self.due_ms) = (0, now_ms.saturating_add(self.every_ms));
        }
        let (unit, read) = *self.round.get(self.next)?;
        self.next += 1;
        let of = &self.definition.unit[unit];
        let [high, low] = of.read[read].id.to_be_bytes();
        let data = transport::single(of.request_address, &[0x22, high, low])?;
        self.open = Some(Open { unit, until_ms: now_ms.saturating_add(ANSWER_MS) });
        self.receivers[unit] = Receiver::default();
        Some(self.sent(unit, &data, now_ms))
    }

    /// Takes a frame of the bus; the frame to send at once, if there is one.
    pub fn take(&mut self, frame: &Frame, now_ms: u64) -> Option<Frame> {
        let Open { unit, .. } = *self.open.as_ref()?;
        let of = &self.definition.unit[unit];
        if frame.id != of.response || frame.extended != of.is_extended() {
            return None;
        }
        let data = behind_address(of.response_address, frame.data())?;
        let is_first = transport::control(data) == Control::First;
        let answer = self.receivers[unit].take(data, frame.time);
        let until_ms = match answer {
            Ok(Some([a, b, PENDING, ..])) if [*a, *b] == NEGATIVE => now_ms.saturating_add(PENDING_MS),
            Ok(Some([RESPONSE, ..])) => now_ms,
            Ok(Some([a, b, ..])) if [*a, *b] == NEGATIVE => now_ms,
            // What came before was asked for by another.
            Err(Lost::Stray) => return None,
            Err(_) => now_ms,
            // A further frame of the answer may take as long as the first.
            Ok(None) => now_ms.saturating_add(ANSWER_MS),
            // Of another service: another tester's.
            Ok(Some(_)) => return None,
        };
        self.open = Some(Open { unit, until_ms });
        is_first
            .then(|| self.sent(unit, &transport::go_on(self.definition.unit[unit].request_address), now_ms))
    }

    fn sent(&self, unit: usize, data: &[u8], now_ms: u64) -> Frame {
        let of = &self.definition.unit[unit];
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Frame::new(Stamp::Unix(now), of.request, of.is_extended()).with_data(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "vehicle = 'a'\n[[unit]]\nrequest = 0x7e4\nresponse = 0x7ec\n\
                       read = [{ id = 0x101, value = [{ quantity = 'soc', byte = 0 }] }, { id = 0x102, value = [] }]\n";

    fn requester() -> Requester {
        Requester::new(Definition::parse(TWO, "a").expect("a definition"), 1000)
    }

    fn response(data: &[u8]) -> Frame {
        Frame::new(Stamp::Unix(0), 0x7ec, false).with_data(data)
    }

    fn data(frame: Option<Frame>) -> Option<(u32, Vec<u8>)> {
        frame.map(|frame| (frame.id, frame.data().to_vec()))
    }

    #[test]
    fn a_round_asks_for_each_identifier_once() {
        let mut requester = requester();
        let ask = |id: u8| Some((0x7e4, vec![3, 0x22, 1, id, 0, 0, 0, 0]));
        assert_eq!(data(requester.poll(0)), ask(1));
        assert_eq!(data(requester.poll(100)), None, "one at a time");
        assert_eq!(data(requester.take(&response(&[4, 0x62, 1, 1, 80, 0, 0, 0]), 120)), None);
        assert_eq!(data(requester.poll(120)), ask(2));
        assert_eq!(data(requester.poll(619)), None);
        assert_eq!(data(requester.poll(620)), None, "the time of the answer is over, and so is the round");
        assert_eq!(data(requester.poll(1000)), ask(1));
    }

    #[test]
    fn a_long_answer_is_let_go_on_and_a_late_one_waited_for() {
        let mut requester = requester();
        requester.poll(0);
        let go_on = Some((0x7e4, vec![0x30, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(data(requester.take(&response(&[0x10, 9, 0x62, 1, 1, 1, 2, 3]), 10)), go_on);
        assert_eq!(data(requester.poll(400)), None, "the answer is not whole");
        assert_eq!(data(requester.take(&response(&[0x21, 4, 5, 6, 0, 0, 0, 0]), 410)), None);
        assert!(requester.poll(410).is_some());
        requester.take(&response(&[3, 0x7f, 0x22, 0x78, 0, 0, 0, 0]), 420);
        assert_eq!(data(requester.poll(5419)), None, "it asked for time");
        assert!(requester.poll(5420).is_some());
    }

    #[test]
    fn frames_of_others_are_not_answered() {
        let mut requester = requester();
        assert_eq!(
            data(requester.take(&response(&[0x10, 9, 0x62, 1, 1, 1, 2, 3]), 0)),
            None,
            "nothing was asked"
        );
        requester.poll(0);
        let other = Frame::new(Stamp::Unix(0), 0x7ed, false).with_data(&[0x10, 9, 0x62, 1, 1, 1, 2, 3]);
        assert_eq!(data(requester.take(&other, 0)), None);
    }
}
