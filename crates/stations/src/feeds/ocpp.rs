//! OCPP's `StatusNotification` (1.6 and 2.0.1): JSON frames, objects around them, or lines of text with a frame in each.
//!
//! An EVSE is named by its charge point and connector (1.6), or by charge point and EVSE, and the connector where that is not the
//! first (2.0.1). A message of connector 0 is about the charger as a whole.

use serde_json::Value;

use crate::times::read_time;

/// Names of the charge point in the objects that logs put around a message.
const CHARGE_POINTS: [&str; 10] = [
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
            let frame =
                ["message", "msg", "frame", "ocpp", "raw"].iter().find_map(|name| match object.get(*name) {
                    Some(Value::String(text)) => serde_json::from_str(text).ok(),
                    Some(other) => Some(other.clone()),
                    None => None,
                });
            let mut found = match frame.as_ref().and_then(message) {
                Some(found) => found,
                None => {
                    let action = text(&["action", "messageType", "type", "event"])?;
                    let payload_of =
                        ["payload", "data", "body", "request"].iter().find_map(|name| object.get(*name));
                    (action == "StatusNotification").then(|| payload(payload_of?)).flatten()?
                }
            };
            if let Some(id) = text(&CHARGE_POINTS) {
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
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let status = value.get("status").or_else(|| value.get("connectorStatus"))?.as_str()?;
    Some(Message {
        charge_point: String::new(),
        evse: number("evseId"),
        connector: number("connectorId"),
        status: status.to_owned(),
        at: value.get("timestamp").map(plain_text).unwrap_or_default(),
    })
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
    let frame = serde_json::Deserializer::from_str(&line[begin..]).into_iter::<Value>().next()?.ok()?;
    let mut found = message(&frame)?;
    let mut words = line[..begin].split([' ', '\t', ',', ';', '[', ']', '|']).filter(|word| !word.is_empty());
    let levels = [
        "INFO", "DEBUG", "WARN", "WARNING", "ERROR", "TRACE", "RECV", "SEND", "IN", "OUT", "->", "<-", ">>",
        "<<",
    ];
    for word in &mut words {
        let word = word.trim_end_matches(':');
        if let Ok((_, _)) = read_time(word) {
            if found.at.is_empty() {
                word.clone_into(&mut found.at);
            }
        } else if found.charge_point.is_empty()
            && !levels.contains(&word)
            && word.chars().any(char::is_alphabetic)
        {
            word.clone_into(&mut found.charge_point);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check("2025-03-03T00:00:54Z CP1 [3,\"1\",{}]", None);
        check("StatusNotification", None);
    }
}
