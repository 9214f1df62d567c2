//! Messages in lines of a log: values of JSON with words of the log around them.

use serde_json::Value;

use super::{Found, NAME, found, is_other};
use crate::times::{NoTime, read_time};

/// Words of a log that name no charge point, in small letters.
const OTHER_WORDS: [&str; 40] = [
    "info",
    "debug",
    "warn",
    "warning",
    "error",
    "trace",
    "notice",
    "recv",
    "receive",
    "received",
    "receives",
    "receiving",
    "send",
    "sends",
    "sent",
    "sending",
    "in",
    "out",
    "rx",
    "tx",
    "from",
    "to",
    "by",
    "at",
    "of",
    "message",
    "msg",
    "call",
    "request",
    "incoming",
    "outgoing",
    "json",
    "ws",
    "frame",
    "payload",
    "server",
    "csms",
    "centralsystem",
    "chargepoint",
    "statusnotification",
];

/// What a line of a log has: all its messages about a status, and whether it has other ones.
#[derive(Debug, Default)]
struct Line {
    found: Found,
    others: bool,
    /// The time and the charge point that the log's words stated last.
    at: String,
    charge_point: String,
}

/// The messages in a line: in the line itself, or in frames and objects behind time and charge point, one or several. What looks like a
/// message about a status and cannot be read is counted.
pub(crate) fn in_line(line: &str) -> Found {
    read(line).found
}

/// Whether a line of a log has another message of OCPP: a frame, or an object.
pub(crate) fn is_other_in_line(line: &str) -> bool {
    read(line).others
}

fn read(line: &str) -> Line {
    let found = values(line);
    if !found.found.messages.is_empty() || found.others || !line.contains("\"\"") {
        return found;
    }
    // A field of a table has its quotation marks twice.
    let plain = values(&line.replace("\"\"", "\""));
    if plain.found.messages.is_empty() && !plain.others { found } else { plain }
}

/// Reads the values of a line from its beginning to its end.
fn values(line: &str) -> Line {
    let mut read = Line::default();
    // The words of the log begin there, and what is not looked at yet.
    let (mut words, mut at) = (0, 0);
    while let Some(begin) = (at..line.len()).find(|at| begins(&line.as_bytes()[*at..])) {
        let mut stream = serde_json::Deserializer::from_str(&line[begin..]).into_iter::<Value>();
        let Some(Ok(value)) = stream.next() else {
            at = begin + 1;
            continue;
        };
        at = begin + stream.byte_offset();
        if read.take(&value, &line[words..begin]) {
            words = at;
        }
    }
    read.leave(&line[words..]);
    read
}

/// Whether a frame, a list of them or an object may begin there.
fn begins(text: &[u8]) -> bool {
    match text {
        [b'{', ..] | [b'[', b'[' | b'{', ..] => true,
        [b'[', b'2'..=b'6', rest @ ..] => rest.trim_ascii_start().first() == Some(&b','),
        _ => false,
    }
}

impl Line {
    /// Takes a value behind words of the log; false if it is none of OCPP, and so one of these words.
    fn take(&mut self, value: &Value, words: &str) -> bool {
        let (mut here, mut others) = (Found::default(), false);
        for one in frames(value) {
            here.add(found(one));
            others |= is_other(one);
        }
        if here.is_empty() && !others {
            return false;
        }
        let (at, charge_point) = heading(words);
        if !at.is_empty() {
            self.at = at;
        }
        if !charge_point.is_empty() {
            self.charge_point = charge_point;
        }
        for message in &mut here.messages {
            if message.at.is_empty() {
                message.at.clone_from(&self.at);
            }
            if message.charge_point.is_empty() {
                message.charge_point.clone_from(&self.charge_point);
            }
        }
        self.leave(words);
        self.found.add(here);
        self.others |= others;
        true
    }

    /// Counts what may have been messages among words of the log.
    fn leave(&mut self, words: &str) {
        let quoted = words.match_indices(NAME).filter(|(at, _)| words[..*at].ends_with('"'));
        self.found.unread += quoted.count() as u64;
    }
}

/// The frames of a list of them; the value itself where it is none.
fn frames(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) if found(value).is_empty() && !is_other(value) => all.iter().collect(),
        one => vec![one],
    }
}

