//! OCPP's `StatusNotification` (1.6 and 2.0.1): JSON frames, objects around them, or lines of text with a frame in each.
//!
//! An EVSE is named by its charge point and connector (1.6), or by charge point and EVSE, and the connector where that is not the
//! first (2.0.1). A message of connector 0 is about the charger as a whole.

use serde_json::Value;

use crate::times::{NoTime, read_time};

/// Names of the charge point in the objects that logs put around a message.
const CHARGE_POINTS: [&str; 16] = [
    "chargePointId",
    "chargepointId",
    "charge_point_id",
    "chargeBoxId",
    "chargingStationId",
    "charging_station_id",
    "stationId",
    "cpId",
    "cp_id",
    "identity",
    "chargePoint",
    "charge_point",
    "chargerId",
    "charger_id",
    "clientId",
    "cp",
];

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

/// One message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    pub(crate) charge_point: String,
    evse: Option<u64>,
    connector: Option<u64>,
    /// In OCPP's words.
    pub(crate) status: String,
    /// Its own time, or the log's.
    pub(crate) at: String,
}

impl Message {
    /// The EVSE that it is about; `None` if it is about the charger as a whole, or names none.
    pub(crate) fn evse_id(&self) -> Option<String> {
        let point = Some(&self.charge_point).filter(|point| !point.is_empty())?;
        match (self.evse, self.connector) {
            (Some(0), _) | (None, Some(0) | None) => None,
            (Some(evse), None | Some(0..=1)) => Some(format!("{point}/{evse}")),
            (Some(evse), Some(connector)) => Some(format!("{point}/{evse}/{connector}")),
            (None, Some(connector)) => Some(format!("{point}/{connector}")),
        }
    }
}

/// Whether the beginning of a file is that of a log of OCPP.
pub(crate) fn is_log(text: &[u8]) -> bool {
    let name = b"StatusNotification";
    text.windows(name.len()).any(|window| window == name)
}

/// Fields of the objects that logs put around a frame.
const FRAMES: [&str; 8] = ["message", "msg", "frame", "ocpp", "raw", "payload", "data", "body"];

/// Whether a value is another message of OCPP, alone or in an object of a log: it says nothing of a status, and is no mistake.
pub(crate) fn is_other(value: &Value) -> bool {
    // OCPP-J 1.6, section 4: a type from 2 to 4, then the message's id; 2.1 has 5 and 6.
    let is_frame = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([kind, id, _, ..]) => {
            kind.as_u64().is_some_and(|kind| (2..=6).contains(&kind)) && id.is_string()
        }
        _ => false,
    };
    let is_in = |object: &serde_json::Map<String, Value>| {
        FRAMES.iter().filter_map(|name| object.get(*name)).any(|within| match within {
            Value::String(text) => serde_json::from_str(text).is_ok_and(|value| is_frame(&value)),
            other => is_frame(other),
        })
    };
    let is_action = |object: &serde_json::Map<String, Value>| {
        object.get("action").is_some_and(Value::is_string)
            && CHARGE_POINTS.iter().any(|name| object.contains_key(*name))
    };
    is_frame(value) || value.as_object().is_some_and(|object| is_in(object) || is_action(object))
}

/// Whether a line of a log has another message of OCPP: a frame, or an object.
pub(crate) fn is_other_in_line(line: &str) -> bool {
    let begin = ["[2,", "[2 ,", "[3,", "[4,", "{"].iter().filter_map(|begin| line.find(begin)).min();
    let value = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    begin.is_some_and(|begin| {
        let rest = &line[begin..];
        value(rest).or_else(|| value(&rest.replace("\"\"", "\""))).is_some_and(|value| is_other(&value))
    })
}

/// The message in a value: a frame `[2, id, "StatusNotification", {…}]`, or an object with `action` and `payload`.
pub(crate) fn message(value: &Value) -> Option<Message> {
    match value {
        Value::Array(frame) => {
            let named = frame.iter().position(|part| part.as_str() == Some("StatusNotification"))?;
            payload(frame.get(named + 1)?)
        }
        Value::Object(object) => {
            let text = |names: &[&str]| {
                names.iter().find_map(|name| object.get(*name).and_then(Value::as_str)).map(str::to_owned)
            };
            let frame = |name: &&str| match object.get(*name)? {
                Value::String(text) => message(&serde_json::from_str(text).ok()?),
                other => message(other),
            };
            let mut found = match FRAMES.iter().find_map(frame) {
                Some(found) => found,
                None => {
                    let action = text(&["action", "messageType", "type", "event"])?;
                    let payload_of =
                        ["payload", "data", "body", "request"].iter().find_map(|name| object.get(*name));
                    (action == "StatusNotification").then(|| payload(payload_of?)).flatten()?
                }
            };
            if let Some(id) = CHARGE_POINTS.iter().find_map(|name| plain_id(object.get(*name)?)) {
                found.charge_point = id;
            }
            if found.at.is_empty() {
                let at = ["timestamp", "time", "@timestamp", "ts", "received_at"]
                    .iter()
                    .find_map(|name| object.get(*name));
                found.at = at.map(plain_text).unwrap_or_default();
            }
            Some(found)
        }
        _ => None,
    }
}

fn payload(value: &Value) -> Option<Message> {
    let number = |name: &str| match value.get(name)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    let status = value.get("status").or_else(|| value.get("connectorStatus"))?.as_str()?;
    Some(Message {
        charge_point: String::new(),
        evse: number("evseId"),
        connector: number("connectorId"),
        status: status.to_owned(),
        at: value.get("timestamp").map(plain_text).unwrap_or_default(),
    })
}

/// A text or a number that is an id.
fn plain_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The message in a line: the line itself, or a frame behind time and charge point.
pub(crate) fn in_line(line: &str) -> Option<Message> {
    if let Ok(value) = serde_json::from_str::<Value>(line) {
        return message(&value);
    }
    let begin = line.find("[2,").or_else(|| line.find("[2 ,"))?;
    let rest = &line[begin..];
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    // A field of a table has its quotation marks twice.
    let frame = first(rest).or_else(|| first(&rest.replace("\"\"", "\"")))?;
    let mut found = message(&frame)?;
    let (at, charge_point) = heading(&line[..begin]);
    if found.at.is_empty() {
        found.at = at;
    }
    found.charge_point = charge_point;
    Some(found)
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
            let found = found.as_ref().map(|m| (&*m.charge_point, m.evse, m.connector, &*m.status, &*m.at));
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
}
