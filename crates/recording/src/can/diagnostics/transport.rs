//! Messages of more than one frame, as ISO 15765-2 cuts them: single, first, consecutive and flow control frames.

use crate::Stamp;

/// Longest message that is kept: what the 12 bits of a first frame can state.
const MAX_MESSAGE: usize = 4095;
/// Longest time between two frames of a message (ISO 15765-2, N_Cr): 1 s.
const MAX_PAUSE_NS: u64 = 1_000_000_000;

/// Kind of a frame by its protocol control information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A whole message.
    Single,
    /// The first of several frames.
    First,
    /// A further one.
    Consecutive,
    /// What a receiver tells a sender.
    Flow,
    /// None of them.
    Other,
}

/// The kind of a frame with these data behind the address.
#[must_use]
pub const fn control(data: &[u8]) -> Control {
    match data {
        [first, ..] => match *first >> 4 {
            0 => Control::Single,
            1 => Control::First,
            2 => Control::Consecutive,
            3 => Control::Flow,
            _ => Control::Other,
        },
        [] => Control::Other,
    }
}

/// Reason why frames gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A frame is missing, or came twice or too late.
    Sequence,
    /// A frame whose length is impossible.
    Length,
    /// A further frame of a message whose first one is not there.
    Stray,
}

/// Receiver of the messages of one sender.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    message: Vec<u8>,
    /// Bytes of the message; 0 while none is open.
    length: usize,
    next: u8,
    last: Option<Stamp>,
}

impl Receiver {
    /// Takes the data of a frame, without an address before them: a message if it ends with this frame.
    ///
    /// # Errors
    /// [`Lost`] if the frame ends a message that is not whole, or is none.
    pub fn take(&mut self, data: &[u8], time: Stamp) -> Result<Option<&[u8]>, Lost> {
        match control(data) {
            Control::Single => {
                let interrupted = std::mem::take(&mut self.length) > 0;
                // Of CAN FD: the length is in the second byte.
                let (length, rest) = match data {
                    [0, length, rest @ ..] if data.len() > 8 => (usize::from(*length), rest),
                    [length, rest @ ..] => (usize::from(length & 0xf), rest),
                    [] => return Err(Lost::Length),
                };
                let message = rest.get(..length).filter(|message| !message.is_empty()).ok_or(Lost::Length)?;
                self.message.clear();
                self.message.extend(message);
                if interrupted { Err(Lost::Sequence) } else { Ok(Some(&self.message)) }
            }
            Control::First => {
                let interrupted = self.length > 0;
                self.length = 0;
                let [high, low, rest @ ..] = data else { return Err(Lost::Length) };
                let length = usize::from(high & 0xf) << 8 | usize::from(*low);
                // A length of 0 announces one of 32 bits: no identifier of a battery has so many.
                if length > MAX_MESSAGE || rest.len() >= length || data.len() < 8 {
                    return Err(Lost::Length);
                }
                self.message.clear();
                self.message.extend(rest);
                (self.length, self.next, self.last) = (length, 1, Some(time));
                if interrupted { Err(Lost::Sequence) } else { Ok(None) }
            }
            Control::Consecutive if self.length == 0 => Err(Lost::Stray),
            Control::Consecutive => {
                let [first, rest @ ..] = data else { return Err(Lost::Length) };
                let late = self.last.is_none_or(|last| !within(last, time));
                if first & 0xf != self.next || late {
                    self.length = 0;
                    return Err(Lost::Sequence);
                }
                (self.next, self.last) = ((self.next + 1) & 0xf, Some(time));
                let wanted = self.length - self.message.len();
                self.message.extend(rest.iter().take(wanted));
                if self.message.len() < self.length {
                    return Ok(None);
                }
                self.length = 0;
                Ok(Some(&self.message))
            }
            Control::Flow | Control::Other => Ok(None),
        }
    }
}

fn within(last: Stamp, now: Stamp) -> bool {
    match (last, now) {
        (Stamp::Unix(last), Stamp::Unix(now)) | (Stamp::Relative(last), Stamp::Relative(now)) => {
            last.abs_diff(now) <= MAX_PAUSE_NS
        }
        _ => false,
    }
}

/// A message of at most 7 bytes as one frame of 8, and so padded; with an address before it, at most 6.
#[must_use]
pub fn single(address: Option<u8>, message: &[u8]) -> Option<[u8; 8]> {
    let mut data = [0; 8];
    let from = usize::from(address.is_some());
    data[0] = address.unwrap_or(0);
    data[from] = u8::try_from(message.len()).ok()?;
    data.get_mut(from + 1..from + 1 + message.len())?.copy_from_slice(message);
    Some(data)
}

/// The flow control frame that asks for all further frames at once.
#[must_use]
pub const fn go_on(address: Option<u8>) -> [u8; 8] {
    match address {
        Some(address) => [address, 0x30, 0, 0, 0, 0, 0, 0],
        None => [0x30, 0, 0, 0, 0, 0, 0, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as frames of so many bytes, padded.
    fn frames(message: &[u8]) -> Vec<Vec<u8>> {
        if let Some(frame) = single(None, message) {
            return vec![frame.to_vec()];
        }
        let mut frames =
            vec![[&[0x10 | (message.len() >> 8) as u8, message.len() as u8][..], &message[..6]].concat()];
        for (number, part) in message[6..].chunks(7).enumerate() {
            let mut frame = [&[0x20 | ((number + 1) & 0xf) as u8][..], part].concat();
            frame.resize(8, 0xaa);
            frames.push(frame);
        }
        frames
    }

    fn take(receiver: &mut Receiver, frames: &[Vec<u8>]) -> Vec<Result<Vec<u8>, Lost>> {
        let mut all = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            match receiver.take(frame, Stamp::Relative(number as i64 * 1_000_000)) {
                Ok(message) => all.extend(message.map(|message| Ok(message.to_vec()))),
                Err(lost) => all.push(Err(lost)),
            }
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_cut_is_joined(message in proptest::collection::vec(any::<u8>(), 1..=MAX_MESSAGE)) {
            let mut receiver = Receiver::default();
            prop_assert_eq!(take(&mut receiver, &frames(&message)), [Ok(message)]);
        }

        /// One frame less, twice or in another order: no message, and the next one is whole again.
        #[test]
        fn a_message_that_is_not_whole_is_none(message in proptest::collection::vec(any::<u8>(), 22..300), at in any::<prop::sample::Index>(), kind in 0..3) {
            let mut sent = frames(&message);
            let at = 1 + at.index(sent.len() - 2);
            match kind {
                0 => { sent.remove(at); }
                1 => sent.insert(at, sent[at].clone()),
                _ => sent.swap(at, at + 1),
            }
            let mut receiver = Receiver::default();
            let got = take(&mut receiver, &sent);
            prop_assert!(got.iter().all(Result::is_err) && !got.is_empty(), "{:?}", got);
            prop_assert_eq!(take(&mut receiver, &frames(&message)), [Ok(message)]);
        }

        #[test]
        fn any_frames_are_taken(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..=64), 0..50)) {
            take(&mut Receiver::default(), &frames);
        }
    }

    #[test]
    fn a_pause_ends_a_message() {
        let (mut receiver, message) = (Receiver::default(), [7; 20]);
        let sent = frames(&message);
        assert_eq!(receiver.take(&sent[0], Stamp::Relative(0)), Ok(None));
        assert_eq!(receiver.take(&sent[1], Stamp::Relative(1_000_000_001)), Err(Lost::Sequence));
        assert_eq!(receiver.take(&sent[2], Stamp::Relative(1_000_000_002)), Err(Lost::Stray));
    }
}
