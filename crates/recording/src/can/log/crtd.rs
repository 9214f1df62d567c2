//! Lines of OVMS' CRTD: `1632509059.541604 2R11 174 00 00 aa`.

use super::super::{Bus, Direction, Frame};
use super::parsed::Parsed;
use super::text::{byte, hex, nanos, stamp, word};

/// Time, bus and kind of record, and the rest.
#[expect(clippy::type_complexity, reason = "four parts of a line, taken apart at once")]
fn record(line: &[u8]) -> Option<(i64, &[u8], &[u8], &[u8])> {
    let (time, rest) = word(line);
    let (kind, rest) = word(rest);
    let time = time.contains(&b'.').then(|| nanos(time))??;
    let digits = kind.iter().take_while(|b| b.is_ascii_digit()).count();
    let (bus, kind) = kind.split_at(digits);
    let known = kind.len() == 3
        && (matches!(kind, b"R11" | b"R29" | b"T11" | b"T29")
            || kind[0] == b'C' && kind[1..].iter().all(u8::is_ascii_uppercase));
    known.then_some((time, bus, kind, rest))
}

pub(super) fn begins(line: &[u8]) -> bool {
    record(line).is_some()
}

pub(super) fn parse(line: &[u8]) -> Parsed {
    if line.trim_ascii().is_empty() {
        return Parsed::Nothing;
    }
    let Some((time, bus, kind, rest)) = record(line) else { return Parsed::Skip("no frame in the line") };
    if kind[0] == b'C' {
        // Version and comments are the format's own; events and errors of the controller are worth a count.
        return if matches!(kind, b"CXX" | b"CVR") {
            Parsed::Nothing
        } else {
            Parsed::Skip("an event, no frame")
        };
    }
    let (id, mut rest) = word(rest);
    let extended = &kind[1..] == b"29";
    let most =
        if extended { super::super::frame::MAX_EXTENDED_ID } else { super::super::frame::MAX_STANDARD_ID };
    let Some(id) = hex(id).filter(|id| *id <= most) else {
        return Parsed::Skip("an identifier that is none");
    };
    let mut frame = Frame::new(stamp(time), id, extended);
    frame.bus = (!bus.is_empty()).then(|| Bus::new(bus));
    frame.direction = if kind[0] == b'R' { Direction::Received } else { Direction::Sent };
    loop {
        let (text, next) = word(rest);
        if text.is_empty() {
            return Parsed::Frame(frame);
        }
        let Some(value) = byte(text) else { return Parsed::Skip("data that are not hexadecimal") };
        if !frame.push(value) {
            return Parsed::Skip("more data than a frame can have");
        }
        rest = next;
    }
}