/// The time and the charge point that stand before a frame: of the words that may name one, the last that has a digit, or the last.
fn heading(text: &str) -> (String, String) {
    let parted =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '|' | '(' | ')' | '"' | '\'');
    let words: Vec<&str> = text.split(parted).filter(|word| !word.is_empty()).collect();
    let (mut at, mut without_offset) = (None, None);
    let (mut last, mut with_digit) = ("", "");
    let mut n = 0;
    while n < words.len() {
        let word = words[n].trim_end_matches(':');
        let two = words.get(n + 1).map(|next| format!("{word} {next}"));
        let times = [Some(word.to_owned()), two];
        let read = times.iter().flatten().map(|text| read_time(text)).collect::<Vec<_>>();
        n += 1;
        match read[..] {
            [Ok(_), ..] => at = at.or_else(|| times[0].clone()),
            [_, Ok(_)] => {
                at = at.or_else(|| times[1].clone());
                n += 1;
            }
            [Err(NoTime::NoOffset), ..] => without_offset = without_offset.or_else(|| times[0].clone()),
            [_, Err(NoTime::NoOffset)] => {
                without_offset = without_offset.or_else(|| times[1].clone());
                n += 1;
            }
            _ => {
                let name = named(word);
                if !name.chars().any(char::is_alphabetic)
                    || OTHER_WORDS.contains(&&*name.to_lowercase())
                    || name.to_lowercase().starts_with("ocpp")
                {
                    continue;
                }
                last = name;
                if name.chars().any(|c| c.is_ascii_digit()) {
                    with_digit = name;
                }
            }
        }
    }
    let name = if with_digit.is_empty() { last } else { with_digit };
    (at.or(without_offset).unwrap_or_default(), name.to_owned())
}

