//! Messages of SAE J1939 that come in several frames (J1939-21, 5.10): announced to all, or asked for by one.
//!
//! Provided: the first 64 bytes of each message, as many as a frame has here; packets that come again. Not provided: the
//! extended transport of more than 1,785 bytes.

use super::Frame;
use super::dbc::Message;
use crate::Stamp;
use std::collections::VecDeque;

/// Parameter group of announcements and other control (TP.CM).
const CONTROL: u32 = 0xec00;
/// Parameter group of packets (TP.DT).
const PACKET: u32 = 0xeb00;
/// Control: a request to send to one, and an announcement to all.
const BEGINS: [u8; 2] = [16, 32];
/// Bytes of a packet behind its number.
const PACKET_BYTES: usize = 7;
/// Bytes of a message that are kept.
const KEPT: usize = 64;
/// Messages that are open at the same time at most: one of each of so many senders.
const MAX_OPEN: usize = 32;
/// Time in ns after which a message without a further packet is given up (T2 of J1939-21).
const PATIENCE_NS: i64 = 1_250_000_000;

/// A message that is not whole yet.
#[derive(Clone, Debug)]
struct Open {
    /// Sender and destination, as the identifier has them.
    ends: u32,
    group: u32,
    length: usize,
    packets: u8,
    /// Which of the packets that are kept have come, a bit each.
    come: u16,
    bytes: [u8; KEPT + PACKET_BYTES],
    last: Stamp,
}

/// Joins packets to messages.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    open: VecDeque<Open>,
}

impl Assembler {
    /// Takes a frame; the whole message as a frame of its own parameter group, if this was its last packet.
    pub fn take(&mut self, frame: &Frame) -> Option<Frame> {
        if !frame.extended {
            return None;
        }
        let ends = frame.id & 0xffff;
        match (Message::parameter_group(frame.id), frame.data()) {
            (CONTROL, &[kind, low, high, packets, _, a, b, c]) if BEGINS.contains(&kind) => {
                self.open.retain(|open| open.ends != ends);
                if self.open.len() == MAX_OPEN {
                    self.open.pop_front();
                }
                self.open.push_back(Open {
                    ends,
                    group: u32::from_le_bytes([a, b, c, 0]),
                    length: usize::from(u16::from_le_bytes([low, high])),
                    packets,
                    come: 0,
                    bytes: [0; KEPT + PACKET_BYTES],
                    last: frame.time,
                });
                None
            }
            (PACKET, &[number, ref bytes @ ..]) if bytes.len() == PACKET_BYTES => {
                let at = self.open.iter().position(|open| open.ends == ends)?;
                if !self.open[at].put(number, bytes, frame.time) {
                    self.open.remove(at);
                    return None;
                }
                let is_last = number == self.open[at].packets;
                let open = if is_last { self.open.remove(at)? } else { return None };
                open.whole(frame)
            }
            _ => None,
        }
    }
}

impl Open {
    /// Takes a packet; false if the message is given up.
    fn put(&mut self, number: u8, bytes: &[u8], now: Stamp) -> bool {
        let waited = match (self.last, now) {
            (Stamp::Unix(from), Stamp::Unix(to)) | (Stamp::Relative(from), Stamp::Relative(to)) => {
                to.saturating_sub(from)
            }
            _ => i64::MAX,
        };
        if number == 0 || number > self.packets || waited > PATIENCE_NS {
            return false;
        }
        self.last = now;
        let from = usize::from(number - 1) * PACKET_BYTES;
        if let Some(place) = self.bytes.get_mut(from..from + PACKET_BYTES) {
            place.copy_from_slice(bytes);
            self.come |= 1 << (number - 1);
        }
        true
    }

    /// The message, if no packet is missing of what is kept.
    fn whole(&self, last: &Frame) -> Option<Frame> {
        let length = self.length.min(KEPT);
        let wanted = length.div_ceil(PACKET_BYTES);
        let all = (1_u16 << wanted) - 1;
        if self.length <= 8
            || self.length > PACKET_BYTES * usize::from(self.packets)
            || self.come & all != all
        {
            return None;
        }
        // The priority of its own is not known: messages are found without it.
        let (sender, destination) = (self.ends & 0xff, self.ends & 0xff00);
        let is_addressed = (self.group >> 8) & 0xff < 240;
        let id = self.group << 8 | if is_addressed { destination } else { 0 } | sender;
        let mut frame = Frame::new(last.time, id & super::frame::MAX_EXTENDED_ID, true);
        (frame.bus, frame.direction) = (last.bus, last.direction);
        Some(frame.with_data(&self.bytes[..length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u32, ms: i64, data: [u8; 8]) -> Frame {
        Frame::new(Stamp::Unix(ms * 1_000_000), id, true).with_data(&data)
    }

    /// An announcement of 12 bytes of the group 0xff20, and its packets.
    fn announced(to: u8, kind: u8) -> [Frame; 3] {
        let to = u32::from(to) << 8;
        [
            frame(0x18ec_0003 | to, 0, [kind, 12, 0, 2, 255, 0x20, 0xff, 0]),
            frame(0x18eb_0003 | to, 50, [1, 1, 2, 3, 4, 5, 6, 7]),
            frame(0x18eb_0003 | to, 100, [2, 8, 9, 10, 11, 12, 255, 255]),
        ]
    }

    fn whole(frames: &[Frame]) -> Vec<(u32, Vec<u8>)> {
        let mut assembler = Assembler::default();
        let taken = frames.iter().filter_map(|frame| assembler.take(frame));
        taken.map(|frame| (frame.id, frame.data().to_vec())).collect()
    }

    #[test]
    fn packets_become_a_message() {
        let expected = vec![(0x00ff_2003, (1..=12).collect())];
        assert_eq!(whole(&announced(0xff, 32)), expected, "to all");
        assert_eq!(whole(&announced(0x56, 16)), expected, "to one");
        let [begin, one, two] = announced(0xff, 32);
        let again = [begin.clone(), one.clone(), one.clone(), two.clone()];
        assert_eq!(whole(&again), expected, "a packet came again");
        let other = frame(0x18eb_ff04, 60, [2; 8]);
        assert_eq!(whole(&[begin, other, one, two]), expected, "another's packet between");
    }

    #[test]
    fn what_is_not_whole_is_given_up() {
        let [begin, one, two] = announced(0xff, 32);
        assert_eq!(whole(&[one.clone(), two.clone()]), []);
        assert_eq!(whole(&[begin.clone(), two.clone()]), []);
        let mut late = two.clone();
        late.time = Stamp::Unix(3_000_000_000);
        assert_eq!(whole(&[begin.clone(), one.clone(), late]), []);
        let many = frame(0x18eb_ff03, 60, [3; 8]);
        assert_eq!(whole(&[begin, one, many, two]), []);
    }

    #[test]
    fn of_a_long_message_the_first_bytes_are_kept() {
        let begin = frame(0x18ec_ff03, 0, [32, 140, 0, 20, 255, 0x20, 0xff, 0]);
        let packets = (1..=20).map(|n| frame(0x18eb_ff03, i64::from(n), [n; 8]));
        let found = whole(&std::iter::once(begin).chain(packets).collect::<Vec<_>>());
        assert_eq!((found.len(), found[0].1.len(), found[0].1[63]), (1, 64, 10));
    }
}
