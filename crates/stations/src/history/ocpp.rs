//! Histories as logs of OCPP: a message a line, or several.

use std::io::BufRead;

use super::Builder;
use super::report::Skip;
use super::row::{Place, Times};
use crate::Error;
use crate::feeds::ocpp::{Message, in_line, is_log, is_other_in_line};

pub(super) const FORMAT: &str = "OCPP StatusNotification";

/// Longest line of a log.
const MAX_LINE: u64 = 64 * 1024;

/// The error of a log that says nothing of a status.
pub(super) fn without_statuses() -> Error {
    let known = "without StatusNotification, the one message that is read: transactions and meter values do not say whether a plug is free";
    Error::Unknown { what: "the log of OCPP", known }
}

/// Adds a message.
pub(super) fn take(
    builder: &mut Builder,
    message: &Message,
    times: &mut Times,
    place: Place,
) -> Result<(), Error> {
    if message.charge_point.is_empty() {
        builder.skip(Skip::NoEvse, &place.words(), &message.status);
        return Ok(());
    }
    let Some(id) = message.evse_id() else {
        builder.skip(Skip::WholeCharger, &place.words(), &message.charge_point);
        return Ok(());
    };
    builder.status_row(times, (&message.at, &id, &message.status), place)
}

/// Reads a log of text, or of objects, line by line. Lines of other messages are none of ours.
pub(super) fn read(builder: &mut Builder, mut from: impl BufRead) -> Result<(), Error> {
    builder.source(FORMAT)?;
    let mut times = Times::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let io = |source: std::io::Error| Error::Csv { what: FORMAT, source: source.into() };
        let got = std::io::Read::take(&mut from, MAX_LINE).read_until(b'\n', &mut line).map_err(io)?;
        if got == 0 {
            return Ok(());
        }
        number += 1;
        if !is_log(&line) {
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let found = in_line(text.trim());
        for message in &found.messages {
            take(builder, message, &mut times, Place::Line(number))?;
        }
        // The answer to a message names it as well, and so does one that asks for it.
        let is_strange = found.is_empty() && !is_other_in_line(&text);
        for _ in 0..found.unread + u64::from(is_strange) {
            builder.skip(Skip::NotARow, &Place::Line(number).words(), text.trim());
        }
    }
}