/// The name in a word of a log: behind `chargePoint=`, the path of an address, or levels and loggers as in `INFO:ocpp:CP1`.
fn named(word: &str) -> &str {
    let mut name = word.rsplit_once("://").map_or(word, |(_, rest)| rest.rsplit('/').next().unwrap_or(rest));
    name = name.split_once('=').map_or(name, |(_, value)| value);
    // The path of a request.
    if name.starts_with('/') {
        name = name.rsplit('/').next().unwrap_or(name);
    }
    while let Some((first, rest)) = name.split_once(':')
        && (OTHER_WORDS.contains(&&*first.to_lowercase()) || first.to_lowercase().starts_with("ocpp"))
    {
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_messages_are_none_of_a_status() {
        let check = |line: &str, expected: bool| assert_eq!(is_other_in_line(line), expected, "{line}");
        check(r#"[2,"1","Heartbeat",{}]"#, true);
        check(
            r#"2025-03-03T00:00:54Z CP1 [2, "q", "TriggerMessage", {"requestedMessage":"StatusNotification"}]"#,
            true,
        );
        check(r#"CP1 [3,"1",{}]"#, true);
        check(r#"{"cp":"CP1","message":"[2,\"1\",\"Heartbeat\",{}]"}"#, true);
        check(r#"{"chargingStationId":"CS1","action":"MeterValues","payload":{}}"#, true);
        check(r#"{"action":"opened","evse_id":"E1"}"#, false);
        check(r#"[{"evse_id":"E1"},"a","b"]"#, false);
        check("StatusNotification without a frame", false);
    }

    #[test]
    fn a_message_is_found_in_many_coats() {
        type Found<'a> = (&'a str, Option<u64>, Option<u64>, &'a str, &'a str);
        let check = |line: &str, expected: Option<Found<'_>>| {
            let found = in_line(line);
            let found =
                found.messages.first().map(|m| (&*m.charge_point, m.evse, m.connector, &*m.status, &*m.at));
            assert_eq!(found, expected, "{line}");
        };
        let frame = r#"[2,"1","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2025-03-03T00:00:53Z"}]"#;
        let expected = Some(("CP1", None, Some(2), "Charging", "2025-03-03T00:00:53Z"));
        check(&format!("2025-03-03T00:00:54Z INFO CP1 {frame}"), expected);
        check(&format!("2025-03-03T00:00:54Z [CP1] {frame}"), expected);
        let quoted = Value::String(frame.to_owned());
        check(&format!(r#"{{"chargePointId":"CP1","message":{quoted}}}"#), expected);
        check(&format!(r#"{{"chargePointId":"CP1","message":{frame}}}"#), expected);
        let second = r#"{"action":"StatusNotification","chargingStationId":"CP1","payload":{"timestamp":"2025-03-03T00:00:53Z","connectorStatus":"Occupied","evseId":1,"connectorId":1}}"#;
        check(second, Some(("CP1", Some(1), Some(1), "Occupied", "2025-03-03T00:00:53Z")));
        for before in [
            "2025-03-03T00:00:54Z recv CP1",
            "[2025-03-03T00:00:54Z] ocpp.server: CP1: received",
            "2025-03-03 00:00:54,123 INFO ocpp:CP1: receive message",
            "INFO:ocpp:CP1: receive message",
            "2025-03-03T00:00:54Z wss://host/ocpp/CP1",
            "CentralSystem received from CP1:",
            "level=info chargePoint=CP1",
            "GET path=/ocpp/1.6/CP1",
        ] {
            check(&format!("{before} {frame}"), expected);
        }
        check(&format!("2025-03-03T00:00:54Z,CP1,\"{}\"", frame.replace('"', "\"\"")), expected);
        check(&format!(r#"{{"cp":"CP1","payload":{frame}}}"#), expected);
        let text_id = frame.replace("2,\"errorCode\"", "\"2\",\"errorCode\"");
        check(&format!(r#"{{"chargePointId":"CP1","message":{text_id}}}"#), expected);
        let number = Some(("4711", None, Some(2), "Charging", "2025-03-03T00:00:53Z"));
        check(&format!(r#"{{"chargePointId":4711,"message":{frame}}}"#), number);
        // The log's own time, where the message has none.
        let silent = r#"[2,"1","StatusNotification",{"connectorId":2,"status":"Charging"}]"#;
        let of = |at| Some(("CP1", None, Some(2), "Charging", at));
        check(&format!("2025-03-03 00:00:54+00:00 CP1 {silent}"), of("2025-03-03 00:00:54+00:00"));
        check(&format!("2025-03-03 00:00:54 CP1 {silent}"), of("2025-03-03 00:00:54"));
        check("2025-03-03T00:00:54Z CP1 [3,\"1\",{}]", None);
        check("StatusNotification", None);
    }

    #[test]
    fn no_message_of_several_in_a_line_is_lost() {
        let check = |line: &str, expected: &[&str], unread: u64| {
            let found = in_line(line);
            let ids: Vec<String> = found.messages.iter().map(|m| m.evse_id().unwrap_or_default()).collect();
            assert_eq!(
                (ids, found.unread),
                (expected.iter().map(|id| (*id).to_owned()).collect(), unread),
                "{line}"
            );
        };
        let frame = |connector: u32| {
            format!(
                r#"[2,"{connector}","StatusNotification",{{"connectorId":{connector},"status":"Charging"}}]"#
            )
        };
        let (one, two) = (frame(1), frame(2));
        for between in ["", " ", ",", ", ", " ; ", r#"[3,"1",{}]"#, r#" [2,"9","Heartbeat",{}] "#] {
            check(&format!("2025-03-03T00:00:54Z CP1 {one}{between}{two}"), &["CP1/1", "CP1/2"], 0);
        }
        check(&format!("2025-03-03T00:00:54Z CP1 [{one},{two}]"), &["CP1/1", "CP1/2"], 0);
        check(
            &format!("2025-03-03T00:00:54Z CP1 {one} 2025-03-03T00:00:55Z CP2 {two}"),
            &["CP1/1", "CP2/2"],
            0,
        );
        let object = |of: &str, frame: &str| format!(r#"{{"cp":"{of}","message":{frame}}}"#);
        check(&format!("{}{}", object("CP1", &one), object("CP2", &two)), &["CP1/1", "CP2/2"], 0);
        check(&object("CP1", &format!("[{one},{two}]")), &["CP1/1", "CP1/2"], 0);
        let text = Value::String(format!("{one}{two}")).to_string();
        check(&object("CP1", &text), &["CP1/1", "CP1/2"], 0);
        let doubled = format!("{one}{two}").replace('"', "\"\"");
        check(&format!("2025-03-03T00:00:54Z,CP1,\"{doubled}\""), &["CP1/1", "CP1/2"], 0);
        // What is cut, or says no status, is counted.
        check(&format!("2025-03-03T00:00:54Z CP1 {one}{}", &two[..40]), &["CP1/1"], 1);
        check(&format!("2025-03-03T00:00:54Z CP1 {}{two}", &one[..40]), &["CP1/2"], 1);
        check(&format!("CP1 [3,\"1\",{{}}] {}", &two[..40]), &[], 1);
        check(r#"CP1 [2,"1","StatusNotification",{"connectorId":1}]"#, &[], 1);
        check(r#"{"cp":"CP1","action":"StatusNotification","payload":{"connectorId":1}}"#, &[], 1);
        // Words about a message, and the answer to one, are none.
        check(&format!("2025-03-03T00:00:54Z handling StatusNotification of CP1 {one}"), &["CP1/1"], 0);
        check(r#"{"cp":"CP1","action":"StatusNotification","payload":{}}"#, &[], 0);
    }
}
